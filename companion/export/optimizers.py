"""The step of an optimizer of `torch.optim` as a function of tensors, on all weights at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Factory = Callable[..., torch.optim.Optimizer]


class Update(Protocol):
    """How an optimizer moves a vector of weights; `numbers` are its settings by name, lr first."""

    numbers: dict[str, float]

    @property
    def state(self) -> dict[str, Tensor]:
        """What it remembers, by the names of `torch.optim`, before the first step."""

    def __call__(
        self, weights: Tensor, gradient: Tensor, tensors: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """New weights and new state; `tensors` has state and numbers, all float32."""

    def gradient(
        self, weights: Tensor, tensors: dict[str, Tensor], new: dict[str, Tensor]
    ) -> Tensor:
        """The gradient that led from the state in `tensors` to the new one."""


def update_rule(optimizer: Factory, parameters: Sequence[Tensor], lr: float) -> Update:
    """The rule of `optimizer(parameters, lr=lr)`: Adam, AdamW, or SGD with momentum.

    Raises:
        TypeError: another optimizer, or one that is made already.
        ValueError: a variant of it that is no part of this book.
    """
    if isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            "optimizer must be a class of torch.optim or a functools.partial of one, got an "
            f"{type(optimizer).__name__} that is made already"
        )
    made = optimizer(parameters, lr=lr)
    kind = type(made)
    if kind not in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        raise TypeError(
            "optimizer must be Adam, AdamW or SGD of torch.optim, or a functools.partial of one; "
            f"got {kind.__name__}"
        )
    (group,) = made.param_groups
    for option in ("amsgrad", "maximize", "dampening"):
        if group.get(option):
            raise ValueError(f"{kind.__name__} with {option}={group[option]} can't be exported")
    count = sum(parameter.numel() for parameter in parameters)
    if kind is torch.optim.SGD:
        return _SGD(_numbers(group, "lr", "momentum", "weight_decay"), count, group["nesterov"])
    group["beta1"], group["beta2"] = group["betas"]
    decoupled = group.get("decoupled_weight_decay", kind is torch.optim.AdamW)
    return _Adam(_numbers(group, "lr", "beta1", "beta2", "eps", "weight_decay"), count, decoupled)


def _numbers(group: dict[str, Any], *names: str) -> dict[str, float]:
    return {name: float(group[name]) for name in names}


@dataclass
class _SGD:
    numbers: dict[str, float]
    count: int
    nesterov: bool

    @property
    def state(self) -> dict[str, Tensor]:
        return {"momentum_buffer": torch.zeros(self.count)}

    def __call__(
        self, weights: Tensor, gradient: Tensor, tensors: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        gradient = gradient + tensors["weight_decay"] * weights
        buffer = tensors["momentum"] * tensors["momentum_buffer"] + gradient
        move = gradient + tensors["momentum"] * buffer if self.nesterov else buffer
        return weights - tensors["lr"] * move, {"momentum_buffer": buffer}

    def gradient(
        self, weights: Tensor, tensors: dict[str, Tensor], new: dict[str, Tensor]
    ) -> Tensor:
        carried = tensors["momentum"] * tensors["momentum_buffer"]
        return new["momentum_buffer"] - carried - tensors["weight_decay"] * weights


@dataclass
class _Adam:
    numbers: dict[str, float]
    count: int
    decoupled: bool  # weight decay, as in AdamW

    @property
    def state(self) -> dict[str, Tensor]:
        zeros = torch.zeros(self.count)
        return {"exp_avg": zeros, "exp_avg_sq": zeros.clone(), "step": torch.zeros(())}

    def __call__(
        self, weights: Tensor, gradient: Tensor, tensors: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, beta1, beta2 = tensors["lr"], tensors["beta1"], tensors["beta2"]
        decay = tensors["weight_decay"]
        if self.decoupled:
            weights = weights * (1 - lr * decay)
        else:
            gradient = gradient + decay * weights
        mean, square = tensors["exp_avg"], tensors["exp_avg_sq"]
        mean = mean + (1 - beta1) * (gradient - mean)
        square = beta2 * square + (1 - beta2) * gradient * gradient
        step = tensors["step"] + 1
        # 1 − β₂ᵗ is small at first: float32 would leave it four digits.
        bias1, bias2 = (1 - beta.double() ** step.double() for beta in (beta1, beta2))
        size, root = (lr / bias1).float(), bias2.sqrt().float()
        weights = weights - size * mean / (square.sqrt() / root + tensors["eps"])
        return weights, {"exp_avg": mean, "exp_avg_sq": square, "step": step}

    def gradient(
        self, weights: Tensor, tensors: dict[str, Tensor], new: dict[str, Tensor]
    ) -> Tensor:
        mean = tensors["exp_avg"]
        gradient = mean + (new["exp_avg"] - mean) / (1 - tensors["beta1"])
        return gradient if self.decoupled else gradient - tensors["weight_decay"] * weights
