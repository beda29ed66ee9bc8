"""The autoencoder, the VAE and its loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from companion.models import (
    ConvAutoencoder,
    ConvVAE,
    VAEOutput,
    default_widths,
    gaussian_constant,
    vae_loss,
)

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 21, 34)]


def small_vae(latent_dim: int = 3) -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE((1, 8, 8), latent_dim, widths=(8, 16), hidden=16)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_in_and_out(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape)
    autoencoder, vae = ConvAutoencoder(shape, 5), ConvVAE(shape, 5)
    assert autoencoder.image_shape == vae.image_shape == shape
    assert autoencoder.encode(x).shape == (2, 5)
    assert autoencoder(x).shape == x.shape
    output = vae(x)
    assert output.reconstruction.shape == x.shape
    assert output.mu.shape == output.log_var.shape == output.z.shape == (2, 5)
    z = torch.randn(4, 5)
    assert torch.equal(vae.decode(z), vae.decoder(z))
    assert vae.decode(z).min() >= 0
    assert vae.decode(z).max() <= 1


@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((1, 8, 8), (128,)),
        ((1, 28, 28), (64, 128)),
        ((3, 32, 32), (32, 64, 128)),
        ((3, 64, 64), (32, 32, 64, 128)),
    ],
    ids=str,
)
def test_default_widths(shape: tuple[int, int, int], widths: tuple[int, ...]) -> None:
    assert default_widths(shape) == widths
    assert ConvAutoencoder(shape, 2).widths == widths


def test_every_parameter_learns_and_every_output_pixel_depends_on_the_code() -> None:
    vae = ConvVAE((3, 21, 34), 4)
    x = torch.rand(8, 3, 21, 34)
    vae_loss(x, vae(x), C=1.0).total.backward()
    assert all(p.grad is not None and p.grad.any() for p in vae.parameters())
    images = vae.decode(3 * torch.randn(32, 4))
    assert (images.std(0) > 0).all()


def test_the_signal_keeps_its_strength_through_a_fresh_network() -> None:
    # What He initialisation is for: with PyTorch's default the features shrink to almost nothing.
    torch.manual_seed(0)
    vae = ConvVAE((3, 64, 64), 8)
    features = vae.encoder(torch.randn(64, 3, 64, 64))
    assert 0.3 < features.square().mean() < 3


@pytest.mark.parametrize("model", [ConvAutoencoder, ConvVAE])
def test_wrong_images_and_codes_are_refused(model: type[ConvVAE] | type[ConvAutoencoder]) -> None:
    net = model((1, 8, 8), 3)
    with pytest.raises(ValueError, match="N×1×8×8, got 2×3×8×8"):
        net.encode(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="N×1×8×8, got 1×8×8"):
        net(torch.rand(1, 8, 8))
    with pytest.raises(ValueError, match=r"uint8.*/ 255"):
        net.encode(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="N×3, got 2×4"):
        net.decode(torch.zeros(2, 4))


@pytest.mark.parametrize("model", [ConvAutoencoder, ConvVAE])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"widths": ()}, "widths"),
        ({"widths": (8, 0)}, "widths"),
        ({"widths": (8, 8, 8, 8)}, "nothing of an image of 8×8"),
        ({"image_shape": (8, 8)}, r"image_shape .* got \(8, 8\)"),
        ({"image_shape": (0, 8, 8)}, "image_shape"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(
    model: type[ConvVAE] | type[ConvAutoencoder], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**({"image_shape": (1, 8, 8)} | settings))  # type: ignore[arg-type]


def test_a_draw_is_mu_plus_sigma_times_noise() -> None:
    vae, x = small_vae(), torch.rand(5, 1, 8, 8)
    mu, log_var = vae.encode(x)
    noise = torch.randn(5, 3)
    torch.testing.assert_close(
        vae.reparameterise(mu, log_var, noise), mu + (0.5 * log_var).exp() * noise
    )
    torch.manual_seed(1)
    first = vae(x)
    torch.manual_seed(1)
    assert torch.equal(first.z, vae(x).z)
    assert not torch.equal(first.z, vae(x).z)
    torch.testing.assert_close(first.reconstruction, vae.decode(first.z))


def test_log_var_stays_finite_for_absurd_inputs() -> None:
    vae = small_vae()
    x = (1e6 * torch.randn(4, 1, 8, 8)).requires_grad_()
    _, log_var = vae.encode(x)
    assert log_var.abs().max() <= 10
    loss = vae_loss(x.detach(), vae(torch.rand(4, 1, 8, 8)), C=1.0)
    assert loss.total.isfinite()
    assert VAEOutput(x, *vae.encode(x), log_var).log_var.exp().isfinite().all()


@settings(deadline=None)
@given(C=st.floats(0.1, 100), beta=st.floats(0, 10), seed=st.integers(0, 100))
def test_loss_is_the_negative_elbo(C: float, beta: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x, x_hat = draw(6, 3, 4, 4), draw(6, 3, 4, 4)
    mu, log_var = draw(6, 2), draw(6, 2)
    loss = vae_loss(x, VAEOutput(x_hat, mu, log_var, mu), C=C, beta=beta)

    sigma_x = math.sqrt(1 / (2 * C))
    log_likelihood = Normal(x_hat, sigma_x).log_prob(x).sum((1, 2, 3)).mean()
    kl = kl_divergence(Normal(mu, (0.5 * log_var).exp()), Normal(0.0, 1.0)).mean(0)
    nll = loss.reconstruction + gaussian_constant(C, (3, 4, 4))
    torch.testing.assert_close(nll, -log_likelihood, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.kl_per_dim, kl, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(loss.kl, kl.sum(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(loss.total, loss.reconstruction + beta * loss.kl)


def test_loss_does_not_depend_on_the_batch_size() -> None:
    vae, x = small_vae(), torch.rand(1, 1, 8, 8)
    one = vae(x)
    many = VAEOutput(*(part.repeat(7, *[1] * (part.ndim - 1)) for part in one))
    for a, b in zip(
        vae_loss(x, one, C=3.0), vae_loss(x.repeat(7, 1, 1, 1), many, C=3.0), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_loss_of_outputs_in_few_bits_is_summed_in_full() -> None:
    vae, x = small_vae(), torch.rand(64, 1, 8, 8)
    halved = VAEOutput(*(part.bfloat16() for part in vae(x)))
    loss = vae_loss(x, halved, C=3.0)
    exact = vae_loss(x.double(), VAEOutput(*(part.double() for part in halved)), C=3.0)
    for a, b in zip(loss, exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


def test_loss_refuses_images_that_do_not_match_and_a_weight_without_meaning() -> None:
    vae = small_vae()
    with pytest.raises(ValueError, match="one shape"):
        vae_loss(torch.rand(1, 1, 8, 8), vae(torch.rand(2, 1, 8, 8)), C=1.0)
    with pytest.raises(ValueError, match="C must be positive, got 0"):
        gaussian_constant(0, (1, 8, 8))


def test_a_few_steps_reduce_the_loss() -> None:
    vae, x = small_vae(), torch.rand(1, 1, 8, 8).repeat(16, 1, 1, 1).round()
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    totals = []
    for _ in range(60):
        loss = vae_loss(x, vae(x), C=10.0)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        totals.append(loss.total.item())
    assert totals[-1] < 0.2 * totals[0]


# ---- other likelihoods, a capacity


def passed(x: Tensor, x_hat: Tensor, mu: Tensor) -> VAEOutput:
    return VAEOutput(x_hat, mu, torch.zeros_like(mu), mu)


def test_bernoulli_is_torchs_cross_entropy() -> None:
    torch.manual_seed(0)
    x, x_hat, mu = torch.rand(5, 1, 4, 4), torch.rand(5, 1, 4, 4), torch.randn(5, 2)
    loss = vae_loss(x, passed(x, x_hat, mu), likelihood="bernoulli")
    expected = torch.nn.functional.binary_cross_entropy(x_hat, x, reduction="sum") / 5
    torch.testing.assert_close(loss.reconstruction, expected, rtol=1e-5, atol=1e-5)
    assert loss.total.item() == pytest.approx((loss.reconstruction + loss.kl).item())
    binary = (x > 0.5).float()
    likelihood = torch.distributions.Bernoulli(x_hat).log_prob(binary).flatten(1).sum(1).mean()
    loss = vae_loss(binary, passed(binary, x_hat, mu), likelihood="bernoulli")
    torch.testing.assert_close(loss.reconstruction, -likelihood, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="'gaussian' or 'bernoulli', got 'poisson'"):
        vae_loss(x, passed(x, x_hat, mu), likelihood="poisson")


def test_bernoulli_survives_pixels_that_are_certain() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 1.0]).view(1, 1, 2, 2)
    logits = torch.tensor([-200.0, 200.0, 200.0, -200.0], requires_grad=True)
    x_hat = logits.sigmoid().view(1, 1, 2, 2)  # exactly 0 and 1: two right, two wrong
    loss = vae_loss(x, passed(x, x_hat, torch.zeros(1, 1)), likelihood="bernoulli")
    assert 100 < loss.reconstruction.item() < 250
    loss.total.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("capacity", "sign"), [(0.5, 1.0), (50.0, -1.0)])
def test_capacity_draws_the_kl_to_it(capacity: float, sign: float) -> None:
    x = torch.rand(3, 1, 4, 4)
    mu = torch.full((3, 2), 1.5, requires_grad=True)  # KL = 2 · 1.5² / 2 = 2.25 nats
    loss = vae_loss(x, passed(x, x, mu), beta=10.0, capacity=capacity)
    assert loss.total.item() == pytest.approx(10 * abs(2.25 - capacity), rel=1e-5)
    assert loss.kl.item() == pytest.approx(2.25)
    (gradient,) = torch.autograd.grad(loss.total, mu)
    assert torch.equal(gradient.sign(), torch.full_like(mu, sign))
