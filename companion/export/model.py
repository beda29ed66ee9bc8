"""From a torch module to the ONNX file that a page runs: exported once, named by its content.

A file is compared with torch when it is made, with batches of several sizes, on the engine that the
pages use. It stores weights as float16 where that changes next to nothing (as with the weights that
ship, which are float16 numbers), and computes in float32: half the download.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from companion.export import onnx_file, store
from companion.export.onnx_file import cause

TOLERANCE = 2e-5
"""The largest change of an output, relative to its largest value, that storing weights as float16
may make on the example: low enough to keep 1e-4 everywhere."""

_AGREEMENT = 1e-4  # of file and torch, relative to an output's largest value (or to 1, if smaller)
_BATCHES = (1, 3, 8)  # sizes with which a new file is compared with torch
_MANY = 2**20  # rows, more than any batch has
# Part of every key: a change here makes new exports.
_EXPORTER = f"companion 2, torch {torch.__version__}"

Shape = tuple[int | str, ...]
"""Sizes of a tensor; "N" is the batch's."""


@dataclass(frozen=True)
class ExportedModel:
    """A module as an ONNX file with named inputs and outputs.

    Attributes:
        sha256: of the file's bytes, and its name in the cache.
        path: where it lies: `<sha256>.onnx`.
        inputs: shape of each input by name, in the order of `forward`; "N" is the batch's size.
        outputs: shape of each output by name.
    """

    sha256: str
    path: Path
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    _twin: nn.Module = field(repr=False, compare=False)

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """What torch makes of the inputs, on the CPU, with the weights as at the export."""
        return call(self._twin, dict(zip(self.inputs, inputs, strict=True)), list(self.outputs))


def export_model(
    module: nn.Module,
    example: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
    *,
    names: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
) -> ExportedModel:
    """Export a module's forward in evaluation mode, for any batch size.

    The module stays as it is (mode, device, gradients). The first export in a process takes some
    seconds; a module that was exported before costs one forward pass of the example.

    Args:
        module: takes tensors, returns a tensor, or a tuple, list or mapping of tensors.
        example: one tensor for each argument of `forward`: floats (taken as float32), whole
            numbers or booleans. Their first dimension is the batch, of any size from 1; tensors
            without dimensions are numbers that belong to the whole batch.
        names: of the inputs; by default the mapping's keys, else forward's arguments.
        outputs: names of the outputs; by default the mapping's keys or the named tuple's fields,
            else "output", or "output0", "output1", …
        tolerance: how much storing the weights as float16 may change an output, relative to its
            largest value; 0 keeps float32 unless the weights are float16 numbers.

    Raises:
        ValueError: the module fails on the example, returns something else, can't be expressed in
            ONNX (the message says why), fixes the batch size, draws random numbers, or the file
            does not compute what torch does.
    """
    twin = frozen_copy(module)
    given = _named_inputs(twin, example, names)
    return export_frozen(twin, given, outputs, tolerance=tolerance)


def export_frozen(
    twin: nn.Module,
    example: dict[str, Tensor],
    outputs: Sequence[str] | None,
    *,
    tolerance: float = TOLERANCE,
    what: str = "model",
) -> ExportedModel:
    """`export_model` for what `frozen_copy` returned; `what` is its name in messages and file."""
    expected = call(twin, example, outputs, what)
    names = list(expected)
    probe = [_samples(tensor) for tensor in expected.values()]
    key = store.fingerprint(_EXPORTER, what, repr((names, tolerance)), twin, example)
    kept = store.recall(key)
    if kept is None or not _is_close(kept.record.get("probe"), probe):
        data, shapes = _make(twin, example, names, tolerance, what)
        kept = store.keep(data, key=key, record={"probe": probe, **shapes})
    return ExportedModel(
        kept.sha256,
        kept.path,
        {name: tuple(shape) for name, shape in kept.record["inputs"].items()},
        {name: tuple(shape) for name, shape in kept.record["outputs"].items()},
        twin,
    )


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside torch.compile's, DataParallel's or DistributedDataParallel's wrapper."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            return module


