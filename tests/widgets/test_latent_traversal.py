"""LatentTraversal and what live widgets share: from Python, in a page, with a kernel's messages.

`test_live.py` drives the same widgets in the built book.
"""

import base64
import gzip
import io
import json
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from companion.by_hand.gaussian import kl_to_standard_normal
from companion.models import ConvAutoencoder, ConvVAE
from companion.site.prerender import still_html
from companion.widgets import LatentTraversal, PosteriorVsPrior, base
from companion.widgets.base import MIME_TYPE
from companion.widgets.noise import noise
from support.front_end import settle
from support.pages import visit
from support.traversal import act, error_against_torch

HOSTILE = '"><img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>'


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(3)
    model = ConvVAE((3, 16, 16), latent_dim=4)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)  # so that an untrained decoder's images differ
        model.to_mu.weight[1].mul_(40)
        model.to_log_var.bias[3].fill_(-4)
    return model


@pytest.fixture(scope="module")
def images():
    return torch.randint(256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )


def tiny(latent_dim=3):
    torch.manual_seed(latent_dim)  # one export serves all tests
    return nn.Sequential(nn.Linear(latent_dim, 16), nn.Sigmoid(), nn.Unflatten(1, (1, 4, 4)))


def still(widget):
    return still_html(widget._repr_mimebundle_()[0][MIME_TYPE], "still-1")


# --- from Python ----------------------------------------------------------------------------------


def test_order_and_kl_come_from_the_encoder(vae, images):
    widget = LatentTraversal(vae, images=images)
    with torch.no_grad():
        mu, log_var = vae.encode(images.float() / 255)
        kl = kl_to_standard_normal(mu, torch.exp(0.5 * log_var)).mean(0)
    np.testing.assert_allclose(widget.kl_per_dim, kl.numpy(), atol=1e-3)
    assert widget.order == kl.argsort(descending=True).tolist()
    assert [e["code"] for e in widget.examples] == [
        pytest.approx(row.tolist(), abs=1e-4) for row in mu[:8]
    ]
    sigma = torch.exp(0.5 * log_var)
    assert [e["sigma"] for e in widget.examples] == [
        pytest.approx(row.tolist(), abs=1e-4) for row in sigma[:8]
    ]
    same = LatentTraversal(vae, images=images.float() / 255)
    assert same.kl_per_dim == widget.kl_per_dim


def test_unused_latents_are_marked():
    widget = LatentTraversal(tiny(), 3, kl_per_dim=[0.049, 2.5, 0.05])
    assert widget.order == [1, 2, 0]
    assert widget.unused == [0]
    assert still(widget).count("unused by the model") == 1
    assert "unused" not in still(LatentTraversal(tiny(), 3))


def test_a_plane_keeps_its_axes():
    """So that it can be compared with a scatter plot of the codes."""
    assert LatentTraversal(tiny(2), 2, kl_per_dim=[1.0, 2.0]).order == [0, 1]


def test_an_autoencoder_has_codes_but_no_kl():
    model = ConvAutoencoder((1, 8, 8), latent_dim=2)
    widget = LatentTraversal(model, images=torch.rand(3, 1, 8, 8))
    assert widget.kl_per_dim is None
    assert len(widget.examples) == 3
    assert all("sigma" not in example for example in widget.examples)


class Encodes(nn.Module):
    """A model whose encode returns what `give` makes of mu and log_var."""

    latent_dim = 3

    def __init__(self, give):
        super().__init__()
        self.decode = tiny()
        self.give = give

    def encode(self, images):
        return self.give(images.flatten(1)[:, :3], -images.flatten(1)[:, 3:6])


