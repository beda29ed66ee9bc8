"""A function of tensors, the gradients inside it included, as an ONNX graph.

`export_graph` runs the function, keeps what it computes operator by operator, writes that down for
a runtime, and compares the two. Shapes are those of the examples; what the function draws at random
becomes inputs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from companion.export import onnx_file, store
from companion.export.draws import Draws, drawn_by
from companion.export.gradients import rules

if TYPE_CHECKING:
    import onnx

Tensors = Mapping[str, Tensor]
Run = Callable[[Tensors], dict[str, Tensor]]
"""A function of named tensors; run by torch, or by a runtime from the exported file."""

TOLERANCE = 1e-4
"""By how much an output of a file may differ from torch's, relative to its largest value."""

# Part of every key: a change here makes new exports.
_EXPORTER = f"companion 1, torch {torch.__version__}"


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: name, number format ("float32", "int32", "uint8"), shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Noise:
    """An input that stands for a random draw.

    Attributes:
        name: of the input, float32.
        shape: of what is drawn.
        distribution: "normal", with mean 0 and standard deviation 1, or "uniform", from 0 up to but
            not including 1.
        layer: the part of the model that draws, as "layers.dropout"; empty for the model or its
            loss as a whole.
    """

    name: str
    shape: tuple[int, ...]
    distribution: str
    layer: str

    def draw(self, generator: torch.Generator) -> Tensor:
        """A draw for one run of the graph."""
        return drawn_by(generator)(self.distribution, self.shape)


@dataclass(frozen=True)
class Graph:
    """A function as an ONNX file.

    Attributes:
        sha256: of the file's bytes, and its name.
        path: where it lies.
        inputs: those that change the results, the draws last.
        outputs: its results.
        noise: what to draw for each run.
    """

    sha256: str
    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    noise: tuple[Noise, ...]

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """The results, by onnxruntime."""
        return _evaluated(self.path.read_bytes(), self.inputs, tensors)

    def describe(self) -> dict[str, Any]:
        """All that a page needs to know to run it, as JSON can hold it."""
        noise = {noise.name: noise.distribution for noise in self.noise}
        return {
            "model": self.sha256,
            "inputs": {
                port.name: {"type": port.dtype, "shape": list(port.shape)}
                | ({"draw": noise[port.name]} if port.name in noise else {})
                for port in self.inputs
            },
            "outputs": {port.name: list(port.shape) for port in self.outputs},
        }


class Unexportable(ValueError):
    """A function that no file can stand for; `operator` is what ONNX lacks, if that is known."""

    def __init__(self, message: str, operator: str = "") -> None:
        super().__init__(message)
        self.operator = operator


def export_graph(
    function: Run,
    examples: Tensors,
    what: str,
    *,
    needed: Iterable[str] = (),
    layer: Callable[[], str] = str,
    check: Callable[[Run, Tensors, Sequence[Noise]], None] | None = None,
) -> Graph:
    """Export a function of named tensors to named tensors; one that was exported before is found.

    It is run twice, the second time on stand-ins. Inputs that change nothing are left out; those
    named as `needed` must change something. `layer`
    says which part of a model computes at the moment. A new file is run on the examples and
    compared with torch, unless `check`, which gets the file as a function, all its inputs and what
    is drawn, does that better. What the function raises passes through: torch's RuntimeError, for
    instance, where it asks for the value of a tensor.

    Raises:
        Unexportable: ONNX can't express it, it makes no use of what is needed, or the file gives
            other numbers.
    """
    noise: list[Noise] = []
    given = dict(examples)
    generator = torch.Generator().manual_seed(0)

    def first(distribution: str, shape: tuple[int, ...]) -> Tensor:
        noise.append(Noise(f"noise_{len(noise)}", shape, distribution, layer()))
        given[noise[-1].name] = drawn = noise[-1].draw(generator)
        return drawn

    with Draws(first):
        expected = function(dict(examples))
    traced = _trace(function, given, noise)
    used = {port.name for port in traced.inputs}
    for name in needed:
        if name not in used:
            raise Unexportable(f"the {what} makes no use of {name!r}: nothing depends on it")
    key = traced.fingerprint()
    kept = store.recall(key)
    if kept is None:
        data = onnx_file.serialise(traced.to_onnx(what), what)

        def run(tensors: Tensors) -> dict[str, Tensor]:
            return _evaluated(data, traced.inputs, tensors)

        if check is None:
            compare(run(given), expected, what)
        else:
            check(run, given, noise)
        kept = store.keep(data, key=key)
    return Graph(
        kept.sha256,
        kept.path,
        traced.inputs,
        tuple(_port(name, tensor) for name, tensor in expected.items()),
        tuple(entry for entry in noise if entry.name in used),
    )


