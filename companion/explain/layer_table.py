"""The table of a network, layer by layer: shapes, parameters, multiplications, receptive fields.

Made on torch's meta device, where tensors have shapes but no numbers: VGG-16 at 224 pixels costs
milliseconds and no memory. Chapters 4 to 8 read their tables from here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torch.nn.utils.parametrize import type_before_parametrizations

from companion.explain.layers import (
    Pair,
    Shape,
    Window,
    Windows,
    computes_as,
    is_registered,
    multiplications_of,
    parts_of,
    refuse_layer,
    refuse_unreadable,
    twin,
    windows_of,
)
from companion.explain.receptive_field import Field
from companion.models.classifier import ImageClassifier
from companion.models.efficientnet import MBConv, SqueezeExcitation, StochasticDepth
from companion.models.googlenet import GoogLeNet, Inception
from companion.models.resnet import PaddedShortcut, Residual

if TYPE_CHECKING:
    from companion.figures import Table


@singledispatch
def paths(module: nn.Module) -> dict[str, nn.Module] | None:
    """The parallel paths through a module that branches, by name; None if it is no such module.

    Each path takes the module's input; their outputs are added or stacked. For a block of your own:
    ``@paths.register`` a function of it that returns its paths. A path may be
    ``nn.Identity()`` (a shortcut). A subclass with a `forward` of its own is another block.
    """
    return None


@paths.register
def _(module: Residual) -> dict[str, nn.Module]:
    return {"residual": module.residual, "shortcut": module.shortcut}


@paths.register
def _(module: Inception) -> dict[str, nn.Module]:
    return dict(module.named_children())


@paths.register
def _(module: MBConv) -> dict[str, nn.Module]:
    return {"layers": module.layers} | ({"shortcut": nn.Identity()} if module.has_shortcut else {})


@paths.register
def _(module: SqueezeExcitation) -> dict[str, nn.Module]:
    return {"gate": module.gate, "shortcut": nn.Identity()}


@dataclass(frozen=True)
class Layer:
    """One row of a :class:`LayerTable`.

    Attributes:
        name: its name among its siblings.
        kind: what it is, for people: "conv 11×11, stride 4, padding 0, 96 filters".
        input_shape, output_shape: of one image, (C, H, W), or (features,) once flattened.
        parameters: numbers that are learnt; those that an earlier row has too are counted there.
        multiplications: of convolutions and dense layers, for one image. These are MACs
            (multiply-and-adds); where others count FLOPs they often mean twice as many.
        fields: receptive fields of the layer's units, vertical and horizontal. A unit of a dense
            layer sees what all units before it see together. The gates of
            squeeze-and-excitation, which average over the whole map, are left out, as they are
            in published tables.
        input_fields: the same of the units that it looks at.
        rows: the parts of a layer that consists of several: each path of one that branches, or
            each step of a sequence.
        parallel: whether `rows` are paths of a branching rather than steps.
        windows: the window that it slides, vertical and horizontal, if it is one layer that does.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    multiplications: int
    fields: tuple[Field, Field]
    input_fields: tuple[Field, Field]
    rows: "tuple[Layer, ...]" = ()
    parallel: bool = False
    windows: tuple[Window, Window] | None = None

    @property
    def receptive_field(self) -> int:
        """Side in pixels of what a unit sees; the longer one, should they differ."""
        return max(field.size for field in self.fields)

    @property
    def effective_stride(self) -> int:
        """Pixels between what two neighbouring units see; the larger, should the axes differ."""
        return max(field.stride for field in self.fields)

    @property
    def effective_padding(self) -> int:
        """Pixels by which the first unit looks out of the image; the larger of both axes."""
        return max(field.padding for field in self.fields)

    @property
    def start(self) -> int:
        """The first pixel that the first unit sees, −effective_padding."""
        return -self.effective_padding

    @property
    def paths(self) -> list[list[Window]]:
        """The ways through it from input to output, each as the windows passed on the way, along
        the vertical axis; what looks at single positions is left out, so a shortcut is [].
        """
        if self.fields == self.input_fields:
            return [[]]
        if not self.rows:
            return [[self.windows[0]]] if self.windows else [[]]
        if self.parallel:
            return [path for row in self.rows for path in row.paths]
        chains: list[list[Window]] = [[]]
        for row in self.rows:
            chains = [chain + path for chain in chains for path in row.paths]
        return chains

    @property
    def is_small(self) -> bool:
        """Whether it has no parameters and changes neither shape nor field: a ReLU, a dropout."""
        same = self.input_shape == self.output_shape and self.fields == self.input_fields
        return same and not self.parameters


