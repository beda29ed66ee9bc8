"""Links to a setting: what a reader changed comes back, from a folder too; what somebody made up in
an address does nothing."""

import json
import math
import random
from urllib.parse import quote

import numpy as np
import pytest

from companion.widgets import LOFOpened, Softmax
from companion.widgets.settings import settings
from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import visit
from support.sums import false_sums

pytestmark = pytest.mark.browser

# What the controls of the widget in a box hold.
HELD = """(box) => [
  ...box.querySelectorAll(".companion :is(select, input:not([type=file]))"),
].map((el) => [el.ariaLabel ?? el.labels?.[0]?.innerText ?? el.type,
   ["radio", "checkbox"].includes(el.type) ? el.checked : el.value])"""

# Moves every control of a widget once.
CHANGE = """async (box) => {
  const frame = () => new Promise(requestAnimationFrame);
  const groups = new Set();
  for (const el of box.querySelectorAll(".companion :is(select, input)")) {
    if (!el.isConnected || el.disabled || !el.checkVisibility()) continue;
    if (el.type === "radio") {
      if (groups.has(el.name) || el.checked) continue;
      groups.add(el.name);
      el.click();
    } else if (el.type === "checkbox") el.click();
    else if (el.tagName === "SELECT") el.selectedIndex = (el.selectedIndex + 1) % el.length;
    else if (el.type === "range") el.value = 0.63 * Number(el.min) + 0.37 * Number(el.max);
    else if (el.inputMode === "decimal") el.value = "-1.5";
    else continue;
    for (const name of ["input", "change"]) el.dispatchEvent(new Event(name, { bubbles: true }));
    await frame();
    await frame();
  }
  box.querySelector(".companion-link").click();
}"""


# Goes to a link of the page, and returns once the page was told.
FOLLOW = """(_, link) => new Promise((told) => {
  addEventListener("hashchange", () => setTimeout(told), { once: true });
  location.hash = link;
})"""


def boxes(page):
    return page.locator(".companion-widget").all()


def test_every_control_comes_back(browser, every_widget):
    with visit(browser, every_widget) as seen:
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
    with visit(browser, every_widget) as seen:
        seen.scroll_through()
        lost = {}
        for name, box, link, first, wanted in zip(
            EXAMPLES, boxes(seen.page), links, at_rest, changed, strict=True
        ):
            assert box.evaluate(HELD) == first, name
            box.evaluate("(_, link) => { location.hash = link; }", link)
            # A widget that computes may need some frames.
            for _ in range(200):
                settle(seen.page)
                if (held := box.evaluate(HELD)) == wanted:
                    break
            else:
                lost[name] = (
                    link,
                    [pair for pair in zip(held, wanted, strict=False) if pair[0] != pair[1]],
                )
        assert lost == {}
        assert seen.errors == []


def looks(box):
    """What a widget shows and holds; ids are a page's own."""
    return box.evaluate("(box) => box.querySelector('.companion').innerText"), box.evaluate(HELD)


HOSTILE = [
    "1e999", "NaN", "-1e9", "0x10", "", "%", "[]", "{}", "null", "yes,no", "1;2,3", "own",
    quote('"><img src=x onerror=window.hurt=1>'), "9" * 500, ",".join("1" * 5000),
]  # fmt: skip


def test_what_may_not_be_does_nothing(browser, every_widget):
    with visit(browser, every_widget) as seen:
        seen.scroll_through()
        for name, box in zip(EXAMPLES, boxes(seen.page), strict=True):
            before = looks(box)
            specs, place = json.loads(box.get_attribute("data-settings")), box.get_attribute("id")
            keys = [*specs, "__proto__", "title", "_esm"]
            for value in HOSTILE:
                # A word or a list of none is what some may be; a control takes what it can.
                wrong = [key for key in keys if not may_be(specs.get(key, {}), value)]
                query = "&".join(f"{key}={value}" for key in wrong)
                link = f"#{place}?{query}&~999=on&~0={quote('<b>')}&&=&=x"
                box.evaluate(FOLLOW, link)
            settle(seen.page)
            assert looks(box) == before, name
        assert seen.page.evaluate("window.hurt") is None
        assert seen.page.evaluate("({}).polluted") is None
        assert seen.errors == []


def may_be(spec, value):
    if "words" in spec:
        return value in spec["words"] and value not in spec.get("needs", {})
    if "list" in spec and value == "":
        return spec["length"][0] == 0 or "none" in spec or "" in spec["list"].get("words", [])
    if "list" in spec or "fields" in spec:
        return value == ",".join("1" * 5000) and spec.get("length", [0, 0])[1] >= 5000
    return False


def anything(spec, draw):
    """The text of something that a setting may be."""
    if "number" in spec:
        low, high = (max(-1e3, min(1e3, end)) for end in spec["number"])
        return f"{draw.choice([low, high, draw.uniform(low, high)]):.6f}"
    if "whole" in spec:
        low, high = spec["whole"]
        return str(draw.choice([low, high, draw.randint(low, high)]))
    if "words" in spec:
        return quote(draw.choice(spec["words"]), safe="")
    if "flag" in spec:
        return draw.choice(["yes", "no"])
    if "tensor" in spec:
        return ",".join(anything(spec["entry"], draw) for _ in range(math.prod(spec["tensor"])))
    if "fields" in spec or "each" in spec:
        entries = spec.get("each") or spec["fields"].values()
        return ",".join(anything(entry, draw) for entry in entries)
    if spec.get("none") and draw.random() < 0.5:
        return ""
    count = draw.choice(spec["squares"]) if "squares" in spec else draw.randint(*spec["length"])
    mark = ";" if {"list", "each"} & set(spec["list"]) else ","
    if spec.get("even"):
        columns = count if "squares" in spec else draw.randint(*spec["list"]["length"])
        spec = {"list": {**spec["list"], "length": [columns, columns]}}
    return mark.join(anything(spec["list"], draw) for _ in range(count))


