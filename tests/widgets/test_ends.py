"""Each control of each widget at its ends, with the focus on it: nothing is cut off, no text lies
on another, and nothing that one reads fades."""

import pytest

from companion.site.frontend import build_frontend
from companion.widgets import BottleneckCounter, ReceptiveField
from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import AXE, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Defines `faults(root)`, the sentences about texts of a widget that can't be read in full, and
# `ends(control)`, the functions that bring a control to its ends.
LOOK = r"""
const shown = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: true });

// What only a screen reader is to find is a pixel large.
function isForEars(el) {
  for (let up = el; !up.matches(".companion"); up = up.parentElement) {
    if (up.clientWidth === 1 && getComputedStyle(up).overflow !== "visible") return true;
  }
  return false;
}

function* texts(root) {
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const el = node.parentElement;
    if (!node.data.trim() || !shown(el)) continue;
    if (el.closest("option, [style*='display: none']") || isForEars(el)) continue;
    // A long name ends in an ellipsis where its author says so.
    if (getComputedStyle(el).textOverflow === "ellipsis") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width > 1 && box.height > 1) yield { el, box, text: node.data.trim() };
    }
  }
}

// What hides a part of its content, and scrolls not, cuts off what ends beyond it.
function isCut(el, box, root) {
  for (let up = el; up && root.contains(up); up = up.parentElement) {
    const style = getComputedStyle(up);
    const hides = [style.overflowX, style.overflowY].map((way) => ["hidden", "clip"].includes(way));
    const frame = up.getBoundingClientRect();
    if (hides[0] && (box.right > frame.right + 1 || box.left < frame.left - 1)) return true;
    // The line's own leading may end beyond; the letters do not.
    const leading = box.height / 4;
    if (hides[1] && (box.bottom > frame.bottom + leading || box.top < frame.top - leading))
      return true;
    if (["auto", "scroll"].includes(style.overflowX)) return false;
  }
  const frame = root.getBoundingClientRect();
  return box.right > frame.right + 1 || box.left < frame.left - 1;
}

window.faults = (root) => {
  const all = [...texts(root)];
  const cut = all.filter(({ el, box }) => isCut(el, box, root));
  const found = cut.map(({ text }) => `cut: ${text}`);
  for (const input of root.querySelectorAll("input[type=text], input[type=number]")) {
    const isWider = input.scrollWidth > input.clientWidth + 1;
    if (shown(input) && isWider) found.push(`cut: ${input.value}`);
  }
  all.forEach(({ el, box: a, text }, i) => {
    for (const { el: other, box: b, text: words } of all.slice(i + 1)) {
      if (el.contains(other) || other.contains(el)) continue;
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      // Letters fill about three quarters of their line.
      const isHigh = high > Math.min(a.height, b.height) / 3;
      if (wide > 2 && isHigh) found.push(`overlap: ${text} / ${words}`);
    }
  });
  return [...new Set(found)];
};

const tell = (el, ...names) => {
  for (const name of names) el.dispatchEvent(new Event(name, { bubbles: true }));
};
window.ends = (el) => {
  const to = (value, name = value) => [name, () => {
    el.value = value;
    tell(el, "input", "change");
  }];
  if (el.type === "range") return [to(el.max, "right end"), to(el.min, "left end")];
  if (el.tagName === "SELECT") return [el.length - 1, 0].map((i) => to(el.options[i].value));
  if (["checkbox", "radio"].includes(el.type)) return [["pressed", () => el.click()]];
  // A cell that does not take numbers as long says so; its own ends then come.
  const typed = (sign) => [`${sign}999.99`, () => {
    to(`${sign}999.99`)[1]();
    if (el.ariaInvalid) to(`${sign}9.9`)[1]();
  }];
  return el.inputMode === "decimal" ? [typed("-"), typed("")] : [];
};
"""

# Brings every control of a widget to its ends; what it finds, "control, end: fault" each.
DRIVE = """async (number) => {
  // Alone in the page: axe reads all of it each time.
  window.boxes ??= [...document.querySelectorAll(".companion-widget")];
  const box = boxes[number];
  document.querySelector("main").replaceChildren(box);
  const root = box.querySelector(".companion");
  const frame = () => new Promise(requestAnimationFrame);
  const drawn = () => frame().then(frame);
  const name = (el) => el.ariaLabel ?? el.labels?.[0]?.innerText ?? el.outerHTML.slice(0, 60);
  const unread = async (where) => {
    // What is in transition has a colour of the way.
    const passing = root.getAnimations({ subtree: true }).filter(({ effect }) =>
      Number.isFinite(effect.getComputedTiming().endTime));
    await Promise.allSettled(passing.map((each) => each.finished));
    const options = {
      runOnly: ["color-contrast"], resultTypes: ["violations"], preload: false, iframes: false,
    };
    return (await axe.run(where, options)).violations.flatMap(({ nodes }) =>
      nodes.map((node) => `contrast: ${node.target.join(" ")}`));
  };
  const found = new Map();
  const note = (place, faults) => {
    for (const fault of faults) if (!found.has(fault)) found.set(fault, place);
  };
  note("at rest", faults(root));
  const kinds = new Set();
  const controls = [...root.querySelectorAll("input, select")];
  for (let k = 0; k < 2; k += 1) {
    for (const el of controls) {
      const end = ends(el)[k];
      if (!end || !el.isConnected || el.disabled || !el.checkVisibility()) continue;
      el.focus({ preventScroll: true });
      end[1]();
      await drawn();
      const place = `${name(el)}, ${end[0]}`;
      note(place, faults(root));
      // Controls of one look have one colour with the focus on them, wherever they stand.
      const around = el.closest(".companion-slider, .companion-field, fieldset") ?? el;
      const kind = `${el.type} ${el.className} ${around.className}`;
      if (kinds.has(kind) || !around.isConnected) continue;
      kinds.add(kind);
      note(place, await unread(around));
    }
    document.activeElement.blur();
    note(`all at ${k ? "their other end" : "one end"}`, await unread(root));
  }
  return [controls.length, [...found].map(([fault, place]) => `${place}: ${fault}`)];
}"""


@pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")])
def test_every_control_at_its_ends_and_in_focus(browser, every_widget, size, theme):
    found = {}
    with visit(browser, every_widget, size=size, theme=theme) as seen:
        seen.scroll_through()
        seen.page.add_script_tag(path=str(AXE))
        seen.page.add_script_tag(content=LOOK)
        seen.page.keyboard.press("Tab")  # focus is to be seen from now on
        for number, name in enumerate(EXAMPLES):
            controls, faults = seen.page.evaluate(DRIVE, number)
            assert controls
            if faults:
                found[name] = faults
        assert found == {}
        assert seen.errors == []


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
