"""`fit`: the training loop of this book, for images that stay on the device.

A loop that waits for its data, or asks the GPU for a number at every step, leaves the GPU idle.
Here the whole data set lies on the device as uint8; shuffling, casting and scaling happen there,
batch by batch, and the losses come back a few times a second. lightning-fabric takes care of
devices and number formats.
"""

import inspect
import logging
import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from companion.progress import Run, duration, showing

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Fabric announces the precision on stderr, which would stay below the cell; `History` has it.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_LOOK_EVERY = 0.25  # seconds between looks at the losses: each one waits for the device


class LabelledImages(Protocol):
    """What `fit` reads of a data set; `companion.datasets.ImageSet` is one."""

    @property
    def images(self) -> Tensor:
        """uint8, N×C×H×W."""

    @property
    def labels(self) -> Tensor | None:
        """N of them, or None."""


Data = Tensor | LabelledImages
Loss = Callable[..., Tensor | Mapping[str, Tensor]]
Schedule = Callable[[float], float]


@dataclass(frozen=True)
class History:
    """What a training run recorded.

    `epochs` maps each entry of the loss to its average over each epoch and, if there was a
    validation set, `validation_<entry>` to the average over that set after each epoch. `seconds`
    has the time that each epoch took, `device` says what it ran on and in which precision.
    """

    device: str
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

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
        return f"Trained {epochs} in {duration(sum(self.seconds))} on {self.device}."

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


_SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine}


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
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: str | Schedule = "constant",
    clip: float | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    channels_last: bool = False,
    progress: bool = True,
) -> History:
    """Train `model` in place and return what was recorded.

    model
        Any module. It comes back in evaluation mode, on the device where it was before.
    data
        uint8 images N×C×H×W, as a tensor or as an `ImageSet`; or a function of the epoch
        (0, 1, …) that returns such a set, for images that are drawn anew every time. The order is
        shuffled each epoch; the images left over at its end, too few for a batch, sit it out.
    loss
        `loss(model, images, labels)` with float images in [0, 1], and labels or None. It returns
        a scalar tensor, or a mapping of scalar tensors with "loss" among its keys: that one is
        minimised, all are averaged into the history. A loss with a parameter named `progress`
        also gets how much of the training is done, from 0 to 1 (always 1 on the validation set);
        a KL warm-up needs no more: `beta = min(1, progress / 0.2)`.
    validation
        Images on which the loss is averaged after each epoch, with the same random draws each
        time. Training goes the same way with it as without.
    optimizer
        Called as `optimizer(parameters, lr=lr)`: a class of `torch.optim`, or `functools.partial`
        of one. None is Adam.
    schedule
        "constant", "cosine" (with a warm-up), or a function from progress to the factor on `lr`.
    clip
        The largest 2-norm that the gradient may have; longer ones are shortened to it.
    device, precision
        "auto" takes a GPU if there is one, and on it bf16 from compute capability 8.0 on and fp16
        with a loss scaler below that; fp32 everywhere else. Or name them: "cpu", "cuda", "cuda:1",
        "mps"; "fp32", "bf16", "fp16". The weights themselves stay in fp32.
    channels_last
        Keep the channels of a pixel side by side in memory: faster for many convolutional
        networks, slower for some.
    seed
        Seeds the order of the images and whatever model and loss draw from PyTorch's global
        generators, which are then put back as they were. On the CPU, the same seed, machine and
        number of threads give bit-identical weights. The initial weights are the caller's:
        `torch.manual_seed` before the model is built.
    progress
        Show a progress bar, in a notebook with a live loss curve.

    Raises TypeError or ValueError for arguments that it cannot work with, and FloatingPointError,
    naming the step and the learning rate, once an entry of the loss is NaN or infinite; the
    model's weights are of no use then.
    """
    _check_settings(model, loss, epochs, batch_size, lr, clip)
    factor = _schedule(schedule)
    # One fused kernel instead of many small ones; but it can't unscale fp16 gradients to clip them.
    optimizer = optimizer or partial(torch.optim.Adam, fused=clip is None)
    fabric, precision = _fabric(device, precision)
    images, labels = _resident(data(0) if callable(data) else data, fabric.device)
    held_out = None if validation is None else _resident(validation, fabric.device)
    history, run = History(f"{describe_device(fabric.device)}, {precision}"), Run(epochs)

    with (
        _seeded(seed, fabric.device),
        _lent(model, fabric.device, channels_last),
        showing(run, progress=progress) as show,
    ):
        parameters = [p for p in model.parameters() if p.requires_grad]
        objective, optim = fabric.setup(
            _Objective(model, loss, channels_last), optimizer(parameters, lr=lr)
        )
        rates = [group["lr"] for group in optim.param_groups]
        shuffle = torch.Generator(fabric.device).manual_seed(seed)
        look = 0.0
        for epoch in range(epochs):
            started = time.perf_counter()
            if epoch and callable(data):
                images, labels = _resident(data(epoch), fabric.device)
            order = torch.randperm(len(images), generator=shuffle, device=fabric.device)
            size = min(batch_size, len(images))
            steps = len(images) // size
            record = _Record(epoch, steps)
            objective.train()
            for step, rows in enumerate(order[: steps * size].view(steps, size)):
                done = (epoch + (step + 0.5) / steps) / epochs
                for group, rate in zip(optim.param_groups, rates, strict=True):
                    group["lr"] = rate * factor(done)
                entries = objective(images[rows], None if labels is None else labels[rows], done)
                optim.zero_grad()
                fabric.backward(entries["loss"])
                if clip is not None:
                    fabric.clip_gradients(objective, optim, max_norm=clip, error_if_nonfinite=False)
                optim.step()
                record.add(entries, lr * factor(done))
                if time.perf_counter() > look:
                    run.follow(epoch, steps, record.read())
                    show()
                    look = time.perf_counter() + _LOOK_EVERY

            losses = record.read()
            averages = {name: sum(values) / steps for name, values in losses.items()}
            if held_out is not None:
                after = _validate(objective, *held_out, batch_size, seed)
                averages |= {f"validation_{name}": value for name, value in after.items()}
            history.add(averages, time.perf_counter() - started)
            run.follow(epoch, steps, losses, averages)
        run.ended = str(history)
    return history


