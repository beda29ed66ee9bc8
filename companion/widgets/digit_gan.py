"""A DCGAN on small images, trained in the page (chapter 14)."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor
from torch.nn.functional import interpolate

from companion.export.tensors import keep_tensors
from companion.export.training import export_training
from companion.models.gan import DCGAN, gan_loss
from companion.widgets import page_training
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise
from companion.widgets.traits import Bounded, Seed, whole_number

SHOWN = 24  # codes whose images are followed, and real images
BATCH = 64
BETAS = 0.5, 0.999
RATE = 1e-3
LEAST = 16  # pixels along a side
EVERY = 20  # steps between two points of the curves


class DigitGAN(LiveWidget):
    """A small DCGAN learns to draw from images, in the page, with PyTorch's own step.

    The networks and the loss are `companion.models.DCGAN` and `gan_loss`: both players move in each
    step, by Adam (β₁ = 0.5), on 64 real and 64 generated images. First matrices are Glorot's
    normal. Shown are images of 24 codes that stay the same, real ones, and both losses.

    Args:
        data: the images to learn from: an ImageSet or a tensor N×1×H×W, at least 64, uint8 or
            floats in [0, 1], of sides that a DCGAN can halve (16×16, 28×28). Smaller ones are
            enlarged to 16 pixels (`enlarged`).
        width: channels next to the image, 4 to 32.
        latent_dim: length of a code, 1 to 64.
        lr: learning rate, 10⁻⁵ to 0.01.
        seed: of first weights, codes in training and batches, 0 to 2³² − 1.
        steps: of the picture at rest, 0 to 5,000.
        title: heading of the widget.

    `lr` and `seed` may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; one sentence says what was expected.

    Source: chapter 14; Radford et al. (2016).
    """

    module = "digit_gan"
    lazy = True

    training = traitlets.Dict().tag(sync=True)
    real = traitlets.Dict().tag(sync=True)
    rest = traitlets.Dict().tag(sync=True)
    lr = Bounded(1e-5, 0.01, default=RATE).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: Any,
        *,
        width: int = 16,
        latent_dim: int = 16,
        lr: float = RATE,
        seed: int = 0,
        steps: int = 300,
        title: str = "A DCGAN learns to write",
    ) -> None:
        pixels = page_training.images_of(data, "data")
        if len(pixels) < BATCH:
            raise ValueError(f"data must be at least {BATCH} images, not {len(pixels)}")
        pixels = enlarged(pixels)
        whole_number("width", width, 4, 32)
        whole_number("latent_dim", latent_dim, 1, 64)
        steps = whole_number("steps", steps, 0, 5000)
        self.set_trait("lr", lr)
        self.set_trait("seed", seed)
        shape = tuple(pixels.shape[1:])
        model = DCGAN(shape, latent_dim, width)
        drawn = page_training.draw_weights(model, seed)
        codes = noise(0, SHOWN * latent_dim).float().view(SHOWN, latent_dim)
        files = keep_tensors({"images": pixels}), keep_tensors({"codes": codes})
        adam = partial(torch.optim.Adam, betas=BETAS)
        exported = export_training(
            model, gan_loss, pixels[:BATCH], optimizer=adam, lr=lr,
            functions={"view": (_view, codes)},
        )  # fmt: skip
        given = {"view": {"z": ["codes", SHOWN]}}
        training = page_training.describe([exported], files[0], files[1], given)
        training["drawn"] = page_training.places(drawn, exported)
        self._exported = exported
        curve = list(_played(model, pixels, exported.step, steps, adam, lr, seed))
        with torch.no_grad():
            seen = _view(model.eval(), codes)["samples"]
        super().__init__(
            [*exported.files, *(file.path for file in files)],
            training=training,
            real={
                "shape": [SHOWN, *shape],
                "pixels": page_training.packed(page_training.grey(pixels[:SHOWN])),
            },
            rest={
                "lr": lr,
                "seed": seed,
                "steps": steps,
                "curve": curve,
                "samples": page_training.packed(page_training.grey(seen)),
            },
            lr=lr,
            seed=seed,
            title=str(title),
        )
        self._what = f"{len(pixels):,} images of {shape[1]}×{shape[2]} pixels"

    @property
    def step(self) -> Any:
        """The step that the page takes, as an exported graph."""
        return self._exported.step

    def describe(self) -> str:
        """One line: what it learns from, and how long the picture at rest was trained."""
        return f"DigitGAN: {self._what}, {self.rest['steps']} steps"


def enlarged(images: Tensor) -> Tensor:
    """Square images N×1×H×W of less than 16 pixels as uint8 of 16×16 (bicubic), others as given.

    At 8×8 the networks have one convolution each: the discriminator can't tell drawings that nobody
    could read from real digits.
    """
    if images.shape[2] != images.shape[3] or images.shape[2] >= LEAST:
        return images
    larger = interpolate(page_training.floats(images), size=LEAST, mode="bicubic")
    return page_training.grey(larger)


def _view(model: Any, z: Tensor) -> dict[str, Tensor]:
    return {"samples": model.generator(z)}


def _played(
    model: DCGAN, pixels: Tensor, step: Any, steps: int, adam: Any, lr: float, seed: int
) -> Iterator[list[float]]:
    """Train as the page would; step, loss of the discriminator and of the generator, now and then:
    means over the steps between."""
    parts: list[tuple[float, float]] = []

    def loss(model: Any, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        entries = gan_loss(model, images, labels)
        parts.append((entries["discriminator"].item(), entries["generator"].item()))
        return entries

    model.train()
    run = page_training.train(
        model, loss, pixels, step, steps, optimizer=adam(model.parameters(), lr=lr),
        batch_size=BATCH, seed=seed, inputs={},
    )  # fmt: skip
    for done, _ in run:
        if done % EVERY == 0:
            yield [done, *(round(v, 4) for v in np.mean(parts, axis=0).tolist())]
            parts.clear()
