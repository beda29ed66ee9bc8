"""Sprites with a planted mark: it alone tells the class, and explanations find it."""

import pytest
import torch

from companion.explain.faithfulness import pointing_game, randomise
from companion.explain.occlusion import occlusion_map
from companion.explain.planted import MARK_SIZE, MARKS, planted_marks, trained_mark_network
from companion.explain.saliency import grad_cam, gradient_map, integrated_gradients

METHODS = {
    "occlusion": lambda m, x, t: occlusion_map(m, x, t, patch=8, stride=4).on_pixels(),
    "gradient": gradient_map,
    "integrated": lambda m, x, t: integrated_gradients(m, x, t, baseline=0.5, steps=16),
    "Grad-CAM": lambda m, x, t: grad_cam(m, x, t, "relu3"),
}


@pytest.fixture(scope="module")
def model():
    return trained_mark_network()


def test_the_mark_tells_the_class_and_nothing_else_does():
    images, labels, boxes = planted_marks(400, seed=2)
    assert images.shape == (400, 3, 64, 64)
    assert images.dtype == torch.uint8
    seen = {}
    for image, label, (top, left, bottom, right) in zip(images, labels, boxes, strict=True):
        assert (bottom - top, right - left) == (MARK_SIZE, MARK_SIZE)
        mark = image[:, top:bottom, left:right]
        assert torch.equal(mark, seen.setdefault(int(label), mark))
    assert len(seen) == len(MARKS)
    assert len({mark.numpy().tobytes() for mark in seen.values()}) == len(MARKS)
    # Half black, half white: the mark's brightness does not tell it either.
    assert {mark.float().mean().item() for mark in seen.values()} == {127.5}
    again = planted_marks(400, seed=2)
    assert torch.equal(images, again.images)
    assert torch.equal(planted_marks(400, seed=3).images, images) is False
    with pytest.raises(ValueError, match="n must be 1 or more, got 0"):
        planted_marks(0)


def test_training_draws_nothing_from_the_callers_numbers():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    planted_marks(3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_the_network_knows_the_marks_and_explanations_find_them(model):
    images, labels, boxes = planted_marks(40, seed=99)
    x = images.float() / 255
    with torch.no_grad():
        right = model(x).argmax(1) == labels
    assert right.float().mean() > 0.95
    for name, method in METHODS.items():
        hits = [pointing_game(method(model, x[i], int(labels[i])), boxes[i]) for i in range(len(x))]
        # A random map hits in 1.6 images out of 100.
        assert sum(hits) / len(hits) > 0.5, name


@pytest.mark.slow
def test_without_weights_occlusion_finds_nothing(model):
    images, labels, boxes = planted_marks(20, seed=98)
    x, blind = images.float() / 255, randomise(model, 4)
    method = METHODS["occlusion"]
    hits = [pointing_game(method(blind, x[i], int(labels[i])), boxes[i]) for i in range(len(x))]
    assert sum(hits) / len(hits) < 0.4
