"""Points in many dimensions: their nearest neighbours, their projections, and what those distort.

An embedding is any N×D array, a tensor too: the features of N images, or their pixels. PCA and
t-SNE are scikit-learn's, UMAP is umap-learn's, each imported when it is asked for. Chapter 9.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from companion.threads import keep_threads

METRICS = ("l2", "cosine")
METHODS = ("pca", "tsne", "umap")


def as_points(embedding: "ArrayLike | Tensor", name: str = "embedding") -> np.ndarray:
    """An embedding as a float64 array N×D; images become rows of pixels.

    Raises:
        ValueError: there are no points, or not all numbers are finite; the sentence says `name`.
    """
    values = embedding.detach().cpu() if isinstance(embedding, Tensor) else embedding
    points = np.asarray(values, dtype=np.float64)
    if points.ndim < 2 or points.size == 0:
        shape = "×".join(map(str, points.shape)) or "a single number"
        raise ValueError(f"{name} must be N×D, one row a point, got {shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} must hold finite numbers only; it has NaN or infinite ones")
    return points.reshape(len(points), -1)


# ---------------------------------------------------------------- neighbours


class Neighbours(NamedTuple):
    """The k nearest points of each query, the nearest first: both M×k, int64 and float64."""

    indices: Tensor
    distances: Tensor


def nearest_neighbours(
    embedding: "ArrayLike | Tensor",
    queries: "ArrayLike | Tensor | None" = None,
    k: int = 5,
    metric: str = "l2",
    *,
    block: int = 512,
) -> Neighbours:
    """The k points of `embedding` that are nearest to each query, found by looking at all of them.

    Computed in blocks of `block` queries, so that memory holds `block`×N distances at a time. Of
    points that are equally far any may come first.

    Args:
        embedding: N×D.
        queries: M×D. None: the points themselves, of which none counts as its own neighbour, also
            where several lie at one place.
        k: neighbours of each query, 1 to N (to N − 1 for the points themselves).
        metric: "l2", the Euclidean distance, or "cosine", 1 − the cosine of the angle.
        block: queries at a time.

    Raises:
        ValueError: an unknown metric, too many neighbours, queries of another D, a point of length
            0 with "cosine", or numbers that are not finite.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    points = torch.from_numpy(as_points(embedding))
    asked = points if queries is None else torch.from_numpy(as_points(queries, "queries"))
    if asked.shape[1] != points.shape[1]:
        raise ValueError(
            f"queries must have the {points.shape[1]} numbers of the embedding, got "
            f"{asked.shape[1]}"
        )
    most = len(points) - (queries is None)
    if not 1 <= k <= most:
        raise ValueError(f"k must be 1 to {most} for {len(points)} points, got {k}")
    if metric == "cosine":
        points, asked = _directions(points, "embedding"), _directions(asked, "queries")
    # Distances are the same about the mean, and less is lost there when numbers cancel.
    centre = points.mean(0)
    points, asked = points - centre, asked - centre
    lengths = points.square().sum(1)
    found, far = [], []
    for start in range(0, len(asked), block):
        part = asked[start : start + block]
        squared = torch.addmm(lengths[None], part, points.T, alpha=-2)  # but for |query|²
        if queries is None:
            own = torch.arange(len(part))
            squared[own, start + own] = torch.inf
        candidates = squared.topk(k, largest=False).indices
        exact = (points[candidates] - part[:, None]).square().sum(2)
        exact, order = exact.sort(dim=1, stable=True)
        found.append(candidates.gather(1, order))
        far.append(exact.sqrt() if metric == "l2" else exact / 2)
    return Neighbours(torch.cat(found), torch.cat(far))


def _directions(points: Tensor, name: str) -> Tensor:
    length = points.norm(dim=1, keepdim=True)
    if (length == 0).any():
        raise ValueError(f"{name} has a point of length 0, which has no cosine to others")
    return points / length


def same_class_share(
    embedding: "ArrayLike | Tensor",
    labels: "ArrayLike | Tensor",
    queries: "ArrayLike | Tensor | None" = None,
    query_labels: "ArrayLike | Tensor | None" = None,
    k: int = 5,
    metric: str = "l2",
) -> float:
    """The share of the k nearest neighbours that are of the query's own class, 0 to 1.

    What a random neighbour would give is the classes' share of the points: 0.1 for ten equal
    classes. Arguments and errors are those of :func:`nearest_neighbours`; without queries each
    point asks for the others.
    """
    known = torch.as_tensor(labels).cpu()
    asked = known if queries is None else torch.as_tensor(query_labels).cpu()
    near = nearest_neighbours(embedding, queries, k, metric).indices
    return float((known[near] == asked[:, None]).double().mean())


