"""Two-dimensional convolution and pooling by hand, in NumPy, as chapter 1 derives them.

Arrays are indexed [row, column] and everything is computed in float64. What deep learning calls
convolution, and `torch.nn.Conv2d` computes, is `correlate2d` here; `convolve2d` turns the kernel
by 180° first. Source: chapter 1; Dumoulin & Visin (2016) for the sizes.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike


def _kernel(rows: ArrayLike) -> np.ndarray:
    kernel = np.array(rows, dtype=float)
    kernel.flags.writeable = False
    return kernel


_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0])

#: Classic kernels by name, as windows for `correlate2d`: 3×3, or 5×5 for the wider blurs.
KERNELS: Mapping[str, np.ndarray] = MappingProxyType(
    {
        "identity": _kernel([[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        "box blur": _kernel(np.full((3, 3), 1 / 9)),
        "box blur 5×5": _kernel(np.full((5, 5), 1 / 25)),
        "Gaussian blur": _kernel(np.outer([1, 2, 1], [1, 2, 1]) / 16),
        "Gaussian blur 5×5": _kernel(np.outer(_BINOMIAL, _BINOMIAL) / 256),
        "sharpen": _kernel([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        "emboss": _kernel([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
        "Sobel, left to right": _kernel([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        "Sobel, top to bottom": _kernel([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
        "the slide's window": _kernel([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]),
        "Laplacian": _kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    }
)


def output_size(n: int, k: int, *, padding: int = 0, stride: int = 1, dilation: int = 1) -> int:
    """Outputs along one axis: ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1, with n inputs and k weights.

    Raises:
        ValueError: a size, stride or dilation below 1, a negative padding, or a kernel that does
            not fit into the padded input.
    """
    for name, value, least in (
        ("n", n, 1), ("k", k, 1), ("padding", padding, 0), ("stride", stride, 1),
        ("dilation", dilation, 1),
    ):  # fmt: skip
        if value != int(value) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    reach = dilation * (k - 1) + 1
    if reach > n + 2 * padding:
        raise ValueError(
            f"the kernel spans {reach} pixels and does not fit into {n + 2 * padding}, "
            f"which is {n} with a padding of {padding} on both sides"
        )
    return int((n + 2 * padding - reach) // stride + 1)


def windows(
    x: ArrayLike, size: tuple[int, int], *, padding: int = 0, stride: int = 1, dilation: int = 1
) -> np.ndarray:
    """All windows of `size` = (rows, columns) that slide over the last two axes of x.

    …×H×W gives …×H'×W'×rows×columns; zeros are padded on all four sides. Raises what
    `output_size` does, and ValueError for fewer than two axes.
    """
    array = np.asarray(x, dtype=float)
    if array.ndim < 2:
        raise ValueError(
            f"expected an array of at least two axes, H×W; got one of shape {array.shape}"
        )
    for n, k in zip(array.shape[-2:], size, strict=True):
        output_size(n, k, padding=padding, stride=stride, dilation=dilation)
    frame = [(0, 0)] * (array.ndim - 2) + [(padding, padding)] * 2
    reach = tuple(dilation * (k - 1) + 1 for k in size)
    slid = sliding_window_view(np.pad(array, frame), reach, axis=(-2, -1))
    return slid[..., ::stride, ::stride, ::dilation, ::dilation]


def correlate2d(
    x: ArrayLike, h: ArrayLike, *, padding: int = 0, stride: int = 1, dilation: int = 1
) -> np.ndarray:
    """Cross-correlation y[r, c] = Σ x̃[s·r + d·a, s·c + d·b] · h[a, b], with x̃ the padded x.

    Args:
        x: one image H×W, or several …×H×W.
        h: the kernel, k_h×k_w.
        padding: rows and columns of zeros on each side.
        stride: the step s from one window to the next.
        dilation: the step d from one weight to the next.

    Returns:
        float64, …×H'×W' with the sizes that `output_size` gives.

    Raises:
        ValueError: the kernel has not two axes, or does not fit.
    """
    kernel = np.asarray(h, dtype=float)
    if kernel.ndim != 2:
        raise ValueError(f"expected a kernel of two axes, k_h×k_w; got one of shape {kernel.shape}")
    rows, columns = kernel.shape
    slid = windows(x, (rows, columns), padding=padding, stride=stride, dilation=dilation)
    result: np.ndarray = np.einsum("...ab,ab->...", slid, kernel)
    return result


def convolve2d(
    x: ArrayLike, h: ArrayLike, *, padding: int = 0, stride: int = 1, dilation: int = 1
) -> np.ndarray:
    """Convolution in the sense of mathematics: `correlate2d` with the kernel turned by 180°."""
    turned = np.flip(np.asarray(h, dtype=float))
    return correlate2d(x, turned, padding=padding, stride=stride, dilation=dilation)


def convolution_layer(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    padding: int = 0,
    stride: int = 1,
) -> np.ndarray:
    """What `torch.nn.Conv2d` computes: each filter is correlated with all channels, and summed.

    Args:
        x: one image of C channels, C×H×W.
        weight: K filters, K×C×k_h×k_w.
        bias: K numbers, one for each filter; none if not given.
        padding: as in `correlate2d`.
        stride: as in `correlate2d`.

    Returns:
        K feature maps, K×H'×W', float64.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    image, filters = np.asarray(x, dtype=float), np.asarray(weight, dtype=float)
    if image.ndim != 3 or filters.ndim != 4 or image.shape[0] != filters.shape[1]:
        raise ValueError(
            "expected an image C×H×W and filters K×C×k_h×k_w with the same C; "
            f"got {image.shape} and {filters.shape}"
        )
    count, _, rows, columns = filters.shape
    offset = np.zeros(count) if bias is None else np.asarray(bias, dtype=float)
    if offset.shape != (count,):
        raise ValueError(f"expected {count} biases, one for each filter; got {offset.shape}")
    slid = windows(image, (rows, columns), padding=padding, stride=stride)
    result: np.ndarray = np.einsum("cyxab,kcab->kyx", slid, filters, optimize=True)
    return result + offset[:, None, None]


def parameter_count(channels: int, filters: int, k: int, *, bias: bool = True) -> int:
    """Learnable numbers of `filters` k×k filters on `channels` channels: K·(C·k² + 1)."""
    return filters * (channels * k * k + bias)


def max_pool2d(x: ArrayLike, size: int, stride: int | None = None) -> np.ndarray:
    """The largest value in each size×size window of …×H×W; `stride` is `size` if not given."""
    slid = windows(x, (size, size), stride=size if stride is None else stride)
    result: np.ndarray = slid.max(axis=(-2, -1))
    return result


def average_pool2d(x: ArrayLike, size: int, stride: int | None = None) -> np.ndarray:
    """The mean of each size×size window of …×H×W; `stride` is `size` if not given."""
    slid = windows(x, (size, size), stride=size if stride is None else stride)
    result: np.ndarray = slid.mean(axis=(-2, -1))
    return result
