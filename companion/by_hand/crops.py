"""How a photograph of any size becomes the square that a network takes (chapters 3 and 4).

Images are C×H×W tensors, uint8 or floats; what comes back has the same type. The functions agree
with torchvision's transforms of the same purpose, which is what the tests compare them with.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from companion.datasets import ImageSet


def resize_shorter(image: Tensor, side: int = 256) -> Tensor:
    """Scale the image so that its shorter side has `side` pixels; its proportions stay.

    Bilinear, smoothed where it shrinks (antialiased). Raises ValueError for a side below 1.
    """
    _check(image)
    if side < 1:
        raise ValueError(f"side must be at least 1 pixel, got {side}")
    height, width = image.shape[1:]
    short = min(height, width)
    size = [side * height // short, side * width // short]
    floats = image if image.is_floating_point() else image.float()
    scaled = interpolate(floats[None], size, mode="bilinear", antialias=True)[0]
    return scaled if image.is_floating_point() else scaled.round().clamp(0, 255).to(image.dtype)


def centre_crop(image: Tensor, size: int = 224) -> Tensor:
    """The size×size square in the middle. Raises ValueError if the image is smaller than that."""
    top, left = (round((length - size) / 2) for length in _check(image, size))
    return image[:, top : top + size, left : left + size]


def ten_crop(image: Tensor, size: int = 224) -> Tensor:
    """The four corners and the centre, then the same five of the mirror image: 10×C×size×size.

    Raises ValueError if the image is smaller than that. Source: Krizhevsky et al. (2012), §4.1.
    """
    height, width = _check(image, size)

    def five(whole: Tensor) -> list[Tensor]:
        corners = [(0, 0), (0, width - size), (height - size, 0), (height - size, width - size)]
        cut = [whole[:, top : top + size, left : left + size] for top, left in corners]
        return [*cut, centre_crop(whole, size)]

    return torch.stack(five(image) + five(image.flip(2)))


def random_crops(image: Tensor, size: int, count: int, seed: int = 0) -> Tensor:
    """`count` squares at random places: count×C×size×size, always the same for one seed.

    Raises ValueError if the image is smaller than that.
    """
    room = [length - size + 1 for length in _check(image, size)]
    generator = torch.Generator().manual_seed(seed)
    tops, lefts = (torch.randint(n, (count,), generator=generator).tolist() for n in room)
    places = zip(tops, lefts, strict=True)
    return torch.stack([image[:, top : top + size, left : left + size] for top, left in places])


def pieces(photos: ImageSet, columns: slice, size: int, count: int, seed: int = 0) -> ImageSet:
    """`count` random size×size squares from these columns of each image, labelled with its place.

    The classes are those of `photos`, one for each image; the i-th image's squares are those of
    `random_crops` with the seed `seed` + i. Raises ValueError where a square does not fit, or the
    images have no names of their own.
    """
    if len(photos.class_names) != len(photos):
        raise ValueError(
            f"expected a class name for each of the {len(photos)} images, got "
            f"{len(photos.class_names)}"
        )
    parts = enumerate(photos.images[..., columns])
    cut = [random_crops(part, size, count, seed + i) for i, part in parts]
    labels = torch.arange(len(photos)).repeat_interleave(count)
    name = f"pieces of {photos.name}"
    return ImageSet(name, photos.split, torch.cat(cut), labels, photos.class_names)


def _check(image: Tensor, size: int = 1) -> tuple[int, int]:
    """Height and width of an image that is at least size×size."""
    if image.ndim != 3:
        raise ValueError(f"expected one image C×H×W, got the shape {tuple(image.shape)}")
    height, width = image.shape[1:]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"a crop of {size}×{size} does not fit into {height}×{width} pixels")
    return height, width
