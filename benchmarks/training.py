"""Training and data: `fit` against other loops, data sets a second, the export to the page."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks import cifar as goals
from benchmarks import gpu_loops
from benchmarks.loops import STEPS, ratios
from companion.datasets import chairs, is_here, load_images, sprites

Line = dict[str, Any]
MODELS = {"cnn": "a CNN", "vae": "a VAE"}

EXPORT = """
import time, torch
from companion.models import ConvVAE
model = ConvVAE((3, 64, 64), 8)
start = time.perf_counter()
from companion.export.decoder import export_decoder
export_decoder(model.decoder, 8)
print(time.perf_counter() - start)
"""


def loops() -> Iterator[Line]:
    """`fit` over its limit, and other loops over `fit`."""
    if torch.cuda.is_available():  # there, another bench tells the truth in less time
        yield from gpu_loops.measure()
        return
    short = 100  # steps: enough for what a call of `fit` does once to weigh little
    for name, what in MODELS.items():
        found = ratios(name, {"limit": short, "fit": short}, rounds=9)
        yield {
            "name": f"fit_vs_limit_{name}",
            "what": f"`fit`, a step of {what} on 28×28, over the same step on one fixed batch",
            "ratio": found["fit"],
            "against": "≤ 1.05",
        }
    for name, what in MODELS.items():
        # `fit` takes an epoch, with whatever it does first; the others have nothing to do first.
        found = ratios(name, {"fit": STEPS, "student": 60, "fabric": 60}, rounds=3)
        yield {
            "name": f"student_vs_fit_{name}",
            "what": f"a tutorial's loop (PIL, `DataLoader`, `.item()`) for {what}, over `fit`",
            "ratio": found["student"],
            "against": "≥ 1.6",
        }
        yield {
            "name": f"fabric_loop_vs_fit_{name}",
            "what": f"a plain lightning-fabric loop, tensors in memory, for {what}, over `fit`",
            "ratio": found["fabric"],
            "against": "—",
        }


def drawn(draw: Callable[[Any], Tensor], factors: dict[str, Tensor]) -> int:
    """Images drawn in a second, once warm."""
    draw(factors)
    start = time.perf_counter()
    images = draw(factors)
    return round(len(images) / (time.perf_counter() - start))


def cifar() -> Iterator[Line]:
    """On a GPU, if CIFAR-10 is here: how long until a network is good."""
    if torch.cuda.is_available() and is_here("cifar10"):
        test = load_images("cifar10", "test")
        yield from goals.measure(load_images("cifar10", "train"), test, seconds=240.0)


def export() -> Line:
    """The way of a decoder to the page, from nothing."""
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [sys.executable, "-c", EXPORT], check=True, capture_output=True, text=True,
                env=os.environ | {"COMPANION_CACHE_DIR": empty},
            )  # fmt: skip
        times.append(float(done.stdout.split()[-1]))
    return {
        "name": "export",
        "what": "first export of a decoder to ONNX, imports included",
        "s": round(statistics.median(times), 1),
        "against": "≤ 10 s",
    }


def measure() -> Iterator[Line]:
    """What a reader waits for when a model is trained."""
    yield from loops()
    yield from cifar()
    yield {
        "name": "sprites_per_second",
        "what": "sprites drawn",
        "per_second": drawn(sprites.draw_sprites, sprites.sample_factors(4096, seed=0)),
        "against": "thousands a second",
    }
    yield {
        "name": "chairs_per_second",
        "what": "chairs drawn",
        "per_second": drawn(chairs.draw_chairs, chairs.sample_factors(256, seed=0)),
        "against": "tens a second",
    }
    yield export()
