"""Logits, softmax, cross-entropy and its gradient for one image, live in the page (chapter 2)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.by_hand import classification
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded

LOGIT_RANGE = (-5.0, 5.0)
TEMPERATURE_RANGE = (0.1, 10.0)
CLASSES = range(2, 13)
LEARNING_RATE = 1.0


class Softmax(LiveWidget):
    """Sliders for the logits of one image; probabilities, loss, gradient, and a step against it.

    Args:
        logits: 2 to 12 finite numbers, one for each class. The sliders go from −5 to 5, or further
            if a logit lies outside.
        class_names: a name for each class; "class 0", … if not given.
        label: index of the right class.
        temperature: T in softmax(z/T), 0.1 to 10.
        title: heading of the widget.

    Attributes:
        logits, label, temperature: may be set and observed from Python while it is on show.

    Raises:
        ValueError: an argument is none of these (the message says which).

    Source: chapter 2; the temperature is that of Hinton, Vinyals & Dean (2015), §2.
    """

    module = "softmax"

    logits = traitlets.List(traitlets.Float()).tag(
        sync=True,
        setting=lambda w: settings.several(settings.number(*w.logit_range), len(w.logits)),
    )
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    label = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, len(w.logits) - 1))
    temperature = Bounded(*TEMPERATURE_RANGE).tag(sync=True)
    logit_range = traitlets.List(traitlets.Float()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        logits: Sequence[float] | Tensor = (2.0, 1.0, 0.5, -1.0, -2.0),
        class_names: Sequence[str] | None = None,
        *,
        label: int = 1,
        temperature: float = 1.0,
        title: str = "From logits to a loss",
    ) -> None:
        z = _logits(logits)
        names = [f"class {k}" for k in range(len(z))] if class_names is None else list(class_names)
        if len(names) != len(z):
            raise ValueError(f"expected {len(z)} class_names, one a logit, but got {len(names)}")
        largest = math.ceil(max(map(abs, z)))
        low, high = min(LOGIT_RANGE[0], -largest), max(LOGIT_RANGE[1], largest)
        super().__init__(
            logits=z,
            class_names=[str(name) for name in names],
            label=_label(label, len(z)),
            temperature=temperature,
            logit_range=[float(low), float(high)],
            title=str(title),
        )

    @traitlets.validate("logits")
    def _check_logits(self, proposal: Any) -> list[float]:
        z = _logits(proposal["value"])
        if self.logits and len(z) != len(self.logits):
            raise ValueError(f"logits must stay {len(self.logits)} numbers, got {len(z)}")
        return z

    @traitlets.validate("label")
    def _check_label(self, proposal: Any) -> int:
        return _label(proposal["value"], len(self.logits) or max(CLASSES))

    @property
    def probabilities(self) -> list[float]:
        """softmax(z/T), one for each class."""
        return list(classification.softmax(self._z(), self.temperature).tolist())

    @property
    def loss(self) -> float:
        """−log p of the right class, in nats."""
        z = self._z() / self.temperature
        return float(classification.cross_entropy(z, torch.tensor(self.label)))

    @property
    def gradient(self) -> list[float]:
        """∂loss/∂z = (p − y)/T, one for each class."""
        z = self._z() / self.temperature
        gradient = classification.cross_entropy_gradient(z, torch.tensor(self.label))
        return list((gradient / self.temperature).tolist())

    def step(self, learning_rate: float = LEARNING_RATE) -> None:
        """One step of gradient descent on the logits, as the widget's button takes it."""
        self.logits = [
            z - learning_rate * g for z, g in zip(self.logits, self.gradient, strict=True)
        ]

    def describe(self) -> str:
        """One line: the right class, its probability and the loss."""
        p = self.probabilities[self.label]
        name = self.class_names[self.label]
        return f"Softmax: p({name}) = {p:.3f}, loss {self.loss:.3f} nats, T = {self.temperature:g}"

    def _z(self) -> Tensor:
        return torch.tensor(self.logits, dtype=torch.float64)


def _logits(values: Any) -> list[float]:
    try:
        z = [float(value) for value in values]
    except (TypeError, ValueError):
        raise ValueError(f"logits must be numbers, one a class, not {values!r}") from None
    if len(z) not in CLASSES or not all(map(math.isfinite, z)):
        raise ValueError(
            f"logits must be {CLASSES[0]} to {CLASSES[-1]} finite numbers, one a class, not {z}"
        )
    return z


def _label(value: Any, classes: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < classes:
        raise ValueError(f"label must be a class, 0 to {classes - 1}, not {value!r}")
    return value