@pytest.mark.parametrize("kind", [tuple, list])
def test_mu_and_log_var_may_come_as_a_tuple_or_a_list(kind):
    pictures = torch.rand(5, 1, 4, 4)
    widget = LatentTraversal(Encodes(lambda *codes: kind(codes)), images=pictures)
    mu, log_var = pictures.flatten(1)[:, :3], -pictures.flatten(1)[:, 3:6]
    kl = kl_to_standard_normal(mu, torch.exp(0.5 * log_var)).mean(0)
    np.testing.assert_allclose(widget.kl_per_dim, kl.numpy(), atol=1e-4)
    alone = LatentTraversal(Encodes(lambda mu, _: [mu]), images=pictures)
    assert alone.kl_per_dim is None
    for bare, full in zip(alone.examples, widget.examples, strict=True):
        assert bare.items() <= full.items()


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda mu, log_var: {"mu": mu, "log_var": log_var}, "a tuple or list of two, not dict"),
        (lambda mu, log_var: torch.distributions.Normal(mu, 1), "list of two, not Normal"),
        (lambda mu, log_var: (mu, mu, log_var), "not tuple of Tensor, Tensor, Tensor"),
        (lambda mu, log_var: [mu, None], "not list of Tensor, NoneType"),
        (lambda mu, log_var: (), "not tuple of"),
        (lambda mu, log_var: mu.numpy(), "not ndarray"),
        (lambda mu, log_var: (mu, log_var[:, :2]), r"shape \(5, 3\), but .* \(5, 3\) and \(5, 2\)"),
        (lambda mu, log_var: mu[:, :2], r"shape \(5, 3\), but it returned \(5, 2\)"),
        (lambda mu, log_var: mu[..., None], r"shape \(5, 3\), but it returned \(5, 3, 1\)"),
        (lambda mu, log_var: mu / 0, "finite codes, but some are nan or infinite"),
        (lambda mu, log_var: mu @ mu, r"encode fails on images of shape \(5, 1, 4, 4\): mat1"),
    ],
)
def test_what_encode_may_not_return(give, message):
    with pytest.raises(ValueError, match=message) as error:
        LatentTraversal(Encodes(give), images=torch.rand(5, 1, 4, 4))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_a_wrapped_model_is_the_model(vae, images, wrap):
    widget = LatentTraversal(wrap(vae), images=images)
    assert widget.page_state() == LatentTraversal(vae, images=images).page_state()


def test_encoding_leaves_the_model_as_it_was(vae, images):
    vae.train()
    vae.decoder.eval()
    modes = [module.training for module in vae.modules()]
    LatentTraversal(vae, images=images)
    assert [module.training for module in vae.modules()] == modes
    assert all(parameter.grad is None for parameter in vae.parameters())


def test_the_widget_keeps_the_model_that_it_was_made_from():
    decoder = tiny()
    widget = LatentTraversal(decoder, 3)
    before = widget.stills()
    with torch.no_grad():
        decoder[0].bias.add_(3)
    assert widget.stills() == before
    assert LatentTraversal(decoder, 3).stills() != before


@settings(max_examples=20, deadline=None)
@given(z=st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_z_can_be_set_and_observed(z):
    widget = LatentTraversal(tiny(), 3)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "z")
    widget.z = z
    assert widget.z == z
    assert seen == [z] * (z != [0.0] * 3)


