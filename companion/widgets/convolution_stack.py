"""A convolutional layer with ReLU and pooling, step by step, live in the page (chapter 1)."""

from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import ArrayLike
from torch.nn import functional as F

from companion.by_hand.convolution import KERNELS, convolution_layer, max_pool2d, output_size
from companion.datasets import load_images
from companion.figures import to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import whole_number

LEVELS = 9  # pixels are whole numbers from 0 to 9
SIDES = (5, 16)  # of a picture
MOST_FILTERS = 4
LARGEST_WEIGHT = 9.9
POOL = 2


class ConvolutionStack(LiveWidget):
    """Filters with a kernel for each channel slide over a colour picture: every product of a
    window, the sums of the channels, bias, ReLU and 2×2 max-pooling.

    Args:
        images: N×3×S×S, uint8 or floats in [0, 1], S from 5 to 16; an ImageSet serves too. Colours
            are rounded to whole numbers from 0 to 9, so that all arithmetic is exact. If not given,
            three photographs and two squares, 14×14.
        weight: K×3×3×3 numbers from −9.9 to 9.9, K up to 4. If not given: an edge detector on all
            channels, and red against green.
        bias: K numbers in the same range; zeros if not given.
        captions: a name for each image.
        padding: 0 or 1.
        stride: 1 or 2.
        selected: the image on show at first.
        filter: the filter that is written out, from 0.
        position: (row, column) of the unit that is written out.
        title: heading of the widget.

    All but `images`, `captions` and `title` may be set and observed from Python. A picture that the
    reader opens stays in the page.

    Raises:
        ValueError: an argument does not fit (the message says which).

    Source: chapter 1.
    """

    module = "convolution_stack"

    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    side = traitlets.Int().tag(sync=True)
    levels = traitlets.Int(LEVELS).tag(sync=True)
    presets = traitlets.List(traitlets.Dict()).tag(sync=True)
    selected = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    weight: Any = traitlets.List().tag(
        sync=True,
        setting=lambda w: settings.tensor(-LARGEST_WEIGHT, LARGEST_WEIGHT, w._count, 3, 3, 3),
    )
    bias = traitlets.List(traitlets.Float()).tag(
        sync=True,
        setting=lambda w: settings.several(
            settings.number(-LARGEST_WEIGHT, LARGEST_WEIGHT), w._count
        ),
    )
    padding = traitlets.Int().tag(sync=True, setting=settings.whole(0, 1))
    stride = traitlets.Int().tag(sync=True, setting=settings.whole(1, 2))
    filter = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, w._count - 1))
    # The page moves a unit that padding and stride leave outside to the last one.
    position = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=lambda w: settings.several(settings.whole(0, w.side - 1), 2)
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Any = None,
        weight: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        *,
        captions: list[str] | None = None,
        padding: int = 0,
        stride: int = 1,
        selected: int = 0,
        filter: int = 0,
        position: tuple[int, int] = (0, 0),
        title: str = "A convolutional layer, step by step",
    ) -> None:
        if images is None:
            images, captions = _default_images()
        pixels = _levels(images)
        known = list(getattr(images, "class_names", ()))
        names = captions or known or [f"picture {k + 1}" for k in range(len(pixels))]
        if len(names) != len(pixels):
            raise ValueError(f"expected {len(pixels)} captions, one an image, not {len(names)}")
        filters = _numbers("weight", _default_weight() if weight is None else weight)
        if filters.ndim != 4 or filters.shape[1:] != (3, 3, 3) or len(filters) > MOST_FILTERS:
            raise ValueError(
                f"weight must be K×3×3×3 with K from 1 to {MOST_FILTERS}, not {filters.shape}"
            )
        self._count = len(filters)
        super().__init__(
            pictures=[
                {"values": image.ravel().tolist(), "caption": str(name)}
                for image, name in zip(pixels, names, strict=True)
            ],
            side=pixels.shape[2],
            presets=[{"name": name, "kernels": k.tolist()} for name, k in _presets().items()],
            selected=whole_number("selected", selected, 0, len(pixels) - 1),
            weight=filters.tolist(),
            bias=_numbers("bias", np.zeros(len(filters)) if bias is None else bias).tolist(),
            padding=padding,
            stride=stride,
            filter=filter,
            title=str(title),
        )
        self.position = list(position)

    @traitlets.validate("weight", "bias")
    def _check_numbers(self, proposal: Any) -> list[Any]:
        name, values = proposal["trait"].name, _numbers(proposal["trait"].name, proposal["value"])
        shape = (self._count, 3, 3, 3) if name == "weight" else (self._count,)
        if values.shape != shape:
            raise ValueError(f"{name} must be of shape {shape}, not {values.shape}")
        numbers: list[Any] = values.tolist()
        return numbers

    @traitlets.validate("padding", "stride", "filter", "selected")
    def _check_number(self, proposal: Any) -> int:
        name = proposal["trait"].name
        last = len(self.pictures) - 1 if self.pictures else proposal["value"]
        ends = {
            "padding": (0, 1),
            "stride": (1, 2),
            "filter": (0, self._count - 1),
            "selected": (0, last),
        }
        return whole_number(name, proposal["value"], *ends[name])

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> list[int]:
        side = output_size(self.side, 3, padding=self.padding, stride=self.stride)
        row, column = proposal["value"]
        return [whole_number("position", value, 0, side - 1) for value in (row, column)]

    @traitlets.observe("padding", "stride")
    def _limit_position(self, _: Any) -> None:
        if not self.position:
            return
        last = output_size(self.side, 3, padding=self.padding, stride=self.stride) - 1
        self.position = [min(value, last) for value in self.position]

    @property
    def image(self) -> np.ndarray:
        """The selected picture, 3×S×S whole numbers from 0 to 9."""
        return np.array(self.pictures[self.selected]["values"]).reshape(3, self.side, self.side)

    @property
    def sums(self) -> np.ndarray:
        """Sums and bias, K×H'×W', float64."""
        return convolution_layer(
            self.image, self.weight, self.bias, padding=self.padding, stride=self.stride
        )

    @property
    def activations(self) -> np.ndarray:
        """The sums after ReLU."""
        return np.maximum(self.sums, 0)

    @property
    def pooled(self) -> np.ndarray:
        """The largest of each 2×2 activations; what is left over at the end is dropped."""
        return max_pool2d(self.activations, POOL)

    def describe(self) -> str:
        """One line: sizes, and the unit that is written out."""
        row, column = self.position
        size = "×".join(map(str, self.sums.shape))
        value = f"{self.sums[self.filter, row, column]:.6g}".replace("-", "−")
        return f"ConvolutionStack: {size} sums; filter {self.filter}, [{row}, {column}]: {value}"


