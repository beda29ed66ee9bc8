"""The smallest game that circles: x wants x·y small, y wants it large, and both move by gradients.

The gradients are y and x, the only equilibrium is (0, 0). With the step size η, each rule is a
matrix, and what it does to x² + y² in a step can be said exactly (chapter 14).
"""

from collections.abc import Callable

import numpy as np


def simultaneous(x: float, y: float, step: float) -> tuple[float, float]:
    """Both step from where both were. x² + y² grows by the factor 1 + η²."""
    return x - step * y, y + step * x


def alternating(x: float, y: float, step: float) -> tuple[float, float]:
    """x steps, then y steps against the new x. x² − ηxy + y² stays: for η < 2 it circles."""
    x = x - step * y
    return x, y + step * x


def extra_gradient(x: float, y: float, step: float) -> tuple[float, float]:
    """Both step by the gradients at where a plain step would lead (Korpelevich, 1976).

    x² + y² shrinks by the factor 1 − η² + η⁴, for η < 1.
    """
    ahead_x, ahead_y = simultaneous(x, y, step)
    return x - step * ahead_y, y + step * ahead_x


#: The rules by name.
RULES: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extra-gradient": extra_gradient,
}


def trajectory(
    rule: str, step: float, steps: int, start: tuple[float, float] = (1.0, 0.0)
) -> np.ndarray:
    """(x, y) from `start` on, (steps + 1)×2. Raises ValueError for another rule."""
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(map(repr, RULES))}, got {rule!r}")
    path = [start]
    for _ in range(steps):
        path.append(RULES[rule](*path[-1], step))
    return np.array(path)
