"""One threshold and all that hangs on it: histogram, confusion, ROC, precision–recall, cost."""

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from companion.anomaly.evaluation import check_labels, evaluate
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded, whole_number

MOST = 5000  # rows


class ThresholdLab(LiveWidget):
    """A slider over the scores' own values; what is at least as high is flagged.

    Args:
        labels: N, true or 1 for anomalies.
        scores: N, higher is more anomalous; at most 5,000.
        cut: how many of the distinct scores lie below the threshold; all of them flags nothing. The
            middle one if not given.
        miss_cost: what a missed anomaly costs, 1 to 200; a false alarm costs 1.
        title: heading of the widget.

    Attributes:
        cut, miss_cost: what is on show; they may be set and observed.

    Raises:
        ValueError: as :func:`companion.anomaly.evaluate`, and for more than 5,000 rows.
    """

    module = "threshold_lab"

    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    cut = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, len(w._distinct)))
    miss_cost = Bounded(1, 200, default=5).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        labels: ArrayLike,
        scores: ArrayLike,
        *,
        cut: int | None = None,
        miss_cost: float = 5,
        title: str = "One threshold",
    ) -> None:
        truth, ranks = check_labels(labels, scores)
        if len(truth) > MOST:
            raise ValueError(f"Expected at most {MOST:,} scores, got {len(truth):,}.")
        if not np.isfinite(ranks).all():
            raise ValueError("Expected finite scores, got ∞.")
        self._distinct = np.unique(ranks)
        super().__init__(
            labels=truth.astype(int).tolist(),
            scores=ranks.tolist(),
            cut=len(self._distinct) // 2 if cut is None else cut,
            miss_cost=miss_cost,
            title=str(title),
        )

    @traitlets.validate("cut")
    def _check_cut(self, proposal: traitlets.Bunch) -> int:
        return whole_number("cut", proposal["value"], 0, len(self._distinct))

    @property
    def threshold(self) -> float:
        """The lowest score that is flagged; ∞ if none is."""
        return float(np.r_[self._distinct, np.inf][self.cut])

    @property
    def counts(self) -> dict[str, int]:
        """True and false positives and negatives: "tp", "fp", "fn", "tn"."""
        truth, flagged = np.array(self.labels, bool), np.array(self.scores) >= self.threshold
        return {
            "tp": int((truth & flagged).sum()),
            "fp": int((~truth & flagged).sum()),
            "fn": int((truth & ~flagged).sum()),
            "tn": int((~truth & ~flagged).sum()),
        }

    @property
    def cost(self) -> float:
        """False alarms, and misses at their cost."""
        return self.counts["fp"] + self.miss_cost * self.counts["fn"]

    def describe(self) -> str:
        """One line: the threshold and what it does."""
        found = evaluate(self.labels, self.scores)
        said = ", ".join(f"{name.upper()} {count}" for name, count in self.counts.items())
        return (
            f"ThresholdLab: threshold {self.threshold:.3g}: {said}; AUROC {found.auroc:.3f}, "
            f"average precision {found.average_precision:.3f}"
        )
