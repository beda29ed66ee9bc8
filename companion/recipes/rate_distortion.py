"""How much a small VAE's code carries, and how well it copies, over β and seeds (chapter 13).

A recorded run: `python -m companion.recipes.rate_distortion` makes `data/rate-distortion.json`
again, and adds what it lacks: a training takes half a minute to two on a fast core. Killed and
called again, it goes on with the next one.
"""

import json
import sys
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from companion.datasets import ImageSet, load_images
from companion.disentanglement import dci, factor_vae_score, mig, sap
from companion.models import ConvVAE
from companion.paths import data_dir
from companion.recipes.base import rounded
from companion.recipes.vaes import evaluate_vae
from companion.recipes.weights import versions
from companion.threads import limit_threads
from companion.training import fit, negative_elbo
from companion.training.devices import describe_device

SIDE = 32
"""Height and width of the images: the 64×64 sprites, four pixels averaged into one."""

MODEL: Mapping[str, Any] = {
    "image_shape": (3, SIDE, SIDE), "latent_dim": 10, "widths": (8, 16, 32), "hidden": 64
}  # fmt: skip
FITS: Mapping[str, Mapping[str, Any]] = {
    "5 epochs": {"epochs": 5, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
    "5 epochs, constant rate": {"epochs": 5, "batch_size": 32, "lr": 2e-3, "schedule": "constant"},
    "20 epochs": {"epochs": 20, "batch_size": 32, "lr": 2e-3, "schedule": "cosine"},
}
"""How a line is trained, by a name: the arguments of `fit`. Every line is trained in each way."""

C = 16.0
"""Weight of ‖x − x̂‖²: a Gaussian of σ = 0.18 a pixel, so an image's misfit weighs as in 64×64."""

TRAINED_ON, HELD_OUT = 16384, 2000
SEEDS = (0, 1, 2)
LINES: Mapping[str, Mapping[str, Any]] = {
    **{f"β = {beta}": {"beta": float(beta)} for beta in (1, 2, 4, 8, 16, 32, 64)},
    "β falling, 200 to 4": {"beta": 4.0, "first_beta": 200.0, "anneal": 0.75},
    "capacity rising to 16": {"beta": 100.0, "capacity": 16.0},
}
"""What is varied: the arguments of `negative_elbo` besides C, by the name of the line."""


class Run(NamedTuple):
    """One training: its line, the name of its `FITS`, its seed, and its figures on held-out images.

    `rate` is the mean KL and `distortion` C·‖x − x̂‖², both in nats an image; `kl_per_dim` has the
    rate of each latent; `explained` is the share of each latent's variance that each factor
    explains, and `separation` what follows from it; `scores` are the metrics of the latent means
    (all of `companion.disentanglement`; `dci` with a linear regressor, by its three letters).
    """

    line: str
    fit: str
    seed: int
    rate: float
    distortion: float
    kl_per_dim: list[float]
    explained: dict[str, list[float]]
    separation: float
    seconds: float
    scores: dict[str, float]


def images(split: str) -> ImageSet:
    """The sprites of the recorded run, uint8 N×3×32×32, with their factors."""
    size = TRAINED_ON if split == "train" else HELD_OUT
    large = load_images("sprites", split, size=size)
    small = torch.cat([F.avg_pool2d(part.float(), 2) for part in large.images.split(1024)])
    return ImageSet(large.name, split, small.round().to(torch.uint8), factors=large.factors)


def train(line: str, fitted: str, seed: int, data: ImageSet, held_out: ImageSet) -> Run:
    """One training of the sweep, from nothing."""
    torch.manual_seed(seed)
    model = ConvVAE(**MODEL)
    started = time.perf_counter()
    loss = negative_elbo(C, **LINES[line])
    fit(model, data, loss, seed=seed, progress=False, **FITS[fitted])
    seconds = time.perf_counter() - started
    figures = evaluate_vae(model.eval(), held_out, C=C)
    return Run(
        line,
        fitted,
        seed,
        rate=figures["kl"],
        distortion=figures["reconstruction"],
        seconds=round(seconds, 1),
        scores=scores(model, held_out),
        **{name: figures[name] for name in ("kl_per_dim", "explained", "separation")},
    )


def scores(model: ConvVAE, held_out: ImageSet) -> dict[str, float]:
    """Four metrics of the means μ of all held-out images."""
    with torch.no_grad():
        mu = torch.cat([model.encode(part)[0] for part in held_out.pixels().split(256)]).numpy()
    factors = held_out.factors or {}
    letters = dci(factors, mu)
    return {
        "MIG": mig(factors, mu),
        "SAP": sap(factors, mu),
        "D": letters.disentanglement,
        "C": letters.completeness,
        "I": letters.informativeness,
        "FactorVAE": factor_vae_score(factors, mu),
    }


def main(path: Path) -> None:
    """Train what is not in the file yet, and write it after every training."""
    limit_threads()
    runs = read(path) if path.exists() else []
    data, held_out = images("train"), images("test")
    for fitted, seed, line in product(FITS, SEEDS, LINES):
        if any((run.line, run.fit, run.seed) == (line, fitted, seed) for run in runs):
            continue
        run = train(line, fitted, seed, data, held_out)
        runs.append(run)
        write(runs, path)
        print(
            f"{line}, {fitted}, seed {seed}: {run.rate:.1f} + {run.distortion:.1f} nats, "
            f"separation {run.separation:.2f}, {run.seconds:.0f} s",
            flush=True,
        )


def write(runs: list[Run], path: Path) -> None:
    """Store the runs with a card that says what they are and how they were made."""
    card = {
        "description": "Small VAEs on 32×32 sprites, over β and seeds: rate, distortion, latents.",
        "command": "python -m companion.recipes.rate_distortion",
        "data": f"sprites, averaged to {SIDE}×{SIDE}: {TRAINED_ON:,} drawn for training, "
        f"{HELD_OUT:,} others held out",
        "settings": {"model": MODEL, "loss": {"C": C}, "fits": FITS, "lines": LINES},
        "hardware": describe_device(torch.device("cpu")),
        "versions": versions(),
    }
    rows = ",\n ".join(json.dumps(rounded(run._asdict()), ensure_ascii=False) for run in runs)
    text = json.dumps(card, indent=1, ensure_ascii=False, default=dict)
    path.write_text(f'{text[:-2]},\n "runs": [\n {rows}\n ]\n}}\n', "utf-8")


def read(path: Path | None = None) -> list[Run]:
    """The recorded runs."""
    path = data_dir() / "rate-distortion.json" if path is None else path
    return [Run(**run) for run in json.loads(path.read_text("utf-8"))["runs"]]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else data_dir() / "rate-distortion.json")
