"""`make pdf`, or `python -m companion.site.pdf`: each page of the built book as a PDF, by Chromium.

A PDF lies in the site's folder pdf/, and its page links to it at the foot. One that is there stays
until its page is built anew, which takes the link away. Widgets are printed as their first picture.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import yaml

from companion.site import offline
from companion.site.build import SITE
from companion.site.frontend import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = "pdf"  # below the site

#: Where a page's foot has the link, or has none yet.
PLACE = "<!--pdf-->"

# Of an A4 sheet: what print.css leaves at each edge, and how small the page is printed, so that
# code of 75 columns fits.
_MARGIN = "15mm"
_SCALE = 0.8
_WIDTH = round((210 - 2 * 15) / 25.4 * 96 / _SCALE)  # of the text, in CSS pixels

_OPTIONS = ["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
_PATIENCE = 120_000  # milliseconds
_FOOT = (
    '<div style="font-size:8px;width:100%;text-align:center;color:#555">'
    '<span class="title"></span> · <span class="pageNumber"></span>/'
    '<span class="totalPages"></span></div>'
)


def find_chromium() -> str:
    """Path of the Chromium to drive: $CHROMIUM, else the machine's; "" leaves it to Playwright."""
    wanted = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    wanted += ["chromium-headless-shell"]
    return next((path for name in wanted if name and (path := which(name))), "")


def page_names(site: Path) -> list[str]:
    """The pages of the table of contents that are built, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    names = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    return [name for name in names if (site / f"{name}.html").is_file()]


def print_page(page: "Page", source: Path, target: Path) -> None:
    """Print an HTML file of the book, opened from its folder, to a PDF file of A4 sheets."""
    # Without the script that brings widgets to life each stays as its first picture.
    page.route("**/companion/book.js*", lambda route: route.abort())
    page.set_viewport_size({"width": _WIDTH, "height": 1400})
    page.emulate_media(media="print", color_scheme="light")
    page.goto(source.as_uri(), wait_until="load")
    # Figures are drawn when they come near the window.
    page.evaluate(
        """async () => {
            for (const box of document.querySelectorAll(".companion-plotly")) {
                box.scrollIntoView();
                while (!box.dataset.drawn) await new Promise((resolve) => setTimeout(resolve, 50));
            }
            await document.fonts.ready;
            await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
        }"""
    )
    target.parent.mkdir(exist_ok=True)
    page.pdf(
        path=str(target),
        format="A4",
        scale=_SCALE,
        margin={"top": _MARGIN, "bottom": _MARGIN, "left": _MARGIN, "right": _MARGIN},
        print_background=True,
        outline=True,
        tagged=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=_FOOT,
    )


def print_book(site: Path, names: list[str]) -> Iterator[tuple[str, int]]:
    """Print pages and link to them; yields name and bytes of each.

    Raises:
        RuntimeError: there is no Chromium, or no Playwright to drive it.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise RuntimeError("no PDF without Playwright: pip install playwright") from None
    with sync_playwright() as playwright:
        chromium = find_chromium()
        options: dict[str, Any] = {"executable_path": chromium} if chromium else {}
        try:
            browser = playwright.chromium.launch(args=_OPTIONS, **options)
        except Error:
            raise RuntimeError(
                "no PDF without Chromium: install it (Debian: apt-get install chromium), or set "
                "CHROMIUM=/path/to/chromium"
            ) from None
        for name in names:
            source, target = site / f"{name}.html", site / FOLDER / f"{name}.pdf"
            page = browser.new_page()
            page.set_default_timeout(_PATIENCE)
            print_page(page, source, target)
            page.close()
            add_link(source)
            yield name, target.stat().st_size
        browser.close()
    offline.write_list(site)


def add_link(page: Path) -> None:
    """Have a page of the site link to its PDF."""
    link = f'<a class="book-pdf" href="{FOLDER}/{escape(page.stem)}.pdf">This page as a PDF</a>'
    page.write_text(page.read_text("utf-8").replace(PLACE, link), "utf-8")


def unprinted(site: Path) -> list[str]:
    """The pages without a PDF, or built since theirs was made."""
    return [
        name
        for name in page_names(site)
        if PLACE in (site / f"{name}.html").read_text("utf-8")
        or not (site / FOLDER / f"{name}.pdf").is_file()
    ]


def remove_stale(site: Path) -> None:
    """Remove the PDFs to which no page links any more."""
    for file in (site / FOLDER).glob("*.pdf"):
        page = site / f"{file.stem}.html"
        if not page.is_file() or PLACE in page.read_text("utf-8"):
            file.unlink()


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m companion.site.pdf`; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="only these, for example 12-vae")
    options = parser.parse_args(arguments)
    known = page_names(SITE)
    if not known:
        print(f"{SITE} holds no book; build it first: make book", file=sys.stderr)
        return 1
    if strangers := [name for name in options.pages if name not in known]:
        print(f"expected pages of {', '.join(known)}; got {strangers[0]}", file=sys.stderr)
        return 1
    names = options.pages or unprinted(SITE)
    try:
        for name, size in print_book(SITE, names):
            print(f"{SITE / FOLDER / name}.pdf ({size / 1e6:.1f} MB)", flush=True)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Every page has its PDF in {SITE / FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
