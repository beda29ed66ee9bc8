"""`fit`: the training loop of this book.

A loop that waits for its data, or asks the GPU for a number at every step, leaves the GPU idle.
Here the whole data set lies on the device as uint8; shuffling, casting and augmenting happen there,
batch by batch, and the losses come back a few times a second. lightning-fabric takes care of
devices, number formats and processes (`companion.devices`), `companion.batches` of the images,
`companion.checkpoint` of what survives a kill.
"""

import copy
import inspect
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from companion import checkpoint as checkpoints
from companion.augmentation import Augmentation
from companion.batches import Batch, Data, Source, in_order, mixed, open_source, shuffled
from companion.devices import describe_device, kept_memory, open_fabric
from companion.progress import Run, duration, showing

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LOOK_EVERY = 0.25  # seconds between looks at the losses: each one waits for the device
_SAVE_EVERY = 10.0  # seconds between checkpoints, where epochs are shorter than that

Loss = Callable[..., Tensor | Mapping[str, Tensor]]
Schedule = Callable[[float], float]


@dataclass
class History:
    """What a training run recorded.

    `epochs` maps each entry of the loss to its average over each epoch and, if there was a
    validation set, `validation_<entry>` to the average over that set after each epoch. `seconds`
    has the time that each epoch took, `device` says what it ran on and in which precision. `best`
    is the epoch, from 1, whose weights were kept, if `patience` chose one.
    """

    device: str
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best: int | None = None

    @property
    def last(self) -> dict[str, float]:
        """The averages of the last epoch."""
        return {name: values[-1] for name, values in self.epochs.items()}

    def add(self, averages: Mapping[str, float], seconds: float) -> None:
        """Record one more epoch."""
        for name, value in averages.items():
            self.epochs.setdefault(name, []).append(value)
        self.seconds.append(seconds)

    def __str__(self) -> str:
        count = len(self.seconds)
        epochs = "1 epoch" if count == 1 else f"{count} epochs"
        kept = f" The weights are those of epoch {self.best}." if self.best else ""
        return f"Trained {epochs} in {duration(sum(self.seconds))} on {self.device}.{kept}"

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.last.items())
        return f"{self} {figures}"

    def plot(self) -> "Figure":
        """A Plotly figure of every average by epoch."""
        from companion.figures import lines

        words = "; ".join(f"{k} from {v[0]:.4g} to {v[-1]:.4g}" for k, v in self.epochs.items())
        alt = f"Training curves over {len(self.seconds)} epochs: {words}."
        few = len(self.seconds) < 20
        return lines(self.epochs, x="epoch", y="average in the epoch", alt=alt, markers=few)


def constant(progress: float) -> float:
    """The schedule that leaves the learning rate as it is."""
    return 1.0


