"""BottleneckCounter: its numbers from Python, and its front end against those numbers."""

import json

import pytest
import torch
from torch import nn

from companion.explain.costs import SLIDE_WIDTHS, Widths
from companion.models import GoogLeNet
from companion.widgets import BottleneckCounter
from companion.widgets.bottleneck import module_presets
from support.front_end import HOSTILE, settle, shown_numbers


class TestNumbers:
    def test_the_slide(self):
        w = BottleneckCounter()
        assert (w.cost.multiplications, w.output_depth) == (271_351_808, 480)
        w.bottlenecks = False
        assert (w.cost.multiplications, w.output_depth) == (854_196_224, 672)

    def test_presets_are_googlenets_modules(self):
        """Table 1 of the paper, and torch's own count of each module's parameters."""
        presets = module_presets()[2:]
        with torch.device("meta"):
            layers = dict(GoogLeNet().layers.named_children())
        assert [p["name"][-2:] for p in presets] == [
            "3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b",
        ]  # fmt: skip
        assert [p["size"] for p in presets] == [28] * 2 + [14] * 5 + [7] * 2
        for preset in presets:
            w = BottleneckCounter(preset["size"], preset["in_channels"], preset["widths"])
            module = layers[preset["name"].replace("GoogLeNet ", "inception")]
            assert w.cost.parameters == sum(p.numel() for p in module.parameters())
        depths = [p["in_channels"] for p in presets[1:]]
        made = [
            BottleneckCounter(p["size"], p["in_channels"], p["widths"]).output_depth
            for p in presets[:-1]
        ]
        assert depths == made  # each module takes what the one before it hands on

    def test_a_module_of_ones_own(self):
        with torch.device("meta"):
            module = GoogLeNet("torchvision").layers.inception4a
        w = BottleneckCounter.of(module, 14)
        assert (w.in_channels, w.widths, w.five) == (480, [192, 96, 208, 16, 48, 64], 3)
        with pytest.raises(TypeError, match=r"Inception is expected, got a Linear"):
            BottleneckCounter.of(nn.Linear(2, 3), 14)


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 3}, "size must be a whole number from 4 to 56, not 3"),
            ({"in_channels": 2000}, "in_channels must be"),
            ({"widths": Widths(1, 2, 3, 4, 5, 999)}, "pool_projection must be"),
            ({"widths": (1, 2)}, r"widths must be the 6 numbers \(ones, .*\), got 2"),
            ({"five": 7}, "five must be 5 or 3"),
        ],
    )
    def test_bad_value_is_refused_by_name(self, options, message):
        with pytest.raises(ValueError, match=message):
            BottleneckCounter(**options)

    def test_state_is_json_and_description_says_the_numbers(self):
        w = BottleneckCounter(title=HOSTILE)
        assert json.loads(json.dumps(w.page_state()))["widths"] == list(SLIDE_WIDTHS)
        assert "271,351,808" in repr(w)


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(tab, w):
    numbers = shown_numbers(tab)
    cost = w.cost
    assert numbers["multiplications"] == cost.multiplications
    assert numbers["parameters"] == cost.parameters
    assert numbers["output_depth"] == w.output_depth
    if cost.multiplications < 1e9:
        heading = tab.locator("[aria-label='Multiplications of each convolution'] > p").first
        assert f"{cost.multiplications / 1e6:.1f} M in all" in heading.inner_text()
    steps = {
        f"step-{i}-{k}": w.size**2 * c.kernel**2 * c.in_channels * c.out_channels
        for i, branch in enumerate(w.branches)
        for k, c in enumerate(branch.convs)
    }
    assert {name: n for name, n in numbers.items() if name.startswith("step-")} == steps
    plain = BottleneckCounter(w.size, w.in_channels, w.widths, bottlenecks=False, five=w.five)
    # Without bottlenecks the comparison is hidden.
    assert numbers.get("naive") == (plain.cost.multiplications if w.bottlenecks else None)


@pytest.mark.browser
class TestFrontEnd:
    def test_every_preset_shows_pythons_numbers(self, page):
        tab = page(BottleneckCounter())
        for number, preset in enumerate(module_presets()):
            tab.get_by_role("combobox").select_option(str(number))
            plan = {k: v for k, v in preset.items() if k != "name"}
            assert_agrees(tab, BottleneckCounter(**plan))
            assert tab.get_by_role("combobox").input_value() == str(number)

    def test_sliders_switch_and_window(self, page):
        tab = page(BottleneckCounter())
        for name, keys in (
            ("Side of the input", ["ArrowRight"] * 3),
            ("Depth of the input", ["ArrowLeft"] * 2),
            ("1×1 before 3×3", ["Home"]),
            ("5×5", ["End"]),
        ):
            slider = tab.get_by_role("slider", name=name, exact=True)
            slider.focus()
            for key in keys:
                tab.keyboard.press(key)
        widths = [128, 8, 192, 64, 384, 64]
        assert_agrees(tab, BottleneckCounter(31, 224, widths))
        tab.get_by_role("radio", name="3×3", exact=True).check()
        assert_agrees(tab, BottleneckCounter(31, 224, widths, five=3))
        tab.get_by_role("switch").click()
        assert_agrees(tab, BottleneckCounter(31, 224, widths, five=3, bottlenecks=False))
        assert tab.get_by_role("slider", name="1×1 before 3×3", exact=True).is_disabled()

    def test_pointing_at_a_bar_spells_the_product_and_dims_the_rest(self, page):
        tab = page(BottleneckCounter())
        tab.locator(".bottleneck-pick").nth(2).focus()
        settle(tab)
        words = tab.inner_text(".bottleneck-spelled")
        assert "28·28 places × 192 filters × 3·3·64 weights" in words
        assert "86\u202f704\u202f128" in words
        assert tab.locator(".bottleneck-row.bottleneck-dim").count() == 4
        assert tab.locator("svg .bottleneck-branch.bottleneck-dim").count() == 3
