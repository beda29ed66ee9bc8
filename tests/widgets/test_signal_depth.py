"""Random deep networks against closed forms, and the widget's front end against Python."""

import math
import re

import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from torch import nn

from companion.by_hand.propagation import propagate
from companion.widgets import SignalThroughDepth
from support.front_end import settle, widget_page


def draws(width, depth, batch=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    x, direction = torch.randn(2, batch, width, generator=g, dtype=torch.float64)
    weights = torch.randn(depth, width, width, generator=g, dtype=torch.float64)
    return x, list(weights / math.sqrt(width)), direction


class TestPropagation:
    @pytest.mark.parametrize(
        ("activation", "gain", "factor"),
        [("relu", 2, 1), ("relu", 1, 0.5), ("none", 1, 1), ("none", 0.5, 0.5), ("relu", 4, 2)],
    )
    def test_wide_layers_multiply_mean_squares_by_the_closed_form(self, activation, gain, factor):
        squares = []
        for seed in range(12):
            x, weights, direction = draws(300, 4, batch=32, seed=seed)
            scaled = [math.sqrt(gain) * w for w in weights]
            sizes = propagate(x, scaled, direction, activation=activation)
            squares.append((sizes.signal[-1] ** 2, sizes.gradient[0] ** 2))
        assert np.mean(squares, axis=0) == pytest.approx([factor**4] * 2, rel=0.15)

    def test_batch_norm_levels_the_signal_and_lets_the_gradient_grow(self):
        x, weights, direction = draws(500, 20, batch=256)
        sizes = propagate(x, weights, direction, batch_norm=True)
        np.testing.assert_allclose(sizes.signal[1:], math.sqrt(0.5), rtol=0.03)
        growth = (sizes.gradient[1] / sizes.gradient[-2]) ** (1 / 18)
        assert growth == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), abs=0.02)

    def test_tanh_bounds_the_signal_but_not_the_gradient(self):
        """What the chapter says, against the mean-field fixed point (Poole et al. 2016)."""
        gain, nodes = 10.0, np.polynomial.hermite_e.hermegauss(201)
        z, p = nodes[0], nodes[1] / nodes[1].sum()
        q = 1.0
        for _ in range(200):
            q = gain * (p * np.tanh(np.sqrt(q) * z) ** 2).sum()
        growth = gain * (p * (1 - np.tanh(np.sqrt(q) * z) ** 2) ** 2).sum()
        x, weights, direction = draws(500, 20, batch=32)
        scaled = [math.sqrt(gain) * w for w in weights]
        sizes = propagate(x, scaled, direction, activation="tanh")
        assert max(sizes.signal[1:]) < 1
        ratio = (sizes.gradient[4] ** 2 / sizes.gradient[-2] ** 2) ** (1 / 15)
        assert growth > 1.5
        assert float(ratio) == pytest.approx(growth, rel=0.05)

    def test_batch_norm_and_shortcuts_let_nothing_grow_exponentially(self):
        signal, gradient = {}, {}
        for depth in (20, 40):
            sizes = SignalThroughDepth(depth, shortcuts=True, batch_norm=True).sizes
            signal[depth], gradient[depth] = sizes.signal[-1], sizes.gradient[0]
        assert float(signal[40] / signal[20]) == pytest.approx(math.sqrt(2), rel=0.1)
        assert 1.5 < gradient[40] / gradient[20] < 3.5  # a plain stack: about fifty

    def test_is_what_torch_modules_compute(self):
        x, weights, direction = draws(12, 4, batch=8)
        sizes = propagate(x, weights, direction, shortcuts=True, batch_norm=True)
        h = x
        for first, second in zip(weights[::2], weights[1::2], strict=True):
            norm = nn.BatchNorm1d(12, affine=False).double()
            h = torch.relu(norm(torch.relu(norm(h @ first.T)) @ second.T) + h)
        torch.testing.assert_close(sizes.outputs[-1], h)
        torch.testing.assert_close(sizes.signal[-1], h.square().mean().sqrt())

    def test_zero_weights_and_shortcuts_are_the_identity(self):
        x, weights, direction = draws(6, 8)
        nothing = [torch.zeros_like(w) for w in weights]
        sizes = propagate(x, nothing, direction, activation="none", shortcuts=True)
        assert torch.equal(sizes.outputs[-1], x)
        assert sizes.gradient[0] == sizes.gradient[-1]
        plain = propagate(x, nothing, direction, activation="none")
        assert plain.gradient[0] == plain.signal[-1] == 0

    def test_silent_units(self):
        x = torch.tensor([[-2.0, 3.0]], dtype=torch.float64)
        eye = [torch.eye(2, dtype=torch.float64)]
        assert propagate(x, eye, x, activation="relu").silent[1] == 0.5
        assert propagate(x, eye, x, activation="tanh").silent[1] == 0.5  # tanh 2 = 0.964
        assert propagate(x, eye, x, activation="none").silent[1] == 0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"activation": "gelu"}, "activation must be one of relu, tanh, none, got 'gelu'"),
            ({"x": torch.zeros(3)}, "must both be N×n"),
            ({"direction": torch.zeros(3, 5)}, "must both be N×n"),
            ({"weights": [torch.zeros(4, 4), torch.zeros(4, 5)]}, "W_2 must be 4×4"),
        ],
    )
    def test_what_is_refused(self, change, message):
        arguments = {
            "x": torch.zeros(3, 4),
            "weights": [torch.zeros(4, 4)],
            "direction": torch.zeros(3, 4),
        }
        with pytest.raises(ValueError, match=message):
            propagate(**(arguments | change))


