"""Models trained at once are what they would be if each were trained alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.training import fit_side_by_side


def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)
    return torch.randn(23, 3, 4, generator=g), torch.randint(3, (23,), generator=g)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_each_is_as_trained_alone_by_torchs_sgd(data, momentum):
    x, y = data
    rates, seeds = (0.01, 0.3), (5, 6)
    models = [net(seed) for seed in seeds]
    fit_side_by_side(
        models, x, y, F.cross_entropy, rates, epochs=3, batch_size=8, seeds=seeds, momentum=momentum
    )
    for model, lr, seed in zip(models, rates, seeds, strict=True):
        alone = net(seed)
        sgd = torch.optim.SGD(alone.parameters(), lr=lr, momentum=momentum)
        g = torch.Generator().manual_seed(seed)
        for _ in range(3):
            for rows in torch.randperm(len(x), generator=g).split(8):
                sgd.zero_grad()
                F.cross_entropy(alone(x[rows]), y[rows]).backward()
                sgd.step()
        for ours, theirs in zip(model.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_one_that_diverges_harms_no_other(data):
    x, y = data
    models, alone = [net(0), net(0)], net(0)
    settings = {"epochs": 4, "batch_size": 23, "seeds": (1, 1)}
    fit_side_by_side(models, x, y, explosive, (1e30, 0.1), **settings)
    fit_side_by_side([alone], x, y, explosive, (0.1,), epochs=4, batch_size=23, seeds=(1,))
    assert not all(p.isfinite().all() for p in models[0].parameters())
    for ours, theirs in zip(models[1].parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def explosive(logits, labels):
    return logits.square().sum(1).mean()


def test_every_model_needs_a_rate_and_a_seed(data):
    with pytest.raises(ValueError, match="got 2 models, 1 rates and 2 seeds"):
        fit_side_by_side(
            [net(0), net(1)], *data, F.cross_entropy, [0.1], epochs=1, batch_size=4, seeds=(0, 1)
        )
