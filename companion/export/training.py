"""One training step of a torch module as an ONNX graph: what Python defined trains in a page.

Forward pass, gradient and optimizer are one function from the weights, the optimizer's state and a
batch to the new weights and state. PyTorch computes the gradient, once, on stand-ins for numbers;
what it computed is written down as ordinary ONNX, and a page's inference engine runs it.
"""

import inspect
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from companion.export import store
from companion.export.draws import Draws, drawn_by
from companion.export.graph import (
    Graph,
    Noise,
    Run,
    Tensors,
    Unexportable,
    compare,
    export_graph,
    replayed,
)
from companion.export.model import frozen_copy, named_outputs, unwrap
from companion.export.onnx_file import cause
from companion.export.optimizers import Factory, Update, update_rule
from companion.export.tensors import as_handed
from companion.training.arguments import Loss
from companion.training.objective import entries_of, foreign_leaves, modules_to_hold

Function = Callable[..., Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]]
"""`function(model, *inputs)`: what a page draws with the current weights."""

_GRADIENTS = 1e-3  # by how much gradients may differ, relative to the largest of a parameter


@dataclass(frozen=True)
class Piece:
    """Where a parameter or buffer lies in the vector of weights.

    Attributes:
        name: as in `state_dict()`.
        shape: of the tensor.
        offset: of its first number; the others follow in row-major order.
        trained: whether the optimizer moves it.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    trained: bool

    @property
    def size(self) -> int:
        """How many numbers."""
        return prod(self.shape)


@dataclass(frozen=True)
class ExportedTraining:
    """A training step, the weights that it starts from, and functions to see what it does.

    Every run of `step` takes the `state` of the run before, a batch, the `numbers` (which may
    change from step to step) and fresh `noise`, all by name, and gives the losses and, under
    "new_…", the next state.

    Attributes:
        step: the graph. Its inputs "images" (as given: uint8, or floats) and "labels" (whole
            numbers as int32) have the batch size of the example.
        functions: graphs that take the "weights" and their own inputs.
        weights: the file with the weights to start from, float32, little-endian; like a graph's its
            name is the SHA-256 of what it holds.
        layout: what lies where in the weights.
        state: the names of what a step takes and gives anew. All but "weights" starts at 0.
        numbers: the scalar inputs, with the values that they were exported with: "lr", the rest of
            the optimizer's and the declared ones.
        losses: the names of the losses, "loss" first: that one is minimised.
    """

    step: Graph
    functions: Mapping[str, Graph]
    weights: Path
    layout: tuple[Piece, ...]
    state: tuple[str, ...]
    numbers: Mapping[str, float]
    losses: tuple[str, ...]

    def start(self) -> dict[str, Tensor]:
        """The state before the first step, and the numbers as tensors: what stays if nobody moves
        a slider."""
        shapes = {port.name: port.shape for port in self.step.inputs}
        state = {name: torch.zeros(shapes[name]) for name in self.state}
        state["weights"] = torch.frombuffer(
            bytearray(self.weights.read_bytes()), dtype=torch.float32
        )
        return state | {name: torch.tensor(value) for name, value in self.numbers.items()}

    def state_dict(self, weights: Tensor) -> dict[str, Tensor]:
        """A vector of weights as `model.load_state_dict(…, strict=False)` takes it."""
        return {
            piece.name: weights[piece.offset : piece.offset + piece.size].view(piece.shape).clone()
            for piece in self.layout
        }

    @property
    def files(self) -> list[Path]:
        """All that a page has to load."""
        graphs = [self.step, *self.functions.values()]
        return [*dict.fromkeys(graph.path for graph in graphs), self.weights]

    def describe(self) -> dict[str, Any]:
        """All that a page needs to know, as JSON can hold it."""
        return {
            "step": self.step.describe(),
            "functions": {name: graph.describe() for name, graph in self.functions.items()},
            "weights": self.weights.stem,
            "layout": {
                piece.name: {
                    "shape": list(piece.shape),
                    "offset": piece.offset,
                    "trained": piece.trained,
                }
                for piece in self.layout
            },
            "state": list(self.state),
            "numbers": dict(self.numbers),
            "losses": list(self.losses),
        }


def export_training(
    model: nn.Module,
    loss: Loss,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    inputs: Mapping[str, float | Tensor] | None = None,
    optimizer: Factory = torch.optim.Adam,
    lr: float = 1e-3,
    parameters: Iterable[nn.Parameter] | None = None,
    functions: Mapping[str, Function | tuple[Any, ...]] | None = None,
) -> ExportedTraining:
    """Export a training step of `model`, as `companion.training.fit` would take it.

    The model stays as it is; training starts from a copy, on the CPU, in training mode. The first
    export in a process takes some seconds, one that was made before about one. A new step is run
    twice and compared with `loss.backward()` and the optimizer of PyTorch: losses, gradients,
    weights, batch norm's statistics.

    model
        Any module. What it draws at random (dropout, a VAE's noise) becomes inputs of the step.
    loss
        `loss(model, images, labels)`, and by keyword the declared `inputs`, as for `fit`: a scalar
        tensor, or a mapping of scalar tensors with "loss" among its keys.
    images, labels
        A batch to go by, or None where the loss needs none. The step takes batches of this size.
        uint8 images reach the loss as floats in [0, 1].
    inputs
        What a page may change between steps: a number (β, label smoothing, …) or a tensor for each
        name. The loss gets tensors.
    optimizer, lr
        Called as `optimizer(parameters, lr=lr)`: Adam, AdamW or SGD of `torch.optim`, or
        `functools.partial` of one. Its numbers (betas, momentum, weight decay) become inputs.
    parameters
        Those that are trained; None for all that require a gradient. The two players of a game are
        two exports of one model with different losses: both take and give the whole vector of
        weights.
    functions
        By name `function(model, images)` or (`function(model, *tensors)`, *tensors): computed in
        evaluation mode from the current weights, with inputs named as the function names them, of
        the shapes given. A function may differentiate: by `torch.autograd.grad` with respect to
        its inputs.

    Raises:
        TypeError, ValueError: arguments that make no sense, a loss that fails, gives something
            else or has weights of its own, a model or loss that can't be exported
            (`Unexportable`): the sentence names the layer and the operator, where they are known.
    """
    with torch.enable_grad():
        twin = _Twin(model)
        batch = _Batch(images, labels, inputs or {})
        objective = _Objective(twin, loss, batch, parameters)
        update = update_rule(optimizer, objective.leaves(), lr)
        scalars = update.numbers | batch.numbers
        state = {"weights": twin.weights, **update.state}
        _check_names(*state, *batch.tensors, *update.numbers, *batch.numbers, *objective.entries)

        def step(tensors: Tensors) -> dict[str, Tensor]:
            entries, gradient, buffers = objective(tensors)
            before = objective.taken(tensors["weights"])
            after, new = update(before, gradient, dict(tensors))
            new = {"weights": objective.put_back(tensors["weights"], after, buffers), **new}
            return entries | {f"new_{name}": value for name, value in new.items()}

        def check(run: Run, given: Tensors, noise: Sequence[Noise]) -> None:
            _compare_with_torch(run, given, noise, objective, update, optimizer)

        views = {name: _View(name, spec, twin, images) for name, spec in (functions or {}).items()}
        examples = state | batch.tensors | _as_tensors(scalars)
        with twin.explaining("training step"):
            graph = export_graph(
                step,
                examples,
                "training step",
                needed=inputs or (),
                layer=twin.layer,
                check=check,
            )
        graphs = {name: view.export() for name, view in views.items()}
    weights = store.keep(twin.weights.numpy().astype("<f4").tobytes(), "f32")
    layout = tuple(
        Piece(name, tuple(twin.tensors[name].shape), start, name in objective.trained)
        for name, start in twin.offsets().items()
    )
    return ExportedTraining(
        graph, graphs, weights.path, layout, tuple(state), scalars, objective.entries
    )


class _Whole(nn.Module):
    """A model inside a module whose forward calls a function with it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., Any], *tensors: Any, **more: Any) -> Any:
        """The result of function(model, …), and the buffers after it."""
        return function(self.model, *tensors, **more), dict(self.model.named_buffers())


