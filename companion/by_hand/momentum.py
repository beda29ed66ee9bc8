"""Gradient descent with momentum, by hand (chapter 4)."""

from collections.abc import Callable

import torch
from torch import Tensor


def momentum_step(
    w: Tensor,
    v: Tensor,
    gradient: Tensor,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """One step (w, v) → (w, v): v ← μ v − lr (∂L/∂w + λ w), then w ← w + v.

    v has the shape of w and starts at 0. Krizhevsky et al. (2012), §5, with μ = 0.9 and
    λ = 0.0005. torch's `SGD` keeps the velocity without the factor −lr: the same steps while lr
    stays, others for a moment after it changes.
    """
    v = momentum * v - lr * (gradient + weight_decay * w)
    return w + v, v


def descend(
    gradient: Callable[[Tensor], Tensor], start: Tensor, steps: int, lr: float, momentum: float = 0
) -> Tensor:
    """The path of `steps` steps from `start` (shape d), it included: (steps + 1)×d.

    `gradient` maps a point to the gradient there. Raises ValueError for a negative number of steps.
    """
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    w, v = start.clone(), torch.zeros_like(start)
    path = [w]
    for _ in range(steps):
        w, v = momentum_step(w, v, gradient(w), lr, momentum)
        path.append(w)
    return torch.stack(path)
