"""Where weights and other generated files lie."""

import contextlib
import glob
import os
import sys
import time
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder. Raises ValueError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{str(path)!r} is no path here: {error}") from error


def data_dir() -> Path:
    """The folder with the weights that ship, and their cards.

    The environment variable COMPANION_DATA_DIR if it is set; in a clone of the repository its
    `data/`; otherwise (installed by pip, as on Colab) the copy inside the package.
    """
    if override := os.environ.get("COMPANION_DATA_DIR"):
        return Path(override).expanduser()
    repository = _PACKAGE.parent
    # Beside an installed package lies site-packages, where a stranger's `data/` proves nothing.
    if (repository / "pyproject.toml").is_file():
        return repository / "data"
    return _PACKAGE / "_data"


def cache_dir() -> Path:
    """The folder for what can be made again: exported models, weights that the reader trains.

    The environment variable COMPANION_CACHE_DIR if it is set, otherwise `companion` in the
    platform's cache folder. Whoever writes there creates it.
    """
    if override := os.environ.get("COMPANION_CACHE_DIR"):
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "companion"


_ABANDONED = 3600  # seconds after which a file that was written aside belongs to nobody


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, then move it there.

    Whoever reads `path` finds what was there before or what is there now, never a part of it, even
    if the process is killed meanwhile. Makes the folder if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not leftover.suffix[1:].isdecimal():  # another program's
            continue
        # One that is being written may be finished, and gone, by the time we look.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED:
                leftover.unlink()
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