def _presets() -> dict[str, np.ndarray]:
    """Filters by name, 3×3×3."""
    edges, flat, nothing = KERNELS["Sobel, left to right"], np.ones((3, 3)), np.zeros((3, 3))
    return {
        "edges, left to right": np.array([edges, edges, edges]),
        "red against green": np.array([flat, -flat, nothing]),
        "edges of red against green": np.array([edges, -edges + 0.0, nothing]),
        "blue only": np.array([nothing, nothing, KERNELS["identity"]]),
    }


def _default_weight() -> np.ndarray:
    """An edge detector that looks at all channels alike, and red against green."""
    presets = _presets()
    return np.array([presets["edges, left to right"], presets["red against green"]])


def _default_images() -> tuple[torch.Tensor, list[str]]:
    """Three photographs, a grey square, and a red one on a green ground as bright, 14×14."""
    grey, red = torch.full((3, 14, 14), 2.0), torch.zeros(3, 14, 14)
    grey[:, 4:10, 4:10] = 7
    red[:2] = torch.tensor([2.0, 7.0])[:, None, None]
    red[:2, 4:10, 4:10] = torch.tensor([7.0, 2.0])[:, None, None]
    photos = load_images("photos", "train", image_size=192)
    names = ["coffee", "astronaut", "retina"]
    chosen = photos.pixels()[[photos.class_names.index(name) for name in names]]
    small = F.adaptive_avg_pool2d(chosen, 14)
    squares = torch.stack([grey, red]) / LEVELS
    return torch.cat([small, squares]), [*names, "a grey square", "a red square on green"]


def _levels(images: Any) -> np.ndarray:
    """Images as whole numbers from 0 to LEVELS, N×3×S×S."""
    raw = getattr(images, "images", images)
    channels = np.shape(raw)[1] if len(np.shape(raw)) == 4 else 0
    low, high = SIDES
    height, width = np.shape(raw)[2:] if channels else (0, 0)
    if channels != 3 or not len(raw) or height != width or not low <= height <= high:
        raise ValueError(
            f"images must be N×3×S×S with S from {low} to {high}, not {tuple(np.shape(raw))}"
        )
    pixels = to_uint8(raw).transpose(0, 3, 1, 2)
    levels: np.ndarray = np.floor(pixels.astype(int) * LEVELS / 255 + 0.5).astype(int)
    return levels


def _numbers(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    if not (np.isfinite(array).all() and np.abs(array).max(initial=0) <= LARGEST_WEIGHT):
        raise ValueError(f"{name} must hold numbers from −{LARGEST_WEIGHT} to {LARGEST_WEIGHT}")
    return array
