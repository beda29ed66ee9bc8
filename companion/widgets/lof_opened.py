"""LOF opened: neighbours, distances and densities of one point as numbers that add up."""

from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from companion.widgets import settings
from companion.widgets.anomaly_sandbox import as_pairs
from companion.widgets.base import LiveWidget
from companion.widgets.traits import BoundedInt

FEWEST, MOST = 4, 40
_EXAMPLE = (
    (-2.2, 1.1), (-1.9, 1.5), (-1.6, 1.0), (-2.0, 0.7), (-1.5, 1.5), (-1.2, 1.2), (-0.6, 0.1),
    (1.0, -1.6), (2.2, -0.4), (0.3, -0.7), (2.4, -2.0), (3.4, -1.0), (1.5, 0.8),
)  # fmt: skip


class Neighbour(NamedTuple):
    """A row of the table: neighbour o of the point p that is looked at.

    `place` of o among the points; `distance` d(p, o); `k_distance` of o; `reach` = max of both;
    `density` lrd(o); `ratio` lrd(o)/lrd(p).
    """

    place: int
    distance: float
    k_distance: float
    reach: float
    density: float
    ratio: float


class LOFOpened(LiveWidget):
    """A few points; the one that is chosen shows how its local outlier factor comes about.

    Its k nearest neighbours, their k-distances, the reachability distances, their mean, the
    densities, the mean of their ratios: a table whose columns add up.

    Args:
        data: N×2 numbers, 4 to 40 rows; a tight group, a point beside it and a loose group if not
            given.
        k: how many neighbours are asked, 1 to 10 and below N.
        selected: the place of the point that is looked at.
        title: heading of the widget.

    Attributes:
        points: the rows [x, y]; k; selected. The last two may be set and observed from Python
            while the widget is on show.

    Raises:
        ValueError: an argument does not fit; the sentence says which.

    Source: chapter 11; Breunig et al. (2000).
    """

    module = "lof_opened"

    points = traitlets.List(traitlets.Any()).tag(
        sync=True, setting=settings.pairs(-1e9, 1e9, FEWEST, MOST)
    )
    k = BoundedInt(1, 10, default=3).tag(sync=True, setting=settings.whole(1, 10, below="points"))
    selected = BoundedInt(0, MOST - 1).tag(
        sync=True, setting=settings.whole(0, MOST - 1, below="points")
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: ArrayLike | None = None,
        *,
        k: int = 3,
        selected: int = 6,
        title: str = "The local outlier factor, opened",
    ) -> None:
        points = as_pairs(_EXAMPLE if data is None else data, FEWEST, MOST)
        super().__init__(points=points, k=k, selected=min(selected, len(points) - 1), title=title)

    @traitlets.validate("points")
    def _check_points(self, proposal: Any) -> list[list[float]]:
        return as_pairs(proposal["value"], FEWEST, MOST)

    @traitlets.validate("k", "selected")
    def _check_count(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, int(proposal["value"])
        if value >= len(self.points):
            raise ValueError(f"{name} must be below the number of points, {len(self.points)}")
        return value

    @property
    def lof(self) -> np.ndarray:
        """LOF of all N points, as scikit-learn has it."""
        scores: np.ndarray = -self._fitted().negative_outlier_factor_
        return scores

    def table(self) -> list[Neighbour]:
        """The k neighbours of the point that is looked at, the nearest first."""
        model = self._fitted()
        far, near = model.kneighbors()
        p, density = self.selected, model._lrd
        return [
            Neighbour(
                int(o), d, far[o, -1], max(d, far[o, -1]), density[o], density[o] / density[p]
            )
            for o, d in zip(near[p], far[p], strict=True)
        ]

    def describe(self) -> str:
        """One line: the factor of the point that is looked at."""
        factor = self.lof[self.selected]
        return f"LOFOpened: k = {self.k}, LOF of {letter(self.selected)} = {factor:.3f}"

    def _fitted(self) -> Any:
        from sklearn.neighbors import LocalOutlierFactor

        return LocalOutlierFactor(self.k).fit(np.array(self.points))


def letter(place: int) -> str:
    """What a point is called: A … Z, then A′, B′, …"""
    return chr(ord("A") + place % 26) + "′" * (place // 26)
