"""Convolution step by step, every product written out, live in the page (chapter 1)."""

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from companion.by_hand.convolution import KERNELS, convolve2d, correlate2d, output_size
from companion.widgets import settings
from companion.widgets.base import LiveWidget

LARGEST_INPUT, LARGEST_KERNEL = 7, 5
PADDINGS, STRIDES = (0, 1, 2), (1, 2, 3)


class ConvolutionByHand(LiveWidget):
    """A kernel slides over a small input: the products and their sum, term by term.

    Args:
        x: the input, 1×1 to 7×7 numbers; the lecture's 1 … 9 as 3×3 if not given.
        kernel: 1×1 to 5×5 numbers; the lecture's window if not given.
        padding: 0, 1 or 2 rows and columns of zeros on each side.
        stride: 1, 2 or 3.
        flip: lay the kernel as it is (False: cross-correlation, what deep learning uses) or turned
            by 180° (True: convolution).
        position: the window shown first, counted row by row from 0.
        title: heading of the widget.

    All but `title` may be set and observed from Python while the widget is on show.

    Raises:
        ValueError: an argument is outside its range, or the kernel does not fit.

    Source: chapter 1.
    """

    module = "convolution"

    x = traitlets.List(traitlets.List(traitlets.Float())).tag(
        sync=True, setting=settings.matrix(settings.number(-1000, 1000), LARGEST_INPUT)
    )
    kernel = traitlets.List(traitlets.List(traitlets.Float())).tag(
        sync=True, setting=settings.matrix(settings.number(-1000, 1000), LARGEST_KERNEL)
    )
    padding = traitlets.Int().tag(sync=True, setting=settings.whole(PADDINGS[0], PADDINGS[-1]))
    stride = traitlets.Int().tag(sync=True, setting=settings.whole(STRIDES[0], STRIDES[-1]))
    flip = traitlets.Bool().tag(sync=True)
    position = traitlets.Int().tag(
        sync=True, setting=settings.whole(0, (LARGEST_INPUT + 2 * PADDINGS[-1]) ** 2)
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        x: ArrayLike | None = None,
        kernel: ArrayLike | None = None,
        *,
        padding: int = 1,
        stride: int = 1,
        flip: bool = False,
        position: int = 0,
        title: str = "Convolution by hand",
    ) -> None:
        values = matrix("x", np.arange(1, 10).reshape(3, 3) if x is None else x, LARGEST_INPUT)
        weights = KERNELS["the slide's window"] if kernel is None else kernel
        weights_list = matrix("kernel", weights, LARGEST_KERNEL)
        _one_of("padding", padding, PADDINGS)
        _one_of("stride", stride, STRIDES)
        rows, columns = (
            output_size(n, k, padding=padding, stride=stride)
            for n, k in zip(np.shape(values), np.shape(weights_list), strict=True)
        )
        if not 0 <= position < rows * columns:
            raise ValueError(
                f"position must be a window from 0 to {rows * columns - 1}, not {position!r}"
            )
        super().__init__(
            x=values,
            kernel=weights_list,
            padding=padding,
            stride=stride,
            flip=flip,
            position=position,
            title=str(title),
        )

    @traitlets.validate("x")
    def _check_x(self, proposal: Any) -> list[list[float]]:
        return matrix("x", proposal["value"], LARGEST_INPUT)

    @traitlets.validate("kernel")
    def _check_kernel(self, proposal: Any) -> list[list[float]]:
        return matrix("kernel", proposal["value"], LARGEST_KERNEL)

    @traitlets.validate("padding")
    def _check_padding(self, proposal: Any) -> int:
        return _one_of("padding", proposal["value"], PADDINGS)

    @traitlets.validate("stride")
    def _check_stride(self, proposal: Any) -> int:
        return _one_of("stride", proposal["value"], STRIDES)

    @property
    def output(self) -> np.ndarray:
        """The whole output, float64.

        Raises:
            ValueError: the kernel does not fit into the padded input.
        """
        slide = convolve2d if self.flip else correlate2d
        return slide(self.x, self.kernel, padding=self.padding, stride=self.stride)

    @property
    def laid(self) -> np.ndarray:
        """The kernel as it is laid over the input: turned by 180° for a convolution."""
        kernel = np.array(self.kernel)
        return np.flip(kernel) if self.flip else kernel

    @property
    def terms(self) -> list[tuple[float, float]]:
        """(input, weight) for each product of the window at `position`, row by row."""
        row, column = self._place()
        padded = np.pad(np.array(self.x), self.padding)
        laid = self.laid
        top, left = self.stride * row, self.stride * column
        window = padded[top : top + laid.shape[0], left : left + laid.shape[1]]
        return list(zip(window.ravel().tolist(), laid.ravel().tolist(), strict=True))

    def _place(self) -> tuple[int, int]:
        rows, columns = self.output.shape
        row, column = divmod(min(self.position, rows * columns - 1), columns)
        return row, column

    def describe(self) -> str:
        """One line: the sizes, and the output at the window shown."""
        row, column = self._place()
        kind = "convolution" if self.flip else "cross-correlation"
        size = "×".join(map(str, np.shape(self.x)))
        value = f"{self.output[row, column]:.4g}".replace("-", "−")
        return f"ConvolutionByHand: {kind} of a {size} input, y[{row}, {column}] = {value}"


def matrix(name: str, value: Any, largest: int) -> list[list[float]]:
    """A matrix of finite numbers with sides from 1 to `largest`, as lists.

    Raises:
        ValueError: it is none.
    """
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0)
    if array.ndim != 2 or not all(1 <= n <= largest for n in array.shape):
        raise ValueError(
            f"{name} must be a matrix of numbers with 1 to {largest} rows and columns, "
            f"not {_kind(value)}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers only")
    rows: list[list[float]] = array.tolist()
    return rows


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {tuple(shape)}" if shape is not None else repr(value)[:60]


def _one_of(name: str, value: Any, allowed: tuple[int, ...]) -> int:
    if isinstance(value, bool) or value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}")
    return int(value)
