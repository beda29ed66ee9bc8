"""Any small kernel on a photograph, live in the page (chapter 1)."""

import base64
import math
from collections.abc import Sequence
from html import escape
from numbers import Real
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import ArrayLike

from companion.by_hand.convolution import KERNELS, correlate2d
from companion.figures import diverging, encode_png, to_uint8
from companion.widgets.base import LiveWidget, image_tag
from companion.widgets.convolution import matrix

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
    kernel = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    bias = traitlets.Float().tag(sync=True)
    view = traitlets.Unicode().tag(sync=True)
    selected = traitlets.Int().tag(sync=True)
    position = traitlets.List(traitlets.Int()).tag(sync=True)
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
                {"picture": _data_uri(image), "caption": str(name)}
                for image, name in zip(pixels, names, strict=True)
            ],
            presets=[{"name": name, "kernel": rows.tolist()} for name, rows in KERNELS.items()],
            kernel=_kernel(kernel),
            bias=_bias(bias),
            view=_view(view),
            selected=self._index(selected),
            position=list(_position(position or (height // 2, width // 2), height, width)),
            title=str(title),
        )

    @traitlets.validate("kernel")
    def _check_kernel(self, proposal: Any) -> list[list[float]]:
        return _kernel(proposal["value"])

    @traitlets.validate("bias")
    def _check_bias(self, proposal: Any) -> float:
        return _bias(proposal["value"])

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

    def preview(self) -> str:
        """The selected picture and its output, as HTML."""
        caption = self.pictures[self.selected]["caption"]
        before, after, words = self._still()
        height, width, _ = before.shape
        size = f'class="lab-picture" width="{width}" height="{height}"'
        known = [p["name"] for p in self.presets if p["kernel"] == self.kernel]
        name = known[0] if known else "the kernel"
        pictures = "".join(
            f'<figure class="lab-side"><figcaption>{escape(title)}</figcaption>'
            f'<div class="lab-frame">{image_tag(encode_png(pixels), alt, size)}</div></figure>'
            for title, pixels, alt in (
                ("Input", before, f"The input picture: {caption}."),
                ("Output", after, f"The output for the kernel “{name}”. {words}"),
            )
        )
        return (
            '<div class="companion lab-preview"><div class="companion-body">'
            f'<p class="companion-title">{escape(self.title)}</p>'
            '<p class="companion-lead">A kernel slides over every pixel of the picture.</p>'
            '<div class="lab-sources"></div>'
            f'<div class="lab-pair">{pictures}</div></div></div>'
        )

    def _still(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Input and output as shown, H×W×3 uint8, and how the output is scaled."""
        picture, kernel = self._pixels[self.selected], np.array(self.kernel)
        if self.view == "colour":
            planes = np.stack(
                [_filtered(picture[..., c] / 255, kernel, self.bias) for c in range(3)]
            )
            return picture, to_uint8(planes[None])[0], "Clipped to 0 … 1."
        grey = to_uint8(self.grey[None, None])[0]
        if self.view == "grey":
            return grey, to_uint8(self.output[None, None])[0], "Clipped to 0 … 1."
        words = "Blue is negative, orange is positive."
        reach = len(kernel) // 2
        inner = np.abs(self.output[reach:-reach, reach:-reach]).max() or 1.0
        after = diverging(self.output[None, None], inner)[0].transpose(1, 2, 0)
        return grey, after, words


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


def _data_uri(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def _kernel(value: Any) -> list[list[float]]:
    if isinstance(value, str):
        if value not in KERNELS:
            raise ValueError(f"there is no kernel {value!r}; there are {', '.join(KERNELS)}")
        value = KERNELS[value]
    rows = matrix("kernel", value, max(SIZES))
    if np.shape(rows) not in {(n, n) for n in SIZES}:
        raise ValueError(f"kernel must be 3×3 or 5×5, not {'×'.join(map(str, np.shape(rows)))}")
    return rows


def _bias(value: Any) -> float:
    low, high = BIAS_RANGE
    if not isinstance(value, Real) or not low <= float(value) <= high or math.isnan(float(value)):
        raise ValueError(f"bias must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _view(value: Any) -> str:
    if value not in VIEWS:
        raise ValueError(f"view must be one of {VIEWS}, not {value!r}")
    return str(value)


def _position(value: Sequence[int], height: int, width: int) -> tuple[int, int]:
    row, column = (int(v) for v in value)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"position must lie within {height}×{width} pixels, not {tuple(value)}")
    return row, column
