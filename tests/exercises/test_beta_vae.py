"""The exercises of chapter 13: right answers, and each plausible mistake with its hint."""

from typing import Any

import torch
from torch import Tensor

from support.answers import answer_tests


def capacity_loss(distortion: Tensor, kl: Tensor, capacity: float, gamma: float) -> Tensor:
    return distortion.mean() + gamma * (kl.sum(1).mean() - capacity).abs()


def beta_at(progress: float, first: float, last: float, anneal: float) -> float:
    return last if progress >= anneal else first * (last / first) ** (progress / anneal)


def slopes(rates: list[float], distortions: list[float]) -> list[tuple[float, float]]:
    return [
        (rates[k] - rates[k + 1], distortions[k + 1] - distortions[k])
        for k in range(len(rates) - 1)
    ]


def between(betas: list[float], rates: list[float], distortions: list[float]) -> list[bool]:
    return [
        low * saved <= cost <= high * saved
        for low, high, (saved, cost) in zip(
            betas, betas[1:], slopes(rates, distortions), strict=False
        )
    ]


def divided(betas: list[float], rates: list[float], distortions: list[float]) -> list[bool]:
    return [
        saved != 0 and low <= cost / saved <= high
        for low, high, (saved, cost) in zip(
            betas, betas[1:], slopes(rates, distortions), strict=False
        )
    ]


RIGHT: dict[str, list[Any]] = {
    "nats": [
        lambda sigma: -torch.log(sigma),
        lambda sigma: 0.5 * ((1 - sigma**2) + sigma**2 - torch.log(sigma**2) - 1),
    ],
    "capacity_loss": [capacity_loss, lambda d, k, c, g: capacity_loss(d, k, c, g).item()],
    "beta_at": [beta_at],
    "between": [between, lambda b, r, d: tuple(between(b, r, d))],
}

WRONG: list[tuple[str, Any, str]] = [
    ("nats", lambda s: -2 * s.log(), "factor ½"),
    ("nats", lambda s: -0.5 * s.log(), "log σ² is 2"),
    ("nats", lambda s: s.log(), "The sign"),
    ("nats", lambda s: 0.5 * (s**2 - 2 * s.log() - 1), "leaves out μ"),
    ("nats", lambda s: 0.5 * (s**2 - 2 * s.log()), "takes μ² = 1"),
    ("nats", lambda s: -s.log2(), "bits"),
    ("nats", lambda s: 1 - s, "closed form"),
    ("capacity_loss", lambda d, k, c, g: d.mean() + g * (k.sum(1).mean() - c), "absolute value"),
    ("capacity_loss", lambda d, k, c, g: d.mean() + g * (k.sum(1) - c).abs().mean(), "not each"),
    ("capacity_loss", lambda d, k, c, g: d.mean() + g * (k.mean() - c).abs(), "sum over its"),
    (
        "capacity_loss",
        lambda d, k, c, g: d.mean() + g * (k.sum(1).mean() - c).clamp(min=0),
        "below the capacity|absolute value",
    ),
    ("capacity_loss", lambda d, k, c, g: d.sum() + g * (k.sum() - c).abs(), "averaged"),
    ("capacity_loss", lambda d, k, c, g: d.mean() + g * (k.sum(1).mean() - c) ** 2, "square"),
    ("capacity_loss", lambda d, k, c, g: d.mean() + (k.sum(1).mean() - c).abs(), "γ weighs"),
    ("capacity_loss", lambda d, k, c, g: d.mean(), "means over the batch"),
    (
        "beta_at",
        lambda p, f, e, a: e if p > 1 else f + (e - f) * p * a,
        "should be",
    ),
    ("beta_at", lambda p, f, e, a: f + (e - f) * min(1, p / a), "not ratios"),
    ("beta_at", lambda p, f, e, a: f * (e / f) ** (p / a), "must stay"),
    ("beta_at", lambda p, f, e, a: e if p >= a else f * (e / f) ** (p * a), "share of the first"),
    ("between", lambda b, r, d: 3, "list of 4"),
    ("between", lambda b, r, d: [True], "4 pairs"),
    ("between", divided, "0/0"),
    ("between", lambda b, r, d: [True] * 4, "Only one"),
    ("between", lambda b, r, d: [not x for x in between(b, r, d)], "other way round"),
    ("between", lambda b, r, d: [False] * 4, "there should be True"),
]

(
    test_right_answers,
    test_each_mistake_gets_its_hint,
    test_unanswered_is_neutral,
    test_every_exercise_has_answers,
) = answer_tests("beta_vae", RIGHT, WRONG)
