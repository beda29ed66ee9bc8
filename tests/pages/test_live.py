"""The live widgets of the built book, driven as a reader drives them."""

import math
import re

import numpy as np
import pytest
import torch

from companion import recipes
from companion.by_hand.gaussian import kl_to_standard_normal
from companion.widgets import LatentTraversal
from conftest import ROOT
from support.front_end import settle
from support.pages import visit
from support.traversal import act, error_against_torch

pytestmark = pytest.mark.browser

CHAPTER = "12-vae.html"
TRAVERSAL = ".companion-widget[data-widget=latent_traversal]"
POSTERIOR = ".companion-widget[data-widget=posterior]"


@pytest.fixture(scope="module")
def sprite_vae():
    return recipes.load("vae-sprites").model


def sprites_widget(seen):
    """The widget with one slider for each latent of the sprites model, alive and listened to."""
    box = seen.page.locator(TRAVERSAL).last
    box.scroll_into_view_if_needed()
    handle = box.element_handle()
    seen.page.wait_for_function("(box) => box.dataset.state === 'live'", arg=handle)
    return box


def canvas_of(box):
    """The pixels of the large picture."""
    return np.array(
        box.locator("canvas.companion-image").evaluate(
            """(canvas) => {
                const copy = new OffscreenCanvas(canvas.width, canvas.height);
                const context = copy.getContext("2d", {willReadFrequently: true});
                context.drawImage(canvas, 0, 0);
                return Array.from(context.getImageData(0, 0, copy.width, copy.height).data);
            }"""
        )
    )


@pytest.mark.parametrize("way", ["served", "folder"])
def test_each_slider_moves_the_picture_by_keyboard(browser, served, site, sprite_vae, way):
    address = f"{served}/{CHAPTER}" if way == "served" else (site / CHAPTER).as_uri()
    with visit(browser, address) as seen:
        box = sprites_widget(seen)
        sliders = box.locator(".traversal-sliders input[type=range]")
        assert sliders.count() == sprite_vae.latent_dim
        for number in range(sliders.count()):
            slider = sliders.nth(number)
            act(box, box.get_by_role("button", name="Reset").click)
            before, told = canvas_of(box), slider.get_attribute("aria-valuetext")
            slider.focus()
            press = seen.page.keyboard.press
            shown = act(box, lambda press=press: [press("ArrowRight") for _ in range(20)])
            moved = [i for i, value in enumerate(shown["z"]) if abs(value) > 1e-6]
            assert len(moved) == 1
            assert slider.get_attribute("aria-valuetext") != told
            assert error_against_torch(sprite_vae, shown) < 1e-3
            difference = np.abs(canvas_of(box).astype(int) - before).max()
            nats = float(re.search(r"([\d.]+) nats", told)[1])
            assert difference > (25 if nats > 0.5 else 0), f"slider {number} changes nothing"
            pixels = (np.array(shown["image"]).reshape(3, 64, 64) * 255).transpose(1, 2, 0)
            drawn = canvas_of(box).reshape(64, 64, 4)[..., :3]
            assert np.abs(drawn - pixels).max() <= 1, "the canvas shows something else"
        assert seen.errors == []
        assert seen.strangers == []


def test_first_picture_is_there_before_any_script(browser, served):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}/{CHAPTER}")
    for number in range(page.locator(".companion-widget").count()):
        preview = page.locator(".companion-widget").nth(number).locator(".companion-preview")
        preview.scroll_into_view_if_needed()
        picture = preview.locator("img, svg[role=img]").first
        assert picture.is_visible()
        text = picture.get_attribute("alt") or picture.get_attribute("aria-label")
        assert text
        assert len(text) > 15
    context.close()


def test_a_page_does_not_jump_when_a_widget_comes_alive(browser, served):
    with visit(browser, f"{served}/{CHAPTER}") as seen:
        # Shifts that follow a reader's own input within 500 ms do not count, by definition.
        seen.page.evaluate(
            """() => { window.shift = 0; new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.shift += entry.value;
            }).observe({type: "layout-shift", buffered: true}); }"""
        )
        seen.scroll_through()
        assert seen.page.evaluate("window.shift") < 0.1


def test_the_numbers_of_the_posterior_are_pythons(browser, served):
    with visit(browser, f"{served}/{CHAPTER}") as seen:
        page = seen.page
        box = page.locator(POSTERIOR)
        box.scroll_into_view_if_needed()
        page.wait_for_selector(f"{POSTERIOR}[data-state=live]")

        def quantity(name):
            return float(box.locator(f"[data-quantity={name}]").first.get_attribute("data-value"))

        sliders = box.locator("input[type=range]")
        for keys in (["ArrowRight"] * 7, ["ArrowLeft"] * 11, ["End"], ["Home"]):
            for number in (0, 1):
                sliders.nth(number).focus()
                for key in keys:
                    page.keyboard.press(key)
            settle(page)  # the sliders' own numbers come first, the others with the next frame
            mu, sigma = quantity("mu"), quantity("sigma")
            expected = kl_to_standard_normal(
                torch.tensor(mu, dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64)
            ).item()
            assert math.isclose(quantity("kl"), expected, rel_tol=1e-6, abs_tol=1e-9)
        assert seen.errors == []


# --- widgets outside the book's chapters ---------------------------------------------------------

HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    "</script><script>window.hacked=1</script>",
    '"><svg onload="window.hacked=1">',
    "{{constructor.constructor('window.hacked=1')()}}",
]


def test_hostile_labels_run_nothing(browser, stage):
    torch.manual_seed(0)
    decoder = torch.nn.Sequential(
        torch.nn.Linear(4, 48), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (3, 4, 4))
    )
    images = torch.rand(4, 3, 4, 4)
    widget = LatentTraversal(
        decoder, 4, labels=HOSTILE, title=HOSTILE[1], captions=HOSTILE,
        examples=(torch.randn(4, 4), images),
    )  # fmt: skip
    with visit(browser, stage(widget)) as seen:
        seen.all_alive()
        for name in ("Two at once", "Between images", "One by one"):
            seen.page.get_by_role("radio", name=name).check(force=True)
        act(
            seen.page.locator(".companion"),
            seen.page.get_by_role("button", name="Random sample").click,
        )
        assert seen.page.evaluate("window.hacked") is None
        assert HOSTILE[0] in seen.page.inner_text("main")
        assert seen.page.locator("main img[src=x], main svg[onload]").count() == 0


def test_models_of_the_page_are_named_by_their_content(site):
    import base64
    import gzip
    import hashlib

    models = list((site / "_static" / "companion" / "models").glob("*.js"))
    assert models
    parts: dict[str, dict[int, bytes]] = {}
    for path in models:  # a large model comes in numbered parts
        name, _, number = path.stem.partition(".")
        code = path.read_text().split('"')[3]
        parts.setdefault(name, {})[int(number or 0)] = base64.b64decode(code)
    for name, numbered in parts.items():
        content = b"".join(numbered[number] for number in sorted(numbered))
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        assert hashlib.sha256(content).hexdigest() == name


def test_no_weight_of_others_is_in_the_repository():
    cards = {path.stem for path in (ROOT / "data").glob("*.json")}
    weights = {path.stem for path in (ROOT / "data").glob("*.safetensors")}
    assert weights
    assert weights <= cards
