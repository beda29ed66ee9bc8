"""Crops by hand against torchvision's transforms."""

import pytest
import torch

from companion.by_hand.crops import centre_crop, pieces, random_crops, resize_shorter, ten_crop
from companion.datasets import ImageSet
from companion.library import torchvision  # noqa: F401  (loads beside any torch)

# isort: split
from torchvision.transforms import v2


def image(height, width, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=g, dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(40, 61), (61, 40), (40, 40), (33, 97)])
@pytest.mark.parametrize("side", [24, 40, 50])
def test_resize_is_torchvisions(height, width, side):
    x = image(height, width)
    ours, theirs = resize_shorter(x, side), v2.Resize(side)(x)
    assert ours.shape == theirs.shape
    assert (ours.int() - theirs.int()).abs().max() <= 1  # its uint8 path rounds in between
    floats = x.float() / 255
    torch.testing.assert_close(resize_shorter(floats, side), v2.Resize(side)(floats))


@pytest.mark.parametrize(("height", "width"), [(40, 61), (41, 60), (32, 32)])
@pytest.mark.parametrize("size", [32, 27])
def test_crops_are_torchvisions(height, width, size):
    x = image(height, width)
    assert torch.equal(centre_crop(x, size), v2.CenterCrop(size)(x))
    assert torch.equal(ten_crop(x, size), torch.stack(v2.TenCrop(size)(x)))


def test_random_crops_come_from_the_image_and_repeat():
    x = torch.arange(12 * 20).reshape(1, 12, 20)
    crops = random_crops(x, 8, 50, seed=3)
    assert crops.shape == (50, 1, 8, 8)
    corners = crops[:, 0, 0, 0]
    for crop, corner in zip(crops, corners.tolist(), strict=True):
        top, left = divmod(corner, 20)
        assert torch.equal(crop, x[:, top : top + 8, left : left + 8])
    assert len(corners.unique()) > 25
    assert torch.equal(crops, random_crops(x, 8, 50, seed=3))
    assert not torch.equal(crops, random_crops(x, 8, 50, seed=4))


def test_pieces_come_from_their_columns_and_name_their_image():
    whole = torch.stack([torch.full((1, 10, 20), 100 * n) for n in range(2)])
    whole = (whole + torch.arange(20)).byte()  # a pixel's value is its image and its column
    photos = ImageSet("photos", "train", whole, torch.arange(2), ("a", "b"))
    for columns in (slice(0, 10), slice(10, 20)):
        cut = pieces(photos, columns, size=4, count=30, seed=1)
        assert (cut.images.shape, cut.class_names) == ((60, 1, 4, 4), ("a", "b"))
        assert torch.equal(cut.images[:, 0, 0, 0] // 100, cut.labels.byte())
        inside = cut.images % 100
        assert columns.start <= inside.min() < inside.max() < columns.stop
    again = pieces(photos, slice(10, 20), size=4, count=30, seed=1)
    assert torch.equal(cut.images, again.images)
    with pytest.raises(ValueError, match="a class name for each of the 2 images, got 1"):
        pieces(ImageSet("x", "train", whole, class_names=("a",)), slice(0, 10), 4, 1)


@pytest.mark.parametrize("crop", [centre_crop, ten_crop, lambda x, s: random_crops(x, s, 2)])
def test_what_does_not_fit_is_refused(crop):
    with pytest.raises(ValueError, match="a crop of 30×30 does not fit into 20×40 pixels"):
        crop(image(20, 40), 30)
    with pytest.raises(ValueError, match="expected one image C×H×W"):
        crop(image(20, 40)[None], 10)


def test_side_must_be_positive():
    with pytest.raises(ValueError, match="side must be at least 1 pixel"):
        resize_shorter(image(8, 8), 0)
