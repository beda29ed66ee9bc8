"""The ring's density against its draws, and the count of covered modes on known cases."""

import pytest
import torch

from companion.by_hand import ring


def test_draws_cover_all_modes():
    covered, good = ring.modes_covered(ring.draw(2000, torch.Generator().manual_seed(0)))
    assert covered == 8
    assert good == pytest.approx(0.989, abs=0.01)  # 1 − exp(−3²/2)


def test_points_in_three_modes_cover_three():
    points = ring.centres()[[0, 3, 5]].repeat(400, 1)
    covered, good = ring.modes_covered(points)
    assert (covered, good) == (3, 1)


def test_a_few_points_are_no_mode():
    points = torch.cat([ring.centres()[[1]].repeat(990, 1), ring.centres()[[2]].repeat(10, 1)])
    assert ring.modes_covered(points)[0] == 1


def test_several_clouds_at_once():
    clouds = torch.stack([ring.centres()[[0]].expand(80, 2), torch.zeros(80, 2)])
    covered, good = ring.modes_covered(clouds)
    assert covered.tolist() == [1, 0]
    assert good.tolist() == [1, 0]


def test_the_density_integrates_to_one():
    axis = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    assert ring.density(grid).sum() * float(axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)
