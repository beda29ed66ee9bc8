"""Widgets of chapters 5 to 8 and 12 with each slider in focus and at both ends: nothing is cut off,
and nothing that one reads fades."""

import pytest

from companion.site.frontend import build_frontend
from companion.widgets import (
    BottleneckCounter,
    CompoundScaling,
    PosteriorVsPrior,
    ReceptiveField,
    SignalThroughDepth,
)
from support.front_end import settle
from support.pages import visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Texts that end beyond the widget's frame, or whose own box hides a part of them.
CUT_OFF = """() => {
  const frame = document.querySelector(".companion").getBoundingClientRect();
  return [...document.querySelectorAll(".companion *")].filter((el) => {
    const words = [...el.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!words || !el.checkVisibility({ visibilityProperty: true })) return false;
    const box = el.getBoundingClientRect();
    if (box.width < 2 || el.closest(".companion-hidden, [aria-live]")) return false;
    const hides = el.scrollWidth > el.clientWidth + 1
      && getComputedStyle(el).overflowX !== "visible";
    return box.right > frame.right + 1 || box.left < frame.left - 1 || hides;
  }).map((el) => el.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize(
    "make",
    [
        BottleneckCounter,
        CompoundScaling,
        PosteriorVsPrior,
        ReceptiveField,
        lambda: SignalThroughDepth(depth=50, init="pytorch"),
    ],
    ids=["bottleneck", "scaling", "posterior", "field", "depth"],
)
def test_each_slider_at_its_ends_and_in_focus(browser, stage, make, size, theme):
    build_frontend(quiet=True)
    with visit(browser, stage(make()), size=size, theme=theme) as seen:
        seen.all_alive()
        assert seen.page.evaluate(CUT_OFF) == []
        sliders = seen.page.locator(".companion input[type=range]")
        for end in ("End", "Home"):
            for number in range(sliders.count()):
                slider = sliders.nth(number)
                if not slider.is_visible() or slider.is_disabled():
                    continue
                slider.press(end)
                settle(seen.page)
                name = slider.get_attribute("aria-label") or f"slider {number}"
                assert seen.page.evaluate(CUT_OFF) == [], f"{name}: {end}"
                assert seen.violations("color-contrast") == [], f"{name}: {end}"


def test_what_is_pointed_at_leaves_the_others_readable(browser, stage):
    build_frontend(quiet=True)
    with visit(browser, stage(BottleneckCounter())) as seen:
        seen.all_alive()
        for row in seen.page.locator(".bottleneck-pick").all():
            row.focus()
            settle(seen.page)
            assert seen.page.locator(".bottleneck-dim").count() > 0
            assert seen.violations("color-contrast") == []


def test_boxes_of_a_deep_stack_end_where_the_picture_ends(browser, stage):
    """At its largest every unit of the last layers is wider than what is drawn of the image."""
    build_frontend(quiet=True)
    with visit(browser, stage(ReceptiveField())) as seen:
        seen.all_alive()
        page = seen.page
        for name in ("Depth", "Kernel", "Stride", "Dilation"):
            page.get_by_role("slider", name=name).press("End")
        settle(page)
        names = page.locator(".field-name").evaluate_all(
            "(all) => all.map((el) => el.getBoundingClientRect().bottom)"
        )
        # Where a clip path ends, nothing is drawn: the boxes' group has one.
        clipped = page.locator(".field-cells").evaluate_all(
            "(all) => all.every((el) => el.closest('g[clip-path]'))"
        )
        assert clipped
        assert len(names) > 3
        assert page.locator("[data-quantity=overlap]").inner_text() == "has none"
        assert "larger than what is drawn" in page.inner_text("main")
