"""The score of a mixture against automatic differentiation, and what the best denoiser is."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.by_hand.score import mixture_score


def log_density(x, points, sigma):
    squared = (x[:, None] - points[None]).square().sum(2)
    constant = math.log(len(points)) + points.shape[1] * math.log(sigma * math.sqrt(2 * math.pi))
    return torch.logsumexp(-squared / (2 * sigma**2), 1) - constant


@given(st.integers(0, 1000), st.floats(0.05, 2), st.integers(1, 4))
def test_it_is_the_gradient_of_the_log_density(seed, sigma, dimensions):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(7, dimensions, generator=generator, dtype=torch.float64)
    x = torch.randn(5, dimensions, generator=generator, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(log_density(x, points, sigma).sum(), x)
    assert torch.allclose(mixture_score(x.detach(), points, sigma), gradient, atol=1e-9, rtol=1e-9)


def test_of_one_gaussian_it_is_linear():
    x, point = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    assert torch.allclose(mixture_score(x, point, 0.5), torch.tensor([[-6.0, 4.0]]))


def test_no_other_step_denoises_better():
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(20, 2, generator=generator)
    clean = points[torch.randint(20, (20_000,), generator=generator)]
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=generator)
    step = 0.2**2 * mixture_score(noisy, points, 0.2)

    def error(factor, turned=0.0):
        rotation = torch.tensor(
            [[math.cos(turned), -math.sin(turned)], [math.sin(turned), math.cos(turned)]]
        )
        return float((noisy + factor * step @ rotation - clean).square().sum(1).mean())

    assert error(1) < min(error(0), error(0.8), error(1.2), error(1, 0.3), error(1, -0.3))


@pytest.mark.parametrize(
    ("x", "points", "sigma", "words"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 2), 0.0, "sigma must be positive, got 0.0"),
        (torch.zeros(3, 2), torch.zeros(4, 3), 1.0, r"must be M×D and N×D, got \(3, 2\) and"),
        (torch.zeros(3, 2), torch.zeros(0, 2), 1.0, "must be M×D and N×D"),
    ],
)
def test_one_sentence_says_what_is_wrong(x, points, sigma, words):
    with pytest.raises(ValueError, match=words):
        mixture_score(x, points, sigma)
