"""Links to a setting: what a reader changed comes back, from a folder too; what somebody made up in
an address does nothing."""

import json
import random
from urllib.parse import quote

import pytest

from companion.site.frontend import build_frontend
from companion.widgets import LOFOpened, OcclusionMap, Softmax
from companion.widgets.settings import settings
from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import visit

pytestmark = pytest.mark.browser

# What the controls of the widget in a box hold.
HELD = """(box) => [...box.querySelectorAll(".companion :is(select, input:not([type=file]))")].map((el) =>
  [el.ariaLabel ?? el.labels?.[0]?.innerText ?? el.type,
   ["radio", "checkbox"].includes(el.type) ? el.checked : el.value])"""

# Moves every control of a widget once.
CHANGE = """async (box) => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const groups = new Set();
  for (const el of box.querySelectorAll(".companion :is(select, input)")) {
    if (!el.isConnected || el.disabled || !el.checkVisibility()) continue;
    if (el.type === "radio") {
      if (groups.has(el.name) || el.checked) continue;
      groups.add(el.name);
      el.click();
    } else if (el.type === "checkbox") el.click();
    else if (el.tagName === "SELECT") el.selectedIndex = (el.selectedIndex + 1) % el.length;
    else if (el.type === "range") el.value = Number(el.min) + 0.37 * (Number(el.max) - Number(el.min));
    else if (el.inputMode === "decimal") el.value = "-1.25";
    else continue;
    for (const name of ["input", "change"]) el.dispatchEvent(new Event(name, { bubbles: true }));
    await drawn();
  }
  box.querySelector(".companion-link").click();
}"""


@pytest.fixture(scope="module", autouse=True)
def _built():
    build_frontend(quiet=True)


def boxes(page):
    return page.locator(".companion-widget").all()


def test_every_control_comes_back(browser, stage):
    address = stage(*(example.make() for example in EXAMPLES.values()))
    with visit(browser, address) as seen:
        seen.scroll_through()
        links, changed, at_rest = [], [], []
        for box in boxes(seen.page):
            at_rest.append(box.evaluate(HELD))
            before = seen.page.url
            box.evaluate(CHANGE)
            seen.page.wait_for_function("(before) => location.href !== before", arg=before)
            links.append(seen.page.evaluate("location.hash"))
            changed.append(box.evaluate(HELD))
        assert seen.errors == []
    with visit(browser, address) as seen:
        seen.scroll_through()
        lost = {}
        for name, box, link, first, wanted in zip(
            EXAMPLES, boxes(seen.page), links, at_rest, changed, strict=True
        ):
            assert box.evaluate(HELD) == first, name
            box.evaluate("(_, link) => { location.hash = link; }", link)
            # A widget that computes may need some frames.
            for _ in range(20):
                settle(seen.page)
                if (held := box.evaluate(HELD)) == wanted:
                    break
            else:
                lost[name] = (link, [pair for pair in zip(held, wanted) if pair[0] != pair[1]])
        assert lost == {}
        assert seen.errors == []
