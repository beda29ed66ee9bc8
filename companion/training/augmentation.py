"""Changes to images that keep their meaning (chapter 4): random ones, batch by batch, for training,
and the fixed views of the slide, over which a network's answers are averaged.

`crop_and_flip`, `cutout`, `coarsen`, `mix_digits` and `colour_jitter` return what `fit` takes as
`augment`: a function from float images N×C×H×W, on any device, to changed ones, every image with
draws of its own from PyTorch's global generator. `compose` makes one of several.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from companion.datasets import load_images
from companion.datasets.digits import as_mnist

Augmentation = Callable[[Tensor], Tensor]

#: The slide's a, b and c: how many views each makes of an image.
VIEWS = {"none": 1, "flip": 2, "crop_flip": 10}


def crop_and_flip(
    padding: int = 4, *, flip: bool = True, mode: str = "constant", size: int | None = None
) -> Augmentation:
    """Shift each image by up to `padding` pixels each way, and mirror every other one.

    The shift is a random crop of the image with a frame of `padding` pixels around it: black, or
    what `mode` of `torch.nn.functional.pad` names ("reflect", "replicate"). As in He et al. (2015),
    §4.2, for 32×32 images; the slide's "crop + flip". Turn `flip` off where a mirror image means
    something else (digits). `size` is the side of the crop, the image's own if not given:
    ``crop_and_flip(0, size=224)`` on 256×256 images is what AlexNet was trained with.

    Raises ValueError for a negative padding, an unknown mode, or, when called, a crop larger than
    the framed image.
    """
    if padding < 0:
        raise ValueError(f"padding must be 0 pixels or more, got {padding}")
    if mode not in ("constant", "reflect", "replicate"):
        raise ValueError(f"mode must be 'constant', 'reflect' or 'replicate', got {mode!r}")
    if size is not None and size < 1:
        raise ValueError(f"size must be 1 pixel or more, got {size}")

    def augment(images: Tensor) -> Tensor:
        n, _, height, width = images.shape
        device = images.device
        tall, wide = (height, width) if size is None else (size, size)
        free = height + 2 * padding - tall, width + 2 * padding - wide
        if min(free) < 0:
            raise ValueError(
                f"A crop of {tall}×{wide} does not fit into {height}×{width} pixels with a frame "
                f"of {padding}."
            )
        shifts = [torch.randint(0, way + 1, (n, 1), device=device) for way in free]
        rows = shifts[0] + torch.arange(tall, device=device)
        columns = shifts[1] + torch.arange(wide, device=device)
        if flip:
            mirrored = torch.rand(n, 1, device=device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        framed = F.pad(images, [padding] * 4, mode=mode) if padding else images
        every = torch.arange(n, device=device)
        cut = framed[every[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return cut.permute(0, 3, 1, 2)

    return augment


def cutout(size: int) -> Augmentation:
    """Cover a square of each image with the image's own mean colour.

    The square has `size` pixels a side and its middle anywhere in the image, so that part of it may
    lie outside. What it hides, the network must do without: it learns to look at more than one
    part of a thing. Source: DeVries and Taylor (2017). Raises ValueError for a size below 1.
    """
    if size < 1:
        raise ValueError(f"size must be 1 pixel or more, got {size}")

    def augment(images: Tensor) -> Tensor:
        covered = [
            _stretch(len(images), length, size, images.device) for length in images.shape[2:]
        ]
        square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
        return torch.where(square, images.mean((2, 3), keepdim=True), images)

    return augment


def coarsen(share: float) -> Augmentation:
    """Give a share of MNIST's images the coarseness of scikit-learn's digits.

    Each with probability `share` is averaged to 8×8 numbers, and brought back as
    `companion.datasets.digits.as_mnist` enlarges those. Raises ValueError for a share outside
    [0, 1], or, when called, for images that are not 28×28.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be a number from 0 to 1, got {share}")

    def augment(images: Tensor) -> Tensor:
        if images.shape[2:] != (28, 28):
            raise ValueError(f"coarsen takes images of 28×28, not {tuple(images.shape[2:])}")
        coarse = as_mnist(F.adaptive_avg_pool2d(images[..., 4:24, 4:24], 8))
        chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
        return torch.where(chosen, coarse, images)

    return augment


