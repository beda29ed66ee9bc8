"""What a layer costs, counted by hand: multiplications for one image, and parameters.

A multiplication is what others call a MAC (multiply and accumulate): each comes with one addition.
Only convolutions and dense layers are counted, as papers do; normalising, pooling, activations and
the products of a gate cost little beside them. Chapters 6 and 8.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from companion.models.efficientnet import (
    B0_STAGES,
    Scaling,
    compound_scaling,
    scaled_channels,
    scaled_layers,
)


class Cost(NamedTuple):
    """Multiplications for one image, and parameters; costs add up with `+` and `sum_costs`."""

    multiplications: int
    parameters: int

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(
            self.multiplications + other.multiplications, self.parameters + other.parameters
        )


def sum_costs(costs: Iterable[Cost]) -> Cost:
    """The sum of any number of costs."""
    total = Cost(0, 0)
    for cost in costs:
        total += cost
    return total


def conv_cost(
    size: int, in_channels: int, out_channels: int, kernel: int, *, groups: int = 1, extra: int = 1
) -> Cost:
    """A convolution whose output is size×size×out_channels.

    Each output number takes kernel²·in_channels/groups multiplications. `extra` is the number of
    parameters beside the weights for each output channel: 1 for a bias, 2 for a batch normalisation
    in its place, 0 for neither.
    """
    _need_positive(
        size=size, in_channels=in_channels, out_channels=out_channels, kernel=kernel, groups=groups
    )
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups must divide in_channels and out_channels, got {groups} for {in_channels} "
            f"and {out_channels}."
        )
    weights = kernel**2 * (in_channels // groups) * out_channels
    return Cost(size**2 * weights, weights + extra * out_channels)


def depthwise_separable_cost(
    size: int, in_channels: int, out_channels: int, kernel: int, *, extra: int = 1
) -> Cost:
    """One filter for each channel, then a 1×1 convolution that mixes the channels (chapter 8).

    Source: Howard et al. (2017), "MobileNets", equation 5.
    """
    spatial = conv_cost(size, in_channels, in_channels, kernel, groups=in_channels, extra=extra)
    return spatial + conv_cost(size, in_channels, out_channels, 1, extra=extra)


# ------------------------------------------------------------------ an Inception module


class Widths(NamedTuple):
    """Output channels in an Inception module, in the order of the GoogLeNet paper's table 1."""

    ones: int
    reduce_threes: int
    threes: int
    reduce_fives: int
    fives: int
    pool_projection: int


class Conv(NamedTuple):
    """One convolution of a branch: its window and channels; the size of the image stays."""

    kernel: int
    in_channels: int
    out_channels: int


class Branch(NamedTuple):
    """One of the parallel paths: its convolutions in order, and the channels that it hands on."""

    name: str
    convs: tuple[Conv, ...]
    out_channels: int

    def cost(self, size: int) -> Cost:
        """On images of size×size, with biases."""
        return sum_costs(
            [conv_cost(size, c.in_channels, c.out_channels, c.kernel) for c in self.convs]
        )


#: The module on the lecture's slide, which is that of CS231n, on 28×28×256: bottlenecks to 64.
SLIDE_WIDTHS = Widths(128, 64, 192, 64, 96, 64)


def inception_branches(
    in_channels: int, widths: Widths, *, bottlenecks: bool = True, five: int = 5
) -> tuple[Branch, Branch, Branch, Branch]:
    """The four branches of an Inception module; their out_channels add up to its output depth.

    Without `bottlenecks` the 3×3 and 5×5 convolutions see all channels, and the pooling branch
    hands all of them on: it has no convolution. `five` is the window of the third branch: 5 in the
    paper, 3 in torchvision's network (pytorch/vision, issue 906). Chapter 6.
    """
    w, depth = Widths(*widths), in_channels
    _need_positive(in_channels=depth, **w._asdict())
    if five not in (3, 5):
        raise ValueError(f"five must be 5 (the paper's) or 3 (torchvision's), got {five!r}.")

    def reduced(width: int, kernel: int, out_channels: int) -> tuple[Conv, ...]:
        if not bottlenecks:
            return (Conv(kernel, depth, out_channels),)
        return Conv(1, depth, width), Conv(kernel, width, out_channels)

    pool = (Conv(1, depth, w.pool_projection),) if bottlenecks else ()
    return (
        Branch("1×1", (Conv(1, depth, w.ones),), w.ones),
        Branch("3×3", reduced(w.reduce_threes, 3, w.threes), w.threes),
        Branch(f"{five}×{five}", reduced(w.reduce_fives, five, w.fives), w.fives),
        Branch("pool", pool, w.pool_projection if bottlenecks else depth),
    )


