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
from torch import Tensor, nn

from benchmarks.loops import STEPS, ratios
from companion import recipes
from companion.datasets import chairs, is_here, sprites
from companion.models import CifarResNet
from companion.training import fit

Line = dict[str, Any]
CIFAR = "resnet20-cifar10"
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
    gpu = torch.cuda.is_available()
    short = 1000 if gpu else 100  # enough for what a call of `fit` does once to weigh little
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
            "against": "≥ 5" if gpu else "≥ 1.6",
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


def to_accuracy(name: str, what: str, model: nn.Module, per_cent: float, **settings: Any) -> Line:
    """Train on CIFAR-10, otherwise as the recipe does, until so many per cent are right; time that.

    The per cent are of the test images, one view each.
    """
    recipe = recipes.get(CIFAR)
    history = fit(
        model, recipe.train_data(), recipe.loss(**recipe.settings["loss"]), progress=False,
        validation=recipe.test_data(), **recipe.objects(), **{**recipe.settings["fit"], **settings},
    )  # fmt: skip
    errors = history.epochs["validation_error"]
    reached = next((k for k, e in enumerate(errors, 1) if e <= 100 - per_cent), None)
    end = f"{per_cent:g} %" if reached else f"{100 - errors[-1]:.1f} % ({per_cent:g} % not reached)"
    return {
        "name": name,
        "what": f"{what} on CIFAR-10, {history.device}: time to {end}",
        "s": round(sum(history.seconds[:reached]), 1),
        "against": f"{per_cent:g} % reached",
    }


def cifar() -> Iterator[Line]:
    """On a GPU, if CIFAR-10 is here: how long until a network is good."""
    if not (torch.cuda.is_available() and is_here("cifar10")):
        return
    recipe = recipes.get(CIFAR)
    yield to_accuracy("resnet20_to_91", "ResNet-20", recipe.build(), 91.0)
    # DAWNBench's goal for CIFAR-10 (Coleman et al. 2017), by a net wide enough for it.
    torch.manual_seed(0)
    wide = CifarResNet(depth=20, width=4, statistics=recipe.settings["model"]["statistics"])
    yield to_accuracy(
        "wide_resnet20_to_94", "ResNet-20, four times as wide,", wide, 94.0,
        epochs=24, lr=0.4, batch_size=512,
    )  # fmt: skip


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
