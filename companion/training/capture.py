"""A training step as one CUDA graph: recorded once, then replayed for every batch.

A small network's step is some hundred kernels, and a GPU is done with each sooner than Python
launches the next. A graph launches all of them at once, so everything in it has to be on the device
already: which images, the learning rate, the progress, the place of the losses. `CapturedStep` lays
the numbers of a whole epoch there, and a counter that the graph itself moves on says which are due.

What is recorded is `train_epoch` on one batch, with the same draws as otherwise: a graph takes the
seed and the place in the sequence from PyTorch's generator at each replay. The results are those of
the loop but for rounding: the learning rate is a float32, and sums of the gradient come in another
order, as they do from run to run. Where a step cannot be recorded, or does not come out as without,
everything is put back and the loop runs as ever; a sentence says why.

Written against torch 2.13 and tested with a stand-in for the recording on the CPU. On a GPU it is
untried so far: `python -m benchmarks.gpu` tries it.
"""

import gc
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from companion.training.batches import InMemory, Source
from companion.training.devices import seed_torch
from companion.training.history import EpochLosses
from companion.training.objective import Objective
from companion.training.schedules import Rate

WORTH = 100  # steps left, from which on recording pays
_TRIED = 3  # steps that are taken both ways and compared
_OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)  # fused, with a tensor as lr

CAPTURED = "each step one CUDA graph"

# One batch through `train_epoch`: (batches, losses, rate).
Train = Callable[..., None]


class Graphs(Protocol):
    """What records a step: CUDA, or a stand-in for it in the tests.

    `rate_dtype` is the number format of a learning rate on the device, `settings` are an
    optimizer's for the recording.
    """

    device: torch.device
    rate_dtype: torch.dtype
    settings: Mapping[str, Any]

    def warm_up(self, step: Callable[[], None], times: int) -> None:
        """Take the step so many times. Raises RuntimeError for one that waits for the device."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record the step, which changes nothing, and return what replays it."""

    def host_state(self) -> bytes:
        """The state of the random generators that no graph can draw from."""


class Refused(Exception):
    """A step that cannot be recorded; the message says why."""


class CudaGraphs:
    """PyTorch's CUDA graphs on one GPU."""

    rate_dtype = torch.float32  # the fused kernels read it as that
    settings: Mapping[str, Any] = {"fused": True, "foreach": False, "capturable": True}

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream: Any = _side_stream(device)

    def warm_up(self, step: Callable[[], None], times: int) -> None:
        """Take the step so many times, on the stream of the recording.

        Libraries choose their algorithms and fetch their memory now, as they cannot later. The last
        time, waiting for the device is an error: found here it does no harm, while a recording that
        it breaks off leaves allocator and generator in the middle of it.
        """
        with torch.cuda.device(self.device), _fastest_convolutions(), \
                warnings.catch_warnings():  # fmt: skip
            warnings.simplefilter("ignore")  # that the check for waiting does not find everything
            here: Any = torch.cuda.current_stream()
            self.stream.wait_stream(here)
            before = torch.cuda.get_sync_debug_mode()
            try:
                with torch.cuda.stream(self.stream):
                    for number in range(times):
                        torch.cuda.set_sync_debug_mode(2 if number == times - 1 else before)
                        step()
            finally:
                torch.cuda.set_sync_debug_mode(before)
                here.wait_stream(self.stream)
            torch.cuda.synchronize()  # what went wrong on the device is raised here

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record the step; nothing is computed."""
        with torch.cuda.device(self.device), _fastest_convolutions():
            graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
            pool = torch.cuda.graph_pool_handle()
            gc.collect()  # not meanwhile: what it frees on the device could break the recording
            try:
                # Other threads may use the device; nothing of theirs is recorded.
                with torch.cuda.graph(
                    graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"
                ):
                    step()
            except BaseException:
                torch.cuda.set_stream(here)  # where `graph` does not come back to by itself then
                self._clear_up(graph, pool)
                raise
        replay: Callable[[], None] = graph.replay
        return replay

    def host_state(self) -> bytes:
        """The states of Python's and NumPy's generators, and of PyTorch's on the CPU."""
        states = torch.get_rng_state().numpy().tobytes(), random.getstate(), np.random.get_state()  # noqa: NPY002
        return pickle.dumps(states)

    def _clear_up(self, graph: Any, pool: Any) -> None:
        """Take allocator and generator out of a recording that failed, as far as is possible."""
        index, core = self.device.index or 0, torch._C
        with suppress(Exception):
            graph.reset()
        with suppress(Exception):  # raises where the recording was ended in order
            core._cuda_endAllocateToPool(index, pool)
            core._cuda_releasePool(index, pool)
        with suppress(Exception):
            # Without this, every later draw fails: «Offset increment outside graph capture».
            generator: Any = torch.cuda.default_generators[index]
            generator.graphsafe_set_state(generator.clone_state())
        with suppress(Exception):
            torch.cuda.synchronize()


