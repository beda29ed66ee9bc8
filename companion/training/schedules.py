"""How the learning rate changes through a training: functions of the progress, and the plateau.

`fit` takes each of them as `schedule`.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Schedule = Callable[[float], float]


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


class Rate:
    """The factor on the learning rate: a function of the progress, or what the losses decide.

    `words` tells one schedule from another. Raises ValueError for what is no schedule.
    """

    def __init__(self, schedule: str | Schedule | Plateau) -> None:
        chosen = _SCHEDULES.get(schedule) if isinstance(schedule, str) else schedule
        self.function: Schedule | None = None
        if isinstance(chosen, Plateau):
            self.words = repr(chosen)
            # torch's scheduler on an optimizer of its own, whose rate starts at 1: the factor.
            self.optimizer = torch.optim.SGD([torch.zeros(1, device="cpu")], lr=1.0)
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer, factor=chosen.factor, patience=chosen.patience
            )
            return
        try:
            values = [float(chosen(place / 1000)) for place in range(1001)]  # type: ignore[misc]
        except TypeError:
            names = ", ".join(map(repr, _SCHEDULES))
            raise ValueError(
                f"schedule must be {names}, a Plateau(), or a function from progress (0 to 1) to a "
                f"factor, got {schedule!r}"
            ) from None
        self.function = chosen
        digest = hashlib.sha256(",".join(f"{value:.6g}" for value in values).encode()).hexdigest()
        self.words = f"{', '.join(f'{value:.4g}' for value in values[::100])} ({digest[:8]})"

    def __call__(self, progress: float) -> float:
        """The factor at this progress."""
        if self.function is not None:
            return float(self.function(progress))
        return float(self.optimizer.param_groups[0]["lr"])

    def attach(self, optimizer: Any) -> None:
        """Take note of the learning rates that the optimizer's parameter groups begin with."""
        self.begin: list[float] = [group["lr"] for group in optimizer.param_groups]

    def lr(self, progress: float) -> float:
        """The learning rate of the attached optimizer's first parameter group."""
        return self.begin[0] * self(progress)

    def rates(self, progress: float) -> list[float]:
        """The learning rate of each of the attached optimizer's parameter groups."""
        factor = self(progress)
        return [begin * factor for begin in self.begin]

    def apply(self, optimizer: Any, progress: float) -> None:
        """Give each parameter group of the attached optimizer its learning rate."""
        for group, lr in zip(optimizer.param_groups, self.rates(progress), strict=True):
            group["lr"] = lr

    def observe(self, loss: float) -> None:
        """Take in the loss of an epoch."""
        if self.function is None:
            self.plateau.step(loss)

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on."""
        if self.function is not None:
            return {}
        return {"factor": self(0.0), "plateau": self.plateau.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on where another one was."""
        if self.function is None:
            self.optimizer.param_groups[0]["lr"] = state["factor"]
            self.plateau.load_state_dict(state["plateau"])
