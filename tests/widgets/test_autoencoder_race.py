"""AutoencoderRace: PCA and angles against NumPy and SciPy, and the race in a real Chromium."""

import gzip
import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from companion.datasets import load_images
from companion.models.dense_autoencoder import LinearAutoencoder
from companion.models.images import reconstruction_error
from companion.site.extension import widget_html
from companion.site.frontend import STATIC
from companion.widgets import AutoencoderRace, page_training
from companion.widgets.base import MIME_TYPE
from support.front_end import module_page, small_text
from support.pages import visit
from support.training_page import ROOT, button, shown, state, train, wait

FEW = 200


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", "train", size=FEW), load_images("digits", "test", size=50)


@pytest.fixture(scope="module")
def race(digits):
    return AutoencoderRace(*digits, k=3, k_max=6, widths=(24,), seed=3)


def flat(images):
    return (images.images.float() / 255).flatten(1).double().numpy()


class TestInPython:
    @pytest.mark.slow
    def test_pca_is_numpys(self, race, digits):
        learnt, seen = map(flat, digits)
        centred = learnt - learnt.mean(0)
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        for k in range(1, 7):
            assert race.pca_errors[k - 1] == pytest.approx(values[:-k].sum(), rel=1e-6)
            axes = vectors[:, -k:]
            rest = (seen - learnt.mean(0)) - (seen - learnt.mean(0)) @ axes @ axes.T
            assert race.pca["test_errors"][k - 1] == pytest.approx(
                (rest**2).sum(1).mean(), rel=1e-4
            )
        assert race.pca_error == race.pca_errors[2]

    @pytest.mark.slow
    def test_trained_on_it_reaches_pcas_subspace_and_error_and_not_its_axes(self, race, digits):
        model, images = repeated(race, digits, 700)
        assert math.radians(race.angle(vector(model))) <= 1e-3
        x = torch.from_numpy(images).float().view(-1, 1, 8, 8)
        with torch.no_grad():
            codes = model.encode(x) * (torch.arange(race.k_max) < race.k)
            error = float(reconstruction_error(x, model.decode(codes)))
        assert error == pytest.approx(race.pca_error, rel=1e-5)
        columns = model.get_parameter("decoder.0.weight").detach().double()[:, : race.k]
        columns = (columns / columns.norm(dim=0)).numpy()
        _, _, axes = np.linalg.svd(images - images.mean(0), full_matrices=False)
        assert np.abs(axes[: race.k] @ columns).max() < 0.98

    @pytest.mark.slow
    def test_at_rest_it_shows_the_pages_own_training(self, race, digits):
        rest = race.rest["linear"]
        model, _ = repeated(race, digits, rest["steps"])
        weight = model.get_parameter("decoder.0.weight").detach()
        assert page_training.packed(weight) == rest["decoder"]
        assert rest["curve"][0][1] > 1.5 * rest["curve"][-1][1] >= 1.5 * race.pca_error
        assert rest["angles"][-1][1] < rest["angles"][0][1]
        assert race.rest["deep"]["curve"][-1][1] < race.rest["deep"]["curve"][0][1]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"data": [1]}, "data must be an ImageSet or a tensor of images N×1×H×W, not list"),
            ({"data": torch.zeros(5, 3, 8, 8)}, "data must be at least two images N×1×H×W"),
            ({"data": torch.full((5, 1, 8, 8), math.nan)}, "data must be uint8 or floats from 0"),
            ({"test": torch.zeros(5, 1, 4, 4)}, r"test must have images like data's, \(1, 8, 8\)"),
            ({"k": 7}, "k must be a whole number from 1 to 6, not 7"),
            ({"k": 1.5}, "k must be a whole number"),
            ({"k_max": 100}, "k_max must be a whole number from 1 to 63"),
            ({"widths": (0,)}, "widths must be positive integers"),
            ({"kind": "convolutional"}, "kind must be one of linear, deep, not 'convolutional'"),
            ({"seed": -1}, "seed must be an integer from 0"),
        ],
    )  # fmt: skip
    def test_one_sentence_says_what_is_wrong(self, digits, changes, words):
        arguments = {"data": digits[0], "test": digits[1], "k": 2, "k_max": 6, "widths": (8,)}
        with pytest.raises((TypeError, ValueError), match=words):
            AutoencoderRace(**{**arguments, **changes})

    @pytest.mark.slow
    def test_k_stays_on_its_slider(self, race):
        with pytest.raises(ValueError, match="k must be a whole number from 1 to 6, not 0"):
            race.k = 0
        assert race.k == 3

    @pytest.mark.slow
    def test_what_a_page_transfers(self, race):
        content = race._repr_mimebundle_()[0][MIME_TYPE]
        assert len(gzip.compress(widget_html(content, "still-1").encode(), 9)) <= 40_000
        files = sum(path.stat().st_size for path in race._models.values())
        script = gzip.compress((STATIC / "page-autoencoder_race.js").read_bytes(), 9)
        assert files + len(script) <= 300_000


