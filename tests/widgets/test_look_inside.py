"""LookInside: its numbers by Python, and what a page's network says of what a reader shows it."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from companion.datasets import ImageSet
from companion.explain.activations import activations
from companion.explain.patches import patches_by_channel
from companion.models import DigitCNN
from companion.site.frontend import build_frontend
from companion.widgets import LookInside
from support.front_end import shown_numbers
from support.pages import visit
from support.unchanged import left_as_it_was

LAYERS = {"first": "relu1", "second": "conv2", "dense": "relu4"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DigitCNN(size=16).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (30, 1, 16, 16), generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def widget(model, images):
    return LookInside(model, LAYERS, images, examples=[4, 2, 7])


def pixels_of(address: str, mode: str = "L") -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))
    return np.asarray(picture.convert(mode))


# --- from Python ----------------------------------------------------------------------------------


def test_numbers_are_those_of_the_model(widget, model, images):
    first = images[4].float() / 255
    with torch.no_grad():
        p = model(first[None]).softmax(1)[0]
    assert widget.probabilities == pytest.approx(p.tolist(), abs=1e-4)
    assert widget.top()[0][0] == str(int(p.argmax()))
    assert [value for _, value in widget.top()] == pytest.approx(
        p.sort(descending=True).values[:5].tolist(), abs=1e-4
    )
    found = activations(model, first, LAYERS.values())
    for layer, maps in zip(widget.layers, found.values(), strict=True):
        maps = maps[0].view(layer["shape"])
        grey = pixels_of(layer["maps"]).reshape(layer["shape"]) / 255
        low, high = layer["low"], layer["high"]
        assert low == pytest.approx(min(0, maps.min().item()), abs=1e-3)
        shown = torch.tensor(low + (high - low) * grey, dtype=torch.float32)
        torch.testing.assert_close(shown, maps, atol=(high - low) / 200, rtol=0)
    assert torch.equal(widget.maps(first), widget.maps())


def test_patches_are_cut_out_of_the_images_that_it_brings(widget, model, images):
    every = images.float() / 255
    side, columns = 16, widget.atlas["columns"]
    atlas = pixels_of(widget.atlas["picture"])
    for layer, name in zip(widget.layers, LAYERS.values(), strict=True):
        wanted = patches_by_channel(model, every, name, 6)
        assert len(layer["patches"]) == layer["shape"][0] == len(wanted)
        for shown, patches in zip(layer["patches"], wanted, strict=True):
            for (value, image, row, column), patch in zip(shown, patches, strict=True):
                assert value == pytest.approx(patch.value, abs=1e-3)
                (top, bottom), (left, right) = layer["rows"][row], layer["columns"][column]
                y, x = side * (image // columns), side * (image % columns)
                part = atlas[y + top : y + bottom, x + left : x + right]
                assert np.array_equal(part, (255 * patch.pixels[0]).round().numpy())


def test_only_the_first_layer_has_filters_to_show(widget, images):
    assert [len(layer["filters"]) for layer in widget.layers] == [16, 0, 0]
    assert pixels_of(widget.layers[0]["filters"][3]).shape[:2] == (5, 5)
    colour = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(3))
    pictures = images.expand(-1, 3, -1, -1)
    colour(pictures.float())
    shown = LookInside(colour.eval(), ["1", "0"], pictures, channels=2).layers
    assert [(len(layer["filters"]), layer["shape"][0]) for layer in shown] == [(2, 2), (2, 2)]


def test_examples_are_one_of_each_class_with_its_name(model, images):
    labels = torch.arange(30) % 3
    data = ImageSet("noise", "train", images, labels, ("x", "y", "z"))
    shown = LookInside(model, ["relu1"], data).examples
    assert [example["caption"] for example in shown] == ["x", "y", "z"]


def test_photographs_are_shown_and_computed_as_the_page_has_them():
    generator = torch.Generator().manual_seed(2)
    photos = torch.randint(256, (3, 3, 80, 80), generator=generator).to(torch.uint8)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    widget = LookInside(model, ["0"], photos, input="photograph")
    kept = pixels_of(widget.atlas["picture"], "RGB")[:80, :80]
    with torch.no_grad():
        p = model(torch.tensor(kept).permute(2, 0, 1)[None] / 255).softmax(1)[0]
    assert widget.probabilities == pytest.approx(p.tolist(), abs=1e-4)


def test_layer_and_channel_stay_within_the_model(model, images):
    with left_as_it_was(DigitCNN(size=16)) as other:
        LookInside(other, ["conv1"], images)
    widget = LookInside(model, LAYERS, images, layer=2, channel=63)
    widget.layer = 0
    assert widget.channel == 15
    with pytest.raises(ValueError, match="channel must be a whole number from 0 to 15, not 16"):
        widget.channel = 16
    with pytest.raises(ValueError, match="layer must be"):
        widget.layer = 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ["conv7"]}, "no layer 'conv7'"),
        ({"layers": []}, "at least one layer"),
        ({"class_names": ["a"]}, "expected 10 class_names, one a logit, but got 1"),
        ({"input": "sound"}, "input must be one of 'digit', 'photograph', got 'sound'"),
        ({"examples": [30]}, "examples must be a whole number from 0 to 29"),
        ({"captions": ["a"]}, "expected 8 captions"),
        ({"images": torch.zeros(2, 1, 28, 28)}, "DigitCNN needs images"),
    ],
)
def test_refusals(model, images, change, message):
    arguments = {"model": model, "layers": ["conv1"], "images": images} | change
    with pytest.raises(ValueError, match=message):
        LookInside(**arguments)


# --- in a page ------------------------------------------------------------------------------------

# Resolves with what the network makes of the next image that it is shown.
NEXT = """() => {
    window.painted = new Promise((resolve) => addEventListener("companion-painted",
        ({ detail }) => resolve([Array.from(detail.image), Array.from(detail.probabilities)]),
        { once: true }));
}"""


def assert_agrees(page, model, widget):
    """What the page last painted is what torch makes of that image."""
    image, p = page.evaluate("window.painted")
    x = torch.tensor(image).view(widget.image_shape)
    with torch.no_grad():
        wanted = model(x[None]).softmax(1)[0]
    assert p == pytest.approx(wanted.tolist(), abs=1e-4)
    order = wanted.sort(descending=True).values
    numbers = shown_numbers(page)
    for place in range(5):
        assert numbers[f"place-{place + 1}"] == pytest.approx(order[place].item(), abs=1e-4)
    maps = widget.maps(x)[widget.channel]
    assert numbers["strongest"] == pytest.approx(maps.max().item(), abs=1e-3)
    return x


@pytest.mark.browser
def test_before_the_network_is_there_the_first_image_can_be_looked_into(page, widget):
    tab = page(widget)
    grid = tab.get_by_role("slider", name="Channel")
    for key, channel in (("ArrowRight", 1), ("ArrowDown", 5), ("ArrowUp", 1), ("End", 15)):
        grid.press(key)
        assert tab.evaluate("model.get('channel')") == channel
        shown = shown_numbers(tab)["strongest"]
        assert shown == pytest.approx(widget.maps()[channel].max().item(), abs=0.02)
    assert grid.get_attribute("aria-valuetext").startswith("channel 15, strongest ")
    box = tab.locator(".look-maps").bounding_box()
    tab.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 0.9 * box["height"])
    assert tab.evaluate("model.get('channel')") == 14
    for k, (value, *_) in enumerate(widget.layers[0]["patches"][14]):
        assert shown_numbers(tab)[f"patch-{k}"] == value
    assert tab.get_by_role("img", name="The filter of channel 14").count() == 1
    tab.get_by_role("radio", name="second").check()
    tab.get_by_text("32 channels, each a map of 8×8 numbers").wait_for()
    assert tab.get_by_role("img", name="The filter of").count() == 0
    tab.get_by_role("radio", name="dense").check()
    tab.get_by_text("64 channels, each one number").wait_for()


@pytest.mark.browser
def test_a_drawing_and_an_example_by_keyboard(browser, stage, widget, model, images):
    build_frontend(quiet=True)
    with visit(browser, stage(widget)) as seen:
        page = seen.page
        page.get_by_role("button", name="Press to draw").press("Enter")
        page.wait_for_selector(".companion-live .look-wake", state="hidden")
        pen = page.get_by_role("slider", name="Draw a digit: column of the pen")
        page.evaluate(NEXT)
        pen.press("Space")
        assert_agrees(page, model, widget)
        page.evaluate(NEXT)
        pen.press("Shift+ArrowDown")
        drawn = assert_agrees(page, model, widget)
        assert drawn.max() > 0.9
        assert page.get_by_role("radio", name="image 1").is_checked() is False
        page.evaluate(NEXT)
        page.get_by_role("radio", name="image 3").check()
        shown = assert_agrees(page, model, widget)
        assert torch.equal(shown, images[7].float() / 255)
        assert page.get_by_role("button", name="Clear").is_disabled()
        assert seen.errors == []
        assert seen.strangers == []


@pytest.mark.browser
def test_a_photograph_of_the_readers_own(browser, stage, tmp_path):
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 6)
    ).eval()
    photos = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    widget = LookInside(model, ["1"], photos, input="photograph", title="Inside")
    own = tmp_path / "own.png"
    pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(own)
    broken = tmp_path / "broken.png"
    broken.write_bytes(own.read_bytes()[:50])
    build_frontend(quiet=True)
    with visit(browser, stage(widget)) as seen:
        page = seen.page
        size = f"{widget.network['bytes'] / 1e6:.2f} MB"
        page.get_by_role("button", name=f"Load the network, {size}").press("Enter")
        page.wait_for_function("document.querySelector('.companion-live [data-wakes]')?.hidden")
        page.evaluate(NEXT)
        page.locator("input[type=file]").set_input_files(own)
        x = assert_agrees(page, model, widget)
        torch.testing.assert_close(x, torch.tensor(pixels).permute(2, 0, 1) / 255)
        page.locator("input[type=file]").set_input_files(broken)
        page.get_by_text("broken.png could not be read as a picture").wait_for()
        # The page goes on with what it had.
        page.evaluate(NEXT)
        page.get_by_role("radio", name="image 2").check()
        assert_agrees(page, model, widget)
