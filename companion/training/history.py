"""What a training records: the losses step by step, and their averages epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric
from torch import Tensor

from companion.training.progress import duration
from companion.training.schedules import Rate

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass
class History:
    """What a training run recorded.

    `epochs` maps each entry of the loss to its average over each epoch and, if there was a
    validation set, `validation_<entry>` to the average over that set after each epoch. `seconds`
    has the time that each epoch took, `device` says what it ran on and in which precision. `best`
    is the epoch, from 1, whose weights were kept, if `patience` chose one; `resumed` counts the
    epochs that came from a checkpoint. `graph` says, on a GPU, that each step was one CUDA graph,
    or why not.
    """

    device: str
    epochs: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best: int | None = None
    resumed: int = 0
    graph: str = ""

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
        where = f"{self.device}, {self.graph}" if self.graph else self.device
        return f"Trained {epochs}{before} in {duration(sum(self.seconds))} on {where}.{kept}"

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


class EpochLosses:
    """The entries of the loss in each step of an epoch, kept on the device until they are read.

    Raises FloatingPointError, ending in `advice()`, once one that is read is NaN or infinite.
    """

    def __init__(
        self,
        epoch: int,
        epochs: int,
        steps: int,
        fabric: Fabric,
        rate: Rate,
        advice: Callable[[], str],
    ) -> None:
        self.epoch, self.epochs, self.steps = epoch, epochs, steps
        self.fabric, self.rate, self.advice = fabric, rate, advice
        self.done = 0  # steps
        self.names: list[str] = []
        self.values = torch.empty(0, device="cpu")

    def progress(self, step: int) -> float:
        """How much of the training is done in the middle of this step, from 0 to 1."""
        return (self.epoch + (step + 0.5) / self.steps) / self.epochs

    def add(self, entries: Mapping[str, Tensor]) -> None:
        """Record one more step."""
        if not self.names:
            self.names = list(entries)
            self.values = torch.empty(
                self.steps, len(entries), dtype=torch.float32, device=entries["loss"].device
            )
        if list(entries) != self.names:
            raise ValueError(
                f"the loss must give the same entries at every step, but gave "
                f"{list(entries)} after {self.names}"
            )
        self.values[self.done] = torch.stack([entries[name].detach() for name in self.names])
        self.done += 1

    def read(self) -> dict[str, list[float]]:
        """Each entry's values so far."""
        # Of several processes, none may stop alone: the others would wait for it.
        return self._checked(self.values[: self.done], stop=self.fabric.world_size == 1)

    def close(self) -> dict[str, list[float]]:
        """The same at the end of the epoch, averaged over all processes."""
        values = self.values[: self.done]
        if self.fabric.world_size > 1:
            values = self.fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
        return self._checked(values, stop=True)

    def _checked(self, values: Tensor, *, stop: bool) -> dict[str, list[float]]:
        values = values.cpu()
        bad = (~values.isfinite()).nonzero()
        if len(bad) and stop:
            step, column = bad[0].tolist()
            raise FloatingPointError(
                f"the loss's entry {self.names[column]!r} became {values[step, column].item()} in "
                f"step {step + 1} of epoch {self.epoch + 1}, where the learning rate was "
                f"{self.rate.lr(self.progress(step)):.3g}: {self.advice()}"
            )
        return dict(zip(self.names, values.T.tolist(), strict=True))
