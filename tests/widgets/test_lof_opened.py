"""LOFOpened: its numbers from scikit-learn, and its front end against them."""

import json

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from companion.widgets import LOFOpened
from companion.widgets.lof_opened import letter
from support.front_end import HOSTILE, settle, shown_numbers


class TestNumbers:
    @pytest.mark.parametrize("k", [1, 3, 10])
    def test_the_table_adds_up_to_scikit_learns_factor(self, k):
        w = LOFOpened(k=k)
        scores = -LocalOutlierFactor(k).fit(np.array(w.points)).negative_outlier_factor_
        np.testing.assert_allclose(w.lof, scores, rtol=1e-12)
        for selected in range(len(w.points)):
            w.selected = selected
            rows = w.table()
            assert np.mean([row.ratio for row in rows]) == pytest.approx(scores[selected])
            density = rows[0].density / rows[0].ratio
            assert 1 / np.mean([row.reach for row in rows]) == pytest.approx(density)
            assert all(row.reach == max(row.distance, row.k_distance) for row in rows)

    def test_the_example_has_an_outlier_beside_the_tight_group(self):
        w = LOFOpened()
        assert w.lof.argmax() == w.selected == 6
        assert letter(6) == "G"
        assert letter(27) == "B′"

    def test_state_is_small_json(self):
        assert len(json.dumps(LOFOpened(title=HOSTILE).page_state())) < 800
        assert repr(LOFOpened()).startswith("LOFOpened: k = 3, LOF of G = 1.857")


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: LOFOpened(np.eye(2)), "expected 4 to 40 points, got 2"),
            (lambda: LOFOpened(np.ones((5, 1))), "points must be N×2 numbers, got 5×1"),
            (lambda: LOFOpened([["a", 1]] * 5), "points must be N×2 numbers"),
            (lambda: LOFOpened(k=11), "k must be a whole number from 1 to 10"),
            (
                lambda: LOFOpened(np.random.default_rng(0).random((5, 2)), k=5),
                "k must be below the",
            ),
        ],
    )
    def test_bad_ones_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_bad_assignments_change_nothing(self):
        w = LOFOpened()
        for name, value in {"k": 0, "selected": 13}.items():
            before = getattr(w, name)
            with pytest.raises(ValueError, match=name):
                setattr(w, name, value)
            assert getattr(w, name) == before


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(tab, w, *, ties=False):
    numbers, rows = shown_numbers(tab), w.table()
    for e, row in enumerate(rows):
        for name, value in zip(
            ("distance", "k-distance", "reach", "density", "ratio"), row[1:], strict=True
        ):
            assert numbers[f"{name}-{e}"] == pytest.approx(value, rel=1e-6), (name, e)
    assert tab.locator("tbody tr").filter(visible=True).count() == w.k
    heads = tab.locator("tbody th").filter(visible=True).all_inner_texts()
    assert ties or heads == [letter(row.place) for row in rows]
    assert numbers["mean-reach"] == pytest.approx(np.mean([row.reach for row in rows]))
    assert numbers["lof"] == pytest.approx(w.lof[w.selected], rel=1e-6)
    assert 1 / numbers["mean-reach"] == pytest.approx(numbers["density"], rel=1e-6)


@pytest.mark.browser
class TestFrontEnd:
    def test_k_to_both_ends(self, page):
        w = LOFOpened()
        tab = page(w)
        assert_agrees(tab, w)
        for key, k in (("Home", 1), ("End", 10)):
            tab.get_by_role("slider", name="k, neighbours").press(key)
            w.k = k
            assert_agrees(tab, w)

    def test_arrow_keys_and_clicks_choose(self, page):
        w = LOFOpened()
        tab = page(w)
        slider = tab.get_by_role("slider", name="Point that is opened")
        seen = set()
        for key in ("ArrowRight", "ArrowUp", "ArrowDown", "ArrowLeft", "Home", "End"):
            slider.press(key)
            settle(tab)
            w.selected = tab.evaluate("model.get('selected')")
            seen.add(w.selected)
            assert_agrees(tab, w)
            value = slider.get_attribute("aria-valuetext")
            assert value.startswith(f"{letter(w.selected)}, LOF ")
        assert len(seen) > 3
        dot = tab.locator("circle.companion-dot").nth(0)
        dot.click(force=True)
        w.selected = 0
        assert_agrees(tab, w)

    def test_circles_hold_the_neighbours(self, page):
        """The filled circle has the k-distance as its radius, to the scale of the points."""
        w = LOFOpened(k=4)
        tab = page(w)
        own, dots = (
            tab.eval_on_selector_all(
                selector,
                "all => all.map((el) => ['cx', 'cy', 'r'].map((a) => +el.getAttribute(a)))",
            )
            for selector in (".lof-own", "circle.companion-dot")
        )
        places, points = np.array(dots)[:, :2], np.array(w.points)
        unit = np.ptp(places[:, 0]) / np.ptp(points[:, 0])
        assert own[0][2] / unit == pytest.approx(max(row.distance for row in w.table()), rel=0.01)
        np.testing.assert_allclose(own[0][:2], places[w.selected], atol=0.1)

    def test_copies_are_no_trouble(self, page):
        w = LOFOpened([[0, 0]] * 6 + [[1, 0], [0, 1]], k=3, selected=7)
        tab = page(w)
        assert_agrees(tab, w, ties=True)
        assert w.lof[7] > 1e6

    def test_fits_a_phone(self, page):
        tab = page(LOFOpened(k=10), 390)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
