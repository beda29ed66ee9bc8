"""A page with the engine and exported files but no widget: tests call its functions themselves."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

from companion.site import frontend
from companion.site.extension import SECURITY_POLICY
from conftest import ROOT, QuietHandler

# What the page offers to a test as globals: the sessions, and a widget's model that holds no file.
_ENTRY = """
import { fileBytes, page } from "./companion/widgets/js/runtime/assets.js";
import { openModel } from "./companion/widgets/js/runtime/session.js";
import { trainer } from "./companion/widgets/js/runtime/trainer.js";
page.site = new URL("companion/", location.href).href;
const none = { get: () => undefined, on() {}, off() {}, send() {} };
Object.assign(globalThis, { page, openModel: (name, options) => openModel(name, none, options),
  fileBytes: (name, onProgress) => fileBytes(name, none, onProgress),
  trainer: (options) => trainer({ model: none, el: document.body, ...options }) });
"""


def write_engine_page(
    folder: Path, files: Sequence[Path], *, policy: str = SECURITY_POLICY, part: int = 2**20
) -> Path:
    """Write the page; `files` are named by their SHA-256, `policy` is its security policy."""
    static = folder / "companion"
    (static / "models").mkdir(parents=True)
    for name in frontend.ENGINE:
        (static / name).symlink_to(frontend.STATIC / name)
    for file in files:
        for name, script in frontend.model_scripts(file.stem, file.read_bytes(), part):
            (static / "models" / name).write_text(script)
    frontend._bundle(ROOT, _ENTRY, static / "page.js", '--define:ENGINE_VERSION="test"')
    page = folder / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Engine</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<link rel="icon" href="data:,"><script src="companion/page.js"></script><p>Text</p></html>'
    )
    return page


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """The folder on a plain web server: its address."""
    handler = partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
