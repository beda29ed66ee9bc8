"""Maximally activating patches: by brute force, and by the gradients that must be zero."""

from itertools import product

import pytest
import torch
from torch import nn

from companion.explain.activations import activations
from companion.explain.patches import map_fields, maximally_activating_patches, patches_by_channel
from companion.models import CifarResNet, DigitCNN
from support.unchanged import left_as_it_was


def small() -> nn.Module:
    """Strides, paddings, a dilation and a pooling with padding: borders of all kinds."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(4, 5, 3, padding=2, dilation=2), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


def branching() -> nn.Module:
    torch.manual_seed(1)
    return CifarResNet(8)


CASES = [
    (small, "3", (2, 21, 17)),
    (small, "2", (2, 16, 16)),
    (DigitCNN, "conv3", (1, 28, 28)),
    (DigitCNN, "pool1", (1, 28, 28)),
    (branching, "layers.conv3_1.residual.conv2", (3, 32, 32)),
]


@pytest.mark.parametrize(("build", "layer", "shape"), CASES)
def test_a_unit_depends_on_no_pixel_outside_its_patch(build, layer, shape):
    torch.manual_seed(0)
    images = torch.rand(6, *shape)
    model = build().eval()
    model(images)
    if not any(name == layer for name, _ in model.named_modules()):
        layer = f"layers.{layer}"
    patches = maximally_activating_patches(model, images, layer, 2, 6)
    assert len({patch.position for patch in patches}) > 1
    for patch in patches:
        x = images[patch.image][None].clone().requires_grad_()
        seen = []
        handle = model.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2]))  # noqa: B023
        model(x)
        handle.remove()
        unit = seen[0][0, 2][patch.position]
        assert unit.item() == pytest.approx(patch.value, rel=1e-4, abs=1e-5)
        (gradient,) = torch.autograd.grad(unit, x)
        top, left, bottom, right = patch.box
        assert torch.equal(patch.pixels, images[patch.image][:, top:bottom, left:right])
        assert gradient[0, :, top:bottom, left:right].any()
        gradient[0, :, top:bottom, left:right] = 0
        assert not gradient.any()


def test_boxes_are_those_of_brute_force():
    """Linear, with weights above 0, a unit changes with exactly the pixels that it sees."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.AvgPool2d(2, 2), nn.Conv2d(2, 2, 2, padding=1)
    ).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    images = torch.rand(1, 1, 12, 10).double()
    found = maximally_activating_patches(model, images, "2", 0, 99, per_image=99)
    with torch.no_grad():
        before = model(images)[0, 0]
        changes = {}
        for i, j in product(range(12), range(10)):
            changed = images.clone()
            changed[0, 0, i, j] += 1
            changes[i, j] = model(changed)[0, 0] != before
    assert len(found) == before.numel()
    assert [p.value for p in found] == sorted((p.value for p in found), reverse=True)
    for patch in found:
        seen = [pixel for pixel, change in changes.items() if change[patch.position]]
        rows, columns = zip(*seen, strict=True)
        assert patch.box == (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
    rows, columns = map_fields(model, (1, 12, 10), "2", tuple(before.shape))
    for patch in found:
        (top, bottom), (left, right) = rows[patch.position[0]], columns[patch.position[1]]
        assert patch.box == (top, left, bottom, right)
    # At the border, fields are cut off.
    heights = {patch.box[2] - patch.box[0] for patch in found}
    assert len(heights) > 1


@pytest.mark.parametrize("per_image", [1, 3])
def test_the_strongest_of_all_positions(per_image):
    torch.manual_seed(0)
    images = torch.rand(9, 1, 28, 28)
    with left_as_it_was(DigitCNN()) as model:
        every = patches_by_channel(model, images, "conv2", 5, per_image=per_image)
        maps = activations(model, images, ["conv2"])["conv2"]
        assert len(every) == 32
        for channel in (0, 31):
            ranked = []
            for number, one in enumerate(maps[:, channel]):
                places = sorted(product(range(14), range(14)), key=lambda at: -one[at].item())
                ranked += [(one[at].item(), number, at) for at in places[:per_image]]
            ranked.sort(reverse=True)
            assert [p[:3] for p in every[channel]] == ranked[:5]
    alone = maximally_activating_patches(model, images, "conv2", 31, 5, per_image=per_image)
    assert [p[:4] for p in alone] == [p[:4] for p in every[31]]


def test_a_dense_unit_sees_the_whole_image():
    images = torch.rand(4, 1, 28, 28)
    patches = maximally_activating_patches(DigitCNN(), images, "fc5", 3)
    assert len(patches) == 4
    assert {patch.box for patch in patches} == {(0, 0, 28, 28)}
    assert {patch.position for patch in patches} == {(0, 0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "conv9"}, "no layer 'conv9'"),
        ({"channel": 16}, "channel must be a whole number from 0 to 15, got 16"),
        ({"count": 0}, "count must be a whole number from 1, got 0"),
        ({"per_image": 1.5}, "per_image must be"),
        ({"images": torch.zeros(2, 1, 28, 28, dtype=torch.uint8)}, "floating-point"),
        ({"images": torch.zeros(2, 3, 28, 28)}, "DigitCNN needs images"),
    ],
)
def test_refusals(change, message):
    arguments = {"model": DigitCNN(), "images": torch.rand(2, 1, 28, 28)}
    with pytest.raises(ValueError, match=message):
        maximally_activating_patches(**(arguments | {"layer": "conv1", "channel": 0} | change))
