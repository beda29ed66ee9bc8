"""What a rotation of the latent space does to a VAE: nothing that its loss could see.

If z is N(0, I), so is Rz. A decoder that first takes Rᵀ makes of Rz what it made of z, and the
posterior N(μ, Σ) becomes N(Rμ, RΣRᵀ): another Gaussian, no longer diagonal. Source: Locatello et
al. (2019), theorem 1 (of which this is the simplest case).
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def rotation(latent_dim: int, plane: tuple[int, int], angle: float) -> np.ndarray:
    """The matrix R, d×d, that turns the plane of two latents by `angle` degrees.

    (Rz)_i = cos·z_i + sin·z_j and (Rz)_j = cos·z_j − sin·z_i; all others stay.

    Raises ValueError for a plane that is not two different latents below `latent_dim`.
    """
    i, j = plane
    if i == j or not (0 <= i < latent_dim and 0 <= j < latent_dim):
        raise ValueError(f"Expected two different latents below {latent_dim}, got {plane}.")
    turned = np.eye(latent_dim)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned[i, i] = turned[j, j] = cos
    turned[i, j], turned[j, i] = sin, -sin
    return turned


def rotated_kl(mu: ArrayLike, log_var: ArrayLike, turn: ArrayLike) -> np.ndarray:
    """KL[N(Rμ, RΣRᵀ) ‖ N(0, I)] in nats for each of N rows, by the formula for full covariances.

    ½(trace + |mean|² − log determinant − d), for `mu` and `log_var` N×d (Σ is diagonal), R d×d.
    """
    m, variances, r = np.asarray(mu, float), np.exp(np.asarray(log_var, float)), np.asarray(turn)
    covariance = np.einsum("ij,nj,kj->nik", r, variances, r)
    trace = np.trace(covariance, axis1=1, axis2=2)
    kl: np.ndarray = 0.5 * (
        trace + ((m @ r.T) ** 2).sum(1) - np.linalg.slogdet(covariance)[1] - m.shape[1]
    )
    return kl


def diagonal_loss(log_var: ArrayLike, turn: ArrayLike) -> np.ndarray:
    """What the best diagonal Gaussian misses of the rotated posterior, in nats for each of N rows.

    The least KL[q ‖ N(Rμ, RΣRᵀ)] over all q with a diagonal covariance: ½ Σ log Λᵢᵢ − ½ log det Λ,
    with the precision Λ = RΣ⁻¹Rᵀ. It is 0 for no rotation, and for equal variances. An encoder that
    can only say diagonal Gaussians loses so much of the ELBO by the rotation, if its posterior was
    the true one.
    """
    precision, r = np.exp(-np.asarray(log_var, float)), np.asarray(turn)
    lost: np.ndarray = 0.5 * (np.log(precision @ (r**2).T) - np.log(precision)).sum(1)
    return lost


def rotated_negative_elbo(
    model: Any, images: Tensor, turn: ArrayLike, noise: Tensor, *, C: float = 1.0
) -> Tensor:
    """−ELBO of the rotated VAE, in nats for each of N images in [0, 1], from one draw each.

    `model` has encode and decode (ConvVAE); it is used as it is, R goes before its codes and Rᵀ
    before its decoder. The draw is z = R(μ + σ·`noise`), noise N×d; then C·‖x − decode(Rᵀz)‖² +
    log N(z; Rμ, RΣRᵀ) − log N(z; 0, I). C: see `vae_loss` (Gaussian likelihood, without its
    constant).
    """
    r = torch.as_tensor(turn, dtype=images.dtype)
    with torch.no_grad():
        mu, log_var = model.encode(images)
        sigma = torch.exp(0.5 * log_var)
        posterior = torch.distributions.MultivariateNormal(
            mu @ r.T, r @ torch.diag_embed(sigma**2) @ r.T
        )
        prior = torch.distributions.MultivariateNormal(
            torch.zeros_like(mu[0]), torch.eye(len(r)).to(r)
        )
        z = (mu + sigma * noise) @ r.T
        misfit = C * (images - model.decode(z @ r)).square().flatten(1).sum(1)
        loss: Tensor = misfit + posterior.log_prob(z) - prior.log_prob(z)
    return loss
