"""Occlusion against captum's, against a dozen lines by hand, and its own definition."""

import pytest
import torch
from captum.attr import Occlusion as Captum
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from companion.explain.occlusion import FILLS, filling, occlusion_map, places
from companion.models import DigitCNN
from support.unchanged import left_as_it_was


def network(channels: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(24, 4),
    )  # fmt: skip


def by_hand(model: nn.Module, image: torch.Tensor, target: int, patch: int, stride: int):
    """As the chapter writes it: probabilities under a grey patch, and the mean on each pixel."""
    height, width = image.shape[1:]
    total, covered = torch.zeros(height, width), torch.zeros(height, width)
    with torch.no_grad():
        whole = model(image[None]).softmax(1)[0, target]
        for top in range(0, height - patch + stride, stride):
            for left in range(0, width - patch + stride, stride):
                hidden = image.clone()
                hidden[:, top : top + patch, left : left + patch] = 0.5
                drop = whole - model(hidden[None]).softmax(1)[0, target]
                total[top : top + patch, left : left + patch] += drop
                covered[top : top + patch, left : left + patch] += 1
    return total / covered


@settings(max_examples=10, deadline=None)
@given(
    height=st.integers(4, 13),
    width=st.integers(4, 13),
    patch=st.integers(1, 4),
    stride=st.integers(1, 4),
    fill=st.sampled_from(FILLS),
    output=st.sampled_from(["probability", "logit"]),
)
def test_equals_captum(height, width, patch, stride, fill, output):
    stride = min(stride, patch)
    model, image = network().eval(), torch.rand(2, height, width)

    def score(x):
        return model(x).softmax(1) if output == "probability" else model(x)

    found = occlusion_map(model, image, 3, patch=patch, stride=stride, fill=fill, output=output)
    wanted = Captum(score).attribute(
        image[None],
        target=3,
        sliding_window_shapes=(2, patch, patch),
        strides=(2, stride, stride),
        baselines=filling(image, fill, patch=patch)[None],
    )
    for channel in wanted[0]:
        torch.testing.assert_close(found.on_pixels(), channel, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("patch", "stride"), [(7, 7), (8, 3), (28, 5)])
def test_equals_a_dozen_lines(patch, stride):
    torch.manual_seed(0)
    model, image = DigitCNN().eval(), torch.rand(1, 28, 28)
    found = occlusion_map(model, image, 5, patch=patch, stride=stride)
    wanted = by_hand(model, image, 5, patch, stride)
    torch.testing.assert_close(found.on_pixels(), wanted, atol=1e-5, rtol=0)


@given(side=st.integers(1, 300), patch=st.integers(1, 300), stride=st.integers(1, 300))
def test_places_cover_each_pixel(side, patch, stride):
    patch = min(patch, side)
    stride = min(stride, patch)
    firsts = places(side, patch, stride)
    covered = {pixel for first in firsts for pixel in range(first, first + patch)}
    assert covered >= set(range(side))
    # None is in vain: without the last, pixels would be missing.
    assert len(firsts) == 1 or firsts[-2] + patch < side


def test_each_drop_is_that_of_its_box():
    model, image = network().eval(), torch.rand(2, 11, 8)
    found = occlusion_map(model, image, 1, patch=4, stride=3, fill="mean", output="logit")
    assert found.drops.shape == (4, 3)
    with torch.no_grad():
        assert found.score == pytest.approx(model(image[None])[0, 1].item(), abs=1e-6)
        for row, boxes in enumerate(found.boxes):
            for column, (top, left, bottom, right) in enumerate(boxes):
                hidden = image.clone()
                means = image.mean((1, 2))[:, None, None]
                hidden[:, top:bottom, left:right] = means
                drop = found.score - model(hidden[None])[0, 1].item()
                assert found.drops[row, column].item() == pytest.approx(drop, abs=1e-5)


def test_fillings_are_what_they_are_said_to_be():
    image = torch.rand(3, 9, 12)
    assert filling(image, "grey", patch=4).unique().tolist() == [0.5]
    means = filling(image, "mean", patch=4)
    torch.testing.assert_close(means[:, 3, 5], image.mean((1, 2)))
    assert not means.std((1, 2)).any()
    blur = filling(image, "blur", patch=5)
    for i in range(9):
        for j in range(12):
            square = image[:, max(0, i - 2) : i + 3, max(0, j - 2) : j + 3]
            torch.testing.assert_close(blur[:, i, j], square.mean((1, 2)))
    noise = filling(image, "noise", patch=4, seed=3)
    assert torch.equal(noise, filling(image, "noise", patch=4, seed=3))
    assert not torch.equal(noise, filling(image, "noise", patch=4, seed=4))
    assert 0 <= noise.min() < 0.05
    assert 0.95 < noise.max() <= 1
    assert torch.equal(filling(image, noise, patch=4), noise)


def test_what_lies_outside_the_only_part_that_counts_loses_nothing():
    """A classifier that looks at one corner: exactly the patches over the corner count."""

    class Corner(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen = x[:, :, :3, :3].mean((1, 2, 3))
            return torch.stack([seen, -seen], 1)

    found = occlusion_map(Corner(), torch.ones(1, 12, 12), 0, patch=3, stride=3)
    assert found.drops[0, 0] > 0.1
    assert found.drops.count_nonzero() == 1


def test_the_model_is_left_as_it_was():
    with left_as_it_was(network()) as model:
        image = torch.rand(2, 8, 8).requires_grad_()
        occlusion_map(model, image, 0, patch=4, stride=2)
    assert image.grad is None
    with left_as_it_was(network()) as model, pytest.raises(ValueError, match="0 to 3, got 4"):
        occlusion_map(model, image, 4, patch=4, stride=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(2, 8, 8, dtype=torch.uint8)}, r"images.float\(\) / 255"),
        ({"image": torch.zeros(3, 2, 8, 8)}, r"one image C×H×W, got 3"),
        ({"image": "astronaut"}, "got str"),
        ({"target": 7}, "0 to 3, got 7"),
        ({"target": True}, "got True"),
        ({"patch": 9}, "patch must be a whole number from 1 to 8, got 9"),
        ({"patch": 2.0}, r"got 2\.0"),
        ({"stride": 5}, "stride must be a whole number from 1 to 4, got 5"),
        ({"fill": "black"}, "fill must be one of grey, mean, blur, noise or a picture"),
        ({"fill": torch.zeros(2, 8, 7)}, r"\(2, 8, 8\), got \(2, 8, 7\)"),
        ({"output": "odds"}, "'probability' or 'logit', got 'odds'"),
        ({"model": nn.Identity()}, "logits N×K"),
    ],
)
def test_refusals(change, message):
    arguments = {"model": network(), "image": torch.rand(2, 8, 8), "target": 0}
    arguments |= {"patch": 4, "stride": 2} | change
    with pytest.raises(ValueError, match=message):
        occlusion_map(**arguments)
