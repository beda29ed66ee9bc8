"""Why training circles: the game x·y under three rules, live in the page (chapter 14)."""

import math

import numpy as np
import traitlets

from companion.by_hand.bilinear_game import RULES, trajectory
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded, BoundedInt

REACH = 2.0  # x and y of the start, at most
STEPS = 200
STEP_SIZES = 0.02, 1.2


class BilinearGame(LiveWidget):
    """x wants x·y small, y wants it large, and both take gradient steps: where do they go?

    Three rules from the same start: both step at once, one after the other, or both by the
    gradients at where a plain step would lead. Shown are the ways in the plane, the distance to
    the equilibrium (0, 0) over the steps, and by which factor a step multiplies it, exactly.

    Args:
        step_size: η, 0.02 to 1.2.
        x, y: where both start, −2 to 2.
        steps: how many are on show, 0 to 200.
        title: heading of the widget.

    All but `title` may be set and observed from Python while the widget is on show.

    Raises:
        ValueError: an argument does not fit; the sentence says which.

    Source: chapter 14; `companion.by_hand.bilinear_game`.
    """

    module = "bilinear_game"

    step_size = Bounded(*STEP_SIZES, default=0.2).tag(sync=True)
    x = Bounded(-REACH, REACH, default=1.0).tag(sync=True)
    y = Bounded(-REACH, REACH, default=0.0).tag(sync=True)
    steps = BoundedInt(0, STEPS, default=60).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        step_size: float = 0.2,
        x: float = 1.0,
        y: float = 0.0,
        *,
        steps: int = 60,
        title: str = "The game x·y",
    ) -> None:
        super().__init__(step_size=step_size, x=x, y=y, steps=steps, title=str(title))

    @property
    def growth(self) -> dict[str, float]:
        """By which factor a step multiplies the distance from (0, 0), by rule.

        Exact for "simultaneous" and "extra-gradient". "alternating" goes up and down on an ellipse;
        1 is what is left over many steps.
        """
        square = self.step_size**2
        return {
            "simultaneous": math.sqrt(1 + square),
            "alternating": 1.0,
            "extra-gradient": math.sqrt(1 - square + square**2),
        }

    @property
    def distances(self) -> dict[str, np.ndarray]:
        """The distance from (0, 0) after 0, 1, … steps, by rule."""
        start = (self.x, self.y)
        return {
            rule: np.hypot(*trajectory(rule, self.step_size, self.steps, start).T) for rule in RULES
        }

    def describe(self) -> str:
        """One line: the step size, and how far everyone is after the steps."""
        ends = ", ".join(f"{rule} {each[-1]:.3g}" for rule, each in self.distances.items())
        return f"BilinearGame: η = {self.step_size:g}, after {self.steps} steps at distance {ends}"
