"""What a unit of a network sees of the image, live in the page (chapter 5)."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor, nn

from companion.datasets import load_images
from companion.explain.layer_table import Layer, layer_table
from companion.explain.receptive_field import (
    Field,
    Pair,
    Window,
    path_weights,
    spread_of,
)
from companion.figures import to_uint8
from companion.models import VGG, AlexNet, GoogLeNet, ImageClassifier, ResNet
from companion.widgets import settings
from companion.widgets.base import LiveWidget

#: Name of the network that the sliders build, and the side of its images in pixels.
STACK, STACK_SIZE = "a stack of your own", 32
#: Largest kernel, stride and dilation of its layers, and how many layers it has at most.
LARGEST = {"kernel": 7, "stride": 3, "dilation": 3}
DEEPEST = 6
# What an address may say of a layer: (kernel, stride, padding, dilation).
_WINDOW = settings.each(
    settings.whole(1, LARGEST["kernel"]),
    settings.whole(1, LARGEST["stride"]),
    settings.whole(0, LARGEST["dilation"] * (LARGEST["kernel"] - 1) // 2),
    settings.whole(1, LARGEST["dilation"]),
)
_PHOTO = 224


class ReceptiveField(LiveWidget):
    """The receptive field of any unit of any layer, beside a section of the network and on a photo.

    Args:
        networks: by name, what to choose from besides the stack: an `ImageClassifier`, or a pair of
            an `nn.Sequential` and the (C, H, W) of its images, H = W. None: AlexNet, VGG-16,
            GoogLeNet and ResNet-50 as published and as in torchvision.
        image: C×H×W or 1×C×H×W, uint8 or floats in [0, 1], to look at; None: a cat.
        stack: the layers of the stack, at most 6.
        network: which one is on show: a name of `networks`, or "a stack of your own".
        layer: number of the layer of the unit, from 1; None: the last.
        unit: row and column of the unit in that layer's map; None: the middle.
        title: heading of the widget.

    `stack`, `network`, `layer` and `unit` may be set and observed from Python while the widget is
    on show; a layer or unit that does not exist becomes the last one.

    Raises:
        ValueError: an argument is outside its range.
        TypeError: a network that :func:`companion.explain.layer_table.layer_table` cannot read.

    Source: chapter 5; Araujo et al. (2019); for the weights, Luo et al. (2016).
    """

    module = "receptive_field"

    networks = traitlets.List(traitlets.Dict()).tag(sync=True)
    stack = traitlets.List(traitlets.List(traitlets.Int())).tag(
        sync=True, setting=settings.several(_WINDOW, 1, DEEPEST)
    )
    network = traitlets.Unicode().tag(
        sync=True, setting=lambda w: settings.words([STACK, *(net["name"] for net in w.networks)])
    )
    layer = traitlets.Int().tag(sync=True, setting=settings.whole(1, 1000))
    unit = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=settings.several(settings.whole(0, 1000), 2)
    )
    photo = traitlets.Unicode().tag(sync=True)
    small_photo = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        networks: Mapping[str, Any] | None = None,
        *,
        image: Any = None,
        stack: Sequence[Window] = (Window(3, 1, 1), Window(3, 1, 1), Window(3, 1, 1)),
        network: str = STACK,
        layer: int | None = None,
        unit: Pair | None = None,
        title: str = "What a unit sees",
    ) -> None:
        known = _published() if networks is None else dict(networks)
        names = [STACK, *known]
        if network not in names:
            raise ValueError(
                f"network must be one of {', '.join(map(repr, names))}, not {network!r}"
            )
        pixels = _pixels(image)
        super().__init__(
            networks=[_network(str(name), model) for name, model in known.items()],
            stack=[list(window) for window in stack],
            network=str(network),
            layer=10**6 if layer is None else layer,
            photo=_data_url(pixels, _PHOTO),
            small_photo=_data_url(pixels, STACK_SIZE),
            title=str(title),
        )
        count = self.map_size
        self.unit = [(count - 1) // 2] * 2 if unit is None else list(unit)

    # ------------------------------------------------------------ numbers

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The layers of the network on show: name, kind, paths (lists of windows), side of the
        map. The stack ends before a layer whose window is larger than the map before it.
        """
        if self.network == STACK:
            return _stack_layers([Window(*window) for window in self.stack])
        return next(net["layers"] for net in self.networks if net["name"] == self.network)

    @property
    def image_size(self) -> int:
        """Side of the image in pixels."""
        if self.network == STACK:
            return STACK_SIZE
        return next(net["size"] for net in self.networks if net["name"] == self.network)

    @property
    def map_size(self) -> int:
        """Units along a side of the layer's map."""
        return self.layers[self.layer - 1]["size"]

    @property
    def field(self) -> Field:
        """Size, effective stride and effective padding of the layer's receptive fields."""
        field = Field()
        for layer in self.layers[: self.layer]:
            ends = []
            for path in layer["paths"]:
                end = field
                for window in path:
                    end = end.after(Window(*window))
                ends.append(end)
            field = ends[0]
            for end in ends[1:]:
                field = field.joined(end)
        return field

    @property
    def spans(self) -> tuple[Pair, Pair]:
        """((first row, last row), (first column, last column)) that the unit sees."""
        row, column = self.unit
        return self.field.span(row), self.field.span(column)

    @property
    def overlap(self) -> int:
        """Pixels along a side that a unit shares with its neighbour."""
        return max(0, self.field.size - self.field.stride)

    @property
    def outside(self) -> float:
        """Share of the unit's field, 0 … 1, that lies outside of the image."""
        inside = 1
        for first, last in self.spans:
            inside *= max(0, min(last, self.image_size - 1) - max(first, 0) + 1)
        return 1 - inside / self.field.size**2

    @property
    def weights(self) -> Tensor:
        """How much each pixel of the field counts along one axis, were all weights equal."""
        layers = self.layers[: self.layer]
        return path_weights(
            [[[Window(*w) for w in path] for path in layer["paths"]] for layer in layers]
        )

    @property
    def spread(self) -> float:
        """Standard deviation of `weights`, in pixels."""
        return spread_of(self.weights)

    # ------------------------------------------------------------ checks

    @traitlets.validate("stack")
    def _check_stack(self, proposal: Any) -> list[list[int]]:
        stack: list[list[int]] = proposal["value"]
        if not 1 <= len(stack) <= DEEPEST:
            raise ValueError(f"stack must have 1 to {DEEPEST} layers, not {len(stack)}")
        for given in stack:
            if not 1 <= len(given) <= 4:
                raise ValueError(
                    f"a layer of the stack is (kernel, stride, padding, dilation), not {given}"
                )
            window = Window(*given)
            window.check()
            for name, most in LARGEST.items():
                if getattr(window, name) > most:
                    raise ValueError(
                        f"{name} must be at most {most} in the stack, not {getattr(window, name)}"
                    )
        if not _stack_layers([Window(*window) for window in stack]):
            raise ValueError(
                f"the first window of the stack must fit into {STACK_SIZE} pixels, {stack[0]} "
                "does not"
            )
        return [list(Window(*window)) for window in stack]

    @traitlets.validate("network")
    def _check_network(self, proposal: Any) -> str:
        name: str = proposal["value"]
        names = [STACK, *(net["name"] for net in self.networks)]
        if name not in names:
            raise ValueError(f"network must be one of {', '.join(map(repr, names))}, not {name!r}")
        return name

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        layer: int = proposal["value"]
        if layer < 1:
            raise ValueError(f"layer must be 1 or more, not {layer}")
        return min(layer, len(self.layers))

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> list[int]:
        unit: list[int] = proposal["value"]
        if len(unit) != 2 or min(unit) < 0:
            raise ValueError(f"unit must be a row and a column, 0 or more, not {unit}")
        return [min(place, self.map_size - 1) for place in unit]

    @traitlets.observe("network", "stack", "layer")
    def _stay_inside(self, _: Any) -> None:
        if self.unit:
            self.layer = self.layer  # validation does the rest
            self.unit = [min(place, self.map_size - 1) for place in self.unit]

    # ------------------------------------------------------------ looks

    def describe(self) -> str:
        """One line: the unit, and what it sees."""
        size, stride, _ = self.field
        return (
            f"ReceptiveField: {self.network}, layer {self.layer} ({self._name}), unit "
            f"{tuple(self.unit)} sees {size}×{size} pixels, neighbours {stride} apart"
        )

    @property
    def _name(self) -> str:
        return str(self.layers[self.layer - 1]["name"])


