"""The live widgets of the built book, driven as a reader drives them."""

import math
import re

import numpy as np
import pytest
import torch

from companion import recipes
from companion.by_hand.gaussian import kl_to_standard_normal
from companion.widgets import LatentTraversal, PosteriorVsPrior
from conftest import ROOT
from support.front_end import settle
from support.pages import visit

pytestmark = pytest.mark.browser

CHAPTER = "12-vae.html"
TRAVERSAL = ".companion-widget[data-widget=latent_traversal]"
POSTERIOR = ".companion-widget[data-widget=posterior]"

# Remembers what each traversal painted last, and counts the paintings.
LISTEN = """() => {
    window.painted = [];
    document.addEventListener("companion-painted", (event) => window.painted.push({
        z: Array.from(event.detail.z), image: Array.from(event.detail.image)}));
}"""


@pytest.fixture(scope="module")
def sprite_vae():
    return recipes.load("vae-sprites").model


def sprites_widget(seen):
    """The widget with one slider for each latent of the sprites model, alive and listened to."""
    box = seen.page.locator(TRAVERSAL).last
    box.scroll_into_view_if_needed()
    seen.page.wait_for_selector(f"{TRAVERSAL} >> nth=-1", state="visible")
    handle = box.element_handle()
    seen.page.wait_for_function("(box) => box.dataset.state === 'live'", arg=handle, timeout=60_000)
    seen.page.evaluate(LISTEN)
    return box


def painted(seen, before):
    """The newest painting, once there are more than `before`."""
    seen.page.wait_for_function(f"() => window.painted.length > {before}")
    seen.page.wait_for_timeout(60)
    return seen.page.evaluate("() => window.painted.at(-1)")


def count(seen):
    return seen.page.evaluate("() => window.painted.length")


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


def agrees_with_torch(model, shown):
    with torch.no_grad():
        z = torch.tensor([shown["z"]], dtype=torch.float32)
        expected = model.decode(z)[0].flatten().numpy()
    return np.abs(np.array(shown["image"]) - expected).max()


@pytest.mark.parametrize("way", ["served", "folder"])
def test_each_slider_moves_the_picture_by_keyboard(browser, served, site, sprite_vae, way):
    address = f"{served}/{CHAPTER}" if way == "served" else (site / CHAPTER).as_uri()
    with visit(browser, address) as seen:
        box = sprites_widget(seen)
        sliders = box.locator(".traversal-sliders input[type=range]")
        assert sliders.count() == sprite_vae.latent_dim
        for number in range(sliders.count()):
            slider = sliders.nth(number)
            seen.page.get_by_role("button", name="Reset").last.click()
            seen.page.wait_for_timeout(60)
            before, told = canvas_of(box), slider.get_attribute("aria-valuetext")
            seen_so_far = count(seen)
            slider.focus()
            for _ in range(20):
                seen.page.keyboard.press("ArrowRight")
            shown = painted(seen, seen_so_far)
            moved = [i for i, value in enumerate(shown["z"]) if abs(value) > 1e-6]
            assert len(moved) == 1
            assert slider.get_attribute("aria-valuetext") != told
            assert agrees_with_torch(sprite_vae, shown) < 1e-3
            difference = np.abs(canvas_of(box).astype(int) - before).max()
            nats = float(re.search(r"([\d.]+) nats", told)[1])
            assert difference > (25 if nats > 0.5 else 0), f"slider {number} changes nothing"
            pixels = (np.array(shown["image"]).reshape(3, 64, 64) * 255).transpose(1, 2, 0)
            drawn = canvas_of(box).reshape(64, 64, 4)[..., :3]
            assert np.abs(drawn - pixels).max() <= 1, "the canvas shows something else"
        assert seen.errors == []
        assert seen.strangers == []


