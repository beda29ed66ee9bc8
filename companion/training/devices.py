"""Where a training runs: device, number format, processes, memory, random generators.

lightning-fabric does the work; here is what it is asked for.
"""

import ctypes
import logging
import os
import platform
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

# Fabric announces the precision on stderr, which would stay below the cell; `History` has it.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

# The names of these settings, and the largest values, in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _LARGEST_BLOCK = -1, -3, 32 * 2**20

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def open_fabric(device: str | torch.device = "auto", precision: str = "auto") -> tuple[Fabric, str]:
    """Fabric for the device, and the precision that "auto" became.

    "auto" takes a GPU if there is one, and on it bf16 from compute capability 8.0 on and fp16 (with
    a loss scaler) below that; fp32 everywhere else. Started by `torchrun` with several processes,
    each takes its own GPU, or its share of the CPU, and Fabric keeps their gradients together.

    Raises ValueError for a device or precision that does not exist, or not here. Warns of bf16 on a
    processor that has no instructions for it.
    """
    kind, _, index = str(device).partition(":")
    if kind == "auto":
        kind = next((k for k in ("cuda", "mps") if _available(k)), "cpu")
    elif kind not in ("cpu", "cuda", "mps") or not (index.isdecimal() or not index):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got {device!r}")
    if not _available(kind, int(index or 0)):
        raise ValueError(f"device {str(device)!r} was asked for, but PyTorch finds none here")
    if precision == "auto":
        precision = best_precision(kind, int(index or 0))
    if precision not in PRECISIONS:
        options = ", ".join(PRECISIONS)
        raise ValueError(f"precision must be one of 'auto', {options}, got {precision!r}")
    if precision == "fp16" and kind != "cuda":
        raise ValueError(f"fp16 needs a CUDA GPU; on {kind} ask for 'bf16' or 'fp32'")
    if precision == "bf16" and kind == "cpu" and not computes_in_bf16():
        warnings.warn(
            "this processor only imitates bf16 (it has no instructions for it): fp32 is many "
            "times faster",
            stacklevel=3,
        )
    settings: dict[str, Any] = {"accelerator": kind, "precision": PRECISIONS[precision]}
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if processes == 1:
        settings["devices"] = 1 if kind == "cpu" else [int(index or 0)]
        return Fabric(**settings), precision
    if index:
        raise ValueError(f"of several processes each takes its own {kind}, not all {device!r}")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(**settings, strategy="ddp", devices=here, num_nodes=processes // here)
    fabric.launch()
    return fabric, precision


def best_precision(kind: str, index: int = 0) -> str:
    """What "auto" means on this kind of device: "fp32", "bf16" or "fp16"."""
    if kind != "cuda":
        return "fp32"
    # is_bf16_supported() says yes to a T4 too, which only emulates it.
    return "bf16" if torch.cuda.get_device_capability(index) >= (8, 0) else "fp16"


def computes_in_bf16() -> bool:
    """Whether this processor has instructions for bf16.

    Without them it still computes, but a VAE on a Zen 3 took 14 times as long as in fp32.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not know
        return True
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def describe_device(device: str | torch.device) -> str:
    """The name of a processor or GPU, for a record: 'Tesla T4', 'AMD EPYC (2 threads)'."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    details = Path("/proc/cpuinfo")  # on Linux, where `platform` knows no more than "x86_64"
    if details.exists():
        lines = details.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(
            (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), name
        )
    threads = torch.get_num_threads()
    return (
        f"{name} GPU" if device.type == "mps" else f"{name} ({threads} thread{'s' * (threads > 1)})"
    )


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Within the block, memory that is freed stays with this process, ready for the next step.

    A step frees its activations, and the next one asks for as much again. Linux's C library gives
    blocks of megabytes back to the system in between, which hands them out as new pages, filled
    with zeros: 10 to 20 % of a small network's step on a CPU. After the block, what is free goes
    back. Nothing happens where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_BLOCK)  # where glibc itself goes no further
        libc.malloc_trim(0)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed PyTorch's global generators: the CPU's and the device's."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's global generators seeded within the block, and as before after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_torch(seed, device)
        yield


@contextmanager
def seeded_everywhere(seed: int) -> Iterator[None]:
    """As `seeded` on the CPU, with the global generators of Python and NumPy as well."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with seeded(seed, torch.device("cpu")):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def on_device(model: nn.Module, loss: object, device: torch.device) -> Iterator[None]:
    """Model, and loss if it is a module, on the device within the block, and back after it.

    The model comes back in evaluation mode, its weights contiguous.
    """
    modules = [model, loss] if isinstance(loss, nn.Module) else [model]
    homes = [next((p.device for p in (*m.parameters(), *m.buffers())), device) for m in modules]
    try:
        for module in modules:
            module.to(device)
        yield
    finally:
        for module, home in zip(modules, homes, strict=True):
            module.to(home)
        model.eval()
        weights_to_format(model, torch.contiguous_format)


def weights_to_format(model: nn.Module, layout: torch.memory_format) -> None:
    """Lay out the weights of convolutions in this memory format."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = to_memory_format(parameter.data, layout)


def to_memory_format(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    """The tensor, N×C×H×W, in this memory format, with the strides that belong to it."""
    # With one channel, both formats have the numbers in the same places, and `contiguous` changes
    # nothing; but convolutions go by the strides, and only `to` sets those.
    return tensor.contiguous(memory_format=layout).to(memory_format=layout)


@contextmanager
def compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """The model's calls go through torch.compile within the block, if that is wanted."""
    if not wanted:
        yield
        return
    on_gpu = next(model.parameters()).device.type == "cuda"
    model.compile(mode="reduce-overhead" if on_gpu else None)
    try:
        yield
    finally:
        model._compiled_call_impl = None


def _available(kind: str, index: int = 0) -> bool:
    if kind == "cuda":
        return index < torch.cuda.device_count()
    return index == 0 and (kind == "cpu" or torch.backends.mps.is_available())
