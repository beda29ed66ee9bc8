"""Diagonal Gaussians by hand, as chapter 12 derives them.

Everywhere σ is a standard deviation (not a variance), logarithms are natural (so KL is in nats),
and nothing is summed: each function works element by element, one latent dimension at a time, and
broadcasts. A diagonal Gaussian's log density or KL divergence is the sum over its dimensions.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class MonteCarloEstimate(NamedTuple):
    """A mean over random draws, and the standard deviation of that mean."""

    estimate: Tensor
    standard_error: Tensor


def log_density(z: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """Log density of N(μ, σ²) at z: −½((z − μ)/σ)² − log σ − ½ log 2π, for σ > 0."""
    return -0.5 * ((z - mu) / sigma) ** 2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)


def kl_to_standard_normal(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL[N(μ, σ²) ‖ N(0, 1)] = ½(μ² + σ² − log σ² − 1) in nats, for σ > 0.

    It is 0 exactly where μ = 0 and σ = 1, and grows without bound as σ → 0. Source: Kingma &
    Welling (2014), appendix B.
    """
    return 0.5 * (mu**2 + sigma**2 - 2 * torch.log(sigma) - 1)


def reparameterise(mu: Tensor, sigma: Tensor, noise: Tensor | None = None) -> Tensor:
    """A draw z = μ + σ·ε from N(μ, σ²) through which gradients flow: ∂z/∂μ = 1, ∂z/∂σ = ε.

    ``noise`` is ε; without it, ε is drawn afresh from N(0, 1) with torch's global generator.
    """
    if noise is None:
        noise = torch.randn_like(mu)
    return mu + sigma * noise


def monte_carlo_kl(
    mu: Tensor, sigma: Tensor, samples: int, generator: torch.Generator | None = None
) -> MonteCarloEstimate:
    """Estimate KL[N(μ, σ²) ‖ N(0, 1)] from its definition, E[log q(z) − log p(z)] over z ~ q.

    The mean over ``samples`` draws of z for each element, with its standard error. Raises
    ValueError for fewer than 2 samples (no standard error) or a σ that is not positive.
    """
    if samples < 2:
        raise ValueError(f"A Monte Carlo estimate needs at least 2 samples, got {samples}.")
    if not (sigma > 0).all():
        raise ValueError(
            f"σ must be positive everywhere, got a smallest σ of {sigma.min().item()}."
        )
    mu, sigma = torch.broadcast_tensors(mu, sigma)
    noise = torch.randn((samples, *mu.shape), generator=generator, dtype=mu.dtype, device=mu.device)
    z = reparameterise(mu, sigma, noise)
    log_ratio = log_density(z, mu, sigma) - log_density(
        z, torch.zeros_like(mu), torch.ones_like(sigma)
    )
    return MonteCarloEstimate(log_ratio.mean(0), log_ratio.std(0) / math.sqrt(samples))
