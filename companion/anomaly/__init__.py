"""Anomaly detection for tables and images (chapter 11): one interface over PyOD and scikit-learn.

    found = detect("lof", table.X, k=20)    # fitted
    found.scores                            # of the rows that it was fitted on: N
    found.score(new)                        # of other rows: M
    evaluate(labels, found.scores).auroc

A score is higher where a row is more anomalous, for every method. Chapter 11 derives the methods
in `companion.by_hand.outliers`.
"""

from companion.anomaly.detectors import METHODS, Detector, detect
from companion.anomaly.evaluation import Evaluation, cheapest_threshold, evaluate
from companion.anomaly.tables import Table, load_table, read_table, standardise

__all__ = [
    "METHODS",
    "Detector",
    "Evaluation",
    "Table",
    "cheapest_threshold",
    "detect",
    "evaluate",
    "load_table",
    "read_table",
    "standardise",
]
