"""Sprites against the factors they were drawn from; digits; load_images."""

import colorsys
import hashlib
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.datasets import DATASETS, SPLITS, ImageSet, load_images
from companion.datasets.sprites import (
    FACTOR_RANGES,
    FACTORS,
    SHAPES,
    SIDE,
    draw_sprites,
    sample_factors,
)

SQUARE, ELLIPSE, HEART = range(3)
GRID = torch.arange(64, dtype=torch.float64) - 31.5


def draw(**factors: float | Tensor) -> Tensor:
    """Sprites that are large, upright and central but for the given factors."""
    default = {"shape": 0, "hue": 0.0, "scale": 1.0, "rotation": 0.0, "x": 0.0, "y": 0.0}
    return draw_sprites(default | factors)


def coverage(images: Tensor) -> Tensor:
    """How much of each pixel a sprite covers, N×64×64, in [0, 1]: its brightest channel."""
    return images.amax(1).double() / 255


def centre_of_mass(images: Tensor) -> tuple[Tensor, Tensor]:
    mass = coverage(images)
    total = mass.sum((1, 2))
    return (mass.sum(1) * GRID).sum(1) / total, (mass.sum(2) * GRID).sum(1) / total


@pytest.fixture(scope="module")
def sprites() -> ImageSet:
    return load_images("sprites", size=1500, seed=3)


def test_centre_of_mass_is_x_and_y(sprites: ImageSet) -> None:
    assert sprites.factors is not None
    x, y = centre_of_mass(sprites.images)
    assert (x - sprites.factors["x"]).abs().max() < 0.15
    assert (y - sprites.factors["y"]).abs().max() < 0.15
    assert (x - sprites.factors["x"]).square().mean().sqrt() < 0.03


def test_area_is_the_square_of_the_scale_for_every_shape(sprites: ImageSet) -> None:
    assert sprites.factors is not None
    area = coverage(sprites.images).sum((1, 2))
    ratio = area / (SIDE * sprites.factors["scale"]) ** 2
    assert (ratio - 1).abs().max() < 0.015
    for shape in range(len(SHAPES)):
        assert ratio[sprites.factors["shape"] == shape].mean().item() == pytest.approx(1, abs=0.004)


def test_mean_colour_has_the_hue(sprites: ImageSet) -> None:
    assert sprites.factors is not None
    red, green, blue = sprites.images.double().mean((2, 3)).T.tolist()
    hues = [colorsys.rgb_to_hsv(*rgb)[0] for rgb in zip(red, green, blue, strict=True)]
    gap = (torch.tensor(hues) - sprites.factors["hue"] + 0.5).remainder(1) - 0.5
    assert gap.abs().max() < 0.005


def test_hue_is_a_circle() -> None:
    hue = torch.linspace(0, 0.9, 10)
    assert (draw(hue=hue).int() - draw(hue=hue + 1).int()).abs().max() <= 1


@pytest.mark.parametrize(("shape", "turns"), [(SQUARE, 1 / 4), (ELLIPSE, 1 / 2), (HEART, 1)])
def test_rotation_by_the_symmetry_angle_changes_nothing(shape: int, turns: float) -> None:
    angles = torch.linspace(-math.pi / 4, math.pi / 4, 8)[:-1]
    where = {"shape": shape, "x": 1.3, "y": -2.2, "scale": 0.8}
    original = draw(rotation=angles, **where).int()
    again = draw(rotation=angles + 2 * math.pi * turns, **where).int()
    half = draw(rotation=angles + math.pi * turns, **where).int()
    assert (again - original).abs().max() <= 1
    # And it is the smallest such angle: halfway there, the picture is another one.
    assert (half - original).abs().flatten(1).amax(1).min() > 100


def test_within_the_sampled_range_no_two_rotations_look_alike() -> None:
    low, high = FACTOR_RANGES["rotation"]
    angles = torch.linspace(low, high, 9)[:-1]
    for shape in range(len(SHAPES)):
        images = draw(shape=shape, rotation=angles).double().flatten(1)
        gaps = torch.cdist(images, images) + torch.diag(torch.full((8,), math.inf))
        assert gaps.min() > 500


def test_image_moments_give_the_rotation_of_the_ellipse() -> None:
    angles = torch.linspace(-1.5, 1.5, 31)
    mass = coverage(draw(shape=ELLIPSE, rotation=angles, x=2.7, y=-4.1, scale=0.7))
    x, y = centre_of_mass(draw(shape=ELLIPSE, rotation=angles, x=2.7, y=-4.1, scale=0.7))
    dx, dy = GRID - x[:, None], GRID - y[:, None]
    xx = (mass.sum(1) * dx**2).sum(1)
    yy = (mass.sum(2) * dy**2).sum(1)
    xy = torch.einsum("nij,ni,nj->n", mass, dy, dx)
    measured = 0.5 * torch.atan2(2 * xy, xx - yy)
    assert (measured - angles).abs().max() < 0.01


