"""ManifoldField: its points, its training against a plain loop, and it in a real Chromium."""

import gzip
import math

import pytest
import torch

from companion.by_hand.score import mixture_score
from companion.site.extension import widget_html
from companion.site.frontend import STATIC
from companion.widgets import ManifoldField, page_training
from companion.widgets.base import MIME_TYPE
from companion.widgets.manifold_field import GAIN, RATE, SHAPES, PlaneAutoencoder
from companion.widgets.noise import step_noise
from support.front_end import module_page, settle, small_text
from support.pages import visit
from support.training_page import ROOT, button, shown, state, train, wait

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def field(own_cache):
    return ManifoldField(hidden=16, seed=5)


def repeated(field, steps):
    """The model after these steps of a plain loop from the seed's weights."""
    model = PlaneAutoencoder(16)
    page_training.draw_weights(model, field.seed, GAIN)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    points, losses = field.points, []
    for step in range(steps):
        epsilon = step_noise(field.seed, step, 0, "normal", tuple(points.shape))
        loss = (model(points + field.noise * epsilon) - points).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return model, losses


class TestInPython:
    @pytest.mark.parametrize("name", SHAPES)
    @pytest.mark.parametrize("count", [8, 9, 256])
    def test_shapes_fit_the_plane(self, name, count):
        points = SHAPES[name](count)
        assert points.shape == (count, 2)
        assert points.abs().max() <= 0.95

    @pytest.mark.slow
    def test_at_rest_it_shows_the_pages_own_training(self, field):
        rest = field.rest
        model, losses = repeated(field, rest["steps"])
        with torch.no_grad():
            codes = model.encoder(field.points)[:, 0]
            kept = (1000 * codes).round().to(torch.int16)
            assert page_training.packed(kept) == rest["codes"]
        at = [done for done, _ in rest["losses"]]
        assert [loss for _, loss in rest["losses"]] == [losses[done - 1] for done in at]
        assert rest["losses"][-1][1] < 0.3 * rest["losses"][0][1]

    @pytest.mark.slow
    def test_no_denoiser_is_better_than_the_best(self, field):
        model, _ = repeated(field, 600)
        epsilon = torch.randn(200, 256, 2, generator=torch.Generator().manual_seed(0))
        noisy = field.points + field.noise * epsilon
        with torch.no_grad():
            error = float((model(noisy) - field.points).square().sum(2).mean())
        assert error > field.best_loss > 0

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"data": "circle"}, "data must be one of ring, spiral, .* or points, not 'circle'"),
            ({"data": [1, 2]}, "data must be the name of a shape or a tensor of points N×2, not"),
            (
                {"data": torch.zeros(5, 2)},
                r"N×2 with N from 8 to 1000, not \(5, 2\)",
            ),
            ({"data": torch.full((9, 2), math.nan)}, "points must be numbers from −1 to 1"),
            ({"data": torch.full((9, 2), 2.0)}, "points must be numbers from −1 to 1"),
            ({"noise": -0.1}, "noise must be a number from 0 to 0.5, not -0.1"),
            ({"hidden": 1}, "hidden must be a whole number from 2 to 128"),
            ({"seed": 2**32}, "seed must be an integer from 0"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, changes, words):
        with pytest.raises((TypeError, ValueError), match=words):
            ManifoldField(**changes)

    @pytest.mark.slow
    def test_what_may_be_set(self, field):
        for name, value, words in [
            ("shape", "circle", "shape must be one of ring"),
            ("shape", "own", "before there are points in `own`"),
            ("own", [[0.0, 0.0]] * 9, "own must be 256 points, as the other shapes are, not 9"),
            ("own", "abc", "own must be"),
            ("selected", 256, "selected must be a whole number from 0 to 255"),
            ("noise", 1, "noise must be a number from 0 to 0.5"),
        ]:
            with pytest.raises(Exception, match=words):
                setattr(field, name, value)
        assert field.shape == "ring"

    @pytest.mark.slow
    def test_points_of_ones_own(self):
        points = torch.linspace(-0.5, 0.5, 12)[:, None].repeat(1, 2)
        field = ManifoldField(points, hidden=4)
        assert field.shape == "own"
        assert torch.equal(field.points, points)
        field.shape = "line"
        assert field.points.shape == (12, 2)

    @pytest.mark.slow
    def test_what_a_page_transfers(self, field):
        content = field._repr_mimebundle_()[0][MIME_TYPE]
        assert len(gzip.compress(widget_html(content, "still-1").encode(), 9)) <= 45_000
        files = sum(path.stat().st_size for path in field._models.values())
        script = gzip.compress((STATIC / "page-manifold_field.js").read_bytes(), 9)
        assert files + len(script) <= 100_000


