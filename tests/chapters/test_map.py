"""The front page's map of the book."""

import re

import yaml

from conftest import ROOT


def test_every_chapter_is_on_the_map():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    chapters = {c["file"] for c in toc["chapters"] if re.match(r"\d", c["file"])}
    intro = (ROOT / "book" / "intro.md").read_text("utf-8")
    missing = chapters - set(re.findall(r"{doc}`(.+?)`", intro))
    assert not missing, f"the map in book/intro.md has no row with {sorted(missing)}"
