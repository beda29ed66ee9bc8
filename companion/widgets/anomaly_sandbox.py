"""Six ways to score every place of the plane, live in the page, on points put in by hand."""

import base64
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise, uniform
from companion.widgets.traits import Bounded, BoundedInt

METHODS = ("lof", "knn", "dbscan", "cblof", "iforest", "autoencoder")
MOST = 400
"""Points that a page scores within a frame or a few."""

COPIES = 20  # of the first point
STRETCH = 100.0  # of the first axis
MIN_POINTS = 5  # DBSCAN's
TREES = 100
HIDDEN = 8  # of the autoencoder
_FEWEST_SCORED = 3


class Toy(NamedTuple):
    """Points N×2, float64, and which of them are planted anomalies (boolean, N)."""

    points: np.ndarray
    is_anomaly: np.ndarray


class AnomalySandbox(LiveWidget):
    """Points to put in, move and take out, and what LOF, kNN, DBSCAN, CBLOF, Isolation Forest and
    an autoencoder make of every place around them.

    Each method has a panel of its own, and a seventh shows where they disagree. Colours are ranks:
    the share of a panel's places that score lower. Readers may bring a table of two columns; it
    stays in their browser.

    Args:
        data: one of :data:`DATASETS`, or N×2 numbers, at most 400 rows.
        k: neighbours that LOF and kNN ask, 1 to 50; with fewer other points, all of them.
        epsilon: DBSCAN's radius, above 0, in the units of the points.
        contamination: share of points to flag, 0.01 to 0.5. It moves thresholds, no score; DBSCAN,
            which flags what lies beyond epsilon, has no use for it.
        clusters: of k-means for CBLOF, 2 to 12.
        code: numbers in the middle of the autoencoder, 1 or 2; with 2 it can rebuild everything.
        copies: whether 20 copies of the first point are put in.
        scaled: whether the first axis is taken in units of which a hundred make one of the other's.
        shown: the large panel: a method, or "spread".
        title: heading of the widget.

    Attributes:
        points: the rows [x, y] without copies; the other arguments by their names. All may be set
            and observed from Python while the widget is on show.

    For the points that Python sets, the page shows scikit-learn's own trees and an autoencoder that
    it trained. Once the reader changes something, it grows trees itself, by the same rule with
    random numbers of its own, and trains the autoencoder further.

    Raises:
        ValueError: an argument does not fit; the sentence says which.

    Source: chapter 11; the scores are those of scikit-learn and PyOD.
    """

    module = "anomaly_sandbox"
    lazy = True

    points = traitlets.List(traitlets.Any()).tag(
        sync=True, setting=settings.pairs(-1e9, 1e9, 0, MOST)
    )
    datasets = traitlets.Dict().tag(sync=True)
    fitted = traitlets.Dict().tag(sync=True)
    k = BoundedInt(1, 50, default=20).tag(sync=True)
    epsilon = Bounded(1e-9, 1e9, default=0.5).tag(sync=True)
    contamination = Bounded(0.01, 0.5, default=0.1).tag(sync=True)
    clusters = BoundedInt(2, 12, default=8).tag(sync=True)
    code = BoundedInt(1, 2).tag(sync=True)
    copies = traitlets.Bool(False).tag(sync=True)
    scaled = traitlets.Bool(False).tag(sync=True)
    shown = traitlets.Unicode("lof").tag(sync=True, setting=settings.words((*METHODS, "spread")))
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: str | ArrayLike = "two densities",
        *,
        k: int = 20,
        epsilon: float = 0.5,
        contamination: float = 0.1,
        clusters: int = 8,
        code: int = 1,
        copies: bool = False,
        scaled: bool = False,
        shown: str = "lof",
        title: str = "Six ways to score a place",
    ) -> None:
        points = toy_anomalies(data).points if isinstance(data, str) else data
        self._is_readers = False
        super().__init__(
            points=as_pairs(points),
            datasets={
                name: np.round(toy_anomalies(name).points, 3).ravel().tolist() for name in DATASETS
            },
            k=k,
            epsilon=epsilon,
            contamination=contamination,
            clusters=clusters,
            code=code,
            copies=bool(copies),
            scaled=bool(scaled),
            shown=shown,
            title=str(title),
        )
        self._fit()
        self.observe(self._fit, ["points", "copies", "scaled", "code"])

    def set_state(self, sync_data: Any) -> None:
        """Take what the reader set; the page fits to that itself."""
        self._is_readers = True
        try:
            super().set_state(sync_data)
        finally:
            self._is_readers = False

    @traitlets.validate("points")
    def _check_points(self, proposal: Any) -> list[list[float]]:
        return as_pairs(proposal["value"])

    @traitlets.validate("shown")
    def _check_shown(self, proposal: Any) -> str:
        known = (*METHODS, "spread")
        if proposal["value"] not in known:
            raise ValueError(f"shown must be one of {', '.join(known)}, not {proposal['value']!r}")
        return str(proposal["value"])

    def rows(self) -> np.ndarray:
        """The points as the methods get them, float64, N×2: with the copies, and stretched."""
        rows = np.asarray(self.points, dtype=np.float64).reshape(-1, 2)
        if self.copies and len(rows):
            rows = np.concatenate([rows, np.repeat(rows[:1], COPIES, axis=0)])
        return rows * [STRETCH if self.scaled else 1.0, 1.0]

    def scores(self) -> dict[str, np.ndarray]:
        """N scores by each method, higher for more anomalous; none for fewer than three points.

        LOF; the distance to the k-th neighbour; to the nearest core point of DBSCAN (∞ without
        one); to the nearest large cluster; 2^(−E[h]/c) of a forest; the squared error of the
        autoencoder, trained from its start.
        """
        from sklearn.neighbors import LocalOutlierFactor

        rows = self.rows()
        if len(rows) < _FEWEST_SCORED:
            return {method: np.zeros(0) for method in METHODS}
        lof = LocalOutlierFactor(min(self.k, len(rows) - 1)).fit(rows)
        far, _ = lof.kneighbors()
        return {
            "lof": -lof.negative_outlier_factor_,
            "knn": far[:, -1],
            "dbscan": _to_nearest(rows, core_points(rows, self.epsilon)),
            "cblof": cblof_scores(rows, self.clusters),
            "iforest": -_forest(rows).score_samples(rows),
            "autoencoder": autoencoder_scores(rows, self.code),
        }

    def flagged(self) -> dict[str, np.ndarray]:
        """Which of the N points each method flags.

        PyOD's rule, a score above the percentile 100·(1 − contamination); for DBSCAN its noise.
        """
        flags = {}
        for method, scores in self.scores().items():
            level: float = self.epsilon
            if method != "dbscan" and len(scores):
                level = float(np.percentile(scores, 100 * (1 - self.contamination)))
            flags[method] = scores > level
        return flags

    def describe(self) -> str:
        """One line: how many points, and the settings."""
        return (
            f"AnomalySandbox: {len(self.points)} points, k = {self.k}, ε = {self.epsilon:g}, "
            f"contamination {self.contamination:g}"
        )

    def _fit(self, _: Any = None) -> None:
        """Send a forest and an autoencoder for the present rows."""
        if self._is_readers:
            return
        rows = self.rows()
        if len(rows) < _FEWEST_SCORED:
            self.fitted = {}
            return
        model = train_autoencoder(rows, self.code)
        layers = zip(model.coefs_, model.intercepts_, strict=True)
        self.fitted = {
            "rows": rows.ravel().tolist(),
            "code": self.code,
            "weights": [w for each, bias in layers for w in (*each.T.ravel(), *bias)],
            **exported_forest(rows),
        }


