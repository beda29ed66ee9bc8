"""Where weights and other generated files lie."""

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


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
