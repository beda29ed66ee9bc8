"""Crops and flips against the same cuts made one image at a time; cutout against its squares."""

import pytest
import torch
from torch.nn import functional as F

from companion.datasets import load_images
from companion.datasets.digits import as_mnist
from companion.training.augmentation import coarsen, compose, crop_and_flip, cutout, mix_digits


def seeded(n: int = 400) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(n, 3, 8, 10)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("flip", [True, False])
def test_every_image_is_one_of_its_own_crops(mode: str, flip: bool) -> None:
    images = seeded()
    framed = F.pad(images, [2] * 4, mode=mode)
    cut = crop_and_flip(2, flip=flip, mode=mode)(images)
    assert cut.shape == images.shape
    seen = set()
    for original, result in zip(framed, cut, strict=True):
        matches = [
            (row, column, mirrored)
            for row in range(5)
            for column in range(5)
            for mirrored in ((False, True) if flip else (False,))
            if torch.equal(
                result,
                original[:, row : row + 8, column : column + 10].flip(2)
                if mirrored
                else original[:, row : row + 8, column : column + 10],
            )
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == (50 if flip else 25)  # every shift and side occurs among 400 images


def test_nothing_to_do_does_nothing() -> None:
    images = seeded(5)
    assert torch.equal(crop_and_flip(0, flip=False)(images), images)


def test_about_half_are_mirrored() -> None:
    images = seeded(2000)
    mirrored = (crop_and_flip(0)(images) != images).flatten(1).any(1).double().mean().item()
    assert mirrored == pytest.approx(0.5, abs=0.05)


def test_draws_come_from_the_global_generator() -> None:
    images = seeded(20)
    augment = crop_and_flip(3)
    torch.manual_seed(7)
    first = augment(images)
    torch.manual_seed(7)
    assert torch.equal(augment(images), first)
    assert not torch.equal(augment(images), first)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="padding must be 0 pixels or more, got -1"):
        crop_and_flip(-1)
    with pytest.raises(ValueError, match="got 'wrap'"):
        crop_and_flip(2, mode="wrap")
    with pytest.raises(ValueError, match="size must be 1 pixel or more, got 0"):
        cutout(0)


def covered(images: torch.Tensor, size: int) -> torch.Tensor:
    """Which pixels `cutout` changed, N×H×W."""
    return (cutout(size)(images) != images).any(1)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_cutout_covers_one_square_with_the_mean_colour(size: int) -> None:
    images = seeded()
    result = cutout(size)(images)
    hidden = (result != images).any(1)
    middles = set()
    for original, changed, mask in zip(images, result, hidden, strict=True):
        rows, columns = (mask.any(1 - axis).nonzero().flatten().tolist() for axis in (0, 1))
        # One rectangle without gaps, smaller than the square only at the border.
        assert mask.sum() == len(rows) * len(columns)
        for places, length in ((rows, 8), (columns, 10)):
            assert places == list(range(places[0], places[-1] + 1))
            assert len(places) == size or places[0] == 0 or places[-1] == length - 1
        assert torch.allclose(
            changed[:, mask], original.mean((1, 2))[:, None].expand(-1, int(mask.sum()))
        )
        middles.add((rows[-1], columns[-1]))
    assert len(middles) > 20


def test_cutout_is_centred_anywhere() -> None:
    """Each pixel is the middle of as many squares as any other: far from the border, a square of
    3 covers a pixel in 9 of 80 images."""
    share = covered(seeded(8000), 3).double().mean(0)
    assert share[2:6, 2:8] == pytest.approx(torch.full((4, 6), 9 / 80).numpy(), abs=0.02)
    assert share[0, 0] == pytest.approx(4 / 80, abs=0.02)


def test_compose_makes_one_change_after_another() -> None:
    images = seeded(3)
    changed = compose(lambda x: x + 1, lambda x: x * 2)(images)
    assert torch.equal(changed, (images + 1) * 2)
    assert torch.equal(compose()(images), images)


def test_coarse_images_hold_eight_by_eight_numbers() -> None:
    torch.manual_seed(0)
    images = torch.zeros(400, 1, 28, 28)
    images[..., 4:24, 4:24] = torch.rand(400, 1, 20, 20)
    made = coarsen(0.4)(images)
    same = (made == images).flatten(1).all(1)
    assert (~same).float().mean().item() == pytest.approx(0.4, abs=0.08)
    means = F.adaptive_avg_pool2d(images[~same][..., 4:24, 4:24], 8)
    torch.testing.assert_close(made[~same], as_mnist(means))
    assert (made[..., :4, :] == 0).all()
    with pytest.raises(ValueError, match="share must be a number from 0 to 1, got 2"):
        coarsen(2)
    with pytest.raises(ValueError, match="28×28, not"):
        coarsen(0.5)(torch.zeros(1, 1, 8, 8))


def test_some_images_become_training_digits() -> None:
    torch.manual_seed(0)
    images = torch.full((300, 1, 28, 28), 0.5)
    made = mix_digits(0.4)(images)
    drawn = made[(made != images).flatten(1).any(1)]
    assert len(drawn) / 300 == pytest.approx(0.4, abs=0.1)
    digits = as_mnist(load_images("digits", "train").pixels())
    shifted = [digits.roll((i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    nearest = torch.cdist(drawn.flatten(1), torch.cat(shifted).flatten(1)).amin(1)
    assert nearest.max() < 1e-2
    with pytest.raises(ValueError, match="share must be a number from 0 to 1, got -1"):
        mix_digits(-1)
