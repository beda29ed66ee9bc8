"""The front page's map of the book."""

import re

from conftest import ROOT, book_pages


def test_every_chapter_is_on_the_map():
    chapters = {name for name in book_pages() if re.match(r"\d", name)}
    intro = (ROOT / "book" / "intro.md").read_text("utf-8")
    missing = chapters - set(re.findall(r"{doc}`(.+?)`", intro))
    assert not missing, f"the map in book/intro.md has no row with {sorted(missing)}"