def shifted(images: Tensor, rows: int = 0, columns: int = 0) -> Tensor:
    """Images N×C×H×W moved down by `rows` and right by `columns` pixels; what comes in is 0."""
    moved = torch.zeros_like(images)
    height, width = images.shape[-2:]
    to = (slice(max(rows, 0), height + min(rows, 0)),
          slice(max(columns, 0), width + min(columns, 0)))  # fmt: skip
    of = (slice(max(-rows, 0), height + min(-rows, 0)),
          slice(max(-columns, 0), width + min(-columns, 0)))  # fmt: skip
    moved[..., to[0], to[1]] = images[..., of[0], of[1]]
    return moved


# ---------------------------------------------------------------- projections


def project(
    embedding: "ArrayLike | Tensor", method: str = "tsne", /, *, seed: int = 0, **settings: Any
) -> np.ndarray:
    """The points in the plane, N×2 float64; the same for the same arguments and packages.

    - "pca": the two directions of most variance (scikit-learn's PCA; whole, so no chance in it).
    - "tsne": scikit-learn's t-SNE. `settings` are its arguments; its own defaults are a perplexity
      of 30 and a start from PCA (``init="random"`` for a random one). About 2 s for 300 points.
    - "umap": umap-learn's UMAP, on one thread, without which no seed gives the same points twice.
      `settings` are its arguments (n_neighbors=15, min_dist=0.1). The first call compiles it, which
      takes about 9 s.

    Raises:
        ValueError: an unknown method, or numbers that are not finite.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    points = as_points(embedding)
    if method == "pca":
        from sklearn.decomposition import PCA

        plane = PCA(2, svd_solver="full", **settings).fit_transform(points)
    elif method == "tsne":
        from sklearn.manifold import TSNE

        plane = TSNE(2, random_state=seed, n_jobs=1, **settings).fit_transform(points)
    else:
        with keep_threads():
            from umap import UMAP

            plane = UMAP(random_state=seed, n_jobs=1, **settings).fit_transform(points)
    return np.asarray(plane, dtype=np.float64)


# ---------------------------------------------------------------- what a projection distorts


def trustworthiness(
    embedding: "ArrayLike | Tensor", plane: "ArrayLike | Tensor", k: int = 10
) -> float:
    """How far neighbours in the plane are neighbours in truth: 1 if all are, about 0.5 by chance.

    scikit-learn's, for Euclidean distances. Each of the k nearest in the plane that is not among
    the k nearest in the embedding costs the more the farther it is there, by rank. Source: Venna &
    Kaski (2001), "Neighborhood preservation in nonlinear projection methods". ValueError unless k
    is below N/2.
    """
    from sklearn.manifold import trustworthiness as trust

    return float(trust(as_points(embedding), as_points(plane, "plane"), n_neighbors=k))


def continuity(embedding: "ArrayLike | Tensor", plane: "ArrayLike | Tensor", k: int = 10) -> float:
    """How far true neighbours are still neighbours in the plane: trustworthiness the other way."""
    return trustworthiness(plane, embedding, k)


def kept_neighbours(
    embedding: "ArrayLike | Tensor", plane: "ArrayLike | Tensor", k: int = 10
) -> float:
    """The share of the k nearest neighbours of each point that are so in the plane too, 0 to 1."""
    true = nearest_neighbours(embedding, k=k).indices
    seen = nearest_neighbours(plane, k=k).indices
    return float((true[:, :, None] == seen[:, None]).any(2).double().mean())


class Distortion(NamedTuple):
    """What becomes of distances and of classes in the plane.

    Lengths in the plane have a unit of their own, so ratios are relative: divided by their
    geometric mean, 1 for what is as large as the others let expect.

    Attributes:
        rank_correlation: Spearman's, of all distances between points: 1 if their order is kept.
        spreads: of each class in the embedding, the root of its mean squared distance from its
            centre.
        plane_spreads: the same in the plane, in its units.
        size_ratios: plane_spreads over spreads, relative.
        centre_distances: C×C, between the classes' centres in the embedding.
        plane_centre_distances: the same in the plane.
        distance_ratios: C×C, the latter over the former, relative; NaN on the diagonal.
    """

    rank_correlation: float
    spreads: np.ndarray
    plane_spreads: np.ndarray
    size_ratios: np.ndarray
    centre_distances: np.ndarray
    plane_centre_distances: np.ndarray
    distance_ratios: np.ndarray


def distortion(
    embedding: "ArrayLike | Tensor",
    plane: "ArrayLike | Tensor",
    labels: "ArrayLike | Tensor | None" = None,
) -> Distortion:
    """Compare a projection with what it shows: distances, and sizes and places of the classes.

    `labels` are N class numbers from 0 on; without them all points are one class. A class without
    points has spread NaN. All N(N − 1)/2 distances are compared: 1 s for 2,000 points.
    """
    from scipy.spatial.distance import pdist, squareform
    from scipy.stats import spearmanr

    true, seen = as_points(embedding), as_points(plane, "plane")
    classes = np.zeros(len(true), int) if labels is None else np.asarray(torch.as_tensor(labels))
    if len(seen) != len(true) or classes.shape != (len(true),):
        raise ValueError(
            f"expected a plane and labels of {len(true)} points, got {len(seen)} and {len(classes)}"
        )
    count = int(classes.max()) + 1
    (centres, spreads), (plane_centres, plane_spreads) = (
        _classes(points, classes, count) for points in (true, seen)
    )
    between, plane_between = squareform(pdist(centres)), squareform(pdist(plane_centres))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = plane_between / between
        sizes = plane_spreads / spreads
    return Distortion(
        rank_correlation=float(spearmanr(pdist(true), pdist(seen)).statistic),
        spreads=spreads,
        plane_spreads=plane_spreads,
        size_ratios=sizes / _geometric_mean(sizes),
        centre_distances=between,
        plane_centre_distances=plane_between,
        distance_ratios=ratios / _geometric_mean(ratios),
    )


def _classes(points: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres and spreads of the classes."""
    centres = np.full((count, points.shape[1]), np.nan)
    spreads = np.full(count, np.nan)
    for label in np.unique(labels):
        own = points[labels == label]
        centres[label] = own.mean(0)
        spreads[label] = np.sqrt(np.square(own - centres[label]).sum(1).mean())
    return centres, spreads