def test_a_heart_stands_on_its_tip_and_leans_clockwise() -> None:
    upright, leaning = coverage(draw(shape=HEART, rotation=torch.tensor([0.0, 0.4])))
    assert torch.equal(upright, upright.flip(1))
    tip, leaning_tip = (GRID[image[lowest_row(image)] > 0] for image in (upright, leaning))
    assert len(tip) <= 4
    # Clockwise as seen, the tip swings from below the centre to the left.
    assert tip.mean() == 0
    assert leaning_tip.mean() < -5


def lowest_row(image: Tensor) -> int:
    return int((image.sum(1) > 0).nonzero().max())


def test_only_edges_have_intermediate_values(sprites: ImageSet) -> None:
    cover = coverage(sprites.images)
    inside = torch.nn.functional.max_pool2d(-cover[:, None], 5, 1, 2)[:, 0] == -1
    outside = torch.nn.functional.max_pool2d(cover[:, None], 5, 1, 2)[:, 0] == 0
    partial = (cover > 0) & (cover < 1)
    # A partly covered pixel has, within two pixels, both full and empty ones.
    assert partial.flatten(1).any(1).all()
    assert not (partial & (inside | outside)).any()
    full = torch.nn.functional.max_pool2d(cover[:, None], 5, 1, 2)[:, 0] == 1
    empty = torch.nn.functional.max_pool2d(-cover[:, None], 5, 1, 2)[:, 0] == 0
    assert (partial & full & empty).sum() > 0.97 * partial.sum()


@pytest.mark.parametrize("shape", range(3), ids=SHAPES)
def test_shifts_below_a_pixel_hardly_change_the_mass(shape: int) -> None:
    shift = torch.linspace(0, 1, 33)
    for rotation in (0.0, 0.3):
        images = draw(shape=shape, rotation=rotation, x=shift, y=0.37 * shift, scale=0.6)
        mass = coverage(images).sum((1, 2))
        assert (mass.max() - mass.min()) / mass.mean() < 0.015
        # Hard edges would jump by whole pixels: the picture must follow every small step.
        assert (images[1:] != images[:-1]).flatten(1).any(1).all()


def test_factors_fill_their_ranges_evenly_and_independently() -> None:
    factors = sample_factors(20_000, seed=5)
    assert tuple(factors) == FACTORS
    assert torch.bincount(factors["shape"]).tolist() == pytest.approx([20_000 / 3] * 3, rel=0.05)
    for name, (low, high) in FACTOR_RANGES.items():
        values = factors[name]
        assert low <= values.min()
        assert values.max() <= high
        histogram = torch.histc(values, 10, low, high)
        assert histogram.tolist() == pytest.approx([2000.0] * 10, rel=0.1)
    columns = torch.stack([factors[name].double() for name in FACTORS])
    assert (torch.corrcoef(columns) - torch.eye(len(FACTORS))).abs().max() < 0.03


def test_the_whole_sprite_is_in_the_image(sprites: ImageSet) -> None:
    cover = coverage(sprites.images)
    assert not cover[:, [0, -1]].any()
    assert not cover[:, :, [0, -1]].any()


def test_same_seed_same_sprites_and_a_smaller_set_is_the_beginning_of_a_larger() -> None:
    small, large = (load_images("sprites", size=n, seed=1) for n in (40, 90))
    assert torch.equal(small.images, large.images[:40])
    assert small.factors is not None
    assert large.factors is not None
    for name in FACTORS:
        assert torch.equal(small.factors[name], large.factors[name][:40])
    assert not torch.equal(small.images, load_images("sprites", size=40, seed=2).images)


def test_a_sprite_does_not_depend_on_its_neighbours() -> None:
    factors = sample_factors(700, seed=9)
    alone = draw_sprites({name: value[650:651] for name, value in factors.items()})
    assert torch.equal(alone, draw_sprites(factors)[650:651])


