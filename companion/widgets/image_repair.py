"""A picture with noise or a hole, repaired by networks and by filters, live in the page."""

import gzip
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.restoration import median, total_variation
from companion.export.model import export_model, unwrap
from companion.figures import data_url, encode_image, to_uint8
from companion.models.classifier import check_choice
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise, uniform
from companion.widgets.traits import Bounded, Seed, whole_number

KINDS = ("gaussian", "salt and pepper", "masking", "hole")
RADII = (1, 2)
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
_LEAST = 1e-6  # of a mean squared error: what is equal has 60 dB
_VIEWS = ("picture", "error")


class ImageRepair(LiveWidget):
    """Draw, damage, and see what two networks and three filters make of it, with their errors.

    Noise is removed by the median, by total variation and by the denoiser; a hole, wiped by the
    reader, is filled by biharmonic filling and by the inpainter. The two filters have their
    strength chosen for the very picture on show, with the undamaged one known, which flatters them.

    Args:
        denoiser, inpainter: from images N×1×H×W to images. They are exported as they are now.
        images: to choose among, up to 12: N×1×H×W, uint8 or floats in [0, 1], sides 8 to 64.
        captions: a name for each; "1", "2", … if not given.
        kind: "gaussian", "salt and pepper" or "masking" at first; later also "hole".
        strength: σ of the Gaussian, else the share of pixels that are hit: 0 to 0.8.
        selected: the index of the image shown first.
        seed: of the noise.
        view: "picture", or "error": what was restored minus what was there.
        title: heading of the widget.

    `kind`, `strength`, `selected`, `seed` and `view` may be set and observed from Python.

    Raises:
        ValueError: an argument does not fit, or a model can't be exported; the message says why.

    Source: chapter 10.
    """

    module = "image_repair"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    first = traitlets.Dict().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True, setting=settings.words(KINDS))
    strength = Bounded(0, 0.8).tag(sync=True)
    selected = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    seed = Seed().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True, setting=settings.words(_VIEWS))
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        denoiser: nn.Module,
        inpainter: nn.Module,
        images: Any,
        captions: Sequence[str] | None = None,
        *,
        kind: str = "gaussian",
        strength: float = 0.5,
        selected: int = 0,
        seed: int = 0,
        view: str = "picture",
        title: str = "Repair a picture",
    ) -> None:
        check_choice("kind", kind, KINDS[:3])
        grey = to_uint8(images)[..., 0]
        count, height, width = grey.shape
        if torch.as_tensor(images).shape[1] != 1 or not 1 <= count <= 12:
            raise ValueError(f"expected 1 to 12 grey images, got {tuple(images.shape)}")
        if not 8 <= min(height, width) <= max(height, width) <= 64:
            raise ValueError(f"expected images with sides of 8 to 64, got {height}×{width}")
        names = list(map(str, range(1, count + 1))) if captions is None else list(captions)
        if len(names) != count:
            raise ValueError(f"expected {count} captions, one an image, but got {len(names)}")
        self._images = torch.from_numpy(grey)[:, None].float() / 255
        both = _Both(unwrap(denoiser), unwrap(inpainter))
        self._exported = exported = export_model(both, self._images[:1])
        super().__init__(
            models=[exported.path],
            network={
                "model": exported.sha256,
                "bytes": len(gzip.compress(exported.path.read_bytes(), 9, mtime=0)),
            },
            size=[height, width],
            pictures=[
                {"name": str(name), "picture": data_url(encode_image(picture))}
                for name, picture in zip(names, to_uint8(self._images), strict=True)
            ],
            kind=kind,
            strength=strength,
            selected=selected,
            seed=seed,
            view=view,
            title=str(title),
        )
        network = self.repaired()["network"]
        self.first = {
            "kind": kind,
            "strength": self.strength,
            "selected": selected,
            "seed": seed,
            "picture": data_url(encode_image(to_uint8(network[None])[0])),
        }

    @traitlets.validate("kind", "view")
    def _check_choice(self, proposal: Any) -> str:
        name = proposal["trait"].name
        choice = str(proposal["value"])
        check_choice(name, choice, KINDS if name == "kind" else _VIEWS)
        return choice

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        return whole_number("selected", proposal["value"], 0, len(self.pictures) - 1)

    def damaged(self, image: Tensor | None = None) -> Tensor:
        """An image 1×H×W in [0, 1] (if not given, the one chosen) with the present noise.

        Raises ValueError where the damage is a hole: that is the reader's.
        """
        x = self._images[self.selected] if image is None else image
        if self.kind == "hole":
            raise ValueError("a hole is wiped by the reader, in the page; here is no noise to add")
        if self.kind == "gaussian":
            epsilon = noise(self.seed, x.numel()).view(x.shape)
            return (x.double() + self.strength * epsilon).float()
        u = uniform(self.seed, x.numel()).view(x.shape)
        white = 0.0 if self.kind == "masking" else self.strength / 2
        return torch.where(u < white, 1.0, torch.where(u < self.strength, 0.0, x))

    def repaired(self, image: Tensor | None = None) -> dict[str, Tensor]:
        """What "median", "variation" and "network" make of `damaged(image)`, each in [0, 1]."""
        x = self._images[self.selected] if image is None else image
        noisy = self.damaged(image)[None]

        def best(candidates: list[Tensor]) -> Tensor:
            return max((c.clamp(0, 1)[0] for c in candidates), key=lambda c: _quality(x, c))

        return {
            "median": best([median(noisy, radius) for radius in RADII]),
            "variation": best([total_variation(noisy.double(), w).float() for w in WEIGHTS]),
            "network": self._exported(noisy)["denoised"][0].clamp(0, 1),
        }

    def quality(self, image: Tensor | None = None) -> dict[str, float]:
        """PSNR in dB (at most 60) of the noisy image and of what was made of it."""
        x = self._images[self.selected] if image is None else image
        restored = {"noisy": self.damaged(image).clamp(0, 1), **self.repaired(image)}
        return {name: _quality(x, other) for name, other in restored.items()}

    def describe(self) -> str:
        """One line: what was done to the picture, and the dB of each repair."""
        if self.kind == "hole":
            return "ImageRepair: a hole, to be wiped in the page"
        numbers = ", ".join(f"{name} {value:.1f} dB" for name, value in self.quality().items())
        return f"ImageRepair: {self.kind} {self.strength:g}; {numbers}"


class _Both(nn.Module):
    """Both networks in one file."""

    def __init__(self, denoiser: nn.Module, inpainter: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.inpainter = inpainter

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """N×1×H×W → "denoised" and "inpainted", of the same shape."""
        return {"denoised": self.denoiser(image), "inpainted": self.inpainter(image)}


def _quality(x: Tensor, other: Tensor) -> float:
    error = (x.double() - other.double()).square().mean().clamp(min=_LEAST)
    return float(-10 * torch.log10(error))
