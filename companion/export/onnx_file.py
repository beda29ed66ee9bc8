"""From a captured torch program to the bytes of an ONNX file: anonymous, quiet, run once.

What `model.py` (a module's forward) and a training step have in common.
"""

import copy
import functools
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    import onnx

BATCH = "N"
"""Name of the batch dimension in a file."""

_FOLDED = 4096  # most numbers of a constant that could be computed instead
_SMALL = 256  # weights up to this many stay float32: nothing to gain
_NOISE = ("torch", "onnx", "onnxscript", "onnx_ir")
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial"}
    | {f"Random{law}{like}" for law in ("Normal", "Uniform") for like in ("", "Like")}
)


def to_proto(
    program: torch.export.ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], what: str
) -> "onnx.ModelProto":
    """A captured program as an anonymous ONNX graph called `what`, with these names.

    The same computation has the same bytes (`serialise`) wherever it was captured.

    Raises:
        ValueError: an operation that ONNX does not have, or one that draws random numbers.
    """
    try:
        with quiet(), _operators_read_once():
            exported = torch.onnx.export(
                program,
                (),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamo=True,
                # It takes 1e-8 for 0 and 1.00001 for 1, and leaves out the sum or the product.
                optimize=False,
                verbose=False,
            )
            if exported is None:
                raise ValueError("torch.onnx.export gave nothing")
            _simplify(exported.model)
            proto = exported.model_proto
    except Exception as error:
        raise ValueError(f"the {what} can't be exported to ONNX: {cause(error)}") from error
    _refuse_random(proto.graph, what)
    _anonymise(proto, what)
    return proto


@contextmanager
def _operators_read_once() -> Iterator[None]:
    """Let torch's exporter read its table of operators once a process, not at every export.

    It parses 500 functions for it, which is most of the time of a small export. Where torch has no
    such table (any more), nothing changes but the time.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    if not hasattr(ONNXRegistry, "from_torchlib"):
        yield
        return
    original = vars(ONNXRegistry)["from_torchlib"]

    def copied(_class: type, *args: Any, **kwargs: Any) -> Any:
        """What is kept stays as it is, whatever an export adds to its own."""
        table = copy.copy(_operators(ONNXRegistry, original, *args, **kwargs))
        table.functions = {name: list(entries) for name, entries in table.functions.items()}
        return table

    registry: Any = ONNXRegistry  # its method is set, which types forbid
    registry.from_torchlib = classmethod(copied)
    try:
        yield
    finally:
        registry.from_torchlib = original


@functools.cache
def _operators(registry: type, read: Any, *args: Any, **kwargs: Any) -> Any:
    return read.__func__(registry, *args, **kwargs)


def serialise(proto: "onnx.ModelProto", what: str) -> bytes:
    """The bytes of the file, checked to be well formed.

    Raises:
        ValueError: they are not.
    """
    import onnx

    try:
        onnx.checker.check_model(proto)
    except Exception as error:
        raise ValueError(f"the {what} can't be exported to ONNX: {cause(error)}") from error
    return bytes(proto.SerializeToString(deterministic=True))


def evaluate(
    data: bytes, batches: Sequence[Mapping[str, np.ndarray]], what: str
) -> list[dict[str, np.ndarray]]:
    """What onnxruntime, the engine of the pages, makes of each batch of named inputs.

    Raises:
        ValueError: it can't load the file, or fails on a batch.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # a page has one, and threads that spin wait for each other
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, session.run(None, dict(batch)), strict=True)) for batch in batches]
    except Exception as error:
        raise ValueError(f"the exported {what} can't be run: {cause(error)}") from error


