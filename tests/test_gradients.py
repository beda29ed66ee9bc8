"""Gradient norms by layer against autograd, and what GoogLeNet's heads do to them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.gradients import gradient_norms
from companion.models import DigitCNN, GoogLeNet


def test_norms_are_those_of_backward():
    torch.manual_seed(0)
    model = DigitCNN(size=8)
    loss = F.cross_entropy(model(torch.rand(5, 1, 8, 8)), torch.arange(5))
    norms = gradient_norms(model, loss)
    loss.backward()  # the graph is still there
    for name, layer in model.layers.named_children():
        gradients = [p.grad.flatten() for p in layer.parameters()]
        assert (name in norms) == bool(gradients)
        if gradients:
            assert norms[name] == pytest.approx(torch.cat(gradients).norm().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (torch.zeros(3, requires_grad=True), r"one number.*\(3,\)"),
        (torch.zeros(()), "without a graph"),
        (torch.zeros((), requires_grad=True), "does not depend"),
    ],
)
def test_bad_losses(loss, message):
    with pytest.raises(ValueError, match=message):
        gradient_norms(DigitCNN(size=8), loss)


def test_heads_reach_what_lies_below_them_alone():
    torch.manual_seed(0)
    model = GoogLeNet(num_classes=5).train()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
    outputs = model(torch.randn(1, 3, 224, 224))
    main, low, high = (
        gradient_norms(model, F.cross_entropy(logits, torch.tensor([2]))) for logits in outputs
    )
    assert min(main.values()) > 0
    reached = [[name for name, norm in norms.items() if norm] for norms in (low, high)]
    assert [names[-1] for names in reached] == ["inception4a", "inception4d"]
    assert all(names[0] == "conv1" for names in reached)
    # With weights as small as AlexNet's, hardly anything of the main loss arrives at the bottom.
    assert low["conv1"] > 100 * main["conv1"]
