"""CompoundScaling: its numbers from Python, and its front end against those numbers."""

import itertools
import json
import random

import pytest

from companion.explain.costs import efficientnet_stages, sum_costs, ways_to_scale
from companion.models import SCALINGS, EfficientNet, Scaling
from companion.models.efficientnet import scaled_channels
from companion.widgets import CompoundScaling
from companion.widgets.scaling import WAYS
from support.front_end import HOSTILE, settle, shown_numbers


class TestNumbers:
    def test_growth_is_the_papers(self):
        assert CompoundScaling().growth == pytest.approx(1.920, abs=5e-4)

    def test_cost_is_the_networks(self):
        w = CompoundScaling(1.0)
        model = EfficientNet(w.ways["compound"])
        assert w.cost.parameters == sum(p.numel() for p in model.parameters())

    def test_published_networks_are_in_the_state(self):
        published = CompoundScaling().published
        assert [row["name"] for row in published] == [name.upper() for name in SCALINGS]
        assert published[0]["parameters"] == 5_288_548
        assert published[-1]["parameters"] == 66_347_960


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"phi": 8}, "phi must be a number from 0 to 7, not 8"),
            ({"alpha": 0.9}, "alpha must be a number from 1 to 2"),
            ({"beta": "wide"}, "beta must be"),
            ({"gamma": 1.6}, "gamma must be"),
            ({"way": "sideways"}, "way must be one of compound, depth, width, resolution"),
        ],
    )
    def test_bad_value_is_refused_by_name(self, options, message):
        with pytest.raises(ValueError, match=message):
            CompoundScaling(**options)

    def test_bad_assignment_changes_nothing(self):
        w = CompoundScaling()
        with pytest.raises(ValueError, match="phi must be"):
            w.phi = -1.0
        assert w.phi == 2.0

    def test_state_is_json_and_description_says_the_numbers(self):
        w = CompoundScaling(title=HOSTILE)
        assert json.loads(json.dumps(w.page_state()))["phi"] == 2.0
        assert "12,233,232 parameters" in repr(w)


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(tab, w):
    numbers = shown_numbers(tab)
    scaling = w.ways[w.way]
    assert numbers["multiplications"] == w.cost.multiplications
    assert numbers["parameters"] == w.cost.parameters
    assert numbers["growth"] == pytest.approx(w.growth, rel=1e-12)
    assert numbers["depth"] == pytest.approx(scaling.depth, rel=1e-12)
    assert numbers["width"] == pytest.approx(scaling.width, rel=1e-12)
    assert numbers["resolution"] == scaling.resolution
    for way, plan in w.ways.items():
        cost = sum_costs(stage.cost for stage in efficientnet_stages(plan))
        assert numbers[f"parameters-{way}"] == cost.parameters
        assert numbers[f"multiplications-{way}"] == cost.multiplications


