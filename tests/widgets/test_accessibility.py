"""What book/accessibility.md says of the widgets (WCAG 2.2): every drag has another way, targets
are large enough, nothing moves for a reader who asks for less motion."""

from functools import partial

import pytest

from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import visit

pytestmark = pytest.mark.browser

# Where a finger drags, the page does not scroll: that is how places to drag in are found.
FIELDS = """(box) => [...box.querySelectorAll(".companion *")].filter((el) =>
  el.tagName !== "INPUT" && el.checkVisibility({ visibilityProperty: true })
  && !["auto", "manipulation"].includes(getComputedStyle(el).touchAction))
  .filter((el, _, all) => !all.some((other) => other !== el && other.contains(el)))"""

# All that is to be seen of a widget but the pixels of canvases, and what its controls hold.
LOOK = """(box) => box.querySelector(".companion").innerHTML
  + [...box.querySelectorAll("input, select")].map((el) => [el.value, el.checked])
  + [...box.querySelectorAll("canvas")].map((el) => el.toDataURL().length)"""

# What a field itself shows.
MARKS = "(el) => el.outerHTML + [...el.querySelectorAll('input')].map((input) => input.value)"
KEYS = ("ArrowRight", "ArrowLeft", "ArrowDown")


def test_what_can_be_dragged_can_be_tapped_and_moved_by_keys(browser, every_widget):
    fields, without = 0, []
    with visit(browser, every_widget, size="phone") as seen:
        seen.scroll_through()
        page = seen.page

        def acts(see, *ways):
            """Whether one of these changes what is seen."""
            for way in ways:
                before = see()
                way()
                settle(page)
                if see() != before:
                    return True
            return False

        for name, box in zip(EXAMPLES, page.locator(".companion-widget").all(), strict=True):
            for pad in box.get_by_role("radio", name="Two at once").all():
                pad.check()
            for handle in box.evaluate_handle(FIELDS).get_properties().values():
                field = handle.as_element()
                fields += 1
                what = f"{name}: {field.get_attribute('class')}"
                # A control in the field, or sliders of the widget that move what stands in it.
                controls = field.query_selector_all("input, [tabindex='0']") or [
                    each
                    for each in box.element_handle().query_selector_all("input[type=range]")
                    if each.is_visible() and each.is_enabled()
                ]
                presses = [partial(each.press, key) for each in controls for key in KEYS]
                if not acts(partial(field.evaluate, MARKS), *presses):
                    without.append(f"{what}: no key")
                field.scroll_into_view_if_needed()
                area = field.bounding_box()
                taps = [
                    partial(
                        page.touchscreen.tap,
                        area["x"] + share * area["width"],
                        area["y"] + share * area["height"],
                    )
                    for share in (0.3, 0.62)
                ]
                if not acts(partial(box.evaluate, LOOK), *taps):
                    without.append(f"{what}: no tap")
        assert not without, without
        assert fields >= 12
        assert seen.errors == []


def test_targets_are_large_enough(browser, every_widget):
    """24 × 24 CSS pixels, or that much room around them (2.5.8)."""
    with visit(browser, every_widget, size="phone") as seen:
        seen.scroll_through()
        assert seen.violations("target-size") == []


def test_nothing_moves_by_itself(browser, every_widget):
    with visit(browser, every_widget) as seen:
        seen.page.emulate_media(reduced_motion="reduce")
        seen.scroll_through()
        moving = seen.page.evaluate(
            """() => document.getAnimations().filter((each) => each.playState === "running")
                .map((each) => each.effect.target.outerHTML.slice(0, 80))"""
        )
        assert moving == []
        assert seen.page.get_by_role("button", name="Pause").count() == 0
        assert seen.page.get_by_text("step 0").count() > 0
