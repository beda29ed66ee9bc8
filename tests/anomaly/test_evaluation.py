"""Ranks and thresholds against scikit-learn and against trying every threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from companion.anomaly import cheapest_threshold, evaluate

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(ROWS)
def test_evaluate_is_scikit_learns(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = evaluate(labels, scores)
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores))
    assert found.average_precision == pytest.approx(average_precision_score(labels, scores))
    assert found.share == labels.mean()


@given(ROWS, st.integers(0, 9), st.integers(0, 9))
def test_no_threshold_is_cheaper(rows, false_alarm, miss):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = cheapest_threshold(labels, scores, false_alarm=false_alarm, miss=miss)

    def cost(threshold: float) -> float:
        flagged = scores >= threshold
        return false_alarm * (flagged & ~labels).sum() + miss * (~flagged & labels).sum()

    assert found.cost == cost(found.threshold)
    assert found.cost == min(cost(t) for t in [*scores, np.inf])
    assert found.cost == false_alarm * found.false_alarms + miss * found.missed


@pytest.mark.parametrize(("labels", "kind"), [([0, 0], "anomalies"), ([1, 1], "normal rows")])
def test_an_empty_class(labels, kind):
    with pytest.raises(ValueError, match=f"There are no {kind} among the labels"):
        evaluate(labels, [0.1, 0.2])


def test_refusals():
    with pytest.raises(ValueError, match=r"one label for each score, got shapes \(2,\) and \(3,\)"):
        evaluate([0, 1], [1, 2, 3])
    with pytest.raises(ValueError, match="Score 1 is NaN"):
        evaluate([0, 1], [1, np.nan])
    with pytest.raises(ValueError, match="true or 1 for anomalies"):
        evaluate([0, 2], [1, 2])
    with pytest.raises(ValueError, match=r"Costs must be 0 or more, got -1"):
        cheapest_threshold([0, 1], [1, 2], false_alarm=-1, miss=1)
