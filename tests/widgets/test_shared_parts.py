"""The parts that several widgets are made of, each alone in a page."""

import itertools

import numpy as np
import pytest
import torch

from companion import recipes
from support.front_end import HOSTILE, module_page, settle

pytestmark = pytest.mark.browser

SHEETS = ("widgets", "cells", "drawing_pad", "film_strip", "latent_pad")
PAGE = (
    '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
    '<title>Parts</title><meta name="viewport" content="width=device-width">'
    '<link rel="icon" href="data:,">'
    + "".join(f'<link rel="stylesheet" href="ui/{name}.css">' for name in SHEETS)
    + '</head><body style="margin:0"><main class="companion"></main></body></html>'
)


@pytest.fixture(scope="module")
def stage(browser):
    """A function that makes a part: JavaScript that returns it, given the module as `m`."""
    with module_page(browser, PAGE) as open_page:

        def show(module, make, width=800):
            tab = open_page()
            tab.set_viewport_size({"width": width, "height": 900})
            tab.evaluate(
                f"""async () => {{
                  const m = await import("/{module}.js");
                  window.calls = [];
                  window.part = await (async () => {{ {make} }})();
                  if (part?.el) document.querySelector("main").append(part.el);
                }}"""
            )
            settle(tab)
            return tab

        yield show