@cache
def _side_stream(device: torch.device) -> Any:
    """The stream to record on, which is not the default one: always the same, for cuBLAS keeps
    memory for each.
    """
    return torch.cuda.Stream(device)


def graphs_for(device: torch.device) -> Graphs | None:
    """What can record a step there; None where nothing can."""
    if device.type != "cuda" or torch.version.hip is not None:
        return None
    return CudaGraphs(device)


class CapturedStep:
    """A recorded step, and what lies on the device for it to read.

    To `train_epoch` it is both what sets the rate and what takes the losses.
    """

    def __init__(
        self,
        graphs: Graphs,
        train: Train,
        optimizer: torch.optim.Optimizer,
        source: InMemory,
        shape: tuple[int, int],
        *,
        drawn: bool,
    ) -> None:
        steps, _ = shape
        self.graphs, self.train, self.optimizer = graphs, train, optimizer
        # Images that are drawn anew will be written over these, which may be the caller's.
        self.images = source.images.clone() if drawn else source.images
        self.labels = source.labels
        if drawn and self.labels is not None:
            self.labels = self.labels.clone()
        device = source.device
        self.position = torch.zeros(1, dtype=torch.int64, device=device)
        self.rows = torch.zeros(shape, dtype=torch.int64, device=device)
        self.progress = torch.zeros(steps, dtype=torch.float32, device=device)
        groups, dtype = len(optimizer.param_groups), graphs.rate_dtype
        self.rates = torch.zeros(steps, groups, dtype=dtype, device=device)
        self.lr = [torch.zeros((), dtype=dtype, device=device) for _ in range(groups)]
        self.names: list[str] = []
        self.values = torch.empty(0, device=device)
        self.replay: Callable[[], None] | None = None

    def takes(self, source: Source, rows: Tensor) -> bool:
        """Whether an epoch of these batches has the shapes that were recorded."""
        return (
            isinstance(source, InMemory)
            and rows.shape == self.rows.shape
            and _like(source.images) == _like(self.images)
            and _like(source.labels) == _like(self.labels)
        )

    def run(
        self,
        source: Source,
        rows: Tensor,
        rate: Rate,
        losses: EpochLosses,
        after_step: Callable[[], None],
    ) -> None:
        """An epoch: `train_epoch` on the batches of `rows`, one replay each."""
        assert self.replay is not None
        self._lay_out(source, rows, rate, losses)
        losses.names, losses.values = self.names, self.values
        with self._recordable():  # for the stand-in, which takes the step anew
            for _ in range(len(rows)):
                self.replay()
                losses.done += 1
                after_step()

    def record(
        self, state: "_State", seed: int, source: InMemory, rows: Tensor, rate: Rate,
        losses: EpochLosses,
    ) -> None:  # fmt: skip
        """Record the step, and see that replaying it does what the step does.

        Raises Refused, or what the step raises. Model and optimizer are then anywhere; if all goes
        well, they are as before.
        """
        self._lay_out(source, rows, rate, losses)
        device = self.graphs.device

        def begin() -> None:
            self.position.zero_()
            seed_torch(seed, device)

        for p, moments in self.optimizer.state.items():
            if isinstance(moments.get("step"), Tensor):  # of an Adam that was resumed
                moments["step"] = moments["step"].to(p.device, torch.float32)
        with self._recordable():
            begin()
            drawn = self.graphs.host_state()
            self.graphs.warm_up(self._step, _TRIED)
            if self.graphs.host_state() != drawn:
                raise Refused("a step draws random numbers on the CPU")
            if changed := state.changed_in_python():
                raise Refused(f"a step changes {changed}, which no graph can hold")
            stepped, expected = state.copies(), self.values[:_TRIED].clone()
            state.rewind()
            begin()
            self.replay = self.graphs.capture(self._step)
            begin()
            for _ in range(_TRIED):
                self.replay()
            state.compare(stepped)
            column = self.names.index("loss")
            first, came = expected[0, column].item(), self.values[0, column].item()
            if not abs(came - first) <= 0.01 * abs(first) + 1e-6:
                raise Refused(f"the replayed loss is {came:.6g} where the step's is {first:.6g}")
        state.rewind()

    def add(self, entries: Mapping[str, Tensor]) -> None:
        """Record the losses of the step that is due."""
        if not self.names:
            self.names = list(entries)
            self.values = torch.zeros(
                len(self.rows), len(entries), dtype=torch.float32, device=self.values.device
            )
        row = torch.stack([entries[name].detach().float() for name in self.names])
        self.values.index_copy_(0, self.position, row[None])

    def apply(self, optimizer: Any, progress: object) -> None:
        """Set the learning rates of the step that is due."""
        row = self.rates.index_select(0, self.position)[0]
        for place, lr in enumerate(self.lr):
            lr.copy_(row[place])

    def _step(self) -> None:
        """The step that is due. Nothing in it depends on a number that the host knows."""
        chosen = self.rows.index_select(0, self.position)[0]
        labels = None if self.labels is None else self.labels[chosen]
        # As a function: Fabric would give a tensor the 16 bits of the images.
        progress = self.progress.index_select(0, self.position)[0]
        self.train(batches=[(self.images[chosen], labels, lambda: progress)],
                   losses=self, rate=self)  # fmt: skip
        self.position += 1

    def _lay_out(self, source: Source, rows: Tensor, rate: Rate, losses: EpochLosses) -> None:
        """Bring an epoch's numbers to where the graph reads them."""
        if isinstance(source, InMemory) and source.images.data_ptr() != self.images.data_ptr():
            self.images.copy_(source.images)
            if self.labels is not None and source.labels is not None:
                self.labels.copy_(source.labels)
        done = [losses.progress(step) for step in range(len(rows))]
        self.rows.copy_(rows)
        self.progress.copy_(torch.tensor(done, dtype=torch.float32, device="cpu"))
        rates = [rate.rates(progress) for progress in done]
        self.rates.copy_(torch.tensor(rates, dtype=torch.float64, device="cpu"))
        self.position.zero_()

    @contextmanager
    def _recordable(self) -> Iterator[None]:
        """The optimizer within the block has its rates on the device and computes there alone.

        After it, its settings are plain values again, as a checkpoint should have them.
        """
        groups, optimizer = self.optimizer.param_groups, self.optimizer
        before = [dict(group) for group in groups]
        scales = getattr(optimizer, "_step_supports_amp_scaling", False)
        for group, lr in zip(groups, self.lr, strict=True):
            group |= {k: v for k, v in self.graphs.settings.items() if k in group} | {"lr": lr}
        more: Any = optimizer
        more._step_supports_amp_scaling = scales or bool(self.graphs.settings.get("fused"))
        more._warned_capturable_if_run_uncaptured = True  # the warm-up is meant to
        try:
            yield
        finally:
            more._step_supports_amp_scaling = scales
            for group, plain in zip(groups, before, strict=True):
                group.update(plain)


