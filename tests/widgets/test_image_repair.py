"""ImageRepair: its numbers by Python, and what a page makes of what its reader draws and wipes."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from companion.by_hand.restoration import biharmonic, median, psnr, total_variation
from companion.site.frontend import build_frontend
from companion.widgets import ImageRepair
from support.front_end import module_page, shown_numbers
from support.pages import visit

SIDE = 16


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 1, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=SIDE, mode="bicubic").clamp(0, 1)
    return (255 * smooth).round().to(torch.uint8)


@pytest.fixture(scope="module")
def widget(images):
    return ImageRepair(network(0), network(1), images, ["one", "two", "three"], strength=0.3)


# --- from Python ----------------------------------------------------------------------------------


def test_numbers_are_those_of_filters_and_network(widget, images):
    x = images[0].float() / 255
    noisy = widget.damaged()
    assert (noisy - x).std().item() == pytest.approx(0.3, rel=0.1)
    quality = widget.quality()
    medians = [psnr(x[None], median(noisy[None], r).clamp(0, 1)) for r in (1, 2)]
    assert quality["median"] == pytest.approx(max(medians), abs=1e-4)
    weights = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
    flat = [psnr(x[None], total_variation(noisy[None], w).clamp(0, 1)) for w in weights]
    assert quality["variation"] == pytest.approx(max(flat), abs=1e-3)
    with torch.no_grad():
        restored = network(0)(noisy[None]).clamp(0, 1)
    assert quality["network"] == pytest.approx(psnr(x[None], restored), abs=1e-2)
    assert f"median {quality['median']:.1f} dB" in repr(widget)
    sent = base64.b64decode(widget.first["picture"].split(",")[1])
    picture = torch.tensor(np.asarray(Image.open(io.BytesIO(sent)))[..., 0] / 255)
    torch.testing.assert_close(picture.float(), restored[0, 0], atol=1 / 255, rtol=0)


def test_each_kind_of_noise_hits_what_it_should(images):
    made = ImageRepair(network(0), network(1), images)
    grey = torch.full((1, 60, 60), 0.5)
    for kind, values in (("salt and pepper", [0, 0.5, 1]), ("masking", [0, 0.5])):
        made.kind, made.strength = kind, 0.4
        damaged = made.damaged(grey)
        assert damaged.unique().tolist() == values
        assert (damaged != 0.5).float().mean().item() == pytest.approx(0.4, abs=0.03)
        if kind == "salt and pepper":
            assert (damaged == 1).float().mean().item() == pytest.approx(0.2, abs=0.03)
    made.strength = 0
    assert made.quality()["noisy"] == pytest.approx(60)  # equal
    made.kind = "hole"
    with pytest.raises(ValueError, match="wiped by the reader"):
        made.damaged()
    assert "hole" in repr(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "hole"}, "kind must be one of 'gaussian', 'salt and pepper', 'masking', got"),
        ({"view": "both"}, "view must be one of 'picture', 'error'"),
        ({"selected": 3}, "selected must be a whole number from 0 to 2, not 3"),
        ({"strength": 0.9}, "strength"),
        ({"captions": ["a"]}, "expected 3 captions, one an image, but got 1"),
        ({"images": torch.zeros(2, 3, 16, 16)}, "1 to 12 grey images"),
        ({"images": torch.zeros(2, 1, 4, 16)}, "sides of 8 to 64, got 4×16"),
    ],
)
def test_refusals(images, change, message):
    arguments = {"denoiser": network(0), "inpainter": network(1), "images": images} | change
    with pytest.raises(ValueError, match=message):
        ImageRepair(**arguments)


# --- the mathematics of the page ------------------------------------------------------------------

FILTER = """async ([image, hidden, size]) => {
  const maths = await import("/maths/restoration.js");
  const x = Float32Array.from(image);
  return {
    median: [1, 2].map((radius) => [...maths.median(x, size, radius)]),
    variation: [0.1, 0.8].map((weight) => [...maths.totalVariation(x, size, weight)]),
    biharmonic: [...maths.biharmonic(x, hidden, size)],
    whole: [...maths.biharmonic(x, hidden.map(() => 1), size)],
  };
}"""


@pytest.mark.browser
@pytest.mark.parametrize("seed", range(4))
def test_filters_are_pythons(browser, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 1, 20, 17, generator=generator)
    hidden = torch.zeros(1, 1, 20, 17, dtype=torch.bool)
    top, left, tall, wide = ((5, 4, 9, 8), (0, 0, 6, 17), (12, 9, 8, 8), (3, 3, 1, 1))[seed]
    hidden[..., top : top + tall, left : left + wide] = True
    with module_page(browser, "<title>maths</title>") as open_page:
        arguments = [x.flatten().tolist(), hidden.flatten().int().tolist(), [20, 17]]
        found = open_page().evaluate(FILTER, arguments)
    for radius, values in zip((1, 2), found["median"], strict=True):
        assert torch.equal(torch.tensor(values), median(x, radius).flatten())
    for weight, values in zip((0.1, 0.8), found["variation"], strict=True):
        wanted = total_variation(x.double(), weight).flatten()
        assert values == pytest.approx(wanted.tolist(), abs=1e-6)
    filled = biharmonic(x.double(), hidden).flatten()
    assert found["biharmonic"] == pytest.approx(filled.tolist(), abs=1e-6)
    assert found["whole"] == pytest.approx(x.flatten().tolist())


# --- in a page ------------------------------------------------------------------------------------

# Resolves with what the network made of the next picture that it is shown.
NEXT = """() => {
    const next = "companion-painted";
    window.painted = new Promise((resolve) => addEventListener(next, ({ detail }) => {
        const list = (values) => values && Array.from(values);
        const repairs = Object.fromEntries(Object.entries(detail.repairs).map(
            ([name, { picture, quality }]) => [name, [list(picture), quality]]));
        resolve([list(detail.image), list(detail.input), list(detail.hidden), repairs]);
    }, { once: true }));
}"""


def painted(page):
    """Image, what the network was shown, the hole if any, and the repairs with their PSNR."""
    image, shown, hidden, repairs = page.evaluate("window.painted")
    image, shown = (torch.tensor(v).view(1, SIDE, SIDE) for v in (image, shown))
    numbers = shown_numbers(page)
    for name, (_, quality) in repairs.items():
        assert numbers["noisy" if name == "damaged" else name] == quality
    return image, shown, hidden, repairs


def agree(widget, page):
    """The page has repaired the noisy picture as Python does."""
    image, shown, hidden, repairs = painted(page)
    assert hidden is None
    torch.testing.assert_close(shown, widget.damaged(image), atol=1e-6, rtol=0)
    wanted = widget.quality(image)
    for name, value in wanted.items():
        found = repairs["damaged" if name == "noisy" else name][1]
        assert found == pytest.approx(value, abs=0.02), name
    lead = shown_numbers(page)["lead"]
    best = max(wanted["median"], wanted["variation"])
    assert lead == pytest.approx(wanted["network"] - best, abs=0.04)
    return image


@pytest.mark.browser
def test_at_rest_it_shows_pythons_numbers(page, widget):
    tab = page(widget)
    numbers = shown_numbers(tab)
    for name, value in widget.quality().items():
        assert numbers[name] == pytest.approx(value, abs=0.1), name  # the network's has 8 bits
    tab.get_by_role("radio", name="error").check()
    assert tab.evaluate("model.get('view')") == "error"
    tab.get_by_role("img", name="Error of total variation").wait_for()


@pytest.mark.browser
def test_a_drawing_noise_and_a_hole_by_keyboard(browser, stage, widget, images):
    build_frontend(quiet=True)
    copy = ImageRepair(network(0), network(1), images, ["one", "two", "three"], strength=0.3)
    with visit(browser, stage(widget)) as seen:
        page = seen.page
        page.get_by_role("button", name="Press to draw").press("Enter")
        page.wait_for_selector(".companion-live .repair-wake", state="hidden")
        pen = page.get_by_role("slider", name="Draw: column of the pen")
        page.evaluate(NEXT)
        pen.press("Space")
        agree(copy, page)
        page.evaluate(NEXT)
        pen.press("Shift+ArrowDown")
        drawn = agree(copy, page)
        assert drawn.max() > 0.9
        assert page.get_by_role("radio", name="one").is_checked() is False

        page.evaluate(NEXT)
        page.get_by_role("radio", name="three").check()
        chosen = agree(copy, page)
        assert torch.equal(chosen, images[2].float() / 255)

        page.evaluate(NEXT)
        page.get_by_role("slider", name="Strength of the noise").press("ArrowLeft")
        copy.strength = 0.25
        agree(copy, page)
        page.evaluate(NEXT)
        page.get_by_role("combobox", name="Damage").select_option(label="salt and pepper")
        copy.kind = "salt and pepper"
        agree(copy, page)

        page.evaluate(NEXT)
        page.get_by_role("combobox", name="Damage").select_option(label="hole")
        image, shown, hidden, repairs = painted(page)
        before = sum(hidden)
        assert before > 20
        page.evaluate(NEXT)
        brush = page.get_by_role("slider", name="Wipe a hole: column of the pen")
        brush.press("Space")
        painted(page)
        page.evaluate(NEXT)
        brush.press("Shift+ArrowUp")
        image, shown, hidden, repairs = painted(page)
        assert sum(hidden) > before
        mask = torch.tensor(hidden).bool().view(1, 1, SIDE, SIDE)
        torch.testing.assert_close(shown, image.masked_fill(mask[0], 0.5))
        smooth = biharmonic(shown[None].double(), mask)
        assert repairs["biharmonic"][0] == pytest.approx(smooth.flatten().tolist(), abs=1e-5)
        with torch.no_grad():
            filled = network(1)(shown[None]).clamp(0, 1)
        wanted = torch.where(mask, filled, image[None])
        assert repairs["network"][0] == pytest.approx(wanted.flatten().tolist(), abs=2e-3)
        quality = psnr(image[None], wanted, mask)
        assert repairs["network"][1] == pytest.approx(quality, abs=0.05)
        assert seen.errors == []
        assert seen.strangers == []
