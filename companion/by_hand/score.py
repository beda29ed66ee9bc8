"""The score of points blurred with noise: where a denoiser with nothing to hold it back points."""

import torch
from torch import Tensor


def mixture_score(x: Tensor, points: Tensor, sigma: float) -> Tensor:
    """∇ log p_σ(x), M×D, of N points blurred with Gaussian noise, at places x, M×D.

    p_σ is the density of a point plus noise, the mixture (1/N) Σ N(x; xᵢ, σ²I), and so

        ∇ log p_σ(x) = (Σ wᵢ(x) xᵢ − x) / σ²   with   wᵢ(x) ∝ exp(−‖x − xᵢ‖² / 2σ²).

    x + σ²∇ log p_σ(x) is the mean of the points that x may have come from: of all functions the
    best denoiser in the squared error (Miyasawa, 1961; Vincent, 2011, for autoencoders).

    Raises ValueError for noise that is not positive and for other shapes.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    if x.ndim != 2 or points.ndim != 2 or x.shape[1] != points.shape[1] or not len(points):
        raise ValueError(
            f"x and points must be M×D and N×D, got {tuple(x.shape)} and {tuple(points.shape)}"
        )
    squared = (x[:, None] - points[None]).square().sum(2)
    weights = torch.softmax(-squared / (2 * sigma**2), 1)
    return (weights @ points - x) / sigma**2
