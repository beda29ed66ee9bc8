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
