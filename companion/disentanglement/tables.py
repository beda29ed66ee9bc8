"""Factors and codes as every metric takes them, checked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Factors = Mapping[str, ArrayLike] | ArrayLike


class Table(NamedTuple):
    """Names of F factors, F arrays of N (int64 class numbers, or floats), codes N×d (float64)."""

    names: list[str]
    factors: list[np.ndarray]
    codes: np.ndarray


def as_factors(factors: Factors) -> dict[str, np.ndarray]:
    """Each factor by name: class numbers 0, 1, … as int64, or finite float64 values.

    Raises ValueError: see :mod:`companion.disentanglement`.
    """
    if isinstance(factors, Mapping):
        columns = {str(name): np.asarray(values) for name, values in factors.items()}
    else:
        array = np.asarray(factors)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2:
            raise ValueError(f"Expected factors as N×F values, got the shape {array.shape}.")
        columns = {f"factor {j}": array[:, j] for j in range(array.shape[1])}
    if not columns:
        raise ValueError("Expected at least one factor, got none.")
    return {name: _factor(name, values) for name, values in columns.items()}


def _factor(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 1:
        raise ValueError(f"Expected one value a row for {name}, got the shape {values.shape}.")
    if len(values) < 2:
        raise ValueError(f"Expected at least two rows, got {len(values)} of {name}.")
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"Expected finite values, but {name} has some that are not.")
    else:
        values = np.unique(values, return_inverse=True)[1].astype(np.int64)
    if (values == values[0]).all():
        raise ValueError(
            f"Expected factors that vary, but {name} is the same in all {len(values)} rows."
        )
    return values


def as_table(factors: Factors, codes: ArrayLike) -> Table:
    """Factors and codes of the same rows.

    Raises ValueError: see :mod:`companion.disentanglement`.
    """
    known = as_factors(factors)
    z = np.asarray(codes, dtype=np.float64)
    if z.ndim != 2 or not z.shape[1]:
        raise ValueError(f"Expected codes as N×d numbers, got the shape {z.shape}.")
    for name, values in known.items():
        if len(values) != len(z):
            raise ValueError(
                f"Expected factors and codes of the same rows, got {len(values)} of {name} and "
                f"{len(z)} codes."
            )
    if not np.isfinite(z).all():
        raise ValueError("Expected finite codes, but some are not.")
    constant = np.flatnonzero((z == z[0]).all(0))
    if len(constant):
        raise ValueError(
            f"Expected latents that vary, but latent {constant[0]} is the same in all {len(z)} "
            "rows: leave it out."
        )
    return Table(list(known), list(known.values()), z)


def is_discrete(values: np.ndarray) -> bool:
    """Whether a checked factor holds class numbers."""
    return values.dtype.kind == "i"


def targets(values: np.ndarray, period: Any = None) -> np.ndarray:
    """A factor as columns N×K to be predicted by regression, centred, their variances adding to 1.

    A continuous factor is one column, a circular one the cosine and sine of its turn (values that
    meet where the circle closes), classes are one column each.
    """
    if is_discrete(values):
        columns = np.eye(values.max() + 1)[values]
    elif period is not None:
        turn = 2 * np.pi * values / float(period)
        columns = np.stack([np.cos(turn), np.sin(turn)], 1)
    else:
        columns = values[:, None]
    columns = columns - columns.mean(0)
    scaled: np.ndarray = columns / np.sqrt(columns.var(0).sum())
    return scaled
