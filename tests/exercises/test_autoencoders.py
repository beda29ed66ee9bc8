"""The exercises of chapter 10: right answers, and each plausible mistake with its hint."""

import math
from typing import Any

import torch
from scipy.linalg import subspace_angles
from torch import Tensor

from support.answers import answer_tests


def loss(x: Tensor, encode: Any, decode: Any) -> Tensor:
    return (x - decode(encode(x))).square().flatten(1).sum(1).mean()


def squares(x: Tensor, encode: Any, decode: Any) -> Tensor:
    return (x - decode(encode(x))).square()


def cosines(A: Tensor, B: Tensor) -> Tensor:
    return torch.linalg.svdvals(torch.linalg.qr(A).Q.T @ torch.linalg.qr(B).Q)


def largest_angle(A: Tensor, B: Tensor) -> Tensor:
    return torch.acos(cosines(A, B).min().clamp(max=1))


def error(target: Tensor, copies: Tensor) -> Tensor:
    return (target - copies).square().flatten(1).sum(1).mean()


def denoising(model: Any, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    return error(x, model(x + sigma * noise))


RIGHT: dict[str, list[Any]] = {
    "loss": [
        loss,
        lambda x, e, d: loss(x, e, d).item(),
        lambda x, e, d: torch.linalg.vector_norm((x - d(e(x))).flatten(1), dim=1).square().mean(),
    ],
    "largest_angle": [
        largest_angle,
        lambda A, B: float(subspace_angles(A.numpy(), B.numpy()).max()),
    ],
    "denoising": [denoising, lambda m, x, n, s: denoising(m, x, n, s).item()],
}

WRONG: list[tuple[str, Any, str]] = [
    ("loss", lambda x, e, d: squares(x, e, d).mean(), "average over them"),
    ("loss", lambda x, e, d: squares(x, e, d).sum(), "sum over them"),
    ("loss", lambda x, e, d: squares(x, e, d).flatten(1).sum(1).sqrt().mean(), "root"),
    ("loss", lambda x, e, d: (x - d(e(x))).abs().flatten(1).sum(1).mean(), "absolute"),
    ("loss", lambda x, e, d: squares(x, e, d).sum(1).mean(), "one axis only"),
    ("loss", lambda x, e, d: 2 * loss(x, e, d), "there should be"),
    ("largest_angle", lambda A, B: torch.acos(cosines(A, B).max()), "smallest angle"),
    ("largest_angle", lambda A, B: math.degrees(largest_angle(A, B)), "degrees"),
    ("largest_angle", lambda A, B: cosines(A, B).min(), "arc cosine"),
    (
        "largest_angle",
        lambda A, B: torch.acos(torch.linalg.svdvals(A.T @ B).clamp(max=1).min()),
        "orthonormal",
    ),
    (
        "largest_angle",
        lambda A, B: torch.acos(torch.cosine_similarity(A[:, 0], B[:, 0], dim=0).abs()),
        "first columns",
    ),
    ("largest_angle", lambda A, B: 0.5 * largest_angle(A, B), "there should be"),
    (
        "largest_angle",
        lambda A, B: torch.acos(cosines(A, B).min() * (1 + 1e-6 * (cosines(A, B).min() > 0.999))),
        "above 1",
    ),
    ("denoising", lambda m, x, n, s: error(x + s**2 * n, m(x)), "All three"),
    ("denoising", lambda m, x, n, s: error(x + s * n, m(x)), "exchange them"),
    ("denoising", lambda m, x, n, s: error(x, m(x + s**2 * n)), "standard deviation"),
    ("denoising", lambda m, x, n, s: error(x + s * n, m(x + s * n)), "keep the noise"),
    ("denoising", lambda m, x, n, s: error(x, m(x)), "nothing to remove"),
    ("denoising", lambda m, x, n, s: error(x + s**2 * n, m(x + s**2 * n)), "target is noisy"),
    ("denoising", lambda m, x, n, s: (x - m(x + s * n)).square().mean(), "summed"),
    ("denoising", lambda m, x, n, s: 3 * denoising(m, x, n, s), "Write down"),
]

(
    test_right_answers,
    test_each_mistake_gets_its_hint,
    test_unanswered_is_neutral,
    test_every_exercise_has_answers,
) = answer_tests("autoencoders", RIGHT, WRONG)
