"""A photograph cut, mirrored and recoloured, live in the page (chapter 4)."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import torch
import traitlets
from torch import Tensor
from torch.nn import functional as F

from companion.datasets import load_images
from companion.figures import encode_png, image_grid, to_uint8
from companion.training.augmentation import (
    ColourComponents,
    colour_components,
    shift_colours,
    views,
)
from companion.widgets.base import LiveWidget, image_tag
from companion.widgets.noise import noise, uniform

KINDS = ("none", "flip", "crop_flip", "random")
LARGEST_PADDING = 20
LARGEST_SIGMA = 1.0
DRAWS = 10
"""How many random views are on show at once."""


class Draw(NamedTuple):
    """One random view: where its crop begins in the image (below 0 in the frame around it), whether
    it is mirrored, and the three α of its colour shift.
    """

    top: int
    left: int
    mirrored: bool
    alpha: tuple[float, float, float]


class AugmentationViews(LiveWidget):
    """The slide's augmentations of an image, and random ones as in training.

    Args:
        images: N×3×S×S or N×1×S×S, uint8 or floats in [0, 1]; four photographs if not given.
        names: a name for each image.
        components: along which the colours are shifted; those of `images` if not given.
        kind: "none", "flip", "crop_flip" (the slide's a, b and c) or "random".
        padding: pixels of the black frame of random crops, 0 to 20.
        sigma: of the colour shift's α, 0 to 1 (AlexNet's was 0.1).
        seed: of the random draws, 0 … 2³² − 1; "Draw again" adds 1.
        title: heading of the widget.

    Attributes:
        kind, padding, sigma, seed, chosen (the number of the image): what is on show; they may be
            set and observed.

    `draws()` and `views()` have what is on show. The reader may also open a picture of their own:
    it stays in their browser.

    Raises:
        ValueError: an argument is not what it should be.

    Source: chapter 4; Krizhevsky et al. (2012), §4.1.
    """

    module = "augmentation_views"

    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    side = traitlets.Int().tag(sync=True)
    components = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Int().tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)
    padding = traitlets.Int().tag(sync=True)
    sigma = traitlets.Float().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Any = None,
        *,
        names: Sequence[str] | None = None,
        components: ColourComponents | None = None,
        kind: str = "crop_flip",
        padding: int = 10,
        sigma: float = 0.1,
        seed: int = 0,
        title: str = "One photograph, many views",
    ) -> None:
        if images is None:
            photos = load_images("photos", size=4, image_size=160)
            images, names = photos.images, names or photos.class_names
        pixels = torch.as_tensor(getattr(images, "images", images))
        if pixels.ndim != 4 or not len(pixels) or pixels.shape[2] != pixels.shape[3]:
            raise ValueError(
                f"expected square images N×3×S×S, got {'×'.join(map(str, pixels.shape))}"
            )
        if pixels.shape[2] < 16:
            raise ValueError(f"expected images of 16 pixels or more, got {pixels.shape[2]}")
        shown = torch.from_numpy(to_uint8(pixels)).permute(0, 3, 1, 2)
        labels = [f"image {k + 1}" for k in range(len(shown))] if names is None else list(names)
        if len(labels) < len(shown):
            raise ValueError(f"expected {len(shown)} names, one an image, got {len(labels)}")
        self._images = shown.float() / 255
        self._components = colour_components(shown) if components is None else components
        png = [base64.b64encode(encode_png(tile)).decode() for tile in to_uint8(shown)]
        super().__init__(
            pictures=[
                {"name": str(name), "picture": f"data:image/png;base64,{data}"}
                for name, data in zip(labels, png, strict=False)
            ],
            side=shown.shape[2],
            components={
                "variances": self._components.variances.tolist(),
                "directions": self._components.directions.tolist(),
            },
            chosen=0,
            kind=kind,
            padding=padding,
            sigma=sigma,
            seed=seed,
            title=str(title),
        )

    @traitlets.validate("kind")
    def _check_kind(self, proposal: Any) -> str:
        kind: str = proposal["value"]
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        return kind

    @traitlets.validate("padding", "sigma", "seed", "chosen")
    def _check_number(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        limits = {
            "padding": LARGEST_PADDING,
            "sigma": LARGEST_SIGMA,
            "seed": 2**32 - 1,
            # An image of the reader's own comes after the others, in the page alone.
            "chosen": len(self._images),
        }
        if not 0 <= value <= limits[name]:
            raise ValueError(f"{name} must be from 0 to {limits[name]:g}, got {value}")
        return value

    def draws(self) -> list[Draw]:
        """The ten random views for the present seed, padding and sigma."""
        u = uniform(self.seed, 3 * DRAWS).view(DRAWS, 3)
        # A stream of its own: crops and colours must not go together.
        alphas = self.sigma * noise((self.seed + 1_000_003) % 2**32, 3 * DRAWS).view(DRAWS, 3)
        places = 2 * self.padding + 1
        return [
            Draw(
                int(top * places) - self.padding,
                int(left * places) - self.padding,
                bool(side < 0.5),
                (float(alpha[0]), float(alpha[1]), float(alpha[2])),
            )
            for (top, left, side), alpha in zip(u.tolist(), alphas, strict=True)
        ]

    def views(self) -> Tensor:
        """The views on show, of the image with number `chosen`: V×3×size×size in [0, 1]."""
        image = self._images[min(self.chosen, len(self._images) - 1)][None]
        if self.kind != "random":
            return views(image, self.kind)[0]
        p, side = self.padding, self.side
        framed = F.pad(image, [p] * 4)
        drawn = []
        for top, left, mirrored, alpha in self.draws():
            cut = framed[:, :, top + p : top + p + side, left + p : left + p + side]
            cut = cut.flip(-1) if mirrored else cut
            shift = torch.tensor([alpha], dtype=torch.float64)
            drawn.append(shift_colours(cut, self._components, shift)[0])
        return torch.stack(drawn)

    def describe(self) -> str:
        """One line: how many views of which image."""
        name = [*(entry["name"] for entry in self.pictures), "your own image"][self.chosen]
        return f"AugmentationViews: {len(self.views())} views of {name}, {self.kind}"

    def preview(self) -> str:
        """The image and its views, as HTML alone."""
        name = self.pictures[min(self.chosen, len(self.pictures) - 1)]["name"]
        shown = self.views()
        sheet = image_grid(shown, alt=f"Its {len(shown)} views, side by side.", columns=5, gap=4)
        whole = encode_png(to_uint8(self._images[:1] if self.chosen else self._images)[0])
        return (
            '<section class="companion augment-preview"><div class="companion-body">'
            f'<p class="companion-title">{escape(self.title)}</p>'
            '<p class="companion-lead">Choose how the training set grows. Point at a view to see '
            "where it was cut.</p>"
            '<div class="augment-stage"><div class="augment-whole">'
            f"{image_tag(whole, f'A photograph: {name}.')}</div>"
            f"<div>{image_tag(sheet.rows[''], sheet.alt)}</div></div></div></section>"
        )
