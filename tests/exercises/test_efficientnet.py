"""The exercises of chapter 8: right answers, and each plausible mistake with its hint."""

import math

import torch
from torch.nn import functional as F

from support.answers import answer_tests


def squeeze_excite(x, w1, b1, w2, b2, squeeze=None, inner=F.silu, outer=torch.sigmoid):
    s = x.mean((2, 3)) if squeeze is None else squeeze(x)
    return outer(inner(s @ w1.T + b1) @ w2.T + b2)[:, :, None, None] * x


def round_channels(channels, width):
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def to_even(channels, width):
    exact = channels * width
    rounded = max(8, round(exact / 8) * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


RIGHT = {
    "separable_saving": [lambda c, k: c * k**2 / (c + k**2)],
    "squeeze_excite": [squeeze_excite],
    "phi_for": [lambda factor: math.log(factor, 1.92), math.log(10, 1.92), 3.5, 3.53],
    "round_channels": [round_channels],
}

WRONG = [
    ("separable_saving", lambda c, k: 1 / c + 1 / k**2, "Upside down"),
    ("separable_saving", lambda c, k: k**2, "depthwise part"),
    ("separable_saving", lambda c, k: c, "1×1 convolution"),
    ("separable_saving", lambda c, k: 1 / (1 / c + 1 / k), "kernel·kernel"),
    ("squeeze_excite", lambda *a: squeeze_excite(*a, inner=F.relu), "ReLU"),
    ("squeeze_excite", lambda *a: squeeze_excite(*a, outer=lambda t: t), "at the end"),
    (
        "squeeze_excite",
        lambda *a: squeeze_excite(*a, squeeze=lambda x: x.sum((2, 3))),
        "not their sum",
    ),
    ("squeeze_excite", lambda *a: squeeze_excite(*a).mean((2, 3)), "factors alone"),
    ("squeeze_excite", lambda *a: squeeze_excite(*a) + a[0], "once more"),
    ("phi_for", math.log2, "1.92"),
    ("phi_for", lambda f: f / 1.92, "power"),
    ("phi_for", math.log, "divide by"),
    ("round_channels", lambda c, w: c * w, "multiple of 8"),
    ("round_channels", to_even, "A tie goes up"),
    ("round_channels", lambda c, w: max(8, int(c * w) // 8 * 8), "always down"),
    (
        "round_channels",
        lambda c, w: max(8, math.ceil(c * w / 8) * 8),
        "always up|nearest",
    ),
    ("round_channels", lambda c, w: max(8, int(c * w + 4) // 8 * 8), "90 %"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("efficientnet", RIGHT, WRONG)
