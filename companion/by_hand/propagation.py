"""How large signals and gradients are, layer by layer (chapter 7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "none": lambda x: x,
}

# n·Var(w) of each way to draw an n×n matrix of weights.
GAINS = {"he": 2.0, "xavier": 1.0, "pytorch": 1 / 3}


@dataclass(frozen=True)
class Propagation:
    """What a pass forward and a pass back left in each layer, the input being layer 0.

    `signal` is the root mean square of a layer's output h_l over units and batch, `gradient` that
    of ∂L/∂h_l; `silent` is the share of outputs through which next to no gradient passes: zeros of
    a ReLU, |tanh| > 0.99. All have depth + 1 entries. `outputs` holds the h_l themselves, N×n each.
    """

    signal: Tensor
    gradient: Tensor
    silent: Tensor
    outputs: list[Tensor]


def propagate(
    x: Tensor,
    weights: Sequence[Tensor],
    direction: Tensor,
    *,
    activation: str = "relu",
    shortcuts: bool = False,
    batch_norm: bool = False,
) -> Propagation:
    """Send x through dense layers without biases, and the gradient of L = Σ h_depth·direction back.

    Plain: h_l = φ(BN(W_l h_{l−1})). With `shortcuts`, layers pair up into residual blocks as in He
    et al. (2015), the second of each pair being h_l = φ(BN(W_l h_{l−1}) + h_{l−2}); a layer left
    over is plain. BN is batch norm in training mode with γ = 1 and β = 0. autograd computes.

    Args:
        x: N×n inputs h_0.
        weights: W_1 … W_depth, n×n each.
        direction: N×n, the gradient that arrives at the last layer.
        activation: "relu", "tanh" or "none".

    Raises:
        ValueError: an activation that is not there, or shapes that do not fit.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    if x.ndim != 2 or direction.shape != x.shape:
        came = tuple(x.shape), tuple(direction.shape)
        raise ValueError(f"x and direction must both be N×n, got {came[0]} and {came[1]}")
    n = x.shape[1]
    for number, weight in enumerate(weights, start=1):
        if weight.shape != (n, n):
            raise ValueError(f"W_{number} must be {n}×{n}, got {tuple(weight.shape)}")
    phi = ACTIVATIONS[activation]
    layers = [x.detach().requires_grad_()]
    for number, weight in enumerate(weights, start=1):
        h = layers[-1] @ weight.T
        if batch_norm:
            h = (h - h.mean(0)) / torch.sqrt(h.var(0, correction=0) + 1e-5)
        if shortcuts and number % 2 == 0:
            h = h + layers[-2]
        layers.append(phi(h))
    gradients = torch.autograd.grad((layers[-1] * direction).sum(), layers)
    outputs = [h.detach() for h in layers]
    return Propagation(
        signal=torch.stack([root_mean_square(h) for h in outputs]),
        gradient=torch.stack([root_mean_square(g) for g in gradients]),
        silent=torch.stack([_silent(h, activation) for h in outputs]),
        outputs=outputs,
    )


def root_mean_square(x: Tensor) -> Tensor:
    """√(mean of x²), a scalar."""
    return x.square().mean().sqrt()


def _silent(h: Tensor, activation: str) -> Tensor:
    quiet = {"relu": h == 0, "tanh": h.abs() > 0.99, "none": torch.zeros_like(h)}[activation]
    return quiet.to(h.dtype).mean()
