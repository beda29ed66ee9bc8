"""LiveTraining: what it takes and refuses, its code, and the widget in a real Chromium."""

import gzip
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.export.tensors import keep_tensors
from companion.site.extension import widget_html
from companion.site.frontend import STATIC
from companion.widgets import LiveTraining
from companion.widgets.base import MIME_TYPE
from support import trainings
from support.front_end import settle, small_text
from support.pages import visit
from support.training_page import ROOT, button, curve, shown, state, train, wait

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def softmax(own_cache):
    return trainings.widget("softmax")


@pytest.fixture(scope="module")
def cnn(own_cache):
    return trainings.widget("cnn")


@pytest.fixture(scope="module")
def vae(own_cache):
    return trainings.widget("vae")


@pytest.fixture
def build(own_cache):
    """A function that makes a small widget with some arguments changed."""
    return partial(trainings.widget, "softmax")


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"show": ["weights"]}, "show may name filters, .*; there is no 'weights'"),
            ({"show": {"code": 3}}, r"show\['code'\] must be a function, or None, not 3"),
            ({"show": ["code"]}, "the function 'code' failed .*encode"),
            ({"show": {"code": lambda m, x: m(x)}}, "for 'code' the function must give two numb"),
            ({"show": {"reconstructions": None}}, r"must give images \(1, 8, 8\) each, but"),
            ({"show": ["feature maps"]}, "the model needs a Conv2d, or give a function"),
            ({"batch_size": 0}, "batch_size must be a whole number from 1 to 320, not 0"),
            ({"batch_size": 1000}, "batch_size must be a whole number from 1 to 320"),
            ({"lr": -1.0}, "lr must be|learning rate must be positive"),
            ({"lr": (1.0, 2.0, 3.0)}, "with lowest ≤ first ≤ highest"),
            ({"inputs": {"beta": 1.0}}, r"beta must be \(first value, lowest, highest\)"),
            ({"class_names": ["a"]}, "expected 10 class_names, got 1"),
            ({"seed": -1}, "seed must be an integer from 0"),
            ({"optimizer": torch.optim.RMSprop}, "optimizer must be Adam, AdamW or SGD"),
        ],
    )
    def test_one_sentence_says_what_is_wrong(self, build, changes, words):
        with pytest.raises((TypeError, ValueError), match=words):
            build(**changes)

    def test_a_model_that_cannot_be_exported_says_why(self):
        class Odd(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(64, 10)

            def forward(self, x):
                y = self.layer(x.flatten(1))
                return y * 2 if y.sum() > 0 else y

        with pytest.raises(ValueError, match=r"can't be exported: .*asks for the value"):
            LiveTraining(Odd(), trainings.LOSSES["softmax"], trainings.data("train"))

    def test_a_loss_with_weights_of_its_own_is_refused(self):
        scale = nn.Parameter(torch.ones(()))

        def loss(model, images, labels):
            return scale * F.cross_entropy(model(images), labels)

        with pytest.raises(ValueError, match="not one of the model's parameters, which alone are"):
            LiveTraining(trainings.softmax_model(), loss, trainings.data("train"))

    @pytest.mark.slow
    def test_data_of_every_kind(self, build):
        images, labels = trainings.data("train").images, trainings.data("train").labels
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))

        def squared(model, images, labels):
            assert labels is None
            return F.mse_loss(model(images), images)

        for data in (images, images.float() / 255):
            widget = LiveTraining(model, squared, data, show=["reconstructions"])
            assert widget.training["losses"] == ["loss"]
            exec(widget.pytorch().replace("range(10)", "range(1)"), {
                "model": nn.Sequential(*model), "loss": squared, "data": data,
            })  # fmt: skip
        assert LiveTraining(
            trainings.softmax_model(), trainings.LOSSES["softmax"], (images, labels)
        ).class_names == list("0123456789")
        with pytest.raises(TypeError, match="data must be an ImageSet, a tensor of images"):
            LiveTraining(model, squared, [1, 2, 3])
        with pytest.raises(ValueError, match="the labels of data must be 320 whole numbers"):
            LiveTraining(model, squared, (images, labels.float()))

    def test_numbers_stay_on_their_sliders(self, build):
        widget = build()
        widget.numbers = {"lr": 2}
        assert widget.numbers == {"lr": 2.0}
        for wrong in ({"lr": -1}, {}, {"lr": 1, "beta": 2}):
            with pytest.raises(ValueError, match=r"lr must be a number|numbers must be"):
                widget.numbers = wrong
        widget.batch_size = 320
        assert {port.name: port.shape for port in widget.step.inputs}["images"][0] == 320
        with pytest.raises(ValueError, match=r"batch_size must be one of \[32, 320\], not 7"):
            widget.batch_size = 7

    @pytest.mark.slow
    def test_the_model_stays_as_it_is(self):
        model = trainings.cnn_model().train()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        LiveTraining(model, trainings.LOSSES["cnn"], trainings.data("train"), show=["filters"])
        assert model.training
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, before[name])

    def test_a_file_of_tensors(self):
        tensors = {"a": torch.arange(6, dtype=torch.uint8).view(2, 3), "b": torch.tensor([7, -8])}
        kept = keep_tensors(tensors)
        data = gzip.decompress(kept.path.read_bytes())
        assert data == bytes(range(6)) + np.array([7, -8], "<i4").tobytes()
        assert kept.describe()["tensors"] == {
            "a": {"type": "uint8", "shape": [2, 3]}, "b": {"type": "int32", "shape": [2]},
        }  # fmt: skip
        assert keep_tensors(tensors).path == kept.path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["softmax", "cnn", "vae"])