@pytest.mark.browser
class TestInABrowser:
    def test_the_score_is_pythons(self, browser):
        generator = torch.Generator().manual_seed(0)
        points = torch.rand(40, 2, generator=generator, dtype=torch.float64)
        places = 3 * torch.rand(30, 2, generator=generator, dtype=torch.float64)
        with module_page(browser, "<!doctype html><title>Score</title>") as open_page:
            tab = open_page()
            for sigma in (0.01, 0.1, 0.5):
                found = tab.evaluate(
                    """async ([places, points, sigma]) => {
                        const m = await import("/maths/score.js");
                        return [...m.denoisingStep(places, points, sigma)];
                    }""",
                    [places.flatten().tolist(), points.flatten().tolist(), sigma],
                )
                expected = sigma**2 * mixture_score(places, points, sigma)
                assert found == pytest.approx(expected.flatten().tolist(), abs=1e-12)
            agreement = tab.evaluate(
                """async () => (await import("/maths/score.js")).agreement(
                    [1, 0, 0, 2, 1, 1], [3, 0, 4, 0, -1, -1], [0, 0, 1, 0, 9, 9], [0, 0.5], 1.2)"""
            )
            assert agreement == {"cosine": 0.5, "count": 2}

    @pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
    def test_the_pages_steps_are_pythons(self, browser, stage, field, served):
        with visit(browser, stage(field, served=served)) as seen:
            train(seen)
            wait(seen, "d.pictured > 0")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            button(seen, "Reset").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            for step in range(1, 4):
                button(seen, "One step").press("Enter")
                wait(seen, "d.training === 'paused' && d.pictured === argument", str(step))
            model, losses = repeated(field, 3)
            assert shown(seen, "loss") == pytest.approx(losses[-1], rel=1e-4)
            with torch.no_grad():
                code = float(model.encoder(field.points)[field.selected, 0])
            assert shown(seen, "code") == pytest.approx(code, abs=1e-4)
            assert shown(seen, "best") == pytest.approx(field.best_loss, rel=1e-4)
            assert seen.errors == []
            assert seen.strangers == []

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    def test_every_control(self, browser, stage, field, size):
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(field), size=size, theme=theme) as seen:
            train(seen)
            wait(seen, "d.pictured > 300")
            noise = seen.page.get_by_role("slider", name="noise σ")
            seen.page.get_by_role("switch", name="The score’s arrows").press(" ")
            seen.page.get_by_text("Mean cosine of both arrows").wait_for()
            assert -1 <= shown(seen, "cosine") <= 1
            noise.press("End")
            assert shown(seen, "noise") == 0.5
            noise.press("Home")
            seen.page.get_by_text("Without noise the points have no density").wait_for()
            noise.press("Backspace")
            for name in ("spiral", "two moons", "line", "wave"):
                seen.page.get_by_role("radio", name=name).check()
                wait(seen, "d.training === 'playing' && d.pictured > 20")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            point = seen.page.get_by_role("slider", name="Point, in the order of the codes")
            codes = []
            for key in ("Home", "ArrowRight", "ArrowRight", "End"):
                point.press(key)
                codes.append(shown(seen, "code"))
            assert codes == sorted(codes)
            plane = seen.page.locator(f"{ROOT} .manifold-frame")
            plane.scroll_into_view_if_needed()
            box = plane.bounding_box()
            seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            settle(seen.page)
            middle = abs(shown(seen, "x0")) + abs(shown(seen, "x1"))
            assert middle < 0.1, "the wave goes through the middle"
            assert seen.errors == []
            width = seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= seen.page.viewport_size["width"]
            assert seen.violations() == []
            assert small_text(seen.page) == []
            targets = seen.page.eval_on_selector_all(
                f"{ROOT} :is(button, summary, input, select)",
                """(all) => all.filter((el) => el.checkVisibility())
                    .map((el) => el.getBoundingClientRect().height)""",
            )
            assert min(targets) >= 22  # a switch, whose label stands beside it

    def test_points_that_the_reader_draws_by_keys(self, browser, stage, field):
        with visit(browser, stage(field)) as seen:
            train(seen)
            wait(seen, "d.pictured > 0")
            seen.page.get_by_role("radio", name="yours").click()
            seen.page.get_by_text("Draw a shape below first: there is none yet.").wait_for()
            assert seen.page.get_by_role("radio", name="ring").is_checked()
            pen = seen.page.get_by_role("slider", name="column of the pen")
            pen.press(" ")
            for _ in range(4):
                pen.press("Shift+ArrowRight")
            seen.page.wait_for_function(
                """(root) => document.querySelector(
                    `${root} input[type=radio]:checked`).closest("label").innerText === "yours" """,
                arg=ROOT,
            )
            wait(seen, "d.training === 'playing' && d.pictured > 20")
            # A stroke from the middle to the right.
            assert 0 <= shown(seen, "x0") <= 0.8
            assert abs(shown(seen, "x1")) < 0.1
            seen.page.get_by_role("button", name="Clear").press("Enter")
            seen.page.get_by_text("The pad is empty: the points stay as they are.").wait_for()
            assert int(state(seen)["steps"]) > 0
            assert seen.errors == []
