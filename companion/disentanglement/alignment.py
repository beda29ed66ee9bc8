"""Which latent of a model answers for which factor, so that models can be compared (chapter 13)."""

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


class Match(NamedTuple):
    """The latent that answers for a factor: its number, and which way it grows (1 or −1)."""

    latent: int
    sign: int


def match_latents(shares: Tensor) -> list[int]:
    """A latent for each of F factors, no latent twice, such that their shares add up to the most.

    `shares` (F×d, d ≥ F) has how much each factor explains of each latent, as
    `explained` gives it. A latent is given to every factor,
    also to one that no latent follows: read the share. Raises ValueError for fewer latents than
    factors.
    """
    factors, latents = shares.shape
    if latents < factors:
        raise ValueError(f"Expected at least {factors} latents, one a factor, got {latents}.")
    return [int(i) for i in linear_sum_assignment(shares.cpu(), maximize=True)[1]]


def directions(codes: Tensor, factors: Tensor) -> Tensor:
    """Whether each latent grows with its factor: F numbers, 1 or −1.

    `codes` (N×F) are the matched latents, `factors` (N×F) the factors; the sign is that of their
    correlation (1 where there is none).
    """
    first, second = (each.double() - each.double().mean(0) for each in (codes, factors))
    return torch.where((first * second).sum(0) < 0, -1, 1)


def align(codes: Tensor, factors: dict[str, Tensor], shares: dict[str, Tensor]) -> dict[str, Match]:
    """The latent and the direction for each factor: `codes` N×d, `factors` of N each."""
    latents = match_latents(torch.stack([torch.as_tensor(shares[name]) for name in factors]))
    values = torch.stack([factor.double() for factor in factors.values()], 1)
    signs = directions(codes[:, latents], values)
    return {
        name: Match(latent, int(sign))
        for name, latent, sign in zip(factors, latents, signs, strict=True)
    }
