"""The package as a whole: light to import."""

import subprocess
import sys
from importlib.metadata import version

import companion

HEAVY = ("torch", "numpy", "plotly", "IPython", "lightning_fabric", "sklearn", "anywidget")


def test_import_is_light() -> None:
    """What it loads; how long that takes is for `make bench`."""
    code = f"import sys, companion; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version() -> None:
    assert companion.__version__ == version("cnn-autoencoder-companion")
