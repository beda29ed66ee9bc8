"""Where weights and other generated files lie."""

import contextlib
import os
import re
import tempfile
import time
import uuid
from pathlib import Path

import platformdirs

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
        return expanded(override)
    repository = _PACKAGE.parent
    # Beside an installed package lies site-packages, where a stranger's `data/` proves nothing.
    if (repository / "pyproject.toml").is_file():
        return repository / "data"
    return _PACKAGE / "_data"


def cache_dir() -> Path:
    """The folder for what can be made again: exported models, weights that the reader trains.

    The environment variable COMPANION_CACHE_DIR if it is set, otherwise `companion` in the
    platform's cache folder, or a temporary one for somebody who has no home, as in some containers.
    Whoever writes there creates it.
    """
    if override := os.environ.get("COMPANION_CACHE_DIR"):
        return expanded(override)
    with contextlib.suppress(RuntimeError):
        chosen = platformdirs.user_cache_path("companion", appauthor=False, opinion=False)
        if chosen.is_absolute():  # older versions leave the ~ where it is
            return chosen
    return Path(tempfile.gettempdir()) / f"companion-{os.getuid()}"


# What a file is called until it is complete: not after its process, for two containers on a shared
# folder may number theirs alike; nor after itself, for its name may be as long as names can be.
_UNFINISHED = re.compile(r"\.companion-[0-9a-f]{32}")
_ABANDONED = 3600  # seconds without a change after which its process is taken for dead


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, then move it there.

    Whoever reads `path` finds what was there before or what is there now, never a part of it, even
    if the process is killed meanwhile; what such a process left is removed an hour later. Several
    may write the same file. Makes the folder if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(".companion-*"):
        # It may be complete, and gone, by the time we look; or be somebody else's to remove.
        with contextlib.suppress(OSError):
            age = time.time() - leftover.stat().st_mtime
            if _UNFINISHED.fullmatch(leftover.name) and age > _ABANDONED:
                leftover.unlink()
    unfinished = path.with_name(f".companion-{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
