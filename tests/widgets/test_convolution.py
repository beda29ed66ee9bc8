"""ConvolutionByHand and KernelLab: numbers against oracles, front ends against those numbers."""

import io
import json
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from companion.by_hand.convolution import KERNELS, convolve2d, correlate2d
from companion.datasets import ImageSet
from companion.figures import diverging, to_uint8
from companion.site.frontend import NODE
from companion.widgets import ConvolutionByHand, KernelLab
from support.front_end import HOSTILE, JS, settle, small_text

SLIDE_TERMS = [(0, 1), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (0, -1), (4, -2), (5, -1)]


def picture(height=20, width=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, 3, height, width), dtype=np.uint8)


class TestConvolutionByHand:
    def test_opens_with_the_slides_sum(self):
        w = ConvolutionByHand()
        assert w.terms == SLIDE_TERMS
        assert w.output[0, 0] == sum(a * b for a, b in w.terms) == -13
        assert "y[0, 0] = −13" in repr(w)

    @given(
        st.integers(1, 7), st.integers(1, 5), st.integers(0, 2), st.integers(1, 3), st.booleans()
    )
    @settings(max_examples=40)
    def test_output_and_terms_against_pytorch(self, n, k, padding, stride, flip):
        generator = np.random.default_rng(n + 10 * k)
        x, kernel = generator.normal(size=(n, 7)), generator.normal(size=(k, 2))
        if k > n + 2 * padding:
            with pytest.raises(ValueError, match="does not fit"):
                ConvolutionByHand(x, kernel, padding=padding, stride=stride)
            return
        w = ConvolutionByHand(x, kernel, padding=padding, stride=stride, flip=flip)
        laid = np.flip(kernel).copy() if flip else kernel
        x4, k4 = (torch.from_numpy(a)[None, None] for a in (x, laid))
        expected = F.conv2d(x4, k4, padding=padding, stride=stride)[0, 0].numpy()
        np.testing.assert_allclose(w.output, expected, atol=1e-12)
        for position in range(expected.size):
            w.position = position
            assert sum(a * b for a, b in w.terms) == pytest.approx(expected.flat[position])

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"x": np.zeros((8, 3))}, r"x must be .* 1 to 7 .*\(8, 3\)"),
            ({"x": [1, 2]}, "x must be a matrix"),
            ({"x": [[1, 2], [3]]}, "x must be a matrix"),
            ({"x": [[np.nan]]}, "finite"),
            ({"kernel": np.zeros((6, 1))}, "kernel must be .* 1 to 5"),
            ({"kernel": "sharp"}, "kernel must be a matrix"),
            ({"padding": 3}, "padding must be one of"),
            ({"stride": 0}, "stride must be one of"),
            ({"stride": True}, "stride must be one of"),
            ({"position": 9}, "position must be a window from 0 to 8"),
            ({"x": [[1]], "padding": 0}, "does not fit"),
        ],
    )
    def test_bad_argument_is_one_sentence(self, options, words):
        with pytest.raises(ValueError, match=words):
            ConvolutionByHand(**options)

    def test_bad_assignment_changes_nothing(self):
        w = ConvolutionByHand()
        with pytest.raises(ValueError, match="kernel must be"):
            w.kernel = [[]]
        assert w.output[0, 0] == -13

    def test_state_is_small_json(self):
        state = json.dumps(ConvolutionByHand(title=HOSTILE).page_state())
        assert len(state) < 600


