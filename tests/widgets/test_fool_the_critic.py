"""FoolTheCritic: codes and logits by Python, and what a page's network says of a drawing."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from companion import recipes
from companion.models import DCGAN
from companion.recipes.gans import CRITIC_ON_MNIST
from companion.site.frontend import build_frontend
from companion.widgets import FoolTheCritic
from support.front_end import small_text
from support.pages import visit

SIDE = 12


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = DCGAN((1, SIDE, SIDE), latent_dim=3, width=4)
    with torch.no_grad():  # untrained, all images would look alike
        for parameter in model.parameters():
            parameter.mul_(8)
    return model.eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (6, 1, SIDE, SIDE), generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def widget(model, images):
    return FoolTheCritic(model, images, seed=5)


class TestInPython:
    def test_logits_are_the_critics(self, widget, model, images):
        critic = model.critic(1000, torch.Generator().manual_seed(5))
        with torch.no_grad():
            expected = critic(images.float() / 255)
            sample = critic(model.generator(widget.walk(0.0)[None]))
        assert [example["logit"] for example in widget.examples] == pytest.approx(
            expected.tolist(), rel=1e-3, abs=1e-3
        )
        assert widget.sample_logit == pytest.approx(float(sample), rel=1e-3, abs=1e-3)

    def test_the_walk_is_an_arc(self, widget):
        first, second = widget.code(0), widget.code(1)
        assert torch.allclose(widget.walk(0.0), first)
        assert torch.allclose(widget.walk(1.0), second)
        middle, cosine = widget.walk(0.5), torch.cosine_similarity
        assert middle.norm() == pytest.approx(float(first.norm() + second.norm()) / 2, rel=1e-5)
        sides = [float(cosine(middle, code, dim=0)) for code in (first, second)]
        assert sides[0] == pytest.approx(sides[1], abs=1e-5)
        whole = math.acos(float(cosine(first, second, dim=0)))
        assert math.acos(sides[0]) == pytest.approx(whole / 2, abs=1e-4)

    def test_ranks_are_shares(self, model, images):
        logits = torch.randn(300, generator=torch.Generator().manual_seed(0))
        w = FoolTheCritic(model, images, logits)
        for value in (-9.0, -0.7, 0.0, 1.3, 9.0):
            share = float((logits < value).float().mean())
            assert w.rank(value)["real"] == pytest.approx(share, abs=0.015)

    def test_state_and_words(self, widget):
        assert len(json.dumps(widget.page_state())) < 20_000
        assert repr(widget).startswith("FoolTheCritic: 3 numbers → 12×12 pixels; the critic's")
        assert set(widget.stills()) == {"walk", "film", "samples"}

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"model": torch.nn.Linear(2, 2)}, "model must be a DCGAN, not Linear"),
            ({"model": DCGAN((3, 12, 12), 2, 2)}, "square grey images"),
            ({"images": 3}, "an ImageSet or a tensor N×1×H×W, not int"),
            ({"images": torch.zeros(2, 1, 8, 8)}, r"N×1×12×12, not \(2, 1, 8, 8\)"),
            ({"images": torch.full((2, 1, 12, 12), 2.0)}, "uint8 or floats from 0 to 1"),
            ({"captions": ["a"]}, "expected 6 captions, got 1"),
            ({"real": [1.0]}, "at least two finite logits"),
            ({"real": [1.0, math.nan]}, "at least two finite logits"),
            ({"seed": -1}, "seed must be an integer"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, model, images, changes, words):
        with pytest.raises((TypeError, ValueError), match=words):
            FoolTheCritic(**{"model": model, "images": images, **changes})


class TestRecorded:
    def test_they_rise_and_are_as_many_as_a_page_shows(self):
        assert len(CRITIC_ON_MNIST) == 41
        assert list(CRITIC_ON_MNIST) == sorted(CRITIC_ON_MNIST)

    def test_they_belong_to_the_weights_that_ship(self):
        """The critic of the shipped model, on MNIST where that is at hand."""
        found = recipes.load("dcgan-mnist")
        critic = found.model.critic(1000, torch.Generator().manual_seed(0))
        with torch.no_grad():
            samples = critic(found.model.sample(500, torch.Generator().manual_seed(1)))
        # Real digits score higher than generated ones, at the median by half a nat at least.
        assert samples.median() < CRITIC_ON_MNIST[20] - 0.5
        raw = Path(os.environ.get("COMPANION_DOWNLOADS", "")) / "MNIST/raw/t10k-images-idx3-ubyte"
        if not raw.is_file():
            return
        pixels = torch.from_numpy(np.fromfile(raw, np.uint8)[16:].reshape(-1, 1, 28, 28))
        with torch.no_grad():
            logits = torch.cat([critic(batch / 255) for batch in pixels.split(500)])
        quantiles = torch.quantile(logits, torch.linspace(0, 1, 41))
        assert quantiles.tolist() == pytest.approx(CRITIC_ON_MNIST, abs=0.01)


# ------------------------------------------------------------------ in a page, with its network


def number(page, name: str) -> float:
    return float(page.locator(f"[data-quantity={name}]").first.get_attribute("data-value"))


@pytest.fixture(scope="module", autouse=True)
def built():
    build_frontend(quiet=True)


# What the widget says as events, kept.
KEEP = """document.addEventListener("companion-painted", ({ detail }) => {
  if (detail?.judged) (window.painted ??= []).push(detail);
});"""


@pytest.mark.browser
class TestInABrowser:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_walk_and_drawing(self, browser, stage, widget, model, size):
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(widget), size=size, theme=theme) as seen:
            page = seen.page
            page.evaluate(KEEP)
            at_rest = page.inner_text("main")
            assert "Digit 0: logit" in at_rest
            page.get_by_role("button", name="Load generator and critic").click()
            page.wait_for_function("() => window.painted?.some((each) => each.whole)")
            assert number(page, "walk_logit") == pytest.approx(widget.sample_logit, abs=1e-2)
            page.get_by_role("slider", name="Where on the walk").press("End")
            page.wait_for_function(
                "(v) => Math.abs(window.painted.at(-1).walk - v) < 1e-2",
                arg=float(widget._made(widget.walk(1.0)[None])["of_sample"]),
            )
            count = page.evaluate("window.painted.length")
            page.get_by_role("button", name="More samples").press("Enter")
            page.get_by_role("button", name="Other end").press("Enter")
            page.wait_for_function(
                "(n) => window.painted.slice(n).some((each) => each.whole)", arg=count
            )
            pen = page.get_by_role("slider", name="column of the pen")
            pen.press("Space")
            for _ in range(4):
                pen.press("ArrowRight")
            page.wait_for_function("() => window.painted.at(-1).judged.what === 'Your drawing'")
            assert "Your drawing: logit" in page.inner_text("main")
            logit = number(page, "logit")
            assert number(page, "d") == pytest.approx(1 / (1 + math.exp(-logit)))
            ranks = widget.rank(logit)
            assert number(page, "rank_real") == pytest.approx(ranks["real"], abs=1e-3)
            assert number(page, "rank_generated") == pytest.approx(ranks["generated"], abs=1e-3)
            page.get_by_role("radio", name="real digit 2").check()
            assert number(page, "logit") == widget.examples[2]["logit"]
            assert seen.errors == []
            assert seen.strangers == []
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.viewport_size["width"]
            assert seen.violations() == []
            assert small_text(page) == []

    def test_nothing_is_fetched_before_it_is_touched(self, browser, stage, widget):
        with visit(browser, stage(widget)) as seen:
            assert (
                seen.page.evaluate(
                    "performance.getEntriesByType('resource').filter(({ name }) =>"
                    " /engine|models|fool_the_critic/.test(name)).length"
                )
                == 0
            )
            said = f"Digit 0: logit {widget.examples[0]['logit']:.2f}".replace("-", "−")
            assert said in seen.page.inner_text("main")
