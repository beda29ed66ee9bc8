"""What a unit of a convolutional network can see, computed and measured (chapter 5).

A unit is one number of a feature map; its receptive field is the square of input pixels that it
depends on. Positions are integers along one axis, pixel 0 first; both axes go alike.
Source: Araujo, Norris & Sim (2019), "Computing receptive fields of convolutional neural networks".
"""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.utils import _pair

from companion.models.efficientnet import SqueezeExcitation
from companion.models.resnet import PaddedShortcut

Pair = tuple[int, int]
Paths = Sequence[Sequence["Window"]]


class Window(NamedTuple):
    """A layer that slides a window, a convolution or a pooling, along one axis.

    `dilation` is the distance between neighbouring taps of the window; `padding` the zeros put
    before the first pixel.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Positions from the window's first tap to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def check(self) -> None:
        """Raise a ValueError that says what is wrong, if there is no such window."""
        least = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
        for (name, value), low in zip(self._asdict().items(), least.values(), strict=True):
            if not isinstance(value, int) or value < low:
                raise ValueError(f"A window's {name} must be an integer from {low}, got {value!r}.")


class Field(NamedTuple):
    """The receptive fields of all units of one layer, along one axis.

    Unit i sees the pixels from ``i · stride − padding`` on, `size` of them: neighbouring units look
    `stride` pixels apart (the *effective stride*), and the first unit begins `padding` pixels
    before the image (the *effective padding*). ``Field()`` is the input: each pixel sees itself.
    """

    size: int = 1
    stride: int = 1
    padding: int = 0

    @property
    def start(self) -> int:
        """The first pixel of unit 0; negative if it lies before the image."""
        return -self.padding

    def after(self, window: Window) -> "Field":
        """The fields one layer on: the recursion of chapter 5."""
        window.check()
        return Field(
            self.size + (window.extent - 1) * self.stride,
            self.stride * window.stride,
            self.padding + window.padding * self.stride,
        )

    def span(self, unit: int) -> Pair:
        """First and last pixel that unit `unit` sees, also outside of the image."""
        first = unit * self.stride - self.padding
        return first, first + self.size - 1

    def joined(self, other: "Field") -> "Field":
        """What a unit sees that adds or stacks two branches: from the earlier start to the later
        end.

        Raises ValueError if neighbours look different distances apart in the two branches: then no
        unit of one belongs to one of the other.
        """
        if self.stride != other.stride:
            raise ValueError(
                f"Branches that meet must have one effective stride, got {self.stride} and "
                f"{other.stride}."
            )
        start = min(self.start, other.start)
        end = max(self.span(0)[1], other.span(0)[1])
        return Field(end - start + 1, self.stride, -start)


def receptive_fields(windows: Iterable[Window]) -> list[Field]:
    """The field of the input and of each layer of a stack, by recursion: one more than `windows`.

    Raises ValueError for a window that is none.
    """
    fields = [Field()]
    for window in windows:
        fields.append(fields[-1].after(window))
    return fields


def closed_form(windows: Sequence[Window]) -> Field:
    """The field of the last layer of a stack without recursion.

    With j_l = s_1 ⋯ s_{l−1}, the stride of the input of layer l:
    size 1 + Σ d_l (k_l − 1) j_l, stride Π s_l, padding Σ p_l j_l.
    """
    j = [math.prod(w.stride for w in windows[:before]) for before in range(len(windows) + 1)]
    layers = list(zip(windows, j, strict=False))
    size = 1 + sum(w.dilation * (w.kernel - 1) * stride for w, stride in layers)
    return Field(size, j[-1], sum(w.padding * stride for w, stride in layers))


def random_stacks(count: int, *, largest: int, seed: int = 0) -> list[list[Window]]:
    """Stacks drawn at random, to check formulas on, with fields smaller than `largest` pixels.

    Each has 1 to 5 layers of kernel 1 to 5, stride 1 to 3, padding 0 to 2 and dilation 1 to 3.
    Raises ValueError unless `count` is 0 or more and `largest` above 1.
    """
    if count < 0 or largest < 2:
        raise ValueError(
            f"count must be 0 or more and largest 2 or more, got {count} and {largest}."
        )
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    stacks: list[list[Window]] = []
    while len(stacks) < count:
        number = draw(1, 5)
        stack = [Window(draw(1, 5), draw(1, 3), draw(0, 2), draw(1, 3)) for _ in range(number)]
        if closed_form(stack).size < largest:
            stacks.append(stack)
    return stacks


def windows_of(layer: nn.Module, map_size: Pair = (1, 1)) -> tuple[Window, Window] | None:
    """The windows of a layer, vertical and horizontal; None if it looks at single positions.

    `map_size` is the height and width of the layer's input: what an adaptive pooling to one
    position covers. Raises TypeError for a layer that slides no window over its input
    (up-sampling, transposed convolution, an adaptive pooling to more than one position).
    """
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    match layer:
        case PaddedShortcut():
            kernel, stride, padding, dilation = (1, 1), _pair(layer.stride), (0, 0), (1, 1)
        case nn.Conv2d():
            dilation, stride, kernel = layer.dilation, layer.stride, layer.kernel_size
            if layer.padding == "same":
                padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
            else:
                padding = (0, 0) if layer.padding == "valid" else _pair(layer.padding)
        case nn.MaxPool2d():
            kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
            padding, dilation = _pair(layer.padding), _pair(layer.dilation)
        case nn.AvgPool2d():
            kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
            padding, dilation = _pair(layer.padding), (1, 1)
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            if _pair(layer.output_size) != (1, 1):
                raise TypeError(
                    f"{layer} has windows of several sizes: only an adaptive pooling to one "
                    "position has a receptive field here."
                )
            kernel = stride = map_size
            padding, dilation = (0, 0), (1, 1)
        case nn.ConvTranspose2d() | nn.Upsample():
            raise TypeError(
                f"A {type(layer).__name__} makes its input larger: its units have no effective "
                "stride in whole pixels, so receptive fields end here."
            )
        case _:
            return None
    axes = zip(kernel, stride, padding, dilation, strict=True)
    vertical, horizontal = (Window(*map(int, axis)) for axis in axes)
    return vertical, horizontal


# ---------------------------------------------------------------- measured by gradients


class _Positive(nn.Module):
    """A layer's window over the mean of all channels, with equal positive weights."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean(1, keepdim=True)
        if isinstance(self.layer, nn.Linear):
            return x
        if isinstance(self.layer, nn.Conv2d):
            weight = x.new_ones(1, 1, *self.layer.kernel_size)
            y = functional.conv2d(
                x, weight / weight.numel(), None, self.layer.stride, self.layer.padding,
                self.layer.dilation,
            )  # fmt: skip
        elif isinstance(self.layer, nn.MaxPool2d):
            # The maximum hands its gradient to one pixel; the mean gives each its share. Counts
            # of what really lies in a window do the ceil_mode as well.
            y = functional.avg_pool2d(
                x, self.layer.kernel_size, self.layer.stride, self.layer.padding,
                self.layer.ceil_mode,
            )  # fmt: skip
        else:
            y = self.layer(x)
        return y