def mix_digits(share: float) -> Augmentation:
    """Replace a share of MNIST's images by scikit-learn's training digits, as large as MNIST's.

    Each with probability `share`, by one drawn anew and shifted by up to a pixel each way. Raises
    ValueError for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be a number from 0 to 1, got {share}")
    digits = as_mnist(load_images("digits", "train").pixels())
    shift = crop_and_flip(1, flip=False)

    def augment(images: Tensor) -> Tensor:
        drawn = digits[torch.randint(len(digits), (len(images),))].to(images)
        chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
        return torch.where(chosen, shift(drawn), images)

    return augment


def _stretch(n: int, length: int, size: int, device: torch.device) -> Tensor:
    """Which of `length` pixels lie in a stretch of `size` at a random place; bool n×length."""
    first = torch.randint(0, length, (n, 1), device=device) - size // 2
    places = torch.arange(length, device=device)
    return (places >= first) & (places < first + size)


def compose(*changes: Augmentation) -> Augmentation:
    """One augmentation that makes these changes one after another."""

    def augment(images: Tensor) -> Tensor:
        for change in changes:
            images = change(images)
        return images

    return augment


def views(images: Tensor, kind: str = "crop_flip", size: int | None = None) -> Tensor:
    """The slide's views of each image: N×C×H×W → N×V×C×size×size, with V = 1, 2 or 10.

    - "none": the square in the middle;
    - "flip": that and its mirror image;
    - "crop_flip": the four corners and the middle, then the same of the mirrored image, in the
      order of torchvision's `ten_crop`. Krizhevsky et al. (2012), §4.1, average over these.

    `size` is the side of the squares. If not given, it is the shorter side of the image, and for
    "crop_flip" seven eighths of it (the paper's 224 of 256). Raises ValueError for another kind,
    or a size that does not fit.
    """
    if kind not in VIEWS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, VIEWS))}, got {kind!r}")
    height, width = images.shape[-2:]
    side = min(height, width)
    if size is None:
        size = round(side * 7 / 8) if kind == "crop_flip" else side
    if not 1 <= size <= side:
        raise ValueError(f"size must be 1 to {side} for images of {height}×{width}, got {size}")
    right, bottom = width - size, height - size
    middle = (round(bottom / 2), round(right / 2))
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)] if kind == "crop_flip" else []
    sides = [images] if kind == "none" else [images, images.flip(-1)]
    cut = [
        side[..., top : top + size, left : left + size]
        for side in sides
        for top, left in [*corners, middle]
    ]
    return torch.stack(cut, dim=1)


class ColourComponents(NamedTuple):
    """Principal components of the colours of many pixels.

    `variances` are the eigenvalues of the 3×3 covariance of red, green and blue (in [0, 1]), the
    largest first; `directions` are its eigenvectors, one a column, each with a positive sum.
    """

    variances: Tensor
    directions: Tensor


def colour_components(images: Tensor) -> ColourComponents:
    """Which colours vary together over all pixels of N×3×H×W images, uint8 or floats in [0, 1].

    Float64, on the CPU: Apple's GPUs know none. Raises ValueError for images without three
    channels.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"expected images N×3×H×W, got {'×'.join(map(str, images.shape))}")
    scale = 1.0 if images.is_floating_point() else 255.0
    pixels = images.cpu().transpose(0, 1).flatten(1).double() / scale
    variances, directions = torch.linalg.eigh(torch.cov(pixels))
    directions = directions * torch.where(directions.sum(0) < 0, -1.0, 1.0)
    return ColourComponents(variances.flip(0), directions.flip(1))


def shift_colours(images: Tensor, components: ColourComponents, alpha: Tensor) -> Tensor:
    """Add Σ α_k λ_k p_k to every pixel of an image, and cut off what leaves [0, 1].

    `images` are floats N×3×H×W, `alpha` N×3: a number for each image and component.
    Source: Krizhevsky et al. (2012), §4.1.
    """
    shift = (alpha * components.variances) @ components.directions.T
    return (images + shift.to(images)[:, :, None, None]).clamp(0, 1)


def colour_jitter(components: ColourComponents, sigma: float = 0.1) -> Augmentation:
    """Shift the colours of each image along the components, with α ~ N(0, σ²) drawn anew.

    Raises ValueError for a negative sigma.
    """
    if sigma < 0:
        raise ValueError(f"sigma must be 0 or more, got {sigma}")

    def augment(images: Tensor) -> Tensor:
        alpha = sigma * torch.randn(len(images), 3, device=images.device)
        on_device = ColourComponents(*(part.to(alpha) for part in components))
        return shift_colours(images, on_device, alpha)

    return augment
