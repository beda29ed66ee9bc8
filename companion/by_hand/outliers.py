"""Anomaly scores by hand, in NumPy, as chapter 11 derives them; a higher score is more anomalous.

X is N×D throughout, distances are Euclidean, and a point is not a neighbour of itself. Libraries do
the same much faster: `companion.anomaly` calls them.
"""

import math
from bisect import insort
from typing import NamedTuple

import numpy as np


def distances(X: np.ndarray) -> np.ndarray:
    """N×N distances between the rows of X, with ∞ on the diagonal."""
    gaps = np.sqrt(((X[:, None] - X[None]) ** 2).sum(2))
    np.fill_diagonal(gaps, np.inf)
    return gaps


def knn(X: np.ndarray, k: int) -> np.ndarray:
    """The distance of each point to its k-th nearest: N scores.

    Source: Ramaswamy, Rastogi & Shim (2000), "Efficient algorithms for mining outliers".
    """
    return np.sort(distances(X), axis=1)[:, k - 1]


def lof(X: np.ndarray, k: int) -> np.ndarray:
    """The local outlier factor of each point: N scores, about 1 where the density is even.

    Of neighbours at the same distance, k are taken as they come. The 10⁻¹⁰ is scikit-learn's: where
    more than k points lie in one place, it stands for a division by 0. Source: Breunig et al.
    (2000), "LOF: identifying density-based local outliers".
    """
    gaps = distances(X)
    neighbours = np.argsort(gaps, axis=1)[:, :k]
    gaps = np.take_along_axis(gaps, neighbours, axis=1)
    k_distance = gaps[:, -1]
    reachability = np.maximum(gaps, k_distance[neighbours])
    density = 1 / (reachability.mean(axis=1) + 1e-10)
    return density[neighbours].mean(axis=1) / density


def dbscan(X: np.ndarray, eps: float, min_points: int) -> np.ndarray:
    """The number of each point's cluster, −1 for noise: N labels.

    A core point has `min_points` within `eps`, itself counted. Source: Ester et al. (1996).
    """
    near = distances(X) <= eps
    core = near.sum(axis=1) + 1 >= min_points
    labels, cluster = np.full(len(X), -1), 0
    for start in np.flatnonzero(core):
        if labels[start] >= 0:
            continue
        todo = [start]
        while todo:  # go from core point to core point
            i = todo.pop()
            if labels[i] < 0:
                labels[i] = cluster
                todo += list(np.flatnonzero(near[i])) if core[i] else []
        cluster += 1
    return labels


def cblof(
    X: np.ndarray,
    clusters: np.ndarray,
    alpha: float = 0.9,
    beta: float = 5,
) -> np.ndarray:
    """The distance of each point to the nearest centre of a large cluster: N scores.

    `clusters` has the number of each point's cluster, as k-means gives it. The largest clusters are
    large until they hold the share `alpha` of the points and the next is `beta` times smaller; or,
    if that is nowhere the case, until the first of both holds. A point of a large cluster keeps to
    its own centre. Source: He, Xu & Deng (2003); as in PyOD, without the cluster's size as factor.

    Raises:
        ValueError: no cluster is small by either rule.
    """
    sizes = np.bincount(clusters)
    order = np.argsort(-sizes)
    covers = sizes[order].cumsum()[:-1] >= alpha * len(X)
    drops = sizes[order][:-1] >= beta * sizes[order][1:]
    rules = [r for r in (covers & drops, covers, drops) if r.any()]
    if not rules:
        raise ValueError("no cluster is small by either rule")
    large = order[: rules[0].argmax() + 1]
    centres = np.stack([X[clusters == c].mean(axis=0) for c in large])
    gaps = np.sqrt(((X[:, None] - centres[None]) ** 2).sum(2))
    own = clusters[:, None] == large
    return np.where(own.any(axis=1), (gaps * own).sum(axis=1), gaps.min(axis=1))


