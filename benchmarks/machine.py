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


def build() -> None:
    """What `make book` does once everything is set up."""
    command = [sys.executable, "-m", "companion.site.build"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)


def rebuilt_after_edit(chapter: str) -> float:
    """Seconds to build the book again when a chapter has a new cell; undone at the end."""
    source = ROOT / "book" / f"{chapter}.md"
    text = source.read_bytes()
    try:
        # A number that no earlier run had, or its result would come from the cache.
        cell = f"\n```{{code-cell}} ipython3\n{time.time_ns()}\n```\n"
        source.write_bytes(text + cell.encode())
        start = time.perf_counter()
        build()
        return time.perf_counter() - start
    finally:
        source.write_bytes(text)
        build()


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
    build()
    yield {
        "name": "book_again",
        "what": "`make book` with nothing changed",
        "s": round(time.perf_counter() - start, 1),
        "against": "≤ 20 s",
    }
    seconds_of, memory_of = {}, {}
    for chapter in sorted((ROOT / "book").glob("*.ipynb")):
        environment = os.environ | {"PLOTLY_RENDERER": "plotly_mimetype"}
        done = subprocess.run(
            [sys.executable, "-c", EXECUTE, str(chapter), str(chapter.parent)],
            check=True, capture_output=True, text=True, env=environment,
        )  # fmt: skip
        seconds, kilobytes = map(float, done.stdout.split())
        seconds_of[chapter.stem], memory_of[chapter.stem] = seconds, kilobytes / 1000
        yield {
            "name": f"chapter_{chapter.stem}",
            "what": f"chapter {chapter.stem} executed in a fresh kernel",
            "s": round(seconds, 1),
            "against": "≤ 120 s",
            "detail": True,
        }
        yield {
            "name": f"memory_{chapter.stem}",
            "what": f"chapter {chapter.stem}, the kernel's peak memory",
            "MB": round(kilobytes / 1000),
            "against": "≤ 1000 MB",
            "detail": True,
        }
    slowest = max(seconds_of, key=lambda name: seconds_of[name])
    largest = max(memory_of, key=lambda name: memory_of[name])
    yield {
        "name": "chapter_slowest",
        "what": f"slowest chapter ({slowest}) executed in a fresh kernel",
        "s": round(seconds_of[slowest], 1),
        "against": "≤ 120 s",
    }
    yield {
        "name": "memory_largest",
        "what": f"largest peak memory of a chapter's kernel ({largest})",
        "MB": round(memory_of[largest]),
        "against": "≤ 1000 MB",
    }
    yield {
        "name": "chapter_edited",
        "what": f"`make book` after an edit to a code cell of {slowest}",
        "s": round(rebuilt_after_edit(slowest), 1),
        "against": "≤ 60 s",
    }
