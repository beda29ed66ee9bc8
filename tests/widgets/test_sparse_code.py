"""SparseCode: its loss against torch's own terms, its training, and it in a real Chromium."""

import gzip

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from companion.datasets import load_images
from companion.models.dense_autoencoder import SparseAutoencoder, sparse_loss
from companion.site.extension import widget_html
from companion.site.frontend import STATIC
from companion.widgets import SparseCode, page_training
from companion.widgets.base import MIME_TYPE
from companion.widgets.noise import batch_rows
from companion.widgets.sparse_code import RATE, _loss
from support.front_end import small_text
from support.pages import visit
from support.training_page import ROOT, button, shown, state, train, wait

UNITS = 24


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", "train", size=200), load_images("digits", "test", size=40)


@pytest.fixture(scope="module")
def sparse(digits):
    return SparseCode(*digits, units=UNITS, seed=2)


def repeated(sparse, digits, steps):
    """The model after these steps of a plain loop, with the book's own sparse_loss."""
    model = SparseAutoencoder((1, 8, 8), UNITS)
    page_training.draw_weights(model, sparse.seed, 2**0.5)
    images = digits[0].images.float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for step in range(steps):
        batch = images[batch_rows(sparse.seed, step, len(images), 128)]
        loss = sparse_loss(batch, model(batch), l1=0.1).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


class TestInPython:
    def test_the_loss_is_its_terms(self, digits):
        torch.manual_seed(0)
        model, images = SparseAutoencoder((1, 8, 8), UNITS), digits[0].images.float() / 255
        output = model(images)
        l1, kl, rho = torch.tensor(0.3), torch.tensor(0.7), torch.tensor(0.05)
        activity = output.z.tanh().mean(0)
        divergence = kl_divergence(Bernoulli(rho), Bernoulli(activity.clamp(1e-6, 1 - 1e-6))).sum()
        parts = sparse_loss(images, output, l1=0.3)
        found = _loss(model, images, None, l1, kl, rho)
        assert torch.allclose(found["loss"], parts.total + 0.7 * divergence, rtol=1e-5)
        assert torch.equal(found["reconstruction"], parts.reconstruction)

    @pytest.mark.slow
    def test_at_rest_it_shows_the_pages_own_training(self, sparse, digits):
        rest = sparse.rest
        model = repeated(sparse, digits, rest["steps"])
        with torch.no_grad():
            output = model(digits[1].images.float() / 255)
            often = (model.encode(digits[0].images.float() / 255) > 0).float().mean(0)
        assert page_training.packed(often) == rest["often"]
        error = (output.reconstruction - digits[1].images.float() / 255).square().sum() / 40
        step, last, active, dead = rest["curve"][-1]
        assert step == rest["steps"]
        assert last == pytest.approx(float(error), rel=1e-4)
        assert active == pytest.approx(100 * float(often.mean()), rel=1e-5)
        assert dead == pytest.approx(100 * float((often == 0).float().mean()), rel=1e-5)

    @pytest.mark.slow
    def test_a_heavier_penalty_leaves_fewer_units_on_and_a_larger_error(self, digits):
        ends = [
            SparseCode(*digits, units=UNITS, penalty=penalty, weight=weight).rest["curve"][-1]
            for penalty, weight in (("none", 0.1), ("L1", 0.1), ("L1", 1.0))
        ]
        errors, active, dead = ([end[k] for end in ends] for k in (1, 2, 3))
        assert errors == sorted(errors)
        assert active == sorted(active, reverse=True)
        assert dead == sorted(dead)
        assert dead[2] > dead[0]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"data": 3}, "data must be an ImageSet or a tensor of images N×1×H×W, not int"),
            ({"test": torch.zeros(12, 1, 7, 7)}, r"at least 10 images like data's, \(1, 8, 8\)"),
            ({"test": torch.zeros(3, 1, 8, 8)}, r"not \(3, 1, 8, 8\)"),
            ({"units": 1000}, "units must be a whole number from 8 to 256, not 1000"),
            ({"penalty": "L2"}, "penalty must be one of L1, none, KL, not 'L2'"),
            ({"weight": 0}, "weight must be a number from 0.01 to 3, not 0"),
            ({"rho": 1}, "rho must be a number from 0.01 to 0.5, not 1"),
            ({"seed": "a"}, "seed must be an integer from 0"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, digits, changes, words):
        with pytest.raises((TypeError, ValueError), match=words):
            SparseCode(**{"data": digits[0], "test": digits[1], **changes})

    @pytest.mark.slow
    def test_numbers_of_the_step(self, sparse):
        assert sparse.numbers == {"l1": 0.1, "kl": 0.0, "rho": 0.05}
        assert {"l1", "kl", "rho"} <= {port.name for port in sparse.step.inputs}

    @pytest.mark.slow
    def test_what_a_page_transfers(self, sparse):
        content = sparse._repr_mimebundle_()[0][MIME_TYPE]
        assert len(gzip.compress(widget_html(content, "still-1").encode(), 9)) <= 100_000
        files = sum(path.stat().st_size for path in sparse._models.values())
        script = gzip.compress((STATIC / "page-sparse_code.js").read_bytes(), 9)
        assert files + len(script) <= 200_000