def vector(model):
    """Its weights as the page has them."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def repeated(race, digits, steps):
    """The linear autoencoder after these steps of a plain loop, from the seed's weights; and the
    images, flat."""
    images = flat(digits[0])
    model = LinearAutoencoder((1, 8, 8), race.k_max)
    page_training.draw_weights(model, race.seed, 0.5)
    mean = torch.from_numpy(images.mean(0)).float()
    with torch.no_grad():
        model.get_parameter("decoder.0.bias").copy_(mean)
    x = digits[0].images.float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    mask = torch.arange(race.k_max) < race.k
    for _ in range(steps):
        loss = reconstruction_error(x, model.decode(model.encode(x) * mask))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, images


@pytest.mark.browser
class TestInABrowser:
    def test_angles_are_scipys(self, browser):
        random = np.random.default_rng(0)
        pairs = []
        for k in (1, 2, 7, 16):
            for away in (0, 1e-6, 1e-3, 0.1, 1, 10):
                a = random.normal(size=(64, k))
                b = a @ random.normal(size=(k, k)) + away * random.normal(size=(64, k))
                pairs.append((a, b))
        with module_page(browser, "<!doctype html><title>Angles</title>") as open_page:
            angles, alike = open_page().evaluate(
                """async (pairs) => {
                    const m = await import("/maths/subspaces.js");
                    const of = (f) => pairs.map((pair) => f(...pair.map((matrix) =>
                        matrix.map((column) => Float64Array.from(column)))));
                    return [of(m.largestAngle), of(m.mostAlike)];
                }""",
                [[a.T.tolist(), b.T.tolist()] for a, b in pairs],
            )
        assert angles == pytest.approx([subspace_angles(a, b)[0] for a, b in pairs], abs=1e-9)
        cosines = [
            np.abs((a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0))).max()
            for a, b in pairs
        ]
        assert alike == pytest.approx(cosines, abs=1e-12)

    @pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
    def test_the_pages_steps_are_pythons(self, browser, stage, race, digits, served):
        with visit(browser, stage(race, served=served)) as seen:
            train(seen)
            wait(seen, "d.training === 'playing' && d.pictured > 0")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            steps = int(state(seen)["steps"])
            model, _ = repeated(race, digits, steps)
            weights = vector(model)
            # The angle moves by some degrees a step: float32 differs in the page by far less.
            assert math.radians(shown(seen, "angle")) == pytest.approx(
                math.radians(race.angle(weights)), abs=1e-3
            )
            assert shown(seen, "pca-error") == race.pca_error
            button(seen, "New weights").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            other = AutoencoderRace(*digits, k=3, k_max=6, widths=(24,), seed=4)
            model, _ = repeated(other, digits, 0)
            weights = vector(model)
            assert math.radians(shown(seen, "angle")) == pytest.approx(
                math.radians(race.angle(weights)), abs=1e-4
            )
            assert seen.errors == []
            assert seen.strangers == []

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_race_both_kinds_and_every_k(self, browser, stage, race, size):
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(race), size=size, theme=theme) as seen:
            train(seen)
            wait(seen, "d.pictured > 400")
            assert shown(seen, "angle") < 60
            assert shown(seen, "error") == pytest.approx(race.pca_error, rel=0.05)
            number = seen.page.get_by_role("slider", name="k, the numbers an image")
            for key, k in (("End", 6), ("Home", 1)):
                number.press(key)
                wait(seen, "d.training === 'playing' && d.pictured > 150 && d.pictured < 1e9")
                assert shown(seen, "k") == k
                assert shown(seen, "pca-error") == race.pca_errors[k - 1]
                assert shown(seen, "error") >= race.pca_errors[k - 1] - 1e-4
            number.press("End")
            seen.page.get_by_role("radio", name="deep").check()
            wait(seen, "d.training !== 'playing'")
            assert not seen.page.get_by_role("group", name="The same subspace").is_visible()
            seen.page.locator(ROOT).get_by_role("button", name="Train").press("Enter")
            wait(seen, "d.pictured > 1200")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            assert shown(seen, "error") < race.pca_errors[5], "deep is better than any linear map"
            seen.page.get_by_role("radio", name="linear").check()
            seen.page.get_by_role("group", name="The same subspace").wait_for()
            assert seen.errors == []
            width = seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= seen.page.viewport_size["width"]
            assert seen.violations() == []
            assert small_text(seen.page) == []