@pytest.mark.browser
class TestFrontEnd:
    def test_counts_as_python_counts(self, page):
        """The same rounding rules: every stage of many networks, and channels one by one."""
        numbers = random.Random(8)
        plans = [
            {"width": s.width, "depth": s.depth, "resolution": s.resolution}
            for s in SCALINGS.values()
        ]
        settings = [
            (round(numbers.uniform(0, 7), 1), *(round(numbers.uniform(1, top), 2)
             for top in (2, 1.5, 1.5)))
            for _ in range(60)
        ]  # fmt: skip
        tab = page()
        counted, ways, channels = tab.evaluate(
            """async ([plans, settings, widths]) => {
              const costs = await import("/maths/costs.js");
              return [
                plans.map((plan) => costs.efficientnetStages(plan)),
                settings.map((four) => {
                  const ways = costs.waysToScale(...four);
                  return Object.fromEntries(Object.entries(ways).map(([name, plan]) =>
                    [name, costs.add(...costs.efficientnetStages(plan).map((x) => x.cost))]));
                }),
                widths.map(([channels, width]) => costs.scaledChannels(channels, width)),
              ];
            }""",
            [plans, settings, [[c, w / 20] for c in range(3, 400, 7) for w in range(10, 60)]],
        )
        for plan, stages in zip(plans, counted, strict=True):
            expected = efficientnet_stages(Scaling(**plan, dropout=0.2))
            for got, stage in zip(stages, expected, strict=True):
                assert got == {**stage._asdict(), "cost": stage.cost._asdict()}
        for four, by_way in zip(settings, ways, strict=True):
            for way, scaling in ways_to_scale(*four).items():
                cost = sum_costs(stage.cost for stage in efficientnet_stages(scaling))
                assert by_way[way] == cost._asdict(), (four, way)
        grid = itertools.product(range(3, 400, 7), range(10, 60))
        assert channels == [scaled_channels(c, w / 20) for c, w in grid]

    def test_sliders_and_ways(self, page):
        tab = page(CompoundScaling())
        tab.get_by_role("slider", name="compound coefficient phi").focus()
        for _ in range(7):
            tab.keyboard.press("ArrowRight")
        assert_agrees(tab, CompoundScaling(2.7))
        for way, label in zip(WAYS, ("All three", "Depth only", "Width only", "Resolution only"),
                              strict=True):  # fmt: skip
            tab.get_by_role("radio", name=label).check()
            assert_agrees(tab, CompoundScaling(2.7, way=way))
        for name, keys in (("alpha", ["End"]), ("beta", ["Home"]), ("gamma", ["Home"])):
            tab.get_by_role("slider", name=f"{name}, base of").press(keys[0])
        tab.get_by_role("radio", name="All three").check()
        w = CompoundScaling(2.7, 2.0, 1.0, 1.0)
        assert_agrees(tab, w)
        # With α = 2 and β = γ = 1 depth alone grows.
        numbers = shown_numbers(tab)
        assert numbers["multiplications-compound"] == numbers["multiplications-depth"]
        tab.get_by_role("slider", name="alpha, base of").press("Backspace")
        assert shown_numbers(tab)["alpha"] == 1.2

    def test_the_published_networks_beside_the_formula(self, page):
        tab = page(CompoundScaling())
        choice = tab.get_by_label("Nearest to")
        for number, name in enumerate(SCALINGS):
            choice.select_option(str(number))
            assert_agrees(tab, CompoundScaling(shown_numbers(tab)["phi"]))
            assert f"Published {name.upper()}: depth ×{SCALINGS[name].depth:.2f}" in tab.inner_text(
                "main"
            )
        tab.get_by_role("slider", name="compound coefficient phi").press("ArrowLeft")
        settle(tab)
        assert "none of B0 to B7" in choice.locator("option:checked").inner_text()

    def test_the_picture_is_to_scale(self, page):
        w = CompoundScaling(3.0)
        tab = page(w)
        bars = tab.eval_on_selector_all(
            ".scaling-up",
            "all => all.map((el) => [el.getAttribute('height'), el.getAttribute('x')].map(Number))",
        )
        stages = w.stages[:-1]
        ratio = bars[0][0] / stages[0].size
        for (height, _), stage in zip(bars, stages, strict=True):
            assert height == pytest.approx(ratio * stage.size, abs=0.2)
        one = (bars[-1][1] - bars[0][1]) / sum(stage.layers for stage in stages[:-1])
        at = bars[0][1]
        for (_, x), stage in zip(bars, stages, strict=True):
            assert x == pytest.approx(at, abs=0.2)
            at += one * stage.layers

    def test_pointing_at_a_stage_tells_of_it(self, page):
        w = CompoundScaling(3.0)
        tab = page(w)
        tab.locator(".scaling-hit").nth(5).hover()
        settle(tab)
        stage = w.stages[5]
        words = tab.inner_text(".scaling-detail")
        assert f"Stage 6: {stage.layers} layers of MBConv6 5×5" in words
        assert f"{stage.size}×{stage.size}×{stage.channels};" in words
        assert tab.locator(".scaling-dim").count() == 14

    def test_answers_within_a_frame(self, page):
        """Even at the far end of all sliders counting and drawing take a few milliseconds."""
        tab = page(CompoundScaling(7.0, 2.0, 1.5, 1.5))
        times = tab.evaluate(
            """async () => {
              const { efficientnetStages, waysToScale } = await import("/maths/costs.js");
              const times = [];
              for (let i = 0; i < 40; i += 1) {
                const start = performance.now();
                Object.values(waysToScale(7, 2, 1.5, 1.5)).forEach((x) => efficientnetStages(x));
                times.push(performance.now() - start);
              }
              return times.sort((a, b) => a - b);
            }"""
        )
        assert times[20] < 8