def test_the_code_trains_as_it_stands(kind, request):
    widget = request.getfixturevalue(kind)
    model = trainings.MODELS[kind]()
    code = widget.pytorch()
    assert len(code.splitlines()) <= 15
    printed = []
    names = {
        "model": model, "loss": trainings.LOSSES[kind], "data": trainings.data("train"),
        "print": lambda *values: printed.append(values[-1]),
    }  # fmt: skip
    exec(code, names)
    assert printed[-1] < printed[0]
    assert all(f"{name}=" in code for name in ("lr", *(["beta"] if kind == "vae" else [])))


@pytest.mark.slow
def test_what_a_page_transfers(softmax, cnn, vae):
    for widget in (softmax, cnn, vae):
        content = widget._repr_mimebundle_()[0][MIME_TYPE]
        page = gzip.compress(widget_html(content, "still-1").encode(), 9)
        assert len(page) <= 15_000  # before Train is pressed: nothing else is loaded
        files = sum(path.stat().st_size for path in widget._models.values())
        script = gzip.compress((STATIC / "page-live_training.js").read_bytes(), 9)
        assert files + len(script) <= 1_000_000


# ------------------------------------------------------------------ in a browser


@pytest.mark.browser
class TestInABrowser:
    @pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
    def test_by_keyboard_train_pause_step_reset(self, browser, stage, softmax, served):
        with visit(browser, stage(softmax, served=served)) as seen:
            train(seen)
            wait(seen, "d.training === 'playing' && d.steps > 100 && d.pictured > 60")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            assert shown(seen, "loss-training") < 1
            assert shown(seen, "accuracy-test") > 80
            held = state(seen)["steps"]
            button(seen, "One step").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured > argument", held)
            assert int(state(seen)["steps"]) == int(held) + 1
            curves = []
            for _ in range(2):
                button(seen, "Reset").press("Enter")
                wait(seen, "d.training === 'paused' && d.pictured === '0'")
                for step in range(1, 6):
                    button(seen, "One step").press("Enter")
                    wait(seen, "d.training === 'paused' && d.pictured === argument", str(step))
                curves.append(curve(seen))
            assert curves[0] == curves[1]
            button(seen, "New seed").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            for step in range(1, 6):
                button(seen, "One step").press("Enter")
                wait(seen, "d.training === 'paused' && d.pictured === argument", str(step))
            assert curve(seen) != curves[0]
            assert shown(seen, "seed") == 1
            assert seen.errors == []
            assert seen.strangers == []

    @pytest.mark.parametrize("size", ["desktop", "phone"])
    @pytest.mark.parametrize("kind", ["softmax", "cnn", "vae"])
    def test_every_view_in_both_sizes(self, browser, stage, request, size, kind):
        widget = request.getfixturevalue(kind)
        theme = "dark" if size == "phone" else "light"
        with visit(browser, stage(widget), size=size, theme=theme) as seen:
            train(seen)
            wait(seen, "d.steps > 50 && d.pictured > 20")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
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
            blank = seen.page.eval_on_selector_all(
                f"{ROOT} canvas",
                """(all) => all.filter((el) => {
                    const {data} = el.getContext("2d").getImageData(0, 0, el.width, el.height);
                    return new Set(new Uint32Array(data.buffer)).size < 2;
                }).map((el) => el.outerHTML)""",
            )
            assert [html for html in blank if 'class="companion-cover' not in html] == [
                html for html in blank if "image-rendering: auto" in html
            ], "only the empty drawing pad has one colour"

    def test_a_digit_of_the_readers_own(self, browser, stage, cnn):
        with visit(browser, stage(cnn)) as seen:
            train(seen)
            wait(seen, "d.pictured > 20")
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            before = shown(seen, "own-probability")
            pen = seen.page.get_by_role("slider", name=re.compile("column of the pen"))
            pen.press(" ")
            for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
                pen.press(key)
            seen.page.wait_for_function(
                """([root, before]) => Number(document.querySelector(
                    `${root} [data-quantity=own-probability]`).dataset.value) !== before""",
                arg=[ROOT, before],
            )
            assert seen.page.locator(f"{ROOT} .companion-picker input:checked").count() == 0

    def test_divergence_is_said_and_reset_mends_it(self, browser, stage):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))
        widget = LiveTraining(
            model, lambda model, images, _: F.mse_loss(model(images), images),
            trainings.data("train"), optimizer=torch.optim.SGD, lr=(0.1, 1e-3, 1e4),
        )  # fmt: skip
        with visit(browser, stage(widget)) as seen:
            train(seen)
            wait(seen, "d.steps > 0")
            rate = seen.page.get_by_role("slider", name="learning rate")
            rate.press("End")
            wait(seen, "d.training === 'diverged'")
            words = seen.page.locator(f"{ROOT} .companion-notice").inner_text()
            assert re.match(r"Diverged: after step \S+ the loss is no finite number", words)
            assert "the learning rate was 10000. Reset goes back" in words
            assert button(seen, "One step").is_disabled()
            rate.press("Backspace")
            button(seen, "Reset").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === '0'")
            button(seen, "Train").press("Enter")
            wait(seen, "d.pictured > 20")
            assert shown(seen, "loss-training") < 1

    def test_steps_that_overshoot_are_said(self, browser, stage, softmax):
        with visit(browser, stage(softmax)) as seen:
            train(seen)
            wait(seen, "d.steps > 0")
            seen.page.get_by_role("slider", name="learning rate").press("End")
            words = seen.page.get_by_text(re.compile(r"The loss is \S+ times that of the first"))
            words.wait_for()
            assert "with a learning rate of 10000 the steps overshoot" in words.inner_text()
            wait(seen, "d.training === 'playing'")

    def test_sliders_act_while_it_trains_and_are_marked(self, browser, stage, vae):
        with visit(browser, stage(vae)) as seen:
            train(seen)
            wait(seen, "d.pictured > 100")
            seen.page.get_by_role("slider", name="β").press("End")
            wait(seen, "d.pictured > argument", int(state(seen)["steps"]) + 300)
            assert shown(seen, "beta") == 50
            assert shown(seen, "kl-test") < 0.2, "β = 50 leaves no information in the code"
            words = seen.page.locator(f"{ROOT} svg").first.text_content()
            assert "β 50" in words

    def test_full_batch_and_back(self, browser, stage, softmax):
        with visit(browser, stage(softmax)) as seen:
            train(seen)
            wait(seen, "d.steps > 20")
            seen.page.get_by_role("radio", name="all 320").check()
            at = int(state(seen)["steps"])
            wait(seen, "d.pictured > argument", at + 20)
            button(seen, "Pause").press("Enter")
            wait(seen, "d.training === 'paused' && d.pictured === d.steps")
            assert shown(seen, "epoch") == pytest.approx(int(state(seen)["steps"]))

    def test_out_of_view_nothing_is_computed(self, browser, stage, softmax):
        before = '<div style="height: 3000px"></div>'
        with visit(browser, stage(softmax, before=before)) as seen:
            train(seen)
            wait(seen, "d.steps > 20")
            seen.page.evaluate("scrollTo(0, 0)")
            wait(seen, "d.training === 'paused'")
            held = state(seen)["steps"]
            # The engine answers others, and takes no step meanwhile.
            idle = "() => new Promise((r) => setTimeout(r, 0))"
            for _ in range(50):
                seen.page.evaluate(idle)
            assert state(seen)["steps"] == held
            seen.page.locator(ROOT).scroll_into_view_if_needed()
            wait(seen, "d.training === 'playing' && d.steps > argument", int(held) + 20)

    def test_two_trainings_share_the_engine(self, browser, stage, softmax, vae):
        with visit(browser, stage(softmax, vae)) as seen:
            seen.page.set_viewport_size({"width": 900, "height": 4000})
            train(seen, 0)
            wait(seen, "d.steps > 20")
            train(seen, 0)  # the first button that still says so
            wait(seen, "d.steps > 100", index=1)
            first, second = (int(state(seen, k)["steps"]) for k in (0, 1))
            wait(seen, "d.steps > argument", first + 100, index=0)
            wait(seen, "d.steps > argument", second + 100, index=1)
            assert seen.errors == []

    def test_less_motion_means_no_training_by_itself(self, browser, stage, softmax):
        before = '<div style="height: 3000px"></div>'
        with visit(browser, stage(softmax, before=before)) as seen:
            seen.page.emulate_media(reduced_motion="reduce")
            train(seen)
            wait(seen, "d.steps > 20")
            seen.page.evaluate("scrollTo(0, 0)")
            wait(seen, "d.training === 'paused'")
            held = state(seen)["steps"]
            seen.page.locator(ROOT).scroll_into_view_if_needed()
            settle(seen.page)
            assert state(seen)["steps"] == held
            assert button(seen, "Go on").is_visible()

    def test_copy_as_pytorch(self, browser, stage, vae):
        with visit(browser, stage(vae, served=True)) as seen:
            seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            seen.page.get_by_role("button", name="Train").first.focus()
            seen.page.wait_for_selector("[data-state=live]")
            seen.page.get_by_role("slider", name="β").press("End")
            button(seen, "Copy as PyTorch").press("Enter")
            seen.page.get_by_text("Copied.").first.wait_for()
            code = seen.page.evaluate("navigator.clipboard.readText()")
            assert "beta=torch.tensor(50.0)" in code
            assert code == vae.pytorch().replace("tensor(1.0)", "tensor(50.0)")
            model = trainings.vae_model()
            exec(code.replace("range(10)", "range(1)"), {
                "model": model, "loss": trainings.elbo, "data": trainings.data("train"),
            })  # fmt: skip

    def test_nothing_is_loaded_before_the_reader_asks(self, browser, stage, softmax):
        asked = []
        with visit(browser, stage(softmax, served=True)) as seen:
            seen.page.on("request", lambda request: asked.append(request.url))
            seen.page.locator(".companion-widget").scroll_into_view_if_needed()
            assert seen.page.locator("[data-state=live]").count() == 0
            seen.page.get_by_role("button", name="Train").focus()
            seen.page.wait_for_selector("[data-state=live]")
            assert not [url for url in asked if "models/" in url or "engine" in url]
            seen.page.get_by_role("button", name="Train").press("Enter")
            wait(seen, "d.steps > 0")
            assert any("engine-wasm" in url for url in asked)
            assert any(softmax.training["data"]["file"] in url for url in asked)

    def test_a_curve_takes_no_more_memory_however_long(self, page):
        tab = page(None)
        values = np.random.default_rng(0).normal(size=40_000) + np.linspace(5, 0, 40_000)
        line, band, tests = tab.evaluate(
            """async (values) => {
                const { record, samples } = await import("/training/curves.js");
                const [kept, few] = [record(256), samples(64)];
                values.forEach((value, k) => {
                    kept.add(k === 100 ? NaN : value);
                    few.add(k, value);
                });
                return [kept.line(), kept.band(), few.line()];
            }""",
            values.tolist(),
        )
        assert 100 <= len(line) <= 256
        assert line[-1][0] == len(values)
        window = len(values) / len(line) * round(len(line) / 40)
        assert line[-1][1] == pytest.approx(values[-int(window) :].mean(), abs=0.05)
        assert min(low for _, low, _ in band) == values.min()
        assert max(high for _, _, high in band) == values.max()
        assert len(tests) <= 65
        assert tests[-1] == [len(values) - 1, values[-1]]

    def test_python_and_the_page_share_what_is_chosen(self, page, softmax):
        tab = page(softmax)
        tab.get_by_role("slider", name="learning rate").press("ArrowRight")
        assert tab.evaluate("model.get('numbers').lr") > 0.5
        tab.evaluate("model.set('numbers', {lr: 2})")
        tab.evaluate(
            "() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )
        assert tab.locator("[data-quantity=lr]").first.get_attribute("data-value") == "2"
        tab.evaluate("stop()")
        assert tab.evaluate("model.listening()") == 0
