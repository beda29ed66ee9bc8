"""DigitGAN: its training in the page against torch's, and it in a real Chromium."""

import gzip
from functools import partial

import pytest
import torch

from companion.datasets import load_images
from companion.models import DCGAN, gan_loss
from companion.site.extension import widget_html
from companion.site.frontend import STATIC
from companion.widgets import DigitGAN, page_training
from companion.widgets.base import MIME_TYPE
from companion.widgets.digit_gan import enlarged
from companion.widgets.noise import noise
from support.front_end import small_text
from support.pages import visit
from support.training_page import ROOT, button, shown, state, train, wait

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", "train", size=128)


@pytest.fixture(scope="module")
def gan(digits):
    return DigitGAN(digits, width=4, latent_dim=3, seed=2, steps=40)


def repeated(gan, digits, steps):
    """The model, in evaluation mode, and the losses of each step, after a plain loop."""
    model = DCGAN((1, 16, 16), 3, 4)
    page_training.draw_weights(model, gan.seed)
    parts = []

    def loss(model, images, labels):
        entries = gan_loss(model, images, labels)
        parts.append([entries[name].item() for name in ("discriminator", "generator")])
        return entries

    adam = partial(torch.optim.Adam, betas=(0.5, 0.999))
    run = page_training.train(
        model.train(), loss, enlarged(digits.images), gan.step, steps,
        optimizer=adam(model.parameters(), lr=gan.lr), batch_size=64, seed=gan.seed, inputs={},
    )  # fmt: skip
    assert len(list(run)) == steps
    return model.eval(), torch.tensor(parts)


class TestInPython:
    @pytest.mark.slow
    def test_at_rest_it_shows_the_pages_own_training(self, gan, digits):
        model, parts = repeated(gan, digits, 40)
        with torch.no_grad():
            samples = model.generator(noise(0, 72).float().view(24, 3))
        assert page_training.packed(page_training.grey(samples)) == gan.rest["samples"]
        assert [step for step, _, _ in gan.rest["curve"]] == [20, 40]
        for row, mean in zip(gan.rest["curve"], parts.view(2, 20, 2).mean(1), strict=True):
            assert row[1:] == pytest.approx(mean.tolist(), abs=1e-4)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"data": 3}, "data must be an ImageSet or a tensor of images N×1×H×W, not int"),
            ({"data": torch.zeros(9, 1, 8, 8)}, "at least 64 images, not 9"),
            ({"data": torch.zeros(64, 1, 17, 17)}, "images whose sides can be halved"),
            ({"width": 99}, "width must be a whole number from 4 to 32, not 99"),
            ({"latent_dim": 0}, "latent_dim must be a whole number from 1 to 64, not 0"),
            ({"lr": 1}, "lr must be a number from 1e-05 to 0.01, not 1"),
            ({"seed": "a"}, "seed must be an integer from 0"),
            ({"steps": -1}, "steps must be a whole number from 0 to 5000"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, digits, changes, words):
        with pytest.raises((TypeError, ValueError), match=words):
            DigitGAN(**{"data": digits, "steps": 0, **changes})

    def test_small_images_are_enlarged_others_stay(self, digits):
        larger = enlarged(digits.images)
        assert (larger.shape, larger.dtype) == ((128, 1, 16, 16), torch.uint8)
        means = [images.float().mean((1, 2, 3)) for images in (digits.images, larger)]
        assert torch.allclose(*means, atol=6)
        assert enlarged(larger) is larger

    @pytest.mark.slow
    def test_what_a_page_transfers(self, gan):
        content = gan._repr_mimebundle_()[0][MIME_TYPE]
        assert len(gzip.compress(widget_html(content, "still-1").encode(), 9)) <= 100_000
        files = sum(path.stat().st_size for path in gan._models.values())
        script = gzip.compress((STATIC / "page-digit_gan.js").read_bytes(), 9)
        assert files + len(script) <= 200_000


@pytest.mark.browser
class TestInABrowser:
    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_it_trains_as_torch_does(self, browser, stage, gan, digits, size):
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(gan), size=size, theme=theme) as seen:
            train(seen)
            wait(seen, "d.pictured > 0")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            steps = int(state(seen)["steps"])
            _, parts = repeated(gan, digits, steps)
            window = max(1, round(min(steps, 1024) / 40))  # of the moving average
            if steps <= 1024:
                # Rounding drives two runs of a game apart: by 2 % after some 400 steps.
                last = parts[-window:].mean(0).tolist()
                assert [shown(seen, "loss_d"), shown(seen, "loss_g")] == pytest.approx(
                    last, rel=0.02 if steps <= 200 else 0.25
                )
            lr = seen.page.get_by_role("slider", name="learning rate of both")
            lr.press("Home")
            assert shown(seen, "lr") == pytest.approx(1e-5, rel=0.05)
            button(seen, "New weights").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            assert shown(seen, "seed") == gan.seed + 1
            assert seen.errors == []
            assert seen.strangers == []
            width = seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= seen.page.viewport_size["width"]
            assert seen.violations() == []
            assert small_text(seen.page) == []
            assert seen.page.locator(f"{ROOT} canvas").count() == 2
