"""How far a training has come, and how a killed one goes on: what `fit` writes and reads again.

`companion.training.checkpoint` is about the file, `companion.training.identity` about which
training it belongs to.
"""

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from companion.training import checkpoint as checkpoints
from companion.training.history import History
from companion.training.schedules import Rate

_SAVE_EVERY = 10.0  # seconds between checkpoints, where epochs are shorter than that


@dataclass
class State:
    """How far a training has come, beside what model and optimizer hold."""

    history: History
    best_loss: float = math.inf
    best_weights: dict[str, Any] | None = None

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
            # Extra state, which is no tensor, may be an object that the model goes on to change.
            self.best_weights = {
                name: value.to("cpu", copy=True)
                if isinstance(value, Tensor)
                else copy.deepcopy(value)
                for name, value in model.state_dict().items()
            }

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or the best one lies `patience` epochs back."""
        stale = patience is not None and self.done - (self.history.best or 0) >= patience
        return self.done >= epochs or stale

    def restore_best(self, model: nn.Module) -> None:
        """Give the model the weights of its best epoch, if `patience` had them kept."""
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)


class Checkpointer:
    """Saves a training to its file and brings it back. Without a path it only gives `advice`.

    `identity` says in words which training it is, `held` which modules stay in evaluation mode.
    """

    def __init__(
        self,
        path: Path | None,
        fabric: Fabric,
        model: nn.Module,
        optimizer: Any,
        rate: Rate,
        held: list[str],
        identity: Mapping[str, object],
    ) -> None:
        self.path, self.fabric, self.model, self.held = path, fabric, model, held
        self.optimizer, self.rate = optimizer, rate
        self.identity = {name: str(value) for name, value in identity.items()}
        self.saved_at = -math.inf
        self.saved_epoch = 0
        if path is not None:
            checkpoints.check_storable(model.state_dict())

    @property
    def scaler(self) -> Any:
        """The fp16 loss scaler, None in other precisions."""
        return getattr(self.fabric._precision, "scaler", None)

    def save(self, state: State, *, last: bool) -> None:
        """Save, if there is a path and it is time, or this is the `last` epoch.

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
                "optimizer": self.optimizer.state_dict(), "rate": self.rate.state(),
                "scaler": self.scaler.state_dict() if self.scaler else None,
                "history": asdict(state.history), "best_loss": state.best_loss,
                "best_weights": state.best_weights, "held": self.held, "settings": self.identity,
            })  # fmt: skip
        self.saved_at, self.saved_epoch = time.perf_counter(), state.done

    def resume(self, saved: dict[str, Any], device: str) -> State:
        """Load a checkpoint into model, optimizer and schedule. Raises CheckpointError."""
        checkpoints.check_same(str(self.path), saved["settings"], self.identity)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.rate.load(saved["rate"])
        if self.scaler and saved["scaler"]:
            self.scaler.load_state_dict(saved["scaler"])
        self.saved_epoch = saved["epoch"]
        history = History(**saved["history"] | {"device": device, "graph": ""})
        history.resumed = len(history.seconds)
        return State(history, saved["best_loss"], saved["best_weights"])

    def advice(self) -> str:
        """What to do when the loss is lost."""
        if not self.saved_epoch:
            return "start again with a new model and a smaller learning rate, or with clip=1"
        return (
            f"the last good checkpoint, after epoch {self.saved_epoch}, is {self.path}: "
            "companion.training.checkpoint.restore gives a model its weights; go on from there "
            "with a smaller learning rate, or with clip=1, and another checkpoint file"
        )
