"""Codes of which it is known what a metric should say."""

import math

import numpy as np
from numpy.typing import ArrayLike


def spoil(
    factors: ArrayLike,
    *,
    angle: float = 0.0,
    noise: ArrayLike | None = None,
    copies: int = 1,
    order: ArrayLike | None = None,
) -> np.ndarray:
    """Codes N×(copies·F) made of factors N×F, float64: perfect if nothing is asked.

    In this order: the first two columns are rotated by `angle` (degrees: z₀ = cos·v₀ + sin·v₁,
    z₁ = cos·v₁ − sin·v₀), `noise` (N×F) is added, the columns are repeated, and row i gets what row
    order[i] would have had.

    Raises ValueError for factors that are not N×F, an angle of fewer than two, other shapes, or no
    copy.
    """
    codes = np.array(factors, dtype=np.float64)
    if codes.ndim != 2 or (angle and codes.shape[1] < 2):
        raise ValueError(f"Expected factors N×F, F ≥ 2 to be rotated, got {codes.shape}.")
    if copies < 1:
        raise ValueError(f"Expected at least one copy, got {copies}.")
    if angle:
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        first, second = codes[:, 0].copy(), codes[:, 1].copy()
        codes[:, 0] = cos * first + sin * second
        codes[:, 1] = cos * second - sin * first
    if noise is not None:
        added = np.asarray(noise, dtype=np.float64)
        if added.shape != codes.shape:
            raise ValueError(f"Expected noise of the shape {codes.shape}, got {added.shape}.")
        codes = codes + added
    codes = np.tile(codes, (1, copies))
    return codes if order is None else codes[np.asarray(order)]
