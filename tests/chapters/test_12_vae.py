"""What chapter 12 claims of its trainings, with seeds that the chapter does not use."""

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch.nn.functional import conv2d

from companion.datasets import load_images
from companion.models import ConvAutoencoder, ConvVAE, vae_loss
from companion.training import fit

pytestmark = pytest.mark.slow  # each trains

TRAIN, TEST = load_images("digits", "train"), load_images("digits", "test")
REAL, UNSEEN = TRAIN.pixels(), TEST.pixels()
SEED = 2


def trained(kind, loss, epochs=40):
    torch.manual_seed(SEED)
    model = kind((1, 8, 8), 16, widths=(32,), hidden=64)
    how = {"batch_size": 64, "lr": 4e-3, "schedule": "cosine", "progress": False}
    fit(model, TRAIN, loss, seed=SEED, epochs=epochs, **how)
    return model


def vae(C, epochs=40):
    return trained(ConvVAE, lambda m, x, _: vae_loss(x, m(x), C=C).total, epochs)


def nearest(images: Tensor, others: Tensor) -> float:
    apart = torch.cdist(images.flatten(1), others.flatten(1)).amin(1)
    return apart.square().mean().item()


def from_prior(model):
    z = torch.randn(500, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return model.decode(z)


def fitted(model, codes, parts):
    mixture = GaussianMixture(parts, reg_covar=1e-4, random_state=0)
    draws, _ = mixture.fit(codes.double().numpy()).sample(500)
    with torch.no_grad():
        return model.decode(torch.tensor(draws).float())


@pytest.fixture(scope="module")
def both():
    def squared_error(model, images, labels):
        return (images - model(images)).square().sum((1, 2, 3)).mean()

    return trained(ConvAutoencoder, squared_error), vae(10)


def test_who_generates_better_and_against_which_rival(both):
    autoencoder, model = both
    with torch.no_grad():
        codes, means = autoencoder.encode(REAL), model.encode(REAL)[0]
    samples = [
        fitted(model, means, 10),
        fitted(autoencoder, codes, 10),
        from_prior(model),
        fitted(autoencoder, codes, 1),
        from_prior(autoencoder),
    ]
    for far in (lambda s: nearest(s, REAL), lambda s: nearest(UNSEEN, s)):
        distances = [far(s) for s in samples]
        assert distances == sorted(distances)


def test_the_distance_is_kind_to_blur_and_to_copies(both):
    autoencoder, model = both
    blur = torch.tensor([[[[0, 0.05, 0], [0.05, 0.8, 0.05], [0, 0.05, 0]]]])
    with torch.no_grad():
        copies = autoencoder(UNSEEN), model.decode(model.encode(UNSEEN)[0])
    itself = nearest(UNSEEN, REAL)
    assert nearest(conv2d(UNSEEN, blur, padding=1), REAL) < itself
    assert nearest(copies[1], REAL) < nearest(copies[0], REAL) < itself


def test_c_decides_between_collapse_and_holes():
    used, sigma, error, to_real = {}, {}, {}, {}
    for C in (1, 3, 100):
        model = vae(C, epochs=25)
        with torch.no_grad():
            parts = vae_loss(UNSEEN, model(UNSEEN), C=C)
            sigma[C] = (model.encode(UNSEEN)[1] / 2).exp().mean()
        used[C] = (parts.kl_per_dim > 0.05).sum()
        error[C], to_real[C] = parts.reconstruction / C, nearest(from_prior(model), REAL)
    mean = (UNSEEN - REAL.mean(0)).square().sum((1, 2, 3)).mean()
    assert used[1] <= 3 < used[3] < used[100] == 16
    assert sigma[1] > 0.95 > sigma[3] > 0.5 > sigma[100]
    assert 0.9 * mean < error[1] < mean
    assert error[100] < error[3] < error[1]
    assert to_real[3] < min(to_real[1], to_real[100])


def test_after_collapse_the_convolutions_hardly_get_a_gradient():
    torch.manual_seed(SEED)
    model = ConvVAE((1, 8, 8), latent_dim=2, widths=(32,), hidden=64)
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    filters = [p for p in model.encoder.parameters() if p.ndim == 4]

    def go_on(steps, beta):
        for _ in range(steps):
            batch = REAL[torch.randint(len(REAL), (64,), generator=generator)]
            adam.zero_grad()
            vae_loss(batch, model(batch), C=10, beta=beta).total.backward()
            adam.step()
        slopes = torch.autograd.grad(vae_loss(REAL, model(REAL), C=10).total, filters)
        return sum(s.square().sum() for s in slopes) ** 0.5

    before, after = go_on(300, 1), go_on(200, 50)
    assert 15 * after < before
