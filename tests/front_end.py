"""Pages that import the widgets' JavaScript modules as they are written, unbundled."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any

from conftest import ROOT, QuietHandler

JS = ROOT / "companion" / "widgets" / "js"


@contextmanager
def module_page(browser: Any, html: str) -> Iterator[Callable[[], Any]]:
    """A function that opens `html` anew beside the modules; at the end no error may have come."""
    handler = partial(QuietHandler, directory=str(JS))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    problems: list[str] = []
    tab = browser.new_page(viewport={"width": 800, "height": 900}, reduced_motion="reduce")
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


# Renders the page's one widget module on a state, with a model such as anywidget hands over.
START = """async ([name, state]) => {
  const { default: widget } = await import(`/${name}.js`);
  const listeners = {};
  window.model = {
    saved: 0,
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const listener of listeners["change:" + name] ?? []) listener();
    },
    save_changes() { this.saved += 1; },
    on(event, listener) { (listeners[event] ??= []).push(listener); },
    off(event, listener) { listeners[event] = listeners[event].filter((f) => f !== listener); },
    listening: () => Object.values(listeners).flat().length,
  };
  window.stop = await widget.render({ model, el: document.querySelector("main") });
}"""


@contextmanager
def widget_page(browser: Any, module: str) -> Iterator[Callable[[Any], Any]]:
    """A function that renders a widget in a page of its own modules and returns the page."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widget</title>'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="widgets.css">'
        f'<link rel="stylesheet" href="{module}.css"></head><body><main></main></body></html>'
    )
    with module_page(browser, html) as open_page:

        def start(widget: Any) -> Any:
            tab = open_page()
            tab.evaluate(START, [module, widget.page_state()])
            settle(tab)
            return tab

        yield start


def shown_numbers(tab: Any) -> dict[str, float]:
    """Every number on show at full precision; one quantity shows one value wherever it stands."""
    settle(tab)
    pairs = tab.eval_on_selector_all(
        "[data-quantity]", "all => all.map(el => [el.dataset.quantity, el.dataset.value])"
    )
    values = dict(pairs)
    assert all(values[quantity] == value for quantity, value in pairs)
    return {quantity: float(value) for quantity, value in values.items()}


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