def _published() -> dict[str, ImageClassifier]:
    with torch.device("meta"):
        return {
            "AlexNet": AlexNet(),
            "VGG-16": VGG(16),
            "GoogLeNet": GoogLeNet(auxiliary_heads=False),
            "ResNet-50, stride in the 1×1 (paper)": ResNet(50),
            "ResNet-50, stride in the 3×3 (torchvision)": ResNet(50, "torchvision"),
        }


def _network(name: str, given: Any) -> dict[str, Any]:
    """What the page needs of a network: its layers that slide windows over maps."""
    if isinstance(given, ImageClassifier):
        model: nn.Module = given
        shape: tuple[int, ...] = (given.in_channels, given.size, given.size)
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], nn.Module):
        model, shape = given
    else:
        raise TypeError(
            f"network {name!r} must be an ImageClassifier, or a pair of an nn.Sequential and the "
            f"shape (C, H, W) of its images, not a {type(given).__name__}"
        )
    if name == STACK:
        raise ValueError(f"{STACK!r} is the name of the stack; give network another")
    table = layer_table(model, shape)
    layers = [_layer(name, row) for row in _seeing(table)]
    if shape[1] != shape[2] or not layers:
        raise ValueError(
            f"network {name!r} needs square images and a layer with a window, got images of "
            f"{shape[1]}×{shape[2]} and {len(layers)} such layers"
        )
    return {"name": name, "size": shape[1], "layers": layers}


