"""`fit`: the training loop of this book.

A loop that waits for its data, or asks the GPU for a number at every step, leaves the GPU idle.
Here the whole data set lies on the device as uint8; shuffling, casting and augmenting happen there,
batch by batch, and the losses come back a few times a second. lightning-fabric takes care of
devices, number formats and processes (`devices`), `batches` of the images, `checkpoint` of what
survives a kill.
"""

import copy
import hashlib
import inspect
import math
import operator
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import CellType
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from companion.training import checkpoint as checkpoints
from companion.training.arguments import Loss, check_settings
from companion.training.augmentation import Augmentation
from companion.training.batches import Batch, Data, Source, in_order, mixed, open_source, shuffled
from companion.training.devices import describe_device, kept_memory, open_fabric
from companion.training.progress import Run, duration, showing
from companion.training.schedules import Plateau, Rate, Schedule

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LOOK_EVERY = 0.25  # seconds between looks at the losses: each one waits for the device
_SAVE_EVERY = 10.0  # seconds between checkpoints, where epochs are shorter than that


@dataclass
class History:
    """What a training run recorded.

    `epochs` maps each entry of the loss to its average over each epoch and, if there was a
    validation set, `validation_<entry>` to the average over that set after each epoch. `seconds`
    has the time that each epoch took, `device` says what it ran on and in which precision. `best`
    is the epoch, from 1, whose weights were kept, if `patience` chose one; `resumed` counts the
    epochs that came from a checkpoint.
    """

    device: str
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best: int | None = None
    resumed: int = 0

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
        before = f" ({self.resumed} of them before, from the checkpoint)" if self.resumed else ""
        return f"Trained {epochs}{before} in {duration(sum(self.seconds))} on {self.device}.{kept}"

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
        `companion.training.augmentation.crop_and_flip(4)`. The validation set stays as it is.
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
        returns at once. CheckpointError if the file belongs to another training, by its model,
        images, labels, numbers, optimizer, schedule, and the names of the functions and the plain
        values that they were made with; what a function does cannot be compared: give another loss
        another file.
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
    checkpoint = None if checkpoint is None else Path(checkpoint).expanduser()
    check_settings(
        model, loss, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, augment=augment,
        optimizer=optimizer, clip=clip, patience=patience, validation=validation,
        checkpoint=checkpoint, channels_last=channels_last, workers=workers,
    )  # fmt: skip
    # NumPy's numbers, which would make checkpoints that cannot be read, become Python's.
    epochs, batch_size, seed = map(operator.index, (epochs, batch_size, seed))
    lr, clip = float(lr), None if clip is None else float(clip)
    rate = Rate(schedule)
    saved = checkpoints.load(checkpoint) if checkpoint and Path(checkpoint).exists() else None
    fabric, used_precision = open_fabric(device, precision)
    home = fabric.device
    source = open_source(
        data(min(saved["epoch"], epochs - 1) if saved else 0) if callable(data) else data,
        home,
        workers,
    )
    held_out = (
        None if validation is None else open_source(validation, home, workers, what="validation")
    )
    # One fused kernel instead of many small ones; but it can't unscale fp16 gradients to clip them.
    optimizer = optimizer or partial(torch.optim.Adam, fused=clip is None)

    with kept_memory(), _seeded(seed, home), _lent(model, loss, home), _compiled(model, compile):
        state = _State(History(f"{describe_device(home)}, {used_precision}"))
        if channels_last != "auto":
            last = bool(channels_last)
        elif saved:
            last = bool(saved["channels_last"])
        else:
            last = _probe(fabric, model, loss, augment, source, batch_size, epochs)
        _arrange(model, last)
        objective, optim = fabric.setup(
            _Objective(model, loss, augment, last),
            optimizer([p for p in model.parameters() if p.requires_grad], lr=lr),
        )
        rates = [group["lr"] for group in optim.param_groups]
        keeper = _Keeper(checkpoint, fabric, model, optim, rate, last, {
            "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "clip": clip,
            "patience": patience, "precision": precision, "schedule": rate.words,
            "loss": _name(loss), "augment": _name(augment), "images": _name(data) if callable(data)
            else source.fingerprint(), "validation": held_out and held_out.fingerprint(),
        })  # fmt: skip
        if saved:
            state = keeper.resume(saved, state)
        run, look = Run.resumed(epochs, state.history.epochs), 0.0

        def one_epoch(epoch: int, show: Callable[[], None]) -> dict[str, list[float]]:
            """Every batch once; returns the losses step by step."""
            nonlocal look
            _seed(mixed(seed, epoch, fabric.global_rank), home)
            rows = shuffled(len(source), _batch(source, batch_size, fabric), seed, epoch)
            record = _Record(epoch, len(rows), keeper)
            objective.train()
            # Each of several processes takes its share of every batch.
            batches = source.read(rows[:, fabric.global_rank :: fabric.world_size])
            for step, batch in enumerate(batches):
                done = (epoch + (step + 0.5) / len(rows)) / epochs
                factor = rate(done)
                for group, own in zip(optim.param_groups, rates, strict=True):
                    group["lr"] = own * factor
                entries = objective(*batch, done)
                optim.zero_grad()
                fabric.backward(entries["loss"])
                if step == 0 and all(p.grad is None for p in model.parameters()):
                    raise ValueError(
                        "the loss does not depend on the parameters of the model that it is given "
                        "(on another model's, perhaps): nothing could be learnt"
                    )
                if clip is not None:
                    fabric.clip_gradients(objective, optim, max_norm=clip, error_if_nonfinite=False)
                optim.step()
                record.add(entries, lr * factor)
                if time.perf_counter() > look:
                    run.follow(epoch, len(rows), record.read())
                    show()
                    look = time.perf_counter() + _LOOK_EVERY
            return record.close()

        with showing(run, progress=progress and fabric.is_global_zero) as show:
            while state.done < epochs and not state.stale(patience):
                epoch, started = state.done, time.perf_counter()
                if callable(data) and epoch != (saved["epoch"] if saved else 0):
                    source = open_source(data(epoch), home, workers)
                losses = one_epoch(epoch, show)
                steps_done = len(losses["loss"])
                averages = {name: sum(values) / steps_done for name, values in losses.items()}
                if held_out is not None:
                    try:
                        after = _validate(objective, held_out, batch_size, seed, home)
                    except FloatingPointError as error:
                        raise FloatingPointError(f"{error}: {keeper.advice()}") from None
                    averages |= {f"validation_{name}": value for name, value in after.items()}
                # What follows from them must be the same in every process.
                averages = fabric.broadcast(averages)
                rate.observe(averages.get("validation_loss", averages["loss"]))
                state.add(averages, time.perf_counter() - started, model, patience)
                keeper.save(state, last=state.done == epochs or state.stale(patience))
                run.follow(epoch, steps_done, losses, averages)
            optim.zero_grad()
            if fabric.world_size > 1:  # batch norm's averages are each process's own
                for buffer in model.buffers():
                    buffer.copy_(fabric.broadcast(buffer))
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
        self.worked: set[bool] = set()  # True for training, False for validation

    def train(self, mode: bool = True) -> "_Objective":
        """The model trains; a loss that is a network of its own stays as it is."""
        self.training = mode
        self.model.train(mode)
        return self

    def forward(self, pixels: Tensor, labels: Tensor | None, progress: float) -> dict[str, Tensor]:
        images = pixels if pixels.is_floating_point() else pixels / 255
        if self.augment is not None and self.training:
            images = self._augmented(images)
        images = _laid_out(images, self.layout)
        more = {"progress": progress} if self.tells_progress else {}
        try:
            value = self.loss(self.model, images, labels, **more)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, AttributeError, IndexError) as error:
            if self.training in self.worked:
                raise
            which = "its first batch" if self.training else "the validation set's first batch"
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"the loss failed on {which}, images {_in_words(images)} and labels "
                f"{_in_words(labels)}: {str(error).splitlines()[0] if str(error) else error!r}"
            ) from error
        self.worked.add(self.training)
        entries = dict(value) if isinstance(value, Mapping) else {"loss": value}
        for name, entry in entries.items():
            if not isinstance(entry, Tensor) or entry.ndim:
                came = tuple(entry.shape) if isinstance(entry, Tensor) else type(entry).__name__
                hint = "; return its field `total`" if hasattr(entry, "total") else ""
                raise TypeError(f"the loss must give scalar tensors, but {name!r} is {came}{hint}")
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


