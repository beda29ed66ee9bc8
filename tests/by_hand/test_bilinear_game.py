"""What each rule does to the distance from the equilibrium, exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.by_hand.bilinear_game import RULES, trajectory

places = st.tuples(st.floats(-3, 3), st.floats(-3, 3)).filter(lambda p: np.hypot(*p) > 1e-3)
steps = st.floats(0.01, 0.99)


def squared(x, y):
    return x * x + y * y


@given(places, steps)
def test_together_it_grows_by_1_plus_the_square_of_the_step(place, step):
    grown = squared(*RULES["simultaneous"](*place, step))
    assert grown == pytest.approx(squared(*place) * (1 + step**2), rel=1e-9)


@given(places, st.floats(0.01, 1.99))
def test_in_turns_it_stays_on_an_ellipse(place, step):
    def quantity(x, y):
        return x * x - step * x * y + y * y

    after = quantity(*RULES["alternating"](*place, step))
    assert after == pytest.approx(quantity(*place), rel=1e-9)


@given(places, st.floats(0.01, 1.9))
def test_so_it_keeps_within_bounds(place, step):
    path = trajectory("alternating", step, 500, place)
    ratio = (1 + step / 2) / (1 - step / 2)  # of the ellipse's squared axes
    assert squared(*path.T).max() <= squared(*place) * ratio * (1 + 1e-9)
    assert squared(*path.T).min() >= squared(*place) / ratio * (1 - 1e-9)


@given(places, steps)
def test_looking_ahead_it_shrinks(place, step):
    after = squared(*RULES["extra-gradient"](*place, step))
    assert after == pytest.approx(squared(*place) * (1 - step**2 + step**4), rel=1e-9)
    assert after < squared(*place)


def test_a_trajectory_has_its_start():
    path = trajectory("simultaneous", 0.5, 3, (0, 1))
    assert path.shape == (4, 2)
    assert path[:2].tolist() == [[0, 1], [-0.5, 1]]


def test_another_rule_is_refused():
    with pytest.raises(ValueError, match="rule must be one of 'simultaneous', 'alternating', "):
        trajectory("both", 0.1, 3)
