"""A photograph cut, mirrored and recoloured, live in the page (chapter 4)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import traitlets
from torch import Tensor

from companion.datasets import load_images
from companion.figures import data_url, encode_image, to_uint8
from companion.training.augmentation import (
    ColourComponents,
    colour_components,
    shift_colours,
    views,
)
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise, uniform
from companion.widgets.traits import Bounded, Seed, whole_number

KINDS = ("none", "flip", "crop_flip", "random")
LARGEST_SIGMA = 1.0
DRAWS = 10
"""How many random views are on show at once."""


class Draw(NamedTuple):
    """One random view: where its crop begins, whether it is mirrored, the α of its colours."""

    top: int
    left: int
    mirrored: bool
    alpha: tuple[float, float, float]


class AugmentationViews(LiveWidget):
    """The slide's views of an image, for testing, and random ones, for training.

    Args:
        images: N×3×S×S or N×1×S×S, uint8 or floats in [0, 1]; four photographs if not given.
        names: a name for each image.
        components: along which the colours are shifted; those of `images` if not given.
        kind: "none", "flip", "crop_flip" (the slide's a, b and c) or "random".
        crop: side of random crops in pixels, half the image's side or more; if not given, seven
            eighths of it (AlexNet's 224 of 256).
        sigma: of the colour shift's α, 0 to 1 (AlexNet's was 0.1).
        seed: of the random draws, 0 … 2³² − 1; "Draw again" adds 1.
        title: heading of the widget.

    Attributes:
        kind, crop, sigma, seed, chosen (the number of the image): what is on show; they may be
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
    chosen = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    kind = traitlets.Unicode().tag(sync=True, setting=settings.words(KINDS))
    crop = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(-(-w.side // 2), w.side))
    sigma = Bounded(0, LARGEST_SIGMA).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Any = None,
        *,
        names: Sequence[str] | None = None,
        components: ColourComponents | None = None,
        kind: str = "crop_flip",
        crop: int | None = None,
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
        super().__init__(
            pictures=[
                {"name": str(name), "picture": data_url(encode_image(image))}
                for name, image in zip(labels, to_uint8(shown), strict=False)
            ],
            side=shown.shape[2],
            components={
                "variances": self._components.variances.tolist(),
                "directions": self._components.directions.tolist(),
            },
            chosen=0,
            kind=kind,
            crop=round(shown.shape[2] * 7 / 8) if crop is None else crop,
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

    @traitlets.validate("crop")
    def _check_crop(self, proposal: Any) -> int:
        return whole_number("crop", proposal["value"], -(-self.side // 2), self.side)

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        # An image of the reader's own comes after the others, in the page alone.
        return whole_number("chosen", proposal["value"], 0, len(self._images))

    def draws(self) -> list[Draw]:
        """The ten random views for the present seed, crop and sigma."""
        u = uniform(self.seed, 3 * DRAWS).view(DRAWS, 3)
        # A stream of its own: crops and colours must not go together.
        alphas = self.sigma * noise((self.seed + 1_000_003) % 2**32, 3 * DRAWS).view(DRAWS, 3)
        places = self.side - self.crop + 1
        return [
            Draw(
                int(top * places),
                int(left * places),
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
        drawn = []
        for top, left, mirrored, alpha in self.draws():
            cut = image[:, :, top : top + self.crop, left : left + self.crop]
            cut = cut.flip(-1) if mirrored else cut
            shift = torch.tensor([alpha], dtype=torch.float64)
            drawn.append(shift_colours(cut, self._components, shift)[0])
        return torch.stack(drawn)

    def describe(self) -> str:
        """One line: how many views of which image."""
        name = [*(entry["name"] for entry in self.pictures), "your own image"][self.chosen]
        return f"AugmentationViews: {len(self.views())} views of {name}, {self.kind}"