def _positive(module: nn.Module) -> nn.Module:
    """A copy of the network in which nothing cancels and nothing is switched off."""
    if isinstance(module, nn.Flatten):
        return nn.Flatten()
    if isinstance(module, PaddedShortcut):
        return nn.AvgPool2d(1, module.stride)
    if isinstance(module, nn.Linear) or windows_of(module) is not None:
        return _Positive(module)
    children = list(module.named_children())
    if not children or isinstance(module, SqueezeExcitation):
        return nn.Identity()
    twin = copy.copy(module)
    twin._modules = {name: _positive(child) for name, child in children}
    return twin


def field_by_gradient(
    layers: nn.Module, image_size: Pair, unit: Pair | None = None
) -> tuple[Pair, Pair]:
    """The pixels on which a unit of the last map depends, found by back-propagation.

    `layers` maps images to a map (or to a vector, by dense layers); `image_size` is height and
    width, `unit` the row and column of the unit, the middle one if not given. The gradient is
    :func:`equal_gradient`'s, so a pixel has one exactly if a path leads from it to the unit.

    Returns ((first row, last row), (first column, last column)), inside the image.
    Raises ValueError if the unit does not exist.
    """
    gradient = equal_gradient(layers, image_size, unit)
    rows = gradient.sum(1).nonzero().flatten()
    columns = gradient.sum(0).nonzero().flatten()
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def equal_gradient(layers: nn.Module, image_size: Pair, unit: Pair | None = None) -> Tensor:
    """The gradient of a unit with respect to the image, H×W, were all weights equal and positive.

    All nonlinearities are left out, so that nothing cancels and nothing is switched off;
    max-pooling becomes mean-pooling, all channels one, and squeeze-and-excitation is left out.
    Arguments and errors as in :func:`field_by_gradient`.
    """
    x = torch.ones(1, 1, *image_size, dtype=torch.float64, requires_grad=True)
    y = _positive(layers)(x)
    y = y.sum(1) if y.ndim == 4 else y.sum().view(1, 1, 1)
    (gradient,) = torch.autograd.grad(y[0][_position(y, unit)], x)
    return gradient[0, 0]


