"""Networks side by side are the networks one by one."""

import pytest
import torch
from torch import nn

from companion.models import DenseStack


def alone(stack, number):
    """One network of a stack as torch's own layers."""
    layers = []
    for weight, bias in zip(stack.weights, stack.biases, strict=True):
        layer = nn.Linear(*weight.shape[1:])
        layer.weight = nn.Parameter(weight[number].detach().T.clone())
        layer.bias = nn.Parameter(bias[number, 0].detach().clone())
        layers += [layer, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def test_each_network_is_its_own():
    stack = DenseStack((3, 8, 8, 2), (5, 6, 7))
    x = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0))
    for number in range(3):
        assert torch.allclose(stack(x)[number], alone(stack, number)(x[number]), atol=1e-6)
    assert torch.equal(stack(x[0])[1], stack(x)[1]) is False
    assert torch.allclose(stack(x[0])[1], alone(stack, 1)(x[0]), atol=1e-6)


def test_a_network_does_not_depend_on_its_neighbours():
    both, one = DenseStack((2, 4, 1), (3, 9)), DenseStack((2, 4, 1), (9,))
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(both(x)[1], one(x)[0])


def test_training_side_by_side_is_training_alone():
    stack = DenseStack((2, 6, 1), (0, 1))
    copies = [alone(stack, number) for number in range(2)]
    x = torch.randn(2, 10, 2, generator=torch.Generator().manual_seed(2))
    optimizers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in (stack, *copies)]
    for _ in range(5):
        losses = [stack(x).square().mean((1, 2)).sum()]
        losses += [model(x[k]).square().mean() for k, model in enumerate(copies)]
        for optimizer, loss in zip(optimizers, losses, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for number, model in enumerate(copies):
        assert torch.allclose(stack(x)[number], model(x[number]), atol=1e-5)


def test_first_weights():
    stack = DenseStack((200, 100, 50), (0,))
    assert stack.weights[0].std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.05)
    assert stack.weights[1].std().item() == pytest.approx((1 / 100) ** 0.5, rel=0.05)
    assert not stack.biases[0].any()


@pytest.mark.parametrize(("sizes", "seeds"), [((3,), (0,)), ((3, 2), ()), ((3, 0), (0,))])
def test_what_is_refused(sizes, seeds):
    with pytest.raises(ValueError, match=r"expected two sizes or more|size"):
        DenseStack(sizes, seeds)
