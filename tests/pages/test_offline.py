"""Reading without a network: a page that was visited, the whole book, a new build, a folder."""

import json
import shutil
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from companion.site import offline
from companion.site.frontend import build_frontend
from conftest import QuietHandler
from support.small_book import build, cell
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.browser

READY = "() => document.documentElement.dataset.offline === 'ready'"


@pytest.fixture
def context(browser):
    fresh = browser.new_context(viewport={"width": 1280, "height": 900})
    fresh.set_default_timeout(1000 * PATIENCE)
    yield fresh
    fresh.close()


@pytest.fixture(scope="module")
def small_book(tmp_path_factory):
    """A built book of two pages, one of them with a widget."""
    build_frontend(quiet=True)
    folder = tmp_path_factory.mktemp("small")
    content = cell("from companion.widgets import Softmax\n\nSoftmax()") + "\nThe first build.\n"
    status, output = build(folder, content, other="# Other\n\nThe other page.\n")
    assert status == 0, output
    return folder / "_build" / "html"


@pytest.fixture
def copy(small_book, tmp_path):
    """A copy of it on a web server, in a folder; (folder, address)."""
    site = tmp_path / "some where"
    shutil.copytree(small_book, site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield site, f"http://127.0.0.1:{server.server_port}/some%20where"
    server.shutdown()
    server.server_close()


def kept(page):
    """Paths of what the browser keeps for this book."""
    addresses = page.evaluate(
        """async () => {
            const all = [];
            for (const name of await caches.keys())
                for (const { url } of await (await caches.open(name)).keys()) all.push(url);
            return all;
        }"""
    )
    return {unquote(urlsplit(each).path).removeprefix("/some where/") for each in addresses}


def test_a_chapter_is_read_again_without_a_network_and_its_model_runs(context, served):
    page = context.new_page()
    page.goto(f"{served}/12-vae.html", wait_until="load")
    page.wait_for_function(READY)
    widget = page.locator('.companion-widget[data-widget="latent_traversal"]').first
    widget.scroll_into_view_if_needed()
    live = page.locator(
        '.companion-widget[data-widget="latent_traversal"][data-state="live"]'
    ).first
    live.wait_for()
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    page.reload(wait_until="load")
    widget.scroll_into_view_if_needed()
    live.wait_for()
    pictures = "(box) => [...box.querySelectorAll('canvas')].map((each) => each.toDataURL()).join()"
    before = live.evaluate(pictures)
    slider = live.locator("input[type=range]").locator("visible=true").first
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    until(lambda: live.evaluate(pictures) != before)


def test_what_was_not_read_is_said_to_be_missing(context, copy):
    _, address = copy
    page = context.new_page()
    page.goto(f"{address}/page.html", wait_until="load")
    page.wait_for_function(READY)
    context.set_offline(True)
    page.goto(f"{address}/other.html")
    assert "Not on this device" in page.inner_text("body")
    context.set_offline(False)
    page.goto(f"{address}/other.html")
    assert "The other page." in page.inner_text("main")


def test_the_whole_book_is_kept(context, copy):
    site, address = copy
    page = context.new_page()
    page.goto(f"{address}/page.html", wait_until="load")
    page.wait_for_function(READY)
    box = page.locator(".book-offline")
    box.locator("summary").click()
    button = box.get_by_role("button", name="Keep the whole book")
    button.wait_for()
    button.click()
    page.wait_for_function(
        """() => document.querySelector('.book-offline [role=status]').textContent
            .startsWith('The whole book is on this device')"""
    )
    files = set(json.loads((site / "offline.json").read_text())["files"])
    assert {"page.html", "other.html", "_static/companion/engine-wasm.js"} <= files
    until(lambda: len(kept(page)) > len(files))
    assert kept(page) - {"offline.json"} == files
    context.set_offline(True)
    page.goto(f"{address}/other.html")
    assert "The other page." in page.inner_text("main")


def test_a_new_build_is_served_at_once_and_replaces_what_was_kept(context, copy):
    site, address = copy
    page = context.new_page()
    for name in ("other", "page"):
        page.goto(f"{address}/{name}.html", wait_until="load")
        page.wait_for_function(READY)
    until(lambda: {"other.html", "page.html"} <= kept(page))
    (old,) = page.evaluate("caches.keys()")

    for name, text in {"page": "The first build.", "other": "The other page."}.items():
        file = site / f"{name}.html"
        assert text in file.read_text("utf-8")
        file.write_text(file.read_text("utf-8").replace(text, "The second build."), "utf-8")
    version = offline.write_list(site)

    page.goto(f"{address}/page.html", wait_until="load")
    assert "The second build." in page.inner_text("main"), "online nothing is stale"
    # A worker that waits for what it fetches takes over when all of it is there.
    until(lambda: [name.split()[-1] for name in page.evaluate("caches.keys()")] == [version])
    assert not old.endswith(version)
    context.set_offline(True)
    page.goto(f"{address}/other.html")
    assert "The second build." in page.inner_text("main"), "not visited since, but brought along"


def test_a_browser_can_install_the_book(context, copy):
    site, address = copy
    page = context.new_page()
    page.goto(f"{address}/page.html", wait_until="load")
    page.wait_for_function(READY)
    session = context.new_cdp_session(page)
    errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A browser that a test drives has nothing but private windows.
    assert {error["errorId"] for error in errors} <= {"in-incognito"}
    manifest = json.loads(session.send("Page.getAppManifest")["data"])
    assert manifest["start_url"] == "./page.html"
    for icon in manifest["icons"]:
        with Image.open(site / icon["src"]) as image:
            assert f"{image.width}x{image.height}" == icon["sizes"]


def test_from_a_folder_there_is_no_worker(context, copy):
    site, _ = copy
    page = context.new_page()
    errors = []
    page.on(
        "console",
        lambda message: errors.append(message.text) if message.type == "error" else None,
    )
    page.goto((site / "page.html").as_uri(), wait_until="load")
    assert page.locator("link[rel=manifest]").count() == 0
    assert not page.locator(".book-offline").is_visible()
    assert errors == []


def test_the_version_is_of_the_content(small_book, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(small_book, site)
    first = offline.write_list(site)
    assert offline.write_list(site) == first
    (site / "page.html").write_text("another")
    assert offline.write_list(site) != first
