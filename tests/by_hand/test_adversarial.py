"""The losses against automatic differentiation; the best discriminator and JS against integrals."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from companion.by_hand.adversarial import (
    gaussian_density,
    jensen_shannon,
    minimax_loss,
    non_saturating_loss,
    optimal_discriminator,
)

logits = st.floats(-30, 30)


@given(logits)
def test_the_slopes_are_minus_d_and_d_minus_1(value):
    logit = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    D = torch.sigmoid(logit.detach())
    (of_game,) = torch.autograd.grad(minimax_loss(logit), logit)
    (of_used,) = torch.autograd.grad(non_saturating_loss(logit), logit)
    assert torch.isclose(of_game, -D, atol=1e-12)
    assert torch.isclose(of_used, D - 1, atol=1e-12)


def test_the_losses_are_logarithms_of_d():
    logit = torch.linspace(-5, 5, 11, dtype=torch.float64)
    D = torch.sigmoid(logit)
    assert torch.allclose(minimax_loss(logit), (1 - D).log())
    assert torch.allclose(non_saturating_loss(logit), -D.log())


@given(st.floats(0.01, 5), st.floats(0.01, 5))
def test_no_other_discriminator_is_better(p_data, p_model):
    best = optimal_discriminator(torch.tensor(p_data), torch.tensor(p_model)).item()
    found = minimize_scalar(
        lambda d: -(p_data * math.log(d) + p_model * math.log(1 - d)),
        bounds=(1e-6, 1 - 1e-6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert best == pytest.approx(found.x, abs=1e-5)


def test_of_two_equally_wide_gaussians_it_is_logistic():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    D = optimal_discriminator(gaussian_density(x, 1, 0.8), gaussian_density(x, -0.5, 0.8))
    expected = torch.sigmoid((1 - -0.5) / 0.8**2 * (x - 0.25))
    assert (D - expected).abs().max() < 1e-6


def test_where_neither_is_it_is_a_half():
    D = optimal_discriminator(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0]))
    assert D.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 1.0, 3.0])
def test_js_of_shifted_uniforms_is_the_part_that_does_not_overlap(shift):
    width = 1 / 4096
    x = (torch.arange(-4096, 5 * 4096, dtype=torch.float64) + 0.5) * width
    p, q = ((x > a) & (x < a + 1) for a in (0, shift))
    assert jensen_shannon(p.double(), q.double(), width) == pytest.approx(
        min(shift, 1) * math.log(2), abs=1e-6
    )


@pytest.mark.parametrize(("mu", "sigma"), [(0, 1), (1, 1), (2.5, 0.5), (6, 1.5)])
def test_js_of_gaussians_against_numerical_integration(mu, sigma):
    def density(x, mu, sigma):
        return math.exp(-0.5 * ((x - mu) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))

    def integrand(x):
        p, q = density(x, 0, 1), density(x, mu, sigma)
        m = (p + q) / 2
        return sum(0.5 * r * math.log(r / m) for r in (p, q) if r > 0)

    exact, _ = quad(integrand, -12, 20, epsabs=1e-11, limit=400, points=[0, mu])
    x = torch.linspace(-15, 25, 200_001, dtype=torch.float64)
    found = jensen_shannon(
        gaussian_density(x, 0, 1), gaussian_density(x, mu, sigma), float(x[1] - x[0])
    )
    assert found == pytest.approx(exact, abs=1e-6)
    assert 0 <= found + 1e-12 <= math.log(2)


def test_the_value_of_the_game_at_the_best_discriminator():
    """V(D*) = E_data log D* + E_model log(1 − D*) = 2 JS − 2 log 2."""
    x = torch.linspace(-10, 11, 100_001, dtype=torch.float64)
    width = float(x[1] - x[0])
    p, q = gaussian_density(x, 0, 1), gaussian_density(x, 1.3, 1)
    D = optimal_discriminator(p, q)
    value = width * float((torch.xlogy(p, D) + torch.xlogy(q, 1 - D)).sum())
    assert value == pytest.approx(2 * jensen_shannon(p, q, width) - 2 * math.log(2), abs=1e-9)


@pytest.mark.parametrize(
    ("p", "q", "width", "words"),
    [
        (torch.ones(3), torch.ones(4), 1, r"at the same places, got shapes \(3,\) and \(4,\)"),
        (-torch.ones(3), torch.ones(3), 1, "p_data must be finite and at least 0"),
        (torch.ones(3), torch.full((3,), math.nan), 1, "p_model must be finite"),
        (torch.ones(3), torch.ones(3), 0, "width must be positive, got 0"),
    ],
)
def test_one_sentence_says_what_is_wrong(p, q, width, words):
    with pytest.raises(ValueError, match=words):
        jensen_shannon(p, q, width)
