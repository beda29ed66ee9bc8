"""Any small kernel on a photograph, live in the page (chapter 1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import ArrayLike

from companion.by_hand.convolution import KERNELS, correlate2d
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.convolution import matrix
from companion.widgets.traits import Bounded

LARGEST_IMAGE = 256
SIZES = (3, 5)
VIEWS = ("signed", "grey", "colour")
BIAS_RANGE = (-1.0, 1.0)
_LUMINANCE = np.array([0.299, 0.587, 0.114])


class KernelLab(LiveWidget):
    """A 3×3 or 5×5 kernel laid over photographs, the reader's own picture or a drawing.

    Args:
        images: N×C×H×W (or one image C×H×W or H×W), uint8 or floats in [0, 1], one or three
            channels, sides up to 256. An ImageSet serves too; its class names become captions.
        kernel: a name from `companion.by_hand.convolution.KERNELS`, or 3×3 or 5×5 numbers. It is
            laid over the picture as it is, as `torch.nn.Conv2d` does, with zeros beyond the border.
        bias: is added to every output, −1 to 1.
        view: how the output is shown: "signed" (of the grey picture, on a diverging scale), or
            clipped to 0 … 1 in "grey" or in "colour".
        captions: a name for each image.
        selected: the index of the image shown first.
        position: (row, column) under the loupe; the middle if not given.
        title: heading of the widget.

    `kernel`, `bias`, `view`, `selected` and `position` may be set and observed from Python. A
    picture that the reader opens or draws in the page stays there.

    Raises:
        ValueError: an argument does not fit (the message says which).

    Source: chapter 1; grey as in ITU-R BT.601.
    """

    module = "kernel_lab"

    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    presets = traitlets.List(traitlets.Dict()).tag(sync=True)
    kernel = traitlets.List(traitlets.List(traitlets.Float())).tag(
        sync=True, setting=settings.matrix(settings.number(-1000, 1000), max(SIZES), squares=SIZES)
    )
    bias = Bounded(*BIAS_RANGE).tag(sync=True)
    view = traitlets.Unicode().tag(sync=True, setting=settings.words(VIEWS))
    selected = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    position = traitlets.List(traitlets.Int()).tag(
        sync=True,
        setting=lambda w: settings.several(settings.whole(0, min(w._pixels.shape[1:3]) - 1), 2),
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Any,
        kernel: str | ArrayLike = "Sobel, left to right",
        *,
        bias: float = 0.0,
        view: str = "signed",
        captions: Sequence[str] | None = None,
        selected: int = 0,
        position: tuple[int, int] | None = None,
        title: str = "Kernel lab",
    ) -> None:
        pixels, names = _pixels(images), captions
        if names is None:
            names = getattr(images, "class_names", ()) or [
                f"picture {i + 1}" for i in range(len(pixels))
            ]
        if len(names) != len(pixels):
            raise ValueError(f"expected {len(pixels)} captions, one an image, not {len(names)}")
        self._pixels = pixels
        height, width = pixels.shape[1:3]
        super().__init__(
            pictures=[
                {"picture": data_url(encode_image(image)), "caption": str(name)}
                for image, name in zip(pixels, names, strict=True)
            ],
            presets=[{"name": name, "kernel": rows.tolist()} for name, rows in KERNELS.items()],
            kernel=_kernel(kernel),
            bias=bias,
            view=_view(view),
            selected=self._index(selected),
            position=list(_position(position or (height // 2, width // 2), height, width)),
            title=str(title),
        )

    @traitlets.validate("kernel")
    def _check_kernel(self, proposal: Any) -> list[list[float]]:
        return _kernel(proposal["value"])

    @traitlets.validate("view")
    def _check_view(self, proposal: Any) -> str:
        return _view(proposal["value"])

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        return self._index(proposal["value"])

    def _index(self, value: Any) -> int:
        count = len(self._pixels)
        if not isinstance(value, int) or not 0 <= value < count:
            raise ValueError(f"selected must be an image from 0 to {count - 1}, not {value!r}")
        return value

    @property
    def grey(self) -> np.ndarray:
        """The selected image in grey, H×W, float64 in [0, 1]."""
        result: np.ndarray = self._pixels[self.selected] @ _LUMINANCE / 255
        return result

    @property
    def output(self) -> np.ndarray:
        """Kernel and bias on the grey image, H×W, float64, as computed: not clipped."""
        return _filtered(self.grey, np.array(self.kernel), self.bias)

    def describe(self) -> str:
        """One line: how many pictures, and the size of the kernel."""
        height, width = self._pixels.shape[1:3]
        k = len(self.kernel)
        return f"KernelLab: a {k}×{k} kernel on {len(self.pictures)} pictures of {height}×{width}"


def _filtered(plane: np.ndarray, kernel: np.ndarray, bias: float) -> np.ndarray:
    return correlate2d(plane, kernel, padding=len(kernel) // 2) + bias


def _pixels(images: Any) -> np.ndarray:
    """Images of a data set, tensor or array as uint8 N×H×W×3."""
    raw = getattr(images, "images", images)
    array = np.asarray(raw.detach().cpu() if isinstance(raw, torch.Tensor) else raw)
    while array.ndim in (2, 3):
        array = array[None]
    pixels = to_uint8(array)
    if not len(pixels) or not all(5 <= n <= LARGEST_IMAGE for n in pixels.shape[1:3]):
        raise ValueError(
            f"expected at least one image with sides of 5 to {LARGEST_IMAGE} pixels; got "
            f"{len(pixels)} of {pixels.shape[1]}×{pixels.shape[2]} (load_images(…, "
            "image_size=192) brings a folder to a size)"
        )
    return pixels


def _kernel(value: Any) -> list[list[float]]:
    if isinstance(value, str):
        if value not in KERNELS:
            raise ValueError(f"there is no kernel {value!r}; there are {', '.join(KERNELS)}")
        value = KERNELS[value]
    rows = matrix("kernel", value, max(SIZES))
    if np.shape(rows) not in {(n, n) for n in SIZES}:
        raise ValueError(f"kernel must be 3×3 or 5×5, not {'×'.join(map(str, np.shape(rows)))}")
    return rows


def _view(value: Any) -> str:
    if value not in VIEWS:
        raise ValueError(f"view must be one of {VIEWS}, not {value!r}")
    return str(value)


def _position(value: Sequence[int], height: int, width: int) -> tuple[int, int]:
    row, column = (int(v) for v in value)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"position must lie within {height}×{width} pixels, not {tuple(value)}")
    return row, column
