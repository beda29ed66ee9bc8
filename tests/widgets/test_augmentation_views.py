"""The augmentation widget: its pixels in the page are those that Python makes."""

import json

import numpy as np
import pytest
import torch

from companion.figures import to_uint8
from companion.training.augmentation import colour_components, views
from companion.widgets import AugmentationViews
from support.front_end import settle


def images(n: int = 2, side: int = 40) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


def pixels(tab):
    """The views on show, V×size×size×3."""
    settle(tab)
    shown = tab.eval_on_selector_all(
        ".augment-tile:not([hidden]) canvas",
        """all => all.map((c) => [c.width, Array.from(c.getContext("2d")
             .getImageData(0, 0, c.width, c.height).data)])""",
    )
    return np.array([np.reshape(data, (w, w, 4))[..., :3] for w, data in shown])


def assert_agrees(tab, widget):
    expected = to_uint8(widget.views()).astype(int)
    got = pixels(tab)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("kind", ["none", "flip", "crop_flip"])
    @pytest.mark.parametrize("side", [40, 36])  # 36: the margin, 36 − 32, has a middle; 40: 5, odd
    def test_the_slides_views(self, page, kind, side):
        widget = AugmentationViews(images(side=side), kind=kind)
        tab = page(widget)
        assert_agrees(tab, widget)
        count = {"none": 1, "flip": 2, "crop_flip": 10}[kind]
        assert tab.get_attribute("[data-quantity=views]", "data-value") == str(count)

    @pytest.mark.parametrize(
        ("crop", "sigma", "seed"), [(40, 0, 0), (35, 0.3, 5), (20, 1, 2**32 - 1)]
    )
    def test_random_views(self, page, crop, sigma, seed):
        widget = AugmentationViews(images(), kind="random", crop=crop, sigma=sigma, seed=seed)
        tab = page(widget)
        versions = tab.get_attribute("[data-quantity=views]", "data-value")
        assert int(versions) == 2 * (40 - crop + 1) ** 2
        assert_agrees(tab, widget)
        tab.get_by_role("button", name="Draw again").click()
        widget.seed = (seed + 1) % 2**32
        assert_agrees(tab, widget)

    def test_every_control(self, page):
        widget = AugmentationViews(images(), names=["first", "second"], crop=33)
        tab = page(widget)
        tab.get_by_role("radio", name="random").check(force=True)
        tab.get_by_role("slider", name="side of the crop").press("ArrowRight")
        tab.get_by_role("slider", name="strength of the colour").press("End")
        tab.get_by_label("Image", exact=True).select_option(label="second")
        widget.kind, widget.crop, widget.sigma, widget.chosen = "random", 34, 1.0, 1
        assert_agrees(tab, widget)
        assert tab.evaluate("['crop', 'sigma'].map((n) => model.get(n))") == [34, 1]

    def test_pointing_tells_where_a_view_is_from(self, page):
        widget = AugmentationViews(images(), kind="random", crop=30, sigma=0.4, seed=9)
        tab = page(widget)
        draw = widget.draws()[3]
        tab.get_by_role("button", name="View 4:").focus()
        settle(tab)
        text = tab.inner_text("main")
        assert "View 4 of 10" in text
        assert (
            f"rows {draw.top} to {draw.top + 29}, columns {draw.left} to {draw.left + 29}" in text
        )
        words = tab.locator(".augment-words").first.inner_text()
        assert ("mirrored" in words) == draw.mirrored
        assert "Colours: red" in text

    def test_a_picture_of_the_readers_own(self, page, tmp_path):
        from PIL import Image

        own = torch.randint(0, 256, (40, 40, 3), dtype=torch.uint8)
        Image.fromarray(own.numpy()).save(tmp_path / "own <b>.png")
        (tmp_path / "text.png").write_text("no picture")
        widget = AugmentationViews(images(), kind="none")
        tab = page(widget)
        chooser = tab.locator("input[type=file]")
        chooser.set_input_files(tmp_path / "own <b>.png")
        tab.wait_for_function("model.get('chosen') === 2")
        assert np.array_equal(pixels(tab)[0], own.numpy())
        chooser.set_input_files(tmp_path / "text.png")
        tab.wait_for_selector("text=could not be read as a picture")
        assert np.array_equal(pixels(tab)[0], own.numpy())


class TestPython:
    def test_default_photographs(self):
        widget = AugmentationViews()
        assert widget.views().shape == (10, 3, 140, 140)
        assert torch.equal(widget.views(), views(widget._images[:1])[0])
        assert "10 views of astronaut" in widget.describe()
        assert len(json.dumps(widget.page_state())) < 400_000

    def test_draws_cover_the_image(self):
        widget = AugmentationViews(images(), kind="random", crop=36, sigma=0.5)
        drawn = []
        for seed in range(200):
            widget.seed = seed
            drawn += widget.draws()
        for places in ({d.top for d in drawn}, {d.left for d in drawn}):
            assert places == {0, 1, 2, 3, 4}
        assert np.mean([d.mirrored for d in drawn]) == pytest.approx(0.5, abs=0.05)
        assert np.std([d.alpha for d in drawn], axis=0) == pytest.approx([0.5] * 3, rel=0.06)

    def test_grey_images_and_given_components(self):
        components = colour_components(images())
        widget = AugmentationViews(torch.rand(1, 1, 20, 20), components=components)
        assert widget.components["variances"] == components.variances.tolist()
        assert widget.views().shape[1] == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"images": torch.rand(3, 20, 20)}, "expected square images N×3×S×S, got 3×20×20"),
            ({"images": torch.rand(1, 3, 20, 30)}, "expected square images"),
            ({"images": torch.rand(1, 3, 8, 8)}, "16 pixels or more, got 8"),
            ({"names": ["one"]}, "expected 2 names"),
            ({"kind": "crop"}, "kind must be one of 'none'"),
            ({"crop": 19}, "crop must be a whole number from 20 to 40, not 19"),
            ({"crop": 41}, "crop must be a whole number from 20 to 40, not 41"),
            ({"sigma": -1.0}, "sigma must be a number from 0 to 1"),
            ({"seed": -1}, "seed must be an integer from 0"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            AugmentationViews(**{"images": images()} | arguments)
