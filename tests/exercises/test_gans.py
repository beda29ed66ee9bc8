"""The exercises of chapter 14: right answers, and each plausible mistake with its hint."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from support.answers import answer_tests


def real_mean(values: Tensor, logits: Tensor) -> Tensor:
    return (torch.softmax(logits, 0) * values).sum()


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    return (weights * values).sum() / weights.sum()


def best(p: Tensor, q: Tensor, share: float) -> Tensor:
    return share * p / (share * p + (1 - share) * q)


def losses(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    fake = G(noise)
    d_loss = softplus(-D(real)).mean() + softplus(D(fake.detach())).mean()
    return d_loss, softplus(-D(fake)).mean()


def with_logs(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    fake = G(noise)
    d_loss = -logsigmoid(D(real)).mean() - logsigmoid(-D(fake.detach())).mean()
    return d_loss, -logsigmoid(D(fake)).mean()


def printed(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    fake = G(noise)
    d_loss = softplus(D(real)).mean() + softplus(-D(fake)).mean()
    return d_loss, softplus(D(fake)).mean()


def of_d(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    d_loss, _ = losses(G, D, real, noise)
    return d_loss, softplus(D(G(noise))).mean()


def minimax(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    d_loss, _ = losses(G, D, real, noise)
    return d_loss, -softplus(D(G(noise))).mean()


def all_real(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    _, g_loss = losses(G, D, real, noise)
    return softplus(-D(real)).mean() + softplus(-D(G(noise).detach())).mean(), g_loss


def attached(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    fake = G(noise)
    return softplus(-D(real)).mean() + softplus(D(fake)).mean(), softplus(-D(fake)).mean()


def detached(G: Any, D: Any, real: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    fake = G(noise).detach()
    return softplus(-D(real)).mean() + softplus(D(fake)).mean(), softplus(-D(fake)).mean()


def optimistic(x: float, y: float, a: float, b: float, step: float) -> tuple[float, float]:
    return x - step * (2 * y - b), y + step * (2 * x - a)


RIGHT: dict[str, list[Any]] = {
    "real_mean": [real_mean, lambda v, s: torch.softmax(s, 0) @ v],
    "best_with_prior": [
        best,
        lambda p, q, s: torch.sigmoid((p / q).log() + torch.logit(torch.tensor(s).double())),
    ],
    "losses": [losses, with_logs],
    "optimistic": [optimistic, lambda *a: torch.tensor(optimistic(*a))],
}

WRONG: list[tuple[str, Any, str]] = [
    ("real_mean", lambda v, s: v.mean(), "as they are"),
    ("real_mean", lambda v, s: weighted(v, torch.sigmoid(s)), "D itself"),
    ("real_mean", lambda v, s: weighted(v, (-s).exp()), "turn the ratio round"),
    ("real_mean", lambda v, s: (s.exp() * v).mean(), "divide by their sum"),
    ("real_mean", lambda v, s: (s.exp() * v).sum(), "don't average"),
    ("real_mean", lambda v, s: 3 * real_mean(v, s), "has the logit"),
    ("real_mean", lambda v, s: weighted(v, s.clamp(max=50).exp()), "large logits"),
    ("best_with_prior", lambda p, q, s: p / (p + q), "no effect"),
    ("best_with_prior", lambda p, q, s: 1 - best(p, q, s), "are exchanged"),
    ("best_with_prior", lambda p, q, s: best(p, q, 1 - s), "weights are exchanged"),
    ("best_with_prior", lambda p, q, s: s * p / (s * p + q), "1 − share"),
    ("best_with_prior", lambda p, q, s: best(p, q, s) / s, "the one above"),
    ("best_with_prior", lambda p, q, s: best(p, q, s) ** 2, "Maximise"),
    ("losses", printed, "exchanged"),
    ("losses", all_real, "both kinds count as real"),
    ("losses", of_d, "less"),
    ("losses", minimax, "minimax"),
    ("losses", attached, "detach"),
    ("losses", detached, "no gradient for G"),
    ("losses", lambda *a: losses(*a)[0], "Two losses"),
    ("losses", lambda *a: tuple(loss.item() for loss in losses(*a)), "should be tensors"),
    ("losses", lambda *a: (2 * losses(*a)[0], losses(*a)[1]), "discriminator's loss is"),
    ("losses", lambda *a: (losses(*a)[0], 2 * losses(*a)[1]), "generator's loss is"),
    ("optimistic", lambda x, y, a, b, s: (x - s * y, y + s * x), "no effect"),
    ("optimistic", lambda x, y, a, b, s: optimistic(x, y, -a, -b, s), "taken off"),
    ("optimistic", lambda x, y, a, b, s: optimistic(x, y, a, b, 2 * s), "x ← x"),
    (
        "optimistic",
        lambda x, y, a, b, s: (x - s * (2 * x - a), y + s * (2 * y - b)),
        "exchanged",
    ),
    (
        "optimistic",
        lambda x, y, a, b, s: (x - s * (2 * y - b), y - s * (2 * x - a)),
        "goes up",
    ),
    (
        "optimistic",
        lambda x, y, a, b, s: (x - s * (2 * y - b), y + s * (2 * (x - s * (2 * y - b)) - a)),
        "from where x was",
    ),
]

(
    test_right_answers,
    test_each_mistake_gets_its_hint,
    test_unanswered_is_neutral,
    test_every_exercise_has_answers,
) = answer_tests("gans", RIGHT, WRONG)
