"""Pages that import the widgets' JavaScript modules as they are written, unbundled."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from companion.site.frontend import sheets
from conftest import ROOT, QuietHandler
from support.waiting import PATIENCE

JS = ROOT / "companion" / "widgets" / "js"

#: A title, label or name that must come out as the text it is.
HOSTILE = '</script><img src=x onerror="window.hurt=1">&<b>'


class Tags(HTMLParser):
    """The elements of a fragment (`seen`: name and attributes), its text, and what is still open.

    AssertionError at an end tag that closes something else.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.seen}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in {"img", "input", "br"}:  # the void elements that widgets use
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@contextmanager
def module_page(browser: Any, html: str, folder: Path = JS) -> Iterator[Callable[[], Any]]:
    """A function that opens `html` anew beside the modules of a folder; no error may come."""
    handler = partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    problems: list[str] = []
    tab = browser.new_page(viewport={"width": 800, "height": 900}, reduced_motion="reduce")
    tab.set_default_timeout(1000 * PATIENCE)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    tab.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))

    def open_page() -> Any:
        tab.goto(address)
        return tab

    try:
        yield open_page
    finally:
        tab.close()
        server.shutdown()
        server.server_close()
    assert problems == []


def settle(tab: Any) -> None:
    """Wait until what was asked for has been drawn."""
    tab.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")


# Renders a widget module on a state, with a model such as anywidget hands over.
START = """async ([name, state]) => {
  const { default: widget } = await import(`/${name}.js`);
  const listeners = {};
  window.model = {
    saved: 0,
    get: (name) => state[name],
    set(name, value) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      for (const listener of listeners["change:" + name] ?? []) listener();
    },
    save_changes() { this.saved += 1; },
    on(event, listener) { (listeners[event] ??= []).push(listener); },
    off(event, listener) { listeners[event] = listeners[event].filter((f) => f !== listener); },
    listening: () => Object.values(listeners).flat().length,
  };
  const el = document.querySelector("main");
  const ready = new Promise((resolve) => el.addEventListener("companion-ready", resolve));
  window.stop = await widget.render({ model, el });
  if (el.querySelector('[data-state="waiting"]')) await ready;
}"""


@contextmanager
def widget_page(browser: Any, before: str = "", folder: Path = JS) -> Iterator[Callable[..., Any]]:
    """A function that renders a widget in a page of its own modules and returns the page.

    `before` is JavaScript to run first. Without a widget the page stays empty.
    """
    # The common sheet first, as in the bundle.
    links = "".join(
        f'<link rel="stylesheet" href="{path.relative_to(JS).as_posix()}">' for path in sheets()
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widget</title>'
        f'<link rel="icon" href="data:,">{links}</head><body><main></main></body></html>'
    )
    with module_page(browser, html, folder) as open_page:

        def start(widget: Any = None, width: int = 800) -> Any:
            tab = open_page()
            tab.set_viewport_size({"width": width, "height": 900})
            tab.mouse.move(width - 10, 890)
            if widget is not None:
                if before:
                    tab.evaluate(before)
                tab.evaluate(START, [widget.module, widget.page_state()])
                settle(tab)
            return tab

        yield start


def shown_numbers(tab: Any, within: str = "body") -> dict[str, float | None]:
    """Every number on show at full precision (None: no number), the same wherever it stands."""
    settle(tab)
    pairs = tab.eval_on_selector_all(
        f"{within} [data-quantity]",
        """all => all.filter(el => getComputedStyle(el).visibility === "visible")
            .map(el => [el.dataset.quantity, el.dataset.value])""",
    )
    values = dict(pairs)
    assert all(values[quantity] == value for quantity, value in pairs)
    return {name: None if value == "null" else float(value) for name, value in values.items()}


def small_text(tab: Any, least: float = 12) -> list[str]:
    """Elements whose own text is set smaller than `least` pixels, sub- and superscripts apart."""
    return list(
        tab.eval_on_selector_all(
            "main *",
            """(all, least) => all.filter((el) => !el.closest("sub, sup")
              && [...el.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
              && parseFloat(getComputedStyle(el).fontSize) < least).map((el) => el.outerHTML)""",
            least,
        )
    )