class TestWidget:
    def test_weights_have_the_variance_that_the_rule_gives(self):
        for init, gain in (("he", 2), ("xavier", 1), ("pytorch", 1 / 3), (5.0, 5)):
            weights = torch.stack(SignalThroughDepth(20, init).weights)
            assert float(weights.var()) * 64 == pytest.approx(gain, rel=0.02)
        default = nn.Linear(64, 64).weight  # U(−1/8, 1/8)
        assert float(default.detach().var()) * 64 == pytest.approx(1 / 3, rel=0.1)

    def test_a_deeper_network_begins_with_the_shallower(self):
        deep, shallow = SignalThroughDepth(20).sizes, SignalThroughDepth(7).sizes
        assert torch.equal(deep.outputs[7], shallow.outputs[7])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"depth": 1}, "depth must be a whole number from 2 to 50, not 1"),
            ({"depth": 10.5}, "depth must be a whole number"),
            ({"init": "lecun"}, "init must be one of 'he', 'xavier', 'pytorch', or"),
            ({"init": 0.0}, r"n·Var\(w\) must be a number from 0.1 to 10, not 0.0"),
            ({"init": math.nan}, r"n·Var\(w\) must be a number"),
            (
                {"activation": "gelu"},
                "activation must be one of 'relu', 'tanh', 'none', got 'gelu'",
            ),
            ({"seed": -1}, "seed must be an integer from 0"),
        ],
    )
    def test_bad_values_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            SignalThroughDepth(**arguments)
        widget = SignalThroughDepth()
        with pytest.raises(ValueError, match="depth must be"):
            widget.depth = 99
        assert widget.depth == 30


# ------------------------------------------------------------------ the front end, unbundled


@pytest.fixture(scope="module")
def page(browser):
    """The shared page, which also keeps what the widget last computed."""
    keep = """() => document.addEventListener(
        "companion-propagated", (event) => { window.sizes = event.detail; })"""
    with widget_page(browser, keep) as start:
        yield start