class Node(NamedTuple):
    """A cut of an isolation tree, or (without a column) a leaf that holds `size` points."""

    size: int
    column: int | None = None
    value: float = 0.0
    left: "Node | None" = None
    right: "Node | None" = None


def isolation_tree(
    X: np.ndarray,
    height: int,
    rng: np.random.Generator,
) -> Node:
    """Cuts at random, in a random column between its extremes, until all are alone or `height`."""
    low, high = X.min(axis=0), X.max(axis=0)
    if height == 0 or len(X) == 1 or (low == high).all():
        return Node(len(X))
    column = rng.choice(np.flatnonzero(low < high))
    value = rng.uniform(low[column], high[column])
    is_left = X[:, column] <= value
    left = isolation_tree(X[is_left], height - 1, rng)
    right = isolation_tree(X[~is_left], height - 1, rng)
    return Node(len(X), column, value, left, right)


def average_path(count: int) -> float:
    """How many cuts it takes on average to isolate one of `count` points: c(n) of the paper."""
    if count < 3:
        return float(count - 1)
    return 2 * (math.log(count - 1) + np.euler_gamma) - 2 * (count - 1) / count


def path_length(tree: Node, x: np.ndarray) -> float:
    """The cuts that a point passes on its way to a leaf, and c(n) for the n points there."""
    length = 0
    while tree.left is not None and tree.right is not None:
        tree = tree.left if x[tree.column] <= tree.value else tree.right
        length += 1
    return length + average_path(tree.size)


def isolation_forest(
    X: np.ndarray, trees: int = 100, sample: int = 256, seed: int = 0
) -> np.ndarray:
    """2^(−mean path/c(n)) of each point: N scores in (0, 1), 0.5 for a path of average length.

    Each tree grows on `sample` points, to the height log₂ n. Source: Liu, Ting & Zhou (2008),
    "Isolation forest".
    """
    rng = np.random.default_rng(seed)
    sample = min(sample, len(X))
    height = math.ceil(math.log2(max(sample, 2)))
    forest = [
        isolation_tree(X[rng.choice(len(X), sample, replace=False)], height, rng)
        for _ in range(trees)
    ]
    mean = np.array([np.mean([path_length(tree, x) for tree in forest]) for x in X])
    return 2.0 ** (-mean / average_path(sample))


class Found(NamedTuple):
    """The `points` (numbers of rows) with the highest scores, and what it took to find them."""

    points: list[int]
    scores: list[float]
    distances: int


def nested_loop(X: np.ndarray, k: int, top: int) -> Found:
    """The `top` points farthest from their k-th nearest, all with all: N(N − 1) distances."""
    scored = sorted(zip(knn(X, k).tolist(), range(len(X)), strict=True), reverse=True)[:top]
    return Found([i for _, i in scored], [score for score, _ in scored], len(X) * (len(X) - 1))


def orca(X: np.ndarray, k: int, top: int, seed: int = 0) -> Found:
    """The same points, but a point is given up as soon as it cannot be among them any more.

    Source: Bay & Schwabacher (2003), "Mining distance-based outliers in near linear time with
    randomization and a simple pruning rule", with blocks of one point.
    """
    order = np.random.default_rng(seed).permutation(len(X)).tolist()
    points = X.tolist()
    best: list[tuple[float, int]] = []
    cutoff, counted = 0.0, 0
    for i in order:
        nearest: list[float] = []
        for j in order:
            if i == j:
                continue
            insort(nearest, math.dist(points[i], points[j]))
            del nearest[k:]
            counted += 1
            if len(nearest) == k and nearest[-1] < cutoff:
                break  # it is none of the top any more
        else:
            best = sorted([*best, (nearest[-1], i)], reverse=True)[:top]
            cutoff = best[-1][0] if len(best) == top else 0.0
    return Found([i for _, i in best], [score for score, _ in best], counted)