def squared_gradient(layers: nn.Module, images: Tensor, unit: Pair | None = None) -> Tensor:
    """The effective receptive field of a network as it is: ∂y/∂x squared, H×W.

    y is the first channel of `unit` (row, column; the middle one if not given) in the last map;
    the square of its gradient is averaged over the images N×C×H×W and summed over their channels.
    With random weights the gradient itself averages out to 0, its square does not (Luo et al.,
    2016). Raises ValueError if the unit does not exist.
    """
    x = images.detach().clone().requires_grad_()
    y = layers(x)
    row, column = _position(y, unit)
    (gradient,) = torch.autograd.grad(y[:, 0, row, column].sum(), x)
    return gradient.square().mean(0).sum(0)


def _position(y: Tensor, unit: Pair | None) -> Pair:
    height, width = y.shape[-2:]
    row, column = (height // 2, width // 2) if unit is None else unit
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"There is no unit {(row, column)} in a map of {height}×{width}.")
    return row, column


# ---------------------------------------------------------------- how much each pixel counts


def path_weights(layers: Iterable[Paths]) -> Tensor:
    """How much each pixel of its field counts for a unit, along one axis, were all weights equal.

    `layers` are from the input on; each is the list of its parallel paths, each path the list of
    its windows. Float64, as long as the field, with the sum 1. For a plain stack this is the
    share of all paths from input to unit that begin at each pixel, k boxes folded into one
    another, which tends to a Gaussian; and it is also the shape of :func:`squared_gradient` for
    random weights.
    """
    weights, first = torch.ones(1, dtype=torch.float64), 0
    for paths in reversed(list(layers)):
        ends = [_down(path, weights, first) for path in paths]
        first = min(begin for _, begin in ends)
        total = torch.zeros(max(b + len(w) for w, b in ends) - first, dtype=torch.float64)
        for one, begin in ends:
            total[begin - first : begin - first + len(one)] += one
        weights = total / len(paths)
    return weights / weights.sum()


def _down(path: Sequence[Window], weights: Tensor, first: int) -> tuple[Tensor, int]:
    """From weights of a path's outputs, the first of them at `first`, to those of its inputs."""
    for window in reversed(path):
        spread = torch.zeros((len(weights) - 1) * window.stride + window.extent).double()
        for tap in range(window.kernel):
            begin = tap * window.dilation
            spread[begin : begin + (len(weights) - 1) * window.stride + 1 : window.stride] += (
                weights / window.kernel
            )
        weights, first = spread, first * window.stride - window.padding
    return weights, first


def spread_of(weights: Tensor) -> float:
    """Standard deviation, in pixels, of where weights with sum 1 lie."""
    at = torch.arange(len(weights), dtype=weights.dtype)
    mean = (weights * at).sum()
    return float((weights * (at - mean) ** 2).sum().sqrt())
