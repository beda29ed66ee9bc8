"""What denoising and inpainting autoencoders train on: images with noise or holes, and the losses.

Both are ordinary autoencoders from images to images (`ConvAutoencoder`, `DenseAutoencoder`), with
damaged images as input and the undamaged ones as target. Images are floats N×C×H×W in [0, 1].
Chapter 10; Vincent et al. (2008) for denoising, Pathak et al. (2016) for inpainting.

Everything random is drawn on the images' device from `generator`, or from PyTorch's global one if
that is None. The losses use the global one, since `fit` seeds it, for the validation set anew each
time.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from companion.models.images import by, check_images, reconstruction_error

ImageLoss = Callable[[nn.Module, Tensor, Tensor | None], Tensor]
"""``loss(model, images, labels)``, as `companion.training.fit` calls it; labels go unused here."""


def add_noise(
    x: Tensor, sigma: float | Sequence[float], generator: torch.Generator | None = None
) -> Tensor:
    """x + σ·ε with ε ~ N(0, I); σ is in the units of the pixels, in which white − black = 1.

    A pair as ``sigma`` draws a σ between the two for each image, so that one network learns all
    levels. The result is not clipped to [0, 1]: the noise stays Gaussian. Raises ValueError for
    wrong images and negative σ.
    """
    check_images(x)
    low, high = _noise_levels(sigma)
    levels = low + (high - low) * _uniform(x, (len(x), 1, 1, 1), generator).to(x.dtype)
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + levels * noise


def random_masks(x: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Boolean N×1×H×W, true where a pixel is to be hidden: each with probability ``share``.

    Raises ValueError for wrong images and a share outside (0, 1].
    """
    check_images(x)
    _check_share(share)
    return _uniform(x, (len(x), 1, *x.shape[2:]), generator) < share


def rectangle_masks(
    x: Tensor, sides: Sequence[int], generator: torch.Generator | None = None
) -> Tensor:
    """Boolean N×1×H×W, true in one rectangle for each image: what is to be hidden.

    Height and width are drawn independently from ``sides`` = (shortest, longest), in pixels and
    both included, then the place, anywhere inside the image; all uniformly. Raises ValueError for
    wrong images, and for sides that are not 1 ≤ shortest ≤ longest ≤ the image's shorter side.
    """
    check_images(x)
    shortest, longest = _check_sides(sides)
    if longest > min(x.shape[2:]):
        raise ValueError(
            f"A rectangle with sides up to {longest} pixels does not fit into images of "
            f"{by(x.shape[2:])}."
        )
    count = len(x)
    inside = []
    for pixels in x.shape[2:]:
        side = shortest + (_uniform(x, (count,), generator) * (longest - shortest + 1)).long()
        start = (_uniform(x, (count,), generator) * (pixels - side + 1)).long()
        place = torch.arange(pixels, device=x.device)
        inside.append((place >= start[:, None]) & (place < (start + side)[:, None]))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def hide(x: Tensor, hidden: Tensor, fill: float = 0.5) -> Tensor:
    """The images with every hidden pixel set to ``fill``, in all channels.

    Mid-grey by default: black would look like the background of a digit. Raises ValueError if the
    masks are not boolean N×1×H×W.
    """
    check_images(x)
    _check_masks(x, hidden)
    return x.masked_fill(hidden, fill)


def fill_in(model: nn.Module, damaged: Tensor, hidden: Tensor) -> Tensor:
    """Inpainting: the hidden pixels from the model, all others as they are in ``damaged``.

    Raises ValueError if the masks are not boolean N×1×H×W.
    """
    check_images(damaged)
    _check_masks(damaged, hidden)
    return torch.where(hidden, model(damaged).to(damaged.dtype), damaged)


def denoising_loss(sigma: float | Sequence[float]) -> ImageLoss:
    """The loss ‖x − model(x + σε)‖² for `fit`: pixels are summed, images averaged.

    ``sigma`` as for :func:`add_noise`; 0 gives the plain autoencoder's loss. Raises ValueError for
    a negative one.
    """
    levels = _noise_levels(sigma)

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        return reconstruction_error(images, model(add_noise(images, levels)))

    return loss


def inpainting_loss(
    *,
    sides: Sequence[int] | None = None,
    share: float | None = None,
    fill: float = 0.5,
    hidden_only: bool = False,
) -> ImageLoss:
    """The loss ‖x − model(x with holes)‖² for `fit`: pixels are summed, images averaged.

    The holes are rectangles (``sides``, see :func:`rectangle_masks`) or single pixels (``share``,
    see :func:`random_masks`), painted over with ``fill``. ``hidden_only`` leaves the visible pixels
    out of the sum: right where :func:`fill_in` keeps those anyway. Raises ValueError unless exactly
    one of ``sides`` and ``share`` is given, and sensible.
    """
    if (sides is None) == (share is None):
        raise ValueError(f"Give either sides or share, got sides={sides} and share={share}.")
    if sides is not None:
        _check_sides(sides)
    if share is not None:
        _check_share(share)

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        if sides is not None:
            hidden = rectangle_masks(images, sides)
        elif share is not None:
            hidden = random_masks(images, share)
        x_hat = model(hide(images, hidden, fill))
        return reconstruction_error(images, x_hat, where=hidden if hidden_only else None)

    return loss


def _uniform(x: Tensor, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Draws from [0, 1) on the device of x, in float32 whatever x is: bf16 could round up to 1."""
    return torch.rand(tuple(shape), generator=generator, device=x.device, dtype=torch.float32)


def _noise_levels(sigma: float | Sequence[float]) -> tuple[float, float]:
    levels = tuple(sigma) if isinstance(sigma, Sequence) else (sigma, sigma)
    if len(levels) != 2 or not 0 <= levels[0] <= levels[1] < float("inf"):
        raise ValueError(
            f"sigma must be 0 or more, or a pair (lowest, highest) of such numbers, got {sigma}."
        )
    return levels


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}.")


def _check_sides(sides: Sequence[int]) -> tuple[int, int]:
    if len(sides) != 2 or not 1 <= sides[0] <= sides[1]:
        raise ValueError(
            f"sides must be two whole numbers, shortest and longest, from 1 up, got {tuple(sides)}."
        )
    return sides[0], sides[1]


def _check_masks(x: Tensor, hidden: Tensor) -> None:
    wanted = (len(x), 1, *x.shape[2:])
    if hidden.dtype != torch.bool or tuple(hidden.shape) != wanted:
        raise ValueError(
            f"Expected boolean masks of shape {by(wanted)}, true where a pixel is hidden, "
            f"got {hidden.dtype} of shape {by(hidden.shape)}."
        )