class _Twin:
    """A copy of a model that computes with weights from one vector."""

    def __init__(self, model: nn.Module) -> None:
        self.model = frozen_copy(model, "model")
        for part in self.model.modules():
            # It counts batches for an average over all of them, which is momentum None.
            if getattr(part, "num_batches_tracked", None) is not None and part.momentum is not None:
                part.register_buffer("num_batches_tracked", None)
        held = modules_to_hold(unwrap(model))
        self._held = [part for name, part in self.model.named_modules() if name in held]
        self.parameters = dict(self.model.named_parameters())
        self.tensors = self.parameters | dict(self.model.named_buffers())
        self.originals = dict(zip(self.parameters, model.parameters(), strict=True))
        flat = [tensor.detach().reshape(-1).float() for tensor in self.tensors.values()]
        for values, (name, tensor) in zip(flat, self.tensors.items(), strict=True):
            if not torch.equal(values.to(tensor.dtype), tensor.reshape(-1)):
                raise ValueError(f"the model's {name} has values that float32 can't hold")
        self.weights = torch.cat(flat) if flat else torch.zeros(0)
        self.watch = _Watch(self.layer, [*model.parameters(), *model.buffers()])
        self._whole = _Whole(self.model)
        self._active: list[str] = []
        for name, part in self.model.named_modules():
            self._follow(name, part)

    def _follow(self, name: str, part: nn.Module) -> None:
        def left(*_: Any) -> None:
            self._active.pop()

        part.register_forward_pre_hook(lambda *_: self._active.append(name))
        part.register_forward_hook(left)

    def train(self) -> None:
        """Into training mode, but for what stays in evaluation mode."""
        self.model.train()
        for part in self._held:
            part.training = False

    def offsets(self) -> dict[str, int]:
        """Where each parameter and buffer starts."""
        starts, start = {}, 0
        for name, tensor in self.tensors.items():
            starts[name] = start
            start += tensor.numel()
        return starts

    def unpacked(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameters and buffers that lie in a vector."""
        parts = weights.split([tensor.numel() for tensor in self.tensors.values()])
        return {
            name: part.view(tensor.shape).to(tensor.dtype)
            for part, (name, tensor) in zip(parts, self.tensors.items(), strict=True)
        }

    def call(
        self, function: Callable[..., Any], tensors: Tensors, *arguments: Any, **more: Any
    ) -> tuple[Any, dict[str, Tensor]]:
        """function(model, …) with these parameters and buffers, and the buffers after it."""
        self._active.clear()
        named = {f"model.{name}": tensor for name, tensor in tensors.items()}
        result: tuple[Any, dict[str, Tensor]] = functional_call(
            self._whole, named, (function, *arguments), more
        )
        return result

    def layer(self) -> str:
        """The part of the model that computes or, after an error, failed; "" for all of it."""
        return self._active[-1] if self._active else ""

    def described(self, layer: str) -> str:
        """A part for people: "layer conv1 (Conv2d)"."""
        return f"layer {layer} ({type(self.model.get_submodule(layer)).__name__})"

    @contextmanager
    def rehearsing(self, what: str, arguments: str) -> Iterator[None]:
        """A first call within the block is watched, and says where it fails, if it does."""
        try:
            with self.watch, Draws(drawn_by(torch.Generator().manual_seed(0))):
                yield
        except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
            where = f", in {self.described(self.layer())}" if self.layer() else ""
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"the {what} failed on {arguments}{where}: {cause(error)}") from error

    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """Errors of an export within the block say which layer they come from."""
        try:
            yield
        except Unexportable as error:
            layer = self.watch.layer_of(str(error))
            where = f", in {self.described(layer)}" if layer else ""
            raise Unexportable(f"{error}{where}") from error
        except Exception as error:
            where = f"in {self.described(self.layer())} " if self.layer() else ""
            raise Unexportable(f"the {what} can't be exported: {where}{_reason(error)}") from error


class _Watch(TorchDispatchMode):
    """Sees which layer uses which operator, and whether a function uses another model's weights."""

    def __init__(self, layer: Callable[[], str], others: Iterable[Tensor]) -> None:
        super().__init__()
        self._layer = layer
        self._others = {tensor.untyped_storage().data_ptr() for tensor in others} - {0}
        self._seen: dict[str, str] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self._seen.setdefault(function.overloadpacket.__name__.strip("_"), self._layer())
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value.untyped_storage().data_ptr() in self._others:
                raise ValueError(
                    "it computes with the weights of the model itself, not of the `model` that it "
                    "is given, so they would never move"
                )
        return function(*args, **(kwargs or {}))

    def layer_of(self, message: str) -> str:
        """The layer whose operator, or gradient of it, an error speaks of; "" if none is known."""
        found = re.search(r"aten\.(\w+)", message)
        return self._seen.get(found[1].strip("_").removesuffix("_backward"), "") if found else ""


class _Batch:
    """What a step takes beside weights and state: how a page hands it in, how the loss gets it."""

    def __init__(
        self, images: Tensor | None, labels: Tensor | None, inputs: Mapping[str, float | Tensor]
    ) -> None:
        self.numbers: dict[str, float] = {}
        self.tensors: dict[str, Tensor] = {}
        self._dtypes: dict[str, torch.dtype] = {}
        self._extra = tuple(inputs)
        for name, value in {"images": images, "labels": labels, **inputs}.items():
            if isinstance(value, Tensor):
                self._dtypes[name] = value.dtype
                self.tensors[name] = as_handed(value, name)
            elif name in inputs:
                if isinstance(value, bool) or not isinstance(value, numbers.Real):
                    raise TypeError(
                        f"the input {name!r} must be a number or a tensor, got {value!r}"
                    )
                self.numbers[name] = float(value)
            elif value is not None:
                raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")

    def received(self, tensors: Tensors) -> tuple[list[Tensor | None], dict[str, Tensor]]:
        """The loss's images and labels, and by name the declared inputs."""
        came = {
            name: _received(tensors[name], dtype, image=name == "images")
            for name, dtype in self._dtypes.items()
        }
        extra = {name: came[name] if name in came else tensors[name] for name in self._extra}
        return [came.get("images"), came.get("labels")], extra

    @property
    def words(self) -> str:
        """The tensors for people: "images uint8 of shape (32, 1, 28, 28)"."""
        return _in_words(self._dtypes, self.tensors)


def _in_words(dtypes: Mapping[str, torch.dtype], tensors: Tensors) -> str:
    words = [
        f"{name} {str(dtype).removeprefix('torch.')} of shape {tuple(tensors[name].shape)}"
        for name, dtype in dtypes.items()
    ]
    return " and ".join(words) or "no tensors"


def _received(tensor: Tensor, dtype: torch.dtype, image: bool) -> Tensor:
    """The tensor as it was before it was handed over; images as floats in [0, 1]."""
    if dtype == torch.uint8 and image:
        return tensor.float() / 255
    if dtype.is_floating_point:
        return tensor.clone()  # the function may change it
    return tensor.to(dtype)


class _Objective:
    """The loss and its gradient as functions of the vector of weights.

    Attributes:
        entries: the names of what the loss returns, "loss" first.
        trained: the names of the parameters that are.
    """

    def __init__(
        self,
        twin: _Twin,
        loss: Loss,
        batch: _Batch,
        parameters: Iterable[nn.Parameter] | None,
    ) -> None:
        self.twin, self.loss, self.batch = twin, loss, batch
        self.trained = _chosen(twin, parameters)
        given = {"weights": twin.weights} | batch.tensors | _as_tensors(batch.numbers)
        with twin.rehearsing("loss", batch.words):
            entries, tensors, buffers = self._losses(given)
            gradients = self._gradients(entries, tensors)
        with twin.rehearsing("loss", batch.words):
            again, others, _ = self._losses(given)
        strange = foreign_leaves(entries["loss"], loss, tensors.values(), ())
        foreign_leaves(again["loss"], loss, others.values(), strange)
        if not torch.allclose(again["loss"], entries["loss"], equal_nan=True):
            raise ValueError(
                "the loss is another one when it is called again with the same weights, batch and "
                "random numbers of torch: it draws others, or remembers something"
            )
        if not isfinite(entries["loss"].item()):
            raise ValueError(f"the loss is {entries['loss'].item()} on the example")
        self.entries = tuple(entries)
        self.trained = [
            name for name, one in zip(self.trained, gradients, strict=True) if one is not None
        ]
        if not self.trained:
            raise ValueError(
                "the loss does not depend on the parameters that are to be trained: nothing could "
                "be learnt"
            )
        self.changing = [
            name for name, buffer in buffers.items() if not torch.equal(buffer, twin.tensors[name])
        ]

    def __call__(self, tensors: Tensors) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """The losses, the gradient with respect to what is trained, and the buffers after it."""
        entries, whole, buffers = self._losses(tensors)
        gradients = [
            torch.zeros_like(whole[name]) if gradient is None else gradient
            for name, gradient in zip(self.trained, self._gradients(entries, whole), strict=True)
        ]
        return (
            {name: entry.detach() for name, entry in entries.items()},
            torch.cat([gradient.reshape(-1) for gradient in gradients]),
            {name: buffers[name].detach() for name in self.changing},
        )

    def leaves(self) -> list[Tensor]:
        """What is trained, as an optimizer takes it."""
        return [nn.Parameter(self.twin.tensors[name].detach().clone()) for name in self.trained]

    def taken(self, weights: Tensor) -> Tensor:
        """Of a vector of weights what is trained."""
        runs = self._runs({})
        parts = [
            weights.narrow(0, start, count) for kind, start, count in runs if kind == "trained"
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def put_back(self, weights: Tensor, trained: Tensor, buffers: Tensors) -> Tensor:
        """The vector of weights with new numbers for what is trained and for these buffers."""
        parts, used = [], 0
        for kind, start, count in self._runs(buffers):
            if kind == "trained":
                parts.append(trained.narrow(0, used, count))
                used += count
            elif kind:
                parts.append(buffers[kind].reshape(-1).float())
            else:
                parts.append(weights.narrow(0, start, count))
        return torch.cat(parts)

    def _runs(self, buffers: Tensors) -> list[tuple[str, int, int]]:
        """The vector from start to end: ("trained", a buffer's name or "", offset, length)."""
        runs: list[tuple[str, int, int]] = []
        for name, start in self.twin.offsets().items():
            kind = "trained" if name in self.trained else name if name in buffers else ""
            count = self.twin.tensors[name].numel()
            if runs and runs[-1][0] == kind:
                count += runs.pop()[2]
                start = start + self.twin.tensors[name].numel() - count
            runs.append((kind, start, count))
        return runs

    def _losses(
        self, tensors: Tensors
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """The loss's entries, and the parameters and buffers before and after it."""
        whole = self.twin.unpacked(tensors["weights"])
        for name, tensor in whole.items():
            if name in self.twin.parameters:
                whole[name] = tensor.detach().requires_grad_(name in self.trained)
            else:
                whole[name] = tensor.clone()
        batch, extra = self.batch.received(tensors)
        self.twin.train()
        value, buffers = self.twin.call(self.loss, whole, *batch, **extra)
        return _loss_first(entries_of(value)), whole, buffers

    def _gradients(self, entries: Tensors, whole: Tensors) -> Sequence[Tensor | None]:
        leaves = [whole[name] for name in self.trained]
        if not entries["loss"].requires_grad:
            return [None] * len(leaves)
        return torch.autograd.grad(entries["loss"], leaves, allow_unused=True)


def _chosen(twin: _Twin, parameters: Iterable[nn.Parameter] | None) -> list[str]:
    """The names of those that are to be trained."""
    if parameters is None:
        return [name for name, original in twin.originals.items() if original.requires_grad]
    wanted = {id(parameter) for parameter in parameters}
    if foreign := wanted - {id(original) for original in twin.originals.values()}:
        raise ValueError(f"{len(foreign)} of the parameters do not belong to the model")
    return [name for name, original in twin.originals.items() if id(original) in wanted]


def _check_names(*names: str) -> None:
    taken = [*names, *(f"new_{name}" for name in names)]
    for name in names:
        if taken.count(name) > 1:
            raise ValueError(f"{name!r} names two things of a training step: call one otherwise")


def _as_tensors(numbers: Mapping[str, float]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in numbers.items()}


def _reason(error: Exception) -> str:
    text = str(error)
    if "data-dependent" in text or "tracing tensor" in text:
        return (
            "it asks for the value of a tensor (.item(), float(), an if or a loop over it), which "
            "is another one in every step; torch.where chooses without asking"
        )
    return cause(error)


def _compare_with_torch(
    run: Run,
    given: Tensors,
    noise: Sequence[Noise],
    objective: _Objective,
    update: Update,
    optimizer: Factory,
) -> None:
    """Two steps of the file beside two of a plain loop, as everybody writes it.

    Gradients are compared first; then the optimizers', from the same gradient. Comparing the
    weights alone would not do: where a gradient is 0 but for rounding (a bias before batch norm),
    Adam makes whole steps of it, and they differ.
    """
    twin, what = objective.twin, "training step"
    leaves = [nn.Parameter(twin.parameters[name].detach().clone()) for name in objective.trained]
    optim = optimizer(leaves, lr=update.numbers["lr"])
    generator = torch.Generator().manual_seed(1)
    feeds = dict(given)
    for factor in (1.0, 0.5):
        feeds["lr"] = given["lr"] * factor
        optim.param_groups[0]["lr"] = float(feeds["lr"])
        found = run(feeds)
        new = {name.removeprefix("new_"): value for name, value in found.items()}

        whole = {name: tensor.clone() for name, tensor in twin.unpacked(feeds["weights"]).items()}
        whole |= dict(zip(objective.trained, leaves, strict=True))
        batch, extra = objective.batch.received(feeds)
        with replayed(noise, feeds):
            value, buffers = twin.call(objective.loss, whole, *batch, **extra)
        entries = _loss_first(entries_of(value))
        optim.zero_grad()
        entries["loss"].backward()
        compare(found, {name: entry.detach() for name, entry in entries.items()}, what)

        before = objective.taken(feeds["weights"])
        gradient = update.gradient(before, feeds, new)
        parts = gradient.split([leaf.numel() for leaf in leaves])
        largest = float(gradient.abs().max())
        for name, leaf, part in zip(objective.trained, leaves, parts, strict=True):
            assert leaf.grad is not None
            error = float((part - leaf.grad.reshape(-1)).abs().max())
            if not error <= _GRADIENTS * float(leaf.grad.abs().max()) + 1e-6 * largest:
                layer = name.rpartition(".")[0]
                where = f"{twin.described(layer)}" if layer else "the model"
                raise Unexportable(
                    f"the exported {what} gives another gradient than torch for {name} of {where}"
                )
            leaf.grad = part.view(leaf.shape)
        optim.step()
        moved = torch.cat([leaf.detach().reshape(-1) for leaf in leaves])
        error = float((objective.taken(new["weights"]) - moved).abs().max())
        if not error <= _GRADIENTS * float((moved - before).abs().max()) + 1e-6 * float(
            moved.abs().max()
        ):
            raise Unexportable(
                f"the exported {what} moves the weights otherwise than {type(optim).__name__}"
            )
        after = twin.unpacked(new["weights"])
        compare(after, {name: buffer.detach() for name, buffer in buffers.items()}, what)
        feeds |= {name: new[name] for name in ("weights", *update.state)}
        feeds |= {entry.name: entry.draw(generator) for entry in noise}


class _View:
    """A function of the model and some tensors, in evaluation mode, as one of the weights too."""

    def __init__(
        self, name: str, spec: Function | tuple[Any, ...], twin: _Twin, images: Tensor | None
    ) -> None:
        function, *given = spec if isinstance(spec, tuple) else (spec, images)
        if not callable(function) or not all(isinstance(tensor, Tensor) for tensor in given):
            raise TypeError(
                f"the function {name!r} must be a function (model, images), or a tuple of a "
                "function and a tensor for each of its other arguments"
            )
        self.what, self.function, self.twin = f"function {name!r}", function, twin
        names = _arguments(function, len(given))
        _check_names("weights", *names)
        self.dtypes = {key: tensor.dtype for key, tensor in zip(names, given, strict=True)}
        self.examples = {key: as_handed(t, key) for key, t in zip(names, given, strict=True)}
        with twin.rehearsing(self.what, _in_words(self.dtypes, self.examples)):
            self({"weights": twin.weights} | self.examples)

    def __call__(self, tensors: Tensors) -> dict[str, Tensor]:
        self.twin.model.eval()
        given = [_received(tensors[key], dtype, image=True) for key, dtype in self.dtypes.items()]
        value, _ = self.twin.call(self.function, self.twin.unpacked(tensors["weights"]), *given)
        results = named_outputs(value, None, self.what)
        return {key: tensor.detach() for key, tensor in results.items()}

    def export(self) -> Graph:
        with self.twin.explaining(self.what):
            examples = {"weights": self.twin.weights} | self.examples
            return export_graph(self, examples, self.what, layer=self.twin.layer)


def _arguments(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the arguments after the model."""
    try:
        places = list(inspect.signature(function).parameters.values())[1 : count + 1]
    except ValueError:  # something built in, which does not tell
        places = []
    names = [place.name for place in places if place.kind is not place.VAR_POSITIONAL]
    return names if len(names) == count else [f"input{k}" for k in range(count)]


def _loss_first(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"loss": entries["loss"], **entries}
