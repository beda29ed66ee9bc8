"""The exercises of chapter 12: right answers, and each plausible mistake with its hint."""

import math
from typing import Any

import torch
from torch import Tensor

from companion.exercises import judge
from support.answers import answer_tests


def kl(mu: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (mu**2 + sigma**2 - torch.log(sigma**2) - 1).sum(1)


def kl_between(m: Tensor, s: Tensor, n: Tensor, t: Tensor) -> Tensor:
    q, p = torch.distributions.Normal(m, s), torch.distributions.Normal(n, t)
    return torch.distributions.kl_divergence(q, p)


def reparameterise(mu: Tensor, sigma: Tensor, eps: Tensor) -> Tensor:
    return mu + sigma * eps


def interpolate(z_a: Tensor, z_b: Tensor, steps: int) -> Tensor:
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * z_a + t * z_b


def active_units(kl_per_dim: Tensor, threshold: float) -> Tensor:
    order = kl_per_dim.argsort(descending=True)
    return order[kl_per_dim[order] > threshold]


def looped_kl(mu: Tensor, sigma: Tensor) -> list[float]:
    return [
        sum(0.5 * (m**2 + s**2 - 2 * math.log(s) - 1) for m, s in zip(*row, strict=True))
        for row in zip(mu.tolist(), sigma.tolist(), strict=True)
    ]


RIGHT: dict[str, list[Any]] = {
    "kl": [
        kl,
        looped_kl,
        lambda mu, sigma: torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0)
        ).sum(1),
        lambda mu, sigma: kl(mu.float(), sigma.float()).numpy(),
    ],
    "kl_between": [
        kl_between,
        lambda m, s, n, t: (t / s).log() + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5,
    ],
    "reparameterise": [
        reparameterise,
        lambda mu, sigma, eps: torch.addcmul(mu, sigma, eps),
    ],
    "C_from_sigma": [
        50,
        50.0,
        torch.tensor(50.0),
        lambda sigma: 1 / (2 * sigma**2),
    ],
    "interpolate": [
        lambda a, b, n: torch.lerp(a, b, torch.linspace(0, 1, n)[:, None]),
        lambda a, b, n: [a + k / (n - 1) * (b - a) for k in range(n)],
        interpolate,
        lambda a, b, n: torch.stack([a + (b - a) * k / (n - 1) for k in range(n)]),
    ],
    "active_units": [
        active_units,
        lambda k, t: sorted((i for i in range(len(k)) if k[i] > t), key=lambda i: -k[i]),
    ],
}

