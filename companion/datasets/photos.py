"""Photographs that come inside scikit-learn and scikit-image: fifteen of them, nothing downloaded.

Each is cut to the square in its middle and resized; grey ones get three equal channels. They are
for looking (filters, feature maps, denoising), not for training. Licences and photographers are
named in the two libraries' own notes on their data.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from companion.datasets.folders import square, square_of

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


def read_photograph(file: str | Path, image_size: int = IMAGE_SIZE) -> Tensor:
    """A photograph of the reader's own: uint8, 3×H×W with H = W = ``image_size``.

    Turned upright, its middle square cut out and resized (:func:`companion.datasets.folders.square`
    says how); one that has this size is taken as it is. A page of the book cuts the same square
    (js/ui/pictures.js), but decodes JPEG and resizes by the browser's own code.

    Raises ValueError, in one sentence, for a file that is not there or is no picture that Pillow
    reads, one that is damaged, and one of more than 100 million pixels.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        pixels = square_of(path, image_size)
    except Exception as error:  # Pillow reports a damaged file by errors of a dozen types.
        why = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, UnidentifiedImageError):
            why = "it is no picture"
        raise ValueError(f"{path.name} could not be read as a picture: {why}.") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()


def _from_scikit_learn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")


def _from_scikit_image(name: str) -> np.ndarray:
    from skimage import data

    if name == "motorcycle":
        left_eye, _, _ = data.stereo_motorcycle()
        return left_eye
    return getattr(data, {"galaxies": "hubble_deep_field"}.get(name, name))()
