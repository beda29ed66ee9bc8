"""BetaLineup: which latent moves, by how much, and that the page decodes what Python does."""

import numpy as np
import pytest
import torch

from companion.datasets import ImageSet
from companion.models import ConvVAE
from companion.site.frontend import build_frontend
from companion.widgets import BetaLineup
from support.front_end import shown_numbers
from support.pages import visit
from support.stage import write_stage


def vae(seed: int, latent_dim: int = 4) -> ConvVAE:
    torch.manual_seed(seed)
    return ConvVAE((3, 8, 8), latent_dim, widths=(4,), hidden=8).eval()


@pytest.fixture(scope="module")
def images() -> ImageSet:
    g = torch.Generator().manual_seed(0)
    light, place = torch.rand(200, generator=g), torch.randint(0, 2, (200,), generator=g)
    pixels = torch.zeros(200, 3, 8, 8)
    pixels[place == 0, :, :4] = light[place == 0][:, None, None, None]
    pixels[place == 1, :, 4:] = light[place == 1][:, None, None, None]
    factors = {"light": light, "place": place}
    return ImageSet("bars", "test", (255 * pixels).round().to(torch.uint8), factors=factors)


@pytest.fixture(scope="module")
def widget(images: ImageSet) -> BetaLineup:
    models = {"first": vae(0), "second": vae(1, 3)}
    return BetaLineup(models, images, images.pixels()[:2], ["one", "two"])


def test_a_shift_moves_the_matched_latent_towards_more_of_the_factor(images, widget):
    x, light = images.pixels(), images.factors["light"]
    for line, seed, latent_dim in zip(widget.lines, (0, 1), (4, 3), strict=True):
        with torch.no_grad():
            mu, _ = vae(seed, latent_dim).encode(x)
        latent, step = line["latents"][0], line["steps"][0]
        assert abs(step) == pytest.approx(mu[:, latent].std().item(), abs=1e-3)
        grows = np.corrcoef(mu[:, latent], light)[0, 1]
        assert np.sign(step) == np.sign(grows)
        assert len(set(line["latents"])) == 2
    plain, shifted = widget.codes(), widget.codes([1.5, 0.0])
    for line, before, after in zip(widget.lines, plain, shifted, strict=True):
        moved = (after - before)[0]
        assert moved[line["latents"][0]].item() == pytest.approx(1.5 * line["steps"][0], abs=1e-5)
        assert moved.count_nonzero() == 1


def test_it_starts_from_what_the_models_rebuild(images, widget):
    for image, (seed, latent_dim) in zip(widget.decoded(), ((0, 4), (1, 3)), strict=True):
        model = vae(seed, latent_dim)
        with torch.no_grad():
            expected = model.decode(model.encode(images.pixels()[:1])[0])[0]
        torch.testing.assert_close(image, expected, atol=1e-3, rtol=0)
    assert set(widget.stills()) == {"now-0", "now-1", "film-0", "film-1"}
    assert "light" in repr(widget)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": {}}, "1 to 4 models, got 0"),
        ({"captions": ["one"]}, "a caption each, got 2 and 1"),
        ({"examples": torch.rand(2, 3, 4, 4)}, "the images' shape"),
        ({"models": {"narrow": vae(0, 1)}}, "at least 2 latents, one a factor, got 1"),
    ],
)
def test_refusals(images, change, words):
    arguments = {
        "models": {"first": vae(0)}, "images": images, "examples": images.pixels()[:2],
        "captions": ["one", "two"],
    } | change  # fmt: skip
    with pytest.raises(ValueError, match=words):
        BetaLineup(**arguments)


def test_what_python_may_set(images, widget):
    plain = ImageSet("plain", "test", images.images)
    with pytest.raises(ValueError, match="factors are known"):
        BetaLineup({"first": vae(0)}, plain, images.pixels()[:1], ["one"])
    for trait, value in (("chosen", 2), ("factor", 2), ("shifts", [3.0, 0.0]), ("shifts", [0.0])):
        with pytest.raises(ValueError, match=trait):
            setattr(widget, trait, value)


NEXT = """() => {
  window.painted = new Promise((resolve) =>
    addEventListener("companion-painted", (event) => resolve(event.detail), { once: true }));
}"""


@pytest.mark.browser
def test_the_page_decodes_what_python_does(browser, tmp_path, images):
    build_frontend(quiet=True)
    models = {"first": vae(0), "second": vae(1, 3)}
    widget = BetaLineup(models, images, images.pixels()[:2], ["one", "two"])
    page_file = write_stage(tmp_path, widget)
    with visit(browser, page_file.as_uri()) as seen:
        page = seen.page

        def agrees() -> None:
            got = page.evaluate("async () => (await window.painted).images")
            for one, expected in zip(got, widget.decoded(), strict=True):
                np.testing.assert_allclose(one, expected.numpy().ravel(), atol=2e-3)

        page.evaluate(NEXT)
        page.get_by_role("button", name="Load the decoders").press("Enter")
        agrees()
        numbers = shown_numbers(page)
        assert numbers["share-1"] == pytest.approx(widget.lines[1]["shares"][0])
        assert numbers["nats-0"] == pytest.approx(widget.lines[0]["nats"][0])
        page.evaluate(NEXT)
        slider = page.get_by_role("slider", name="Move the latent for place in all models")
        slider.focus()  # which shows this factor's way
        agrees()
        page.evaluate(NEXT)
        slider.press("End")
        widget.shifts, widget.factor = [0.0, 2.5], 1
        agrees()
        numbers = shown_numbers(page)
        assert numbers["shift-1"] == 2.5
        assert numbers["share-0"] == pytest.approx(widget.lines[0]["shares"][1])
        page.evaluate(NEXT)
        page.get_by_role("radio", name="two").check()
        widget.chosen = 1
        agrees()
        page.evaluate(NEXT)
        page.get_by_role("button", name="As encoded").press("Enter")
        widget.shifts = [0.0, 0.0]
        agrees()
        assert seen.errors == []
        assert seen.strangers == []
