"""The package as a whole: light to import, at home in a clone and in site-packages."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import companion
from companion import paths

HEAVY = ("torch", "numpy", "plotly", "IPython", "lightning_fabric", "sklearn", "anywidget")


def test_import_is_light() -> None:
    """What it loads; how long that takes is for `make bench`."""
    code = f"import sys, companion; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    assert companion.__version__ == version("cnn-autoencoder-companion")


def test_environment_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_DATA_DIR", str(tmp_path / "d"))
    monkeypatch.setenv("COMPANION_CACHE_DIR", "~/c")
    assert paths.data_dir() == tmp_path / "d"
    assert paths.cache_dir() == Path.home() / "c"


def test_data_in_a_clone_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPANION_DATA_DIR", raising=False)
    root = Path(companion.__file__).resolve().parent.parent
    assert paths.data_dir() == root / "data"
    installed = tmp_path / "site-packages" / "companion"
    (tmp_path / "site-packages" / "data").mkdir(parents=True)  # some other package's
    monkeypatch.setattr(paths, "_PACKAGE", installed)
    assert paths.data_dir() == installed / "_data"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "there/companion"),
        ("linux", None, "home/.cache/companion"),
        ("darwin", None, "home/Library/Caches/companion"),
        ("win32", "LOCALAPPDATA", "there/companion"),
        ("win32", None, "home/AppData/Local/companion"),
    ],
)
def test_cache_folder(
    platform: str,
    variable: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("COMPANION_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "there"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert paths.cache_dir() == tmp_path / expected
