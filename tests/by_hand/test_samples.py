"""Measures of samples on cases whose answer is known."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from companion.by_hand.samples import near, nearest_is_seen, precision_recall, sharpness


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
    line = torch.tensor([[0.0], [1.0], [3.0]])  # reach 1, 1 and 2 with k = 1
    places = torch.tensor([[-1.0], [-1.1], [2.0], [4.9], [5.1]])
    assert near(places, line, 1).tolist() == [True, False, True, True, False]


def test_equal_clouds_agree_and_separate_ones_have_nothing_in_common():
    real, held_out = cloud(400, 0), cloud(400, 1)
    same = precision_recall(real, cloud(400, 2), held_out)
    assert same.precision == pytest.approx(same.recall, abs=0.08)
    assert same.precision > 0.6
    assert precision_recall(real, cloud(400, 2, centre=50), held_out) == (0, 0)


def test_one_of_two_clusters_is_precise_and_recalls_half():
    real = torch.cat([cloud(200, 0), cloud(200, 1, 50)])
    held_out = torch.cat([cloud(200, 2), cloud(200, 3, 50)])
    both = precision_recall(real, torch.cat([cloud(200, 4), cloud(200, 5, 50)]), held_out)
    one = precision_recall(real, cloud(400, 6), held_out)
    assert one.precision == pytest.approx(both.precision, abs=0.1)
    assert one.recall == pytest.approx(both.recall / 2, abs=0.1)


def test_a_thief_is_precise_and_only_the_nearest_tells():
    seen, unseen = cloud(300, 0), cloud(100, 1)
    assert precision_recall(seen, seen, unseen).precision == 1
    assert nearest_is_seen(seen, seen, unseen) == 1
    assert nearest_is_seen(cloud(2000, 2), seen, unseen) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sharpness(torch.zeros(3, 8, 8)), r"images must be N×C×H×W, got \(3, 8, 8\)"),
        (lambda: near(torch.zeros(3, 2), torch.zeros(4, 2), 4), "k must be 1 to 3.*got 4"),
        (lambda: near(torch.zeros(3, 2), torch.zeros(4, 3)), r"in one space, got shapes \(3, 2\)"),
        (
            lambda: nearest_is_seen(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(4, 1)),
            "in one space",
        ),
    ],
)
def test_one_sentence_says_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
