"""Passes that leave a model as it was, and how large their batches are."""

import pytest
import torch
from torch import nn

from companion.explain.passes import (
    LARGEST_ACTIVATION,
    evaluating,
    first_pass,
    for_model,
    named_layers,
)
from companion.models import DigitCNN
from support.unchanged import left_as_it_was


def test_modes_come_back_also_after_an_error():
    def stumble(model: nn.Module) -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise KeyError

    with left_as_it_was(DigitCNN()) as model, pytest.raises(KeyError):
        stumble(model)


@pytest.mark.parametrize("width", [1, 8])
def test_a_batch_holds_what_keeps_its_largest_activation_small(width):
    model = nn.Sequential(nn.Conv2d(3, width, 1), nn.Flatten(), nn.Linear(width * 64 * 64, 2))
    with left_as_it_was(model):
        logits, size = first_pass(model, torch.rand(1, 3, 64, 64))
    assert logits.shape == (1, 2)
    assert size == LARGEST_ACTIVATION // (max(3, width) * 64 * 64 * 4)
    assert first_pass(nn.Identity(), torch.zeros(1, 3, 1000, 1000))[1] == 1


def test_images_come_to_the_model():
    model = DigitCNN().double()
    assert for_model(model, torch.rand(1, 28, 28)).shape == (1, 1, 28, 28)
    assert for_model(model, torch.rand(2, 1, 28, 28)).dtype == torch.float64


def test_layers_by_name():
    model = DigitCNN()
    found = named_layers(model, ["conv1", "layers.conv2"])
    assert found == {"conv1": model.layers.conv1, "layers.conv2": model.layers.conv2}
    with pytest.raises(ValueError, match=r"no layer 'conv9'.*layers\.conv1.*layers\.fc5"):
        named_layers(model, ["conv9"])
