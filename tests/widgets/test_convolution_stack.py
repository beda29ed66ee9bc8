"""ConvolutionStack: every number against torch, what is shown adds up, pointer, keys and fields."""

import json
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from companion.site.frontend import NODE
from companion.widgets import ConvolutionStack
from support.front_end import JS, settle, shown_numbers


def random_images(count=2, side=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, side, side), generator=generator).to(torch.uint8)


def in_node(code: str, arguments: object) -> object:
    """What a function body of maths/convolution.js's names makes of its arguments `a`."""
    script = (
        f'import * as f from "{(JS / "maths" / "convolution.js").as_uri()}";'
        f"const a = {json.dumps(arguments)};"
        f"console.log(JSON.stringify((() => {{ {code} }})()));"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def torch_stage(x, weight, bias, padding, stride, pool):
    sums = F.conv2d(x[None], weight, bias, padding=padding, stride=stride)
    relu = sums.relu()
    return sums[0], relu[0], F.max_pool2d(relu, pool)[0]


# --- the numbers ----------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**16), channels=st.integers(1, 4), filters=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 5]), padding=st.integers(0, 2), stride=st.integers(1, 2),
    pool=st.integers(1, 3), height=st.integers(6, 9), width=st.integers(6, 9),
)  # fmt: skip
@settings(max_examples=12)
def test_a_stage_and_every_unit_of_it_is_torchs(
    seed, channels, filters, kernel, padding, stride, pool, height, width
):
    assume((min(height, width) + 2 * padding - kernel) // stride + 1 >= min(pool, 2))
    g = torch.Generator().manual_seed(seed)
    x, weight, bias = (
        torch.randn(*shape, generator=g, dtype=torch.float64)
        for shape in ((channels, height, width), (filters, channels, kernel, kernel), (filters,))
    )
    wanted = torch_stage(x, weight, bias, padding, stride, min(pool, 2))
    layer = {
        "weight": weight.flatten().tolist(), "bias": bias.tolist(), "padding": padding,
        "shape": [filters, channels, kernel], "stride": stride, "pool": min(pool, 2),
    }  # fmt: skip
    maps = {"values": x.flatten().tolist(), "shape": list(x.shape)}
    stage, units = in_node(
        """const stage = f.stageOf(a.maps, a.layer);
        const [filters, rows, columns] = stage.sums.shape;
        const units = [];
        for (let k = 0; k < filters; k += 1) for (let r = 0; r < rows; r += 1)
          for (let c = 0; c < columns; c += 1) {
            const u = f.unitOf(a.maps, a.layer, stage, k, r, c);
            units.push([u.sum, u.perChannel.reduce((s, p) => s + p.sum, u.bias), u.relu,
              u.block ? u.block.largest : null, Math.max(...(u.block?.values.flat() ?? [0]))]);
          }
        const plain = ({ values, shape }) => [Array.from(values), shape];
        return [[stage.sums, stage.activations, stage.pooled].map(plain), units];""",
        {"maps": maps, "layer": layer},
    )
    for (values, shape), expected in zip(stage, wanted, strict=True):
        assert shape == list(expected.shape)
        np.testing.assert_allclose(values, expected.flatten(), atol=1e-9)
    sums, relu, pooled = wanted
    for number, unit in enumerate(units):
        k, r, c = np.unravel_index(number, tuple(sums.shape))
        of_sum, of_relu = sums[k, r, c].item(), relu[k, r, c].item()
        assert unit[:2] == pytest.approx([of_sum] * 2, abs=1e-9)
        assert unit[2] == pytest.approx(of_relu, abs=1e-9)
        row, column = r // min(pool, 2), c // min(pool, 2)
        if row < pooled.shape[1] and column < pooled.shape[2]:
            assert unit[3:] == pytest.approx([pooled[k, row, column].item()] * 2, abs=1e-9)
        else:
            assert unit[3] is None


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=40),
    st.integers(0, 3),
    st.floats(-0.6, 0.6),
)
@settings(max_examples=25)
def test_written_parts_add_up_to_the_written_sum(parts, digits, more):
    total = sum(parts) + more * 10**-digits  # as a sum that was itself rounded up or down
    written = in_node("return f.addingUp(...a);", [parts, digits, total])
    unit = 10**digits
    whole = [round(v * unit) for v in written]
    assert written == pytest.approx([w / unit for w in whole], abs=1e-9)
    assert abs(sum(whole) - total * unit) <= 0.5 + 1e-6
    assert all(abs(w - p * unit) < 1.5 + 1e-6 for w, p in zip(whole, parts, strict=True))