@pytest.mark.parametrize("z", [[0.0], [0.0] * 4, [float("nan"), 0.0, 0.0]])
def test_a_wrong_z_is_refused(z):
    widget = LatentTraversal(tiny(), 3)
    with pytest.raises(ValueError, match="z must be 3 finite numbers"):
        widget.z = z
    assert widget.z == [0.0] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_dim": None}, "latent_dim is needed"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1"),
        ({"latent_dim": 5}, r"the decoder fails on z of shape \(8, 5\)"),
        ({"value_range": (2, -2)}, "value_range must be two increasing numbers"),
        ({"value_range": (0, float("inf"))}, "value_range must be two increasing numbers"),
        ({"kl_per_dim": [1.0]}, "kl_per_dim must be 3 finite numbers"),
        ({"kl_per_dim": [1.0, -1.0, 0.0]}, "kl_per_dim must be 3 finite numbers"),
        ({"labels": ["hue"]}, "expected 3 labels, one a latent, but got 1"),
        ({"images": torch.rand(2, 1, 4, 4)}, r"images need a model with encode\(x\)"),
        ({"images": torch.rand(2, 3, 4, 4)}, r"expected images of shape N×1×4×4.*\(2, 3, 4, 4\)"),
        ({"images": torch.rand(0, 1, 4, 4)}, "expected images of shape N×1×4×4"),
        ({"examples": (torch.rand(2, 2), torch.rand(2, 1, 4, 4))}, r"codes of shape \(2, 3\)"),
        (
            {"examples": (torch.rand(2, 3), torch.rand(2, 1, 4, 4)), "captions": ["one"]},
            "expected 2 captions, one an image, but got 1",
        ),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        LatentTraversal(tiny(), **({"latent_dim": 3} | arguments))
    assert "\n" not in str(error.value)


def test_page_gets_state_pictures_and_model(vae, images):
    widget = LatentTraversal(vae, images=images, labels=["a", "b", "c", HOSTILE], title=HOSTILE)
    bundle, _ = widget._repr_mimebundle_()
    content = json.loads(json.dumps(bundle[MIME_TYPE]))
    assert content["widget"] == "latent_traversal"
    assert content["assets"] == [widget.decoder]
    assert content["state"] == widget.page_state()
    assert not [name for name in content["state"] if name.startswith("_")]
    assert {"layout", "tabbable", "tooltip"}.isdisjoint(content["state"])
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(widget) == widget.describe()
    assert "8 latents" not in bundle["text/plain"]
    assert "4 latents, 3×16×16 images; most informative is b" in bundle["text/plain"]
    assert set(content["stills"]) == {"hero", "film"}


def pixels(png):
    """The picture as C×H×W in [0, 1]."""
    return np.asarray(Image.open(io.BytesIO(png))).transpose(2, 0, 1) / 255


def test_pictures_are_the_decoders_for_z_the_first_latent_and_the_plane(vae):
    widget = LatentTraversal(vae, kl_per_dim=[1.0, 3.0, 2.0, 0.0])
    widget.z = [1.0, -0.5, 0.0, 2.0]
    points = torch.tensor([widget.z] * 10)
    points[1:, 1] = torch.linspace(-3, 3, 9)
    with torch.no_grad():
        expected, *frames = vae.decode(points).numpy()
    assert np.abs(pixels(widget.stills()["hero"]) - expected).max() <= 0.5 / 255 + 1e-6
    film = pixels(widget.stills()["film"])
    assert np.abs(film - np.concatenate(frames, axis=2)).max() <= 0.5 / 255 + 1e-6

    decoder = tiny(2)
    across, up = torch.meshgrid(torch.linspace(-3, 3, 7), torch.linspace(3, -3, 7), indexing="xy")
    with torch.no_grad():
        tiles = decoder(torch.stack([across, up], dim=-1).view(49, 2)).view(7, 7, 4, 4)
    shown = pixels(LatentTraversal(decoder, 2).stills()["map"])[0]
    expected = tiles.permute(0, 2, 1, 3).reshape(28, 28).numpy()
    assert np.abs(shown - expected).max() <= 0.5 / 255 + 1e-6


def test_kernel_answers_for_the_engine(monkeypatch):
    widget = LatentTraversal(tiny(), 3)
    sent = []
    monkeypatch.setattr(widget, "send", lambda message, buffers=(): sent.append((message, buffers)))
    for name in ("engine", "engine-wasm", "../../pyproject.toml", None):
        widget._handle_custom_msg({"kind": "asset", "name": name}, [])
    widget._handle_custom_msg({"kind": "something else"}, [])
    widget._handle_custom_msg("noise", [])
    (engine, [script]), (_, [wasm]), (missing, _), (missing_too, _) = sent
    assert engine == {"kind": "asset", "name": "engine"}
    assert b"InferenceSession" in gzip.decompress(script)
    assert gzip.decompress(wasm)[:4] == b"\0asm"
    assert missing["kind"] == missing_too["kind"] == "asset-missing"
    assert missing["why"] == "no file is called ../../pyproject.toml"
    model = widget.get_state()["_files"]
    assert model == {widget.decoder: widget._models[widget.decoder].read_bytes()}