def test_no_sprite_is_in_two_splits_or_seeds() -> None:
    sets = [load_images("sprites", split, 500, seed) for split in SPLITS for seed in (0, 1, 2)]
    images = torch.cat([data.images for data in sets])
    assert len(images.flatten(1).unique(dim=0)) == len(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": 3}, "0, 1 or 2"),
        ({"shape": 0.5}, "0, 1 or 2"),
        ({"scale": 0.0}, "scale must be positive, got 0"),
        ({"x": math.nan}, "x must be finite"),
        ({"x": torch.zeros(2), "y": torch.zeros(3)}, "'x': 2, 'y': 3"),
        ({"colour": 0.0}, "exactly the factors shape, hue, scale, rotation, x, y"),
    ],
    ids=str,
)
def test_impossible_factors_are_refused(change: dict[str, float | Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(**change)


def test_a_missing_factor_and_a_negative_number_of_sprites_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly the factors"):
        draw_sprites({"shape": 0, "hue": 0.5})
    with pytest.raises(ValueError, match="0 or more, got -1"):
        sample_factors(-1)


def test_digits_are_scikit_learns_in_a_stratified_split() -> None:
    from sklearn.datasets import load_digits

    original = torch.from_numpy(load_digits().images)
    train, test = load_images("digits"), load_images("digits", "test")
    both = torch.cat([train.images, test.images])[:, 0]
    assert both.shape == (1797, 8, 8)
    restored = (both.double() / 255 * 16).round()
    assert sorted(restored.flatten(1).tolist()) == sorted(original.flatten(1).tolist())
    assert train.images.min() == 0
    assert train.images.max() == 255
    assert train.labels is not None
    assert test.labels is not None
    share = torch.bincount(test.labels) / torch.bincount(torch.cat([train.labels, test.labels]))
    assert (share - 0.2).abs().max() < 0.005


def test_labels_belong_to_their_images() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {
        tuple(image.flatten().tolist()): int(label)
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    data = load_images("digits", seed=4)
    for image, label in (data[i] for i in range(len(data))):
        assert known[tuple((image.double() / 255 * 16).round().flatten().tolist())] == label


def test_the_seed_orders_digits_but_does_not_change_the_split() -> None:
    a, b = load_images("digits", "test", seed=0), load_images("digits", "test", seed=1)
    assert not torch.equal(a.images, b.images)
    assert sorted(a.images.flatten(1).tolist()) == sorted(b.images.flatten(1).tolist())
    assert torch.equal(load_images("digits", "test", 20).images, a.images[:20])


@pytest.mark.parametrize("name", [name for name, source in DATASETS.items() if source.embedded])
@pytest.mark.parametrize("split", SPLITS)
def test_every_set_keeps_the_contract(name: str, split: str) -> None:
    size = min(60, DATASETS[name].largest[split])
    data = load_images(name, split, size=size)
    assert (data.name, data.split, len(data)) == (name, split, size)
    assert data.images.dtype == torch.uint8
    assert data.images.shape[1:] == data.image_shape
    assert data.pixels().dtype == torch.float32
    assert 0.9 < data.pixels().max() <= 1
    assert torch.equal((data.pixels() * 255).round().to(torch.uint8), data.images)
    assert (data.labels is None) == (not data.class_names)
    if data.labels is not None:
        assert data.labels.dtype == torch.int64
        assert int(data.labels.max()) < len(data.class_names)
    for part in (f"{name}, {split}", str(size), *data.class_names, *(data.factors or {})):
        assert part in data.describe()


def test_indexing() -> None:
    data = load_images("sprites", size=10)
    assert data.labels is not None
    assert data.factors is not None
    image, label = data[4]
    assert torch.equal(image, data.images[4])
    assert label == data.labels[4]
    for place in (np.int64(4), torch.tensor(4)):
        assert torch.equal(data[place][0], image)  # type: ignore[call-overload]
    assert len(data[torch.tensor([4])]) == 1
    rows = torch.tensor([7, 1])
    for part, expected in ((data[2:5], range(2, 5)), (data[rows], [7, 1]), (data[[7, 1]], [7, 1])):
        assert isinstance(part, ImageSet)
        assert len(part) == len(expected)
        assert torch.equal(part.images, data.images[list(expected)])
        assert part.factors is not None
        assert torch.equal(part.factors["x"], data.factors["x"][list(expected)])
    bare = ImageSet("bare", "train", data.images)
    assert bare[0][1] is None
    assert bare[:3].factors is None
    assert "10" in bare.describe()


def test_digits_and_sprites_are_what_the_shipped_weights_were_trained_on() -> None:
    # SHA-256 of the first hundred images and labels, recorded before other sets joined these two.
    known = {
        "digits": "59fe0f53ade39c4fbb35b34f36e59a9edd167b4cea883d544e246168a822688d",
        "sprites": "62d00161a17593e5f589c262ecad5010df70768714dd805f2adf319ffc05537f",
    }
    for name, expected in known.items():
        data = load_images(name, size=100, seed=1)
        assert data.labels is not None
        content = data.images.numpy().tobytes() + data.labels.numpy().tobytes()
        assert hashlib.sha256(content).hexdigest() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnst",), "no data set 'mnst'; there are 'chairs', 'cifar10', 'digits'"),
        (("digits", "valid"), "no split 'valid' of digits; there are 'test', 'train'"),
        (("digits", "test", 500), "1 to 355 images, size=500"),
        (("sprites", "train", 10**7), "1 to 100,000 images, size=10,000,000"),
        (("digits", "train", 0), "size=0"),
        (("photos", "test", 3), "1 to 2 images, size=3"),
        (("sprites", "train", 5, 0, 32), "image_size is for photos and folders; the images of spr"),
        (("photos", "train", 5, 0, 4), "image_size must be 8 to 1,024 pixels, got 4"),
    ],
    ids=str,
)
def test_what_does_not_exist_is_named(
    arguments: tuple[str, str, int, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_images(*arguments)