def test_numbers_are_exact_or_marked():
    texts = {
        "0": "0", "-13": "−13", "100.5": "100.5", "254.7": "254.7", "12.25": "12.25",
        "0.1 + 0.2": "0.3",
        "1234.5": "1234.5", "99999": "99999", "0.0004": "0.0004", "-0.0625": "−0.0625",
        "1 / 9": "≈0.111", "-1 / 7": "≈−0.143", "-12345678": "≈−12300000", "-999.99": "−999.99",
    }  # fmt: skip
    module = (JS / "ui" / "cells.js").as_uri()
    values = f"[{','.join(texts)}]"
    code = f"import {{ exact }} from '{module}'; console.log({values}.map((v) => exact(v)).join())"
    command = [str(NODE), "--input-type=module", "--eval", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip().split(",") == [*texts.values()]


class TestKernelLab:
    @pytest.mark.parametrize("name", KERNELS)
    def test_output_against_pytorch(self, name):
        images = picture()
        w = KernelLab(images, name, bias=0.25)
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)
        grey = (torch.from_numpy(images).double() / 255 * weights).sum(1, keepdim=True)
        kernel = torch.from_numpy(KERNELS[name].copy())[None, None]
        expected = F.conv2d(grey, kernel, padding=len(KERNELS[name]) // 2)[0, 0] + 0.25
        np.testing.assert_allclose(w.grey, grey[0, 0].numpy(), atol=1e-12)
        np.testing.assert_allclose(w.output, expected.numpy(), atol=1e-12)

    def test_takes_images_of_every_kind(self):
        colour = picture()
        grey = colour[:, :1]
        data = ImageSet("mine", "train", torch.from_numpy(colour), torch.zeros(1), ("a cat",))
        for images in (colour, colour[0], grey, grey[0], grey[0, 0], torch.rand(2, 3, 8, 9), data):
            w = KernelLab(images)
            assert len(w.pictures) == (2 if isinstance(images, torch.Tensor) else 1)
        assert w.pictures[0]["caption"] == "a cat"
        assert w.position == [10, 12]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"images": np.zeros((1, 3, 300, 8), np.uint8)}, "5 to 256 pixels"),
            ({"images": np.zeros((1, 2, 8, 8))}, "N×1×H×W or N×3×H×W"),
            ({"kernel": "sharpish"}, "there is no kernel 'sharpish'; there are identity"),
            ({"kernel": np.zeros((4, 4))}, "3×3 or 5×5, not 4×4"),
            ({"kernel": [1, 2]}, "kernel must be a matrix"),
            ({"bias": 2}, "bias must be a number from -1 to 1"),
            ({"bias": np.nan}, "bias must be a number"),
            ({"view": "pretty"}, "view must be one of"),
            ({"captions": ["a", "b"]}, "expected 1 captions"),
            ({"selected": 1}, "selected must be"),
            ({"position": (0, 99)}, "position must lie within 20×24"),
        ],
    )
    def test_bad_argument_is_one_sentence(self, options, words):
        with pytest.raises(ValueError, match=words):
            KernelLab(**({"images": picture()} | options))


# ------------------------------------------------------------------ the front ends, unbundled


def quantity(tab, name):
    settle(tab)
    return float(tab.locator(f"[data-quantity={name}]").get_attribute("data-value"))


def products(tab):
    settle(tab)
    return tab.eval_on_selector_all(
        ".convolution-term", "all => all.map((el) => Number(el.dataset.value))"
    )


def output(tab):
    """The output cells as numbers, NaN where nothing is computed yet."""
    settle(tab)
    return tab.eval_on_selector_all(
        ".convolution-y .cell", "all => all.map((el) => Number(el.dataset.value ?? NaN))"
    )


