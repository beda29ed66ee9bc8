"""`fit`: the training loop of this book.

A loop that waits for its data, or asks the GPU for a number at every step, leaves the GPU idle.
Here the whole data set lies on the device as uint8; shuffling, casting and augmenting happen there,
batch by batch, and the losses come back a few times a second. `train_epoch` is the loop itself;
around it, lightning-fabric takes care of devices, number formats and processes (`devices`),
`batches` of the images, `objective` of the loss, `resume` of what survives a kill.
"""

import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from companion.paths import expanded
from companion.threads import limit_threads
from companion.training import checkpoint as checkpoints
from companion.training.arguments import Loss, check_settings
from companion.training.augmentation import Augmentation
from companion.training.batches import (
    Batch,
    Data,
    Source,
    combine_seeds,
    in_order,
    open_source,
    shared_size,
    shuffled,
)
from companion.training.capture import CapturedStep, capture_step
from companion.training.devices import (
    compiled,
    describe_device,
    keep_freed_memory,
    on_device,
    open_fabric,
    seed_torch,
    seeded,
    weights_to_format,
)
from companion.training.history import EpochLosses, History
from companion.training.identity import describe_function, describe_model, describe_optimizer
from companion.training.objective import Objective, modules_to_hold
from companion.training.progress import Run, live_progress, throttled
from companion.training.resume import Checkpointer, State
from companion.training.schedules import Plateau, Rate, Schedule

