"""On the machine: import times, a build with nothing changed, a chapter's time and memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# Runs in a fresh process: executes a chapter's notebook and prints seconds and the kernel's peak.
EXECUTE = """
import sys, time, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
code = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
notebook.cells.append(nbformat.v4.new_code_cell(code))
start = time.perf_counter()
NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=sys.argv[2])
print(time.perf_counter() - start, notebook.cells[-1].outputs[0].text)
"""


def median_ms(command: list[str], runs: int = 5) -> float:
    """Median wall time of a command, milliseconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def measure() -> Iterator[dict[str, Any]]:
    """Everything that needs no browser and trains nothing."""
    empty = median_ms([sys.executable, "-c", "pass"])
    whole = median_ms([sys.executable, "-c", "import companion"])
    yield {
        "name": "import_companion",
        "what": "`import companion`, beyond Python's own start",
        "ms": round(whole - empty, 1),
        "against": "≤ 200 ms",
    }
    start = time.perf_counter()
    command = [sys.executable, "-m", "companion.site.build"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    yield {
        "name": "book_again",
        "what": "`make book` with nothing changed",
        "s": round(time.perf_counter() - start, 1),
        "against": "≤ 20 s",
    }
    for chapter in sorted((ROOT / "book").glob("*.ipynb")):
        environment = os.environ | {"PLOTLY_RENDERER": "plotly_mimetype"}
        done = subprocess.run(
            [sys.executable, "-c", EXECUTE, str(chapter), str(chapter.parent)],
            check=True, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        seconds, kilobytes = done.stdout.split()
        yield {
            "name": f"chapter_{chapter.stem}",
            "what": f"chapter {chapter.stem} executed in a fresh kernel",
            "s": round(float(seconds), 1),
            "against": "≤ 120 s",
        }
        yield {
            "name": f"memory_{chapter.stem}",
            "what": f"chapter {chapter.stem}, the kernel's peak memory",
            "MB": round(int(kilobytes) / 1000),
            "against": "≤ 1000 MB",
        }
