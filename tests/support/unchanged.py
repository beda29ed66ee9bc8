"""A model before and after something looked at it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def left_as_it_was(model: nn.Module) -> Iterator[nn.Module]:
    """Fails unless mode, weights, gradients and hooks of all modules are afterwards as before."""
    modules = list(model.modules())
    for index, module in enumerate(modules):
        module.training = index % 2 == 0  # modes that nobody would restore by chance
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = [p.requires_grad for p in model.parameters()]
    yield model
    assert [m.training for m in modules] == [i % 2 == 0 for i in range(len(modules))]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [p.requires_grad for p in model.parameters()] == wanted
    assert all(p.grad is None for p in model.parameters())
    for module in modules:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
