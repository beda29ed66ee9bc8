"""The draft for the Journal of Open Source Education: its parts, its sources, its slots."""

import re

import yaml
from pybtex.database import parse_file

from conftest import ROOT

PAPER = (ROOT / "paper" / "paper.md").read_text("utf-8")


def test_it_has_what_the_journal_asks_for():
    _, head, body = PAPER.split("---\n", 2)
    front = yaml.safe_load(head)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= set(front)
    assert front["bibliography"] == "paper.bib"
    sections = re.findall(r"^# (.+)$", body, re.MULTILINE)
    for wanted in ("Summary", "Statement of need", "Experience of use", "References"):
        assert wanted in sections
    assert "[SLOT" in front["authors"][0]["name"]  # nobody is named who did not say so


def test_its_sources_are_the_works_it_cites_as_the_book_has_them():
    own = parse_file(str(ROOT / "paper" / "paper.bib")).entries
    books = parse_file(str(ROOT / "book" / "references.bib")).entries
    assert set(re.findall(r"@([\w]+)", PAPER.split("---\n", 2)[2])) == set(own)
    for key, entry in own.items():
        if key in books:
            assert dict(entry.fields) == dict(books[key].fields), key
        else:
            assert "doi" in entry.fields, key


def test_each_part_of_the_lecture_has_its_chapter():
    assert "a chapter for each of its fourteen parts" in PAPER
    numbers = {path.name[:2] for path in (ROOT / "book").glob("[0-9]*.md")}
    assert numbers >= {f"{part:02}" for part in range(1, 15)}
