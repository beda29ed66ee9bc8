"""Gaussian maths against torch.distributions, Monte Carlo and autograd."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from companion.by_hand.gaussian import (
    kl_to_standard_normal,
    log_density,
    monte_carlo_kl,
    reparameterise,
)

means = st.floats(-10, 10)
deviations = st.floats(1e-3, 1e2)


def exact(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def standard_normal() -> Normal:
    return Normal(exact(0.0), exact(1.0))


@settings(deadline=None)
@given(mu=means, sigma=deviations)
def test_closed_form_equals_torch_distributions(mu: float, sigma: float) -> None:
    ours = kl_to_standard_normal(exact(mu), exact(sigma))
    theirs = kl_divergence(Normal(exact(mu), exact(sigma)), standard_normal())
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(mu=means, sigma=deviations)
def test_kl_is_never_negative(mu: float, sigma: float) -> None:
    # Near σ = 1 the true value vanishes, and rounding may leave some −1e-16.
    assert kl_to_standard_normal(exact(mu), exact(sigma)) >= -1e-14


def test_kl_is_zero_for_the_prior_itself_and_infinite_for_a_point() -> None:
    assert kl_to_standard_normal(exact(0.0), exact(1.0)) == 0
    assert kl_to_standard_normal(exact(0.0), exact(0.0)) == math.inf


def test_kl_keeps_dimensions_apart_and_broadcasts() -> None:
    mu, sigma = torch.tensor([[0.0, 1.0], [2.0, -1.0]]), torch.tensor([1.0, 2.0])
    kl = kl_to_standard_normal(mu, sigma)
    assert kl.shape == (2, 2)
    assert kl[1, 0] == pytest.approx(2.0)  # ½ μ² alone, since σ = 1


@settings(deadline=None)
@given(z=means, mu=means, sigma=deviations)
def test_log_density_equals_torch_distributions(z: float, mu: float, sigma: float) -> None:
    ours = log_density(exact(z), exact(mu), exact(sigma))
    theirs = Normal(exact(mu), exact(sigma)).log_prob(exact(z))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 1.0), (1.5, 0.3), (-3.0, 0.05), (0.2, 2.5)])
def test_monte_carlo_agrees_with_the_closed_form(mu: float, sigma: float) -> None:
    estimate, error = monte_carlo_kl(
        exact(mu), exact(sigma), samples=20_000, generator=torch.Generator().manual_seed(0)
    )
    assert abs(estimate - kl_to_standard_normal(exact(mu), exact(sigma))) <= 4 * error


def test_standard_error_is_the_spread_of_repeated_estimates() -> None:
    generator = torch.Generator().manual_seed(1)
    mu, sigma = torch.full((400,), 1.0), torch.full((400,), 0.5)
    estimates, errors = monte_carlo_kl(mu, sigma, samples=500, generator=generator)
    assert estimates.std() == pytest.approx(errors.mean().item(), rel=0.15)


def test_monte_carlo_broadcasts_and_is_reproducible() -> None:
    runs = [
        monte_carlo_kl(
            torch.zeros(3, 1), torch.ones(2), 10, generator=torch.Generator().manual_seed(7)
        )
        for _ in range(2)
    ]
    assert runs[0].estimate.shape == (3, 2)
    assert torch.equal(runs[0].estimate, runs[1].estimate)


def test_monte_carlo_refuses_what_it_cannot_estimate() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        monte_carlo_kl(torch.zeros(2), torch.ones(2), samples=1)
    with pytest.raises(ValueError, match="σ must be positive"):
        monte_carlo_kl(torch.zeros(2), torch.tensor([1.0, -1.0]), samples=10)


@settings(deadline=None)
@given(mu=means, sigma=deviations, noise=st.floats(-5, 5))
def test_gradient_flows_through_the_reparameterised_draw(
    mu: float, sigma: float, noise: float
) -> None:
    mu_, sigma_ = exact(mu).requires_grad_(), exact(sigma).requires_grad_()
    z = reparameterise(mu_, sigma_, exact(noise))
    assert z.item() == pytest.approx(mu + sigma * noise, rel=1e-12, abs=1e-12)
    to_mu, to_sigma = torch.autograd.grad(z, (mu_, sigma_))
    assert to_mu == 1
    assert to_sigma == noise


def test_fresh_noise_has_the_right_mean_and_spread() -> None:
    torch.manual_seed(0)
    z = reparameterise(torch.full((100_000,), 2.0), torch.full((100_000,), 0.5))
    assert z.mean().item() == pytest.approx(2.0, abs=4 * 0.5 / math.sqrt(100_000))
    assert z.std().item() == pytest.approx(0.5, rel=0.01)
