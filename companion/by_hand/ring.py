"""Eight Gaussians on a ring: the usual test of whether a generator finds all of a distribution."""

import math

import torch
from torch import Tensor

RADIUS, SIGMA, MODES = 2.0, 0.1, 8


def centres() -> Tensor:
    """The middles of the modes, 8×2, on a circle of radius 2; the first at (2, 0)."""
    angles = 2 * math.pi * torch.arange(MODES) / MODES
    return RADIUS * torch.stack([angles.cos(), angles.sin()], 1)


def draw(count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` points, N×2: a mode at random, and N(0, 0.1²) in both directions around it."""
    which = torch.randint(MODES, (count,), generator=generator)
    return centres()[which] + SIGMA * torch.randn(count, 2, generator=generator)


def density(points: Tensor) -> Tensor:
    """The density at points …×2."""
    squared = (points[..., None, :] - centres().to(points)).square().sum(-1)
    return torch.exp(-squared / (2 * SIGMA**2)).mean(-1) / (2 * math.pi * SIGMA**2)


def modes_covered(points: Tensor) -> tuple[Tensor, Tensor]:
    """How many modes the points …×N×2 cover, and the share of good ones among them.

    A point is good within 3σ of a centre. A mode is covered if it has a fifth of the good points
    that it should have, N/8/5.
    """
    distance, nearest = (points[..., None, :] - centres().to(points)).norm(dim=-1).min(-1)
    good = distance < 3 * SIGMA
    counts = torch.stack([(good & (nearest == mode)).sum(-1) for mode in range(MODES)], -1)
    return (counts >= points.shape[-2] / MODES / 5).sum(-1), good.float().mean(-1)
