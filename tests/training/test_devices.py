"""What a training does with the memory that its steps free."""

import platform
import subprocess
import sys

import pytest

from companion.training.devices import keep_freed_memory

# Ten times a step that asks for, writes to and frees 6 blocks of 24 MB: pages that the system gave.
PAGES = """
import resource, torch
from companion.training.devices import keep_freed_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.ones(6 * 2**20) for _ in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with keep_freed_memory():
    pages()
    print(pages())
"""

# The process's memory in MB: before, with 8 blocks of 24 MB, with these freed, and after the block.
HELD = """
import resource, torch
from pathlib import Path
from companion.training.devices import keep_freed_memory

def tell():
    held = int(Path("/proc/self/statm").read_text().split()[1])
    print(held * resource.getpagesize() / 2**20)

torch.ones(1)
tell()
with keep_freed_memory():
    tensors = [torch.ones(6 * 2**20) for _ in range(8)]
    tell()
    del tensors
    tell()
tell()
"""


def pages() -> int:
    done = subprocess.run([sys.executable, "-c", PAGES], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again() -> None:
    assert pages() < 500  # of 350,000, 4 kB each


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_goes_back_afterwards() -> None:
    # In a process of its own: the heap of this one has room that other tests have left.
    done = subprocess.run([sys.executable, "-c", HELD], check=True, capture_output=True, text=True)
    before, full, freed, after = map(float, done.stdout.split())
    assert full > before + 150
    assert freed > before + 150
    assert after < before + 50


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    with keep_freed_memory():
        pass