def _geometric_mean(ratios: np.ndarray) -> float:
    good = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.exp(np.log(good).mean())) if len(good) else float("nan")


def clumping(plane: "ArrayLike | Tensor") -> float:
    """Clark and Evans's ratio: 1 for points at random in the plane, the less the more they clump.

    The mean distance to the nearest point, over the 1/(2·√density) of random points; the area is
    that of the convex hull. Source: Clark & Evans (1954), "Distance to nearest neighbor as a
    measure of spatial relationships in populations".
    """
    from scipy.spatial import ConvexHull

    points = as_points(plane, "plane")
    area = ConvexHull(points).volume  # of a plane figure
    nearest = float(nearest_neighbours(points, k=1).distances.mean())
    return 2 * nearest * float(np.sqrt(len(points) / area))


# ---------------------------------------------------------------- toy data with known truth


class Toy(NamedTuple):
    """Points N×D whose true shape is known, their class numbers, and the classes' names."""

    points: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


def _sizes(rng: np.random.Generator, n: int) -> Toy:
    half = n // 2
    small = rng.normal(0, 1, (half, 10))
    large = rng.normal(0, 5, (n - half, 10)) + 40 * np.eye(10)[0]
    return _joined({"small": small, "five times as large": large})


def _distances(rng: np.random.Generator, n: int) -> Toy:
    third = n // 3
    counts = (third, third, n - 2 * third)
    parts = [
        rng.normal(0, 1, (count, 10)) + at * np.eye(10)[0]
        for count, at in zip(counts, (0, 10, 60), strict=True)
    ]
    return _joined(dict(zip(("here", "10 away", "50 farther"), parts, strict=True)))


def _noise(rng: np.random.Generator, n: int) -> Toy:
    return _joined({"noise": rng.normal(0, 1, (n, 100))})


def _ring(rng: np.random.Generator, n: int) -> Toy:
    angle = 2 * np.pi * np.arange(n) / n
    plane = np.linalg.qr(rng.normal(size=(10, 2)))[0]
    circle = np.stack([np.cos(angle), np.sin(angle)], 1) @ plane.T
    names = ("first quarter", "second", "third", "fourth")
    return Toy(circle + rng.normal(0, 0.01, circle.shape), 4 * np.arange(n) // n, names)


def _joined(parts: dict[str, np.ndarray]) -> Toy:
    labels = np.concatenate([np.full(len(part), k) for k, part in enumerate(parts.values())])
    return Toy(np.concatenate(list(parts.values())), labels, tuple(parts))


TOYS: dict[str, Callable[[np.random.Generator, int], Toy]] = {
    "sizes": _sizes,
    "distances": _distances,
    "noise": _noise,
    "ring": _ring,
}


def toy_points(kind: str, count: int = 300, seed: int = 0) -> Toy:
    """Points of which one knows what a picture of them ought to show.

    - "sizes": two Gaussian clusters in 10 dimensions, one five times as wide; centres 40 apart.
    - "distances": three equal ones on a line, 10 and then 50 apart, standard deviation 1.
    - "noise": one Gaussian in 100 dimensions, without any structure.
    - "ring": a circle in 10 dimensions, with little noise; the classes are its quarters in order.

    Raises:
        ValueError: an unknown kind, or fewer than 12 points.
    """
    if kind not in TOYS:
        raise ValueError(f"kind must be one of {', '.join(TOYS)}, got {kind!r}")
    if count < 12:
        raise ValueError(f"expected at least 12 points, got {count}")
    return TOYS[kind](np.random.default_rng(seed), count)
