"""IsolationCuts: cells that shrink, a guess that is kept, means of many trees against trees of
scikit-learn's."""

import json

import numpy as np
import pytest
from sklearn.tree import ExtraTreeRegressor

from companion.widgets import IsolationCuts
from support.front_end import HOSTILE, settle, shown_numbers


class TestNumbers:
    def test_average_path_is_the_papers(self):
        w = IsolationCuts(np.random.default_rng(0).random((10, 2)))
        # H(9) by its sum; the paper's logarithm is off by some hundredths for so few.
        assert w.average_path == pytest.approx(2 * sum(1 / i for i in range(1, 10)) - 1.8, abs=0.12)

    def test_state_is_small_json(self):
        w = IsolationCuts(title=HOSTILE)
        assert len(json.dumps(w.page_state())) < 1200
        assert repr(w) == f"IsolationCuts: {len(w.points)} points, guessed nothing yet, 0 trees"


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: IsolationCuts(np.ones((3, 2))), "expected 4 to 60 points, got 3"),
            (lambda: IsolationCuts(np.ones((61, 2))), "expected 4 to 60 points, got 61"),
            (lambda: IsolationCuts([[1, np.inf]] * 5), "points must be finite numbers"),
            (lambda: IsolationCuts(seed=-1), "seed must be an integer from 0"),
        ],
    )
    def test_bad_ones_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_bad_assignments_change_nothing(self):
        w = IsolationCuts()
        for name, value in {"selected": 99, "guess": -2, "trees": 201, "cuts": -1}.items():
            before = getattr(w, name)
            with pytest.raises(ValueError, match=name):
                setattr(w, name, value)
            assert getattr(w, name) == before


# ------------------------------------------------------------------ the front end, unbundled


def started(page, w: IsolationCuts | None = None, guess: int = 0):
    """A page in which a guess was made."""
    tab = page(w or IsolationCuts())
    tab.evaluate("(i) => model.set('selected', i)", guess)
    settle(tab)
    tab.get_by_role("button", name="I say").click()
    settle(tab)
    return tab


def cut(tab) -> None:
    tab.get_by_role("button", name="Cut", exact=True).click()
    settle(tab)


@pytest.mark.browser
class TestFrontEnd:
    def test_a_guess_comes_first(self, page):
        tab = page(IsolationCuts())
        for name in ("All cuts", "200 trees"):
            assert tab.get_by_role("button", name=name).is_disabled()
        tab.get_by_role("slider", name="Point that is looked at").press("ArrowRight")
        settle(tab)
        chosen = tab.evaluate("model.get('selected')")
        button = tab.get_by_role("button", name="I say")
        assert button.inner_text() == f"I say {chr(65 + chosen)}"
        button.press("Enter")
        settle(tab)
        assert tab.evaluate("model.get('guess')") == chosen
        assert tab.evaluate("document.activeElement.textContent") == "Cut"

    def test_cell_shrinks_and_path_grows_until_all_are_alone(self, page):
        w = IsolationCuts()
        tab = started(page, w, len(w.points) - 1)
        area = "(el) => el.getAttribute('width') * el.getAttribute('height')"
        sizes, depths, areas = [], [], []
        for _ in range(len(w.points) - 1):
            cut(tab)
            numbers = shown_numbers(tab)
            sizes.append(numbers["size"])
            depths.append(numbers["depth"])
            areas.append(tab.eval_on_selector(".cuts-cell", area))
        assert sizes == sorted(sizes, reverse=True)
        assert depths == sorted(depths)
        assert areas == sorted(areas, reverse=True)
        assert sizes[-1] == 1
        assert tab.locator(".cuts-line").count() == len(w.points) - 1
        assert tab.get_by_role("button", name="Cut", exact=True).is_disabled()
        assert f"After {len(w.points) - 1} cuts every point is alone." in tab.inner_text("main")

    def test_who_is_alone_first_is_told(self, page):
        tab = started(page)
        while "alone first in this tree" not in tab.inner_text(".cuts-story"):
            assert "Alone: nobody" in tab.get_attribute(".anomaly-chooser svg", "aria-label")
            cut(tab)
        first = tab.inner_text(".cuts-story").split()[0]
        alone = tab.get_attribute(".anomaly-chooser svg", "aria-label").split("Alone: ")[1]
        assert alone.startswith(first)

    def test_many_trees_have_scikit_learns_path_lengths(self, page):
        """E[h] over 200 trees, within five standard errors of that over 400 trees of
        scikit-learn's kind, grown to the end: there scores come from the same lengths."""
        w = IsolationCuts()
        tab = started(page, w)
        tab.get_by_role("button", name="200 trees").click()
        tab.wait_for_function("() => model.get('trees') === 200")
        x, n = np.array(w.points, dtype=np.float32), len(w.points)
        depths = np.array([
            np.asarray(
                ExtraTreeRegressor(max_features=1, random_state=seed)
                .fit(x, np.random.default_rng(seed).random(n)).decision_path(x).sum(1)
            ).ravel() - 1
            for seed in range(400)
        ])  # fmt: skip
        for i in range(n):
            tab.evaluate("(i) => model.set('selected', i)", i)
            numbers = shown_numbers(tab)
            error = depths[:, i].std() * np.sqrt(1 / 200 + 1 / 400)
            assert abs(numbers["mean"] - depths[:, i].mean()) < 5 * error
            assert numbers["average"] == pytest.approx(w.average_path)
            expected = 2 ** (-numbers["mean"] / numbers["average"])
            assert numbers["score"] == pytest.approx(expected)
        assert numbers["trees"] == 200
        assert tab.get_by_role("button", name="200 trees").is_disabled()

    def test_another_tree_begins_anew(self, page):
        tab = started(page)
        tab.get_by_role("button", name="All cuts").click()
        settle(tab)
        before = tab.inner_html(".anomaly-chooser svg")
        tab.get_by_role("button", name="Another tree").click()
        settle(tab)
        state = [tab.evaluate("(name) => model.get(name)", name)
                 for name in ("guess", "cuts", "trees")]  # fmt: skip
        assert state == [-1, 0, 0]
        assert tab.locator(".cuts-line").count() == 0
        tab.get_by_role("button", name="I say").click()
        tab.get_by_role("button", name="All cuts").click()
        settle(tab)
        assert tab.inner_html(".anomaly-chooser svg") != before

    def test_copies_stay_together(self, page):
        tab = started(page, IsolationCuts([[0, 0]] * 4 + [[1, 1], [2, 0]]))
        tab.get_by_role("button", name="All cuts").click()
        tab.get_by_role("button", name="200 trees").click()
        tab.wait_for_function("() => model.get('trees') === 200")
        assert shown_numbers(tab)["size"] == 4

    def test_fits_a_phone(self, page):
        tab = page(IsolationCuts(), 390)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
