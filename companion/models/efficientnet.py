"""EfficientNet (Tan & Le, 2019): one small network, B0, and one rule that makes it larger."""

import math
from collections import OrderedDict
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.classifier import ImageClassifier, check_choice, he_initialise


class Scaling(NamedTuple):
    """How a network is scaled from B0.

    `width` multiplies the channels, `depth` the layers of a stage, `resolution` is the side of the
    images in pixels, `dropout` what is dropped before the dense layer.
    """

    width: float
    depth: float
    resolution: int
    dropout: float


def compound_scaling(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> Scaling:
    """Depth × α^φ, width × β^φ, resolution × γ^φ (paper, equation 3).

    Since α·β²·γ² ≈ 2, each step of φ doubles the operations. α, β and γ are what a search over
    small networks found best. Dropout grows evenly from 0.2 at φ = 0 to 0.5 at φ = 7.
    """
    return Scaling(beta**phi, alpha**phi, round(224 * gamma**phi), 0.2 + 0.3 * phi / 7)


# The coefficients of the published networks. They follow compound_scaling at φ = 0, ½, 1, 2, 3½, 5,
# 6, 7, rounded; only depth grows more slowly in the larger ones (B7: 3.1, where 1.2⁷ = 3.6).
SCALINGS = {
    "b0": Scaling(1.0, 1.0, 224, 0.2),
    "b1": Scaling(1.0, 1.1, 240, 0.2),
    "b2": Scaling(1.1, 1.2, 260, 0.3),
    "b3": Scaling(1.2, 1.4, 300, 0.3),
    "b4": Scaling(1.4, 1.8, 380, 0.4),
    "b5": Scaling(1.6, 2.2, 456, 0.4),
    "b6": Scaling(1.8, 2.6, 528, 0.5),
    "b7": Scaling(2.0, 3.1, 600, 0.5),
}

# Of EfficientNet-Lite, which keeps the stem, the head and the depth of its first and last stage.
LITE_SCALINGS = {
    "lite0": Scaling(1.0, 1.0, 224, 0.2),
    "lite1": Scaling(1.0, 1.1, 240, 0.2),
    "lite2": Scaling(1.1, 1.2, 260, 0.3),
    "lite3": Scaling(1.2, 1.4, 280, 0.3),
    "lite4": Scaling(1.4, 1.8, 300, 0.3),
}


class Stage(NamedTuple):
    """One line of table 1: `layers` MBConv blocks, the first with the stride."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    layers: int


# Stages 2 to 8 of B0. Before them a 3×3 convolution of 32 channels, after them a 1×1 one of 1280.
B0_STAGES = (
    Stage(expansion=1, kernel=3, stride=1, channels=16, layers=1),
    Stage(expansion=6, kernel=3, stride=2, channels=24, layers=2),
    Stage(expansion=6, kernel=5, stride=2, channels=40, layers=2),
    Stage(expansion=6, kernel=3, stride=2, channels=80, layers=3),
    Stage(expansion=6, kernel=5, stride=1, channels=112, layers=3),
    Stage(expansion=6, kernel=5, stride=2, channels=192, layers=4),
    Stage(expansion=6, kernel=3, stride=1, channels=320, layers=1),
)


class SqueezeExcitation(nn.Module):
    """Weigh the channels of x by what the whole image says: x → x · gate(x) (Hu et al., 2018).

    The gate squeezes each channel to its mean; two dense layers (1×1 convolutions on a 1×1 image),
    the first to `reduced` channels, then excite: one factor in (0, 1) for each channel.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            OrderedDict(
                squeeze=nn.AdaptiveAvgPool2d(1),
                fc1=nn.Conv2d(channels, reduced, 1),
                silu=nn.SiLU(),
                fc2=nn.Conv2d(reduced, channels, 1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the same shape."""
        weighed: Tensor = x * self.gate(x)
        return weighed


class StochasticDepth(nn.Module):
    """In training, replace whole images of the batch by 0, each with probability `p`, and scale the
    others by 1/(1 − p); in evaluation the identity (Huang et al., 2016).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the same shape."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.p
        return x * kept.to(x.dtype) / (1 - self.p)


class SamePadding(nn.Module):
    """Zeros around a map so that the `kernel` with this `stride` after it gives ⌈side/stride⌉.

    TensorFlow's "same": where their number is odd, one more comes after the last pixel than before
    the first. How many there are depends on the map's size.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def before_and_after(self, side: int) -> tuple[int, int]:
        """How many zeros are put before the first and after the last of `side` pixels."""
        total = max(0, (math.ceil(side / self.stride) - 1) * self.stride + self.kernel - side)
        return total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the same with a border."""
        height, width = x.shape[-2:]
        return F.pad(x, [*self.before_and_after(width), *self.before_and_after(height)])

    def extra_repr(self) -> str:
        """The numbers, for print(model)."""
        return f"kernel={self.kernel}, stride={self.stride}"


class MBConv(nn.Module):
    """A mobile inverted bottleneck (Sandler et al., 2018) with squeeze-and-excitation.

    1×1 up to `expansion` times the channels, a depthwise convolution (one filter for each channel),
    squeeze-and-excitation, 1×1 down again without a nonlinearity; then + x, where the shapes agree.
    `drop` is the probability that the block's own part is left out in training. The `lite` block
    has no squeeze-and-excitation, ReLU6 for SiLU, and TensorFlow's padding.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        kernel: int,
        stride: int = 1,
        drop: float = 0.0,
        batch_norm_eps: float = 1e-3,
        lite: bool = False,
    ) -> None:
        super().__init__()
        conv = partial(_conv, eps=batch_norm_eps, lite=lite)
        wide = expansion * in_channels
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            layers["expand"] = conv(in_channels, wide, 1)
        layers["depthwise"] = conv(wide, wide, kernel, stride, groups=wide)
        if not lite:
            # A quarter of the block's own input, not of the widened one.
            layers["squeeze_excitation"] = SqueezeExcitation(wide, max(1, in_channels // 4))
        layers["project"] = conv(wide, out_channels, 1, activation=False)
        self.has_shortcut = stride == 1 and in_channels == out_channels
        if self.has_shortcut:
            layers["stochastic_depth"] = StochasticDepth(drop)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels×⌈H/stride⌉×⌈W/stride⌉."""
        h: Tensor = self.layers(x)
        return x + h if self.has_shortcut else h


class EfficientNet(ImageClassifier):
    """EfficientNet-B0 … B7, B0 scaled in another way, or EfficientNet-Lite0 … Lite4.

    `scaling` is "b0" … "b7" (:data:`SCALINGS`) or a :class:`Scaling`, for example
    ``compound_scaling(phi=1.5)``, or "lite0" … "lite4" (:data:`LITE_SCALINGS`): the variant for
    phones and browsers, without squeeze-and-excitation, with ReLU6, TensorFlow's padding, and a
    stem and head that do not grow. Channels are rounded to multiples of 8, numbers of layers
    upwards. B0 has 5,288,548 parameters, B7 66,347,960, Lite0 4,652,008. Images are
    N×in_channels×H×W with the sides of the scaling's resolution, or other sizes from 32. In
    training, blocks are left out with a probability that grows with their depth from 0 to 0.2.
    `batch_norm_eps` is that of the authors'
    code. Chapter 8.
    """

    def __init__(
        self,
        scaling: str | Scaling = "b0",
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float | None = None,
        batch_norm_eps: float = 1e-3,
    ) -> None:
        if isinstance(scaling, str):
            known = SCALINGS | LITE_SCALINGS
            check_choice("scaling", scaling, known)
            lite = scaling in LITE_SCALINGS
            title, scaling = f"EfficientNet-{scaling.capitalize()}", known[scaling]
        else:
            title, lite = "This EfficientNet", False
            if min(scaling.width, scaling.depth) <= 0 or scaling.resolution < 32:
                raise ValueError(
                    "A scaling needs a width and a depth above 0 and a resolution of 32 or more, "
                    f"got {scaling}."
                )
        super().__init__(title, num_classes, in_channels, size=scaling.resolution, smallest=32)
        self.scaling = scaling
        self.lite = lite
        conv = partial(_conv, eps=batch_norm_eps, lite=lite)
        before = 32 if lite else scaled_channels(32, scaling.width)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stage1=conv(in_channels, before, 3, stride=2)
        )
        blocks = [scaled_layers(stage.layers, scaling.depth) for stage in B0_STAGES]
        if lite:
            blocks[0], blocks[-1] = B0_STAGES[0].layers, B0_STAGES[-1].layers
        done = 0
        for number, (stage, count) in enumerate(zip(B0_STAGES, blocks, strict=True), start=2):
            after = scaled_channels(stage.channels, scaling.width)
            for block in range(1, count + 1):
                layers[f"stage{number}_{block}"] = MBConv(
                    before,
                    after,
                    expansion=stage.expansion,
                    kernel=stage.kernel,
                    stride=stage.stride if block == 1 else 1,
                    drop=0.2 * done / sum(blocks),
                    batch_norm_eps=batch_norm_eps,
                    lite=lite,
                )
                before = after
                done += 1
        last = 1280 if lite else 4 * before  # 1280 in B0
        layers |= {
            "stage9": conv(before, last, 1),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "dropout": nn.Dropout(scaling.dropout if dropout is None else dropout),
            "fc": nn.Linear(last, num_classes),
        }
        self.layers = nn.Sequential(layers)
        he_initialise(self)


def scaled_channels(channels: int, width: float) -> int:
    """channels · width, rounded to a multiple of 8, but never down by more than a tenth."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def scaled_layers(layers: int, depth: float) -> int:
    """layers · depth, rounded up."""
    return math.ceil(layers * depth)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    *,
    eps: float,
    groups: int = 1,
    activation: bool = True,
    lite: bool,
) -> nn.Sequential:
    """A convolution that keeps the size (up to its stride), batch norm, and SiLU, x · sigmoid(x);
    in the `lite` networks ReLU6.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    padding = kernel // 2
    if lite and stride > 1:  # with stride 1 both ways of padding are one
        layers["pad"] = SamePadding(kernel, stride)
        padding = 0
    layers["conv"] = nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False
    )
    layers["bn"] = nn.BatchNorm2d(out_channels, eps=eps)
    if activation:
        layers |= {"relu6": nn.ReLU6()} if lite else {"silu": nn.SiLU()}
    return nn.Sequential(layers)