def assert_agrees(tab, widget):
    """Every layer's size in the page is Python's, and so is every number on show."""
    settle(tab)
    sizes, expected = tab.evaluate("window.sizes"), widget.sizes
    np.testing.assert_allclose(sizes["signal"], expected.signal, rtol=1e-7)
    np.testing.assert_allclose(sizes["gradient"], expected.gradient, rtol=1e-7)
    pairs = tab.eval_on_selector_all(
        "[data-quantity]", "all => all.map(el => [el.dataset.quantity, el.dataset.value])"
    )
    shown = {name: float(value) for name, value in pairs}
    first, last, depth = expected.signal[0], expected.signal[-1], widget.depth
    assert shown["signal-last"] == pytest.approx(float(last), rel=1e-7)
    assert shown["gradient-first"] == pytest.approx(float(expected.gradient[0]), rel=1e-7)
    assert shown["signal-factor"] == pytest.approx(float(last / first) ** (1 / depth), rel=1e-6)
    assert shown["depth"] == widget.depth
    assert shown["gain"] == pytest.approx(widget.gain)
    return shown


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("activation", ["relu", "tanh", "none"])
    @pytest.mark.parametrize("batch_norm", [False, True])
    @pytest.mark.parametrize("shortcuts", [False, True])
    def test_shows_pythons_numbers(self, page, activation, shortcuts, batch_norm):
        widget = SignalThroughDepth(
            21, 1.7, activation, shortcuts=shortcuts, batch_norm=batch_norm, seed=3
        )
        shown = assert_agrees(page(widget), widget)
        assert shown["layer-silent"] == pytest.approx(float(widget.sizes.silent[-1]))

    @pytest.mark.parametrize(("depth", "gain"), [(2, 10.0), (50, 0.1), (50, 10.0)])
    def test_extremes(self, page, depth, gain):
        widget = SignalThroughDepth(depth, gain, seed=2**32 - 1)
        assert_agrees(page(widget), widget)

    @pytest.mark.parametrize(
        ("depth", "gain", "activation", "shortcuts", "batch_norm"),
        [
            (50, 2.0, "relu", False, False),
            (50, 1.0, "relu", False, False),
            (50, 1.0, "tanh", False, False),
            (50, 2.0, "tanh", False, False),
            (50, 10.0, "tanh", False, False),
            (50, 10.0, "tanh", True, False),
            (50, 2.0, "tanh", True, True),
            (50, 2.0, "relu", True, True),
            (50, 2.0, "relu", False, True),
            (50, 0.1, "tanh", True, False),
        ],
    )
    def test_the_sentence_fits_the_numbers(
        self, page, depth, gain, activation, shortcuts, batch_norm
    ):
        widget = SignalThroughDepth(
            depth, gain, activation, shortcuts=shortcuts, batch_norm=batch_norm
        )
        tab, sizes = page(widget), widget.sizes
        ratios = sizes.signal[-1] / sizes.signal[0], sizes.gradient[0] / sizes.gradient[-1]
        said = tab.inner_text(".signal-story")
        words = re.search(r"the signal (.+?); going back, the gradient (.+?)\.", said)
        both = re.search(r"what passes (.+?)\.", said)
        fates = words.groups() if words else (both[1], both[1])
        for fate, ratio in zip(fates, ratios, strict=True):
            within = {"keeps its size": (0.4, 2.5), "grows a little": (2.5, 10)}
            within |= {"grows": (10, 1e3), "explodes": (1e3, math.inf)}
            within |= {"fades a little": (0.1, 0.4), "fades": (1e-3, 0.1), "fades away": (0, 1e-3)}
            low, high = within[fate]
            assert low <= ratio <= high
        if activation == "tanh" and gain > 1 and not batch_norm:
            assert ratios[1] > 1
            assert "nothing bounds the gradient" in said.lower()

    def test_controls_by_keyboard(self, page):
        tab = page(SignalThroughDepth(30))
        tab.get_by_role("slider", name="Depth").press("End")
        tab.get_by_role("radio", name="Xavier").check()
        assert_agrees(tab, SignalThroughDepth(50, "xavier"))
        tab.get_by_role("switch", name="batch norm").press("Space")
        tab.get_by_role("switch", name="shortcuts").press("Space")
        tab.get_by_role("radio", name="tanh").check()
        widget = SignalThroughDepth(50, "xavier", "tanh", shortcuts=True, batch_norm=True)
        assert_agrees(tab, widget)
        tab.get_by_role("button", name="Redraw weights").click()
        widget.seed += 1
        assert_agrees(tab, widget)
        tab.get_by_role("slider", name="size of the weights").press("Backspace")
        widget.gain = 2
        assert_agrees(tab, widget)
        assert tab.get_by_role("radio", name="He").is_checked()
        tab.get_by_role("slider", name="size of the weights").press("ArrowRight")
        expect(tab.get_by_role("radio", checked=True)).to_have_count(1)  # the activation's alone

    def test_looks_at_a_layer_by_key_and_pointer(self, page):
        widget = SignalThroughDepth(10)
        tab = page(widget)
        look = tab.get_by_role("slider", name="Look at layer")
        look.press("ArrowLeft")
        shown = assert_agrees(tab, widget)
        assert shown["layer-signal"] == pytest.approx(float(widget.sizes.signal[9]), rel=1e-7)
        assert look.get_attribute("aria-valuetext").startswith("layer 9: signal ")
        box = tab.locator(".signal-pickable").bounding_box()
        tab.mouse.move(box["x"] + 53, box["y"] + 60)
        shown = assert_agrees(tab, widget)
        assert shown["layer-gradient"] == pytest.approx(float(widget.sizes.gradient[0]), rel=1e-7)

    def test_table_has_every_layer(self, page):
        widget = SignalThroughDepth(8, "xavier")
        tab = page(widget)
        tab.get_by_text("Every layer in numbers").click()
        settle(tab)
        cells = tab.locator(".signal-scroll tbody tr").nth(8).locator("td").all_inner_texts()
        assert float(cells[0]) == pytest.approx(float(widget.sizes.signal[8]), rel=5e-3)
        assert tab.locator(".signal-scroll tbody tr").count() == 9
