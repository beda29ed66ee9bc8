"""`companion doctor`: what this machine has for the book, and what would make it faster."""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from companion import recipes
from companion.datasets import DATASETS, is_here
from companion.datasets.downloads import downloads_dir
from companion.models import DigitCNN
from companion.paths import cache_dir, data_dir
from companion.threads import allowed_processors, limit_threads
from companion.training import fit
from companion.training.devices import best_precision, computes_in_bf16, describe_device
from companion.training.progress import duration
from companion.widgets.base import STATIC

_FLOORS = {"torch": (2, 10)}  # CVE-2025-32434 and CVE-2026-24747 concern older ones


class Finding(NamedTuple):
    """One line of the report: what was looked at, what is there, and what would be better."""

    what: str
    found: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Look at this machine, one finding after the other; the last ones take seconds."""
    old = tuple(int(part) for part in torch.__version__.split(".")[:2]) < _FLOORS["torch"]
    yield Finding(
        "versions",
        f"Python {platform.python_version()}, torch {torch.__version__}",
        "take torch 2.10 or newer: older ones have known security holes" if old else "",
    )
    yield from _devices()
    yield Finding("memory", f"{_memory() / 1e9:.0f} GB" if _memory() else "unknown")
    yield _disk()
    yield _cache()
    yield from _shipped()
    here = [name for name in DATASETS if is_here(name)]
    missing = [name for name in DATASETS if name not in here]
    yield Finding(
        "data sets",
        f"{', '.join(here)} are here",
        f"`companion data NAME` fetches {', '.join(missing)}" if missing else "",
    )
    built = (STATIC / "engine.js").exists()
    yield Finding(
        "live widgets",
        "their front end is built" if built else "their front end is not built",
        "" if built else "run `python -m companion.site.frontend` in the clone of the book",
    )
    yield _speed()


def _devices() -> Iterator[Finding]:
    limit_threads()
    threads, cores, allowed = torch.get_num_threads(), os.cpu_count() or 1, allowed_processors()
    share = f", of which this process may use {allowed}" if allowed < cores else ""
    advice = ""
    if threads > allowed:
        advice = f"{threads} threads share {allowed}: slow; unset OMP_NUM_THREADS, or lower it"
    elif threads < allowed:
        advice = f"{threads} of {allowed} cores are used: set OMP_NUM_THREADS"
    yield Finding(
        "processor", f"{describe_device('cpu')} of {cores} cores{share}; trains in fp32", advice
    )
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        major, minor = torch.cuda.get_device_capability(index)
        yield Finding(
            "GPU",
            f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, compute capability "
            f"{major}.{minor}: trains in {best_precision('cuda', index)}",
        )
    if torch.backends.mps.is_available():
        yield Finding("GPU", "Apple's (mps); trains in fp32")
    elif not torch.cuda.is_available():
        built = torch.version.cuda is not None
        yield Finding(
            "GPU",
            "none that PyTorch can use",
            "this PyTorch is built for CUDA: is there a GPU, and its driver?"
            if built
            else "on Colab: Runtime → Change runtime type → GPU, and each training takes a "
            "fraction of the time",
        )
    if "GOMP_SPINCOUNT" not in os.environ and cores > 1:
        yield Finding(
            "threads",
            "they spin for long while they wait",
            "on a machine that does other things too, GOMP_SPINCOUNT=10000 speeds small models",
        )


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 0


def _disk() -> Finding:
    place = downloads_dir()
    existing = next(p for p in (place, *place.parents) if os.path.exists(p))  # noqa: PTH110
    free = shutil.disk_usage(existing).free
    return Finding(
        "disk",
        f"{free / 1e9:.1f} GB free for data sets in {place}",
        "CIFAR-10 needs 0.4 GB: set COMPANION_DOWNLOADS to a roomier folder" if free < 1e9 else "",
    )


def _cache() -> Finding:
    place = cache_dir()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))  # a full disk takes the file, but nothing in it
            file.flush()
    except OSError as error:
        return Finding(
            "cache",
            f"{place} can't be written ({error.strerror})",
            "set COMPANION_CACHE_DIR to a folder that can be: exported models and trained weights "
            "are kept there",
        )
    return Finding("cache", f"exported models and trained weights are kept in {place}")


def _shipped() -> Iterator[Finding]:
    ready = [name for name in recipes.names() if recipes.find(name)]
    missing = [name for name in recipes.names() if name not in ready]
    yield Finding(
        "models",
        f"{len(ready)} of {len(recipes.names())} are here, in {data_dir()}",
        f"`companion train NAME` makes {', '.join(missing)}" if missing else "",
    )


def _speed() -> Finding:
    """Some seconds of training: what this machine does, not what it says."""
    images = torch.randint(0, 256, (1280, 1, 28, 28), dtype=torch.uint8)
    model = DigitCNN()

    def loss(model: nn.Module, images: torch.Tensor, labels: None) -> torch.Tensor:
        return model(images).square().mean()

    def best(**options: Any) -> float:
        """Of three times two epochs, in seconds."""
        times = []
        for _ in range(3):
            started = time.perf_counter()
            fit(model, images, loss, epochs=2, progress=False, **options)
            times.append(time.perf_counter() - started)
        return min(times)

    times = {layout: best(channels_last=layout) for layout in (False, True)}
    layout = min(times, key=lambda key: times[key])
    advice = ""
    on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    if on_cpu and computes_in_bf16():
        gain = times[layout] / best(channels_last=layout, device="cpu", precision="bf16")
        if gain > 1.1:
            advice = f"with `--precision bf16`, {gain:.1f} times as fast"
    per_epoch = times[layout] / 2 * 60_000 / 1280
    return Finding(
        "training",
        f"an epoch of the small CNN on MNIST takes about {duration(per_epoch)}, "
        f"{'channels_last' if layout else 'channels first'} being "
        f"{max(times.values()) / min(times.values()):.2f} times as fast as the other layout",
        advice,
    )


def report() -> str:
    """The findings as text, advice below what it is about."""
    lines = []
    for finding in examine():
        lines.append(f"{finding.what + ':':<14}{finding.found}")
        if finding.advice:
            lines.append(f"{'':<14}→ {finding.advice}")
    return "\n".join(lines)
