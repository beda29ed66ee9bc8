"""The game of a GAN in formulas: both losses of the generator, the best discriminator, and JS.

Source: Goodfellow et al. (2014), "Generative adversarial nets"; chapter 14. A logit ℓ is what the
discriminator says of an image before the sigmoid, D = σ(ℓ); logarithms are natural.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def minimax_loss(logits: Tensor) -> Tensor:
    """log(1 − D) of each generated image: what the game itself has the generator minimise.

    Its slope in the logit is −D: none where the discriminator is sure that the image is not real.
    """
    return -F.softplus(logits)


def non_saturating_loss(logits: Tensor) -> Tensor:
    """−log D of each generated image, the loss that is used. Its slope in the logit is D − 1."""
    return F.softplus(-logits)


def optimal_discriminator(p_data: Tensor, p_model: Tensor) -> Tensor:
    """p_data/(p_data + p_model), from both densities at some places; ½ where both are 0.

    Raises ValueError for different shapes and for densities that are negative or not finite.
    """
    _check_densities(p_data, p_model)
    both = p_data + p_model
    return torch.where(both > 0, p_data / both.where(both > 0, 1), 0.5)


def jensen_shannon(p_data: Tensor, p_model: Tensor, width: float) -> float:
    """JS(p_data, p_model) in nats, between 0 and log 2: ½KL(p_data ‖ m) + ½KL(p_model ‖ m).

    m is the mean of both. The densities stand on a grid whose cells have the size `width` (a
    length, an area, …); with both in float64, the sum is as exact as the grid is fine. With the
    optimal discriminator the value of the game is V = 2·JS − 2·log 2.

    Raises ValueError for different shapes, densities that are negative or not finite, and a width
    that is not positive.
    """
    _check_densities(p_data, p_model)
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    mean = (p_data + p_model) / 2
    halves = sum(torch.xlogy(p, p) - torch.xlogy(p, mean) for p in (p_data, p_model))
    return 0.5 * width * float(torch.as_tensor(halves).sum())


def gaussian_density(x: Tensor, mu: float, sigma: float) -> Tensor:
    """N(x; μ, σ²) at some places on a line."""
    return torch.exp(-0.5 * ((x - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


def _check_densities(p_data: Tensor, p_model: Tensor) -> None:
    if p_data.shape != p_model.shape:
        raise ValueError(
            "both densities must be given at the same places, got shapes "
            f"{tuple(p_data.shape)} and {tuple(p_model.shape)}"
        )
    for name, p in (("p_data", p_data), ("p_model", p_model)):
        if not bool((torch.isfinite(p) & (p >= 0)).all()):
            raise ValueError(f"{name} must be finite and at least 0 everywhere")