def inked(points, height=28, width=28, radius=1.1):
    """A line through points as the pad should draw it: one minus the distance to it, softly."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    image = np.zeros((height, width))
    points = np.asarray(points, dtype=float)
    for (x0, y0), (x1, y1) in itertools.pairwise(np.concatenate([points[:1], points])):
        t = np.linspace(0, 1, 400)[:, None, None]
        distance = np.hypot(columns - (x0 + t * (x1 - x0)), rows - (y0 + t * (y1 - y0))).min(0)
        image = np.maximum(image, np.clip(radius + 0.5 - distance, 0, 1))
    return image


PAD = "return m.drawingPad({ onChange: (image) => calls.push([...image]) });"
DRAWN = "() => [...part.read()]"


def drawn(tab, script=DRAWN):
    return np.array(tab.evaluate(script)).reshape(28, 28)


class TestDrawingPad:
    def test_a_dragged_line_is_an_image(self, stage):
        tab = stage("ui/drawing_pad", PAD)
        box = tab.locator(".drawing-field > canvas").bounding_box()

        def at(x, y):
            return box["x"] + box["width"] * x / 28, box["y"] + box["height"] * y / 28

        tab.mouse.move(*at(7, 7))
        tab.mouse.down()
        tab.mouse.move(*at(21, 7), steps=4)
        tab.mouse.move(*at(10, 22), steps=3)
        tab.mouse.up()
        tab.mouse.move(*at(3, 25))  # the pen is up
        expected = inked([(7, 7), (21, 7), (10, 22)])
        assert np.abs(drawn(tab) - expected).max() < 0.02
        assert np.abs(np.array(tab.evaluate("calls.at(-1)")) - expected.ravel()).max() < 0.02
        shown = tab.evaluate(
            """() => { const c = document.querySelector("canvas");
                return [...c.getContext("2d").getImageData(0, 0, 28, 28).data]; }"""
        )
        assert np.abs(np.array(shown)[::4] / 255 - expected.ravel()).max() < 0.03

    def test_the_same_by_keyboard(self, stage):
        tab = stage("ui/drawing_pad", PAD)
        tab.get_by_role("slider", name="column of the pen").focus()
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press(" ")
        for key in ["ArrowRight"] * 3 + ["Shift+ArrowDown"] * 2:
            tab.keyboard.press(key)
        pen = tab.get_by_role("slider", name="column of the pen")
        assert pen.get_attribute("aria-valuetext") == "column 17 of 28, pen down"
        tab.keyboard.press(" ")
        tab.keyboard.press("ArrowRight")
        assert pen.get_attribute("aria-valuetext") == "column 18 of 28, pen up"
        assert np.abs(drawn(tab) - inked([(13, 14), (16, 14), (16, 22)])).max() < 1e-3
        tab.keyboard.press("Control+z")
        assert drawn(tab).max() == 0
        assert tab.get_by_role("button", name="Undo").is_disabled()

    def test_by_taps_instead_of_dragging(self, stage):
        tab = stage("ui/drawing_pad", PAD)
        box = tab.locator(".drawing-field > canvas").bounding_box()
        tab.get_by_role("switch", name="Pen down").check()
        for x, y in ((20, 6), (8, 20)):
            tab.mouse.click(box["x"] + box["width"] * x / 28, box["y"] + box["height"] * y / 28)
        assert np.abs(drawn(tab) - inked([(14, 14), (20, 6), (8, 20)])).max() < 0.05
        assert len(tab.evaluate("part.strokes()")) == 1

    def test_a_finger_draws_and_the_page_stays(self, browser, stage):
        tab = stage("ui/drawing_pad", PAD)
        cdp = tab.context.new_cdp_session(tab)
        box = tab.locator(".drawing-field > canvas").bounding_box()
        for kind, share in (("Start", 0.25), ("Move", 0.5), ("Move", 0.75)):
            point = {"x": box["x"] + share * box["width"], "y": box["y"] + 0.5 * box["height"]}
            cdp.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": [point]})
        cdp.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert np.abs(drawn(tab) - inked([(7, 14), (21, 14)])).max() < 0.05
        style = "getComputedStyle(document.querySelector('.drawing-field')).touchAction"
        assert tab.evaluate(style) == "none"

    def test_undo_and_clear(self, stage):
        tab = stage("ui/drawing_pad", PAD)
        tab.evaluate("() => part.set([[[5, 5], [20, 5]], [[5, 20], [20, 20]]])")
        assert tab.evaluate("calls") == []
        tab.get_by_role("button", name="Undo").click()
        assert np.abs(drawn(tab) - inked([(5, 5), (20, 5)])).max() < 1e-3
        tab.get_by_role("button", name="Clear").click()
        assert drawn(tab).max() == 0
        assert len(tab.evaluate("calls")) == 2

    def test_centred_as_mnist_has_its_digits(self, stage):
        """Any drawing fills 20 pixels, its mass in the middle, wherever it was, however large."""
        tab = stage("maths/strokes", "window.m = m;")
        generator = np.random.default_rng(4)
        size = {"height": 28, "width": 28, "radius": 1.1}
        rows, columns = np.mgrid[0:28, 0:28] + 0.5
        for _ in range(20):
            strokes = [generator.uniform(6, 16, (6, 2)).tolist() for _ in range(2)]
            scale, shift = generator.uniform(0.5, 1.5), generator.uniform(-3, 3, 2)
            moved = [(scale * np.array(stroke) + shift).tolist() for stroke in strokes]
            image, again = (
                np.array(
                    tab.evaluate(
                        "([s, size]) => [...m.rasterise(m.centred(s, size), size)]", [s, size]
                    )
                ).reshape(28, 28)
                for s in (strokes, moved)
            )
            assert np.abs(image - again).max() < 1e-4
            mass = image.sum()
            centre = (image * columns).sum() / mass, (image * rows).sum() / mass
            assert np.abs(np.array(centre) - 14).max() < 0.2
            ink = np.argwhere(image > 0.5)
            assert 18 <= (ink.max(0) - ink.min(0) + 1).max() <= 21
        assert tab.evaluate("(size) => m.centred([], size)", size) == []
        dot = np.array(
            tab.evaluate("(size) => [...m.rasterise(m.centred([[[3, 4]]], size), size)]", size)
        ).reshape(28, 28)
        assert np.abs(dot - inked([(14, 14)])).max() < 0.05

    def test_a_network_reads_what_is_drawn(self, stage):
        """Ten digits by hand, somewhere on the pad: the shipped classifier knows them."""
        digits = {
            0: [[(8, 3), (5, 5), (4, 9), (5, 13), (8, 15), (11, 13), (12, 9), (11, 5), (8, 3)]],
            1: [[(8, 3), (8, 15)]],
            2: [[(4, 6), (6, 3), (10, 3), (12, 6), (10, 9), (4, 15), (12, 15)]],
            3: [[(4, 4), (8, 3), (11, 5), (8, 9), (11, 12), (8, 15), (4, 14)]],
            4: [[(9, 3), (4, 10), (13, 10)], [(10, 6), (10, 16)]],
            5: [[(12, 3), (5, 3), (5, 8), (10, 8), (12, 11), (9, 15), (4, 14)]],
            7: [[(4, 3), (12, 3), (7, 15)]],
            8: [[(8, 3), (5, 5), (11, 11), (8, 15), (5, 12), (11, 5), (8, 3)]],
        }
        model = recipes.load("cnn-mnist").model
        tab = stage("ui/drawing_pad", "return m.drawingPad({ centre: true });")
        images = []
        for strokes in digits.values():
            tab.evaluate("(strokes) => part.set(strokes)", strokes)
            images.append(drawn(tab))
        with torch.no_grad():
            batch = torch.tensor(np.array(images), dtype=torch.float32)[:, None]
            read = model(batch).argmax(1).tolist()
        assert sum(a == b for a, b in zip(read, digits, strict=True)) >= 7, read

    @pytest.mark.parametrize("width", [320, 1280])
    def test_fits_its_page(self, stage, width):
        tab = stage("ui/drawing_pad", PAD, width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        box = tab.locator(".drawing-field").bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1.5)


CHART = """const line = (f) => Array.from({ length: 50 }, (_, i) => [i, f(i)]);
  const chart = m.lineChart({
    x: "step", y: "loss", range: [0, null],
    series: [{ name: "training", quantity: "loss" }, { name: "test", mark: "dashed" }],
  });
  window.line = line;
  chart.draw([line((i) => 2 * Math.exp(-i / 10)), line((i) => 2.2 * Math.exp(-i / 12))]);
  return chart;"""


class TestLineChart:
    def test_lines_axes_and_last_values(self, stage):
        tab = stage("ui/line_chart", CHART)
        last = float(tab.get_attribute("[data-quantity=loss]", "data-value"))
        assert last == pytest.approx(2 * np.exp(-4.9))
        assert tab.inner_text(".companion-legend") == "training 0.01\ntest 0.04"
        label = tab.get_attribute("svg", "aria-label")
        assert label == "loss over step. training: from 2.00 to 0.01; test: from 2.20 to 0.04."
        texts = tab.locator("svg text").all_text_contents()
        assert {"loss", "step", "0", "40"} <= set(texts)
        boxes = [
            path.bounding_box() for path in tab.locator("path.companion-curve").element_handles()
        ]
        frame = tab.locator("svg").bounding_box()
        for box in boxes:
            assert frame["y"] <= box["y"]
            assert box["y"] + box["height"] <= frame["y"] + frame["height"]
        assert boxes[0]["width"] > 0.85 * frame["width"]

    def test_grows_and_leaves_gaps(self, stage):
        tab = stage("ui/line_chart", CHART)
        tab.evaluate("() => part.draw([line((i) => (i === 20 ? NaN : i)), []])")
        d = tab.get_attribute("path.companion-curve >> nth=0", "d")
        assert d.count("M") == 2
        assert tab.get_attribute("path.companion-curve >> nth=1", "d") == ""
        assert "test: no values yet" in tab.get_attribute("svg", "aria-label")
        assert tab.inner_text(".companion-legend").endswith("test –")
        tab.evaluate("() => part.draw([[], []])")
        assert tab.locator("svg text").count() > 4  # axes stand before there is anything to show
        assert tab.get_by_text("No values yet", exact=True).is_visible()
        assert tab.get_by_text("100", exact=True).is_visible()
        tab.evaluate("() => part.draw([line((i) => i), []])")
        assert tab.get_by_text("No values yet", exact=True).is_hidden()

    def test_a_logarithmic_axis_a_band_and_marks(self, stage):
        tab = stage("ui/line_chart", CHART)
        tab.evaluate(
            """() => part.draw([line((i) => (i === 20 ? 0 : 10 ** (2 - i / 10))), []], {
                log: true, bands: [line((i) => i).map(([x]) => [x, 10 ** (1 - x / 10), 1000])],
                marks: [{x: 10, label: "rate 3"}, {x: 10.2, label: "no room"}]})"""
        )
        d = tab.get_attribute("path.companion-curve >> nth=0", "d")
        assert d.count("M") == 2, "0 has no logarithm and leaves a gap"
        first = d[1:].split("M")[0].split("L")
        heights = [float(point.split(" ")[1]) for point in first]
        assert np.ptp(np.diff(heights)) < 0.25, "equal ratios are equal ways"
        assert tab.get_attribute("path.companion-fill >> nth=0", "d").endswith("Z")
        texts = tab.locator("svg text").all_text_contents()
        assert {"100", "1", "0.01", "rate 3"} <= set(texts)
        assert "no room" not in texts
        assert tab.locator("svg line.companion-guide").count() == 2

    def test_many_points_cost_no_more_and_lose_no_spike(self, stage):
        tab = stage(
            "ui/line_chart",
            """const { linear } = await import("/ui/axes.js");
            const line = Array.from({ length: 20000 }, (_, i) => [i, Math.sin(i / 700)]);
            line[7777][1] = 9; line[9999][1] = -9;
            return m.curve(line, linear([0, 20000], [0, 500]), linear([-10, 10], [200, 0]));""",
        )
        d = tab.evaluate("part")
        points = np.array([p.split(" ") for p in d[1:].split("L")], dtype=float)
        assert len(points) <= 4 * 501
        assert (points[:, 1].min(), points[:, 1].max()) == (10, 190)
        assert np.all(np.diff(points[:, 0]) >= 0)
        assert points[0].tolist() == [0, 100]
        assert points[-1, 0] == 500

    @pytest.mark.parametrize("length", [0, 1, 2, 3, 50])
    def test_few_points_all_stay(self, stage, length):
        tab = stage("ui/line_chart", CHART)
        d = tab.evaluate(
            """async (length) => { const { linear } = await import("/ui/axes.js");
                const { curve } = await import("/ui/line_chart.js");
                const scale = linear([0, 50], [0, 500]);
                return curve(line((i) => i % 7).slice(0, length), scale, scale); }""",
            length,
        )
        expected = [f"{10 * i:.1f} {10 * (i % 7):.1f}" for i in range(length)]
        assert d == ("M" + "L".join(expected) if expected else "")

    def test_constant_and_single_values_have_an_axis(self, stage):
        tab = stage("ui/line_chart", CHART)
        for values in ("[[[0, 3]], []]", "[[[0, 3], [1, 3]], []]", "[[[5, -2]], [[5, -2]]]"):
            tab.evaluate(f"() => part.draw({values})")
            assert "NaN" not in tab.inner_html("svg")

    @pytest.mark.parametrize("width", [320, 390, 1280])
    def test_readable_at_any_width(self, stage, width):
        tab = stage("ui/line_chart", CHART, width)
        tab.evaluate("() => part.draw([line((i) => 12345 + i), line((i) => 12300 - i)])")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        texts = tab.locator("svg text:visible").element_handles()
        boxes = [text.bounding_box() for text in texts]
        assert len(boxes) > 5
        for a, b in itertools.combinations(boxes, 2):
            beside = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            above = a["y"] + a["height"] <= b["y"] + 3 or b["y"] + b["height"] <= a["y"] + 3
            assert beside or above

    def test_follows_its_width_until_stopped(self, stage):
        tab = stage("ui/line_chart", CHART, 800)
        wide = tab.get_attribute("path.companion-curve >> nth=0", "d")
        tab.set_viewport_size({"width": 500, "height": 900})
        settle(tab)
        narrow = tab.get_attribute("path.companion-curve >> nth=0", "d")
        assert narrow != wide
        tab.evaluate("() => part.stop()")
        tab.set_viewport_size({"width": 800, "height": 900})
        settle(tab)
        assert tab.get_attribute("path.companion-curve >> nth=0", "d") == narrow


class TestPixelMap:
    MAKE = """const map = m.pixelMap({ height: 2, width: 3, label: "errors", scale: SCALE });
      window.pixels = () => [...map.canvas.getContext("2d").getImageData(0, 0, 3, 2).data];
      map.draw([-1, -0.5, 0, 0.5, 1, 4], -1, 1);
      return map;"""

    def painted(self, tab):
        return np.array(tab.evaluate("pixels()")).reshape(6, 4)[:, :3].tolist()

    @pytest.mark.parametrize("scale", ["sequential", "diverging", "grey"])
    def test_colours_are_the_scale_s(self, stage, scale):
        tab = stage("ui/pixel_map", self.MAKE.replace("SCALE", f'"{scale}"'))
        shares = [0, 0.25, 0.5, 0.75, 1, 1]
        expected = {
            "sequential": "(t) => import('/ui/colours.js').then((c) => t.map(c.sequential))",
            "diverging": "(t) => import('/ui/colours.js')"
            ".then((c) => t.map((v) => c.diverging(2 * v - 1)))",
            "grey": "(t) => t.map((v) => Array(3).fill(Math.round(255 * v)))",
        }[scale]
        assert self.painted(tab) == tab.evaluate(expected, shares)
        assert tab.inner_text(".cell-scale").split() == ["−1.00", "1.00"]

    def test_dark_paper_and_words(self, stage):
        tab = stage("ui/pixel_map", self.MAKE.replace("SCALE", '"diverging"'))
        light = self.painted(tab)
        tab.evaluate(
            """async () => { const { followTheme } = await import("/ui/colours.js");
                document.documentElement.dataset.theme = "dark";
                followTheme(part.el, part.onTheme); }"""
        )
        dark = self.painted(tab)
        assert sum(dark[2]) < sum(light[2])
        tab.evaluate("() => part.describe('errors, largest at row 1, column 2')")
        assert tab.get_by_role("img", name="errors, largest at row 1").count() == 1

    def test_a_diverging_map_keeps_zero_on_the_paper(self, stage):
        tab = stage("ui/pixel_map", self.MAKE.replace("SCALE", '"diverging"'))
        zero = self.painted(tab)[2]
        tab.evaluate("() => part.draw([-1, -0.5, 0, 0.5, 1, 4], -1, 4)")
        assert self.painted(tab)[2] == zero


def test_image_picker_is_a_radio_group(stage):
    tab = stage(
        "ui/image_picker",
        f"""return m.imagePicker({{
          label: "Digit", value: "b", name: (caption) => `digit ${{caption}}`,
          tiles: [{{ value: "a", caption: {HOSTILE!r}, content: "draw" }},
                  {{ value: "b", caption: "two",
                     picture: "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=" }}],
          onChange: (value) => calls.push(value),
        }});""",
    )
    group = tab.get_by_role("radiogroup", name="Digit")
    assert group.get_by_role("radio").count() == 2
    assert tab.evaluate("part.get()") == "b"
    group.get_by_role("radio", name="digit two").focus()
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("[calls, part.get()]") == [["a"], "a"]
    assert tab.get_by_role("radio", name=HOSTILE).count() == 1
    tab.evaluate("() => part.set('c')")
    assert tab.evaluate("[calls.length, part.get() ?? null]") == [1, None]
    assert tab.evaluate("window.hurt") is None
