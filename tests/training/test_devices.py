"""Which device and number format a training takes, and what it does with memory that is freed."""

import platform
import subprocess
import sys
import warnings

import pytest
import torch

from companion.training import devices
from companion.training.devices import keep_freed_memory, open_fabric

# In a process of its own, for the heap of this one has room that other tests have left. Its memory
# in MB: before, with 8 blocks of 24 MB, with these freed, and after the block; and how many pages
# the system gave in ten times a step that asks for, writes to and frees 6 blocks.
MEMORY = """
import resource, torch
from pathlib import Path
from companion.training.devices import keep_freed_memory

def held():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [torch.ones(6 * 2**20) for _ in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.ones(1)
found = [held()]
with keep_freed_memory():
    tensors = [torch.ones(6 * 2**20) for _ in range(8)]
    found.append(held())
    del tensors
    found.append(held())
    pages()
    given = pages()
print(*found, held(), given)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_used_again_and_goes_back_afterwards() -> None:
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, full, freed, after, pages = map(float, done.stdout.split())
    assert full > before + 150
    assert freed > before + 150
    assert after < before + 50
    assert pages < 500  # of 350,000, 4 kB each


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    with keep_freed_memory():
        pass


def test_a_processor_that_imitates_bf16_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.warns(UserWarning, match="fp32 is many times faster"):
        open_fabric("cpu", "bf16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_fabric("cpu", "auto")
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
        open_fabric("cpu", "bf16")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "16-mixed"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")],
)
def test_precision_follows_the_gpu(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(devices, "Fabric", lambda **settings: settings)
    asked, _ = open_fabric("cuda:1", "auto")
    assert asked == {"accelerator": "cuda", "devices": [1], "precision": expected}
    first, _ = open_fabric("auto", "fp32")
    assert first["devices"] == [0]  # type: ignore[index]
    cpu, _ = open_fabric("cpu", "auto")
    assert cpu["precision"] == "32-true"  # type: ignore[index]