class _Objective(nn.Module):
    """The loss as one module, so that autocast (and more, for several GPUs) surrounds all of it."""

    def __init__(self, model: nn.Module, loss: Loss, channels_last: bool) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        function = loss.forward if isinstance(loss, nn.Module) else loss
        self.tells_progress = "progress" in inspect.signature(function).parameters

    def forward(self, pixels: Tensor, labels: Tensor | None, progress: float) -> dict[str, Tensor]:
        images = (pixels / 255).contiguous(memory_format=self.layout)
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


class _Record:
    """The losses of one epoch, kept on the device until somebody asks."""

    def __init__(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps = epoch, steps
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
        values = self.values[: len(self.rates)].cpu()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            step, column = bad[0].tolist()
            raise FloatingPointError(
                f"the loss's entry {self.names[column]!r} became {values[step, column].item()} in "
                f"step {step + 1} of epoch {self.epoch + 1}, where the learning rate was "
                f"{self.rates[step]:.3g}: start again with a new model and a smaller learning "
                "rate, or with clip=1"
            )
        return dict(zip(self.names, values.T.tolist(), strict=True))


def _validate(
    objective: nn.Module, images: Tensor, labels: Tensor | None, batch_size: int, seed: int
) -> dict[str, float]:
    """The average of each entry of the loss over a set, in evaluation mode."""
    objective.eval()
    totals: dict[str, Tensor] = {}
    with torch.no_grad(), _seeded(seed, images.device):
        for start in range(0, len(images), batch_size):
            pixels = images[start : start + batch_size]
            some = None if labels is None else labels[start : start + batch_size]
            for name, entry in objective(pixels, some, 1.0).items():
                totals[name] = totals.get(name, 0) + entry * len(pixels)
    averages = {name: total.item() / len(images) for name, total in totals.items()}
    for name, value in averages.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss's entry {name!r} is {value} on the validation set")
    return averages


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Global random state seeded within the block, and as before after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


@contextmanager
def _lent(model: nn.Module, device: torch.device, channels_last: bool) -> Iterator[None]:
    """The model on the device within the block; back where it was, and ready for use, after it."""
    home = next(model.parameters()).device
    layout = torch.channels_last if channels_last else torch.preserve_format
    try:
        model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        yield
    finally:
        after = torch.contiguous_format if channels_last else layout
        model.to(home).to(memory_format=after).eval()  # type: ignore[call-overload]


def _fabric(device: str | torch.device, precision: str) -> tuple[Fabric, str]:
    """Fabric for the device, and the precision that "auto" became."""
    kind, _, index = str(device).partition(":")
    if kind == "auto":
        kind = next((k for k in ("cuda", "mps") if _available(k)), "cpu")
    elif kind not in ("cpu", "cuda", "mps") or not (index.isdecimal() or not index):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got {device!r}")
    if not _available(kind, int(index or 0)):
        raise ValueError(f"device {str(device)!r} was asked for, but PyTorch finds none here")
    if precision == "auto":
        precision = "fp32"
        if kind == "cuda":
            # is_bf16_supported() says yes to a T4 too, which only emulates it.
            major, _ = torch.cuda.get_device_capability(int(index or 0))
            precision = "bf16" if major >= 8 else "fp16"
    names: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    if precision not in names:
        raise ValueError(f"precision must be one of 'auto', {', '.join(names)}, got {precision!r}")
    if precision == "fp16" and kind != "cuda":
        raise ValueError(f"fp16 needs a CUDA GPU; on {kind} ask for 'bf16' or 'fp32'")
    devices: Any = 1 if kind == "cpu" else [int(index or 0)]
    return Fabric(accelerator=kind, devices=devices, precision=names[precision]), precision


def _available(kind: str, index: int = 0) -> bool:
    if kind == "cuda":
        return index < torch.cuda.device_count()
    return index == 0 and (kind == "cpu" or torch.backends.mps.is_available())


def describe_device(device: str | torch.device) -> str:
    """The name of a processor or GPU, for a record: 'Tesla T4', 'AMD EPYC (2 threads)'."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    details = Path("/proc/cpuinfo")  # on Linux, where `platform` knows no more than "x86_64"
    if details.exists():
        lines = details.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(
            (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), name
        )
    threads = torch.get_num_threads()
    return (
        f"{name} GPU" if device.type == "mps" else f"{name} ({threads} thread{'s' * (threads > 1)})"
    )


def _schedule(schedule: str | Schedule) -> Schedule:
    if callable(schedule):
        return schedule
    if schedule not in _SCHEDULES:
        raise ValueError(
            f"schedule must be {' or '.join(map(repr, _SCHEDULES))} or a function from progress to "
            f"a factor, got {schedule!r}"
        )
    return _SCHEDULES[schedule]


def _resident(data: Data, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Images and labels of a data set, checked and on the device."""
    images = data if isinstance(data, Tensor) else getattr(data, "images", None)
    labels = None if isinstance(data, Tensor) else getattr(data, "labels", None)
    if not isinstance(images, Tensor):
        raise TypeError(
            "data must be a tensor of images, an ImageSet, or a function from the epoch to one of "
            f"these, got {type(data).__name__}"
        )
    if images.dtype != torch.uint8 or images.ndim != 4 or not images.numel():
        raise ValueError(
            "images must be a uint8 tensor N×C×H×W with values 0 to 255, got "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"got {len(images)} images, but {len(labels)} labels")
    return images.to(device), None if labels is None else labels.to(device)


def _check_settings(
    model: nn.Module, loss: Loss, epochs: int, batch_size: int, lr: float, clip: float | None
) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameters to train")
    if not callable(loss):
        raise TypeError(
            f"loss must be a function (model, images, labels) -> loss, got {type(loss).__name__}"
        )
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, got {count!r}")
    for name, number, least in (("lr", lr, 0.0), ("clip", clip, math.ulp(0.0))):
        if number is not None and not least <= number < math.inf:
            raise ValueError(f"{name} must be a finite positive number, got {number!r}")
