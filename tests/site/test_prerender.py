"""What stands in a page before any script runs: drawn by every widget itself, in node, then beside
the live widget in a browser.
"""

import json
import re

import pytest

from companion import widgets
from companion.site.extension import widget_html
from companion.site.prerender import still_html, without_repeats
from companion.widgets import base
from companion.widgets.base import MIME_TYPE
from support.every_widget import EXAMPLES
from support.front_end import HOSTILE, Tags
from support.pages import visit

CONTROLS = {"input", "select", "textarea", "button", "summary"}

# Each is drawn after a training or a run of its own: seconds.
LONG = {
    "AnomalySandbox", "AutoencoderRace", "DigitGAN", "LiveTraining", "ManifoldField", "SparseCode",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("own_cache")


def content_of(widget):
    return json.loads(json.dumps(widget._repr_mimebundle_()[0][MIME_TYPE]))


def test_there_is_an_example_of_every_widget():
    assert {name.split(",")[0] for name in EXAMPLES} == set(widgets.__all__)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in EXAMPLES],
)
class TestEveryWidgetInNode:
    def test_says_pythons_numbers(self, name):
        widget = EXAMPLES[name].make()
        tags = Tags(still_html(content_of(widget), "still-1"))
        assert tags.open == []
        text = re.sub(r"[ \n]+", " ", tags.text)
        for expected in EXAMPLES[name].says(widget):
            assert expected in text
        for broken in ("NaN", "undefined", "[object", "null"):
            assert broken not in text
            assert not any(
                broken in (value or "")
                for _, a in tags.seen
                for k, value in a.items()
                if k != "src"
            )

    def test_shows_others_text_as_text(self, name):
        content = content_of(EXAMPLES[name].make())
        tags = Tags(still_html(content, "still-1"))
        assert HOSTILE in tags.text or "title" not in content["state"]
        assert not {"script", "b"} & tags.names
        assert not any(name.startswith("on") for _, a in tags.seen for name in a)
        assert all(a["src"].startswith("data:image/") for tag, a in tags.seen if tag == "img")

    def test_is_inert_and_readable(self, name):
        tags = Tags(still_html(content_of(EXAMPLES[name].make()), "still-7"))
        controls = [a for tag, a in tags.seen if tag in CONTROLS]
        assert controls
        assert all("inert" in a or "data-wakes" in a for a in controls)
        assert sum("data-wakes" in a for a in controls) == EXAMPLES[name].make().lazy
        attributes = [a for _, a in tags.seen]
        assert not any({"for", "name", "tabindex", "aria-labelledby", "hidden"} & a.keys()
                       for a in attributes)  # fmt: skip
        ids = [a["id"] for a in attributes if "id" in a]
        assert len(ids) == len(set(ids))
        assert all(i.startswith("still-7-") for i in ids)
        used = {
            m for a in attributes for v in a.values() for m in re.findall(r"url\(#(.*?)\)", v or "")
        }
        assert set(ids) == used
        assert all("alt" in a for tag, a in tags.seen if tag == "img")
        pictures = [a for tag, a in tags.seen if tag == "svg" and a.get("role") == "img"]
        # The label stands on the svg itself, not on what is around it.
        short = [a.get("aria-label") for a in pictures if len(a.get("aria-label") or "") <= 15]
        assert short == [], "each picture needs an aria-label that says what is to be seen"

    def test_is_the_same_each_time_and_keeps_the_state(self, name):
        content = content_of(EXAMPLES[name].make())
        before = json.dumps(content)
        assert still_html(content, "still-1") == still_html(content, "still-1")
        assert json.dumps(content) == before

    def test_can_be_made_and_asked_without_the_front_end(self, name, monkeypatch, tmp_path):
        monkeypatch.setattr(base, "STATIC", tmp_path)
        base._built.cache_clear()
        widget = EXAMPLES[name].make()
        assert repr(widget).startswith(type(widget).__name__)
        json.dumps(widget.page_state())
        words = rf"{widget.module}\.js is not built: run `python -m companion\.site\.frontend`"
        with pytest.raises(RuntimeError, match=words):
            widget._repr_mimebundle_()
        monkeypatch.undo()
        assert content_of(widget)["widget"] == widget.module  # built in the meantime
        assert widget._esm


def test_a_widget_that_fails_is_named_and_the_next_one_is_drawn():
    content = content_of(widgets.Softmax())
    broken = content | {"state": {**content["state"], "logits": None}}
    with pytest.raises(ValueError, match="the widget softmax could not be drawn: TypeError"):
        still_html(broken, "still-1")
    unreadable = content_of(EXAMPLES["KernelLab"].make())
    unreadable["state"]["pictures"][0]["picture"] = "data:image/png;base64,AAAA"
    with pytest.raises(ValueError, match="the widget kernel_lab could not be drawn"):
        still_html(unreadable, "still-1")
    assert "companion-title" in still_html(content, "still-1")


def test_each_picture_stands_in_a_page_once():
    widget = EXAMPLES["TopK"].make()
    content = content_of(widget)
    html = widget_html(content, "still-1")
    pictures = [example["picture"] for example in widget.examples]
    assert [html.count(picture) for picture in pictures] == [1] * len(pictures)

    state = {"a": ["data:x", "data:y", "x"], "b": {"c": "data:x"}, "d": ("e", 1.5)}
    still = (
        '<img src="data:z" alt="<img src=&quot;data:y&quot;"><img src="data:x"><img src="data:x">'
    )
    assert without_repeats(state, still) == {
        "a": [{"$img": 1}, "data:y", "x"], "b": {"c": {"$img": 1}}, "d": ["e", 1.5],
    }  # fmt: skip


# ------------------------------------------------------------------ beside the live widget

# What a reader sees and hears of each widget: words as laid out, what controls hold, sizes.
LOOK = """() => [...document.querySelectorAll(".companion-widget")].map((box) => {
  const root = box.querySelector(".companion");
  const shown = (el) => el.checkVisibility({visibilityProperty: true});
  const all = (selector) => [...root.querySelectorAll(selector)].filter(shown);
  return {
    words: root.innerText.split(/\\s+/).join(" "),
    held: all("input, select").map((el) => [el.type, el.type === "radio" || el.type === "checkbox"
      ? el.checked : el.type === "file" ? "" : el.selectedOptions?.[0].text ?? Number(el.value)]),
    labels: all("svg[role=img], img, canvas").map((el) => el.ariaLabel ?? el.alt ?? ""),
    drawn: all("svg path, svg rect, svg circle, svg text").length,
    box: root.getBoundingClientRect().toJSON(),
  };
})"""


# Width of the book's text in a window of each size (pages.SIZES).
ARTICLE = {"desktop": 688, "phone": 358}


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_still_is_the_live_widget_at_rest(browser, every_widget, size, theme):
    looks = []
    for scripts in (False, True):
        with visit(browser, every_widget, size=size, theme=theme, scripts=scripts) as seen:
            seen.page.set_viewport_size({"width": ARTICLE[size], "height": 900})
            if scripts:
                seen.scroll_through()
                assert seen.errors == []
            looks.append(seen.page.evaluate(LOOK))
            assert seen.violations() == []
    still, live = looks
    for name, before, after in zip(EXAMPLES, still, live, strict=True):
        assert before["words"] == after["words"], name
        assert before["held"] == after["held"], name
        assert before["labels"] == after["labels"], name
        assert before["drawn"] == pytest.approx(after["drawn"], abs=2), name  # arrows on sliders
        for side in ("x", "width", "height"):
            assert before["box"][side] == pytest.approx(after["box"][side], abs=1), name
