"""Maps by gradients against captum's."""

import captum.attr
import pytest
import torch
from torch import nn

from companion.explain import passes
from companion.explain.saliency import grad_cam, gradient_map, integrated_gradients
from companion.models import DigitCNN
from support.unchanged import left_as_it_was


def network(inplace: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace), nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 3, padding=1), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(), nn.Linear(20, 4),
    )  # fmt: skip


IMAGE = torch.rand(2, 9, 12, generator=torch.Generator().manual_seed(3))


def score(model: nn.Module, output: str):
    model.eval()
    return (lambda x: model(x).softmax(1)) if output == "probability" else model


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_equal_captums(output, monkeypatch):
    monkeypatch.setattr(passes, "LARGEST_ACTIVATION", 5 * 6 * 9 * 12 * 4)  # batches of 5
    model = network()
    oracle, x = score(model, output), IMAGE[None]
    wanted = captum.attr.Saliency(oracle).attribute(x, target=2)[0].amax(0)
    torch.testing.assert_close(gradient_map(model, IMAGE, 2, output=output), wanted)

    wanted = captum.attr.IntegratedGradients(oracle).attribute(
        x, 0.3 * torch.ones_like(x), target=2, n_steps=12, method="riemann_middle"
    )
    found = integrated_gradients(model, IMAGE, 2, baseline=0.3, steps=12, output=output)
    torch.testing.assert_close(found, wanted[0].sum(0))

    cam = captum.attr.LayerGradCam(oracle, model[4])
    wanted = cam.attribute(x, target=2, relu_attributions=True)
    wanted = captum.attr.LayerAttribution.interpolate(wanted, (9, 12), "bilinear")[0, 0]
    found = grad_cam(model, IMAGE, 2, "4", output=output)
    assert found.any()
    torch.testing.assert_close(found, wanted)


def test_integrated_gradients_add_up():
    model, baseline = network().eval(), torch.rand(2, 9, 12)
    found = integrated_gradients(model, IMAGE, 1, baseline=baseline, steps=2000)
    with torch.no_grad():
        ends = model(torch.stack([IMAGE, baseline]))[:, 1]
    assert found.sum().item() == pytest.approx((ends[0] - ends[1]).item(), abs=1e-3)


def test_layers_in_place_change_nothing():
    for layer in ("0", "4"):
        maps = [grad_cam(network(inplace), IMAGE, 1, layer) for inplace in (False, True)]
        torch.testing.assert_close(*maps)


def test_models_are_left_as_they_were():
    frozen = network().requires_grad_(False)
    for model in (network(), frozen):
        image = IMAGE.clone().requires_grad_()
        with left_as_it_was(model), torch.no_grad():
            assert gradient_map(model, image, 0).any()
            assert integrated_gradients(model, image, 0, steps=3).any()
            assert grad_cam(model, image, 0, "0").shape == (9, 12)
        assert image.grad is None


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: grad_cam(m, IMAGE, 0, "conv1"), "no layer 'conv1'; this model has 0, 1"),
        (lambda m: grad_cam(m, IMAGE, 0, "9"), "'9' makes no maps"),
        (lambda m: gradient_map(m, IMAGE, 4), "0 to 3, got 4"),
        (lambda m: gradient_map(m, IMAGE, 0, output="loss"), "got 'loss'"),
        (lambda m: gradient_map(m, IMAGE[None].repeat(2, 1, 1, 1), 0), "one image"),
        (lambda m: integrated_gradients(m, IMAGE, 0, steps=0), "steps must be"),
        (lambda m: integrated_gradients(m, IMAGE, 0, baseline=IMAGE[0]), r"shape \(2, 9, 12\)"),
    ],
)
def test_refusals(ask, message):
    with left_as_it_was(network()) as model, pytest.raises(ValueError, match=message):
        ask(model)


def test_a_digit_network_names_its_layers():
    torch.manual_seed(0)
    assert grad_cam(DigitCNN(), torch.rand(1, 28, 28), 3, "relu3").shape == (28, 28)
