"""Any network, layer by layer, live in the page (chapters 4 to 8)."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import traitlets
from torch import nn
from torch.nn.modules.utils import _pair

from companion.explain.layer_table import Layer, LayerTable, layer_table, paths
from companion.explain.layers import Window, parts_of
from companion.models import (
    VGG,
    AlexNet,
    DigitCNN,
    EfficientNet,
    GoogLeNet,
    ImageClassifier,
    ResNet,
)
from companion.models.efficientnet import SqueezeExcitation
from companion.widgets import settings
from companion.widgets.base import LiveWidget

LARGEST = 512
"""Side in pixels of the largest image on the slider, for networks made for less than that."""


def lecture_networks() -> dict[str, ImageClassifier]:
    """The networks of the lecture and this book's DigitCNN, by name, on the meta device."""
    with torch.device("meta"):
        return {
            "AlexNet, the slide": AlexNet(),
            "AlexNet, the paper (2 GPUs)": AlexNet("paper"),
            "AlexNet, torchvision": AlexNet("torchvision"),
            "VGG-16": VGG(),
            "GoogLeNet": GoogLeNet(auxiliary_heads=False),
            "ResNet-18": ResNet(18),
            "ResNet-50": ResNet(50),
            "EfficientNet-B0": EfficientNet(),
            "DigitCNN": DigitCNN(),
        }


class NetworkExplorer(LiveWidget):
    """Shapes, parameters, multiplications and receptive fields of networks, layer by layer.

    Args:
        models: a model, or a mapping from names to models: each an `ImageClassifier` or another
            network that `layer_table` takes. The networks of the lecture if not given. Only their
            structure is read, so models on the meta device will do.
        image_shape: (C, H, W) of the images, for models that don't say it (an `nn.Sequential`).
        network: name of the network that is shown first; the first one if not given.
        layer: path of the layer that is selected first, such as "inception3a.path5x5".
        title: heading of the widget.

    Attributes:
        network, layer, size: what is on show; `size` is the side of the images in pixels. They may
            be set and observed.

    `table()` has the numbers on show. The front end computes them with rules of its own, also for
    sizes that a network does not take: it then shows at which layer the network breaks.

    Raises:
        ValueError: a network, layer or size that is not there, or images that a network does not
            take. TypeError: a model of which `layer_table` can't tell the order.

    Source: chapters 4 to 8; companion.explain.layer_table.
    """

    module = "network_explorer"

    networks = traitlets.List(traitlets.Dict()).tag(sync=True)
    network = traitlets.Unicode().tag(
        sync=True, setting=lambda w: settings.words([net["name"] for net in w.networks])
    )
    layer = traitlets.Unicode().tag(
        sync=True,
        setting=lambda w: settings.words(
            sorted({node["name"] for net in w.networks for node in _walk(net["layers"])})
        ),
    )
    size = traitlets.Int().tag(sync=True, setting=settings.whole(8, LARGEST))
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        models: nn.Module | Mapping[str, nn.Module] | None = None,
        *,
        image_shape: tuple[int, int, int] | None = None,
        network: str | None = None,
        layer: str | None = None,
        title: str = "A network, layer by layer",
    ) -> None:
        if models is None:
            models = lecture_networks()
        elif isinstance(models, nn.Module):
            models = {getattr(models, "title", type(models).__name__): models}
        if not models:
            raise ValueError("models must name at least one network, got none")
        self._networks = {str(name): model for name, model in models.items()}
        described, self._tables = [], {}
        for name, model in self._networks.items():
            shape = image_shape or getattr(model, "image_shape", None)
            if shape is None:
                raise ValueError(
                    f"image_shape is needed: {name}, a {type(model).__name__}, does not say for "
                    "which images (C, H, W) it is made"
                )
            table = layer_table(model, shape)
            self._tables[name] = table
            described.append(_describe(name, model, shape, table))
        network = next(iter(self._networks)) if network is None else network
        self._check_name(network)
        if layer is None:
            layer = next((row.name for row in self._tables[network] if row.parameters), "")
        shown = next(entry for entry in described if entry["name"] == network)
        self._tables[network].row(layer)
        super().__init__(
            networks=described,
            network=network,
            layer=layer,
            size=shown["size"][0],
            title=str(title),
        )

    @traitlets.validate("network")
    def _check_network(self, proposal: Any) -> str:
        self._check_name(proposal["value"])
        return str(proposal["value"])

    def _check_name(self, name: str) -> None:
        if name not in self._networks:
            raise ValueError(f"network must be one of {', '.join(self._networks)}, got {name!r}")

    def table(self) -> LayerTable:
        """The table of the network on show, for images of `size`.

        Raises ValueError for a size that it does not take, naming the layer.
        """
        entry = next(e for e in self.networks if e["name"] == self.network)
        if entry["size"][0] == self.size:
            return self._tables[self.network]
        model = self._networks[self.network]
        return layer_table(model, (entry["channels"], self.size, self.size))

    def describe(self) -> str:
        """One line: the network, its layers, its totals."""
        table = self._tables[self.network]
        return (
            f"NetworkExplorer: {self.network}, {table.parameters:,} parameters, "
            f"{table.multiplications:,} multiplications"
        )


