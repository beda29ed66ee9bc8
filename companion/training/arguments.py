"""What `fit` refuses before it starts: one sentence for each argument that cannot work."""

import inspect
import math
import numbers
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from companion.training.checkpoint import check_place

Loss = Callable[..., Tensor | Mapping[str, Tensor]]


def check_settings(
    model: object,
    loss: object,
    *,
    epochs: object,
    batch_size: object,
    lr: object,
    seed: object,
    augment: object,
    optimizer: object,
    clip: object,
    patience: object,
    validation: object,
    checkpoint: Path | None,
    channels_last: object,
    workers: object,
) -> None:
    """Raise a TypeError or ValueError that names the first argument of `fit` that makes no sense.

    Data, schedule, device and precision are checked where they are opened.
    """
    if not torch.is_grad_enabled():
        raise ValueError("`fit` needs gradients, but was called within torch.no_grad()")
    _check_model(model)
    _check_loss(loss)
    if isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            "optimizer must be a class of torch.optim or a functools.partial of one, which `fit` "
            f"calls with the parameters; got an {type(optimizer).__name__} that is made already"
        )
    if "lr" in getattr(optimizer, "keywords", {}):
        raise ValueError("give lr to `fit`, which passes it on, not to the optimizer")
    for name, function in (("optimizer", optimizer), ("augment", augment)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, got {function!r}")
    if patience is not None and validation is None:
        raise ValueError("patience needs a validation set, to see when it gets no better")
    _check_count("epochs", epochs, 1)
    _check_count("batch_size", batch_size, 1)
    _check_count("seed", seed, -(2**63))
    for name, count, least in (("patience", patience, 1), ("workers", workers, 0)):
        if count is not None:
            _check_count(name, count, least)
    for name, number, smallest in (("lr", lr, 0.0), ("clip", clip, math.ulp(0.0))):
        if number is None and name == "clip":
            continue
        if not isinstance(number, numbers.Real) or not smallest <= float(number) < math.inf:
            raise ValueError(f"{name} must be a finite positive number, got {number!r}")
    if channels_last not in (True, False):
        raise ValueError(f"channels_last must be True or False, got {channels_last!r}")
    if checkpoint is not None:
        check_place(checkpoint)


def _check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise ValueError("the model has lazy layers: call it once on a batch before the training")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no parameters to train")
    if odd := {p.dtype for p in model.parameters()} - {torch.float32}:
        raise ValueError(f"the model's parameters must be float32, got {odd.pop()}: model.float()")


def _check_loss(loss: object) -> None:
    if not callable(loss):
        raise TypeError(
            f"loss must be a function (model, images, labels) -> loss, got {type(loss).__name__}"
        )
    if isinstance(loss, type):
        raise TypeError(
            f"loss must be a function (model, images, labels) -> loss, got the class "
            f"{loss.__name__}; wrap it: def loss(model, images, labels): …"
        )
    try:
        signature = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss)
    except ValueError:  # something built in, which does not tell
        return
    progress = {"progress": 1.0} if "progress" in signature.parameters else {}
    try:
        signature.bind("model", "images", "labels", **progress)
        if next(iter(signature.parameters), "") == "input":  # those of torch.nn.functional
            raise TypeError
    except TypeError:
        name = getattr(loss, "__name__", type(loss).__name__)
        raise TypeError(
            "loss must be a function (model, images, labels) -> loss, but "
            f"{name}{signature} takes other arguments; wrap it: "
            "def loss(model, images, labels): …"
        ) from None


def _check_count(name: str, count: Any, least: int) -> None:
    try:
        whole = not isinstance(count, bool) and operator.index(count) >= least
    except TypeError:
        whole = False
    if not whole:
        bound = f", at least {least}" if least >= 0 else ""
        raise ValueError(f"{name} must be a whole number{bound}, got {count!r}")
