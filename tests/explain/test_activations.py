"""Activations against a pass by hand; filters as pictures."""

import pytest
import torch
from torch import nn

from companion.explain import passes
from companion.explain.activations import activations, channel_filters, embed
from companion.models import DigitCNN
from support.unchanged import left_as_it_was


def test_activations_are_those_of_a_pass_by_hand(monkeypatch):
    monkeypatch.setattr(passes, "LARGEST_ACTIVATION", 3 * 16 * 28 * 28 * 4)  # batches of 3
    torch.manual_seed(0)
    images = torch.rand(7, 1, 28, 28)
    with left_as_it_was(DigitCNN()) as model:
        found = activations(model, images, ["relu1", "layers.fc4", "fc5"])
        assert list(found) == ["relu1", "layers.fc4", "fc5"]
    x, model = images, model.eval()
    for name, layer in model.layers.named_children():
        with torch.no_grad():
            x = layer(x)
        for asked in {name, f"layers.{name}"} & found.keys():
            torch.testing.assert_close(found[asked], x)
    assert embed(model, images, "pool3").shape == (7, 64 * 3 * 3)
    torch.testing.assert_close(
        embed(model, images[0], "relu1"), found["relu1"][:1].flatten(1), rtol=1e-4, atol=1e-5
    )


def test_a_layer_in_place_does_not_change_what_came_before():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    found = activations(model, torch.rand(4, 1, 3, 3) - 0.5, ["0", "1"])
    assert found["0"].min() < 0
    torch.testing.assert_close(found["0"].relu(), found["1"])


def test_layers_without_activations_are_refused():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle, self.two = nn.Identity(), nn.MaxPool2d(2, return_indices=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(x)[0]

    images = torch.rand(2, 1, 4, 4)
    with left_as_it_was(Odd()) as model:
        with pytest.raises(ValueError, match=r"'idle'.*gave nothing"):
            activations(model, images, ["idle"])
        with pytest.raises(ValueError, match=r"'two'.*gave tuple"):
            activations(model, images, ["two"])
        with pytest.raises(ValueError, match="no layer 'conv1'; this model has idle, two"):
            activations(model, images, ["conv1"])


def test_filters_are_pictures_about_grey():
    model = DigitCNN()
    with torch.no_grad():
        model.layers.conv1.weight[0] = 0
        model.layers.conv1.weight[1] *= 1000
    pictures = channel_filters(model, "conv1")
    weight = model.layers.conv1.weight.detach()
    assert pictures.shape == weight.shape
    assert torch.equal(pictures[0], torch.full((1, 5, 5), 0.5))
    for picture, w in zip(pictures[1:], weight[1:], strict=True):
        assert (picture - 0.5).abs().max().item() == pytest.approx(0.5)
        torch.testing.assert_close((picture - 0.5) * 2 * w.abs().max(), w, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"'relu1' is a ReLU.*layers\.conv1, layers\.conv2"):
        channel_filters(model, "relu1")
