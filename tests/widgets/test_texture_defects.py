"""TextureDefects: its scores by Python, and what a page's network makes of what a reader paints."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from companion.anomaly.autoencoders import error_maps
from companion.anomaly.textures import TextureAutoencoder, windows
from companion.site.frontend import build_frontend
from companion.widgets import TextureDefects
from support.front_end import shown_numbers
from support.pages import visit
from support.stage import write_stage


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TextureAutoencoder(4, width=6).eval()


@pytest.fixture(scope="module")
def images():
    return windows("brick", "test", 6, size=32)


@pytest.fixture(scope="module")
def widget(model, images):
    return TextureDefects(model, images[:3], images)


def test_scores_are_the_highest_errors(widget, model, images):
    eight_bits = (255 * images).round() / 255
    maps = error_maps(model, eight_bits)
    assert widget.scores == pytest.approx(maps[:3].max((1, 2)).tolist(), rel=1e-5)
    assert widget.limit == pytest.approx(maps.max(), rel=1e-5)
    assert widget.score() == pytest.approx(widget.scores[0], rel=1e-5)
    widget.chosen = 2
    np.testing.assert_allclose(widget.error_map(), maps[2], rtol=1e-5)
    assert widget.describe().startswith(f"TextureDefects: score {widget.scores[2]:.4f}, limit")
    widget.chosen = 0
    assert set(widget.stills()) == {"window", "rebuilt", "map"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": torch.rand(2, 3, 32, 32)}, "Expected images N×1×H×W, got 2×3×32×32"),
        ({"good": 2 * torch.ones(2, 1, 32, 32)}, r"Expected good as floats in \[0, 1\]"),
        ({"good": torch.rand(2, 1, 16, 16)}, "the size of the good ones, got 3×1×32×32 and 2×1"),
        ({"images": torch.rand(9, 1, 32, 32)}, "Expected 1 to 8 images"),
        ({"model": nn.Conv2d(1, 2, 1)}, "a model that gives 3×1×32×32 back, got 3×2×32×32"),
    ],
)
def test_refusals(model, images, change, words):
    arguments = {"model": model, "images": images[:3], "good": images} | change
    with pytest.raises(ValueError, match=words):
        TextureDefects(**arguments)


NEXT = """() => {
  window.painted = new Promise((resolve) =>
    addEventListener("companion-painted", (event) => resolve(event.detail), { once: true }));
}"""


@pytest.mark.browser
class TestInThePage:
    @pytest.mark.parametrize("sigma", [0, 0.7, 2.0, 9.0])
    def test_the_blur_is_scipys(self, page, sigma):
        values = np.random.default_rng(0).random((12, 17))
        got = page().evaluate(
            """async ([values, sigma]) => {
              const { gaussianBlur } = await import("/maths/textures.js");
              return Array.from(gaussianBlur(Float64Array.from(values), 12, 17, sigma));
            }""",
            [values.ravel().tolist(), sigma],
        )
        expected = gaussian_filter(values, sigma) if sigma else values
        np.testing.assert_allclose(np.array(got).reshape(12, 17), expected, rtol=1e-10)

    def test_paint_by_keyboard_and_pointer(self, browser, tmp_path, widget, model):
        build_frontend(quiet=True)
        page_file = write_stage(tmp_path, widget)
        with visit(browser, page_file.as_uri()) as seen:
            page = seen.page
            page.wait_for_selector(".companion-live [data-state=ready]")
            assert shown_numbers(page)["score"] == pytest.approx(widget.scores[0], rel=1e-3)
            page.evaluate(NEXT)
            pen = page.get_by_role("slider", name="Paint: column of the pen")
            pen.press("Space")
            self.agrees(page, model)
            page.evaluate(NEXT)
            pen.press("Shift+ArrowRight")
            bright = self.agrees(page, model)
            assert shown_numbers(page)["painted"] > 3
            page.evaluate(NEXT)
            page.get_by_role("radio", name="dark").check()
            assert (self.agrees(page, model) < bright - 0.1).sum() > 3
            page.evaluate(NEXT)
            page.get_by_role("slider", name="How much the paint covers").press("Home")
            self.agrees(page, model)
            assert shown_numbers(page)["painted"] == 0
            page.evaluate(NEXT)
            page.get_by_role("radio", name="window 3").check()
            self.agrees(page, model)
            assert shown_numbers(page)["score"] == pytest.approx(widget.scores[2], rel=1e-3)
            page.get_by_role("slider", name="How much the paint covers").press("End")
            box = page.locator(".companion-live .drawing-field").bounding_box()
            page.evaluate(NEXT)
            page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
            page.mouse.down()
            self.agrees(page, model)
            page.mouse.up()
            assert seen.errors == []
            assert seen.strangers == []

    @staticmethod
    def agrees(page, model):
        """What the page last painted has the error map that torch makes of that image."""
        detail = page.evaluate("window.painted")
        image = torch.tensor(detail["image"]).view(1, 1, 32, 32)
        expected = error_maps(model, image)[0]
        np.testing.assert_allclose(
            np.array(detail["errors"]).reshape(32, 32), expected, atol=1e-4 * expected.max()
        )
        numbers = shown_numbers(page)
        assert numbers["alarm"] == (numbers["score"] > numbers["limit"])
        return image[0, 0]
