"""What a unit of a convolutional network can see, computed and measured (chapter 5).

A unit is one number of a feature map; its receptive field is the square of input pixels that it
depends on. Positions are integers along one axis, pixel 0 first; both axes go alike.
Source: Araujo, Norris & Sim (2019), "Computing receptive fields of convolutional neural networks".
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.explain.dependence import followed
from companion.explain.layers import Pair, Window

Paths = Sequence[Sequence["Window"]]


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


# ---------------------------------------------------------------- measured by gradients


def field_by_gradient(
    layers: nn.Module, image_size: Pair, unit: Pair | None = None, *, channels: int | None = None
) -> tuple[Pair, Pair]:
    """The pixels on which a unit of the last map depends, found by back-propagation.

    `layers` maps images to a map (or to a vector, of which all units count together); `image_size`
    is height and width, `unit` the row and column of the unit, the middle one if not given;
    `channels` those of the images, if not given those of the first convolution. The network's own
    `forward` runs, and the gradient is :func:`equal_gradient`'s: a pixel has one exactly if a path
    leads from it to the unit.

    Returns ((first row, last row), (first column, last column)), inside the image.
    Raises ValueError if the unit does not exist or depends on no pixel, and as
    :func:`equal_gradient` does.
    """
    gradient = equal_gradient(layers, image_size, unit, channels=channels)
    rows = gradient.sum(1).nonzero().flatten()
    columns = gradient.sum(0).nonzero().flatten()
    if not len(rows):
        raise ValueError(f"Unit {unit} depends on no pixel: it looks at padding alone.")
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


@torch.enable_grad()
def equal_gradient(
    layers: nn.Module, image_size: Pair, unit: Pair | None = None, *, channels: int | None = None
) -> Tensor:
    """The gradient of a unit with respect to the image, H×W, were all weights equal and positive.

    All nonlinearities are left out, so that nothing cancels and nothing is switched off;
    max-pooling becomes mean-pooling, the channels of a map one, and squeeze-and-excitation is left
    out, as are statistics that :func:`companion.explain.layers.register` leaves out. Arguments as
    in :func:`field_by_gradient`.

    Raises TypeError for a network that does something whose effect on positions is not known,
    naming layer and function, and ValueError if the unit does not exist or the network does not
    take such images.
    """
    image, y = followed(layers, image_size, channels)
    y = y.mean((0, 1)) if y.ndim == 4 else y.sum().view(1, 1)
    (gradient,) = torch.autograd.grad(y[_position(y, unit)], image)
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