# ------------------------------------------------- what the front end needs to know of a network


def _describe(
    name: str, model: nn.Module, shape: tuple[int, int, int], table: LayerTable
) -> dict[str, Any]:
    """A network as maths/layer_table.js reads it: a tree of layers, each with its rule."""
    layers = model.layers if isinstance(model, ImageClassifier) else model
    nodes = [_node(row, child) for row, child in _parts(table, layers)]
    smallest = getattr(model, "smallest", None)
    side = max(shape[1:])
    pinned = any(node.keys() & {"shape", "sides", "products"} for node in _walk(nodes))
    scales = shape[1] == shape[2] and not pinned
    low = min(smallest or max(8, side // 4), side)
    return {
        "name": name,
        "channels": shape[0],
        "size": list(shape[1:]),
        "range": [low, max(LARGEST if side > 64 else 64, side)] if scales else [],
        "oneSize": smallest is None,
        "layers": nodes,
    }


def _parts(rows: Any, module: nn.Module) -> list[tuple[Layer, nn.Module]]:
    """Each row with the module that it tells of."""
    children = paths(module)
    if children is None:
        children = parts_of(module)
    return [(row, children[row.name]) for row in rows]


def _walk(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _walk(node.get("parts", []))


def _node(row: Layer, module: nn.Module) -> dict[str, Any]:
    node: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "channels": row.output_shape[0],
        "parameters": row.parameters,
    }
    if row.is_small:
        node["small"] = True
    if row.rows:
        gate = isinstance(module, SqueezeExcitation)
        node["rule"] = "gate" if gate else "paths" if row.parallel else "steps"
        node["parts"] = [_node(part, child) for part, child in _parts(row.rows, module)]
        return node
    return node | _rule(row, module)


def _rule(row: Layer, module: nn.Module) -> dict[str, Any]:
    """How a layer without parts changes the shape, and what it multiplies.

    A rule with a "shape", with "sides" of its map or with "products" is for this one size.
    """
    if isinstance(module, nn.Flatten):
        return {"rule": "flatten"}
    if isinstance(module, nn.Linear):
        return {
            "rule": "dense",
            "fanIn": [module.in_features],
            "bias": module.bias is not None,
        }
    rule: dict[str, Any] = {"rule": "same"}
    if row.windows is not None:
        sides = list(row.output_shape[1:])
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d) and sides == [1, 1]:
            return {"rule": "global"}
        ceil = bool(getattr(module, "ceil_mode", False))
        rule = {"rule": "window", "window": [list(axis) for axis in row.windows]}
        if ceil:
            rule["ceil"] = True
        computed = [
            _side(*axis, ceil) for axis in zip(row.input_shape[1:], row.windows, strict=True)
        ]
        if computed != sides or isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            rule["sides"] = sides
    elif row.input_shape != row.output_shape:
        rule = {"rule": "fixed", "shape": list(row.output_shape)}
    if isinstance(module, nn.Conv2d):
        height, width = _pair(module.kernel_size)
        rule["fanIn"] = [height, width, module.in_channels // module.groups]
        rule["bias"] = module.bias is not None
        if module.groups > 1:
            rule["groups"] = module.groups
    elif row.multiplications:
        rule["products"] = row.multiplications
    return rule


def _side(side: int, window: Window, ceil: bool) -> int:
    """Positions of a window along an axis, as js/maths/layer_table.js counts them."""
    room = side + 2 * window.padding - window.extent
    count = (-(-room // window.stride) if ceil else room // window.stride) + 1
    # No window may begin in the padding on the far side.
    return count - (ceil and (count - 1) * window.stride >= side + window.padding)
