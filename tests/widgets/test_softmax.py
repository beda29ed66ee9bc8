"""The numbers of the Softmax widget against PyTorch, and its front end against those numbers."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from companion.widgets import Softmax
from support.front_end import HOSTILE, settle, shown_numbers

NAMES = ["cat", "dog", "lynx", "tractor", "banana"]

logits = st.lists(st.floats(-8, 8), min_size=2, max_size=12)


def torch_numbers(w):
    """Probabilities, loss and gradient by PyTorch and autograd."""
    z = torch.tensor([list(w.logits)], dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(z / w.temperature, torch.tensor([w.label]))
    loss.backward()
    return F.softmax(z / w.temperature, 1)[0].tolist(), loss.item(), z.grad[0].tolist()


class TestNumbers:
    @given(logits, st.integers(0, 1), st.floats(0.1, 10))
    def test_against_torch(self, z, label, temperature):
        w = Softmax(z, label=label, temperature=temperature)
        p, loss, gradient = torch_numbers(w)
        assert w.probabilities == pytest.approx(p, abs=1e-12)
        assert w.loss == pytest.approx(loss, abs=1e-9)
        assert w.gradient == pytest.approx(gradient, abs=1e-10)

    def test_steps_lower_the_loss_and_keep_the_sum(self):
        w = Softmax([2.0, 1.0, -1.0], label=2)
        losses = []
        for _ in range(20):
            losses.append(w.loss)
            w.step()
        assert losses == sorted(losses, reverse=True)
        assert sum(w.logits) == pytest.approx(2.0)

    def test_takes_a_tensor_and_widens_its_sliders(self):
        w = Softmax(torch.tensor([9.5, -0.2]), label=0)
        assert w.logits == pytest.approx([9.5, -0.2])
        assert w.logit_range == [-10, 10]
        assert w.class_names == ["class 0", "class 1"]
        assert Softmax().logit_range == [-5, 5]


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"logits": [1.0]}, "logits must be 2 to 12 finite numbers"),
            ({"logits": [0.0] * 13}, "logits must be 2 to 12 finite numbers"),
            ({"logits": [1.0, math.nan]}, "logits must be 2 to 12 finite numbers"),
            ({"logits": ["a", "b"]}, "logits must be numbers"),
            ({"logits": 3.0}, "logits must be numbers"),
            ({"class_names": ["a"]}, "expected 5 class_names, one a logit, but got 1"),
            ({"label": 5}, "label must be a class, 0 to 4, not 5"),
            ({"label": -1}, "label must be a class"),
            ({"label": True}, "label must be a class"),
            ({"temperature": 0}, r"temperature must be a number from 0\.1 to 10"),
            ({"temperature": "hot"}, "temperature must be a number"),
        ],
    )
    def test_bad_value_is_refused(self, arguments, words):
        with pytest.raises(ValueError, match=words):
            Softmax(**arguments)

    @pytest.mark.parametrize(
        ("name", "value"), [("logits", [1.0, 2.0]), ("label", 5), ("temperature", 11)]
    )
    def test_bad_assignment_changes_nothing(self, name, value):
        w = Softmax()
        before = getattr(w, name)
        with pytest.raises(ValueError, match=f"^{name} must"):
            setattr(w, name, value)
        assert getattr(w, name) == before

    @given(logits)
    def test_description_tells_the_loss(self, z):
        w = Softmax(z)
        assert f"{w.loss:.3f}" in w.describe().replace("-0.000", "0.000")

    def test_state_is_json_and_small(self):
        assert len(json.dumps(Softmax(title=HOSTILE).page_state())) < 400


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(numbers, w):
    for k in range(len(w.logits)):
        assert numbers[f"z-{k}"] == pytest.approx(w.logits[k], abs=1e-12)
        assert numbers[f"p-{k}"] == pytest.approx(w.probabilities[k], abs=1e-12)
        assert numbers[f"gradient-{k}"] == pytest.approx(w.gradient[k], abs=1e-11)
        power = math.exp(min(700, w.logits[k] / w.temperature))
        assert numbers[f"exp-{k}"] == pytest.approx(power, rel=1e-9)
    assert numbers["loss"] == pytest.approx(w.loss, abs=1e-11)
    assert numbers["p-right"] == numbers[f"p-{w.label}"]
    assert numbers["p-sum"] == pytest.approx(1)
    assert numbers["gradient-sum"] == pytest.approx(0, abs=1e-10)
    assert numbers["chance"] == pytest.approx(math.log(len(w.logits)))


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("temperature", [0.1, 1, 7.5])
    @pytest.mark.parametrize("z", [[2, 1, 0.5, -1, -2], [-30, 30], [0.0] * 12])
    def test_shows_pythons_numbers(self, page, z, temperature):
        w = Softmax(z, label=1, temperature=temperature)
        assert_agrees(shown_numbers(page(w)), w)

    def test_powers_overflow_and_probabilities_do_not(self, page):
        w = Softmax([1000, 998], label=1)
        tab = page(w)
        assert shown_numbers(tab)["p-1"] == pytest.approx(w.probabilities[1])
        assert tab.inner_text("[data-quantity=exp-0]") == "overflow"

    def test_sliders_label_and_temperature_by_keyboard(self, page):
        tab = page(Softmax([2, 1, 0.5, -1, -2], NAMES, label=1))
        cat = tab.get_by_role("slider", name="logit of cat")
        for _ in range(4):
            cat.press("ArrowLeft")
        assert cat.get_attribute("aria-valuetext") == "1.80"
        temperature = tab.get_by_role("slider", name="temperature")
        temperature.press("ArrowRight")
        tab.get_by_label("Right class", exact=True).select_option(label="lynx")
        expected = Softmax([1.8, 1, 0.5, -1, -2], NAMES, label=2, temperature=1.02)
        assert_agrees(shown_numbers(tab), expected)
        assert tab.evaluate("[model.get('label'), model.get('temperature')]") == [2, 1.02]
        cat.press("Backspace")
        assert shown_numbers(tab)["z-0"] == 0

    def test_steps_are_pythons_and_reset_undoes_them(self, page):
        w = Softmax([2.0, 1.0, 0.5, -1.0, -2.0], NAMES, label=1)
        tab = page(w)
        tab.get_by_role("button", name="Take a step").click()
        w.step()
        assert_agrees(shown_numbers(tab), w)
        tab.get_by_role("button", name="10 steps").click()
        for _ in range(10):
            w.step()
        numbers = shown_numbers(tab)
        assert_agrees(numbers, w)
        assert numbers["steps"] == 11
        tab.get_by_role("button", name="Reset").click()
        numbers = shown_numbers(tab)
        assert_agrees(numbers, Softmax([2.0, 1.0, 0.5, -1.0, -2.0], label=1))
        assert numbers["steps"] == 0

    def test_a_shift_changes_no_probability(self, page):
        tab = page(Softmax(label=1))
        before = shown_numbers(tab)
        tab.get_by_role("button", name="Add 1 to all logits").click()
        after = shown_numbers(tab)
        assert after["z-0"] == before["z-0"] + 1
        assert after["exp-sum"] == pytest.approx(math.e * before["exp-sum"])
        for quantity in ("p-0", "p-4", "gradient-1", "loss"):
            assert after[quantity] == pytest.approx(before[quantity], abs=1e-12)

    def test_sliders_have_room_for_what_is_added(self, page):
        tab = page(Softmax([4.5, 0, -2], ["a", "b", "c"], label=1))
        a = tab.get_by_role("slider", name="logit of a")
        for _ in range(3):
            tab.get_by_role("button", name="Add 1 to all logits").click()
        settle(tab)
        assert float(a.input_value()) == shown_numbers(tab)["z-0"] == 7.5
        tab.get_by_role("button", name="Reset").click()
        settle(tab)
        assert a.get_attribute("max") == "5"
        assert float(a.input_value()) == 4.5

    @pytest.mark.parametrize("z", [[2.0, 1.0, 0.5], [20.0, -20.0, 0.0], [-8.0, 8.0, 0.0]])
    def test_the_point_lies_at_its_loss_on_the_axis(self, page, z):
        """Two labelled heights of the axis say where the loss of Python belongs."""
        w = Softmax(z, label=1)
        tab = page(w)
        height, marks = tab.evaluate(
            """() => [
              Number(document.querySelector(".companion-dot").getAttribute("cy")),
              [...document.querySelectorAll(".companion-axis-left text")]
                .map((t) => [Number(t.textContent), Number(t.getAttribute("y")) - 4]),
            ]"""
        )
        (low, bottom), (high, top) = marks[0], marks[-1]
        shown = low + (height - bottom) / (top - bottom) * (high - low)
        assert shown == pytest.approx(w.loss, abs=0.005 * high)

    def test_words_follow(self, page):
        tab = page(Softmax([0, 0, 0], ["a", "b", "c"]))
        assert "pure guessing" in tab.inner_text("main")
        tab.evaluate("model.set('logits', [5, 0, 0])")
        settle(tab)
        assert "“a” is more probable than the right class" in tab.inner_text("main")
        tab.evaluate("model.set('logits', [0, 9, 0])")
        settle(tab)
        assert "little left to learn" in tab.inner_text("main")

    def test_answers_within_a_frame(self, page):
        """In time of the page's own thread, which a busy machine does not lengthen."""
        tab = page(Softmax(torch.linspace(-2, 2, 12)))
        devtools = tab.context.new_cdp_session(tab)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent():
            found = devtools.send("Performance.getMetrics")["metrics"]
            return next(m["value"] for m in found if m["name"] == "TaskDuration")

        before = spent()
        tab.evaluate(
            """async () => {
              const input = document.querySelector("input[type=range]");
              for (let i = 0; i < 40; i += 1) {
                input.value = -4 + i / 5;
                input.dispatchEvent(new Event("input"));
                await new Promise(requestAnimationFrame);
              }
            }"""
        )
        assert (spent() - before) / 40 < 0.016