def test_colab_s_widget_manager_is_asked_for(monkeypatch):
    calls = []
    output = types.SimpleNamespace(enable_custom_widget_manager=lambda: calls.append(1))
    for name in ("google", "google.colab", "google.colab.output"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    sys.modules["google.colab"].output = output
    from anywidget._util import enable_custom_widget_manager_once

    enable_custom_widget_manager_once.cache_clear()
    for _ in range(2):
        LatentTraversal(tiny(), 3)
    assert calls == [1]
    enable_custom_widget_manager_once.cache_clear()


# --- in a page, without a kernel ------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
def test_every_way_to_move_shows_what_torch_makes(browser, stage, vae, images, served):
    widget = LatentTraversal(vae, images=images, seed=5)
    with visit(browser, stage(widget, served=served)) as seen:
        seen.all_alive()
        page = seen.page
        keyboard = page.keyboard
        box = page.locator(".companion")

        expected = [0.0] * 4
        for number, latent in enumerate(widget.order):
            slider = page.locator(".traversal-sliders input[type=range]").nth(number)
            slider.focus()
            shown = act(box, lambda: [keyboard.press("ArrowRight") for _ in range(10)])
            expected[latent] = 0.5
            assert shown["z"] == pytest.approx(expected, abs=1e-6)
            assert error_against_torch(vae, shown) < 1e-3
            spoken = f"latent {latent}, value 0.5, {widget.kl_per_dim[latent]:.1f} nats"
            assert slider.get_attribute("aria-valuetext") == spoken

        for count in (1, 2, 3):
            shown = act(box, page.get_by_role("button", name="Random sample").click)
            assert shown["z"] == pytest.approx(noise(5, 4 * count)[-4:].tolist(), abs=1e-6)
            assert error_against_torch(vae, shown) < 1e-3
        told = page.locator("[aria-live=polite]", has_text="A sample from the prior: latent")
        told.wait_for(state="attached")
        assert act(box, page.get_by_role("button", name="Reset").click)["z"] == [0.0] * 4

        slider = page.locator(".traversal-sliders input[type=range]").first
        area = slider.bounding_box()
        page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        page.mouse.down()
        to = (area["x"] + 0.9 * area["width"], area["y"] + area["height"] / 2)
        shown = act(box, lambda: page.mouse.move(*to, steps=12))
        page.mouse.up()
        assert 1.5 < shown["z"][widget.order[0]] < 3
        assert error_against_torch(vae, shown) < 1e-3

        page.get_by_role("radio", name="Two at once").check()
        pad = page.locator(".companion-pad")
        area = pad.bounding_box()
        across, up = widget.order[:2]
        corner = (area["x"] + area["width"] * 13 / 14, area["y"] + area["height"] / 14)
        shown = act(box, lambda: page.mouse.click(*corner))
        assert shown["z"][across] == pytest.approx(3, abs=0.1)
        assert shown["z"][up] == pytest.approx(3, abs=0.1)
        assert error_against_torch(vae, shown) < 1e-3
        pad.locator("input").first.focus()
        shown = act(box, lambda: [keyboard.press(k) for k in ("ArrowDown", "ArrowLeft")])
        assert shown["z"][across] == pytest.approx(2.9, abs=0.1)
        assert shown["z"][up] == pytest.approx(2.9, abs=0.1)
        told = pad.locator("input").first.get_attribute("aria-valuetext")
        assert told == f"latent {across} 2.9, latent {up} 2.9"

        page.get_by_role("radio", name="Between images").check()
        shown = act(box, page.get_by_role("radio", name="A: image 3").check)
        assert shown["z"] == pytest.approx(widget.examples[2]["code"], abs=1e-5)
        act(box, page.get_by_role("radio", name="B: image 6").check)
        page.locator(".traversal-between .companion-range").focus()
        shown = act(box, lambda: keyboard.press("End"))
        assert shown["z"] == pytest.approx(widget.examples[5]["code"], abs=1e-5)
        shown = act(box, lambda: [keyboard.press("ArrowLeft") for _ in range(50)])
        middle = np.mean([widget.examples[2]["code"], widget.examples[5]["code"]], axis=0)
        assert shown["z"] == pytest.approx(middle.tolist(), abs=1e-4)
        assert error_against_torch(vae, shown) < 1e-3

        page.get_by_role("radio", name="Around an image").check()
        panel = page.locator(".traversal-panels > :not([inert])")
        shown = act(box, panel.get_by_role("radio", name="image 5", exact=True).check)
        mean, sigma = (np.array(widget.examples[4][key]) for key in ("code", "sigma"))
        assert shown["z"] == pytest.approx(mean.tolist(), abs=1e-5)
        drawn = [act(box, panel.get_by_role("button", name="Draw").click)["z"] for _ in range(2)]
        epsilon = np.reshape(noise(6, 4 * 9 * 3).tolist(), (-1, 9, 4))[1:, 0]
        np.testing.assert_allclose(drawn, mean + sigma * epsilon, atol=1e-4)
        shown = act(box, panel.get_by_role("button", name="Its mean").click)
        assert shown["z"] == pytest.approx(mean.tolist(), abs=1e-5)
        assert seen.errors == []
        assert seen.strangers == []


@pytest.mark.browser
def test_a_plane_shows_the_gaussian_of_an_image(browser, stage):
    torch.manual_seed(1)
    model = ConvVAE((1, 8, 8), latent_dim=2, widths=(8,), hidden=16)
    widget = LatentTraversal(model, images=torch.rand(8, 1, 8, 8))
    with visit(browser, stage(widget)) as seen:
        seen.all_alive()
        page = seen.page
        assert not page.locator(".latent-pad-overlay").is_visible()
        page.get_by_role("radio", name="image 3", exact=True).check()
        ellipse = page.locator(".latent-pad-ellipse")
        ellipse.wait_for(state="attached")
        (x, y), (rx, ry) = widget.examples[2]["code"], widget.examples[2]["sigma"]
        drawn = [float(ellipse.get_attribute(name)) for name in ("cx", "cy", "rx", "ry")]
        assert drawn == pytest.approx([x, -y, 2 * rx, 2 * ry], abs=1e-3)
        # Its middle is where the handle stands: at the mean.
        middles = [
            page.locator(part).evaluate(
                """(el) => { const b = el.getBoundingClientRect();
                    return [b.x + b.width / 2, b.y + b.height / 2]; }"""
            )
            for part in (".latent-pad-ellipse", ".latent-pad-handle")
        ]
        assert middles[0] == pytest.approx(middles[1], abs=1.5)
        assert seen.errors == []


@pytest.mark.browser
def test_film_strip_shows_the_range_of_the_slider_in_focus(browser, stage, vae, images):
    widget = LatentTraversal(vae, images=images)
    latent = widget.order[2]
    points = torch.zeros(9, 4)
    points[:, latent] = torch.linspace(-3, 3, 9)
    with torch.no_grad():
        frames = vae.decode(points).permute(2, 0, 3, 1)  # side by side: rows, frames, columns, RGB
    with visit(browser, stage(widget)) as seen:
        seen.all_alive()
        page = seen.page
        page.locator(".traversal-sliders input[type=range]").nth(2).focus()
        page.wait_for_function(
            """(expected) => {
                const canvas = document.querySelector(".film canvas");
                const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const shown = all.data.filter((_, i) => i % 4 < 3);
                return shown.length === expected.length
                    && shown.every((value, i) => Math.abs(value - 255 * expected[i]) < 0.75);
            }""",
            arg=frames.flatten().tolist(),
        )
        caption = page.locator(".film-strip figcaption span").nth(1)
        assert caption.inner_text().startswith(f"latent {latent} moves")


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 640, 740, 1280])
@pytest.mark.parametrize("latent_dim", [2, 4])
def test_preview_and_live_widget_are_of_one_size(browser, stage, images, width, latent_dim):
    torch.manual_seed(0)
    kl = [0.0, *range(1, latent_dim)]
    model = ConvVAE((3, 16, 16), latent_dim=latent_dim)
    address = stage(LatentTraversal(model, images=images, kl_per_dim=kl))
    boxes = {}
    for script in (False, True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script
        )
        page = context.new_page()
        page.goto(address)
        if script:
            page.wait_for_selector(".companion-widget[data-state=live]")
        parts = (".companion", ".companion-title", ".traversal-picture", ".traversal-side",
                 ".companion-slider >> nth=0", ".film-strip", "main > p")  # fmt: skip
        boxes[script] = [page.locator(part).bounding_box() for part in parts]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()
    for before, after in zip(boxes[False], boxes[True], strict=True):
        assert before == pytest.approx(after, abs=0.6)