def replayed(noise: Sequence[Noise], tensors: Tensors) -> Draws:
    """A block in which what is drawn are these tensors, by the names of the noise, in order."""
    coming = iter(noise)

    def draw(distribution: str, shape: tuple[int, ...]) -> Tensor:
        entry = next(coming, None)
        if entry is None or (entry.distribution, entry.shape) != (distribution, shape):
            raise Unexportable("it does not draw the same at every call")
        return tensors[entry.name]

    return Draws(draw)


def compare(found: Tensors, expected: Tensors, what: str, tolerance: float = TOLERANCE) -> None:
    """Raise Unexportable if results differ by more than `tolerance` of the largest value."""
    for name, wanted in expected.items():
        came = found[name]
        if came.shape != wanted.shape:
            raise Unexportable(
                f"the exported {what} gives {name} of shape {tuple(came.shape)}, "
                f"torch {tuple(wanted.shape)}"
            )
        if not wanted.numel():
            continue
        scale = float(wanted.double().abs().max())
        error = float((came.double() - wanted.double()).abs().max())
        if not error <= tolerance * scale:  # also if there is a NaN
            raise Unexportable(
                f"the exported {what} gives other numbers than torch: {name} differs by "
                f"{error:.1g}, where its largest value is {scale:.1g}"
            )


@dataclass(frozen=True)
class _Traced:
    """What a function computes of its inputs, operator by operator."""

    graph: fx.GraphModule
    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]
    examples: tuple[Tensor, ...]

    def fingerprint(self) -> str:
        constants = {
            str(node.target): getattr(self.graph, str(node.target))
            for node in self.graph.graph.nodes
            if node.op == "get_attr"
        }
        ends = f"{self.inputs}\0{self.outputs}"
        return store.fingerprint(_EXPORTER, self.graph.code, ends, constants)

    def to_onnx(self, what: str) -> "onnx.ModelProto":
        try:
            with onnx_file.quiet():
                program = torch.export.export(_Whole(self.graph), self.examples, strict=False)
            names = [port.name for port in self.inputs]
            return onnx_file.to_proto(program, names, self.outputs, what)
        except Exception as error:
            raise Unexportable(str(error)) from error


def _trace(function: Run, examples: Tensors, noise: Sequence[Noise]) -> _Traced:
    outputs: list[str] = []

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(examples, tensors, strict=True))
        with replayed(noise, named):
            results = function(named)
        outputs[:] = results
        return tuple(results.values())

    with onnx_file.quiet():
        graph = make_fx(flat, decomposition_table=rules())(*examples.values())
    graph.graph.eliminate_dead_code()
    used = []
    places = [node for node in graph.graph.nodes if node.op == "placeholder"]
    for name, node in zip(examples, places, strict=True):
        if node.users:
            used.append(name)
        else:
            graph.graph.erase_node(node)
    graph.recompile()
    inputs = tuple(_port(name, examples[name]) for name in used)
    return _Traced(graph, inputs, tuple(outputs), tuple(examples[name] for name in used))


class _Whole(nn.Module):
    """A graph as the module that `torch.export` wants."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__()
        self.whole = graph  # under the name `graph` its constants would not be found

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = self.whole(*tensors)
        return results


def _port(name: str, tensor: Tensor) -> Port:
    return Port(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _evaluated(data: bytes, inputs: Sequence[Port], tensors: Tensors) -> dict[str, Tensor]:
    arrays = {port.name: tensors[port.name].detach().numpy() for port in inputs}
    (results,) = onnx_file.evaluate(data, [arrays], "graph")
    return {name: torch.as_tensor(array) for name, array in results.items()}
