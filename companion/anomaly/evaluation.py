"""How good scores are, where the truth is known: ranks, and a threshold with its costs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Evaluation(NamedTuple):
    """What a ranking is worth.

    `auroc`: the chance that an anomaly scores higher than a normal row (ties count half).
    `average_precision`: mean precision at the anomalies, from the top of the ranking down.
    `share`: of anomalies; the average precision of a random ranking of many rows.
    """

    auroc: float
    average_precision: float
    share: float


def evaluate(labels: ArrayLike, scores: ArrayLike) -> Evaluation:
    """Compare scores (N, higher is more anomalous) with labels (N, true or 1 for anomalies).

    Raises:
        ValueError: lengths differ, a score is NaN, or one of the two classes is empty.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, ranks = check_labels(labels, scores)
    return Evaluation(
        float(roc_auc_score(truth, ranks)),
        float(average_precision_score(truth, ranks)),
        float(truth.mean()),
    )


class Choice(NamedTuple):
    """A threshold (rows with a score of at least this are flagged), and what it costs in all."""

    threshold: float
    cost: float
    false_alarms: int
    missed: int


def cheapest_threshold(
    labels: ArrayLike, scores: ArrayLike, *, false_alarm: float, miss: float
) -> Choice:
    """The threshold of the lowest total cost; of several the highest. ∞ flags nothing.

    `false_alarm` and `miss` are what one of each costs, at least 0. Raises ValueError as
    :func:`evaluate` and for negative costs.
    """
    truth, ranks = check_labels(labels, scores)
    if not (false_alarm >= 0 and miss >= 0):
        raise ValueError(f"Costs must be 0 or more, got {false_alarm!r} and {miss!r}.")
    order = np.argsort(-ranks, kind="stable")
    # Thresholds lie at the scores; of equal scores the last counts all of them.
    ends = np.flatnonzero(np.diff(ranks[order], append=-np.inf))
    alarms = np.r_[0, (~truth[order]).cumsum()[ends]]
    missed = truth.sum() - np.r_[0, truth[order].cumsum()[ends]]
    costs = false_alarm * alarms + miss * missed
    best = int(costs.argmin())
    threshold = np.r_[np.inf, ranks[order][ends]][best]
    return Choice(float(threshold), float(costs[best]), int(alarms[best]), int(missed[best]))


def check_labels(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Labels as booleans and scores as float64, both of length N; ValueError as `evaluate` says."""
    truth, ranks = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != ranks.shape:
        raise ValueError(
            f"Expected one label for each score, got shapes {truth.shape} and {ranks.shape}."
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("Labels must be true or 1 for anomalies, and false or 0 for normal rows.")
    if np.isnan(ranks).any():
        raise ValueError(f"Score {int(np.isnan(ranks).argmax())} is NaN: it has no rank.")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        kind = "normal rows" if truth.all() and len(truth) else "anomalies"
        raise ValueError(f"There are no {kind} among the labels: a ranking needs both kinds.")
    return truth, ranks
