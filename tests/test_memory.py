"""What a training does with the memory that its steps free."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from companion.devices import kept_memory

# Ten times a step that asks for, writes to and frees 6 blocks of 24 MB: pages that the system gave.
PAGES = """
import resource, torch
from companion.devices import kept_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.ones(6 * 2**20) for _ in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    pages()
    print(pages())
"""


def pages() -> int:
    done = subprocess.run([sys.executable, "-c", PAGES], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again() -> None:
    assert pages() < 500  # of 350,000, 4 kB each


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_goes_back_afterwards() -> None:
    def in_use() -> float:
        held = int(Path("/proc/self/statm").read_text().split()[1])
        return held * resource.getpagesize() / 2**20

    before = in_use()
    with kept_memory():
        tensors = [torch.ones(6 * 2**20) for _ in range(8)]
        assert in_use() > before + 150
        del tensors
        assert in_use() > before + 150
    assert in_use() < before + 50


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    with kept_memory():
        pass