@dataclass
class _State:
    """How far a training has come, beside what model and optimizer hold."""

    history: History
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] | None = None

    @property
    def done(self) -> int:
        """How many epochs."""
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
            self.history.best = self.done
            self.best_weights = {k: v.to("cpu", copy=True) for k, v in model.state_dict().items()}

    def stale(self, patience: int | None) -> bool:
        """Whether the best epoch lies `patience` epochs back."""
        return patience is not None and self.done - (self.history.best or 0) >= patience

    def restore_best(self, model: nn.Module) -> None:
        """Give the model the weights of its best epoch, if `patience` had them kept."""
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
        rate: Rate,
        channels_last: bool,
        settings: dict[str, Any],
    ) -> None:
        self.path, self.fabric, self.model, self.optim = path, fabric, model, optim
        self.rate, self.channels_last = rate, channels_last
        settings = {
            "model": _model_in_words(model),
            "optimizer": _optimizer_in_words(optim.optimizer),
            **settings,
        }
        self.settings = {name: str(value) for name, value in settings.items()}
        self.saved_at = -math.inf
        self.saved_epoch = 0

    @property
    def scaler(self) -> Any:
        """The fp16 loss scaler, None in other precisions."""
        return getattr(self.fabric._precision, "scaler", None)

    def save(self, state: _State, *, last: bool) -> None:
        """Save, if there is a checkpoint and it is time.

        Raises FloatingPointError for weights that are not finite: the loss is taken before the
        step that may have spoilt them.
        """
        for name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                raise FloatingPointError(
                    f"{name} is no longer finite after epoch {state.done}: {self.advice()}"
                )
        early = time.perf_counter() - self.saved_at < _SAVE_EVERY
        if self.path is None or (early and not last):
            return
        if self.fabric.is_global_zero:
            checkpoints.save(self.path, {
                "epoch": state.done, "model": self.model.state_dict(),
                "optimizer": self.optim.state_dict(), "rate": self.rate.state(),
                "scaler": self.scaler.state_dict() if self.scaler else None,
                "history": asdict(state.history), "best_loss": state.best_loss,
                "best_weights": state.best_weights, "channels_last": self.channels_last,
                "settings": self.settings,
            })  # fmt: skip
        self.saved_at, self.saved_epoch = time.perf_counter(), state.done

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
        history.resumed = len(history.seconds)
        return _State(history, saved["best_loss"], saved["best_weights"])

    def advice(self) -> str:
        """What to do when the loss is lost."""
        if not self.saved_epoch:
            return "start again with a new model and a smaller learning rate, or with clip=1"
        return (
            f"the last good checkpoint, after epoch {self.saved_epoch}, is {self.path}: "
            "companion.training.checkpoint.restore gives a model its weights; go on from there "
            "with a smaller learning rate, or with clip=1, and another checkpoint file"
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

    def read(self) -> dict[str, list[float]]:
        """Each entry's values so far. Raises FloatingPointError if one is NaN or infinite."""
        # Of several processes, none may stop alone: the others would wait for it.
        alone = self.keeper.fabric.world_size == 1
        return self._checked(self.values[: len(self.rates)], stop=alone)

    def close(self) -> dict[str, list[float]]:
        """The same at the end of the epoch, averaged over all processes."""
        values, fabric = self.values[: len(self.rates)], self.keeper.fabric
        if fabric.world_size > 1:
            values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
        return self._checked(values, stop=True)

    def _checked(self, values: Tensor, *, stop: bool) -> dict[str, list[float]]:
        values = values.cpu()
        bad = (~values.isfinite()).nonzero()
        if len(bad) and stop:
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
        for pixels, labels in source.read(in_order(len(source), batch_size)):
            for name, entry in objective(pixels, labels, 1.0).items():
                totals[name] = totals.get(name, 0) + entry * len(pixels)
    averages = {name: total.item() / len(source) for name, total in totals.items()}
    for name, value in averages.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss's entry {name!r} is {value} on the validation set")
    return averages


def _probe(
    fabric: Fabric,
    model: nn.Module,
    loss: Loss,
    augment: Augmentation | None,
    source: Source,
    batch_size: int,
    epochs: int,
) -> bool:
    """Whether steps on a copy of the model are faster, by 5 % or more, in channels_last layout."""
    convolutional = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())
    size = _batch(source, batch_size, fabric)
    if not convolutional or epochs * (len(source) // size) < 300:
        return False
    batch = next(source.read(torch.arange(size // fabric.world_size)[None]))
    copies = {}
    for layout in (False, True):
        try:
            twin = copy.deepcopy(model)
        except Exception:  # it keeps something from an earlier call: no copy, no probe
            return False
        copies[layout] = _Objective(twin, loss, augment, layout).train()
        _arrange(twin, layout)

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
    if size < fabric.world_size:
        raise ValueError(f"{size} images are too few for {fabric.world_size} processes")
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
def _lent(model: nn.Module, loss: Loss, device: torch.device) -> Iterator[None]:
    """Model, and loss if it is one, on the device within the block; back home after it.

    The model comes back ready for use.
    """
    modules = [model, loss] if isinstance(loss, nn.Module) else [model]
    homes = [next((p.device for p in (*m.parameters(), *m.buffers())), device) for m in modules]
    try:
        for module in modules:
            module.to(device)
        yield
    finally:
        for module, home in zip(modules, homes, strict=True):
            module.to(home)
        _arrange(model.eval(), False)


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


def _in_words(tensor: Tensor | None) -> str:
    if tensor is None:
        return "None"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _name(thing: object) -> str:
    """A function, and the plain values that it was made with, in words.

    They are the same in the next session.
    """
    if thing is None:
        return "None"
    thing = inspect.unwrap(thing) if callable(thing) else thing  # what functools.wraps wraps
    made_with: dict[Any, object]
    if isinstance(thing, partial):
        made_with = {**dict(enumerate(thing.args)), **thing.keywords}
        thing = thing.func
    else:
        cells = getattr(thing, "__closure__", None) or ()
        free = getattr(getattr(thing, "__code__", None), "co_freevars", ())
        # A cell is empty where the variable is assigned later.
        made_with = {
            name: cell.cell_contents
            for name, cell in zip(free, cells, strict=True)
            if cell != CellType()
        }
    words = str(getattr(thing, "__qualname__", type(thing).__qualname__))
    plain = [f"{name}={value!r}" for name, value in made_with.items() if _is_plain(value)]
    return f"{words} with {', '.join(plain)}" if plain else words


def _is_plain(value: object) -> bool:
    # No lists: a loss may write down there what it sees.
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _optimizer_in_words(optimizer: torch.optim.Optimizer) -> str:
    # How it is computed may differ from machine to machine, what is computed may not.
    ways = ("params", "initial_lr", "fused", "foreach", "capturable", "differentiable")
    groups = [
        ", ".join(f"{name}={value}" for name, value in group.items() if name not in ways)
        for group in optimizer.param_groups
    ]
    return f"{type(optimizer).__name__}({'; '.join(groups)})"


def _model_in_words(model: nn.Module) -> str:
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(model))  # addresses are another session's
    digest = hashlib.sha256(repr((shapes, frozen, layers)).encode()).hexdigest()[:8]
    count = sum(p.numel() for p in model.parameters())
    return f"{type(model).__name__} with {count:,} parameters (layers {digest})"
