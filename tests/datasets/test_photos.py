"""The photographs that come inside scikit-learn and scikit-image."""

import numpy as np
import pytest
import torch
from PIL import Image

from companion.datasets import load_images
from companion.datasets.photos import NAMES


@pytest.mark.parametrize(("split", "n"), [("train", 13), ("test", 2)])
def test_every_photo_is_there_by_name(split: str, n: int) -> None:
    data = load_images("photos", split)
    assert data.images.shape == (n, 3, 224, 224)
    assert data.images.dtype == torch.uint8
    assert data.class_names == NAMES[split]
    assert data.labels is not None
    assert data.labels.tolist() == list(range(n))
    # So many pictures, not one so many times, and none of them flat.
    assert data.images.double().std((1, 2, 3)).min() > 10
    assert len(data.images.flatten(1).unique(dim=0)) == n


def test_a_photo_is_the_middle_of_the_original() -> None:
    from sklearn.datasets import load_sample_image

    original = load_sample_image("flower.jpg")  # 427×640
    middle = Image.fromarray(original[:, 106:533])
    expected = np.asarray(middle.resize((96, 96), Image.Resampling.LANCZOS)).astype(float)
    data = load_images("photos", "test", image_size=96)
    image = data.images[data.class_names.index("flower")].permute(1, 2, 0).double().numpy()
    assert np.abs(image - expected).mean() < 1.5


def test_grey_photos_have_three_equal_channels() -> None:
    data = load_images("photos")
    grey = data.images[data.class_names.index("camera")]
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    cat = data.images[data.class_names.index("cat")].double().mean((1, 2))
    assert cat[0] > cat[2] + 20


def test_the_order_is_fixed_and_a_smaller_set_its_beginning() -> None:
    few = load_images("photos", size=3, seed=9)
    assert few.class_names == ("astronaut", "cat", "coffee")
    assert torch.equal(few.images, load_images("photos").images[:3])