class LayerTable(list[Layer]):
    """The layers of a network in the order in which they compute; a list with totals and a look."""

    @property
    def parameters(self) -> int:
        """All that is learnt in these layers."""
        return sum(row.parameters for row in self)

    @property
    def multiplications(self) -> int:
        """Multiplications (MACs) for one image."""
        return sum(row.multiplications for row in self)

    def row(self, name: str) -> Layer:
        """A layer by its name; a part of one by its path, such as "conv2_1.residual.conv1".

        Raises KeyError, with the names there are, for one that is not there.
        """
        rows: Iterable[Layer] = self
        for part in name.split("."):
            rows = list(rows)
            found = [row for row in rows if row.name == part]
            if not found:
                raise KeyError(f"No layer {part!r} here, only {', '.join(r.name for r in rows)}.")
            rows = found[0].rows
        return found[0]

    def opened(self) -> "LayerTable":
        """The same with every layer that has parts replaced by them, named by their paths."""
        return LayerTable(_opened(self, ""))

    def without_small(self) -> "LayerTable":
        """The same without layers that have no parameters and change neither shape nor field."""
        return LayerTable(row for row in self if not row.is_small)

    def show(self, *columns: str) -> "Table":
        """A table to look at, with a line of totals where there is something to add up.

        `columns` are some of "layer", "kind", "input", "output", "parameters", "multiplications",
        "receptive field", "effective stride", "effective padding"; all of them if none is named.
        Raises ValueError for another.
        """
        chosen = columns or tuple(_COLUMNS)
        for column in chosen:
            if column not in _COLUMNS:
                names = ", ".join(_COLUMNS)
                raise ValueError(f"columns must be some of {names}, got {column!r}.")
        from companion.figures import table

        rows = [[_COLUMNS[column](row) for column in chosen] for row in self]
        totals = {
            "layer": "total",
            "parameters": f"{self.parameters:,}",
            "multiplications": f"{self.multiplications:,}",
        }
        if {"parameters", "multiplications"} & set(chosen):
            rows.append([totals.get(column, "") for column in chosen])
        return table(chosen, rows)

    def _repr_html_(self) -> str:
        return self.without_small().show()._repr_html_()

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """A row by its number; a slice is a table again."""
        found = super().__getitem__(index)
        return LayerTable(found) if isinstance(index, slice) else found


_COLUMNS = {
    "layer": lambda row: row.name,
    "kind": lambda row: row.kind,
    "input": lambda row: shape_text(row.input_shape),
    "output": lambda row: shape_text(row.output_shape),
    "parameters": lambda row: f"{row.parameters:,}",
    "multiplications": lambda row: f"{row.multiplications:,}",
    "receptive field": lambda row: f"{row.receptive_field}",
    "effective stride": lambda row: f"{row.effective_stride}",
    "effective padding": lambda row: f"{row.effective_padding}",
}


