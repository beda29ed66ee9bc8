"""Residual networks (He, Zhang, Ren & Sun, 2015), for ImageNet and for 32×32 images, and the plain
networks that they are compared with.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from companion.models.classifier import (
    ImageClassifier,
    Standardise,
    check_choice,
    he_initialise,
)

# Blocks in conv2_x … conv5_x: table 1 of the paper.
_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class Residual(nn.Module):
    """A block that learns the residual F(x) = H(x) − x: x → ReLU(F(x) + shortcut(x)).

    `residual` is F, a sequence of layers without the last ReLU; `shortcut` is the identity, or what
    gives x the shape of F(x) where F changes it.
    """

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the shape of F(x)."""
        h: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return h


class PaddedShortcut(nn.Module):
    """The identity without parameters where a block changes the shape (the paper's option A).

    Every `stride`-th pixel of x, with channels of zeros appended up to `out_channels`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.missing = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×out_channels×⌈H/stride⌉×⌈W/stride⌉."""
        return functional.pad(
            x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing)
        )


def basic_layers(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Two 3×3 convolutions, the first with the stride: F of ResNet-18, 34 and the CIFAR nets."""
    return nn.Sequential(
        OrderedDict(
            conv1=_conv(in_channels, out_channels, 3, stride),
            bn1=nn.BatchNorm2d(out_channels),
            relu1=nn.ReLU(),
            conv2=_conv(out_channels, out_channels, 3),
            bn2=nn.BatchNorm2d(out_channels),
        )
    )


def bottleneck_layers(
    in_channels: int, channels: int, stride: int = 1, variant: str = "paper"
) -> nn.Sequential:
    """1×1 down to `channels`, 3×3, 1×1 up to 4·`channels`: F of ResNet-50, 101 and 152.

    The stride is in the first 1×1, which then skips three pixels in four ("paper"), or in the 3×3,
    which sees them all ("torchvision").
    """
    first, second = (stride, 1) if variant == "paper" else (1, stride)
    return nn.Sequential(
        OrderedDict(
            conv1=_conv(in_channels, channels, 1, first),
            bn1=nn.BatchNorm2d(channels),
            relu1=nn.ReLU(),
            conv2=_conv(channels, channels, 3, second),
            bn2=nn.BatchNorm2d(channels),
            relu2=nn.ReLU(),
            conv3=_conv(channels, 4 * channels, 1),
            bn3=nn.BatchNorm2d(4 * channels),
        )
    )


class ResNet(ImageClassifier):
    """ResNet-18, 34 (basic blocks), 50, 101 or 152 (bottleneck blocks), for ImageNet.

    `variant` says where a bottleneck block that halves the image has its stride: in the first 1×1
    ("paper") or in the 3×3 ("torchvision"). It changes the receptive field, not the 25,557,032
    parameters of ResNet-50; 18 and 34 are the same in both. Shortcuts are identities, and 1×1
    convolutions where the shape changes (the paper's option B). He initialisation. Images are
    N×in_channels×224×224, or other sizes from 32. Chapter 7.
    """

    def __init__(
        self,
        depth: int = 50,
        variant: str = "paper",
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        check_choice("depth", depth, _BLOCKS)
        check_choice("variant", variant, ("paper", "torchvision"))
        super().__init__(f"ResNet-{depth}", num_classes, in_channels, size=224, smallest=32)
        self.depth = depth
        self.variant = variant
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=_conv(in_channels, 64, 7, stride=2),  # 112×112
            bn1=nn.BatchNorm2d(64),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, stride=2, padding=1),  # 56×56
        )
        before = 64
        for stage, blocks in enumerate(_BLOCKS[depth], start=2):  # conv2_x: 56×56 … conv5_x: 7×7
            channels = 64 * 2 ** (stage - 2)
            for block in range(1, blocks + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                if depth < 50:
                    after = channels
                    residual = basic_layers(before, channels, stride)
                else:
                    after = 4 * channels
                    residual = bottleneck_layers(before, channels, stride, variant)
                same = stride == 1 and before == after
                shortcut = nn.Identity() if same else _projection(before, after, stride)
                layers[f"conv{stage}_{block}"] = Residual(residual, shortcut)
                before = after
        layers |= {
            "pool5": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(before, num_classes),
        }
        self.layers = nn.Sequential(layers)
        he_initialise(self)


class CifarResNet(ImageClassifier):
    """The residual nets for 32×32 images (paper, §4.2) or, with ``residual=False``, the plain ones.

    `depth` is 6n + 2 (20, 32, 44, 56, 110 in the paper): a 3×3 convolution, three stages of n
    blocks on maps of 32×32, 16×16 and 8×8, a dense layer. `width` scales the stages' 16, 32 and 64
    channels. Shortcuts have no parameters (option A), so a plain net has as many as its residual
    twin: 269,722 at depth 20. It holds the same layers, only that nothing is added to their
    output. He initialisation. `statistics`, the (means, standard deviations) of the channels of the
    training images, puts a layer in front that standardises. Images are N×in_channels×32×32, or
    other sizes from 8: 28×28 digits do. Chapter 7.
    """

    def __init__(
        self,
        depth: int = 20,
        residual: bool = True,
        num_classes: int = 10,
        in_channels: int = 3,
        width: float = 1.0,
        statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 (8, 14, 20, 32, 44, 56, 110 …), got {depth}.")
        stages = [round(16 * width), round(32 * width), round(64 * width)]
        if stages[0] < 1:
            raise ValueError(f"width must leave one channel or more of 16, got {width}.")
        title = f"ResNet-{depth}" if residual else f"plain-{depth}"
        super().__init__(title, num_classes, in_channels, size=32, smallest=8)
        self.depth = depth
        self.width = width
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            {} if statistics is None else {"standardise": Standardise(*statistics)}
        )
        layers |= OrderedDict(
            conv1=_conv(in_channels, stages[0], 3),
            bn1=nn.BatchNorm2d(stages[0]),
            relu1=nn.ReLU(),
        )
        before = stages[0]
        for stage, channels in enumerate(stages, start=2):
            for block in range(1, (depth - 2) // 6 + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                f = basic_layers(before, channels, stride)
                if residual:
                    same = stride == 1 and before == channels
                    shortcut = nn.Identity() if same else PaddedShortcut(before, channels, stride)
                    layers[f"conv{stage}_{block}"] = Residual(f, shortcut)
                else:
                    f.add_module("relu2", nn.ReLU())
                    layers[f"conv{stage}_{block}"] = f
                before = channels
        layers |= {
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(before, num_classes),
        }
        self.layers = nn.Sequential(layers)
        he_initialise(self)


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, up to its stride; no biases, since batch norm follows."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """A 1×1 convolution and batch norm: the shortcut where the shape changes (option B)."""
    return nn.Sequential(
        OrderedDict(
            conv=_conv(in_channels, out_channels, 1, stride),
            bn=nn.BatchNorm2d(out_channels),
        )
    )
