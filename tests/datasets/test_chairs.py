"""Chairs against the factors they were drawn from."""

import colorsys
import itertools
import math

import pytest
import torch
from torch import Tensor

from companion.datasets import SPLITS, ImageSet, load_images
from companion.datasets import chairs as chairs_module
from companion.datasets.chairs import FACTOR_RANGES, FACTORS, draw_chairs, sample_factors


def draw(**factors: float | Tensor) -> Tensor:
    """A middling chair seen from the front, but for the given factors."""
    default = {
        "azimuth": 0.0,
        "elevation": 0.3,
        "leg_height": 0.4,
        "back_height": 0.4,
        "seat_width": 0.5,
        "hue": 0.6,
    }
    return draw_chairs(default | factors)


def colour(images: Tensor) -> Tensor:
    """How colourful each pixel is, N×64×64: the floor, its shadow and the background are grey."""
    return (images.amax(1).int() - images.amin(1).int()).double()


def extent(images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First and last row, first and last column with some chair in it."""
    chair = colour(images) > 8
    rows, columns = chair.any(2).int(), chair.any(1).int()
    last = images.shape[2] - 1
    return (
        rows.argmax(1),
        last - rows.flip(1).argmax(1),
        columns.argmax(1),
        last - columns.flip(1).argmax(1),
    )


def row_of(y: float, z: float, elevation: float) -> float:
    """Where the camera in front of a chair sees the height y at the depth z: pixel row."""
    height, away = y - 0.58, 3.6
    up = height * math.cos(elevation) - z * math.sin(elevation)
    towards = height * math.sin(elevation) + z * math.cos(elevation)
    return 32 - 32 * up / 0.78 * away / (away - towards)


@pytest.fixture(scope="module")
def chairs() -> ImageSet:
    return load_images("chairs", size=120, seed=3)


def test_mean_colour_has_the_hue(chairs: ImageSet) -> None:
    assert chairs.factors is not None
    red, green, blue = chairs.images.double().mean((2, 3)).T.tolist()
    hues = [colorsys.rgb_to_hsv(*rgb)[0] for rgb in zip(red, green, blue, strict=True)]
    gap = (torch.tensor(hues) - chairs.factors["hue"] + 0.5).remainder(1) - 0.5
    assert gap.abs().max() < 0.01


def test_hue_is_a_circle() -> None:
    hue = torch.linspace(0, 0.8, 5)
    assert (draw(hue=hue).int() - draw(hue=hue + 1).int()).abs().max() <= 1


def test_a_full_turn_around_the_chair_changes_nothing_and_half_a_turn_does() -> None:
    azimuth = torch.tensor([-1.4, -0.5, 0.1, 1.2])
    once = draw(azimuth=azimuth).double()
    again = draw(azimuth=azimuth + 2 * math.pi).double()
    behind = draw(azimuth=azimuth + math.pi).double()
    # Single rays at an edge may fall to either side of it, no more.
    assert (again - once).abs().mean() < 0.02
    assert (behind - once).abs().mean((1, 2, 3)).min() > 4


def test_from_the_other_side_the_outline_is_the_mirror_image() -> None:
    azimuth = torch.tensor([0.0, 0.3, 0.9, 1.5])
    one = colour(draw(azimuth=azimuth)) > 0
    other = colour(draw(azimuth=-azimuth)).flip(2) > 0
    assert (one != other).double().mean() < 0.002
    assert (one != other.flip(2)).double().mean((1, 2))[1:].min() > 0.03


def test_positive_azimuth_looks_from_the_images_right() -> None:
    # Seen from the chair's left hand, its front points to the image's left, its back to the right.
    seat_to_the_left = draw(azimuth=math.pi / 2)
    chair = colour(seat_to_the_left)[0] > 8
    top = chair[: int(chair.any(1).int().argmax()) + 6]
    assert top.any(0).nonzero().double().mean() > chair.any(0).nonzero().double().mean() + 5


@pytest.mark.parametrize("elevation", [0.15, 0.4, 0.7])
@pytest.mark.parametrize(("legs", "back"), [(0.3, 0.5), (0.5, 0.3), (0.5, 0.6)])
def test_top_and_feet_are_where_geometry_puts_them(
    elevation: float, legs: float, back: float
) -> None:
    image = draw(elevation=elevation, leg_height=legs, back_height=back)
    top, bottom, _, _ = (value.item() for value in extent(image))
    # The upper edge of the back, which leans backwards, and the front feet.
    assert top == pytest.approx(row_of(legs + back, -0.19 - 0.22 * back, elevation), abs=1.5)
    assert bottom + 1 == pytest.approx(row_of(0.0, 0.22, elevation), abs=1.5)


def test_a_higher_back_raises_the_top_and_nothing_else() -> None:
    images = draw(back_height=torch.linspace(0.25, 0.6, 8))
    top, bottom, left, right = extent(images)
    assert (top[1:] < top[:-1]).all()
    for unchanged in (bottom, left, right):
        assert len(unchanged.unique()) == 1
    assert torch.equal(colour(images)[0, 48:] > 8, colour(images)[-1, 48:] > 8)


def test_longer_legs_lift_the_whole_chair() -> None:
    top, bottom, _, _ = extent(draw(leg_height=torch.tensor([0.25, 0.35, 0.45, 0.55])))
    assert len(bottom.unique()) == 1
    assert (top[1:] < top[:-1]).all()


def test_a_wider_seat_makes_a_wider_chair() -> None:
    width = torch.linspace(0.36, 0.66, 12)
    images = draw(seat_width=width, elevation=0.2)
    _, _, left, right = extent(images)
    pixels = (right - left + 1).double()
    # The seat's front edge is 0.2 m nearer than the middle, where a metre has 32 / 0.78 pixels.
    expected = width.double() * 32 / 0.78 * 3.6 / 3.4
    assert (pixels - expected).abs().max() < 2
    area = (colour(images) > 8).sum((1, 2))[::3]
    assert (area[1:] > area[:-1]).all()


def test_a_higher_camera_sees_more_of_the_seat() -> None:
    rows = [colour(draw(elevation=e, back_height=0.25))[0, :, 32] > 8 for e in (0.15, 0.45, 0.8)]
    seen = [int(row.sum()) for row in rows]
    assert seen == sorted(set(seen))


def test_a_pixel_is_the_mean_over_its_area(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = draw(azimuth=0.5).double()
    monkeypatch.setattr(chairs_module, "IMAGE_SIZE", 256)
    fine = torch.nn.functional.avg_pool2d(draw(azimuth=0.5).double(), 4)
    # A single ray through each pixel's middle is 1.9 and 137 off.
    assert (coarse - fine).abs().mean() < 0.6
    assert (coarse - fine).abs().max() < 70


def test_the_back_throws_its_shadow_on_the_seat() -> None:
    # From the chair's right, with the lamp over the back: the middle row of the seat, which is
    # flat, is dark near the back (left) and bright in front.
    image = draw(azimuth=-math.pi / 2, elevation=0.8, back_height=0.6)[0].amax(0).double()
    row = round(32 - 32 * (0.4 - 0.58) * math.cos(0.8) / 0.78)
    near_the_back, in_front = image[row, 26:29].mean(), image[row, 36:39].mean()
    assert near_the_back < 0.85 * in_front


def test_the_chair_is_shaded_and_throws_a_shadow() -> None:
    image = draw(azimuth=0.6)[0].double()
    chair = colour(image[None].to(torch.uint8))[0] > 8
    brightest = image.amax(0)
    inside = brightest[chair]
    assert inside.quantile(0.9) > 1.5 * inside.quantile(0.1)
    floor = brightest[~chair]
    assert floor.max() == 237
    assert floor.min() < 200
    # The shadow is at its feet, not in the sky.
    assert (brightest[:8] == 237).all()


def test_the_whole_chair_is_in_the_image() -> None:
    ranges = [FACTOR_RANGES[name] for name in FACTORS[1:5]]
    corners = torch.tensor(list(itertools.product((-1.57, -0.8, 0.0, 0.8, 1.57), *ranges)))
    images = draw(**dict(zip(FACTORS[:5], corners.T, strict=True)))
    chair = colour(images) > 8
    assert not chair[:, [0, -1]].any()
    assert not chair[:, :, [0, -1]].any()


def test_factors_fill_their_ranges_evenly_and_independently() -> None:
    factors = sample_factors(20_000, seed=5)
    assert tuple(factors) == FACTORS
    for name, (low, high) in FACTOR_RANGES.items():
        assert low <= factors[name].min()
        assert factors[name].max() <= high
        histogram = torch.histc(factors[name], 10, low, high)
        assert histogram.tolist() == pytest.approx([2000.0] * 10, rel=0.1)
    columns = torch.stack([factors[name].double() for name in FACTORS])
    assert (torch.corrcoef(columns) - torch.eye(len(FACTORS))).abs().max() < 0.03


def test_same_seed_same_chairs_and_a_smaller_set_is_the_beginning_of_a_larger() -> None:
    small, large = (load_images("chairs", size=n, seed=1) for n in (5, 21))
    assert torch.equal(small.images, large.images[:5])
    assert small.factors is not None
    assert large.factors is not None
    for name in FACTORS:
        assert torch.equal(small.factors[name], large.factors[name][:5])
    assert not torch.equal(small.images, load_images("chairs", size=5, seed=2).images)


def test_a_chair_does_not_depend_on_its_neighbours(chairs: ImageSet) -> None:
    assert chairs.factors is not None
    alone = draw_chairs({name: value[77:78] for name, value in chairs.factors.items()})
    assert torch.equal(alone, chairs.images[77:78])


@pytest.mark.slow
def test_no_chair_is_in_two_splits_or_seeds() -> None:
    sets = [load_images("chairs", split, 20, seed) for split in SPLITS for seed in (0, 1, 2)]
    images = torch.cat([data.images for data in sets])
    assert len(images.flatten(1).unique(dim=0)) == len(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seat_width": 0.0}, "seat_width must be positive, got 0"),
        ({"elevation": 1.7}, "less than π/2 radians, got 1.7 to 1.7"),
        ({"elevation": -0.1}, "at least 0"),
        ({"hue": math.nan}, "hue must be finite"),
        ({"hue": torch.zeros(2), "azimuth": torch.zeros(3)}, "'azimuth': 3"),
        ({"colour": 0.0}, "exactly the factors azimuth, elevation"),
    ],
    ids=str,
)
def test_impossible_factors_are_refused(change: dict[str, float | Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(**change)


def test_a_negative_number_of_chairs_is_refused_and_none_is_possible() -> None:
    with pytest.raises(ValueError, match="0 or more, got -1"):
        sample_factors(-1)
    assert draw_chairs(sample_factors(0)).shape == (0, 3, 64, 64)