def _seeing(rows: Iterable[Layer]) -> list[Layer]:
    """Rows that change what a unit sees, or mix channels, and still give a map."""
    return [
        row
        for row in rows
        if len(row.output_shape) == 3
        and row.output_shape[1] > 1
        and (row.multiplications or row.fields != row.input_fields)
    ]


def _layer(name: str, row: Layer) -> dict[str, Any]:
    if row.fields[0] != row.fields[1]:
        raise ValueError(f"layer {row.name} of network {name!r} has windows that are not square")
    paths = [[list(window) for window in path] for path in row.paths]
    return {"name": row.name, "kind": row.kind, "paths": paths, "size": row.output_shape[1]}


def _stack_layers(stack: Sequence[Window]) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = []
    side = STACK_SIZE
    for number, window in enumerate(stack, start=1):
        side = (side + 2 * window.padding - window.extent) // window.stride + 1
        if side < 1:
            break
        layers.append(
            {
                "name": f"layer {number}",
                "kind": "",
                "paths": [[list(window)]],
                "size": side,
            }
        )
    return layers


def _pixels(image: Any) -> np.ndarray:
    """H×W×3 uint8."""
    if image is None:
        return to_uint8(load_images("photos", size=2).images[1:])[0]
    tensor = torch.as_tensor(image)
    pixels = to_uint8(tensor if tensor.ndim == 4 else tensor.unsqueeze(0))
    if len(pixels) != 1:
        raise ValueError(f"image must be one image, not {len(pixels)}")
    return pixels[0]


def _data_url(pixels: np.ndarray, side: int) -> str:
    """The square in the middle of an image, resized, as a data: URL."""
    height, width = pixels.shape[:2]
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    square = Image.fromarray(pixels[top : top + cut, left : left + cut])
    buffer = io.BytesIO()
    kind = "png" if side == STACK_SIZE else "jpeg"
    square.resize((side, side), Image.Resampling.LANCZOS).save(buffer, kind, quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
