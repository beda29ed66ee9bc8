"""What book/accessibility.md says of the widgets (WCAG 2.2): every drag has another way, targets
are large enough, nothing moves for a reader who asks for less motion."""

import pytest

from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import visit
from support.stage import write_stage

pytestmark = pytest.mark.browser

# Where a finger drags, the page does not scroll: that is how places to drag in are found.
FIELDS = """(box) => [...box.querySelectorAll(".companion *")].filter((el) =>
  el.tagName !== "INPUT" && el.checkVisibility()
  && !["auto", "manipulation"].includes(getComputedStyle(el).touchAction))
  .filter((el, _, all) => !all.some((other) => other !== el && other.contains(el)))"""

# All that is to be seen of a widget but the pixels of canvases, and what its controls hold.
LOOK = """(box) => box.querySelector(".companion").innerHTML
  + [...box.querySelectorAll("input, select")].map((el) => [el.value, el.checked])
  + [...box.querySelectorAll("canvas")].map((el) => el.toDataURL().length)"""

# Fields that hold no control of their own: the name of the slider that does the same.
SLIDERS = {
    "BilinearGame": "x",
    "ConvolutionByHand": "Window",
    "LatentTraversal": "Way",
    "SignalThroughDepth": "Layer",
}


@pytest.fixture(scope="module")
def address(own_cache, tmp_path_factory):
    """A page with one of every widget."""
    made = (example.make() for example in EXAMPLES.values())
    return write_stage(tmp_path_factory.mktemp("accessible"), *made).as_uri()


def test_what_can_be_dragged_can_be_tapped_and_moved_by_keys(browser, address):
    fields, without = 0, []
    with visit(browser, address, size="phone") as seen:
        seen.scroll_through()
        page = seen.page

        def changes(box, act):
            before = box.evaluate(LOOK)
            act()
            settle(page)
            return box.evaluate(LOOK) != before

        for name, box in zip(EXAMPLES, page.locator(".companion-widget").all(), strict=True):
            for field in box.evaluate_handle(FIELDS).get_properties().values():
                el = field.as_element()
                fields += 1
                what = f"{name}: {el.get_attribute('class')}"
                control = el.query_selector("input, [tabindex='0']")
                if control is None and name in SLIDERS:
                    control = box.get_by_role("slider", name=SLIDERS[name]).first
                if control is None:
                    without.append(f"{what}: no control")
                elif not any(changes(box, lambda k=key, c=control: c.press(k))
                             for key in ("ArrowRight", "ArrowLeft", "Enter")):  # fmt: skip
                    without.append(f"{what}: no key")
                el.scroll_into_view_if_needed()
                area = el.bounding_box()

                def tap(area=area, share=0.3):
                    x, y = (area[a] + share * area[b] for a, b in (("x", "width"), ("y", "height")))
                    page.touchscreen.tap(x, y)

                if not changes(box, tap) and not changes(box, lambda t=tap: t(share=0.62)):
                    without.append(f"{what}: no tap")
        assert without == []
        assert fields >= 12
        assert seen.errors == []


def test_targets_are_large_enough(browser, address):
    """24 × 24 CSS pixels, or that much room around them (2.5.8)."""
    with visit(browser, address, size="phone") as seen:
        seen.scroll_through()
        assert seen.violations("target-size") == []


def test_nothing_moves_by_itself(browser, address):
    with visit(browser, address) as seen:
        seen.page.emulate_media(reduced_motion="reduce")
        seen.scroll_through()
        moving = seen.page.evaluate(
            """() => document.getAnimations().filter((each) => each.playState === "running")
                .map((each) => each.effect.target.outerHTML.slice(0, 80))"""
        )
        assert moving == []
        assert seen.page.get_by_role("button", name="Pause").count() == 0
        assert seen.page.get_by_text("step 0").count() > 0
