"""Chapters on paper: what a browser prints, and the PDFs that Chromium makes of the book."""

import re
import shutil
import subprocess
import sys

import pytest

from companion.site import pdf
from conftest import ROOT, book_pages
from support.waiting import PATIENCE

pytestmark = pytest.mark.browser

SHEET = 680  # what an A4 sheet leaves between a browser's own margins, in CSS pixels

# A part whose box ends to the right of the sheet, and is not clipped away on purpose.
TOO_WIDE = """() => {
    const right = document.documentElement.clientWidth + 1;
    return [...document.querySelectorAll(".bd-article *")].filter((el) => {
        if (el.closest(".katex-mathml, .companion-live[inert]")) return false;
        const box = el.getBoundingClientRect();
        if (!box.width || !box.height || box.right <= right) return false;
        for (let up = el.parentElement; up; up = up.parentElement) {
            const style = getComputedStyle(up);
            const clips = style.overflowX !== "visible" || up.tagName === "svg";
            if (clips && up.getBoundingClientRect().right <= right) return false;
        }
        return true;
    }).map((el) => `${el.tagName} ${el.className} ${el.textContent.slice(0, 40)}`);
}"""


@pytest.fixture
def paper(browser):
    context = browser.new_context(viewport={"width": SHEET, "height": 1000}, color_scheme="dark")
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    # Widgets stay as they are before any of them lives.
    page.route("**/companion/book.js*", lambda route: route.abort())
    yield page
    context.close()


@pytest.mark.parametrize(
    "name", [name for name in book_pages() if re.match(r"\d|intro|recall", name)]
)
def test_a_page_on_paper(paper, site, name):
    paper.goto((site / f"{name}.html").as_uri(), wait_until="load")
    paper.emulate_media(media="print")
    paper.evaluate("dispatchEvent(new Event('beforeprint'))")
    for gone in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", "nav"):
        assert paper.locator(gone).locator("visible=true").count() == 0, gone
    for gone in (
        "button.copybtn",
        ".headerlink",
        ".quiz-check",
        ".in-notebook",
        "#jb-print-docs-body",
    ):
        assert paper.locator(gone).locator("visible=true").count() == 0, gone
    assert paper.locator(".bd-article h1").is_visible()
    assert paper.evaluate("document.documentElement.dataset.theme") == "light"
    assert paper.evaluate(TOO_WIDE) == [], "cut at the edge of the sheet"
    previews = paper.locator(".companion-preview")
    assert previews.count() == paper.locator(".companion-widget").count()
    for preview in previews.all():
        box = preview.bounding_box()
        assert box
        assert box["width"] > 200
        assert box["height"] > 100
    for solution in paper.locator(".solution #solution-content, .solution section").all():
        assert solution.is_visible()
    folded = paper.locator(".bd-article details:not(.hide)")
    assert folded.count() == paper.locator(".bd-article details[open]:not(.hide)").count()
    paper.evaluate("dispatchEvent(new Event('afterprint'))")
    assert paper.evaluate("document.documentElement.dataset.theme") == "dark"
    assert paper.locator(".recall-card[open]").count() == 0


@pytest.fixture
def small(site, tmp_path):
    """The built book with two of its pages."""
    copy = tmp_path / "site"
    copy.mkdir()
    shutil.copytree(site / "_static", copy / "_static", ignore=shutil.ignore_patterns("models"))
    for name in ("intro", "02-softmax-cross-entropy"):
        text = (site / f"{name}.html").read_text("utf-8")
        (copy / f"{name}.html").write_text(re.sub('<a class="book-pdf".*?</a>', pdf.PLACE, text))
    return copy


def test_pdfs_are_made_and_linked_and_go_when_their_page_is_new(browser, small):
    assert pdf.unprinted(small) == ["intro", "02-softmax-cross-entropy"]
    name = "02-softmax-cross-entropy"
    target = small / "pdf" / f"{name}.pdf"
    context = browser.new_context()
    pdf.print_page(context.new_page(), small / f"{name}.html", target)
    context.close()
    assert target.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", target.read_bytes())) > 5

    page = small / f"{name}.html"
    pdf.add_link(page)
    link = f'<a class="book-pdf" href="pdf/{name}.pdf">This page as a PDF</a>'
    assert page.read_text("utf-8").count(link) == 1
    assert pdf.unprinted(small) == ["intro"]
    pdf.remove_stale(small)
    assert target.is_file()
    page.write_text(page.read_text("utf-8").replace(link, pdf.PLACE), "utf-8")  # built anew
    pdf.remove_stale(small)
    assert not target.exists()


def test_without_chromium_one_sentence_says_so(small):
    # In a process of its own: this one drives a browser already.
    code = (
        "import sys\nfrom pathlib import Path\nfrom companion.site import pdf\n"
        "pdf.find_chromium = lambda: '/nowhere/chromium'\npdf.SITE = Path(sys.argv[1])\n"
        "sys.exit(pdf.main(['intro']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no PDF without Chromium: install it")
    assert done.stderr.count("\n") == 1
