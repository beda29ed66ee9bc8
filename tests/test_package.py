"""The package as a whole: light to import."""

import subprocess
import sys
from importlib.metadata import version

import companion

HEAVY = ("torch", "numpy", "plotly", "IPython", "lightning_fabric", "sklearn", "anywidget")


def test_import_is_light() -> None:
    code = (
        "import sys, time\nstart = time.process_time()\nimport companion\n"
        "print(time.process_time() - start)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert all(run.stdout.splitlines()[1] == "[]" for run in runs)
    assert min(float(run.stdout.splitlines()[0]) for run in runs) <= 0.2


def test_version() -> None:
    assert companion.__version__ == version("cnn-autoencoder-companion")
