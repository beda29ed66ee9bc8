"""Crops and flips against the same cuts made one image at a time."""

import pytest
import torch
from torch.nn import functional as F

from companion.augmentation import crop_and_flip


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
