"""`python -m companion.site.links [--external] [SITE]`: where the built book's links lead nowhere.

Without options it needs no network: each address in a page or style sheet that stays in the site
must name a file of it, and each #fragment an id in that page. With --external every other address
that a reader may follow is asked for, too.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from posixpath import dirname, join, normpath
from re import findall, split
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import Request, urlopen

from companion.site.build import SITE

# What these say of an address that a person can open: a robot is not welcome.
_REFUSALS = {401, 403, 405, 418, 429, 999}
_URL = r"""url\(\s*["']?([^"')]+)"""
_PATIENCE = 30  # seconds
_AT_ONCE = 8


class _Page(HTMLParser):
    """The addresses in a page, and what a fragment can name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.ids.add(value or "")
            elif name in {"href", "src", "poster", "action"} and value:
                self.addresses.append(value)


def broken(site: Path) -> list[str]:
    """One sentence for each link inside a built site that leads nowhere, in order of the pages.

    Raises:
        ValueError: there is no page in the folder.
    """
    pages = _pages(site)
    problems = []
    for name, page in pages.items():
        for address in dict.fromkeys(page.addresses):
            if _is_inside(address):
                fragment = unquote(urlsplit(address).fragment)
                problem = _problem(site, pages, _path(name, address), fragment)
                if problem:
                    problems.append(f"{name}: {address} {problem}")
    for sheet in sorted(site.rglob("*.css")):
        name = sheet.relative_to(site).as_posix()
        for declaration in split("[;{}]", sheet.read_text("utf-8")):
            inside = [each for each in findall(_URL, declaration) if _is_inside(each)]
            paths = [_path(name, each) for each in inside]
            # Of a font in several formats a browser takes the first that it finds.
            if paths and not any((site / path).is_file() for path in paths):
                problems.append(f"{name}: {', '.join(inside)} is no file of the site")
    return problems


def _path(name: str, address: str) -> str:
    """The file that an address in the file `name` means: its path below the site."""
    path = unquote(urlsplit(address).path)
    return normpath(join(dirname(name), path)) if path else name


def _problem(site: Path, pages: dict[str, _Page], path: str, fragment: str) -> str:
    if path.startswith("/"):
        return "is the address of a file of the whole host, and the book may lie in a folder"
    if path.startswith("../"):
        return "leads out of the site"
    if not (site / path).is_file():
        return "is no file of the site"
    if fragment and path in pages and fragment not in pages[path].ids:
        return f"names no part of {path}"
    return ""


def _is_inside(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def _pages(site: Path) -> dict[str, _Page]:
    pages = {
        path.relative_to(site).as_posix(): _Page(path.read_text("utf-8"))
        for path in sorted(site.rglob("*.html"))
    }
    if not pages:
        raise ValueError(f"{site} holds no page; build the book first: make book")
    return pages


def external(site: Path) -> dict[str, list[str]]:
    """The addresses elsewhere to which a built site links, each with the names of its pages.

    Raises:
        ValueError: there is no page in the folder.
    """
    found = defaultdict(list)
    for name, page in _pages(site).items():
        for address in dict.fromkeys(urldefrag(each)[0] for each in page.addresses):
            if urlsplit(address).scheme in {"http", "https"}:
                found[address].append(name)
    return dict(found)


def unreachable(addresses: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of the addresses that do not answer, each with what came instead.

    An answer that only turns robots away counts as one, and so does any other below 400.
    """
    addresses = list(addresses)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for address, problem in zip(addresses, pool.map(_ask, addresses), strict=True):
            if problem:
                yield address, problem


def _ask(address: str) -> str:
    request = Request(address, headers={"User-Agent": "Mozilla/5.0 (link check of a book)"})
    try:
        with urlopen(request, timeout=_PATIENCE):
            return ""
    except HTTPError as error:
        return "" if error.code in _REFUSALS else f"answers {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"does not answer ({str(error) or type(error).__name__})"


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m companion.site.links`; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--external", action="store_true", help="ask other hosts, too")
    parser.add_argument("site", nargs="?", type=Path, default=SITE, help="the built book")
    options = parser.parse_args(arguments)
    try:
        problems = broken(options.site)
        elsewhere = external(options.site)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if options.external:
        for address, problem in unreachable(elsewhere):
            problems.append(f"{', '.join(elsewhere[address])}: {address} {problem}")
    for problem in problems:
        print(problem, file=sys.stderr)
    asked = f", and {len(elsewhere)} of other hosts" if options.external else ""
    print(f"{len(problems)} of the links inside the book{asked} lead nowhere.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
