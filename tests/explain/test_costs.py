"""Costs counted by hand against the networks themselves, and the lecture's and papers' figures."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from companion.explain.costs import (
    SLIDE_WIDTHS,
    Cost,
    Widths,
    conv_cost,
    depthwise_separable_cost,
    efficientnet_cost,
    efficientnet_stages,
    inception_branches,
    mbconv_cost,
    sum_costs,
    ways_to_scale,
)
from companion.explain.layer_table import layer_table
from companion.models import (
    SCALINGS,
    EfficientNet,
    GoogLeNet,
    Inception,
    MBConv,
    Scaling,
    compound_scaling,
)
from companion.published import EFFICIENTNETS, RIVALS, STATE_OF_THE_ART


def counted(module: nn.Module, channels: int, size: int) -> Cost:
    """What the architecture table counts in one module on the meta device."""
    table = layer_table(nn.Sequential(module), (channels, size, size))
    return Cost(table.multiplications, table.parameters)


def module_cost(in_channels: int, widths: Widths, size: int, **options) -> Cost:
    return sum_costs(b.cost(size) for b in inception_branches(in_channels, widths, **options))


sizes = st.integers(2, 20)
channels = st.integers(1, 40)


@settings(max_examples=30)
@given(sizes, channels, channels, st.sampled_from([1, 3, 5, 7]), st.booleans())
def test_a_convolution_costs_what_torch_allocates(size, before, after, kernel, bias):
    conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias, device="meta")
    cost = conv_cost(size, before, after, kernel, extra=int(bias))
    assert cost.parameters == sum(p.numel() for p in conv.parameters())
    assert cost == counted(conv, before, size)


@settings(max_examples=20)
@given(sizes, st.integers(1, 12), channels, st.sampled_from([3, 5]))
def test_a_separable_convolution_is_its_two_parts(size, before, after, kernel):
    parts = nn.Sequential(
        nn.Conv2d(before, before, kernel, padding=kernel // 2, groups=before, device="meta"),
        nn.Conv2d(before, after, 1, device="meta"),
    )
    assert depthwise_separable_cost(size, before, after, kernel) == counted(parts, before, size)


class TestInception:
    def test_the_slide(self):
        """28×28×256: 854,196,224 → 672 channels; 271,351,808 → 480 channels."""
        for on, operations, depth in ((False, 854_196_224, 672), (True, 271_351_808, 480)):
            branches = inception_branches(256, SLIDE_WIDTHS, bottlenecks=on)
            assert sum_costs(b.cost(28) for b in branches).multiplications == operations
            assert sum(b.out_channels for b in branches) == depth

    def test_one_step_of_each_width_and_the_widest_bottleneck_that_saves(self):
        def total(**changed):
            return module_cost(256, SLIDE_WIDTHS._replace(**changed), 28).multiplications

        dearer = {n: total(**{n: w + 8}) - total() for n, w in SLIDE_WIDTHS._asdict().items()}
        # By hand: 28² pixels, 8 more channels, and the weights that make and read each of them.
        assert dearer["reduce_fives"] == 784 * 8 * (256 + 25 * 96) == 16_658_432
        assert dearer["fives"] == 784 * 8 * 25 * 64 == 10_035_200
        assert max(dearer, key=dearer.__getitem__) == "reduce_fives"
        # Without its bottleneck the 3×3 branch takes 28²·9·256·192.
        rest = total() - 784 * 64 * (256 + 9 * 192)
        saves = [total(reduce_threes=r) < rest + 784 * 9 * 256 * 192 for r in (216, 222, 223, 224)]
        assert saves == [True, True, False, False]

    def test_the_slides_filters_are_those_of_module_3b(self):
        with torch.device("meta"):
            layers = GoogLeNet(auxiliary_heads=False).layers
        convs = [m for m in layers.inception3b.modules() if isinstance(m, nn.Conv2d)]
        widths = Widths(*(conv.out_channels for conv in convs))
        assert convs[0].in_channels == 256
        for name in ("ones", "threes", "fives", "pool_projection"):
            assert getattr(widths, name) == getattr(SLIDE_WIDTHS, name)
        modules = [module for module in layers if isinstance(module, Inception)]
        narrowest = [module.path5x5.reduce.conv.out_channels for module in modules]
        assert (min(narrowest), max(narrowest)) == (16, 48)

    def test_the_slides_sum_counts_one_term_twice(self):
        threes = inception_branches(256, SLIDE_WIDTHS)[1].convs[1]
        twice = conv_cost(28, threes.in_channels, threes.out_channels, 3).multiplications
        total = module_cost(256, SLIDE_WIDTHS, 28).multiplications
        assert total + twice == 358_055_936

    @settings(max_examples=10)
    @given(st.integers(2, 10), channels, st.tuples(*[st.integers(1, 12)] * 6))
    def test_by_hand_as_built(self, size, in_channels, widths):
        with torch.device("meta"):
            module = Inception(in_channels, *widths)
        assert module_cost(in_channels, Widths(*widths), size) == counted(module, in_channels, size)
        depth = sum(b.out_channels for b in inception_branches(in_channels, Widths(*widths)))
        assert depth == module(torch.empty(1, in_channels, size, size, device="meta")).shape[1]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"in_channels": 0, "widths": SLIDE_WIDTHS}, "in_channels must be a whole number"),
            ({"in_channels": 8, "widths": Widths(1, 1, 1, 1, 0, 1)}, "fives must be"),
            ({"in_channels": 8, "widths": SLIDE_WIDTHS, "five": 7}, "five must be 5"),
        ],
    )
    def test_bad_plans(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            inception_branches(**arguments)

    def test_groups_must_divide(self):
        with pytest.raises(ValueError, match="groups must divide"):
            conv_cost(7, 6, 4, 3, groups=4)


class TestEfficientNet:
    @settings(max_examples=12)
    @given(
        st.integers(4, 15),
        st.integers(1, 20),
        st.integers(1, 20),
        st.sampled_from([1, 6]),
        st.sampled_from([3, 5]),
        st.sampled_from([1, 2]),
    )
    def test_a_block_as_built(self, size, before, after, expansion, kernel, stride):
        plan = {"expansion": expansion, "kernel": kernel, "stride": stride}
        with torch.device("meta"):
            block = MBConv(before, after, **plan)
        assert mbconv_cost(size, before, after, **plan) == counted(block, before, size)

    @pytest.mark.parametrize("name", ["b0", "b2"])
    def test_published_networks_as_built(self, name):
        scaling = SCALINGS[name]
        with torch.device("meta"):
            table = layer_table(EfficientNet(name), (3, scaling.resolution, scaling.resolution))
        assert efficientnet_cost(scaling) == (table.multiplications, table.parameters)

    @pytest.mark.parametrize(
        "scaling",
        [
            compound_scaling(1.5),
            Scaling(0.7, 0.6, 97, 0.2),
            ways_to_scale(0.7)["width"],
        ],
    )
    def test_other_scalings_stage_by_stage(self, scaling):
        with torch.device("meta"):
            model = EfficientNet(scaling)
        table = layer_table(model, (3, scaling.resolution, scaling.resolution))
        stages = efficientnet_stages(scaling)
        for number, stage in enumerate(stages[:-1], start=1):
            rows = [row for row in table if row.name.split("_")[0] == f"stage{number}"]
            assert stage.cost == (
                sum(row.multiplications for row in rows),
                sum(row.parameters for row in rows),
            )
            assert stage.layers == len(rows)
            assert rows[-1].output_shape == (stage.channels, stage.size, stage.size)
        total = sum_costs(stage.cost for stage in stages)
        assert total == (table.multiplications, table.parameters)

    def test_the_paper(self):
        """Tan & Le (2019), table 2; B4 and B5 are about 4 % off, whoever counts."""
        for paper, scaling in zip(EFFICIENTNETS, SCALINGS.values(), strict=True):
            cost = efficientnet_cost(scaling)
            assert cost.parameters / 1e6 == pytest.approx(paper.parameters, rel=0.03)
            assert cost.multiplications / 1e9 == pytest.approx(paper.operations, rel=0.05)

    def test_one_direction_grows_as_it_should(self):
        """An ordinary convolution's cost grows with depth, width² and resolution²."""
        ways = ways_to_scale(4.0)
        growth = (1.2 * 1.1**2 * 1.15**2) ** 4
        assert ways["compound"] == compound_scaling(4.0)
        assert ways["depth"].depth == pytest.approx(growth)
        assert ways["width"].width == pytest.approx(growth**0.5)
        assert ways["resolution"].resolution == round(224 * growth**0.5)
        base = efficientnet_cost(SCALINGS["b0"])
        for way, scaling in ways.items():
            grown = efficientnet_cost(scaling)
            assert grown.multiplications / base.multiplications == pytest.approx(growth, rel=0.3)
            assert (grown.parameters == base.parameters) == (way == "resolution")


