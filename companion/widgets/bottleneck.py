"""What an Inception module costs, branch by branch, live in the page (chapter 6)."""

from functools import cache
from typing import Any

import torch
import traitlets
from torch import nn

from companion.explain.costs import (
    SLIDE_WIDTHS,
    Branch,
    Cost,
    Widths,
    inception_branches,
    sum_costs,
)
from companion.models.googlenet import GoogLeNet, Inception
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import BoundedInt, whole_number

#: Smallest and largest value of each slider.
SIZE_RANGE = (4, 56)
DEPTH_RANGE = (16, 1024)
WIDTH_RANGE = (1, 384)


class BottleneckCounter(LiveWidget):
    """An Inception module drawn with its widths: multiplications, parameters and output depth.

    Args:
        size: side of the module's input in pixels, from 4 to 56.
        in_channels: its depth, from 16 to 1024.
        widths: the six widths (:class:`companion.explain.costs.Widths`), each from 1 to 384.
        bottlenecks: with the 1×1 convolutions before 3×3 and 5×5 and after the pooling, or without.
        five: window of the third branch, 5 as in the paper or 3 as in torchvision.
        title: heading of the widget.

    All but `title` may be set and observed from Python while the widget is on show;
    `BottleneckCounter.of(module, size)` takes a module of one's own.

    Raises:
        ValueError: an argument is outside its range.

    Source: chapter 6; Szegedy et al. (2015), figure 2 and table 1.
    """

    module = "bottleneck"

    size = BoundedInt(*SIZE_RANGE).tag(sync=True)
    in_channels = BoundedInt(*DEPTH_RANGE).tag(sync=True)
    widths = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=settings.several(settings.whole(*WIDTH_RANGE), len(Widths._fields))
    )
    bottlenecks = traitlets.Bool().tag(sync=True)
    five = traitlets.Int().tag(sync=True, setting=settings.whole(3, 5))
    presets = traitlets.List(traitlets.Dict()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        size: int = 28,
        in_channels: int = 256,
        widths: Widths | tuple[int, ...] = SLIDE_WIDTHS,
        *,
        bottlenecks: bool = True,
        five: int = 5,
        title: str = "What an Inception module costs",
    ) -> None:
        super().__init__(
            size=size,
            in_channels=in_channels,
            widths=list(widths),
            bottlenecks=bottlenecks,
            five=five,
            presets=module_presets(),
            title=str(title),
        )

    @classmethod
    def of(cls, module: Inception, size: int, **options: Any) -> "BottleneckCounter":
        """The widget for an Inception module of one's own, on images of size×size.

        Raises:
            TypeError: it is no :class:`companion.models.Inception`.
        """
        in_channels, widths, five = read_module(module)
        return cls(size, in_channels, widths, five=five, **options)

    @traitlets.validate("widths")
    def _check_widths(self, proposal: Any) -> list[int]:
        widths = list(proposal["value"])
        if len(widths) != len(Widths._fields):
            raise ValueError(
                f"widths must be the {len(Widths._fields)} numbers "
                f"({', '.join(Widths._fields)}), got {len(widths)}"
            )
        pairs = zip(Widths._fields, widths, strict=True)
        return [whole_number(name, width, *WIDTH_RANGE) for name, width in pairs]

    @traitlets.validate("five")
    def _check_five(self, proposal: Any) -> int:
        if proposal["value"] not in (3, 5):
            raise ValueError(f"five must be 5 or 3, not {proposal['value']!r}")
        five: int = proposal["value"]
        return five

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The four branches with the present widths."""
        return inception_branches(
            self.in_channels, Widths(*self.widths), bottlenecks=self.bottlenecks, five=self.five
        )

    @property
    def cost(self) -> Cost:
        """Multiplications and parameters of the whole module."""
        return sum_costs(branch.cost(self.size) for branch in self.branches)

    @property
    def output_depth(self) -> int:
        """Channels of the stacked output."""
        return sum(branch.out_channels for branch in self.branches)

    def describe(self) -> str:
        """One line: the input, and what the module costs."""
        how = "with" if self.bottlenecks else "without"
        return (
            f"BottleneckCounter: {self.size}×{self.size}×{self.in_channels}, {how} bottlenecks, "
            f"{self.cost.multiplications:,} multiplications, output depth {self.output_depth}"
        )


def read_module(module: nn.Module) -> tuple[int, Widths, int]:
    """(in_channels, widths, window of the third branch) of an Inception module.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(module, Inception):
        raise TypeError(
            f"a companion.models.Inception is expected, got a {type(module).__name__}: "
            "GoogLeNet().layers.inception3a is one."
        )
    convs = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    kernel = convs[4].kernel_size[0]
    return convs[0].in_channels, Widths(*(conv.out_channels for conv in convs)), kernel


def module_presets() -> list[dict[str, Any]]:
    """The slide's module without and with bottlenecks, then GoogLeNet's nine, as JSON can hold."""
    slide = {"size": 28, "in_channels": 256, "widths": list(SLIDE_WIDTHS), "five": 5}
    return [
        {"name": "slide, naive", **slide, "bottlenecks": False},
        {"name": "slide, with bottlenecks", **slide, "bottlenecks": True},
        *_googlenet(),
    ]


@cache
def _googlenet() -> tuple[dict[str, Any], ...]:
    with torch.device("meta"):
        model = GoogLeNet(auxiliary_heads=False).eval()
        x = torch.zeros(1, 3, model.size, model.size)
    presets = []
    for name, layer in model.layers.named_children():
        if isinstance(layer, Inception):
            in_channels, widths, five = read_module(layer)
            label = name.replace("inception", "GoogLeNet ")
            plan = {"size": x.shape[-1], "in_channels": in_channels, "widths": list(widths)}
            presets.append({"name": label, **plan, "five": five, "bottlenecks": True})
        x = layer(x)
    return tuple(presets)