def frozen_copy(module: nn.Module, what: str = "model") -> nn.Module:
    """A copy on the CPU, in evaluation mode, in float32: the original is never touched.

    Raises:
        ValueError: not a module, one compiled by TorchScript, a layer without weights yet, or it
            can't be copied.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"expected a torch.nn.Module as {what}, not {type(module).__name__}")
    for name, part in module.named_modules():
        kind = type(unwrap(part)).__name__
        if isinstance(part, torch.jit.ScriptModule):
            raise ValueError(
                f"{_part(name, what)} is compiled by TorchScript ({kind}): give the module that "
                "it was made from"
            )
        if any(map(is_lazy, part.parameters(recurse=False))):
            raise ValueError(
                f"{_part(name, what)}, a {kind}, has no weights yet: call the {what} on a batch "
                "once before"
            )
    try:
        copied: dict[int, Any] = {}
        for part in reversed(list(module.modules())):  # the innermost wrappers first
            if (inner := unwrap(part)) is not part:
                copied[id(part)] = copy.deepcopy(inner, copied)
        twin: nn.Module = copy.deepcopy(module, copied)
        return twin.cpu().float().eval().requires_grad_(False)
    except Exception as error:
        raise ValueError(f"the {what} can't be copied for the export: {cause(error)}") from error


def call(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str] | None = None,
    what: str = "model",
) -> dict[str, Tensor]:
    """What a module returns, by name, floats as float32.

    Raises:
        ValueError: it fails, or returns other than tensors, or not as many as `outputs`.
    """
    try:
        with torch.no_grad():
            returned = module(*inputs.values())
    except Exception as error:
        shapes = " and ".join(f"{name} of shape {tuple(t.shape)}" for name, t in inputs.items())
        raise ValueError(f"the {what} fails on {shapes}: {cause(error)}") from error
    return named_outputs(returned, outputs, what)


def _part(name: str, what: str) -> str:
    return f"the {what}'s part {name}" if name else f"the {what}"


def _named_inputs(
    module: nn.Module,
    example: Tensor | Sequence[Tensor] | Mapping[str, Tensor],
    names: Sequence[str] | None,
) -> dict[str, Tensor]:
    if isinstance(example, Tensor):
        example = [example]
    if isinstance(example, Mapping):
        names, tensors = names or list(example), list(example.values())
    else:
        tensors = list(example)
    if names is None:
        names = [
            p.name
            for p in inspect.signature(module.forward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ][: len(tensors)]
        if len(names) < len(tensors):
            names = [f"input{k}" for k in range(len(tensors))]
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ValueError(f"expected tensors as example, not {type(tensor).__name__}")
    if len(names) != len(tensors) or len(set(names)) != len(names) or not tensors:
        raise ValueError(
            f"expected a name for each of {len(tensors)} inputs, but got {', '.join(names)}"
        )
    sizes = {len(tensor) for tensor in tensors if tensor.ndim}
    if len(sizes) != 1 or 0 in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ValueError(
            f"expected an example whose first dimension is the batch, at least 1 and the same for "
            f"every input, but got {shapes}"
        )
    plain = [t.detach().cpu() for t in tensors]
    plain = [t.float() if t.is_floating_point() else t for t in plain]
    return dict(zip(names, plain, strict=True))


def named_outputs(returned: Any, names: Sequence[str] | None, what: str) -> dict[str, Tensor]:
    """What a module returned, by the names given or its own, floats as float32.

    Raises:
        ValueError: it is other than tensors, or not as many as names.
    """
    if isinstance(returned, Mapping):
        default, values = list(map(str, returned)), list(returned.values())
    elif isinstance(returned, Tensor):
        default, values = ["output"], [returned]
    elif isinstance(returned, tuple | list):
        values = list(returned)
        default = list(getattr(returned, "_fields", [f"output{k}" for k in range(len(values))]))
    else:
        default, values = [], [returned]
    if not values or not all(isinstance(value, Tensor) for value in values):
        wrong = next((type(v).__name__ for v in values if not isinstance(v, Tensor)), "nothing")
        inside = f"a {type(returned).__name__} that holds " if default or not values else ""
        raise ValueError(
            f"expected the {what} to return a tensor, or a tuple, list or mapping of tensors, not "
            f"{inside}{wrong}"
        )
    if any(value.is_complex() for value in values):
        raise ValueError(f"the {what} returns complex numbers: give their abs(), or .real")
    if names is None:
        names = default
    if len(names) != len(values):
        raise ValueError(
            f"expected the {what} to return {len(names)} tensors ({', '.join(names)}), but it "
            f"returned {len(values)}"
        )
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in zip(names, values, strict=True)
    }


class _Flat(nn.Module):
    """The module with its outputs as a tuple of tensors."""

    def __init__(self, module: nn.Module, names: Sequence[str], inputs: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names, self.inputs = module, names, inputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = named_outputs(self.module(*inputs), self.names, "model").values()
        # An input that is handed on needs a name of its own.
        return tuple(y.clone() if any(y is x for x in inputs) else y for y in outputs)


def _make(
    twin: nn.Module, example: dict[str, Tensor], names: list[str], tolerance: float, what: str
) -> tuple[bytes, dict[str, dict[str, list[int | str]]]]:
    """The bytes of a file that was found to compute what torch does, and its shapes."""
    batches = [_batch(example, size) for size in _BATCHES]
    expected = [call(twin, batch, names, what) for batch in batches]
    _check_determined(expected, call(twin, batches[-1], names, what), what)
    program = _capture(twin, batches[1], names, what)
    largest = _largest_batch(program, example, what)
    proto = onnx_file.to_proto(program, list(example), names, what)
    if largest < _MANY:
        raise ValueError(
            f"the {what} computes in another way from a batch size of {largest + 1} on, which a "
            "file can't: write it in one way for all sizes"
        )
    used = {name for node in proto.graph.node for name in node.input}
    for name in example:
        if name not in used:
            raise ValueError(f"the {what} does not use {name}: it returns the same whatever it is")
    with onnx_file.rounded_to_float16(twin):
        rounded = [call(twin, batch, names, what) for batch in batches]
    if all(_error(a, b) <= tolerance for a, b in zip(rounded, expected, strict=True)):
        onnx_file.store_as_float16(proto)
        expected = rounded
    data = onnx_file.serialise(proto, what)
    arrays = [{name: tensor.numpy() for name, tensor in batch.items()} for batch in batches]
    computed = onnx_file.evaluate(data, arrays, what)
    for size, found, wanted in zip(_BATCHES, computed, expected, strict=True):
        _compare(found, wanted, size, what)
    return data, {"inputs": _shapes(proto.graph.input), "outputs": _shapes(proto.graph.output)}


def _batch(example: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """The example with `size` rows: its own, then again, floats smaller each time."""

    def rows(tensor: Tensor) -> Tensor:
        if not tensor.ndim:
            return tensor
        index = torch.arange(size)
        chosen = tensor[index % len(tensor)]
        if not tensor.is_floating_point():
            return chosen
        times = 1 / (1 + index // len(tensor)).view(-1, *[1] * (tensor.ndim - 1))
        return chosen * times

    return {name: rows(tensor) for name, tensor in example.items()}


def _check_determined(
    results: Sequence[Mapping[str, Tensor]], again: Mapping[str, Tensor], what: str
) -> None:
    """Refuse what draws random numbers, and what drops the batch's dimension where it is 1."""
    for name, tensor in results[-1].items():
        one = results[0][name]
        if one.ndim != tensor.ndim:
            raise ValueError(
                f"for a batch of {_BATCHES[0]} the {what} returns {name} of shape "
                f"{tuple(one.shape)}, for {_BATCHES[-1]} {tuple(tensor.shape)}: squeeze(1), "
                "say, where its code has squeeze()"
            )
    if _error(again, results[-1]) > 1e-6:
        raise ValueError(
            f"the {what} draws random numbers (it returned two results for the same input), so a "
            "page and torch would differ: draw them outside and hand them in as an input"
        )


