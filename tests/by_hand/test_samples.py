"""Measures of samples on cases whose answer is known."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from companion.by_hand.samples import (
    coverage,
    nearest_is_seen,
    precision,
    reach,
    sharpness,
)


def cloud(n, seed, centre=0.0, dimensions=4):
    generator = torch.Generator().manual_seed(seed)
    return centre + torch.randn(n, dimensions, generator=generator)


def test_the_energy_of_a_step():
    image = torch.zeros(1, 1, 4, 6)
    image[..., 3:] = 0.5
    assert sharpness(image) == pytest.approx(4 * 0.25)


def test_blur_lowers_it_and_noise_raises_it():
    images = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(0)).round()
    noisy = images + 0.3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    assert sharpness(avg_pool2d(images, 3, 1, 1)) < 0.5 * sharpness(images)
    assert sharpness(noisy) > 1.2 * sharpness(images)


def test_balls_on_a_line():
    line = torch.tensor([[0.0], [1.0], [3.0]])
    assert reach(line, 1).tolist() == [1, 1, 2]
    places = torch.tensor([[-1.0], [-1.1], [2.0], [4.9], [5.1]])
    assert precision(line, places, 1) == pytest.approx(3 / 5)
    assert coverage(line, places, 1) == 1
    assert coverage(line, places[1:2], 1) == 0


def test_equal_clouds_agree_and_separate_ones_have_nothing_in_common():
    real, same, far = cloud(400, 0), cloud(400, 1), cloud(400, 2, centre=50)
    assert precision(real, same) == pytest.approx(precision(same, real), abs=0.08)
    # Of equally many from the same density, k nearest of 2k: 1 − (1/2)^k, at most.
    assert coverage(real, same) == pytest.approx(1 - 0.5**3, abs=0.06)
    assert precision(real, far) == coverage(real, far) == 0


def test_one_of_two_clusters_is_precise_and_covers_half():
    real = torch.cat([cloud(200, 0), cloud(200, 1, 50)])
    both = torch.cat([cloud(200, 4), cloud(200, 5, 50)])
    one = cloud(400, 6)
    assert precision(real, one) == pytest.approx(precision(real, both), abs=0.1)
    assert coverage(real, one) <= 0.5


def test_a_thief_is_precise_and_only_the_nearest_tells():
    seen, unseen = cloud(300, 0), cloud(100, 1)
    assert precision(seen, seen) == 1
    assert nearest_is_seen(seen, seen, unseen) == 1
    assert nearest_is_seen(cloud(2000, 2), seen, unseen) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sharpness(torch.zeros(3, 8, 8)), r"images must be N×C×H×W, got \(3, 8, 8\)"),
        (lambda: reach(torch.zeros(4, 2), 4), r"more than k = 4 ≥ 1 points, got \(4, 2\)"),
        (lambda: coverage(torch.zeros(3, 2), torch.zeros(4, 3)), r"in one space.*\(3, 2\)"),
        (
            lambda: nearest_is_seen(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(4, 1)),
            "in one space",
        ),
    ],
)
def test_one_sentence_says_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
