"""ThresholdLab: its counts and curves against scikit-learn, in Python and in the page."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from companion.anomaly import cheapest_threshold
from companion.widgets import ThresholdLab
from support.front_end import HOSTILE, shown_numbers


def data(seed: int, count: int = 60, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.2
    labels[:2] = [True, False]
    scores = rng.normal(size=count) + labels
    return labels, (scores.round() if ties else scores)


class TestNumbers:
    @pytest.mark.parametrize("ties", [False, True])
    def test_counts(self, ties):
        labels, scores = data(0, ties=ties)
        w = ThresholdLab(labels, scores, miss_cost=7)
        for cut in range(len(np.unique(scores)) + 1):
            w.cut = cut
            flagged = scores >= w.threshold
            (tn, fp), (fn, tp) = confusion_matrix(labels, flagged)
            assert w.counts == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
            assert w.cost == fp + 7 * fn
        assert w.threshold == np.inf
        assert f"AUROC {roc_auc_score(labels, scores):.3f}" in w.describe()

    def test_refusals(self):
        labels, scores = data(1)
        with pytest.raises(ValueError, match="no anomalies"):
            ThresholdLab(np.zeros(60), scores)
        with pytest.raises(ValueError, match="one label for each score"):
            ThresholdLab(labels[:3], scores)
        with pytest.raises(ValueError, match="finite scores"):
            ThresholdLab([0, 1], [1, np.inf])
        with pytest.raises(ValueError, match="at most 5,000 scores, got 5,001"):
            ThresholdLab(np.arange(5001) < 9, np.arange(5001))
        with pytest.raises(ValueError, match="cut must be a whole number from 0 to 60, not 61"):
            ThresholdLab(labels, scores, cut=61)
        w = ThresholdLab(labels, scores)
        with pytest.raises(ValueError, match="miss_cost must be a number from 1 to 200"):
            w.miss_cost = 0
        assert json.loads(json.dumps(w.page_state()))["cut"] == 30


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("ties", [False, True])
    def test_curves_are_scikit_learns(self, page, ties):
        tab = page()
        for seed in range(8):
            labels, scores = data(seed, ties=ties)
            found = tab.evaluate(
                """async ([labels, scores, miss]) => {
                  const m = await import("/maths/ranking.js");
                  const ranking = m.rankingOf(labels, scores);
                  const precision = ranking.tp.map((_, cut) => m.precisionAt(ranking, cut));
                  return { ...ranking, auroc: m.auroc(ranking), precision,
                    average: m.averagePrecision(ranking), costs: m.costs(ranking, miss) };
                }""",
                [labels.astype(int).tolist(), scores.tolist(), 9],
            )
            fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
            np.testing.assert_allclose(found["values"], thresholds[:0:-1])
            np.testing.assert_allclose(np.array(found["fp"]) / (~labels).sum(), fpr[::-1])
            np.testing.assert_allclose(np.array(found["tp"]) / labels.sum(), tpr[::-1])
            assert found["auroc"] == pytest.approx(auc(fpr, tpr))
            precision, recall, _ = precision_recall_curve(labels, scores)
            np.testing.assert_allclose(found["precision"], precision)
            np.testing.assert_allclose(np.array(found["tp"]) / labels.sum(), recall)
            assert found["average"] == pytest.approx(average_precision_score(labels, scores))
            best = cheapest_threshold(labels, scores, false_alarm=1, miss=9)
            assert min(found["costs"]) == best.cost

    def test_by_keyboard(self, page):
        labels, scores = data(3)
        w = ThresholdLab(labels, scores, title=HOSTILE)
        tab = page(w)
        slider = tab.get_by_role("slider", name="Threshold")
        for key in ("ArrowRight", "ArrowLeft", "Home", "ArrowRight", "End", "ArrowLeft"):
            slider.press(key)
            w.cut = tab.evaluate("model.get('cut')")
            flagged = scores >= w.threshold
            numbers = shown_numbers(tab)
            assert numbers["threshold"] == (w.threshold if w.threshold < np.inf else None)
            assert {name: numbers[name] for name in w.counts} == w.counts
            assert numbers["recall"] == pytest.approx(recall_score(labels, flagged))
            precision = precision_score(labels, flagged, zero_division=1)
            assert numbers["precision"] == pytest.approx(precision)
            assert numbers["cost"] == w.cost
        assert w.counts["tp"] + w.counts["fp"] == 1
        slider.press("End")
        assert slider.get_attribute("aria-valuetext") == "above all scores"
        numbers = shown_numbers(tab)
        assert (numbers["tp"], numbers["fp"], numbers["precision"]) == (0, 0, 1)
        tab.get_by_role("slider", name="What a missed anomaly costs").press("End")
        best = cheapest_threshold(labels, scores, false_alarm=1, miss=200)
        numbers = shown_numbers(tab)
        assert numbers["best-cost"] == best.cost
        assert numbers["miss-cost"] == 200

    @pytest.mark.parametrize("width", [390, 800, 1280])
    def test_the_picture_is_to_scale(self, page, width):
        labels, scores = data(4)
        w = ThresholdLab(labels, scores, cut=0)
        tab = page(w, width)
        # Everything is flagged: the ROC's point is at the upper right, that of cost at the left.
        dots = tab.eval_on_selector_all(
            ".companion-halves svg",
            """all => all.map(svg => {
              const box = svg.getBoundingClientRect();
              const dot = svg.querySelector(".companion-dot").getBoundingClientRect();
              return [(dot.x + dot.width / 2 - box.x) / box.width,
                      (dot.y + dot.height / 2 - box.y)];
            })""",
        )
        assert dots[0][0] > 0.9
        assert dots[0][1] == pytest.approx(24, abs=1)
        assert dots[1][0] > 0.9
        assert dots[2][0] < 0.25
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
