"""GoogLeNet (Szegedy et al., 2014; CVPR 2015): Inception modules and auxiliary classifiers."""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.models.classifier import ImageClassifier, check_choice, he_initialise


class GoogLeNetOutput(NamedTuple):
    """What GoogLeNet gives in training: three times N×num_classes.

    The paper's loss is that of `logits` plus 0.3 times that of each auxiliary head.
    """

    logits: Tensor
    auxiliary1: Tensor
    auxiliary2: Tensor


class Inception(nn.Module):
    """Four parallel paths over one input, their outputs stacked in depth (paper, figure 2b).

    1×1; 1×1 then 3×3; 1×1 then 5×5; 3×3 max-pooling then 1×1. The 1×1 convolutions before the
    larger ones ("reduce") are what keeps them cheap. Arguments are output channels, in the order
    of the paper's table 1; all paths keep the size of the image, and the output has
    ones + threes + fives + pool_projection channels. `variant` as in :class:`GoogLeNet`.
    """

    def __init__(
        self,
        in_channels: int,
        ones: int,
        reduce_threes: int,
        threes: int,
        reduce_fives: int,
        fives: int,
        pool_projection: int,
        variant: str = "paper",
    ) -> None:
        super().__init__()
        # torchvision's weights come from a network with 3×3 here (pytorch/vision, issue 906).
        five = 3 if variant == "torchvision" else 5
        self.path1x1 = _conv(in_channels, ones, 1, variant=variant)
        self.path3x3 = nn.Sequential(
            OrderedDict(
                reduce=_conv(in_channels, reduce_threes, 1, variant=variant),
                conv=_conv(reduce_threes, threes, 3, variant=variant),
            )
        )
        self.path5x5 = nn.Sequential(
            OrderedDict(
                reduce=_conv(in_channels, reduce_fives, 1, variant=variant),
                conv=_conv(reduce_fives, fives, five, variant=variant),
            )
        )
        self.path_pool = nn.Sequential(
            OrderedDict(
                pool=nn.MaxPool2d(3, stride=1, padding=1),
                project=_conv(in_channels, pool_projection, 1, variant=variant),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """N×in_channels×H×W → N×(sum of the four paths)×H×W."""
        paths = (self.path1x1, self.path3x3, self.path5x5, self.path_pool)
        return torch.cat([path(x) for path in paths], dim=1)


class GoogLeNet(ImageClassifier):
    """Nine Inception modules between a short stem and one dense layer; 22 layers with weights.

    `variant` is "paper" (true 5×5 convolutions, biases, local response normalisation in the stem:
    6,998,552 parameters) or "torchvision" (3×3 in place of 5×5, batch normalisation after every
    convolution: 6,624,904). With `auxiliary_heads`, two small classifiers of another 6.4 million
    sit on inception4a and inception4d and inject gradient there: in training mode the network then
    needs 224×224 images and returns a :class:`GoogLeNetOutput`; in evaluation mode the heads rest,
    and it returns logits like all others. Images are N×in_channels×224×224, or other sizes from 32
    where the heads are not in use. Chapter 6.
    """

    def __init__(
        self,
        variant: str = "paper",
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.4,
        auxiliary_heads: bool = True,
    ) -> None:
        check_choice("variant", variant, ("paper", "torchvision"))
        super().__init__("GoogLeNet", num_classes, in_channels, size=224, smallest=32)
        self.variant = variant
        paper = variant == "paper"
        # The numbers of an Inception module: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj.
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=_conv(in_channels, 64, 7, stride=2, variant=variant),  # 112×112×64
                pool1=_pool(3),  # 56×56×64
                **({"norm1": _norm()} if paper else {}),
                conv2_reduce=_conv(64, 64, 1, variant=variant),
                conv2=_conv(64, 192, 3, variant=variant),  # 56×56×192
                **({"norm2": _norm()} if paper else {}),
                pool2=_pool(3),  # 28×28×192
                inception3a=Inception(192, 64, 96, 128, 16, 32, 32, variant),  # 28×28×256
                inception3b=Inception(256, 128, 128, 192, 32, 96, 64, variant),  # 28×28×480
                pool3=_pool(3),  # 14×14×480
                inception4a=Inception(480, 192, 96, 208, 16, 48, 64, variant),  # 14×14×512
                inception4b=Inception(512, 160, 112, 224, 24, 64, 64, variant),  # 14×14×512
                inception4c=Inception(512, 128, 128, 256, 24, 64, 64, variant),  # 14×14×512
                inception4d=Inception(512, 112, 144, 288, 32, 64, 64, variant),  # 14×14×528
                inception4e=Inception(528, 256, 160, 320, 32, 128, 128, variant),  # 14×14×832
                pool4=_pool(3 if paper else 2),  # 7×7×832
                inception5a=Inception(832, 256, 160, 320, 32, 128, 128, variant),  # 7×7×832
                inception5b=Inception(832, 384, 192, 384, 48, 128, 128, variant),  # 7×7×1024
                pool5=nn.AdaptiveAvgPool2d(1),  # 1×1×1024
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                fc=nn.Linear(1024, num_classes),
            )
        )
        # Not among the layers: each hangs on the output of the one whose name it bears.
        self.heads = nn.ModuleDict()
        if auxiliary_heads:
            self.heads["inception4a"] = _auxiliary_head(512, num_classes, variant)
            self.heads["inception4d"] = _auxiliary_head(528, num_classes, variant)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutput:  # type: ignore[override]
        """Images x → logits N×num_classes; in training with heads, a :class:`GoogLeNetOutput`."""
        if not (self.training and self.heads):
            return super().forward(x)
        self.check(x)
        if x.shape[2:] != (self.size, self.size):
            raise ValueError(
                f"GoogLeNet's auxiliary heads need images of {self.size}×{self.size} pixels in "
                f"training, got {x.shape[2]}×{x.shape[3]}: for other sizes, build it with "
                "auxiliary_heads=False."
            )
        auxiliary = []
        for name, layer in self.layers.named_children():
            x = layer(x)
            if name in self.heads:
                auxiliary.append(self.heads[name](x))
        return GoogLeNetOutput(x, *auxiliary)


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, variant: str
) -> nn.Sequential:
    """A convolution that keeps the size (up to its stride), and what follows each: a ReLU."""
    batch_norm = variant == "torchvision"
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=not batch_norm
    )
    norm = {"bn": nn.BatchNorm2d(out_channels, eps=1e-3)} if batch_norm else {}
    return nn.Sequential(OrderedDict(conv=conv, **norm, relu=nn.ReLU()))


def _pool(kernel: int) -> nn.MaxPool2d:
    """Halve the image; `ceil_mode` rounds up, so that 112 → 56 with 3×3 windows without padding."""
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def _norm() -> nn.LocalResponseNorm:
    # The paper (figure 3) leaves the constants out; torch's defaults are those of Caffe's copy.
    return nn.LocalResponseNorm(5)


def _auxiliary_head(in_channels: int, num_classes: int, variant: str) -> nn.Sequential:
    """The slide's AvgPool – 1×1 Conv – FC – FC on 14×14 maps (softmax is in the loss)."""
    pool = nn.AvgPool2d(5, stride=3) if variant == "paper" else nn.AdaptiveAvgPool2d(4)
    return nn.Sequential(
        OrderedDict(
            pool=pool,  # 4×4
            conv=_conv(in_channels, 128, 1, variant=variant),
            flatten=nn.Flatten(),
            fc1=nn.Linear(4 * 4 * 128, 1024),
            relu=nn.ReLU(),
            dropout=nn.Dropout(0.7),
            fc2=nn.Linear(1024, num_classes),
        )
    )
