"""Textures, their painted defects, and what tells where these are."""

import numpy as np
import pytest
import torch

from companion.anomaly import evaluate, textures
from companion.anomaly.autoencoders import error_maps, fit_images
from companion.anomaly.toys import KINDS, toy_points


class TestWindows:
    @pytest.mark.parametrize("name", textures.TEXTURES)
    def test_come_from_their_part(self, name):
        upper, lower = (textures.texture(name, split) for split in ("train", "test"))
        assert upper.shape == (144, 256)
        assert lower.shape == (112, 256)
        found = textures.windows(name, "test", 5, size=32)
        assert found.shape == (5, 1, 32, 32)
        places = lower.unfold(0, 32, 1).unfold(1, 32, 1)
        for window in found:
            assert (places == window[0]).all((2, 3)).any()

    def test_refusals(self):
        with pytest.raises(ValueError, match="texture must be one of 'brick'"):
            textures.windows("wood")
        with pytest.raises(ValueError, match="16 to 112 pixels, got 5 and 200"):
            textures.windows("brick", count=5, size=200)


@pytest.mark.parametrize("kind", textures.DEFECTS)
def test_only_the_marked_pixels_change(kind):
    images = textures.windows("brick", "test", 6)
    spoilt, masks = textures.damaged(images, kind)
    changed = (spoilt != images)[:, 0]
    assert not (changed & ~masks).any()
    assert changed.flatten(1).any(1).all()
    assert (masks.flatten(1).float().mean(1) < 0.15).all()
    if kind == "turned":  # the same grey levels
        for before, after in zip(images, spoilt, strict=True):
            assert torch.equal(before.flatten().sort()[0], after.flatten().sort()[0])


def test_the_autoencoder_finds_a_scratch_and_so_does_its_rival():
    train = textures.windows("brick", count=120, size=48)
    test = textures.windows("brick", "test", 6)
    spoilt, masks = textures.damaged(test, "scratch")
    torch.manual_seed(0)
    model = textures.TextureAutoencoder(8)
    fit_images(train, model=model, epochs=8)
    assert model(test).shape == test.shape
    for maps in (error_maps(model, spoilt), textures.nearest_patch_maps(train, spoilt)):
        assert maps.shape == (6, 64, 64)
        assert evaluate(masks.numpy().ravel(), maps.ravel()).auroc > 0.9


def test_a_known_patch_is_no_distance_away():
    train = textures.windows("grass", count=1, size=16)
    maps = textures.nearest_patch_maps(train, train, patch=8, stride=4)
    np.testing.assert_allclose(maps, 0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_toys(kind):
    toy = toy_points(kind, seed=2)
    assert toy.X.shape == (len(toy.labels), 2)
    assert (~toy.labels).sum() == 300
    assert 8 <= toy.labels.sum() <= 12
    np.testing.assert_array_equal(toy.X, toy_points(kind, seed=2).X)
