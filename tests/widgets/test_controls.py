"""The widgets' design system: colours that can be told apart, controls that do as they say."""

import itertools
import re

import numpy as np
import pytest

from support.front_end import JS, module_page, settle

HOSTILE = "<img src=x onerror='window.hurt=1'>"
TOKENS = {
    name: colours
    for name, *colours in re.findall(
        r"--companion-([\w-]+): light-dark\((#\w+), (#\w+)\)",
        (JS / "ui" / "widgets.css").read_text("utf-8"),
    )
}
SERIES = [f"data-{k}" for k in range(1, 7)]

# How a full dichromat sees linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
SIGHT = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "trichromacy": np.eye(3),
}


def linear(colour):
    v = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def luminance(rgb):
    return float(rgb @ [0.2126, 0.7152, 0.0722])


def contrast(a, b):
    low, high = sorted(luminance(linear(colour)) for colour in (a, b))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb):
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ np.clip(rgb, 0, 1))


def of_bytes(rgb):
    return oklab(linear("#" + bytes(rgb).hex()))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
class TestColours:
    def test_text_reaches_aa(self, theme):
        pairs = [("on-accent", "accent"), ("ink", "hover"), ("accent", "hover")] + [
            (text, paper)
            for text in ("ink", "soft", "accent", "error", "data-1", "data-4", "data-6")
            for paper in ("surface", "raised")
        ]
        reached = {(a, b): contrast(TOKENS[a][theme], TOKENS[b][theme]) for a, b in pairs}
        assert min(reached.values()) >= 4.5, reached

    @pytest.mark.parametrize("name", [*SERIES, "edge"])
    def test_marks_reach_three_to_one(self, theme, name):
        for paper in ("surface", "raised"):
            assert contrast(TOKENS[name][theme], TOKENS[paper][theme]) >= 3

    @pytest.mark.parametrize("sight", SIGHT)
    def test_series_keep_apart(self, theme, sight):
        seen = [oklab(np.array(SIGHT[sight]) @ linear(TOKENS[name][theme])) for name in SERIES]
        nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
        assert nearest > 0.09  # about 4 just noticeable differences


PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">
<title>Controls</title><link rel="icon" href="data:,"><link rel="stylesheet" href="ui/widgets.css">
</head><body><main></main></body></html>"""

GALLERY = """async (hostile) => {
  const ui = Object.assign({}, await import("/ui/controls.js"), await import("/ui/colours.js"));
  window.ui = ui;
  window.calls = [];
  const record = (name) => (value) => calls.push([name, value]);
  window.made = {
    plain: ui.slider({
      label: hostile, min: -3, max: 3, step: 0.5, value: 1, neutral: 0, onInput: record("plain"),
      format: (v) => `<${v}>`, describe: (v) => hostile + v, annotation: ui.bar({ share: 0.4 }).el,
    }),
    log: ui.slider({
      label: ui.maths("σ_x^2"), name: "sigma", min: 0.1, max: 10, step: 1.1, value: 1, neutral: 1,
      scale: "log", onInput: record("log"), quantity: "sigma",
    }),
    button: ui.button({ label: hostile, title: hostile, onClick: () => calls.push(["button"]) }),
    select: ui.select({
      label: "which", options: ["a", { value: 7, label: hostile }], onChange: record("select"),
    }),
    toggle: ui.toggle({ label: hostile, onChange: record("toggle") }),
    segmented: ui.segmented({
      label: hostile, options: [12, 100, hostile], value: 100, onChange: record("segmented"),
    }),
    notice: ui.notice(hostile, "error"),
  };
  const key = [{ token: "plus", label: hostile }, { token: "data-6", label: "b", mark: "dashed" }];
  window.root = ui.frame({ title: hostile, describe: hostile },
    ui.panel({ title: hostile }, ui.sliders(made.plain.el, made.log.el)),
    ui.row(made.button.el, made.select.el, made.toggle.el, made.segmented.el),
    ui.figure(document.createElement("canvas"), hostile), ui.legend(key), made.notice.el);
  document.querySelector("main").append(root);
}"""


@pytest.fixture(scope="module")
def gallery(browser):
    with module_page(browser, PAGE) as open_page:

        def start():
            tab = open_page()
            tab.evaluate(GALLERY, HOSTILE)
            settle(tab)
            return tab

        yield start


@pytest.mark.browser
class TestControls:
    def test_hostile_text_runs_nothing(self, gallery):
        tab = gallery()
        assert tab.locator("img").count() == 0
        assert tab.evaluate("window.hurt") is None
        assert tab.inner_text(".companion-title") == HOSTILE

    def test_slider_steps_resets_and_speaks(self, gallery):
        tab = gallery()
        slider = tab.get_by_label(HOSTILE).and_(tab.get_by_role("slider"))
        slider.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == f"{HOSTILE}1.5"
        assert tab.inner_text(".companion-readout >> nth=0") == "<1.5>"
        slider.press("Backspace")
        assert tab.evaluate("calls") == [["plain", 1.5], ["plain", 0]]

    def test_set_is_silent_and_exact(self, gallery):
        tab = gallery()
        tab.evaluate("() => { made.plain.set(0.123456); made.log.set(0.3333); }")
        assert tab.evaluate("[made.plain.get(), made.log.get(), calls.length]") == [
            0.123456,
            0.3333,
            0,
        ]

    def test_log_slider_moves_by_ratios(self, gallery):
        tab = gallery()
        slider = tab.get_by_role("slider", name="sigma")
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        assert tab.evaluate("made.log.get()") == pytest.approx(1.21)
        assert tab.get_attribute("[data-quantity=sigma]", "data-value") == "1.21"
        slider.press("Home")
        assert tab.evaluate("made.log.get()") == 0.1
        slider.press("End")
        assert tab.evaluate("made.log.get()") == 10

    def test_choices_report_their_values(self, gallery):
        tab = gallery()
        tab.get_by_role("button").click()
        tab.get_by_label("which").select_option(index=1)
        tab.get_by_role("switch").check()
        tab.get_by_role("radio", name="12").check()
        tab.keyboard.press("ArrowLeft")  # radio groups go round
        expected = [["button"], ["select", 7], ["toggle", True], ["segmented", 12]]
        assert tab.evaluate("calls") == [*expected, ["segmented", HOSTILE]]

    def test_numbers(self, gallery):
        tab = gallery()
        assert tab.evaluate("[-0.001, -1.5].map((v) => ui.fixed(v))") == ["0.00", "−1.50"]
        assert tab.evaluate("[2, -2, 0].map((v) => ui.signed(v, 1))") == ["+2.0", "−2.0", "0.0"]
        assert tab.evaluate("ui.spoken(-1)") == "minus 1.00"
        assert tab.evaluate("[123, 10000].map(ui.grouped)") == ["123", "10\u202f000"]

    def test_maths_is_typeset(self, gallery):
        markup = gallery().evaluate("ui.maths('KL = ½(μ^2 + σ_x^{2n})').innerHTML")
        assert (
            markup
            == "KL = ½(<i>μ</i><sup>2</sup> + <i>σ</i><sub><i>x</i></sub><sup>2<i>n</i></sup>)"
        )

    @pytest.mark.parametrize("theme", ["light", "dark"])
    @pytest.mark.parametrize(
        ("element", "attribute", "values"),
        [
            ("documentElement", "data-theme", {"light": "light", "dark": "dark"}),  # the book
            ("documentElement", "theme", {"light": "light", "dark": "dark"}),  # Colab
            ("body", "data-jp-theme-light", {"light": "true", "dark": "false"}),  # JupyterLab
            ("body", "class", {"light": "vscode-light", "dark": "vscode-dark"}),  # VS Code
        ],
    )
    def test_the_app_decides_over_the_system(self, gallery, element, attribute, values, theme):
        tab = gallery()
        tab.emulate_media(color_scheme={"light": "dark", "dark": "light"}[theme])
        tab.evaluate("delete document.documentElement.dataset.theme")
        tab.evaluate(
            "([element, name, value]) => document[element].setAttribute(name, value)",
            [element, attribute, values[theme]],
        )
        assert tab.evaluate("getComputedStyle(root).colorScheme") == theme

    def test_colab_is_asked_for_the_height(self, gallery):
        tab = gallery()
        tab.evaluate(
            """() => {
              const output = { setIframeHeight: (...told) => { window.told = told; } };
              window.google = { colab: { output } };
              ui.frame({});
            }"""
        )
        assert tab.evaluate("told") == [0, True, {"maxHeight": 5000}]

    def test_theme_change_reaches_canvases(self, gallery):
        tab = gallery()
        tab.evaluate(
            "() => { window.seen = []; window.stop = ui.followTheme(root, (p) => seen.push(p)); }"
        )
        for change in (
            "document.documentElement.dataset.theme = 'dark'",
            "document.documentElement.classList.add('unrelated')",
            "() => { stop(); document.documentElement.dataset.theme = 'light'; }",
        ):
            tab.evaluate(change)
            settle(tab)
        inks = [
            ", ".join(str(int(TOKENS["ink"][theme][i : i + 2], 16)) for i in (1, 3, 5))
            for theme in (0, 1)
        ]
        seen = [colours["ink"] for colours in tab.evaluate("seen")]
        assert seen == [f"rgb({ink})" for ink in inks]

    def test_sequential_scale_brightens_steadily(self, gallery):
        tab = gallery()
        steps = tab.evaluate("Array.from({ length: 101 }, (_, i) => ui.sequential(i / 100))")
        assert np.all(np.diff([of_bytes(rgb)[0] for rgb in steps]) > 0)
        assert tab.evaluate("[-1, 0, 1, 2].map(ui.sequential)") == [
            steps[i] for i in (0, 0, -1, -1)
        ]

    @pytest.mark.parametrize("dark", [False, True])
    def test_diverging_scale_is_balanced_about_grey(self, gallery, dark):
        ends = gallery().evaluate("(dark) => [-1, 0, 1].map((t) => ui.diverging(t, dark))", dark)
        low, middle, high = map(of_bytes, ends)
        assert np.hypot(*middle[1:]) < 0.02
        assert abs(low[0] - high[0]) < 0.15
        assert all((middle[0] < pole[0]) == dark for pole in (low, high))

    @pytest.mark.parametrize("width", [320, 1400])
    def test_fits_any_width(self, gallery, width):
        tab = gallery()
        tab.set_viewport_size({"width": width, "height": 800})
        settle(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.set_viewport_size({"width": 800, "height": 900})