def layer_table(model: nn.Module, image_shape: Shape) -> LayerTable:
    """The table of a network for images of shape (C, H, W).

    `model` is an :class:`ImageClassifier` (its `layers` are the rows; what is not among them, such
    as GoogLeNet's auxiliary heads, is not counted) or an `nn.Sequential` of layers that slide a
    window, act on single positions, pad, pool to one position or evenly, flatten, or are dense; of
    sequences of such; of blocks whose :func:`paths` are known; and of layers of your own that
    :func:`companion.explain.layers.register` has told of. A layer in several places has a row for
    each. The model itself is not run and not changed.

    Raises ValueError if the network cannot take such images, or has lazy layers that never saw any;
    TypeError, naming the layer, for one of which it is not known what it does to positions, and for
    a module whose inner order is not known.
    """
    if len(image_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in image_shape):
        raise ValueError(f"image_shape must be (channels, height, width), got {image_shape!r}.")
    refuse_unreadable(model)
    layers: nn.Module = model
    if isinstance(model, ImageClassifier):
        if not any(computes_as(model, kind) for kind in (ImageClassifier, GoogLeNet)):
            raise TypeError(
                f"A {type(model).__name__} has a forward of its own: its layers need not be the "
                "order in which it computes. Give an nn.Sequential of them if they are."
            )
        model.check(torch.empty(1, *image_shape, device="meta"))
        layers = model.layers
    if not computes_as(layers, nn.Sequential):
        raise TypeError(
            "layer_table takes an ImageClassifier or an nn.Sequential, whose order is known, got "
            f"a {type(layers).__name__}."
        )
    start = _State(tuple(image_shape), (Field(), Field()), (1, 1))
    return LayerTable(_Walk().chain(parts_of(layers), start, "")[0])


def shape_text(shape: Shape) -> str:
    """A shape as the lecture writes it: (96, 55, 55) → "55×55×96"."""
    return "×".join(map(str, (*shape[1:], shape[0])))


def _opened(rows: Iterable[Layer], prefix: str) -> Iterator[Layer]:
    for row in rows:
        if row.rows:
            yield from _opened(row.rows, f"{prefix}{row.name}.")
        else:
            yield replace(row, name=prefix + row.name)


@dataclass(frozen=True)
class _State:
    """What arrives at a layer: a shape, its units' fields, and, once flattened, the size of the map
    that was flattened.
    """

    shape: Shape
    fields: tuple[Field, Field]
    flattened: Pair


class _Walk:
    """A walk through a network in the order in which it computes."""

    def __init__(self) -> None:
        self.counted: set[int] = set()  # parameters that have been counted in a row

    def chain(
        self, layers: Mapping[str, nn.Module], state: _State, prefix: str
    ) -> tuple[list[Layer], _State]:
        rows = []
        for name, layer in layers.items():
            row, state = self.row(name, layer, state, prefix)
            rows.append(row)
        return rows, state

    def row(self, name: str, module: nn.Module, state: _State, prefix: str) -> tuple[Layer, _State]:
        path = prefix + name
        if not is_registered(module):
            branches = _paths_of(module)
            if branches is not None:
                return self.branching(name, module, branches, state, prefix)
            if computes_as(module, nn.Sequential):
                rows, after = self.chain(parts_of(module), state, f"{path}.")
                return self.whole(name, _summary(rows), module, rows, state, after), after
            if parts_of(module):
                raise TypeError(
                    f"layer_table does not know in which order the parts of {path}, a "
                    f"{type(module).__name__}, compute: make it an nn.Sequential, register its "
                    "paths with companion.explain.layer_table.paths, or the whole of it with "
                    "companion.explain.layers.register."
                )
        shape = _output_shape(path, module, state.shape)
        try:
            fields, flattened, windows = _fields(module, state, shape)
        except TypeError as error:
            raise TypeError(f"Layer {path}: {error}") from error
        return Layer(
            name, _kind(module), state.shape, shape, self.new_parameters(module),
            multiplications_of(module, shape), fields, state.fields, windows=windows,
        ), _State(shape, fields, flattened)  # fmt: skip

    def branching(
        self,
        name: str,
        module: nn.Module,
        branches: Mapping[str, nn.Module],
        state: _State,
        prefix: str,
    ) -> tuple[Layer, _State]:
        path = prefix + name
        found = [self.row(part, way, state, f"{path}.") for part, way in branches.items()]
        rows = [row for row, _ in found]
        if isinstance(module, SqueezeExcitation):
            made = self.whole(name, _title(module), module, rows, state, state, parallel=True)
            return made, state
        flattened = {end.flattened for _, end in found}
        if len(flattened) > 1:
            raise TypeError(f"Layer {path}: its paths flatten maps of several sizes.")
        kind = f"{_title(module)}: {' ∥ '.join(_short(row) for row in rows)}"
        vertical, horizontal = rows[0].fields
        for row in rows[1:]:
            vertical, horizontal = vertical.joined(row.fields[0]), horizontal.joined(row.fields[1])
        shape = _output_shape(path, module, state.shape)
        after = _State(shape, (vertical, horizontal), flattened.pop())
        return self.whole(name, kind, module, rows, state, after, parallel=True), after

    def whole(
        self,
        name: str,
        kind: str,
        module: nn.Module,
        rows: list[Layer],
        state: _State,
        after: _State,
        parallel: bool = False,
    ) -> Layer:
        return Layer(
            name,
            kind,
            state.shape,
            after.shape,
            sum(row.parameters for row in rows) + self.new_parameters(module),
            sum(row.multiplications for row in rows),
            after.fields,
            state.fields,
            tuple(rows),
            parallel,
        )

    def new_parameters(self, module: nn.Module) -> int:
        """Numbers of the module's parameters that no row has yet; from now on one has them."""
        new = {id(p): p.numel() for p in module.parameters() if id(p) not in self.counted}
        self.counted |= new.keys()
        return sum(new.values())


