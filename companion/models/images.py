"""What networks that make images have in common: refusals of wrong input, the squared error."""

from collections.abc import Sequence

import torch
from torch import Tensor

from companion.models.autoencoder import ImageShape


def image_shape_of(sizes: Sequence[int]) -> ImageShape:
    """(C, H, W) as a tuple. Raises ValueError unless it is three positive integers."""
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(
            f"image_shape must be three positive integers (C, H, W), got {tuple(sizes)}."
        )
    channels, height, width = sizes
    return channels, height, width


def check_at_least_1(**counts: int) -> None:
    """Raise a ValueError that names the first of these settings that is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}.")


def check_images(x: Tensor, image_shape: ImageShape | None = None) -> None:
    """Raise ValueError unless x is a batch of floating-point images N×C×H×W, of that shape."""
    fits = x.ndim == 4 and image_shape in (None, tuple(x.shape[1:]))
    if not fits:
        wanted = "C×H×W" if image_shape is None else by(image_shape)
        raise ValueError(f"Expected images of shape N×{wanted}, got {by(x.shape)}.")
    if not x.is_floating_point():
        raise ValueError(
            f"Expected images as floating-point numbers in [0, 1], got {x.dtype}: "
            "convert with x.float() / 255."
        )


def check_codes(z: Tensor, latent_dim: int) -> None:
    """Raise ValueError unless z is a batch of codes N×latent_dim."""
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"Expected codes of shape N×{latent_dim}, got {by(z.shape)}.")


def reconstruction_error(x: Tensor, x_hat: Tensor, where: Tensor | None = None) -> Tensor:
    """‖x − x̂‖²: summed over the pixels of an image, averaged over the images; a scalar.

    `where`, boolean N×1×H×W or N×C×H×W, restricts the sum to the pixels that it marks. Where
    autocast has made x̂ bf16 or fp16, with too few digits for sums over all pixels, the number
    format of x counts. Raises ValueError if the two differ in shape, and TypeError if the network
    returned something else than images.
    """
    if not isinstance(x_hat, Tensor):
        raise TypeError(
            "The squared error is between images and their reconstructions as tensors, but the "
            f"network returned {type(x_hat).__name__}."
        )
    if x.shape != x_hat.shape:
        raise ValueError(
            "The images and their reconstructions must have one shape, "
            f"got {by(x.shape)} and {by(x_hat.shape)}."
        )
    error = (x - x_hat).square()
    if where is not None:
        error = error * where
    return error.flatten(1).sum(1).mean()


def by(sizes: Sequence[int] | torch.Size) -> str:
    """A shape for people: '2×3×8×8'."""
    return "×".join(map(str, sizes))