_LOOK_EVERY = 0.25  # seconds between looks at the losses: each one waits for the device


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
    channels_last: bool = False,
    compile: bool = False,
    capture: bool = True,
    workers: int | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place and return what was recorded.

    The recipe of the ResNet slide, for instance, is one call::

        fit(model, train, loss, epochs=160, batch_size=256, lr=0.1, validation=test,
            optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),
            schedule="plateau", augment=crop_and_flip(padding=4))

    model
        Any module. It comes back in evaluation mode, on the device where it was before. To hold a
        part still, freeze it: `part.requires_grad_(False)`, and `part.eval()` for the statistics of
        its norms and for its dropout. Modules that are in evaluation mode stay so, unless the whole
        model is, as it comes back from here: then all of it is trained but its frozen parts.
    data
        uint8 images N×C×H×W, as a tensor or as an `ImageSet`: they stay on the device. Or, for more
        images than memory holds, a torch `Dataset` of images or (image, label), which a
        `DataLoader` with `workers` processes reads (None: 4 on a GPU, where the system forks
        processes, else none). Or a function of the epoch (0, 1, …) that returns one of these, for
        images that are drawn anew every time. The order is shuffled each epoch; the last,
        incomplete batch is dropped.
    loss
        `loss(model, images, labels)` with float images in [0, 1], and labels or None. It returns
        a scalar tensor, or a mapping of scalar tensors with "loss" among its keys: that one is
        minimised, all are averaged into the history. A loss with a parameter named `progress`
        also gets how much of the training is done, from 0 to 1 (always 1 on the validation set);
        a KL warm-up needs no more: `beta = min(1, progress / 0.2)`. Only the model's parameters
        are trained; a loss with weights of its own is refused.
    seed
        Seeds the order of the images and whatever model, augmentation and loss draw from PyTorch's
        global generators, which are then put back as they were. On the CPU, the same seed, machine
        and number of threads give bit-identical weights. The initial weights are the caller's:
        `torch.manual_seed` before the model is built.
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
        images and labels (of a `Dataset`, up to 256 items), numbers, optimizer, schedule, and the
        names of the functions and the plain values that they were made with; what a function does
        cannot be compared: give another loss another file.
    device, precision
        "auto" takes a GPU if there is one, and on it bf16 from compute capability 8.0 on and fp16
        with a loss scaler below that; fp32 everywhere else. Or name them: "cpu", "cuda", "cuda:1",
        "mps"; "fp32", "bf16", "fp16". The weights themselves stay in fp32.
    channels_last
        Keep the channels of a pixel side by side in memory: faster for many convolutional networks,
        slower for some. The results differ by rounding, and dropout draws in another order.
    compile
        Have torch.compile translate the model (on a GPU with CUDA graphs): seconds to minutes of
        waiting, then faster steps.
    capture
        On a CUDA GPU, record the step once as a CUDA graph and replay it for every batch, where
        that can be done: with images that lie on the device, Adam, AdamW or SGD, and a loss that
        asks for no number on the way. `History.graph` tells, and why not; it needs no compiler.
        Augmentation, model and loss are then called for the recording only: what they do beside
        computing with tensors (counting, printing) is not repeated. False: never.
    progress
        Show a progress bar, in a notebook with a live loss curve.

    Several processes, started by `torchrun`, share each batch and end with the same weights.

    Raises TypeError or ValueError for arguments that it cannot work with, and FloatingPointError,
    naming the step, the learning rate and the last good checkpoint, once an entry of the loss is
    NaN or infinite; the model's weights are of no use then.
    """
    # What can be wrong is found here, before anything is computed or changed.
    limit_threads()
    path = None if checkpoint is None else expanded(checkpoint)
    check_settings(
        model, loss, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, augment=augment,
        optimizer=optimizer, clip=clip, patience=patience, validation=validation,
        checkpoint=path, channels_last=channels_last, workers=workers,
    )  # fmt: skip
    # NumPy's numbers, which would make checkpoints that cannot be read, become Python's.
    epochs, batch_size, seed = map(operator.index, (epochs, batch_size, seed))
    lr, clip = float(lr), None if clip is None else float(clip)
    rate = Rate(schedule)
    saved = checkpoints.load(path) if path and path.exists() else None
    fabric, used_precision = open_fabric(device, precision)
    home = fabric.device

    # The images go to the device, once.
    drawn_epoch = min(saved["epoch"], epochs - 1) if saved else 0
    source = open_source(data(drawn_epoch) if callable(data) else data, home, workers)
    held_out = (
        None if validation is None else open_source(validation, home, workers, what="validation")
    )
    # One fused kernel instead of many small ones; but it can't unscale fp16 gradients to clip them.
    optimizer = optimizer or partial(torch.optim.Adam, fused=clip is None)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    with keep_freed_memory(), seeded(seed, home), on_device(model, loss, home), \
            compiled(model, compile):  # fmt: skip
        weights_to_format(model, layout)
        held = modules_to_hold(model, saved.get("held") if saved else None)
        trainable = [p for p in model.parameters() if p.requires_grad]
        # Fabric wraps both, for the number format and, with several processes, the gradients.
        objective = Objective(model, loss, augment, layout, held)
        wrapped, optim = fabric.setup(objective, optimizer(trainable, lr=lr))
        rate.attach(optim)

        # A training that was killed goes on where its checkpoint is.
        identity = {} if path is None else {
            "model": describe_model(model, held),
            "optimizer": describe_optimizer(optim.optimizer),
            "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "clip": clip,
            "patience": patience, "precision": precision, "schedule": rate.words,
            "loss": describe_function(loss), "augment": describe_function(augment),
            "images": describe_function(data) if callable(data) else source.fingerprint(),
            "validation": held_out and held_out.fingerprint(),
        }  # fmt: skip
        checkpointer = Checkpointer(path, fabric, model, optim, rate, held, identity)
        hardware = f"{describe_device(home)}, {used_precision}"
        state = checkpointer.resume(saved, hardware) if saved else State(History(hardware))
        run = Run.resumed(epochs, state.history.epochs)
        one_pass = partial(train_epoch, wrapped, optim, clip=clip, fabric=fabric)
        captured: CapturedStep | None = None

        def look() -> None:
            run.follow(losses.epoch, losses.steps, losses.read())
            show()

        with live_progress(run, progress=progress and fabric.is_global_zero) as show:
            look_now_and_then = throttled(look, _LOOK_EVERY)
            while not state.is_over(epochs, patience):
                epoch, started = state.done, time.perf_counter()
                if callable(data) and epoch != drawn_epoch:
                    source = open_source(data(epoch), home, workers)
                # Order and draws depend on seed and epoch alone, so a resumed run has them again.
                # Each of several processes draws its own, and takes its share of every batch.
                size = shared_size(len(source), batch_size, fabric.world_size)
                rows = shuffled(len(source), size, seed, epoch)
                rows = rows[:, fabric.global_rank :: fabric.world_size]
                losses = EpochLosses(epoch, epochs, len(rows), fabric, rate, checkpointer.advice)
                if capture and state.done == state.history.resumed:  # the first one of this call
                    captured, state.history.graph = capture_step(
                        one_pass, objective, optim.optimizer, source, rows, rate, losses,
                        seed=seed, scaler=checkpointer.scaler, clip=clip, compile=compile,
                        steps_left=(epochs - epoch) * len(rows), drawn=callable(data),
                    )  # fmt: skip
                seed_torch(combine_seeds(seed, epoch, fabric.global_rank), home)
                if captured is not None and captured.takes(source, rows):
                    captured.run(source, rows, rate, losses, look_now_and_then)
                else:
                    batches = _batches(source.read(rows), losses, trainable, look_now_and_then)
                    one_pass(batches=batches, losses=losses, rate=rate)
                by_step = losses.close()
                averages = {name: sum(values) / len(rows) for name, values in by_step.items()}
                if held_out is not None:
                    after = validate(wrapped, held_out, batch_size, seed, home)
                    _check_finite(after, checkpointer.advice)
                    averages |= {f"validation_{name}": value for name, value in after.items()}
                # What follows from the averages must be the same in every process.
                averages = fabric.broadcast(averages)
                rate.observe(averages.get("validation_loss", averages["loss"]))
                state.add(averages, time.perf_counter() - started, model, patience)
                checkpointer.save(state, last=state.is_over(epochs, patience))
                run.follow(epoch, len(rows), by_step, averages)
            optim.zero_grad()
            if fabric.world_size > 1:  # batch norm's averages are each process's own
                for buffer in model.buffers():
                    buffer.copy_(fabric.broadcast(buffer))
            state.restore_best(model)
            run.ended = str(state.history)
    return state.history


def train_epoch(
    objective: nn.Module,
    optimizer: Any,
    batches: Iterable[tuple[Tensor, Tensor | None, float]],
    losses: EpochLosses,
    *,
    rate: Rate,
    clip: float | None,
    fabric: Fabric,
) -> None:
    """One pass over the batches: forward, backward, step.

    `batches` gives images, labels and the progress of the training from 0 to 1. `objective` and
    `optimizer` are what `fabric.setup` returned; what the objective gives is added to `losses`.
    """
    objective.train()
    for images, labels, progress in batches:
        rate.apply(optimizer, progress)
        entries = objective(images, labels, progress)  # forward: the loss and its parts
        optimizer.zero_grad()
        fabric.backward(entries["loss"])  # backward: the gradient of each weight
        if clip is not None:
            fabric.clip_gradients(objective, optimizer, max_norm=clip, error_if_nonfinite=False)
        optimizer.step()  # new weights
        losses.add(entries)


def validate(
    objective: nn.Module, source: Source, batch_size: int, seed: int, device: torch.device
) -> dict[str, float]:
    """The average of each entry of the loss over a set, in evaluation mode."""
    objective.eval()
    totals: dict[str, Tensor] = {}
    with torch.no_grad(), seeded(seed, device):
        for images, labels in source.read(in_order(len(source), batch_size)):
            for name, entry in objective(images, labels, 1.0).items():
                totals[name] = totals.get(name, 0) + entry * len(images)
    return {name: total.item() / len(source) for name, total in totals.items()}


def _batches(
    batches: Iterable[Batch],
    losses: EpochLosses,
    trainable: list[nn.Parameter],
    after_step: Callable[[], None],
) -> Iterator[tuple[Tensor, Tensor | None, float]]:
    """The batches of an epoch, each with the progress of the training in its middle."""
    for step, (images, labels) in enumerate(batches):
        yield images, labels, losses.progress(step)
        # Now the step on this batch is done: the loop asks for the next one.
        if step == 0 and all(p.grad is None for p in trainable):
            raise ValueError(
                "the loss does not depend on the parameters of the model that it is given: "
                "nothing could be learnt"
            )
        after_step()


def _check_finite(averages: dict[str, float], advice: Callable[[], str]) -> None:
    for name, value in averages.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss's entry {name!r} is {value} on the validation set: {advice()}"
            )
