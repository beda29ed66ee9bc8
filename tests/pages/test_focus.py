"""Where the keyboard's focus is, it is seen: never under the header that stays in place
(WCAG 2.4.11)."""

import pytest

from support.pages import visit

pytestmark = pytest.mark.browser

# Whether what has the focus is covered as a whole by what stays in place while the page scrolls.
COVERED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame().then(frame);  // drawn
  const el = document.activeElement;
  if (!el || el === document.body) return [null, false];
  // A control may be as good as nothing while another element shows it.
  const shown = el.matches(".companion-cover") ? el.parentElement : el;
  const box = shown.getBoundingClientRect();
  const name = (el.getAttribute("aria-label") || el.innerText || el.outerHTML).slice(0, 60);
  const fixed = (at) => {
    for (let up = at; up; up = up.parentElement) {
      if (up.contains(el)) return false;
      if (["sticky", "fixed"].includes(getComputedStyle(up).position)) return true;
    }
    return false;
  };
  const y = [0.1, 0.5, 0.9].map((share) => box.top + share * box.height);
  const covered = y.every((at) => at < 0 || at > innerHeight
    || fixed(document.elementFromPoint(box.left + Math.min(box.width / 2, 30), at)));
  return [name, covered];
}"""

MOST = 700  # stops in a page


@pytest.mark.parametrize(
    ("name", "size", "key"),
    [
        ("02-softmax-cross-entropy", "phone", "Tab"),
        ("02-softmax-cross-entropy", "desktop", "Shift+Tab"),
        ("intro", "desktop", "Tab"),
    ],
)
def test_the_focus_is_never_under_the_header(browser, served, name, size, key):
    with visit(browser, f"{served}/{name}.html", size=size) as seen:
        seen.scroll_through()
        page = seen.page
        if key == "Shift+Tab":
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            page.evaluate("[...document.querySelectorAll('footer a[href]')].at(-1).focus()")
        hidden, stops, nowhere = [], 0, 0
        for _ in range(MOST):
            page.keyboard.press(key)
            what, covered = page.evaluate(COVERED)
            nowhere = 0 if what else nowhere + 1
            if nowhere == 3:
                break  # the browser's own bar comes next
            stops += what is not None
            if covered:
                hidden.append(what)
        assert stops > 20
        assert hidden == []