@pytest.mark.browser
class TestInABrowser:
    @pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
    def test_the_pages_steps_are_pythons(self, browser, stage, sparse, digits, served):
        with visit(browser, stage(sparse, served=served)) as seen:
            train(seen)
            wait(seen, "d.pictured > 0")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            model = repeated(sparse, digits, int(state(seen)["steps"]))
            with torch.no_grad():
                images = digits[1].images.float() / 255
                error = float((model(images).reconstruction - images).square().sum() / 40)
            assert shown(seen, "error") == pytest.approx(error, rel=1e-3)
            assert seen.errors == []
            assert seen.strangers == []

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_every_control(self, browser, stage, sparse, size):
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(sparse), size=size, theme=theme) as seen:
            train(seen)
            wait(seen, "d.pictured > 200")
            weight = seen.page.get_by_role("slider", name="its weight")
            assert not seen.page.get_by_role("slider", name="target ρ").is_visible()
            before = shown(seen, "dead")
            weight.press("End")
            assert shown(seen, "weight") == 3
            wait(seen, "d.pictured > argument", int(state(seen)["steps"]) + 200)
            assert shown(seen, "dead") > before
            assert shown(seen, "active") < 10
            weight.press("Home")
            assert shown(seen, "weight") == pytest.approx(0.01, rel=0.02)  # steps are ratios
            seen.page.get_by_role("radio", name="KL").check()
            rho = seen.page.get_by_role("slider", name="target ρ")
            for key, value in (("End", 0.5), ("Home", 0.01)):
                rho.press(key)
                assert shown(seen, "rho") == value
            wait(seen, "d.pictured > argument", int(state(seen)["steps"]) + 50)
            seen.page.get_by_role("radio", name="none").check()
            weight.wait_for(state="hidden")
            rho.wait_for(state="hidden")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            words = seen.page.locator(f"{ROOT} svg").first.text_content()
            assert "weight 3" in words
            crossed = seen.page.locator(f"{ROOT} [data-dead]").count()
            assert crossed == shown(seen, "dead")
            on = shown(seen, "on")
            seen.page.get_by_role("radio", name="test image 1", exact=True).press("ArrowRight")
            assert 0 <= on <= UNITS
            seen.page.wait_for_function(
                "(root) => document.querySelectorAll(`${root} .companion-picker input`)[1].checked",
                arg=ROOT,
            )
            button(seen, "New weights").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            assert shown(seen, "seed") == 3
            assert seen.errors == []
            width = seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= seen.page.viewport_size["width"]
            assert seen.violations() == []
            assert small_text(seen.page) == []