@given(
    st.lists(
        st.sampled_from([(s, p, k) for k in (1, 3, 5) for s in (1, 2) for p in range(k // 2 + 1)]),
        min_size=1, max_size=3,
    ),
    st.data(),
)  # fmt: skip
@settings(max_examples=25)
def test_a_field_is_where_the_gradient_is(steps, data):
    side = 28
    layers = [
        {"stride": s, "padding": p, "shape": [1, 1, k], "pool": 2, "weight": [], "bias": []}
        for s, p, k in steps
    ]
    x = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    y, sides = x, []
    for i, (s, p, k) in enumerate(steps):
        if i:
            if min(y.shape[2:]) < 2:
                return
            y = F.avg_pool2d(y, 2)
        sides.append(y.shape[2])
        if min(y.shape[2:]) + 2 * p < k or min(y.shape[2:]) < 2:
            return
        y = F.conv2d(y, torch.ones(1, 1, k, k, dtype=torch.float64), padding=p, stride=s)
    place = data.draw(st.integers(0, y.shape[2] - 1))
    (gradient,) = torch.autograd.grad(y[0, 0, place, y.shape[3] // 2], x)
    rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
    first, end = in_node("return f.fieldOf(a.layers, a.place, a.sides);",
                         {"layers": layers, "place": place, "sides": sides})  # fmt: skip
    if len(rows):
        assert [first, end] == [int(rows[0]), int(rows[-1]) + 1]


# --- from Python ----------------------------------------------------------------------------------


def test_numbers_are_torchs():
    g = torch.Generator().manual_seed(1)
    weight = torch.randn(3, 3, 3, 3, generator=g).double()
    bias = torch.randn(3, generator=g).double()
    for padding, stride in ((0, 1), (1, 2)):
        w = ConvolutionStack(random_images(), weight, bias, padding=padding, stride=stride)
        x = torch.from_numpy(w.image).double()
        wanted = torch_stage(x, weight, bias, padding, stride, 2)
        for ours, theirs in zip((w.sums, w.activations, w.pooled), wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_it_opens_with_photographs_in_ten_levels():
    w = ConvolutionStack()
    assert [p["caption"] for p in w.pictures][-2:] == ["a grey square", "a red square on green"]
    assert w.image.shape == (3, 14, 14)
    for k in range(len(w.pictures)):
        w.selected = k
        assert set(w.image.flat) <= set(range(10))
    w.selected = 3  # grey: nothing but brightness; filter 1 answers, filter 2 does not
    assert (w.sums[1] == 0).all()
    assert (w.sums[0] != 0).any()
    w.selected = 4  # as bright all over: the other way round
    assert (w.sums[0] == 0).all()
    assert (w.sums[1] != 0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(1, 1, 9, 9)}, r"images must be N×3×S×S with S from 5 to 16"),
        ({"images": torch.zeros(1, 3, 20, 20)}, r"images must be .* not \(1, 3, 20, 20\)"),
        ({"weight": np.zeros((2, 1, 3, 3))}, "weight must be K×3×3×3"),
        ({"weight": np.full((1, 3, 3, 3), 12)}, "weight must hold numbers from −9.9 to 9.9"),
        ({"bias": [1, 2, 3]}, r"bias must be of shape \(2,\), not \(3,\)"),
        ({"padding": 2}, "padding must be a whole number from 0 to 1"),
        ({"stride": 3}, "stride must be"),
        ({"filter": 2}, "filter must be"),
        ({"selected": 5}, "selected must be a whole number from 0 to 4"),
        ({"position": (0, 12)}, "position must be a whole number from 0 to 11, not 12"),
        ({"captions": ["a"]}, "expected 2 captions"),
    ],
)
def test_refusals(change, message):
    arguments = change if "captions" not in change else {"images": random_images()} | change
    with pytest.raises(ValueError, match=message):
        ConvolutionStack(**arguments)


def test_the_window_stays_on_the_maps():
    w = ConvolutionStack(position=(11, 11))
    w.stride = 2
    assert w.position == [5, 5]
    w.padding = 1
    w.position = [6, 6]


# --- in a page ------------------------------------------------------------------------------------


def unit_of(tab, w):
    """Filter, row and column in the page, and Python's widget brought there."""
    w.filter, w.position = tab.evaluate("[model.get('filter'), model.get('position')]")
    return w.filter, *w.position


def assert_shows(tab, w):
    """The page's unit is Python's, and what is written adds up."""
    k, r, c = unit_of(tab, w)
    numbers = shown_numbers(tab)
    assert numbers["sum"] == pytest.approx(w.sums[k, r, c], abs=1e-9)
    assert numbers["relu"] == pytest.approx(w.activations[k, r, c], abs=1e-9)
    rows, columns = w.pooled.shape[1:]
    isin = r // 2 < rows and c // 2 < columns
    assert numbers["pooled"] == (pytest.approx(w.pooled[k, r // 2, c // 2]) if isin else None)
    lines = tab.evaluate(
        """() => [...document.querySelectorAll(".stack-row")].map((row) => {
          const [x, w, p] = [...row.querySelectorAll(".cells")].map((grid) =>
            [...grid.querySelectorAll(".cell")].map((el) =>
              el.querySelector("input")?.value ?? el.innerText));
          return [x, w, p, row.querySelector(".stack-total strong").innerText];
        })"""
    )
    number = lambda text: float(text.replace("−", "-"))  # noqa: E731
    total = number(tab.locator(".stack-outcome input").input_value())
    for x, weights, products, shown in lines:
        triples = zip(x, weights, products, strict=True)
        assert all(number(a) * number(b) == pytest.approx(number(p)) for a, b, p in triples)
        assert sum(map(number, products)) == pytest.approx(number(shown))
        total += number(shown)
    assert total == pytest.approx(w.sums[k, r, c])


@pytest.mark.browser
class TestInAPage:
    def test_moves_by_button_pointer_and_keys(self, page):
        w = ConvolutionStack(random_images(side=10))
        tab = page(w)
        assert_shows(tab, w)
        tab.get_by_role("button", name="Next window").click()
        settle(tab)
        assert unit_of(tab, w) == (0, 0, 1)
        assert_shows(tab, w)
        tab.get_by_role("button", name="Back").click()
        sums = tab.get_by_role("slider", name="Filter 2, sums + bias")
        sums.press("ArrowDown")
        settle(tab)
        assert unit_of(tab, w) == (1, 1, 0)
        sums.press("End")
        settle(tab)
        assert unit_of(tab, w) == (1, 7, 7)
        assert_shows(tab, w)
        value = f"{w.sums[1, 7, 7]:g}".replace("-", "minus ")
        assert sums.get_attribute("aria-valuetext") == f"row 7, column 7: {value}"
        green = tab.locator(".stack-map").nth(1)
        green.scroll_into_view_if_needed()
        box = green.bounding_box()
        tab.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.55 * box["height"])
        settle(tab)
        assert unit_of(tab, w) == (1, 4, 2)  # around pixel [5, 3]
        tab.mouse.move(799, 1)

    def test_a_pooled_cell_leads_to_what_it_comes_from(self, page):
        w = ConvolutionStack(random_images(side=10))
        tab = page(w)
        pooled = tab.get_by_role("slider", name="Filter 1, after pooling")
        for key, (row, column) in (("ArrowRight", (0, 1)), ("ArrowDown", (1, 1))):
            pooled.press(key)
            settle(tab)
            k, r, c = unit_of(tab, w)
            assert (r // 2, c // 2) == (row, column)
            assert w.activations[k, r, c] == w.pooled[k, row, column]
        dashed = tab.locator(".stack-map").first.locator(".stack-dashed")
        style = dashed.evaluate("(el) => [el.style.insetBlockStart, el.style.blockSize]")
        assert style == ["20%", "40%"]  # four of ten rows, from the third

    def test_weights_and_bias_are_typed(self, page):
        w = ConvolutionStack(random_images())
        tab = page(w)
        tab.get_by_label("green: weight in row 1, column 2").fill("-2,5")
        tab.get_by_label("bias", exact=True).last.fill("0.3")
        settle(tab)
        w.weight = tab.evaluate("model.get('weight')")
        w.bias = tab.evaluate("model.get('bias')")
        assert w.weight[0][1][1][2] == -2.5
        assert w.bias == [0.3, 0]
        assert_shows(tab, w)
        tab.get_by_label("bias", exact=True).last.fill("9.99")
        tab.get_by_text("A number from −9.9 to 9.9").wait_for()
        tab.get_by_label("bias", exact=True).last.blur()
        assert tab.evaluate("model.get('bias')") == [0.3, 0]
        assert tab.get_by_role("combobox").evaluate("(el) => el.selectedOptions[0].label") == (
            "own numbers"
        )
        tab.get_by_role("combobox").select_option(label="blue only")
        settle(tab)
        w.weight = tab.evaluate("model.get('weight')")
        assert np.count_nonzero(w.weight[0]) == 1
        assert_shows(tab, w)

    def test_padding_stride_and_what_pooling_drops(self, page):
        w = ConvolutionStack(random_images(side=9))
        tab = page(w)
        tab.get_by_role("slider", name="Filter 1, sums + bias").press("End")
        assert_shows(tab, w)  # 7×7: the last row and column are dropped
        assert "This unit lies in no whole window" in tab.inner_text("main")
        for label, value, name in (("Stride", 2, "stride"), ("Padding", 1, "padding")):
            tab.get_by_role("group", name=label).get_by_role("radio", name=str(value)).check(
                force=True
            )
            settle(tab)
            setattr(w, name, value)
            assert_shows(tab, w)

    def test_extreme_numbers_fit_their_cells(self, page):
        white = torch.full((1, 3, 9, 9), 255, dtype=torch.uint8)
        w = ConvolutionStack(white, np.full((2, 3, 3, 3), -9.9), [-9.9, 9.9])
        for width in (390, 800):
            tab = page(w, width)
            cut = tab.eval_on_selector_all(
                ".cell", "all => all.filter((el) => el.scrollWidth > el.clientWidth).length"
            )
            assert cut == 0
            assert_shows(tab, w)

    def test_a_picture_of_the_readers_own(self, page, tmp_path):
        from PIL import Image

        pixels = np.random.default_rng(0).integers(256, size=(9, 9, 3), dtype=np.uint8)
        file = tmp_path / "own.png"
        Image.fromarray(pixels).save(file)
        w = ConvolutionStack(random_images())
        tab = page(w)
        tab.locator("input[type=file]").set_input_files(file)
        tab.wait_for_selector(".stack-own:not([hidden])")
        tab.get_by_role("slider", name="Filter 1, sums + bias").press("ArrowRight")
        own = ConvolutionStack(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        assert_shows(tab, own)

    def test_play_ends_at_the_last_window_and_can_be_paused(self, page):
        w = ConvolutionStack(random_images(side=5), position=(2, 0))
        tab = page(w)
        tab.get_by_role("button", name="Play").click()
        tab.wait_for_function("() => String(model.get('position')) === '2,1'")
        tab.get_by_role("button", name="Pause").click()
        tab.get_by_role("button", name="Play").click()
        tab.wait_for_function("() => String(model.get('position')) === '2,2'")
        tab.get_by_role("button", name="Play").wait_for()
        assert tab.get_by_role("button", name="Next window").is_disabled()
