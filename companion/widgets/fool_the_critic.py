"""A GAN's latent space to walk through, and its critic, who judges what the reader draws."""

import gzip
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.export.model import TOLERANCE, export_model
from companion.figures import data_url, encode_image, to_uint8
from companion.models.gan import DCGAN
from companion.widgets.base import LiveWidget
from companion.widgets.noise import branch, noise
from companion.widgets.traits import Bounded, BoundedInt, Seed

JUDGED = 1000  # samples that a logit is compared with
STEPS = 40  # between the least and the largest of them: a dot in the page is 2.5 %
FRAMES = 9  # of the walk
SAMPLES = 12
TILES = 10
MOST = 10_000  # codes of a seed that a reader can ask for


class FoolTheCritic(LiveWidget):
    """A walk between two codes of a GAN, more of its samples, and its critic on one's own drawing.

    The critic is the model's discriminator with batch norm's statistics from samples
    (`DCGAN.critic`): it judges one image at a time. What its logit means, its rank says: higher
    than which share of real images, and of generated ones.

    Args:
        model: a DCGAN of square grey images. It is exported as it is now.
        images: real ones to judge and compare with, uint8 or floats in [0, 1], N×1×H×W, or an
            ImageSet; the first ten become tiles.
        real: the critic's logits for real images, at least two, to rank among them; those for
            `images` if not given.
        real_name: what these are called.
        captions: of the tiles; "0", "1", … if not given.
        seed: of all codes, 0 to 2³² − 1.
        tolerance: how much an output may change by keeping weights in 16 bits
            (`companion.export.export_model`).
        title: heading of the widget.

    Attributes:
        start, end: numbers of the codes between which the walk goes, 0 to 9,999.
        t: where it is, 0 to 1.
        page: which samples are shown, 0 to 9,999.

    All may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; the message says which.

    Source: chapter 14; Radford et al. (2016).
    """

    module = "fool_the_critic"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    side = traitlets.Int().tag(sync=True)
    latent_dim = traitlets.Int().tag(sync=True)
    seed = Seed().tag(sync=True)
    start = BoundedInt(0, MOST - 1).tag(sync=True)
    end = BoundedInt(0, MOST - 1, default=1).tag(sync=True)
    t = Bounded(0, 1).tag(sync=True)
    page = BoundedInt(0, MOST - 1).tag(sync=True)
    ranks = traitlets.Dict().tag(sync=True)
    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    first_logit = traitlets.Float().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: DCGAN,
        images: Any,
        real: Sequence[float] | Tensor | None = None,
        *,
        real_name: str = "real images",
        captions: Sequence[str] | None = None,
        seed: int = 0,
        tolerance: float = TOLERANCE,
        title: str = "Walk, and fool the critic",
    ) -> None:
        if not isinstance(model, DCGAN):
            raise TypeError(f"model must be a DCGAN, not {type(model).__name__}")
        channels, height, width = model.image_shape
        if channels != 1 or height != width:
            raise ValueError(f"model must make square grey images, not {model.image_shape}")
        self.set_trait("seed", seed)
        pixels = _images(images, model.image_shape)
        names = list(map(str, range(len(pixels)) if captions is None else captions))
        if len(names) < min(TILES, len(pixels)):
            raise ValueError(f"expected {min(TILES, len(pixels))} captions, got {len(names)}")
        generator = torch.Generator().manual_seed(seed)
        arena = _Arena(model, model.critic(JUDGED, generator))
        exported = export_model(
            arena, {"z": torch.zeros(1, model.latent_dim), "image": pixels[:1]}, tolerance=tolerance
        )
        self._exported, self._dim = exported, model.latent_dim
        with torch.no_grad():
            samples = model.eval().sample(JUDGED, generator)
        judged = self.judge(pixels)
        logits = judged if real is None else torch.as_tensor(real).double().flatten()
        if len(logits) < 2 or not logits.isfinite().all():
            raise ValueError("real must be at least two finite logits")
        super().__init__(
            models=[exported.path],
            network={
                "model": exported.sha256,
                # What a page loads: the same as companion.site.frontend.model_scripts packs.
                "bytes": len(gzip.compress(exported.path.read_bytes(), 9, mtime=0)),
            },
            side=height,
            latent_dim=model.latent_dim,
            seed=seed,
            ranks={
                "name": str(real_name),
                "real": _quantiles(logits),
                "generated": _quantiles(self.judge(samples)),
            },
            examples=[
                {"picture": data_url(encode_image(picture)), "caption": name, "logit": logit}
                for picture, name, logit in zip(
                    to_uint8(pixels[:TILES]), names, judged.tolist(), strict=False
                )
            ],
            title=str(title),
        )
        self.first_logit = self.sample_logit

    def code(self, number: int) -> Tensor:
        """Code `number` of the seed, from N(0, I), latent_dim."""
        return noise(branch(self.seed, 0, number), self._dim).float()

    def walk(self, t: float) -> Tensor:
        """The code at t of the walk, from the code `start` to the code `end`.

        Its direction goes along the arc and its length evenly from the one's to the other's: a
        straight way would lead through codes shorter than N(0, I) has them.
        """
        codes = [self.code(number).double() for number in (self.start, self.end)]
        lengths = [float(code.norm()) for code in codes]
        first, second = (code / length for code, length in zip(codes, lengths, strict=True))
        angle = math.acos(max(-1.0, min(1.0, float(first @ second))))
        if angle < 1e-6:
            return codes[0].float()
        direction = math.sin((1 - t) * angle) * first + math.sin(t * angle) * second
        length = (1 - t) * lengths[0] + t * lengths[1]
        return (length / math.sin(angle) * direction).float()

    def judge(self, images: Tensor) -> Tensor:
        """The critic's logits for images N×1×H×W in [0, 1], N."""
        codes = torch.zeros(len(images), self._dim)
        return self._exported(codes, images.float())["of_image"]

    @property
    def sample_logit(self) -> float:
        """The critic's logit for the image at `t`."""
        return float(self._made(self.walk(self.t)[None])["of_sample"])

    def rank(self, logit: float) -> dict[str, float]:
        """Higher than which share of "real" and of "generated" images, 0 to 1."""
        return {
            name: float(np.interp(logit, self.ranks[name], np.linspace(0, 1, STEPS + 1)))
            for name in ("real", "generated")
        }

    def describe(self) -> str:
        """One line: what is shown, and what the critic says of it."""
        return (
            f"FoolTheCritic: {self.latent_dim} numbers → {self.side}×{self.side} pixels; the "
            f"critic's logit for the image on show is {self.sample_logit:.2f}"
        )

    def stills(self) -> dict[str, bytes]:
        """The image of the walk, its frames, and the samples."""
        frames = torch.stack([self.walk(k / (FRAMES - 1)) for k in range(FRAMES)])
        pages = torch.stack([self.code(MOST + SAMPLES * self.page + k) for k in range(SAMPLES)])
        slots = {"walk": (self.walk(self.t)[None], 1), "film": (frames, FRAMES)}
        return {
            slot: encode_image(_tiled(self._made(codes)["sample"], columns))
            for slot, (codes, columns) in {**slots, "samples": (pages, SAMPLES // 2)}.items()
        }

    def _made(self, codes: Tensor) -> dict[str, Tensor]:
        return self._exported(codes, torch.zeros(len(codes), 1, self.side, self.side))


class _Arena(nn.Module):
    """Both players side by side: a code becomes an image that is judged, and so is another one."""

    def __init__(self, model: DCGAN, critic: nn.Module) -> None:
        super().__init__()
        self.generator, self.critic = model.generator, critic

    def forward(self, z: Tensor, image: Tensor) -> dict[str, Tensor]:
        """z, N×latent_dim, and images N×1×H×W → "sample" like these, and two logits, N each."""
        sample = self.generator(z)
        return {"sample": sample, "of_sample": self.critic(sample), "of_image": self.critic(image)}


def _images(images: Any, shape: tuple[int, int, int]) -> Tensor:
    pixels = getattr(images, "images", images)
    if not isinstance(pixels, Tensor):
        raise TypeError(
            f"images must be an ImageSet or a tensor N×1×H×W, not {type(pixels).__name__}"
        )
    if pixels.ndim != 4 or not len(pixels) or tuple(pixels.shape[1:]) != shape:
        raise ValueError(f"images must be N×{'×'.join(map(str, shape))}, not {tuple(pixels.shape)}")
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    if not (pixels.is_floating_point() and pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError("images must be uint8 or floats from 0 to 1")
    return (255 * pixels.float()).round() / 255  # as the tiles have them


def _quantiles(logits: Tensor) -> list[float]:
    """The least, what 1/40, 2/40, … of them stay below, and the largest."""
    shares = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)
    return [round(value, 3) for value in torch.quantile(logits.double(), shares).tolist()]


def _tiled(images: Tensor, columns: int) -> np.ndarray:
    pictures = list(to_uint8(images))
    rows = [np.hstack(pictures[k : k + columns]) for k in range(0, len(pictures), columns)]
    return np.vstack(rows)