def test_published_results_are_in_order_and_plausible():
    years = [result.year for result in STATE_OF_THE_ART]
    assert years == sorted(years)
    for result in itertools.chain(STATE_OF_THE_ART, EFFICIENTNETS, RIVALS):
        assert 50 < result.top1 < 92
        assert result.source
    for more_data in (False, True):
        top1 = [r.top1 for r in STATE_OF_THE_ART if bool(r.extra_data) == more_data]
        assert top1 == sorted(top1)
    assert [result.top1 for result in EFFICIENTNETS] == [
        77.1, 79.1, 80.1, 81.6, 82.9, 83.6, 84.0, 84.3,
    ]  # fmt: skip


@pytest.mark.parametrize("cost", ["parameters", "operations"])
def test_what_the_chapter_says_of_the_efficientnets_and_their_rivals(cost):
    for number, ours in enumerate(EFFICIENTNETS):
        assert not [
            r for r in RIVALS if r.top1 >= ours.top1 and getattr(r, cost) <= getattr(ours, cost)
        ]
        dearest = max(getattr(r, cost) for r in RIVALS if r.top1 < ours.top1)
        assert dearest > (2 if number <= 6 else 1) * getattr(ours, cost)


def test_most_of_an_mbconv_goes_into_its_two_1x1_convolutions():
    whole = mbconv_cost(28, 40, 40, expansion=6, kernel=5).multiplications
    ones = 2 * 28 * 28 * 40 * 240
    assert ones / whole == pytest.approx(0.76, abs=0.01)
    assert conv_cost(28, 240, 240, 5).multiplications > 50 * whole
