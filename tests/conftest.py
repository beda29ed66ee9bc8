"""Shared by the tests: where the built book is, a web server for it, a real Chromium."""

import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

# Torch, which is not loaded yet, is to compute with one thread. Tests run beside each other
# (`pytest -n`) or beside other work, and threads that wait for one another in operations as small
# as theirs cost ten times the processor time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest.register_assert_rewrite("support.answers", "support.front_end")

# A busy machine is no failure.
hypothesis.settings.register_profile("book", deadline=None)
hypothesis.settings.load_profile("book")

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class QuietHandler(SimpleHTTPRequestHandler):
    """A plain static web server: no compression, no special headers."""

    def log_message(self, *arguments: object) -> None:
        pass


def chromium() -> str:
    """Path of the Chromium to drive: $CHROMIUM, the machine's, or Playwright's own.

    Its headless shell, where there is one: the same engine without a window's machinery, in about
    seven tenths of the time.
    """
    from companion.site.pdf import find_chromium

    shell = shutil.which("chromium-headless-shell")
    return shell if shell and "CHROMIUM" not in os.environ else find_chromium()


@pytest.fixture(scope="session")
def run_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of this run's own, the same for all processes of `pytest -n`: what one of them
    has exported the others find."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "run-cache"


@pytest.fixture(scope="module")
def own_cache(run_cache: Path) -> Iterator[None]:
    """The front end is bundled, and what is exported goes to a folder of the run's own."""
    from companion.site.frontend import build_frontend

    build_frontend(quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANION_CACHE_DIR", str(run_cache))
        yield


def book_pages() -> list[str]:
    """The pages of the book that `_toc.yml` names, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


@pytest.fixture(scope="session")
def site() -> Path:
    """The built book. `make test` builds it first; a bare pytest must find it built."""
    for name in book_pages():
        if not (SITE / f"{name}.html").exists():
            pytest.fail(f"{name}.html is not built: run `make book` first (make test does)")
    return SITE


@pytest.fixture(scope="session")
def served(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The book on a local web server, two folders below its root: the address of that folder."""
    root = tmp_path_factory.mktemp("web")
    (root / "course").mkdir()
    (root / "course" / "book 1").symlink_to(site)
    handler = partial(QuietHandler, directory=str(root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/course/book%201"
    server.shutdown()


@pytest.fixture(scope="session")
def every_widget(run_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with one of every widget, in the order of `EXAMPLES`."""
    from companion.site.frontend import build_frontend
    from support.every_widget import EXAMPLES
    from support.stage import write_stage

    build_frontend(quiet=True)
    folder = tmp_path_factory.mktemp("every-widget")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANION_CACHE_DIR", str(run_cache))
        made = (example.make() for example in EXAMPLES.values())
        return write_stage(folder / "site", *made).as_uri()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = {"executable_path": chromium()} if chromium() else {}
        instance = playwright.chromium.launch(args=BROWSER_OPTIONS, **options)
        yield instance
        instance.close()


@pytest.fixture(scope="module")
def page(browser):
    """A function that shows a widget in a page of its own modules: `front_end.widget_page`."""
    from support.front_end import widget_page

    with widget_page(browser) as start:
        yield start


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A function that writes a page with widgets: its address as a file, or on a web server."""
    from support.stage import write_stage

    servers = []

    def write(*widgets: Any, before: str = "", served: bool = False) -> str:
        page = write_stage(tmp_path / "deep er", *widgets, before=before)
        if not served:
            return page.as_uri()
        handler = partial(QuietHandler, directory=str(tmp_path))
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/deep%20er/page.html"

    yield write
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """`load_images("mnist")` reads the files in the folder that COMPANION_TEST_DATA names."""
    if "COMPANION_TEST_DATA" not in os.environ:
        pytest.skip("COMPANION_TEST_DATA names no folder")
    root = Path(os.environ["COMPANION_TEST_DATA"]) / "mnist"
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(root))


@pytest.fixture(scope="session")
def real_cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with CIFAR-10's test images, and few training images, from COMPANION_TEST_DATA."""
    if "COMPANION_TEST_DATA" not in os.environ:
        pytest.skip("COMPANION_TEST_DATA names no folder")
    folder = tmp_path_factory.mktemp("cifar") / "cifar10-images"
    archive = Path(os.environ["COMPANION_TEST_DATA"]) / "cifar10-images.tar.gz"
    with tarfile.open(archive) as tar:
        chosen = (
            member for member in tar if "test/" in member.name or member.name.endswith("/0000.jpg")
        )
        tar.extractall(folder, members=chosen, filter="data")
    return folder
