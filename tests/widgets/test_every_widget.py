"""What holds for every widget in a browser: it follows Python, ends, fits, shows text as text."""

import re

import pytest

from support.every_widget import EXAMPLES
from support.front_end import HOSTILE, settle, small_text
from support.pages import visit

pytestmark = pytest.mark.browser

# All that is drawn but the pixels of canvases, and what the controls hold. Ids are a page's own.
DRAWN = """() => [
  document.querySelector("main").innerHTML.replaceAll(/companion-\\w{6}-(?=\\d)/g, "id-"),
  [...document.querySelectorAll("main :is(input, select)")].map((el) =>
    [el.value, el.checked, el.selectedOptions?.[0]?.text]),
]"""


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.later])
class TestAlone:
    def test_follows_python(self, page, name):
        """What Python sets makes the widget that it would have made at once."""
        make, says, later = EXAMPLES[name]
        widget = make()
        tab = page(widget)
        before, saved = tab.evaluate(DRAWN), tab.evaluate("model.saved")
        for trait, value in later.items():
            setattr(widget, trait, value)
        changes = {trait: widget.page_state()[trait] for trait in later}
        tab.evaluate("(all) => { for (const each of all) model.set(...each); }", [*changes.items()])
        settle(tab)
        after = tab.evaluate(DRAWN)
        assert after != before
        text = re.sub(r"[ \n]+", " ", tab.text_content("main"))
        for expected in says(widget):
            assert expected in text
        assert tab.evaluate("model.saved") == saved
        assert after == page(widget).evaluate(DRAWN)

    def test_ends_and_runs_nothing_of_others(self, page, name):
        widget = EXAMPLES[name].make()
        tab = page(widget)
        if widget.has_trait("title"):
            assert tab.locator(".companion-title").all_inner_texts() in ([], [HOSTILE])
        assert tab.locator("main :is(script, b, img[src=x])").count() == 0
        assert tab.evaluate("window.hurt") is None
        assert tab.evaluate("model.listening()") > 0
        tab.evaluate("stop()")
        assert tab.evaluate("model.listening()") == 0


def test_fits_its_page(browser, every_widget):
    with visit(browser, every_widget) as seen:
        seen.scroll_through()
        for width in (1400, 390, 320):
            seen.page.set_viewport_size({"width": width, "height": 800})
            settle(seen.page)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
            assert small_text(seen.page) == []
