"""Photographs that come inside scikit-learn and scikit-image: fifteen of them, nothing downloaded.

Each is cut to the square in its middle and resized; grey ones get three equal channels. They are
for looking (filters, feature maps, denoising), not for training. Licences and photographers are
named in the two libraries' own notes on their data.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from companion.datasets.folders import square

#: The photographs of each split: scikit-image's for "train", scikit-learn's two for "test".
NAMES: dict[str, tuple[str, ...]] = {
    "train": (
        "astronaut",
        "cat",
        "coffee",
        "rocket",
        "motorcycle",
        "camera",
        "coins",
        "brick",
        "grass",
        "gravel",
        "moon",
        "galaxies",
        "retina",
    ),
    "test": ("china", "flower"),
}
#: Height and width unless others are asked for, in pixels: what networks for ImageNet take.
IMAGE_SIZE = 224


def read(split: str, names: tuple[str, ...], image_size: int = IMAGE_SIZE) -> Tensor:
    """The named photographs of a split: uint8, N×3×H×W with H = W = ``image_size``."""
    read_one = _from_scikit_learn if split == "test" else _from_scikit_image
    photos = [square(Image.fromarray(read_one(name)), image_size) for name in names]
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous()


def _from_scikit_learn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")


def _from_scikit_image(name: str) -> np.ndarray:
    from skimage import data

    if name == "motorcycle":
        left_eye, _, _ = data.stereo_motorcycle()
        return left_eye
    return getattr(data, {"galaxies": "hubble_deep_field"}.get(name, name))()