def fits(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert small_text(tab) == []
    cut = tab.eval_on_selector_all(
        ".cell-number",
        """all => all.filter((el) => el.scrollWidth > el.clientWidth + 1 && el.clientWidth)
          .map((el) => el.outerHTML)""",
    )
    assert cut == []
    tab.set_viewport_size({"width": 800, "height": 900})


CASES = [
    {},
    {"flip": True, "position": 5},
    {"padding": 0},
    {"x": np.arange(35.0).reshape(7, 5) / 7, "kernel": [[0.5, -1], [2, 0]], "stride": 2},
    {"x": np.eye(6), "kernel": np.arange(25.0).reshape(5, 5), "padding": 2, "position": 7},
]


@pytest.mark.browser
class TestConvolutionFrontEnd:
    @pytest.mark.parametrize("options", CASES)
    def test_shows_pythons_numbers(self, page, options):
        w = ConvolutionByHand(**options)
        tab = page(w)
        assert products(tab) == pytest.approx([a * b for a, b in w.terms], abs=1e-12)
        assert quantity(tab, "y") == pytest.approx(w.output.flat[w.position], abs=1e-12)
        tab.get_by_role("button", name="Fill all").click()
        assert output(tab) == pytest.approx(w.output.ravel().tolist(), abs=1e-12)

    def test_spells_the_slides_sum(self, page):
        tab = page(ConvolutionByHand())
        terms = " + ".join(f"{a}·{f'({b})' if b < 0 else b}" for a, b in SLIDE_TERMS)
        said = tab.inner_text(".convolution-work").replace("−", "-").split()
        assert "".join(said) == f"y[0,0]={terms}=-13".replace(" ", "")
        assert [v for v in output(tab) if v == v] == [-13]

    def test_steps_by_button_key_pointer_and_play(self, page):
        tab = page(ConvolutionByHand())
        tab.get_by_role("button", name="Next window").click()
        assert quantity(tab, "y") == -20
        tab.get_by_role("button", name="Back").click()
        assert quantity(tab, "y") == -13
        window = tab.get_by_role("slider", name="Window")
        window.press("ArrowDown")
        assert quantity(tab, "y") == -18
        assert window.get_attribute("aria-valuetext") == "row 1, column 0"
        window.press("ArrowRight")
        assert quantity(tab, "y") == -24
        assert [v for v in output(tab) if v == v] == [-13, -20, -18, -24]
        tab.locator(".convolution-y .cell").nth(8).hover()
        assert quantity(tab, "y") == 17
        tab.locator(".convolution-x .cell").nth(2 * 5 + 1).hover()  # the pixel 4
        assert quantity(tab, "y") == -18
        tab.get_by_role("button", name="Start over").click()
        assert quantity(tab, "y") == -13
        tab.mouse.move(790, 890)
        tab.get_by_role("button", name="Play").click()
        tab.wait_for_function("() => model.get('position') === 2", timeout=10_000)
        tab.get_by_role("button", name="Pause").click()
        assert quantity(tab, "y") == -17

    def test_turning_the_kernel(self, page):
        tab = page(ConvolutionByHand())
        tab.get_by_role("radio", name="turned by 180°").check(force=True)
        assert quantity(tab, "y") == 13
        assert tab.evaluate("model.get('flip')") is True
        tab.get_by_role("combobox", name="Kernel").select_option(label="its turn by 180°")
        assert quantity(tab, "y") == -13

    def test_typed_numbers_count(self, page):
        w = ConvolutionByHand()
        tab = page(w)
        tab.get_by_label("x, row 1, column 1").fill("-2.5")
        tab.get_by_label("h, row 2, column 2").fill("3")
        x, kernel = np.array(w.x), np.array(w.kernel)
        x[1, 1], kernel[2, 2] = -2.5, 3
        assert quantity(tab, "y") == pytest.approx(correlate2d(x, kernel, padding=1)[0, 0])
        assert tab.get_by_role("combobox", name="Input").evaluate(
            "(el) => el.selectedOptions[0].label"
        ) == ("own numbers")
        before = tab.evaluate("model.get('x')")
        field = tab.get_by_label("x, row 0, column 0")
        for text, why in (
            ("", ""),
            ("-", ""),
            ("1e9", "from −999.99 to 999.99"),
            ("0.004", "no more decimals"),
        ):
            field.fill(text)
            assert field.get_attribute("aria-invalid") == "true"
            settle(tab)
            assert why in tab.inner_text("main")
            assert ("is expected" in tab.inner_text("main")) == bool(why)
        field.blur()
        assert field.input_value() == "1"
        assert tab.evaluate("model.get('x')") == before

    def test_what_is_shown_is_what_is_summed(self, page):
        """Every product and their sum as typed, with a decimal comma or point."""
        tab = page(ConvolutionByHand(kernel=np.ones((3, 3)), padding=0))
        for row, column, text in ((1, 1, "100.5"), (0, 0, "254,7"), (2, 2, "−999.99")):
            tab.get_by_label(f"x, row {row}, column {column}").fill(text)
        tab.get_by_label("h, row 1, column 1").fill("0.25")
        tab.get_by_label("h, row 1, column 1").blur()
        settle(tab)
        said = "".join(tab.inner_text(".convolution-work").split()).replace("−", "-")
        left, right = said.removeprefix("y[0,0]=").split("=")
        assert "254.7·1" in left
        assert "100.5·0.25" in left
        assert eval(left.replace("·", "*")) == pytest.approx(float(right), abs=1e-9)
        assert tab.get_by_label("x, row 2, column 2").input_value() == "-999.99"
        fits(tab, 390)

    def test_padding_and_stride(self, page):
        tab = page(ConvolutionByHand(np.arange(36.0).reshape(6, 6)))
        tab.get_by_role("radio", name="2", exact=True).nth(1).check(force=True)
        tab.get_by_role("button", name="Fill all").click()
        expected = correlate2d(np.arange(36.0).reshape(6, 6), KERNELS["the slide's window"],
                               padding=1, stride=2)  # fmt: skip
        assert output(tab) == pytest.approx(expected.ravel().tolist())
        assert "⌊(6 + 2·1 − 3) / 2⌋ + 1 = 3" in tab.inner_text("main")

    def test_a_kernel_that_does_not_fit(self, page):
        tab = page(ConvolutionByHand([[1.0, 2], [3, 4]]))
        tab.get_by_role("radio", name="0", exact=True).check(force=True)
        settle(tab)
        assert "A kernel of 3 × 3 does not fit into an input of 2 × 2." in tab.inner_text("main")
        tab.get_by_role("radio", name="1", exact=True).first.check(force=True)
        assert quantity(tab, "y") == -1 * 4 - 2 * 3 + 0

    def test_points_from_term_to_pixel_and_weight(self, page):
        tab = page(ConvolutionByHand(flip=True))
        tab.locator(".convolution-term").nth(7).hover()  # the 4 below the centre
        lit = tab.eval_on_selector_all(
            ".cell.convolution-lit",
            "all => all.map((el) => el.querySelector('input').getAttribute('aria-label'))",
        )
        # Turned, the weight above the centre is what lies below it.
        assert lit == ["x, row 1, column 0", "h, row 0, column 1"]
        tab.mouse.move(790, 890)
        assert tab.locator(".convolution-lit").count() == 0

    @pytest.mark.parametrize("width", [360, 390, 1400])
    @pytest.mark.parametrize("options", [{}, CASES[-1]])
    def test_fits_its_page(self, page, width, options):
        fits(page(ConvolutionByHand(**options)), width)


def canvas(tab, number):
    """A picture of the lab as H×W×3 numbers, as painted."""
    settle(tab)
    flat, height, width = (
        tab.locator("canvas")
        .nth(number)
        .evaluate(
            """(canvas) => [
          [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data],
          canvas.height, canvas.width]"""
        )
    )
    return np.array(flat).reshape(height, width, 4)[..., :3]


@pytest.mark.browser
class TestKernelLabFrontEnd:
    @pytest.mark.parametrize("name", ["Sobel, left to right", "Gaussian blur 5×5", "emboss"])
    def test_shows_pythons_numbers(self, page, name):
        w = KernelLab(picture(), name, bias=0.125)
        tab = page(w)
        low, high = quantity(tab, "low"), quantity(tab, "high")
        assert (low, high) == pytest.approx((w.output.min(), w.output.max()), abs=1e-12)
        for row, column in ((0, 0), (19, 23), (7, 11)):
            tab.evaluate("(at) => model.set('position', at)", [row, column])
            assert quantity(tab, "y") == pytest.approx(w.output[row, column], abs=1e-12)
            assert quantity(tab, "sum") == pytest.approx(w.output[row, column] - 0.125, abs=1e-12)
            shown = tab.eval_on_selector_all(
                ".lab-part:last-child .cell", "all => all.map((el) => Number(el.dataset.value))"
            )
            assert sum(shown) == pytest.approx(w.output[row, column] - 0.125, abs=1e-12)

    @pytest.mark.parametrize("view", ["signed", "grey", "colour"])
    def test_paints_pythons_pictures(self, page, view):
        w = KernelLab(picture(), "sharpen", view=view)
        tab = page(w)
        planes = w.output[None]
        if view == "colour":
            planes = np.stack(
                [correlate2d(c / 255, KERNELS["sharpen"], padding=1) for c in picture()[0]]
            )
        if view == "signed":
            most = np.abs(w.output[1:-1, 1:-1]).max()  # the padding's edges are not typical
            after = diverging(planes[None], most)
        else:
            after = to_uint8(planes[None]).transpose(0, 3, 1, 2)
        before = picture()[0] if view == "colour" else 255 * w.grey[None].repeat(3, axis=0)
        assert np.abs(canvas(tab, 0) - before.transpose(1, 2, 0)).max() <= 1
        # The page mixes its diverging scale in OKLab, Python in RGB: the same stops.
        unlike = np.abs(canvas(tab, 1) - after[0].transpose(1, 2, 0)).max()
        assert unlike <= (12 if view == "signed" else 1)
        if view != "signed":
            outside = 100 * ((planes < -1e-9) | (planes > 1 + 1e-9)).mean()
            assert quantity(tab, "outside") == pytest.approx(outside, abs=1e-9)

    def test_kernel_is_chosen_typed_resized_normalised_and_turned(self, page):
        w = KernelLab(picture())
        tab = page(w)
        kernel = tab.get_by_role("combobox", name="Kernel")
        kernel.select_option(label="emboss")
        assert tab.evaluate("model.get('view')") == "colour"
        tab.get_by_label("weight, row 0, column 0").fill("4")
        expected = KERNELS["emboss"].copy()
        expected[0, 0] = 4
        tab.get_by_role("button", name="Make the sum 1").click()
        tab.get_by_role("button", name="Turn by 180°").click()
        tab.get_by_role("radio", name="5 × 5").check(force=True)
        settle(tab)
        now = np.array(tab.evaluate("model.get('kernel')"))
        assert now.shape == (5, 5)
        np.testing.assert_allclose(now[1:-1, 1:-1], np.flip(expected) / expected.sum())
        assert (now.sum(), quantity(tab, "weights")) == pytest.approx((1, 1))
        w.kernel = now.tolist()
        row, column = tab.evaluate("model.get('position')")
        assert quantity(tab, "y") == pytest.approx(w.output[row, column], abs=1e-12)
        tab.get_by_role("slider", name="Bias").press("ArrowRight")
        assert quantity(tab, "y") == pytest.approx(w.output[row, column] + 0.01, abs=1e-12)
        kernel.select_option(label="Laplacian")
        settle(tab)
        assert tab.get_by_role("button", name="Make the sum 1").is_disabled()
        assert tab.evaluate("[model.get('view'), model.get('bias')]") == ["signed", 0]

    def test_loupe_follows_pointer_and_keys(self, page):
        w = KernelLab(picture(), position=(3, 4))
        tab = page(w)
        tab.get_by_label("Loupe: row").focus()
        for key in ("ArrowRight", "ArrowDown", "Shift+ArrowDown"):
            tab.keyboard.press(key)
        settle(tab)
        assert tab.evaluate("model.get('position')") == [12, 5]
        assert quantity(tab, "y") == pytest.approx(w.output[12, 5], abs=1e-12)
        box = tab.locator("canvas").nth(1).bounding_box()
        tab.mouse.move(box["x"] + box["width"] * 20.5 / 24, box["y"] + box["height"] * 2.5 / 20)
        settle(tab)
        assert tab.evaluate("model.get('position')") == [2, 20]
        assert quantity(tab, "y") == pytest.approx(w.output[2, 20], abs=1e-12)

    def test_second_picture(self, page):
        w = KernelLab(np.concatenate([picture(), picture(seed=1)]), captions=["one", HOSTILE])
        tab = page(w)
        tab.get_by_role("radio", name=HOSTILE).check(force=True)
        tab.wait_for_function("() => model.get('selected') === 1")
        w.selected = 1
        assert quantity(tab, "high") == pytest.approx(w.output.max(), abs=1e-12)
        assert tab.evaluate("window.hurt") is None
        tab.evaluate("model.set('selected', 0)")
        settle(tab)
        w.selected = 0
        assert quantity(tab, "high") == pytest.approx(w.output.max(), abs=1e-12)

    def test_readers_own_picture_stays_and_counts(self, page):
        tab = page(KernelLab(picture(), "identity", view="grey"))
        state = tab.evaluate("JSON.stringify(model.get('pictures'))")
        pixels = np.random.default_rng(5).integers(0, 256, (12, 30, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        field = tab.locator("input[type=file]")
        field.set_input_files(
            {"name": "me.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
        tab.wait_for_function("() => document.querySelector('canvas').width === 30")
        grey = pixels @ [0.299, 0.587, 0.114] / 255
        assert quantity(tab, "high") == pytest.approx(grey.max(), abs=1e-12)
        assert tab.evaluate("JSON.stringify(model.get('pictures'))") == state
        field.set_input_files(
            {"name": "<b>no</b>.png", "mimeType": "image/png", "buffer": b"not a picture"}
        )
        tab.get_by_text("<b>no</b>.png could not be read as a picture.").wait_for()

    def test_drawing_by_pointer_and_key(self, page):
        tab = page(KernelLab(picture(), "identity", view="grey"))
        tab.get_by_role("radio", name="Draw").check(force=True)
        settle(tab)
        tab.get_by_role("button", name="Clear the pad").click()
        assert quantity(tab, "high") == 0
        box = tab.locator("canvas").first.bounding_box()
        tab.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
        tab.mouse.down()
        tab.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
        tab.mouse.up()
        assert quantity(tab, "high") == 1
        assert quantity(tab, "y") > 0.5
        tab.get_by_role("button", name="Clear the pad").click()
        tab.get_by_label("Loupe: row").focus()
        tab.keyboard.press("ArrowUp")
        tab.keyboard.press(" ")
        assert quantity(tab, "y") > 0.9

    @pytest.mark.parametrize("width", [360, 390, 1400])
    @pytest.mark.parametrize("name", ["Sobel, left to right", "Gaussian blur 5×5"])
    def test_fits_its_page(self, page, width, name):
        fits(page(KernelLab(picture(), name)), width)


@pytest.mark.browser
def test_filtering_agrees_with_python(page):
    """The functions of filtering.js alone, on sizes that no preset has."""
    generator = np.random.default_rng(3)
    x, kernel = generator.normal(size=(6, 9)), generator.normal(size=(2, 3))
    tab = page(ConvolutionByHand())
    for padding, stride in ((0, 1), (2, 3), (1, 2)):
        got = tab.evaluate(
            """async ([x, kernel, options]) => {
              const f = await import("/maths/convolution.js");
              return [f.correlate(x, kernel, options), f.correlate(x, f.turned(kernel), options)];
            }""",
            [x.tolist(), kernel.tolist(), {"padding": padding, "stride": stride}],
        )
        for ours, slide in zip(got, (correlate2d, convolve2d), strict=True):
            np.testing.assert_allclose(
                ours, slide(x, kernel, padding=padding, stride=stride), atol=1e-12
            )
