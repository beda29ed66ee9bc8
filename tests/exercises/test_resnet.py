"""The exercises of chapter 7: right answers, and each plausible mistake with its hint."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from support.answers import answer_tests


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, gamma, beta, training=True)


def unbiased(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    y = x - x.mean((0, 2, 3), keepdim=True)
    y = y / (x.var((0, 2, 3), keepdim=True) + 1e-5).sqrt()
    return gamma.view(-1, 1, 1) * y + beta.view(-1, 1, 1)


def through_a_module(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    module = nn.BatchNorm2d(x.shape[1])
    module.weight, module.bias = nn.Parameter(gamma), nn.Parameter(beta)
    return module(x)


def with_epsilon(under: float, beside: float) -> Any:
    def normalise(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        variance = x.var((0, 2, 3), correction=0, keepdim=True)
        y = (x - x.mean((0, 2, 3), keepdim=True)) / ((variance + under).sqrt() + beside)
        return gamma.view(-1, 1, 1) * y + beta.view(-1, 1, 1)

    return normalise


def torchs_he(weight: Tensor) -> float:
    fan_in, _ = nn.init._calculate_fan_in_and_fan_out(weight)
    return nn.init.calculate_gain("relu") / fan_in**0.5


RIGHT: dict[str, list[Any]] = {
    "residual": [lambda x, f: torch.relu(f(x) + x), lambda x, f: (x + f(x)).clamp(min=0)],
    "he_std": [lambda w: math.sqrt(2 / w[0].numel()), torchs_he],
    "batch_norm": [batch_norm, through_a_module],
    "bottleneck_weights": [lambda wide, narrow: 2 * wide * narrow + 9 * narrow**2],
    "xavier_after_50": [2**-25, 2.98e-8, lambda layers, gain: (gain / 2) ** (layers / 2)],
}

WRONG: list[tuple[str, Any, str]] = [
    ("residual", lambda x, f: torch.relu(f(x)) + x, "after the addition"),
    ("residual", lambda x, f: f(x) + x, "missing"),
    ("residual", lambda x, f: torch.relu(f(x)), "plain block"),
    ("residual", lambda x, f: torch.relu(f(x) + torch.relu(x)), "no ReLU on its way"),
    ("residual", lambda x, f: torch.relu(f(x) - x), "sign"),
    ("residual", lambda x, f: x, "f = 0"),
    ("he_std", lambda w: 2 / w[0].numel(), "variance"),
    ("he_std", lambda w: math.sqrt(1 / w[0].numel()), "factor 2"),
    ("he_std", lambda w: math.sqrt(2 / w.shape[1]), "not in_channels alone"),
    ("he_std", lambda w: math.sqrt(2 / (w.shape[1] * w.shape[2])), "not squared"),
    ("he_std", lambda w: math.sqrt(2 / w[:, 0].numel()), "fan-out"),
    ("he_std", lambda w: math.sqrt(2 / (w[0].numel() + w[:, 0].numel())), "Xavier's"),
    ("he_std", lambda w: 1.0, "adds up 144 products"),
    ("batch_norm", lambda x, g, b: x, "subtract the mean"),
    ("batch_norm", lambda x, g, b: F.instance_norm(x, weight=g, bias=b), "by itself"),
    ("batch_norm", lambda x, g, b: batch_norm(x, g / g, 0 * b), "γ and β are missing"),
    ("batch_norm", lambda x, g, b: batch_norm(x, g / g, b), "^γ is missing"),
    ("batch_norm", lambda x, g, b: batch_norm(x, g, 0 * b), "^β is missing"),
    ("batch_norm", with_epsilon(0, 0), "variance 0"),
    ("batch_norm", with_epsilon(0, 1e-5), "under the root"),
    ("batch_norm", with_epsilon(1e-3, 0), "another ε"),
    ("batch_norm", unbiased, "correction=0"),
    ("batch_norm", lambda x, g, b: x.mean((0, 2, 3)), "keeps the shape"),
    ("bottleneck_weights", lambda w, n: w * n + 9 * n**2, "back up"),
    ("bottleneck_weights", lambda w, n: 2 * w * n + n**2, "nine weights"),
    ("bottleneck_weights", lambda w, n: 2 * w * n + 9 * w**2, "narrow depth"),
    ("bottleneck_weights", lambda w, n: 18 * w**2, "replaces"),
    (
        "bottleneck_weights",
        lambda w, n: 2 * w * n + 9 * n**2 + 4 * n + 2 * w,
        "only the weights",
    ),
    ("bottleneck_weights", lambda w, n: 2 * w * n + 9 * n**2 + 2 * n + w, "no biases"),
    ("bottleneck_weights", lambda w, n: 7, "three products"),
    ("xavier_after_50", 2**-50, "mean square"),
    ("xavier_after_50", 2**25, "other way round"),
    ("xavier_after_50", 0.5**0.5, "one layer"),
    ("xavier_after_50", 1, "no ReLU came after"),
    ("xavier_after_50", -1, "positive"),
    ("xavier_after_50", 0.3, "50 layers, then the root"),
    ("xavier_after_50", 0.0, "50 layers, then the root"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("resnet", RIGHT, WRONG)
