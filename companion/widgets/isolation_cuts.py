"""Isolation, one random cut after the other: which point is alone first? (chapter 11)"""

from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from companion.widgets import settings
from companion.widgets.anomaly_sandbox import as_pairs
from companion.widgets.base import LiveWidget
from companion.widgets.lof_opened import letter
from companion.widgets.noise import noise
from companion.widgets.traits import BoundedInt, Seed

FEWEST, MOST = 4, 60
TREES = 200


def _example() -> np.ndarray:
    cloud = noise(24, 32).view(16, 2).numpy() * (1.1, 1.0)
    return np.round(np.concatenate([cloud, [(3.4, 2.6), (-3.6, 0.2), (3.0, -2.2)]]), 2)


class IsolationCuts(LiveWidget):
    """A tree of random cuts, cut by cut, until every point is alone; then many such trees.

    Readers first say which point they expect to be alone first. After 200 trees they see how often
    it was, its mean path length E[h] and its score 2^(−E[h]/c(n)).

    Trees grow to the end, on all points; Isolation Forest takes at most 256 of them a tree, and
    stops at depth ⌈log₂ n⌉.

    Args:
        data: N×2 numbers, 4 to 60 rows; a cloud and three points beside it if not given.
        seed: of the cuts, 0 to 2³² − 1.
        title: heading of the widget.

    Attributes:
        points: the rows [x, y]; seed.
        selected: the place of the point that is looked at.
        guess: of the one that was guessed; −1 before.
        cuts: made in the tree on show.
        trees: how many are counted, 0 to 200.

    All may be set and observed from Python while the widget is on show.

    Raises:
        ValueError: an argument does not fit; the sentence says which.

    Source: chapter 11; Liu, Ting & Zhou (2008).
    """

    module = "isolation_cuts"

    points = traitlets.List(traitlets.Any()).tag(
        sync=True, setting=settings.pairs(-1e9, 1e9, FEWEST, MOST)
    )
    seed = Seed().tag(sync=True)
    selected = BoundedInt(0, MOST - 1).tag(
        sync=True, setting=settings.whole(0, MOST - 1, below="points")
    )
    guess = BoundedInt(-1, MOST - 1, default=-1).tag(
        sync=True, setting=settings.whole(-1, MOST - 1, below="points")
    )
    cuts = BoundedInt(0, MOST - 1).tag(sync=True)
    trees = BoundedInt(0, TREES).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: ArrayLike | None = None,
        *,
        seed: int = 0,
        title: str = "Isolation, cut by cut",
    ) -> None:
        points = as_pairs(_example() if data is None else data, FEWEST, MOST)
        super().__init__(points=points, seed=seed, title=str(title))

    @traitlets.validate("points")
    def _check_points(self, proposal: Any) -> list[list[float]]:
        return as_pairs(proposal["value"], FEWEST, MOST)

    @traitlets.validate("selected", "guess")
    def _check_place(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, int(proposal["value"])
        if value >= len(self.points):
            raise ValueError(f"{name} must be below the number of points, {len(self.points)}")
        return value

    @property
    def average_path(self) -> float:
        """c(n): the mean path length of a search that ends nowhere in a random tree of n points."""
        n = len(self.points)
        return float(2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n)

    def describe(self) -> str:
        """One line: how many points, what is guessed, how many trees."""
        guess = letter(self.guess) if self.guess >= 0 else "nothing yet"
        return f"IsolationCuts: {len(self.points)} points, guessed {guess}, {self.trees} trees"
