"""Gradient norms by layer against autograd, and what GoogLeNet's heads do to them."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.explain.gradients import gradient_norms, term_norms
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
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # so that the second pass below is the first
    images, labels = torch.randn(2, 3, 224, 224), torch.tensor([2, 4])
    main, low, high, everything = term_norms(model, images, labels).values()
    assert min(main.values()) > 0
    reached = [[name for name, norm in norms.items() if norm] for norms in (low, high)]
    assert [names[-1] for names in reached] == ["inception4a", "inception4d"]
    assert all(names[0] == "conv1" for names in reached)
    # With weights as small as AlexNet's, the main loss loses a factor of ten in each module, and
    # below 4a the head there gives thousands of times as much.
    modules = [norm for name, norm in main.items() if name.startswith("inception")]
    assert all(4 < after / before < 20 for before, after in pairwise(modules))
    assert all(low[name] > 1000 * main[name] for name in reached[0])
    # All together is the loss of the paper, by another way.
    outputs = model(images)
    main_loss, *heads = (F.cross_entropy(logits, labels) for logits in outputs)
    (main_loss + 0.3 * sum(heads)).backward()
    for name in ("conv1", "inception4a", "fc"):
        parts = [p.grad.flatten() for p in getattr(model.layers, name).parameters()]
        assert everything[name] == pytest.approx(torch.cat(parts).norm().item(), rel=1e-4)


def test_terms_need_the_heads():
    model = GoogLeNet(num_classes=5, auxiliary_heads=False).train()
    with pytest.raises(ValueError, match="with auxiliary heads in training mode"):
        term_norms(model, torch.zeros(1, 3, 224, 224), torch.tensor([0]))