def store_as_float16(proto: "onnx.ModelProto") -> None:
    """Keep large weights as float16; a runtime casts them once, when it loads the file."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size <= _SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*casts, *nodes])


@contextmanager
def rounded_to_float16(module: torch.nn.Module) -> Iterator[None]:
    """The large float32 weights of a module as `store_as_float16` stores them; put back after."""
    weights = [
        tensor
        for tensor in module.state_dict().values()
        if tensor.dtype == torch.float32 and tensor.numel() > _SMALL
    ]
    exact = [tensor.clone() for tensor in weights]
    try:
        for tensor in weights:
            tensor.copy_(tensor.half())
        yield
    finally:
        for tensor, original in zip(weights, exact, strict=True):
            tensor.copy_(original)


def _simplify(model: Any) -> None:
    """Compute what is constant once for all, and what is computed twice once; exactly."""
    from onnx_ir.passes import Sequential, common
    from onnxscript import optimizer

    optimizer.inline(model)
    optimizer.fold_constants(model, output_size_limit=_FOLDED)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    )(model)


def _graphs(graph: "onnx.GraphProto") -> Iterator["onnx.GraphProto"]:
    """A graph, and the ones inside it: the branches of an If, the body of a Loop."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _graphs(inner)


def _refuse_random(graph: "onnx.GraphProto", what: str) -> None:
    for node in (node for inner in _graphs(graph) for node in inner.node):
        if node.op_type in _RANDOM:
            raise ValueError(
                f"the {what} draws random numbers ({node.op_type}), so a page and torch would "
                "differ: draw them outside and hand them in as an input"
            )


def _anonymise(proto: "onnx.ModelProto", what: str) -> None:
    """Drop what does not compute: paths and sources of this machine, names of parameters."""
    graph = proto.graph
    ends = [value.name for value in (*graph.input, *graph.output)]
    used = {name for inner in _graphs(graph) for node in inner.node for name in node.input}
    used.update(value.name for inner in _graphs(graph) for value in inner.output)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    _rename(graph, {"": "", **dict(zip(ends, ends, strict=True))}, "")
    # torch names a dimension by where it came from.
    sizes = {d.dim_param: BATCH for v in graph.input for d in v.type.tensor_type.shape.dim[:1]}
    sizes.pop("", None)
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = re.sub(
                    r"\w+", lambda word: sizes.get(word[0], word[0]), size.dim_param
                )
    del proto.metadata_props[:]
    graph.name = what
    proto.ClearField("doc_string")
    proto.ClearField("producer_version")


def _rename(graph: "onnx.GraphProto", names: dict[str, str], prefix: str) -> None:
    """Give everything a name by its place; `names` holds those that the surroundings gave."""
    for index, tensor in enumerate(graph.initializer):
        tensor.name = names.setdefault(tensor.name, f"{prefix}w{index}")
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
    for index, value in enumerate(graph.input):
        value.name = names.setdefault(value.name, f"{prefix}i{index}")
    for index, node in enumerate(graph.node):
        node.name = f"{prefix}n{index}"
        node.ClearField("doc_string")
        del node.metadata_props[:]
        for k, name in enumerate(node.input):
            node.input[k] = names[name]
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            inner = (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))
            for k, body in enumerate(inner):
                _rename(body, dict(names), f"{node.name}_{attribute.name}{k}_")
        for k, name in enumerate(node.output):
            node.output[k] = names.setdefault(name, f"{prefix}n{index}_{k}")
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
        value.ClearField("doc_string")
        del value.metadata_props[:]
    del graph.value_info[:]
    del graph.metadata_props[:]
    graph.ClearField("doc_string")
    if prefix:
        graph.name = prefix


class _OthersOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] not in _NOISE


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's notes on how it exports, which mean nothing to a reader of a notebook."""
    loggers: list[Any] = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
    handlers = {handler for logger in loggers for handler in getattr(logger, "handlers", ())}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    others_only = _OthersOnly()
    for handler in handlers:
        handler.addFilter(others_only)
    try:
        noise = io.StringIO()
        with warnings.catch_warnings(), redirect_stdout(noise), redirect_stderr(noise):
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(others_only)


_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def cause(error: BaseException) -> str:
    """What went wrong, in one line without terminal codes: the first line of the deepest cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    lines = [line.strip() for line in _ANSI.sub("", str(error)).splitlines()]
    text = next((line for line in lines if line), type(error).__name__)
    if missing := re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text):
        return f"ONNX has no operator for {missing[1]}"
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