@pytest.mark.browser
def test_engine_comes_once_and_only_when_a_widget_is_near(browser, stage, vae):
    first, second = LatentTraversal(vae, title="First"), LatentTraversal(tiny(), 3, title="Second")
    address = stage(first, second, first, before='<div style="height:3000px">Text</div>')
    with visit(browser, address) as seen:
        asked = []
        seen.page.on("request", lambda request: asked.append(request.url.split("/")[-1]))
        settle(seen.page)  # what is near has been noticed with the first frames
        assert seen.page.locator(".companion-widget[data-state]").count() == 0
        assert asked == []
        assert seen.page.locator(".companion-preview img").first.is_visible()
        seen.scroll_through()
        names = sorted(
            name.split("?")[0] for name in asked if name.partition("?")[0].endswith("js")
        )
        first_in_parts = [f"{first.decoder}.js", f"{first.decoder}.1.js"]  # above a megabyte
        assert names == sorted(
            ["engine.js", "engine-wasm.js", *first_in_parts, f"{second.decoder}.js"]
        )
        assert seen.page.locator(".companion-widget[data-state=live]").count() == 3
        assert seen.errors == []


@pytest.mark.browser
def test_failures_are_one_readable_line_each(browser, stage, vae):
    good, lost = LatentTraversal(vae), LatentTraversal(tiny(), 3)
    address = stage(lost, PosteriorVsPrior(), good)
    folder = base.Path(address.removeprefix("file://").replace("%20", " ")).parent
    (folder / "companion" / "models" / f"{lost.decoder}.js").unlink()
    page = folder / "page.html"
    page.write_text(page.read_text().replace('data-widget="posterior"', 'data-widget="nobody"'))
    with visit(browser, address) as seen:
        seen.scroll_through()
        states = seen.page.locator(".companion-widget").evaluate_all(
            "(boxes) => boxes.map((box) => box.dataset.state)"
        )
        assert states == ["failed", "failed", "live"]
        lines = [line for line in seen.page.locator(".companion-status").all_inner_texts() if line]
        assert lines[0].startswith("This figure stays as it is: file:///")
        assert lines[0].endswith(f"{lost.decoder}.js did not load")
        assert lines[1] == "This figure stays as it is: this page has no widget called nobody"
        assert seen.page.locator(".companion-preview img").first.is_visible()
        box = seen.page.locator(".companion-live .companion")
        act(box, box.get_by_role("button", name="Random sample").click)


