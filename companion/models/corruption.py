"""What denoising and inpainting autoencoders train on: images with noise or holes, and the losses.

Three kinds of noise, as in Vincent et al. (2010): Gaussian, salt and pepper, masking.

Both are ordinary autoencoders from images to images (`ConvAutoencoder`, `DenseAutoencoder`), with
damaged images as input and the undamaged ones as target. Images are floats N×C×H×W in [0, 1].
Chapter 10; Vincent et al. (2008) for denoising, Pathak et al. (2016) for inpainting.

Everything random is drawn on the images' device from `generator`, or from PyTorch's global one if
that is None. The losses use the global one, since `fit` seeds it, for the validation set anew each
time.
"""

from collections.abc import Callable, Sequence
from functools import partial

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
    levels = _each_its_own(x, _noise_levels(sigma), generator).to(x.dtype)
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + levels * noise


def salt_and_pepper(
    x: Tensor, share: float | Sequence[float], generator: torch.Generator | None = None
) -> Tensor:
    """Each pixel with probability ``share`` black or white, both equally often, in all channels.

    A pair as ``share`` draws one between the two for each image. Raises ValueError for wrong images
    and shares outside [0, 1].
    """
    check_images(x)
    levels = _each_its_own(x, _shares(share), generator)
    u = _uniform(x, (len(x), 1, *x.shape[2:]), generator)
    return torch.where(u < levels, (u < levels / 2).to(x.dtype), x)


def masking_noise(
    x: Tensor, share: float | Sequence[float], generator: torch.Generator | None = None
) -> Tensor:
    """Each pixel with probability ``share`` black, in all channels; else as salt_and_pepper."""
    check_images(x)
    levels = _each_its_own(x, _shares(share), generator)
    return x.masked_fill(_uniform(x, (len(x), 1, *x.shape[2:]), generator) < levels, 0)


NOISES: dict[str, Callable[..., Tensor]] = {
    "gaussian": add_noise,
    "salt and pepper": salt_and_pepper,
    "masking": masking_noise,
}
"""The kinds of noise by name: ``NOISES[kind](x, strength, generator)``."""


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


def denoising_loss(
    gaussian: float | Sequence[float] | None = None,
    *,
    salt_and_pepper: float | Sequence[float] | None = None,
    masking: float | Sequence[float] | None = None,
) -> ImageLoss:
    """The loss ‖x − model(x with noise)‖² for `fit`: pixels are summed, images averaged.

    The strengths are those of :func:`add_noise`, :func:`salt_and_pepper` and :func:`masking_noise`;
    0 gives the plain autoencoder's loss. With several kinds, each image gets one of them, drawn
    anew. Raises ValueError if there is none, or for a strength that makes no sense.
    """
    noises: list[Callable[[Tensor], Tensor]] = []
    if gaussian is not None:
        noises.append(partial(add_noise, sigma=_noise_levels(gaussian)))
    if salt_and_pepper is not None:
        noises.append(partial(NOISES["salt and pepper"], share=_shares(salt_and_pepper)))
    if masking is not None:
        noises.append(partial(masking_noise, share=_shares(masking)))
    if not noises:
        raise ValueError("Give the strength of at least one kind of noise, got none.")

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        noisy = noises[0](images)
        if len(noises) > 1:
            kind = (_uniform(images, (len(images), 1, 1, 1), None) * len(noises)).long()
            for k, noise in enumerate(noises[1:], 1):
                noisy = torch.where(kind == k, noise(images), noisy)
        return reconstruction_error(images, model(noisy))

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


def _each_its_own(
    x: Tensor, levels: tuple[float, float], generator: torch.Generator | None
) -> Tensor:
    """A level for each image, N×1×1×1, between the two."""
    low, high = levels
    return low + (high - low) * _uniform(x, (len(x), 1, 1, 1), generator)


def _shares(share: float | Sequence[float]) -> tuple[float, float]:
    pair = tuple(share) if isinstance(share, Sequence) else (share, share)
    if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= 1:
        raise ValueError(
            "share must be a number from 0 to 1, or a pair (lowest, highest) of such numbers, "
            f"got {share}."
        )
    return pair


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
