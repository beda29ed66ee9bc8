"""The exercises of chapter 11: right answers, and each plausible mistake with its hint."""

from typing import Any

import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from support.answers import answer_tests


def average_precision(labels: Tensor, scores: Tensor) -> Tensor:
    return precision_down(labels, scores)[labels[scores.argsort(descending=True)]].mean()


def precision_down(labels: Tensor, scores: Tensor) -> Tensor:
    ranked = labels[scores.argsort(descending=True)]
    return ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)


def alone(x: Tensor) -> Tensor:
    order = x.argsort()
    s = x[order]
    p = torch.zeros(len(x), dtype=torch.float64)
    p[order[0]] = (s[1] - s[0]) / (s[-1] - s[0])
    p[order[-1]] = (s[-1] - s[-2]) / (s[-1] - s[0])
    return p


def alone_by_cutting(x: Tensor) -> Tensor:
    """A fine grid of cuts instead of a formula."""
    cuts = torch.linspace(float(x.min()), float(x.max()), 2_000_001, dtype=torch.float64)[1:-1]
    below = (x[:, None] < cuts).sum(0)
    left = torch.where(below == 1, x.argmin(), -1)
    right = torch.where(below == len(x) - 1, x.argmax(), -1)
    both = torch.stack([left, right])
    return torch.stack([(both == k).any(0).double().mean() for k in range(len(x))])


def inner_too(x: Tensor) -> Tensor:
    order = x.argsort()
    gaps = x[order].diff() / (x.max() - x.min())
    p = alone(x)
    p[order[1:-1]] = torch.minimum(gaps[:-1], gaps[1:])
    return p


def in_order_of_size(x: Tensor) -> Tensor:
    return alone(x.sort().values)


def lof(X: Tensor, k: int, own: bool = False, mine: bool = False, turned: bool = False) -> Tensor:
    gaps = torch.cdist(X, X)
    if not own:
        gaps.fill_diagonal_(float("inf"))
    near, who = gaps.topk(k, largest=False)
    k_distance = near[:, -1]
    reach = torch.maximum(near, k_distance[:, None] if mine else k_distance[who])
    density = 1 / reach.mean(1)
    ratio = density[who].mean(1) / density
    return density / density[who].mean(1) if turned else ratio


RIGHT: dict[str, list[Any]] = {
    "average_precision": [
        average_precision,
        lambda y, s: average_precision_score(y.numpy(), s.numpy()),
    ],
    "alone": [alone, alone_by_cutting],
    "lof": [
        lof,
        lambda X, k: -LocalOutlierFactor(n_neighbors=k).fit(X.numpy()).negative_outlier_factor_,
    ],
}

WRONG: list[tuple[str, Any, str]] = [
    ("average_precision", lambda y, s: precision_down(y, s).mean(), "mean over all rows"),
    ("average_precision", lambda y, s: average_precision(y, -s), "wrong way round"),
    (
        "average_precision",
        lambda y, s: precision_down(y, s)[y[s.argsort(descending=True)]][-1],
        "last anomaly",
    ),
    ("average_precision", lambda y, s: average_precision(y, s) * y.sum(), "a sum"),
    (
        "average_precision",
        lambda y, s: (y.cumsum(0) / torch.arange(1, len(y) + 1))[y].mean(),
        "sort them",
    ),
    ("average_precision", lambda y, s: 0.123, "got 0.1230"),
    ("alone", lambda x: alone(x) * (x.max() - x.min()), "divide by the range"),
    ("alone", in_order_of_size, "order of x"),
    ("alone", inner_too, "one cut cannot leave it alone"),
    ("alone", lambda x: alone(x)[:2], "each point"),
    ("alone", lambda x: 1 - alone(x), "something else is right"),
    ("lof", lambda X, k: lof(X, k, own=True), "own neighbour"),
    ("lof", lambda X, k: lof(X, k, mine=True), "neighbour's, not"),
    ("lof", lambda X, k: lof(X, k, turned=True), "upside down"),
    ("lof", lambda X, k: lof(X, k, own=True, mine=True), "diagonal, and whose"),
    ("lof", lambda X, k: lof(X, k, own=True, turned=True), "diagonal, and the ratio"),
    ("lof", lambda X, k: lof(X, k, mine=True, turned=True), "k-distance it is, and"),
    ("lof", lambda X, k: lof(X, k, True, True, True), "All three"),
    ("lof", lambda X, k: torch.cdist(X, X).sum(1), "not LOF"),
    ("lof", lambda X, k: lof(X, k)[:3], "each point"),
]

(
    test_right_answers,
    test_each_mistake_gets_its_hint,
    test_unanswered_is_neutral,
    test_every_exercise_has_answers,
) = answer_tests("anomaly", RIGHT, WRONG)