@pytest.mark.browser
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation_in_any_panel(browser, stage, vae, images, size, theme):
    widget = LatentTraversal(vae, images=images, kl_per_dim=[3.0, 2.0, 0.0, 0.01])
    with visit(browser, stage(widget), size=size, theme=theme) as seen:
        seen.all_alive()
        for name in ("One by one", "Two at once", "Between images", "Around an image"):
            seen.page.get_by_role("radio", name=name).check()
            assert seen.violations() == []
        if size == "phone":
            heights = seen.page.locator(
                ".traversal :is(button, select, input[type=range], .companion-segments)"
            ).evaluate_all("(all) => all.map((el) => el.getBoundingClientRect().height)")
            assert min(heights) >= 32


# --- with a kernel --------------------------------------------------------------------------------

# The part of ipywidgets' model that a widget uses; the kernel's side answers through `answer`.
KERNEL = """
const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
class Model {
  constructor(state) { this.state = state; this.heard = new Map(); this.saved = []; }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; this.emit(`change:${name}`); }
  save_changes() { this.saved.push([...this.state.z]); }
  on(event, f) { this.heard.set(event, [...(this.heard.get(event) ?? []), f]); }
  off(event, f) { this.heard.set(event, (this.heard.get(event) ?? []).filter((g) => g !== f)); }
  emit(event, ...rest) { for (const f of this.heard.get(event) ?? []) f(...rest); }
  async send(message) {
    const [reply, code] = await answer(message);
    this.emit("msg:custom", reply, code ? [view(code)] : []);
  }
}
window.start = async ([state, code, files]) => {
  for (const [name, text] of Object.entries(files)) files[name] = view(text);
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const widget = (await import(url)).default;
  window.model = new Model({ ...state, _files: files });
  window.stop = await widget.render({ model: window.model, el: document.querySelector("main") });
}
"""


