"""Points in a plane of which the truth is known: each kind is hard for one method (chapter 11)."""

from typing import NamedTuple

import numpy as np

from companion.models.classifier import check_choice

KINDS = ("scattered", "two densities", "clump", "diagonal")


class Toy(NamedTuple):
    """N×2 points, and which of them are anomalies: boolean, N."""

    X: np.ndarray
    labels: np.ndarray


def toy_points(kind: str, seed: int = 0) -> Toy:
    """300 normal points and a few anomalies, which come last.

    - "scattered": one cluster, and 8 points anywhere in a square around it.
    - "two densities": a dense cluster, a sparse one, and 8 points just outside of the dense one,
      nearer to it than many of the sparse one are to each other.
    - "clump": one cluster, and 12 anomalies close together, far away.
    - "diagonal": two values that rise together, and 8 points where they don't.
    """
    check_choice("kind", kind, KINDS)
    rng = np.random.default_rng(seed)
    if kind == "scattered":
        parts = [rng.normal(0, 1, (300, 2)), rng.uniform(-8, 8, (8, 2))]
    elif kind == "two densities":
        angle, radius = rng.uniform(0, 2 * np.pi, 8), rng.uniform(0.9, 1.2, 8)
        around = np.c_[radius * np.cos(angle), radius * np.sin(angle)]
        parts = [rng.normal(0, 0.25, (150, 2)), rng.normal(5, 1.5, (150, 2)), around]
    elif kind == "clump":
        parts = [rng.normal(0, 1, (300, 2)), rng.normal(5, 0.15, (12, 2))]
    else:
        first = rng.normal(0, 1, 300)
        off = rng.uniform(0.6, 1.2, 8) * rng.choice([-1, 1], 8)
        parts = [np.c_[first, first + rng.normal(0, 0.15, 300)], np.c_[off, -off]]
    X = np.vstack(parts)
    return Toy(X, np.arange(len(X)) >= 300)