class _State:
    """All that a step changes, as it was before: `rewind` and `undo` bring it back."""

    def __init__(self, objective: Objective, optimizer: torch.optim.Optimizer, scaler: Any) -> None:
        self.objective, self.optimizer, self.scaler = objective, optimizer, scaler
        objective.train()
        self.tensors = self._tensors()
        self.before = self.copies()
        self.moments = {
            p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in state.items()}
            for p, state in optimizer.state.items()
        }
        self.scale = scaler.state_dict() if scaler else None
        self.plain = self._plain_values()
        self.worked, self.strange = set(objective.worked), list(objective.strange)
        self.host = random.getstate(), np.random.get_state()  # noqa: NPY002

    def copies(self) -> dict[str, Tensor]:
        """What the weights and buffers are now."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    def rewind(self) -> None:
        """Bring the numbers back where they lie: a graph knows their places in memory.

        What an optimizer made in its first step becomes 0, from where it would have begun.
        """
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(self.before[name])
            for p, state in self.optimizer.state.items():
                for name, value in state.items():
                    if isinstance(value, Tensor):
                        earlier = self.moments.get(p, {}).get(name)
                        value.zero_() if earlier is None else value.copy_(earlier)
        if self.scaler:
            self.scaler.load_state_dict(self.scale)

    def undo(self) -> None:
        """Bring everything back, as if no step had been taken."""
        self.rewind()
        for name, tensor in self.tensors.items():
            place, _, own = name.rpartition(".")
            module = self.objective.get_submodule(place)
            (module._buffers if own in module._buffers else module._parameters)[own] = tensor  # type: ignore[assignment]
        for name, key in self._plain_values():
            module = self.objective.get_submodule(name)
            if (name, key) in self.plain:
                setattr(module, key, self.plain[name, key])
            else:
                delattr(module, key)
        self.optimizer.state.clear()
        self.optimizer.state.update(self.moments)
        self.optimizer.zero_grad()
        self.objective.worked, self.objective.strange = self.worked, self.strange
        random.setstate(self.host[0])
        np.random.set_state(self.host[1])  # noqa: NPY002

    def changed_in_python(self) -> str:
        """What a step has changed that is no number on the device; empty if nothing."""
        now = self._tensors()
        if odd := [name for name, x in self.tensors.items() if now.get(name) is not x]:
            return f"the tensor {odd[0]} for another one"
        plain = self._plain_values()
        for (name, key), value in plain.items():
            if value != self.plain.get((name, key), plain):
                return f"the value {name}.{key}"
        return ""

    def compare(self, stepped: Mapping[str, Tensor]) -> None:
        """Raise Refused if the weights or buffers are not about where the step brought them."""
        # A wrong batch, or another dropout mask, sends them elsewhere; rounding does not.
        numbers = [name for name, x in self.before.items() if x.is_floating_point()]
        weights = set(dict(self.objective.named_parameters()))
        for kind in (True, False):
            names = [name for name in numbers if (name in weights) is kind]
            moved = _distance(stepped, self.before, names)
            apart = _distance(self.tensors, stepped, names)
            if not apart <= 0.5 * moved + 1e-9:
                raise Refused(f"replays end {apart:.3g} from the step's end, which is {moved:.3g} "
                              "from the start")  # fmt: skip

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.objective.named_parameters()) | dict(self.objective.named_buffers())

    def _plain_values(self) -> dict[tuple[str, str], object]:
        """The numbers and strings that the modules hold, such as a count of their calls."""
        return {
            (name, key): value
            for name, module in self.objective.named_modules()
            if name
            for key, value in vars(module).items()
            if isinstance(value, bool | int | float | str)
        }


def capture_step(
    train: Train,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    source: Source,
    rows: Tensor,
    rate: Rate,
    losses: EpochLosses,
    *,
    seed: int,
    scaler: Any,
    steps_left: int,
    clip: float | None,
    compile: bool,
    drawn: bool,
) -> tuple[CapturedStep | None, str]:
    """The step as a graph, and the words for it; or None, and why not ('' where there is no GPU).

    `train(batches=…, losses=…, rate=…)` is the step. `source`, `rows`, `rate` and `losses` are
    those of the first epoch, `drawn` tells that later epochs have other images. Nothing is changed.
    """
    if (graphs := graphs_for(source.device)) is None:
        return None, ""
    why = _obstacle(objective, optimizer, source, rows, losses)
    if clip is not None and scaler:
        why = "gradients in fp16 are clipped"  # a fused optimizer unscales them itself, later
    if compile:
        why = "torch.compile makes its own"
    if steps_left < WORTH:
        why = f"for {steps_left} steps it does not pay"
    if why or not isinstance(source, InMemory):
        return None, f"no CUDA graph: {why}"
    state = _State(objective, optimizer, scaler)
    try:
        step = CapturedStep(graphs, train, optimizer, source, tuple(rows.shape), drawn=drawn)  # type: ignore[arg-type]
        step.record(state, seed, source, rows, rate, losses)
    except BaseException as error:
        state.undo()
        if not isinstance(error, Exception):
            raise
        return None, f"no CUDA graph: {_first_cause(error)}"
    return step, CAPTURED


def _obstacle(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    source: Source,
    rows: Tensor,
    losses: EpochLosses,
) -> str:
    """Why a step cannot be recorded, as far as that is known before; empty if nothing is."""
    if losses.fabric.world_size > 1:
        return "several processes share a batch"
    if not isinstance(source, InMemory):
        return "the images do not lie on the device"
    if len(rows) < _TRIED:
        return "an epoch has few steps"
    if type(optimizer) not in _OPTIMIZERS:
        return f"the optimizer is {type(optimizer).__name__}"
    for group in optimizer.param_groups:
        # A momentum of zeros is what the first step begins from, but not with dampening.
        if group.get("dampening") or group["differentiable"] or isinstance(group["lr"], Tensor):
            return "the optimizer has dampening, or a tensor as rate, or is differentiable"
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return "the optimizer has a hook"
    for name, module in objective.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks,
                 module._backward_pre_hooks)  # fmt: skip
        if any(hooks):
            return f"{name.removeprefix('model.')} has a hook"
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            return f"{name.removeprefix('model.')} has a state beside its tensors"
    return ""


def _distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: Sequence[str]) -> float:
    if not names:
        return 0.0
    squares = [(a[name].detach() - b[name].detach()).double().square().sum() for name in names]
    return float(torch.stack(squares).sum().sqrt().item())


def _like(tensor: Tensor | None) -> tuple[Any, ...]:
    return () if tensor is None else (tensor.dtype, *tensor.shape)


def _first_cause(error: BaseException) -> str:
    """The first line of the error that began it: one within a recording brings on others."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    if "synchronizing CUDA operation" in line or "stream is capturing" in line:
        return "a step asks the device for a number, or the host for one"
    return line if len(line) <= 150 else f"{line[:149]}…"


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Within the block, cuDNN tries out which algorithm is the fastest for each convolution."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
