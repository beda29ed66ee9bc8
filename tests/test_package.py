"""The package as a whole: light to import, and what its wheel holds."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

import companion

HEAVY = ("torch", "numpy", "plotly", "IPython", "lightning_fabric", "sklearn", "anywidget")


def test_import_is_light() -> None:
    """What it loads; how long that takes is for `make bench`."""
    code = f"import sys, companion; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    assert companion.__version__ == version("cnn-autoencoder-companion")


def test_the_wheel_has_the_weights_and_no_downloads(tmp_path: Path) -> None:
    """As the configuration picks files, from a small copy of the clone."""
    root = Path(companion.__file__).resolve().parent.parent
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore"):
        shutil.copy(root / name, tmp_path)
    for name in (
        "companion/paths.py", "companion/widgets/static/engine.js", "data/vae.safetensors",
        "data/vae.json", "data/downloads/mnist/train.gz", "tests/test_vae.py", "book/01.md",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = WheelBuilder(str(tmp_path)).recurse_included_files()
    assert {file.distribution_path for file in files} == {
        "companion/paths.py",
        "companion/widgets/static/engine.js",
        "companion/_data/vae.safetensors",
        "companion/_data/vae.json",
    }
