"""The methods of chapter 11 under one name each: `detect("lof", X, k=20)`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from companion.anomaly import autoencoders
from companion.anomaly.tables import as_rows
from companion.datasets import ImageSet
from companion.models.classifier import check_choice

#: What `detect` knows, and the settings of each.
METHODS: dict[str, tuple[str, ...]] = {
    "knn": ("k",),
    "lof": ("k",),
    "dbscan": ("eps", "min_points"),
    "cblof": ("clusters", "seed"),
    "iforest": ("trees", "seed"),
    "pca": ("components",),
    "autoencoder": ("latent_dim", "widths", "epochs", "lr", "seed", "model"),
}

Rows = ArrayLike | Tensor | ImageSet


@dataclass(frozen=True)
class Detector:
    """A method, fitted: `scores` of what it was fitted on, and `score` of anything else like it.

    `score` takes every row for a new one, which has its own copy among its neighbours ("knn",
    "lof"): for the rows that it was fitted on, `scores` is right. `model` is PyOD's,
    scikit-learn's or torch's own object.
    """

    method: str
    scores: np.ndarray
    model: Any
    _shape: tuple[int, ...] = field(repr=False)
    _score: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def score(self, X: Rows) -> np.ndarray:
        """Scores of M rows or images, of the shape of those it was fitted on: M float64.

        Raises:
            ValueError: another shape, NaN, text.
        """
        rows, shape = _rows(X, fewest=1)
        if shape != self._shape:
            raise ValueError(f"Fitted on {_by(self._shape)} a row, got {_by(shape)}.")
        return self._score(rows)

    def flagged(self, contamination: float) -> np.ndarray:
        """Which of the rows it was fitted on have the highest scores: the share `contamination`.

        A guess of how many there are, which no method can know. Raises ValueError unless it lies
        between 0 and 0.5.
        """
        if not 0 < contamination <= 0.5:
            raise ValueError(
                "contamination is the share of rows to flag, above 0 and at most 0.5, got "
                f"{contamination!r}."
            )
        flags: np.ndarray = self.scores > np.quantile(self.scores, 1 - contamination)
        return flags


def detect(method: str, X: Rows, **settings: Any) -> Detector:
    """Fit a method to a table N×D, or to images N×C×H×W (uint8, floats in [0, 1], an ImageSet).

    Images are rows of pixels for all methods; a column that is the same everywhere is refused in a
    table only. Distances are taken as X is scaled (:func:`companion.anomaly.standardise`); "pca"
    and, for tables, "autoencoder" standardise by themselves.

    - "knn": distance to the k-th nearest row (k=5). PyOD.
    - "lof": local outlier factor of k neighbours (k=20). PyOD.
    - "dbscan": distance to the nearest core point, so above `eps` for what DBSCAN calls noise;
      min_points=5, itself counted. scikit-learn, as PyOD has none.
    - "cblof": distance to the nearest large cluster's centre (clusters=8, seed=0). PyOD.
    - "iforest": isolation forest (trees=100, seed=0). PyOD.
    - "pca": distances along the principal components, over their variances (all `components` in
      which the rows vary, if not given). PyOD.
    - "autoencoder": squared error of the reconstruction, trained by `companion.training.fit`:
      :func:`companion.anomaly.autoencoders.fit_table` and `fit_images` say the settings.

    Raises:
        ValueError: another method or setting, k that is not 1 to N − 1, and what is wrong with a
            table: text, NaN, a constant column, fewer than two rows.
    """
    check_choice("method", method, METHODS)
    unknown = [name for name in settings if name not in METHODS[method]]
    if unknown:
        raise ValueError(
            f"{method!r} has no setting {unknown[0]!r}; it has {', '.join(METHODS[method])}."
        )
    rows, shape = _rows(X, fewest=2)
    if len(shape) == 1:
        as_rows(rows)
    if method == "autoencoder":
        fit = autoencoders.fit_table if len(shape) == 1 else autoencoders.fit_images
        model = fit(rows.reshape(-1, *shape), **settings)

        def errors(new: np.ndarray) -> np.ndarray:
            return autoencoders.errors(model, new.reshape(-1, *shape)).reshape(len(new), -1).mean(1)

        return Detector(method, errors(rows), model, shape, errors)
    if method == "dbscan":
        return _dbscan(rows, shape, **settings)
    if method == "pca":
        settings = {"components": _components(rows, **settings)}
    pyod = _pyod(method, len(rows), **settings)
    try:
        pyod.fit(rows)
    except ValueError as error:
        if "cluster separation" not in str(error):
            raise
        raise ValueError(
            f"None of the {settings.get('clusters', 8)} clusters is small enough to be odd: take "
            "another number of clusters."
        ) from error
    return Detector(method, pyod.decision_scores_, pyod, shape, pyod.decision_function)


def _components(rows: np.ndarray, components: int | None = None) -> int:
    """How many directions to keep: of those in which nothing varies PyOD would make ∞."""
    most = int(np.linalg.matrix_rank(rows - rows.mean(axis=0)))
    return most if components is None else _whole("components", components, 1, most)


def _pyod(
    method: str,
    count: int,
    *,
    k: int | None = None,
    clusters: int = 8,
    trees: int = 100,
    components: int | None = None,
    seed: int = 0,
) -> Any:
    if method in ("knn", "lof"):
        k = _whole("k", {"knn": 5, "lof": 20}[method] if k is None else k, 1, count - 1, "rows")
        if method == "knn":
            from pyod.models.knn import KNN

            return KNN(n_neighbors=k)
        from pyod.models.lof import LOF

        return LOF(n_neighbors=k)
    if method == "cblof":
        from pyod.models.cblof import CBLOF

        _whole("clusters", clusters, 2, count, "rows")
        return CBLOF(n_clusters=clusters, random_state=seed)
    if method == "iforest":
        from pyod.models.iforest import IForest

        return IForest(n_estimators=_whole("trees", trees, 1, 10_000), random_state=seed)
    from pyod.models.pca import PCA

    return PCA(n_components=components, random_state=seed)


def _dbscan(
    rows: np.ndarray, shape: tuple[int, ...], *, eps: float = 0.5, min_points: int = 5
) -> Detector:
    from sklearn.cluster import DBSCAN
    from sklearn.neighbors import NearestNeighbors

    if not eps > 0:
        raise ValueError(f"eps is a distance above 0, got {eps!r}.")
    _whole("min_points", min_points, 1, len(rows), "rows")
    model = DBSCAN(eps=eps, min_samples=min_points).fit(rows)
    if not len(model.core_sample_indices_):
        raise ValueError(
            f"No row has {min_points} rows within eps = {eps:g}: all would be noise. Raise eps."
        )
    cores = NearestNeighbors(n_neighbors=1).fit(rows[model.core_sample_indices_])

    def score(new: np.ndarray) -> np.ndarray:
        distances: np.ndarray = cores.kneighbors(new)[0][:, 0]
        return distances

    return Detector("dbscan", score(rows), model, shape, score)


def _rows(X: Rows, fewest: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """N×D float64, pixels in [0, 1], and the shape of one row or image."""
    values: Any = X.images if isinstance(X, ImageSet) else X
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    shape = np.shape(values)
    if len(shape) == 4:
        images = np.asarray(values)
        rows = images.reshape(len(images), -1).astype(np.float64)
        if images.dtype == np.uint8:
            rows /= 255
        if len(rows) and not (rows.min() >= 0 and rows.max() <= 1):
            raise ValueError(
                "Expected images as uint8 or floats in [0, 1], got "
                f"{rows.min():.3g} to {rows.max():.3g}."
            )
        if len(rows) < fewest:
            raise ValueError(f"Expected at least {fewest} images, got {len(rows)}.")
        return rows, shape[1:]
    one = len(shape) == 2 and shape[0] == 1 and fewest == 1
    checked = as_rows(np.repeat(values, 2, axis=0) if one else values, constant=True)
    return (checked[:1] if one else checked), checked.shape[1:]


def _whole(name: str, value: Any, low: int, high: int, what: str = "") -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not low <= value <= high
    ):
        why = f" ({what} there are)" if what else ""
        raise ValueError(f"{name} must be a whole number from {low} to {high}{why}, got {value!r}.")
    return int(value)


def _by(shape: Sequence[int]) -> str:
    return f"{shape[0]} columns" if len(shape) == 1 else "×".join(map(str, shape))