# ------------------------------------------------------------------ EfficientNet


def mbconv_cost(
    size: int, in_channels: int, out_channels: int, *, expansion: int, kernel: int, stride: int = 1
) -> Cost:
    """An MBConv block with squeeze-and-excitation, on an input of size×size (chapter 8).

    1×1 up, depthwise, squeeze-and-excitation on a 1×1 image, 1×1 down; batch normalisation after
    each convolution, biases only in squeeze-and-excitation.
    """
    wide, after = expansion * in_channels, -(-size // stride)
    reduced = max(1, in_channels // 4)
    parts = [
        conv_cost(after, wide, wide, kernel, groups=wide, extra=2),
        conv_cost(1, wide, reduced, 1) + conv_cost(1, reduced, wide, 1),
        conv_cost(after, wide, out_channels, 1, extra=2),
    ]
    if expansion > 1:
        parts.append(conv_cost(size, in_channels, wide, 1, extra=2))
    return sum_costs(parts)


class StageCost(NamedTuple):
    """One of the nine stages of an EfficientNet, scaled.

    `size` is the side of its output in pixels; its last stage includes the dense layer.
    """

    operator: str
    layers: int
    channels: int
    size: int
    cost: Cost


def efficientnet_stages(scaling: Scaling, num_classes: int = 1000) -> tuple[StageCost, ...]:
    """The stages of the paper's table 1 after scaling, each with what it costs (chapter 8).

    js/maths/costs.js counts in the same way.
    """
    channels, size = scaled_channels(32, scaling.width), -(-scaling.resolution // 2)
    rows = [StageCost("Conv 3×3", 1, channels, size, conv_cost(size, 3, channels, 3, extra=2))]
    for stage in B0_STAGES:
        layers = scaled_layers(stage.layers, scaling.depth)
        after = scaled_channels(stage.channels, scaling.width)
        plan = {"expansion": stage.expansion, "kernel": stage.kernel}
        first = mbconv_cost(size, channels, after, stride=stage.stride, **plan)
        channels, size = after, -(-size // stage.stride)
        # All later blocks of a stage are alike.
        again = mbconv_cost(size, channels, channels, **plan)
        cost = Cost(*(a + (layers - 1) * b for a, b in zip(first, again, strict=True)))
        name = f"MBConv{stage.expansion} {stage.kernel}×{stage.kernel}"
        rows.append(StageCost(name, layers, channels, size, cost))
    last = 4 * channels
    head = conv_cost(size, channels, last, 1, extra=2) + conv_cost(1, last, num_classes, 1)
    return (*rows, StageCost("Conv 1×1, dense", 1, last, size, head))


def efficientnet_cost(scaling: Scaling, num_classes: int = 1000) -> Cost:
    """A whole EfficientNet: B0 costs 385,814,752 multiplications and 5,288,548 parameters."""
    return sum_costs([stage.cost for stage in efficientnet_stages(scaling, num_classes)])


def ways_to_scale(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> dict[str, Scaling]:
    """Compound scaling, and scaling in one dimension alone for about the same operations.

    A regular convolution's operations grow with depth, with width² and with resolution², so
    growing by g = (α·β²·γ²)^φ takes a depth of g, or a width or a resolution of √g. Chapter 8.
    """
    together = compound_scaling(phi, alpha, beta, gamma)
    growth = (alpha * beta**2 * gamma**2) ** phi
    root = math.sqrt(growth)
    dropout = together.dropout
    return {
        "compound": together,
        "depth": Scaling(1.0, growth, 224, dropout),
        "width": Scaling(root, 1.0, 224, dropout),
        "resolution": Scaling(1.0, 1.0, round(224 * root), dropout),
    }


def _need_positive(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number above 0, got {value!r}.")