def cosine(progress: float) -> float:
    """Warm up linearly over the first 5 % of the training, then follow half a cosine down to 0.

    Source: Loshchilov & Hutter 2017 (arXiv 1608.03983), without its restarts; the warm-up is that
    of Goyal et al. 2017 (arXiv 1706.02677).
    """
    warm_up = 0.05
    if progress < warm_up:
        return progress / warm_up
    return (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2


def steps(*at: float, factor: float = 0.1) -> Schedule:
    """The schedule that multiplies the learning rate by `factor` at each of these progresses.

    He et al. (2015), §4.2, train on CIFAR-10 with steps(0.5, 0.75). Raises ValueError for a
    progress outside 0 to 1.
    """
    if not all(0 <= progress <= 1 for progress in at):
        raise ValueError(f"steps happen at progresses from 0 to 1, got {at}")
    return lambda progress: factor ** sum(progress >= place for place in at)


@dataclass(frozen=True)
class Plateau:
    """The schedule of the ResNet slide: divide the learning rate when the loss stops to fall.

    After more than `patience` epochs without a loss lower than before (the validation set's, if
    there is one), the learning rate is multiplied by `factor`. torch's `ReduceLROnPlateau` decides.
    """

    factor: float = 0.1
    patience: int = 5


_SCHEDULES: dict[str, Schedule | Plateau] = {
    "constant": constant,
    "cosine": cosine,
    "plateau": Plateau(),
}


def fit(
    model: nn.Module,
    data: Data | Callable[[int], Data],
    loss: Loss,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
    validation: Data | None = None,
    augment: Augmentation | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: str | Schedule | Plateau = "constant",
    clip: float | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    channels_last: bool | str = "auto",
    compile: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place and return what was recorded.

    The recipe of the ResNet slide, for instance, is one call::

        fit(model, train, loss, epochs=160, batch_size=256, lr=0.1, validation=test,
            optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),
            schedule="plateau", augment=crop_and_flip(padding=4))

    model
        Any module. It comes back in evaluation mode, on the device where it was before.
    data
        uint8 images N×C×H×W, as a tensor or as an `ImageSet`: they stay on the device. Or, for more
        images than memory holds, a torch `Dataset` of images or (image, label), which a
        `DataLoader` with `workers` processes reads (None: 4 on a GPU, else none). Or a function of
        the epoch (0, 1, …) that returns one of these, for images that are drawn anew every time.
        The order is shuffled each epoch; the images left over, too few for a batch, sit it out.
    loss
        `loss(model, images, labels)` with float images in [0, 1], and labels or None. It returns
        a scalar tensor, or a mapping of scalar tensors with "loss" among its keys: that one is
        minimised, all are averaged into the history. A loss with a parameter named `progress`
        also gets how much of the training is done, from 0 to 1 (always 1 on the validation set);
        a KL warm-up needs no more: `beta = min(1, progress / 0.2)`.
    validation
        Images on which the loss is averaged after each epoch, with the same random draws each
        time. Training goes the same way with it as without.
    augment
        A function from a batch of float images to one of changed images, on the device, such as
        `companion.augmentation.crop_and_flip(4)`. The validation set stays as it is.
    optimizer
        Called as `optimizer(parameters, lr=lr)`: a class of `torch.optim`, or `functools.partial`
        of one. None is Adam.
    schedule
        "constant", "cosine" (with a warm-up), `steps(0.5, 0.75)` or another function from progress
        to the factor on `lr`; or "plateau", or `Plateau(factor, patience)`.
    clip
        The largest 2-norm that the gradient may have; longer ones are shortened to it.
    patience
        Stop after so many epochs without a lower validation loss, and keep the best epoch's
        weights.
    checkpoint
        A file. The training is saved there (after an epoch, unless it was saved less than ten
        seconds ago), and goes on from there if the file exists: killed at any moment and called
        again, it ends as it would have without, on the CPU bit for bit. A finished training
        returns at once. CheckpointError if the file belongs to another training.
    device, precision
        "auto" takes a GPU if there is one, and on it bf16 from compute capability 8.0 on and fp16
        with a loss scaler below that; fp32 everywhere else. Or name them: "cpu", "cuda", "cuda:1",
        "mps"; "fp32", "bf16", "fp16". The weights themselves stay in fp32.
    channels_last
        Keep the channels of a pixel side by side in memory (True): faster for many convolutional
        networks, slower for some. "auto" times a few steps of both on a copy of the model, if that
        is worth it. The results differ by rounding, and dropout draws in another order; name one
        where each bit counts.
    compile
        Have torch.compile translate the model (on a GPU with CUDA graphs): seconds to minutes of
        waiting, then faster steps.
    seed
        Seeds the order of the images and whatever model, augmentation and loss draw from PyTorch's
        global generators, which are then put back as they were. On the CPU, the same seed, machine
        and number of threads give bit-identical weights. The initial weights are the caller's:
        `torch.manual_seed` before the model is built.
    progress
        Show a progress bar, in a notebook with a live loss curve.

    Several processes, started by `torchrun`, share each batch and end with the same weights.

    Raises TypeError or ValueError for arguments that it cannot work with, and FloatingPointError,
    naming the step, the learning rate and the last good checkpoint, once an entry of the loss is
    NaN or infinite; the model's weights are of no use then.
    """
    _check_settings(model, loss, epochs, batch_size, lr, clip, patience, validation, channels_last)
    rate = _Rate(schedule)
    fabric, precision = open_fabric(device, precision)
    source = open_source(data(0) if callable(data) else data, fabric.device, workers)
    held_out = None if validation is None else open_source(validation, fabric.device, workers)
    # One fused kernel instead of many small ones; but it can't unscale fp16 gradients to clip them.
    optimizer = optimizer or partial(torch.optim.Adam, fused=clip is None)

    with (
        kept_memory(),
        _seeded(seed, fabric.device),
        _lent(model, fabric.device),
        _compiled(model, compile),
    ):
        state = _State(History(f"{describe_device(fabric.device)}, {precision}"))
        saved = checkpoints.load(checkpoint) if checkpoint and Path(checkpoint).exists() else None
        if channels_last != "auto":
            last = bool(channels_last)
        elif saved:
            last = bool(saved["channels_last"])
        else:
            last = _probe(fabric, model, loss, source, batch_size, epochs)
        _arrange(model, last)
        objective, optim = fabric.setup(
            _Objective(model, loss, augment, last),
            optimizer([p for p in model.parameters() if p.requires_grad], lr=lr),
        )
        rates = [group["lr"] for group in optim.param_groups]
        keeper = _Keeper(checkpoint, fabric, model, optim, rate, last, {
            "epochs": str(epochs), "batch_size": str(batch_size), "lr": str(lr),
            "seed": str(seed), "clip": str(clip), "patience": str(patience),
            "precision": precision, "images": str(len(source)), "optimizer": str(optim.optimizer),
        })  # fmt: skip
        if saved:
            state = keeper.resume(saved, state)

        run = Run.resumed(epochs, state.history.epochs)
        look = 0.0
        with showing(run, progress=progress and fabric.is_global_zero) as show:
            for epoch in range(state.epoch, epochs):
                if state.stale(patience):
                    break
                started = time.perf_counter()
                if epoch and callable(data):
                    source = open_source(data(epoch), fabric.device, workers)
                _seed(mixed(seed, epoch, fabric.global_rank), fabric.device)
                rows = shuffled(len(source), _batch(source, batch_size, fabric), seed, epoch)
                # Each of several processes takes its share of every batch.
                batches = source.read(rows[:, fabric.global_rank :: fabric.world_size])
                record = _Record(epoch, len(rows), keeper)
                objective.train()
                for step, batch in enumerate(batches):
                    done = (epoch + (step + 0.5) / len(rows)) / epochs
                    factor = rate(done)
                    for group, own in zip(optim.param_groups, rates, strict=True):
                        group["lr"] = own * factor
                    entries = objective(*batch, done)
                    optim.zero_grad()
                    fabric.backward(entries["loss"])
                    if clip is not None:
                        fabric.clip_gradients(
                            objective, optim, max_norm=clip, error_if_nonfinite=False
                        )
                    optim.step()
                    record.add(entries, lr * factor)
                    if time.perf_counter() > look:
                        run.follow(epoch, len(rows), record.read())
                        show()
                        look = time.perf_counter() + _LOOK_EVERY

                losses = record.read(fabric)
                averages = {name: sum(values) / len(rows) for name, values in losses.items()}
                if held_out is not None:
                    after = _validate(objective, held_out, batch_size, seed, fabric.device)
                    averages |= {f"validation_{name}": value for name, value in after.items()}
                rate.observe(averages.get("validation_loss", averages["loss"]))
                state.add(averages, time.perf_counter() - started, model, patience)
                keeper.save(state, last=epoch + 1 == epochs or state.stale(patience))
                run.follow(epoch, len(rows), losses, averages)
            if patience is not None:
                state.restore_best(model)
            run.ended = str(state.history)
    return state.history


class _Objective(nn.Module):
    """The loss as one module, so that autocast (and more, for several GPUs) surrounds all of it."""

    def __init__(
        self, model: nn.Module, loss: Loss, augment: Augmentation | None, channels_last: bool
    ) -> None:
        super().__init__()
        self.model, self.loss, self.augment = model, loss, augment
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        function = loss.forward if isinstance(loss, nn.Module) else loss
        self.tells_progress = "progress" in inspect.signature(function).parameters

    def forward(self, pixels: Tensor, labels: Tensor | None, progress: float) -> dict[str, Tensor]:
        images = pixels if pixels.is_floating_point() else pixels / 255
        if self.augment is not None and self.training:
            images = self._augmented(images)
        images = _laid_out(images, self.layout)
        more = {"progress": progress} if self.tells_progress else {}
        value = self.loss(self.model, images, labels, **more)
        entries = dict(value) if isinstance(value, Mapping) else {"loss": value}
        for name, entry in entries.items():
            if not isinstance(entry, Tensor) or entry.ndim:
                came = tuple(entry.shape) if isinstance(entry, Tensor) else type(entry).__name__
                raise TypeError(f"the loss must give scalar tensors, but {name!r} is {came}")
        if "loss" not in entries:
            raise ValueError(f"the loss must have an entry 'loss', but has only {list(entries)}")
        if torch.is_grad_enabled() and not entries["loss"].requires_grad:
            raise ValueError(
                "the loss does not depend on the model's parameters: nothing could be learnt"
            )
        return entries

    def _augmented(self, images: Tensor) -> Tensor:
        changed = self.augment(images) if self.augment else images
        if not isinstance(changed, Tensor) or changed.shape[0] != len(images) or changed.ndim != 4:
            came = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise ValueError(
                f"augment must give as many images as it takes, {tuple(images.shape)}, got {came}"
            )
        return changed


class _Rate:
    """The factor on the learning rate: a function of the progress, or what the losses decide."""

    def __init__(self, schedule: str | Schedule | Plateau) -> None:
        if isinstance(schedule, str):
            if schedule not in _SCHEDULES:
                names = ", ".join(map(repr, _SCHEDULES))
                raise ValueError(
                    f"schedule must be {names}, a Plateau, or a function from progress to a "
                    f"factor, got {schedule!r}"
                )
            schedule = _SCHEDULES[schedule]
        self.function = None if isinstance(schedule, Plateau) else schedule
        if isinstance(schedule, Plateau):
            # torch's scheduler on an optimizer of its own, whose rate starts at 1: the factor.
            self.optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer, factor=schedule.factor, patience=schedule.patience
            )

    def __call__(self, progress: float) -> float:
        if self.function is not None:
            return self.function(progress)
        return float(self.optimizer.param_groups[0]["lr"])

    def observe(self, loss: float) -> None:
        """Take in the loss of an epoch."""
        if self.function is None:
            self.plateau.step(loss)

    def state(self) -> dict[str, Any]:
        if self.function is not None:
            return {}
        return {"factor": self(0.0), "plateau": self.plateau.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        if self.function is None:
            self.optimizer.param_groups[0]["lr"] = state["factor"]
            self.plateau.load_state_dict(state["plateau"])


@dataclass
class _State:
    """How far a training has come, beside what model and optimizer hold."""

    history: History
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history.seconds)

    def add(
        self,
        averages: Mapping[str, float],
        seconds: float,
        model: nn.Module,
        patience: int | None,
    ) -> None:
        """Take in an epoch and, with `patience`, keep its weights if it is the best one so far."""
        self.history.add(averages, seconds)
        if patience is not None and averages["validation_loss"] < self.best_loss:
            self.best_loss = averages["validation_loss"]
            self.history.best = self.epoch
            self.best_weights = {k: v.to("cpu", copy=True) for k, v in model.state_dict().items()}

    def stale(self, patience: int | None) -> bool:
        """Whether the best epoch lies `patience` epochs back."""
        return patience is not None and self.epoch - (self.history.best or 0) >= patience

    def restore_best(self, model: nn.Module) -> None:
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)


class _Keeper:
    """Saves a training to its checkpoint and brings it back."""

    def __init__(
        self,
        path: str | Path | None,
        fabric: Fabric,
        model: nn.Module,
        optim: Any,
        rate: _Rate,
        channels_last: bool,
        settings: dict[str, str],
    ) -> None:
        self.path, self.fabric, self.model, self.optim = path, fabric, model, optim
        self.rate, self.channels_last = rate, channels_last
        shapes = str({name: tuple(value.shape) for name, value in model.state_dict().items()})
        self.settings = settings | {"model": f"one with {shapes}"}
        self.saved_at = -math.inf
        self.saved_epoch = 0

    @property
    def scaler(self) -> Any:
        """The fp16 loss scaler, None in other precisions."""
        return getattr(self.fabric._precision, "scaler", None)

    def save(self, state: _State, *, last: bool) -> None:
        """Save, if there is a checkpoint and it is time; never weights that are not finite."""
        early = time.perf_counter() - self.saved_at < _SAVE_EVERY
        if self.path is None or not self.fabric.is_global_zero or (early and not last):
            return
        weights = self.model.state_dict()
        if not all(w.isfinite().all() for w in weights.values() if w.is_floating_point()):
            return
        checkpoints.save(self.path, {
            "epoch": state.epoch, "model": weights, "optimizer": self.optim.state_dict(),
            "rate": self.rate.state(), "scaler": self.scaler.state_dict() if self.scaler else None,
            "history": asdict(state.history), "best_loss": state.best_loss,
            "best_weights": state.best_weights, "channels_last": self.channels_last,
            "settings": self.settings,
        })  # fmt: skip
        self.saved_at, self.saved_epoch = time.perf_counter(), state.epoch

    def resume(self, saved: dict[str, Any], state: _State) -> _State:
        """Load a checkpoint into model, optimizer and schedule. Raises CheckpointError."""
        checkpoints.check_same(str(self.path), saved["settings"], self.settings)
        self.model.load_state_dict(saved["model"])
        self.optim.load_state_dict(saved["optimizer"])
        self.rate.load(saved["rate"])
        if self.scaler and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.saved_epoch = saved["epoch"]
        history = History(**saved["history"])
        history.device = state.history.device
        return _State(history, saved["best_loss"], saved["best_weights"])

    def advice(self) -> str:
        """What to do when the loss is lost."""
        if not self.saved_epoch:
            return "start again with a new model and a smaller learning rate, or with clip=1"
        return (
            f"the last good checkpoint, after epoch {self.saved_epoch}, is {self.path}: "
            "companion.checkpoint.restore gives a model its weights; go on from there with a "
            "smaller learning rate, or with clip=1, and another checkpoint file"
        )


class _Record:
    """The losses of one epoch, kept on the device until somebody asks."""

    def __init__(self, epoch: int, steps: int, keeper: _Keeper) -> None:
        self.epoch, self.steps, self.keeper = epoch, steps, keeper
        self.names: list[str] = []
        self.rates: list[float] = []
        self.values = torch.empty(0)

    def add(self, entries: Mapping[str, Tensor], rate: float) -> None:
        if not self.names:
            self.names = list(entries)
            device = entries["loss"].device
            self.values = torch.empty(self.steps, len(entries), device=device)
        if list(entries) != self.names:
            raise ValueError(
                f"the loss must give the same entries at every step, but gave "
                f"{list(entries)} after {self.names}"
            )
        self.values[len(self.rates)] = torch.stack([entries[k].detach() for k in self.names])
        self.rates.append(rate)

    def read(self, fabric: Fabric | None = None) -> dict[str, list[float]]:
        """Each entry's values so far; with `fabric`, averaged over its processes.

        Raises FloatingPointError if one is NaN or infinite.
        """
        values = self.values[: len(self.rates)]
        if fabric is not None and fabric.world_size > 1:
            values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
        values = values.cpu()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            step, column = bad[0].tolist()
            raise FloatingPointError(
                f"the loss's entry {self.names[column]!r} became {values[step, column].item()} in "
                f"step {step + 1} of epoch {self.epoch + 1}, where the learning rate was "
                f"{self.rates[step]:.3g}: {self.keeper.advice()}"
            )
        return dict(zip(self.names, values.T.tolist(), strict=True))


def _validate(
    objective: nn.Module, source: Source, batch_size: int, seed: int, device: torch.device
) -> dict[str, float]:
    """The average of each entry of the loss over a set, in evaluation mode."""
    objective.eval()
    totals: dict[str, Tensor] = {}
    with torch.no_grad(), _seeded(seed, device):
        for rows in in_order(len(source), batch_size):
            for pixels, labels in source.read(rows):
                for name, entry in objective(pixels, labels, 1.0).items():
                    totals[name] = totals.get(name, 0) + entry * len(pixels)
    averages = {name: total.item() / len(source) for name, total in totals.items()}
    for name, value in averages.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss's entry {name!r} is {value} on the validation set")
    return averages


def _probe(
    fabric: Fabric, model: nn.Module, loss: Loss, source: Source, batch_size: int, epochs: int
) -> bool:
    """Whether steps on a copy of the model are faster, by 5 % or more, in channels_last layout."""
    convolutional = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())
    size = _batch(source, batch_size, fabric)
    if not convolutional or epochs * (len(source) // size) < 300:
        return False
    batch = next(source.read(torch.arange(size // fabric.world_size)[None]))
    copies = {}
    for layout in (False, True):
        copies[layout] = _Objective(copy.deepcopy(model), loss, None, layout).train()
        _arrange(copies[layout].model, layout)

    def seconds(layout: bool, batch: Batch) -> float:
        started = time.perf_counter()
        with fabric.autocast():
            value = copies[layout](*batch, 0.0)["loss"]
        value.backward()
        value.item()  # waits for the device
        return time.perf_counter() - started

    rounds = [[seconds(layout, batch) for layout in (False, True)] for _ in range(7)][2:]
    plain, last = (statistics.median(times) for times in zip(*rounds, strict=True))
    # Processes that disagree would round differently.
    return bool(fabric.broadcast(last < 0.95 * plain))


def _batch(source: Source, batch_size: int, fabric: Fabric) -> int:
    """Images in a batch of all processes together; all of a set that is smaller than a batch."""
    if batch_size % fabric.world_size:
        raise ValueError(
            f"batch_size must be a multiple of the {fabric.world_size} processes, got {batch_size}"
        )
    size = min(batch_size, len(source))
    return size - size % fabric.world_size


def _seed(seed: int, device: torch.device) -> None:
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Global random state seeded within the block, and as before after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        _seed(seed, device)
        yield


@contextmanager
def _lent(model: nn.Module, device: torch.device) -> Iterator[None]:
    """The model on the device within the block; back where it was, and ready for use, after it."""
    home = next(model.parameters()).device
    try:
        model.to(device)
        yield
    finally:
        _arrange(model.to(home).eval(), False)


def _arrange(model: nn.Module, channels_last: bool) -> None:
    """Lay the weights out in memory, those of convolutions with the channels last or first."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = _laid_out(parameter.data, layout)


def _laid_out(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    # With one channel, both layouts have the numbers in the same places, and `contiguous` is
    # content; but convolutions go by the strides, and those only `to` sets.
    return tensor.contiguous(memory_format=layout).to(memory_format=layout)


@contextmanager
def _compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """The model's calls go through torch.compile within the block."""
    if not wanted:
        yield
        return
    on_gpu = next(model.parameters()).device.type == "cuda"
    model.compile(mode="reduce-overhead" if on_gpu else None)
    try:
        yield
    finally:
        model._compiled_call_impl = None


def _check_settings(
    model: nn.Module,
    loss: Loss,
    epochs: int,
    batch_size: int,
    lr: float,
    clip: float | None,
    patience: int | None,
    validation: Data | None,
    channels_last: bool | str,
) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameters to train")
    if not callable(loss):
        raise TypeError(
            f"loss must be a function (model, images, labels) -> loss, got {type(loss).__name__}"
        )
    counts: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size}
    if patience is not None:
        counts["patience"] = patience
        if validation is None:
            raise ValueError("patience needs a validation set, to see when it gets no better")
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, got {count!r}")
    for name, number, least in (("lr", lr, 0.0), ("clip", clip, math.ulp(0.0))):
        if number is not None and not least <= number < math.inf:
            raise ValueError(f"{name} must be a finite positive number, got {number!r}")
    if channels_last not in (True, False, "auto"):
        raise ValueError(f"channels_last must be True, False or 'auto', got {channels_last!r}")