def test_drag_sample_reset_pad_and_interpolation(browser, served, sprite_vae):
    with visit(browser, f"{served}/{CHAPTER}") as seen:
        box = sprites_widget(seen)
        page = seen.page
        first = box.locator(".traversal-sliders input[type=range]").first
        first.scroll_into_view_if_needed()
        area = first.bounding_box()
        page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        page.mouse.down()
        page.mouse.move(area["x"] + 0.9 * area["width"], area["y"] + area["height"] / 2, steps=12)
        page.mouse.up()
        shown = painted(seen, 0)
        assert max(map(abs, shown["z"])) > 1.5
        assert agrees_with_torch(sprite_vae, shown) < 1e-3

        box.get_by_role("button", name="Reset").click()
        assert painted(seen, count(seen) - 1)["z"] == [0.0] * sprite_vae.latent_dim

        samples = []
        for _ in range(3):
            seen_so_far = count(seen)
            box.get_by_role("button", name="Random sample").click()
            samples.append(painted(seen, seen_so_far)["z"])
        assert len({tuple(z) for z in samples}) == 3
        assert all(max(map(abs, z)) < 5 for z in samples)
        page.wait_for_function(
            """(box) => [...box.querySelectorAll("[aria-live]")]
                .some((el) => el.textContent.includes("sample from the prior"))""",
            arg=box.element_handle(),
        )

        box.get_by_role("radio", name="Two at once").check(force=True)
        seen_so_far = count(seen)
        box.locator(".companion-pad input").first.focus()
        for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
            page.keyboard.press(key)
        shown = painted(seen, seen_so_far)
        moved = [
            a != pytest.approx(b, abs=1e-4) for a, b in zip(shown["z"], samples[-1], strict=True)
        ]
        assert sum(moved) == 2

        box.get_by_role("radio", name="Between images").check(force=True)
        way = box.locator(".traversal-between input[type=range]")
        way.focus()
        page.keyboard.press("Home")
        seen_so_far = count(seen)
        page.keyboard.press("End")
        shown = painted(seen, seen_so_far)
        assert agrees_with_torch(sprite_vae, shown) < 1e-3
        assert "100 %" in way.get_attribute("aria-valuetext")
        assert seen.errors == []


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
        seen.page.get_by_role("button", name="Random sample").click()
        seen.page.wait_for_timeout(300)
        assert seen.page.evaluate("window.hacked") is None
        assert HOSTILE[0] in seen.page.inner_text("main")
        assert seen.page.locator("main img[src=x], main svg[onload]").count() == 0


def test_one_broken_widget_leaves_the_others_alive(browser, stage, tmp_path):
    decoder = torch.nn.Sequential(
        torch.nn.Linear(2, 16), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (1, 4, 4))
    )
    good, bad = LatentTraversal(decoder, 2), PosteriorVsPrior()
    address = stage(bad, good)
    page = tmp_path / "deep er" / "page.html"
    page.write_text(page.read_text().replace('data-widget="posterior"', 'data-widget="nobody"'))
    with visit(browser, address) as seen:
        seen.scroll_through()
        states = seen.page.eval_on_selector_all(
            ".companion-widget", "(boxes) => boxes.map((box) => box.dataset.state)"
        )
        assert states == ["failed", "live"]
        message = seen.page.locator(".companion-status").first.inner_text()
        assert re.search("no widget called nobody", message)
        assert seen.page.locator(".companion-preview :is(svg, img)").first.is_visible()


def test_models_of_the_page_are_named_by_their_content(site):
    import base64
    import hashlib

    models = list((site / "_static" / "companion" / "models").glob("*.js"))
    assert models
    for path in models:
        code = path.read_text().split('"')[3]
        assert hashlib.sha256(base64.b64decode(code)).hexdigest() == path.stem


def test_no_weight_of_others_is_in_the_repository():
    cards = {path.stem for path in (ROOT / "data").glob("*.json")}
    weights = {path.stem for path in (ROOT / "data").glob("*.safetensors")}
    assert weights
    assert weights <= cards