def test_whatever_may_be_can_be_shown(browser, every_widget):
    """Settings that are each allowed, but never met in one widget: none breaks it, and the sums
    that it writes out are right as they are written."""
    draw = random.Random(0)
    with visit(browser, every_widget) as seen:
        seen.scroll_through()
        broken = {}
        for name, box in zip(EXAMPLES, boxes(seen.page), strict=True):
            specs, place = json.loads(box.get_attribute("data-settings")), box.get_attribute("id")
            for _ in range(6):
                query = "&".join(f"{key}={anything(spec, draw)}" for key, spec in specs.items())
                link = f"#{place}?{query}"
                box.evaluate("(_, link) => { location.hash = link; }", link)
                settle(seen.page)
                text = looks(box)[0]
                if seen.errors or "NaN" in text or "undefined" in text:
                    broken.setdefault(name, (link[:300], seen.errors[:1], "NaN" in text))
                    seen.errors.clear()
                if wrong := false_sums(text):
                    broken.setdefault(f"{name}: {wrong}", link[:300])
        assert broken == {}


@pytest.mark.parametrize("served", [True, False], ids=["http", "file"])
def test_a_link_opens_at_its_widget(browser, own_cache, stage, served):
    """A lazy widget too, far down, the second of its kind, inside of what is folded."""
    address = stage(
        Softmax(), EXAMPLES["OcclusionMap"].make(), Softmax(), LOFOpened(), served=served
    )
    link = f"{address}#live-softmax-2?temperature=2.5&logits=1,-2.25,0,3,0.5&unknown=1"
    with visit(browser, link) as seen:
        box = seen.page.locator("#live-softmax-2[data-state=live]")
        box.wait_for()
        assert box.get_by_role("slider").first.evaluate("(el) => Number(el.value)") == 1
        seen.page.wait_for_function("document.activeElement?.id === 'live-softmax-2'")
        assert -1 <= box.bounding_box()["y"] <= 900
        assert seen.errors == []
        box.get_by_role("button", name="Copy a link").click()
        seen.page.wait_for_function(
            "document.querySelector('#live-softmax-2 .companion-link-said').innerText"
        )
        again = seen.page.evaluate("location.href")
        assert again == link.replace("&unknown=1", "").replace(
            "temperature=2.5&logits=1,-2.25,0,3,0.5", "logits=1,-2.25,0,3,0.5&temperature=2.5"
        )
    with visit(browser, f"{address}#live-occlusion_map?fill=noise&patch=9") as seen:
        seen.page.locator("#live-occlusion_map[data-state=live]").wait_for()
        seen.page.wait_for_function(
            "document.querySelector('#live-occlusion_map input[type=radio]:checked')"
            ".closest('label').innerText === 'noise'"
        )
        assert seen.errors == []


def test_the_link_is_in_the_clipboard(browser, own_cache, stage):
    with visit(browser, stage(Softmax(), served=True)) as seen:
        seen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        seen.all_alive()
        seen.page.get_by_role("slider").first.press("End")
        button = seen.page.get_by_role("button", name="Copy a link to this setting")
        button.focus()
        seen.page.keyboard.press("Enter")
        seen.page.get_by_text("Link copied").wait_for()
        copied = seen.page.evaluate("navigator.clipboard.readText()")
        assert copied == seen.page.url
        assert copied.endswith("#live-softmax?logits=5,1,0.5,-1,-2")


def test_a_setting_at_rest_is_one_that_may_be(own_cache):
    """What each widget is made with fits what it says of its settings."""
    for name, example in EXAMPLES.items():
        widget = example.make()
        assert settings(widget), name
        for trait, spec in settings(widget).items():
            assert fits(getattr(widget, trait), spec), (name, trait, spec)


def fits(value, spec):
    if "number" in spec or "whole" in spec:
        low, high = spec.get("number") or spec["whole"]
        return low <= value <= high
    if "words" in spec:
        return value in spec["words"]
    if "flag" in spec:
        return isinstance(value, bool)
    if "fields" in spec:
        return set(value) == set(spec["fields"]) and all(
            fits(value[name], each) for name, each in spec["fields"].items()
        )
    if "each" in spec:
        return len(value) == len(spec["each"]) and all(map(fits, value, spec["each"]))
    if "tensor" in spec:
        values = np.asarray(value)
        low, high = spec["entry"]["number"]
        return list(values.shape) == spec["tensor"] and low <= values.min() <= values.max() <= high
    if spec.get("none") and not value:
        return True
    low, high = spec["length"]
    return low <= len(value) <= high and all(fits(each, spec["list"]) for each in value)


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("(1.024 + 0.983 + 1.100) / 3 = 1.036", 0),
        ("y[1, 1] = 2·3 + 1·(−4) = 2", 0),
        ("z = −1.00 + 0.10 · (−0.66) = −1.07", 0),
        ("1.24 + 1.24 = 2.49", 1),
        ("1.24 + 1.24 ≈ 2.49", 0),
        ("28 × 28 × 10 = 7\u202f841", 1),
        ("½( 1.00 + 0.01 − (−4.61) − 1) = 2.31", 0),
    ],
)
def test_false_sums_are_found(text, false):
    assert len(false_sums(text)) == false