def _capture(
    twin: nn.Module, batch: dict[str, Tensor], names: list[str], what: str
) -> torch.export.ExportedProgram:
    shapes = tuple({0: torch.export.Dim.AUTO} if t.ndim else None for t in batch.values())
    failure = f"the {what} can't be exported to ONNX"
    try:
        with onnx_file.quiet():
            return torch.export.export(
                # What forward keeps in attributes are no tensors while it is captured.
                _Flat(copy.deepcopy(twin), names, list(batch)),
                tuple(batch.values()),
                dynamic_shapes=(shapes,),
                strict=False,
            )
    except Exception as error:
        if "data-dependent" in str(error):
            raise ValueError(
                f"{failure}: its forward decides by the values of a tensor (an if, a loop or "
                ".item()); write it with torch.where, for example"
            ) from error
        raise ValueError(f"{failure}: {cause(error)}") from error


def _largest_batch(
    program: torch.export.ExportedProgram, example: Mapping[str, Tensor], what: str
) -> int:
    """The largest batch that computes as the program does; ValueError if it is for one size."""
    from torch.fx.experimental.symbolic_shapes import is_concrete_int  # slow to import

    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    captured = [values[name] for name in program.graph_signature.user_inputs]
    sizes = [v.shape[0] for v, t in zip(captured, example.values(), strict=True) if t.ndim]
    if any(map(is_concrete_int, sizes)):
        raise ValueError(
            f"the {what} fixes the batch size: write x.shape[0] or -1 where its code takes "
            "len(x), int(x.shape[0]) or a number, and no loop over the batch"
        )
    bounds = [program.range_constraints.get(size.node.expr) for size in sizes]
    return min((int(min(bound.upper, _MANY)) for bound in bounds if bound), default=_MANY)