def _paths_of(module: nn.Module) -> dict[str, nn.Module] | None:
    """Its paths, unless it only inherits from a block whose paths are known."""
    kind = next(kind for kind in type(module).__mro__ if kind in paths.registry)
    return paths(module) if kind is not object and computes_as(module, kind) else None


def _output_shape(name: str, module: nn.Module, shape: Shape) -> Shape:
    on_meta = twin(module, lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"))
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    try:
        y = on_meta(torch.empty(1, *shape, device="meta", dtype=dtype))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"Layer {name} cannot take an input of {shape_text(shape)}: {error}"
        ) from error
    return tuple(y.shape[1:]) if isinstance(y, Tensor) else ()


def _fields(
    module: nn.Module, state: _State, shape: Shape
) -> tuple[tuple[Field, Field], Pair, Windows | None]:
    """After a layer without parts: the fields, the size of the map that was flattened, and the
    layer's windows if it slides any over a map.
    """
    vertical, horizontal = state.fields
    flat = len(state.shape) == 1
    if computes_as(module, nn.Flatten) and len(shape) == 1:
        return state.fields, state.flattened if flat else _map_size(state), None
    if computes_as(module, nn.Linear):
        if not flat:
            raise TypeError(
                f"a dense layer on a map of {shape_text(state.shape)} mixes its columns alone: "
                "flatten the map first, or take a 1×1 convolution to mix its channels."
            )
        # A dense layer is a convolution as large as the map.
        tall, wide = state.flattened
        after = (
            vertical.after(Window(tall, stride=tall)),
            horizontal.after(Window(wide, stride=wide)),
        )
        return after, (1, 1), None
    if flat and isinstance(module, _MIXING):
        if state.flattened != (1, 1):
            refuse_layer(module)
        return state.fields, state.flattened, None
    windows = windows_of(module, _map_size(state))
    if len(shape) != len(state.shape) or (windows is None and shape[1:] != state.shape[1:]):
        refuse_layer(module)
    if windows is None:
        return state.fields, state.flattened, None
    if flat:
        refuse_layer(module)
    return (vertical.after(windows[0]), horizontal.after(windows[1])), state.flattened, windows


# What makes each number of a vector of all of them: nothing new where all have seen the same.
_MIXING = (nn.LayerNorm, nn.RMSNorm, nn.Softmax, nn.LogSoftmax, nn.Softmin)


