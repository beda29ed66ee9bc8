"""BilinearGame: its factors against the matrices' own, and its ways against Python's."""

import json

import numpy as np
import pytest

from companion.by_hand.bilinear_game import RULES, trajectory
from companion.widgets import BilinearGame
from support.front_end import HOSTILE, settle, shown_numbers


class TestNumbers:
    @pytest.mark.parametrize("step", [0.02, 0.3, 0.7, 1.0, 1.2])
    def test_growth_is_the_size_of_the_eigenvalues(self, step):
        """A rule is a matrix: its columns are where (1, 0) and (0, 1) go."""
        for rule, growth in BilinearGame(step).growth.items():
            matrix = np.array([RULES[rule](1.0, 0.0, step), RULES[rule](0.0, 1.0, step)]).T
            assert np.abs(np.linalg.eigvals(matrix)) == pytest.approx([growth, growth])

    def test_distances_follow_it(self):
        w = BilinearGame(0.4, 0.3, -1.2, steps=50)
        for rule in ("simultaneous", "extra-gradient"):
            far = w.distances[rule]
            assert far[1:] / far[:-1] == pytest.approx(np.full(50, w.growth[rule]))

    def test_state_is_small_json(self):
        w = BilinearGame(title=HOSTILE)
        assert len(json.dumps(w.page_state())) < 300
        assert repr(w).startswith("BilinearGame: η = 0.2, after 60 steps at distance simultaneous")


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: BilinearGame(2), r"step_size must be a number from 0\.02 to 1\.2, not 2"),
            (lambda: BilinearGame(x=3), "x must be a number from -2 to 2, not 3"),
            (lambda: BilinearGame(y="a"), "y must be a number"),
            (lambda: BilinearGame(steps=1.5), "steps must be a whole number from 0 to 200"),
        ],
    )
    def test_bad_ones_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


# ------------------------------------------------------------------ the front end, unbundled


def slide(tab, name: str, value: float) -> None:
    tab.get_by_role("slider", name=name).fill(str(value))
    settle(tab)


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("step", [0.02, 0.5, 1.2])
    def test_its_numbers_are_pythons(self, page, step):
        w = BilinearGame(step, -0.7, 1.9, steps=33)
        numbers = shown_numbers(page(w))
        for rule in RULES:
            assert numbers[f"growth-{rule}"] == pytest.approx(w.growth[rule], rel=1e-12)
            end = trajectory(rule, step, 33, (-0.7, 1.9))[-1]
            assert numbers[f"distance-{rule}"] == pytest.approx(np.hypot(*end), rel=1e-12)

    def test_sliders_and_presses(self, page):
        tab = page(BilinearGame())
        slide(tab, "step size", 1)
        assert shown_numbers(tab)["growth-extra-gradient"] == pytest.approx(1)
        tab.get_by_role("button", name="Back to the start").click()
        settle(tab)
        assert shown_numbers(tab)["distance-alternating"] == 1
        tab.get_by_role("button", name="One step").click()
        settle(tab)
        assert shown_numbers(tab)["distance-simultaneous"] == pytest.approx(2**0.5)
        tab.get_by_role("button", name="Play").click()  # less motion is asked for: all at once
        settle(tab)
        assert tab.evaluate("model.get('steps')") == 200
        assert tab.get_by_role("button", name="One step").is_disabled()

    def test_it_plays_and_pauses(self, page):
        tab = page()
        tab.emulate_media(reduced_motion="no-preference")
        tab = page(BilinearGame(steps=0))
        tab.get_by_role("button", name="Play").click()
        tab.wait_for_function("() => model.get('steps') >= 3")
        tab.get_by_role("button", name="Pause").click()
        settle(tab)
        taken = tab.evaluate("model.get('steps')")
        assert tab.get_by_role("button", name="Play").is_visible()
        assert taken < 200

    def test_the_start_is_dragged(self, page):
        tab = page(BilinearGame())
        box = tab.locator(".bilinear-start").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x - 40, y - 60, steps=3)
        tab.mouse.up()
        settle(tab)
        moved = tab.locator(".bilinear-start").bounding_box()
        assert moved["x"] - box["x"] == pytest.approx(-40, abs=2)
        assert moved["y"] - box["y"] == pytest.approx(-60, abs=2)
        assert tab.evaluate("model.get('x')") < 1
        assert tab.evaluate("model.get('y')") > 0

    def test_what_runs_away_stays_in_its_picture(self, page):
        tab = page(BilinearGame(1.2, steps=200), 390)
        assert shown_numbers(tab)["distance-simultaneous"] > 1e30
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