def _compare(
    found: Mapping[str, np.ndarray], expected: Mapping[str, Tensor], size: int, what: str
) -> None:
    for name, tensor in expected.items():
        array = found[name]
        if array.shape != tuple(tensor.shape):
            raise ValueError(
                f"for a batch of {size} the exported {what} returns {name} of shape "
                f"{array.shape}, torch {tuple(tensor.shape)}"
            )
        error = _error({name: torch.from_numpy(np.asarray(array))}, {name: tensor}, least=1)
        if not error <= _AGREEMENT:
            raise ValueError(
                f"for a batch of {size} the exported {what}'s {name} differs from torch's by "
                f"{error:.2g} of its largest value"
            )


def _error(a: Mapping[str, Tensor], b: Mapping[str, Tensor], least: float = 0) -> float:
    """The largest difference of two results, relative to b's largest value or `least`.

    Infinite where one is finite and the other is not, or where whole numbers differ.
    """
    worst = 0.0
    for x, y in zip(a.values(), b.values(), strict=True):
        finite = y.isfinite()
        if not torch.equal(x.isfinite(), finite):
            return float("inf")
        difference = (x[finite].double() - y[finite].double()).abs()
        if difference.any():
            scale = max(y[finite].abs().max().item(), least) if y.is_floating_point() else 0.0
            worst = max(worst, difference.max().item() / scale if scale else float("inf"))
    return worst


def _shapes(values: Any) -> dict[str, list[int | str]]:
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in values
    }


def _samples(tensor: Tensor) -> list[float]:
    """Some hundred values, to recognise a module by what it does."""
    flat = tensor.reshape(-1).double()
    return flat[:: max(1, len(flat) // 256)].tolist()


def _is_close(noted: Any, probe: list[list[float]]) -> bool:
    """Whether a record's values are these, to 1e-5 of the largest.

    A module's text does not show what its `forward` does, so what it returns is compared.
    """
    try:
        return len(noted) == len(probe) and all(
            np.allclose(a, b, rtol=0, atol=1e-5 * max(1.0, *map(abs, b)), equal_nan=True)
            for a, b in zip(noted, probe, strict=True)
        )
    except (TypeError, ValueError):
        return False