WRONG: list[tuple[str, Any, str]] = [
    ("kl_between", lambda m, s, n, t: kl_between(n, t, m, s), "other way round"),
    ("kl_between", lambda m, s, n, t: kl_between(m, s, 0 * n, t / t), "left out"),
    ("kl_between", lambda m, s, n, t: kl_between(m, s, n, t) + 0.5, "½ is missing"),
    ("kl_between", lambda m, s, n, t: 2 * kl_between(m, s, n, t), "twice"),
    ("kl_between", lambda m, s, n, t: kl_between(m, s, n, t).sum(1), "don't sum"),
    (
        "kl_between",
        lambda m, s, n, t: (t / s).log() + (s**2 / t**2 + (m - n) ** 2) / 2 - 0.5,
        "in units of p",
    ),
    (
        "kl_between",
        lambda m, s, n, t: (s / t).log() + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5,
        "wrong sign",
    ),
    ("kl_between", lambda m, s, n, t: m, "two logarithms"),
    ("kl", lambda mu, sigma: 2 * kl(mu, sigma), "twice"),
    ("kl", lambda mu, sigma: -kl(mu, sigma), "never negative"),
    ("kl", lambda mu, sigma: kl(mu, sigma) / mu.shape[1], "add up"),
    ("kl", lambda mu, sigma: kl(mu, sigma) / math.log(2), "bits"),
    ("kl", lambda mu, sigma: kl(mu, sigma).mean(), "keep its own"),
    (
        "kl",
        lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - sigma.log() - 1).sum(1),
        "log of the var",
    ),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma - 2 * sigma.log() - 1).sum(1), "beside μ²"),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma.exp() - sigma - 1).sum(1), "as log σ²"),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma - sigma.log() - 1).sum(1), "as the variance"),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log()).sum(1), "KL must be 0"),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log() - 1), "4×3"),
    ("kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log() - 1).sum(0), r"\(3,\)"),
    (
        "kl",
        lambda mu, sigma: (sigma.log() + (1 + mu**2) / (2 * sigma**2) - 0.5).sum(1),
        "other way round",
    ),
    ("kl", lambda mu, sigma: (sigma - mu).log().sum(1), "NaN"),
    ("kl", lambda mu, sigma: mu.sum(1), "0.807"),
    ("kl", lambda mu, sigma: "0.5", "returned str '0.5'"),
    ("kl", 3.0, "without brackets.*3.0"),
    ("kl", lambda mu: mu, "raised TypeError"),
    ("reparameterise", lambda m, s, e: m + s**2 * e, "σ²"),
    ("reparameterise", lambda m, s, e: m + s.sqrt() * e, "√σ"),
    ("reparameterise", lambda m, s, e: m + (s / 2).exp() * e, "as log σ²"),
    ("reparameterise", lambda m, s, e: m + s.exp() * e, "as log σ"),
    ("reparameterise", lambda m, s, e: m + e, "σ has no influence"),
    ("reparameterise", lambda m, s, e: s * e, "μ has no influence"),
    ("reparameterise", lambda m, s, e: m, "without any noise"),
    ("reparameterise", lambda m, s, e: s + m * e, "swapped"),
    ("reparameterise", lambda m, s, e: m + s * torch.randn_like(s), "two different z"),
    ("reparameterise", lambda m, s, e: torch.normal(m, s), "two different z"),
    ("reparameterise", lambda m, s, e: (m + s * e).detach(), "no gradient"),
    ("reparameterise", lambda m, s, e: m + s.detach() * e, "does not reach σ"),
    ("reparameterise", lambda m, s, e: m.detach() + s * e, "does not reach μ"),
    ("reparameterise", lambda m, s, e: (m + s * e).sum(1), "as many entries"),
    ("reparameterise", lambda m, s, e: m - s * e, "ε = 0"),
    ("C_from_sigma", 100, "another factor"),
    ("C_from_sigma", 5, "square of the distance"),
    ("C_from_sigma", 10, "both"),
    ("C_from_sigma", 0.02, "stricter"),
    ("C_from_sigma", 0.005, "the smaller σ"),
    ("C_from_sigma", 200, "denominator"),
    ("C_from_sigma", 7, "density"),
    ("C_from_sigma", lambda sigma: 50, "σ = 0.4"),
    ("C_from_sigma", "fifty", "number is expected, got str 'fifty'"),
    ("C_from_sigma", math.nan, "NaN"),
    ("interpolate", lambda a, b, n: interpolate(b, a, n), "backwards"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n + 1), r"\(6, 3\)"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n).T, "swapped"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n + 1)[:-1], "stops before z_b"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n + 1)[1:], "leaves out z_a"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n + 2)[1:-1], "Both ends are left out"),
    ("interpolate", lambda a, b, n: interpolate(a, b, n) - a, "from 0"),
    (
        "interpolate",
        lambda a, b, n: a + torch.linspace(0, 1, n)[:, None] ** 2 * (b - a),
        "equally",
    ),
    ("interpolate", lambda a, b, n: torch.zeros(n, 3), "first row"),
    ("active_units", lambda k, t: k > t, "mask"),
    ("active_units", lambda k, t: k[k > t], "fraction"),
    ("active_units", lambda k, t: active_units(k, t).flip(0), "wrong order"),
    ("active_units", lambda k, t: (k > t).nonzero().flatten(), "not in the order"),
    ("active_units", lambda k, t: (k > t).nonzero(), r"\(4, 1\)"),
    ("active_units", lambda k, t: k.argsort(descending=True), "do not carry more"),
    ("active_units", lambda k, t: active_units(k, t - 1e-6), "2.5 nats .* do not carry more"),
    ("active_units", lambda k, t: active_units(k, 0.1), "threshold = 2.0"),
    ("active_units", lambda k, t: k[k > t].argsort(descending=True), "among the active"),
    ("active_units", lambda k, t: active_units(k, t)[:2], "should be 4 active"),
    ("active_units", lambda k, t: "1, 4", "indices is expected"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("vae", RIGHT, WRONG)


def test_hints_differ() -> None:
    for exercise in RIGHT:
        hints = [
            judge(f"vae.{name}", answer).message for name, answer, _ in WRONG if name == exercise
        ]
        assert len(set(hints)) >= len(hints) - 1, hints  # two ways of drawing inside share one