@pytest.mark.browser
def test_notebook_without_our_files_gets_the_engine_from_the_kernel(browser, vae, monkeypatch):
    """What Colab and VS Code do: no folder of ours, only the widget's own channel."""
    widget = LatentTraversal(vae)
    asked = []

    def answer(message):
        asked.append(message["name"])
        sent = []
        monkeypatch.setattr(widget, "send", lambda reply, buffers=(): sent.append((reply, buffers)))
        widget._handle_custom_msg(message, [])
        ((reply, buffers),) = sent
        return [reply, base64.b64encode(buffers[0]).decode() if buffers else ""]

    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.expose_function("answer", answer)
    page.set_content("<!doctype html><title>Notebook</title><main></main>")
    state = widget.get_state()
    files = {name: base64.b64encode(data).decode() for name, data in state["_files"].items()}
    page.add_script_tag(content=KERNEL)
    page.evaluate("(parts) => start(parts)", [widget.page_state(), state["_esm"], files])
    page.wait_for_selector(".companion[data-state=ready]")
    assert sorted(asked) == ["engine", "engine-wasm"]

    # What Python sets is shown; what the reader moves is sent, at last exactly, and not too often.
    box = page.locator(".companion")
    shown = act(box, lambda: page.evaluate("model.set('z', [1, 0, 0, -1])"))
    assert shown["z"] == [1, 0, 0, -1]
    assert error_against_torch(vae, shown) < 1e-3
    page.locator(".companion-range").first.focus()
    act(box, lambda: [page.keyboard.press("ArrowRight") for _ in range(20)])
    page.wait_for_function("Math.abs(model.saved.at(-1)?.[0] - 2) < 1e-4")
    saved = page.evaluate("model.saved")
    assert saved[-1] == pytest.approx([2.0, 0, 0, -1], abs=1e-4)
    assert len(saved) < 20

    page.evaluate("stop()")
    assert page.evaluate("[...model.heard.values()].flat().length") == 0, "it still listens"
    assert problems == []
    page.close()