def _map_size(state: _State) -> Pair:
    return (state.shape[1], state.shape[2]) if len(state.shape) == 3 else (1, 1)


# ---------------------------------------------------------------- in words


def _kind(layer: nn.Module) -> str:
    match layer:
        case nn.Conv2d():
            return _conv_kind(layer)
        case nn.MaxPool2d() | nn.AvgPool2d():
            name = "max-pool" if isinstance(layer, nn.MaxPool2d) else "average-pool"
            padding = f", padding {_side(layer.padding)}" if _pair(layer.padding) != (0, 0) else ""
            dilation = getattr(layer, "dilation", 1)
            dilated = f", dilation {_side(dilation)}" if _pair(dilation) != (1, 1) else ""
            shape = f"{_square(layer.kernel_size)}, stride {_side(layer.stride)}"
            return f"{name} {shape}{padding}{dilated}"
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            name = "average" if isinstance(layer, nn.AdaptiveAvgPool2d) else "maximum"
            whole = _pair(layer.output_size) == (1, 1)
            return f"{name} over the whole map" if whole else f"{name} of {_evenly(layer)} parts"
        case nn.Linear():
            return f"dense, {layer.out_features} units"
        case nn.Dropout():
            return f"dropout, p = {layer.p:g}"
        case PaddedShortcut() if layer.stride == 1:
            return "identity, zeros as new channels"
        case PaddedShortcut():
            return f"every {_ordinal(layer.stride)} pixel, zeros as new channels"
    return _title(layer)


def _conv_kind(layer: nn.Conv2d) -> str:
    padding = layer.padding if isinstance(layer.padding, str) else _side(layer.padding)
    parts = [
        f"conv {_square(layer.kernel_size)}",
        f"stride {_side(layer.stride)}",
        f"padding {padding}",
    ]
    if _pair(layer.dilation) != (1, 1):
        parts.append(f"dilation {_side(layer.dilation)}")
    parts.append(f"{layer.out_channels} filters")
    if layer.groups > 1:
        depthwise = layer.groups == layer.in_channels
        parts.append("depthwise" if depthwise else f"{layer.groups} groups")
    return ", ".join(parts)


def _summary(rows: list[Layer]) -> str:
    """What a sequence does: its one step in full, or "conv 1×1 → conv 3×3, stride 2 → conv 1×1"."""
    steps = [row for row in rows if row.kind != "batch norm" and not row.is_small]
    if len(steps) == 1:
        return steps[0].kind
    return " → ".join(map(_short, steps)) or "identity"


def _short(row: Layer) -> str:
    """A kind without what a summary can do without: paddings, filters, strides of 1."""
    steps = []
    for step in row.kind.split(" → "):
        first, *more = step.split(", ")
        telling = [part for part in more if part.startswith(("stride", "dilation", "depthwise"))]
        steps.append(", ".join([first, *(part for part in telling if part != "stride 1")]))
    return " → ".join(steps)


def _title(module: nn.Module) -> str:
    kind = type_before_parametrizations(module)
    return _WORDS.get(kind, kind.__name__)


def _square(size: object) -> str:
    return "×".join(map(str, _pair(size)))


def _evenly(layer: Any) -> str:
    return "×".join("all" if side is None else str(side) for side in _pair(layer.output_size))


def _side(size: object) -> str:
    height, width = _pair(size)
    return f"{height}" if height == width else f"{height}×{width}"


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


_WORDS: dict[type[nn.Module], str] = {
    nn.ReLU: "ReLU",
    nn.SiLU: "SiLU",
    nn.Sigmoid: "sigmoid",
    nn.Identity: "identity",
    nn.Flatten: "flatten",
    nn.BatchNorm2d: "batch norm",
    nn.BatchNorm1d: "batch norm",
    nn.LocalResponseNorm: "local response norm",
    Residual: "residual block",
    Inception: "Inception module",
    MBConv: "MBConv block",
    SqueezeExcitation: "squeeze-and-excitation",
    StochasticDepth: "stochastic depth",
}
