"""A rotation of the latent space: −ELBO stays, MIG falls; and the information of posteriors."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from companion import recipes
from companion.by_hand.gaussian import kl_to_standard_normal
from companion.datasets import load_images
from companion.disentanglement import (
    diagonal_loss,
    mig,
    mutual_information,
    posterior_information,
    rotated_kl,
    rotated_negative_elbo,
    rotation,
)


def posteriors(rows: int = 30, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, d)), rng.normal(size=(rows, d)) - 1


def any_rotation(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]


def test_the_shipped_model_rotated():
    """What the chapter says: −ELBO within 1e-4, while MIG falls."""
    model = recipes.load("beta-vae-sprites-200-to-4")[0].double()
    sprites = load_images("sprites", "test", size=500)
    x = sprites.images.double() / 255
    with torch.no_grad():
        mu = torch.cat([model.encode(part)[0] for part in x.split(250)]).numpy()
    few = x[:40]
    noise = torch.randn(40, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = rotated_negative_elbo(model, few, np.eye(8), noise, C=4)
    before = mig(sprites.factors, mu)
    for turn, highest in (
        (rotation(8, (0, 1), 15), before - 0.05),
        (rotation(8, (0, 1), 45), before - 0.15),
        (any_rotation(8), before / 3),
    ):
        rotated = rotated_negative_elbo(model, few, turn, noise, C=4)
        torch.testing.assert_close(rotated, plain, atol=1e-4, rtol=0)
        assert mig(sprites.factors, mu @ turn.T) < highest


def test_without_rotation_it_is_the_loss_by_densities():
    class Model:
        def encode(self, x):
            return x.flatten(1)[:, :2], x.flatten(1)[:, 2:] - 1

        def decode(self, z):
            return torch.cat([z, z**2], 1).view(-1, 1, 2, 2)

    x = torch.rand(200, 1, 2, 2, dtype=torch.float64)
    noise = torch.randn(200, 2, dtype=torch.float64)
    found = rotated_negative_elbo(Model(), x, np.eye(2), noise, C=3.0)
    mu, log_var = Model().encode(x)
    z = mu + torch.exp(log_var / 2) * noise
    misfit = 3 * ((x - Model().decode(z)) ** 2).sum((1, 2, 3))
    normal = torch.distributions.Normal
    ratio = normal(mu, torch.exp(log_var / 2)).log_prob(z) - normal(0.0, 1.0).log_prob(z)
    torch.testing.assert_close(found, misfit + ratio.sum(1))


def test_kl_is_torchs_and_invariant():
    mu, log_var = posteriors()
    plain = kl_to_standard_normal(torch.tensor(mu), torch.exp(0.5 * torch.tensor(log_var))).sum(1)
    turn = any_rotation(4)
    found = rotated_kl(mu, log_var, turn)
    np.testing.assert_allclose(found, plain.numpy(), atol=1e-9)
    r = torch.tensor(turn)
    rotated = MultivariateNormal(
        torch.tensor(mu) @ r.T, r @ torch.diag_embed(torch.tensor(log_var).exp()) @ r.T
    )
    prior = MultivariateNormal(torch.zeros(4, dtype=torch.float64), torch.eye(4).double())
    np.testing.assert_allclose(found, kl_divergence(rotated, prior).numpy(), atol=1e-9)


def test_no_diagonal_gaussian_misses_less():
    _, log_var = posteriors(rows=1)
    turn = rotation(4, (0, 2), 30) @ rotation(4, (1, 2), 50)
    r = torch.tensor(turn)
    covariance = r @ torch.diag(torch.tensor(log_var[0]).exp()) @ r.T
    target = MultivariateNormal(torch.zeros(4, dtype=torch.float64), covariance)
    free = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def missed() -> torch.Tensor:
        diagonal = MultivariateNormal(torch.zeros(4).double(), torch.diag(free.exp()))
        optimizer.zero_grad()
        loss = kl_divergence(diagonal, target)
        loss.backward()
        return loss

    optimizer.step(missed)
    assert diagonal_loss(log_var, turn)[0] == pytest.approx(missed().item(), abs=1e-6)
    np.testing.assert_allclose(diagonal_loss(log_var, np.eye(4)), 0, atol=1e-12)
    np.testing.assert_allclose(diagonal_loss(np.full((3, 4), -2.0), turn), 0, atol=1e-12)


def test_rotation_is_one():
    turn = rotation(5, (3, 1), 33)
    np.testing.assert_allclose(turn @ turn.T, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(rotation(2, (0, 1), 90) @ [1.0, 2.0], [2.0, -1.0], atol=1e-12)
    with pytest.raises(ValueError, match=r"two different latents below 5, got \(1, 1\)"):
        rotation(5, (1, 1), 3)
    with pytest.raises(ValueError, match="two different latents below 5"):
        rotation(5, (0, 5), 3)


class TestPosteriors:
    @pytest.mark.parametrize("correlation", [0.3, 0.7, 0.9])
    def test_gaussians(self, correlation):
        """−½ log(1 − ρ²) nats in the limit of many bins."""
        v = np.random.default_rng(0).normal(size=20_000)
        mu = np.c_[correlation * v, correlation * np.random.default_rng(1).normal(size=20_000)]
        log_var = np.full(mu.shape, math.log(1 - correlation**2))
        found = posterior_information({"v": v}, mu, log_var, bins=60)[0]
        np.testing.assert_allclose(found, [-0.5 * math.log(1 - correlation**2), 0], atol=0.02)

    def test_a_collapsed_latent_tells_nothing_but_its_mean_everything(self):
        v = np.random.default_rng(0).normal(size=2000)
        mu, log_var = 1e-3 * v[:, None], np.zeros((2000, 1))
        assert mutual_information({"v": v}, mu)[0, 0] == pytest.approx(math.log(20))
        assert posterior_information({"v": v}, mu, log_var)[0, 0] < 1e-4

    def test_it_is_what_many_draws_are_counted_to(self):
        rng = np.random.default_rng(0)
        kind = rng.integers(3, size=400)
        mu = kind[:, None] + rng.normal(size=(400, 1))
        log_var = np.full((400, 1), -1.0)
        draws = (mu + math.exp(-0.5) * rng.normal(size=(400, 500))).ravel()[:, None]
        counted = mutual_information({"k": np.repeat(kind, 500)}, draws)
        found = posterior_information({"k": kind}, mu, log_var)
        np.testing.assert_allclose(found, counted, atol=0.005)

    def test_refusals(self):
        v = np.arange(5.0)
        with pytest.raises(ValueError, match=r"log variances of the shape \(5, 1\)"):
            posterior_information({"v": v}, v[:, None], np.zeros((5, 2)))
        with pytest.raises(ValueError, match="Expected finite log variances"):
            posterior_information({"v": v}, v[:, None], np.full((5, 1), np.nan))
