"""Training and data: `fit` against its limit, sprites a second, the export to the page."""

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

from companion.datasets.sprites import draw_sprites, sample_factors
from companion.models import ConvVAE
from companion.recipes import negative_elbo
from companion.training import fit

BATCH = 128
STEPS = 40

EXPORT = """
import time, torch
from companion.models import ConvVAE
model = ConvVAE((3, 64, 64), 8)
start = time.perf_counter()
from companion.export import export_decoder
export_decoder(model.decoder, 8)
print(time.perf_counter() - start)
"""


def one_batch(model: nn.Module, images: Tensor, loss: Callable[..., Any]) -> Callable[[], None]:
    """The limit: forward, backward and step on one batch that is ready, lr = 0."""
    batch = images[:BATCH].float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, fused=True)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(model, batch, None)["loss"].backward()
            optimizer.step()

    return run


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int = 7) -> float:
    """Median of paired runs, alternating, so that a busy machine slows both."""
    slow()
    fast()
    ratios = []
    for _ in range(rounds):
        start = time.perf_counter()
        slow()
        middle = time.perf_counter()
        fast()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return round(statistics.median(ratios), 3)


def measure() -> Iterator[dict[str, Any]]:
    """What a reader waits for when a model is trained."""
    images = torch.randint(0, 256, (BATCH * STEPS, 1, 28, 28), dtype=torch.uint8)
    loss = negative_elbo(C=10.0)
    vae = ConvVAE((1, 28, 28), 16)
    yield {
        "name": "fit_vs_limit_vae",
        "what": "`fit`, a step of a VAE on 28×28, over the same step on one fixed batch",
        "ratio": ratio(
            lambda: fit(vae, images, loss, epochs=1, batch_size=BATCH, lr=0.0, progress=False),
            one_batch(vae, images, loss),
        ),
        "against": "≤ 1.05",
    }
    factors = sample_factors(4096, seed=0)
    draw_sprites(factors)
    start = time.perf_counter()
    draw_sprites(factors)
    yield {
        "name": "sprites_per_second",
        "what": "sprites drawn",
        "per_second": round(4096 / (time.perf_counter() - start)),
        "against": "thousands a second",
    }
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [sys.executable, "-c", EXPORT], check=True, capture_output=True, text=True,
                env=os.environ | {"COMPANION_CACHE_DIR": empty},
            )  # fmt: skip
        times.append(float(done.stdout.split()[-1]))
    yield {
        "name": "export",
        "what": "first export of a decoder to ONNX, imports included",
        "s": round(statistics.median(times), 1),
        "against": "≤ 10 s",
    }