def as_pairs(points: ArrayLike, fewest: int = 0, most: int = MOST) -> list[list[float]]:
    """Points as rows [x, y] of floats.

    Raises:
        ValueError: they are not N×2 finite numbers of at most 10⁹, or too few or too many.
    """
    try:
        rows = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("points must be N×2 numbers, got something that is no number") from None
    if rows.size == 0:
        rows = rows.reshape(0, 2)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(f"points must be N×2 numbers, got {'×'.join(map(str, rows.shape))}")
    if not (np.abs(rows) <= 1e9).all():
        raise ValueError("points must be finite numbers of at most 1e9")
    if not fewest <= len(rows) <= most:
        raise ValueError(f"expected {fewest} to {most} points, got {len(rows)}")
    return [[float(x), float(y)] for x, y in rows]


# ------------------------------------------------------------------ scores


def core_points(rows: np.ndarray, epsilon: float) -> np.ndarray:
    """DBSCAN's core points among rows N×2: those with five rows within epsilon, themselves one."""
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=epsilon, min_samples=MIN_POINTS).fit(rows)
    core: np.ndarray = rows[found.core_sample_indices_]
    return core


def _to_nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Distance of each row to the nearest centre; ∞ if there is none."""
    from scipy.spatial.distance import cdist

    return cdist(rows, centres).min(1, initial=np.inf)


def first_centres(rows: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """k-means++'s start with the page's own draws: `count` rows, or all different ones."""
    draws = uniform(seed, count).numpy()
    centres = [rows[int(draws[0] * len(rows))]]
    for draw in draws[1:]:
        far = ((rows[:, None] - np.array(centres)) ** 2).sum(2).min(1)
        if not far.sum() > 0:
            break
        passed = np.flatnonzero(far.cumsum() > draw * far.sum())
        centres.append(rows[passed[0] if len(passed) else far.argmax()])
    return np.array(centres)


def cblof_scores(rows: np.ndarray, clusters: int) -> np.ndarray:
    """PyOD's CBLOF of rows N×2, from :func:`first_centres`; all clusters count as large where no
    number of them fits its rules."""
    from pyod.models.cblof import CBLOF
    from sklearn.cluster import KMeans

    start = first_centres(rows, clusters)
    means = KMeans(len(start), init=start, n_init=1, tol=0, max_iter=300)
    try:
        scores: np.ndarray = (
            CBLOF(len(start), clustering_estimator=means).fit(rows).decision_scores_
        )
    except ValueError:
        scores = _to_nearest(rows, means.fit(rows).cluster_centers_)
    return scores


def _forest(rows: np.ndarray) -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=TREES, random_state=0).fit(rows)


def exported_forest(rows: np.ndarray) -> dict[str, Any]:
    """scikit-learn's forest on rows N×2 for the page (js/maths/isolation.js, `imported`).

    Cuts come as float32, rounded down: scikit-learn compares rows in float32 with them, and that
    decides alike.
    """
    kinds, cuts, sizes = [], [], []
    fitted = _forest(rows)
    for tree in (estimator.tree_ for estimator in fitted.estimators_):
        # scikit-learn numbers nodes depth first, too.
        leaf = tree.children_left < 0
        kinds.append(np.where(leaf, 0, tree.feature + 1).astype(np.uint8))
        cut = tree.threshold[~leaf]
        near = cut.astype(np.float32)
        cuts.append(np.where(near > cut, np.nextafter(near, np.float32(-np.inf)), near))
        sizes.append((tree.n_node_samples[leaf] - 1).astype(np.uint8))
    return {
        "samples": int(fitted.max_samples_),
        "kinds": _base64(np.concatenate(kinds)),
        "cuts": _base64(np.concatenate(cuts).astype("<f4")),
        "sizes": _base64(np.concatenate(sizes)),
    }


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def standardised(rows: np.ndarray) -> np.ndarray:
    """Rows N×2 with mean 0 and deviation 1 in each column; one that does not vary is 0."""
    mean, deviation = rows.mean(0), rows.std(0)
    scaled: np.ndarray = (rows - mean) / np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
    return scaled


def train_autoencoder(rows: np.ndarray, code: int) -> Any:
    """scikit-learn's 2–8–code–8–2 with tanh, trained by L-BFGS on standardised rows N×2."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=(HIDDEN, code, HIDDEN), activation="tanh", solver="lbfgs", alpha=0,
        max_iter=1000, tol=1e-7, random_state=0,
    )  # fmt: skip
    x = standardised(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1,000 iterations are enough to see it
        return model.fit(x, x)


def autoencoder_scores(rows: np.ndarray, code: int) -> np.ndarray:
    """Mean squared errors of rows N×2 by :func:`train_autoencoder`."""
    x = standardised(rows)
    errors: np.ndarray = ((train_autoencoder(rows, code).predict(x) - x) ** 2).mean(1)
    return errors


# ------------------------------------------------------------------ data sets


def _cloud(seed: int, count: int, centre: Sequence[float], spread: float) -> np.ndarray:
    return np.array(centre) + spread * noise(seed, 2 * count).view(count, 2).numpy()


def _two_densities() -> tuple[np.ndarray, np.ndarray]:
    normal = np.concatenate([_cloud(1, 100, (-2, -1.5), 0.22), _cloud(2, 100, (1.5, 1), 1.0)])
    return normal, np.array(
        [(-2, -0.2), (-0.8, -1.6), (-2.6, -2.7), (3.6, -2.6), (-3, 3), (-1.2, -2.6)]
    )


def _three_groups() -> tuple[np.ndarray, np.ndarray]:
    centres = ((-2.5, 2), (2.5, 2.2), (0.2, -2.2))
    normal = np.concatenate([_cloud(3 + i, 60, at, 0.55) for i, at in enumerate(centres)])
    return normal, np.array([(0, 0.6), (0.1, 2.4), (-3, -2.5), (3.4, -1.6), (-1.7, -0.3), (3.9, 4)])


def _ring() -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * uniform(6, 180).numpy()
    normal = 2.8 * np.stack([np.cos(angle), np.sin(angle)], 1) + _cloud(7, 180, (0, 0), 0.18)
    return normal, np.array([(0, 0), (0.7, -0.5), (-1.3, 0.9), (3.8, 3.6), (-3.8, -3.5)])


def _moons() -> tuple[np.ndarray, np.ndarray]:
    angle = np.pi * uniform(8, 180).numpy()
    arc = 2.2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    up = np.arange(180)[:, None] < 90
    normal = np.where(up, arc - (1.1, 0.5), (1.1, 0.5) - arc) + _cloud(9, 180, (0, 0), 0.16)
    return normal, np.array(
        [(-1.1, -1.4), (1.1, 1.5), (-3, -2.2), (3.2, 2.3), (0, -3), (3.3, -2.8)]
    )


def _curve() -> tuple[np.ndarray, np.ndarray]:
    x = 7 * uniform(10, 180).numpy() - 3.5
    normal = np.stack([x, 2 * np.sin(1.1 * x)], 1) + _cloud(11, 180, (0, 0), 0.14)
    return normal, np.array(
        [(-1.5, 0.6), (1.4, -0.7), (0.1, 1.9), (-0.3, -1.7), (3, 1.9), (-3.1, -1.8)]
    )


def _clump() -> tuple[np.ndarray, np.ndarray]:
    return _cloud(12, 180, (-0.8, -0.6), 1.0), _cloud(13, 12, (3.2, 2.8), 0.15)


def _noise() -> tuple[np.ndarray, np.ndarray]:
    return 8 * uniform(14, 400).view(-1, 2).numpy() - 4, np.zeros((0, 2))


_TOYS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "two densities": _two_densities,
    "three groups": _three_groups,
    "ring": _ring,
    "moons": _moons,
    "curve": _curve,
    "clump": _clump,
    "noise": _noise,
}
DATASETS = tuple(_TOYS)


def toy_anomalies(name: str) -> Toy:
    """Points about 8 wide and high with planted anomalies, which come last; "noise" has none.

    "two densities": a tight and a loose group; "three groups"; "ring"; "moons"; "curve": a sine;
    "clump": anomalies close together. The same each time. Raises ValueError for another name.
    """
    if name not in _TOYS:
        raise ValueError(f"there are the data sets {', '.join(DATASETS)}, not {name!r}")
    normal, planted = _TOYS[name]()
    points = np.round(np.concatenate([normal, planted]), 3)
    return Toy(points, np.arange(len(points)) >= len(normal))
