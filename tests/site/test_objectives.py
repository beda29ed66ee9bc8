"""Objectives: each is on its chapter's card and is shown by something that the chapter has."""

import re

import pytest
import yaml

from companion.site import objectives
from conftest import ROOT, book_pages
from support.small_book import CHAPTER

CARD = """
```{admonition} Before you start
:class: chapter-card

**You will be able to** count sheep; say why, with `a` and $b$.

**You need** sheep.
```

```{exercise-start} Count
:label: count
```
Count.
```{exercise-end}
```

```{quiz}
:label: why
Why?
- [x] So.
- [ ] No.
```

```{recall}
- How many sheep? | Many.
```
"""
RIGHT = [
    {"can": "count sheep", "by": ["count", "How many sheep?"]},
    {"can": "say why, with `a` and $b$", "by": ["why"]},
]


@pytest.fixture
def book(tmp_path):
    """A function that writes a book of one chapter with this map, and its folder."""

    def write(entries, text=CARD):
        folder = tmp_path / "book"
        folder.mkdir(exist_ok=True)
        (folder / "01-page.md").write_text(CHAPTER.replace("CONTENT", text))
        (folder / "references.bib").write_text("")
        for name in ("_config.yml", "pyproject.toml"):
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        (folder / objectives.FILE).write_text(yaml.safe_dump({"01-page": entries}))
        return folder

    return write


def test_a_map_that_fits_gives_keys_and_titles(book):
    count, why = objectives.read(book(RIGHT))["01-page"]
    assert count.by[0] == ("count", "Exercise 1.1 — Count")
    assert count.by[1][0].startswith("card-")
    assert why.by == (("why", "Question 1"),)


@pytest.mark.parametrize(
    ("entries", "text", "fault"),
    [
        (RIGHT[:1], CARD, "card and objectives.yml differ in: say why"),
        (RIGHT[::-1], CARD, "differ in: their order"),
        ([{**RIGHT[0], "can": "count goats"}, RIGHT[1]], CARD, "count goats; count sheep"),
        ([{**RIGHT[0], "by": ["count", "cuont"]}, RIGHT[1]], CARD, "called 'cuont'"),
        ([{**RIGHT[0], "by": ["How many goats?"]}, RIGHT[1]], CARD, "called 'How many goats?'"),
        ([RIGHT[0], {**RIGHT[1], "by": []}], CARD, "nothing shows that a reader can say why"),
        ([RIGHT[0], {"can": RIGHT[1]["can"], "by": ["count"]}], CARD, "why belongs to no"),
        ([{**RIGHT[0], "by": ["why"]}, RIGHT[1]], CARD, "count belongs to no objective"),
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_refused_with_the_place(book, entries, text, fault):
    with pytest.raises(ValueError, match=re.escape(fault)) as error:
        objectives.read(book(entries, text))
    assert "01-page: " in str(error.value)


def test_a_page_that_is_not_there_is_refused(book):
    folder = book(RIGHT)
    (folder / objectives.FILE).write_text(yaml.safe_dump({"01-page": RIGHT, "02-gone": RIGHT}))
    with pytest.raises(ValueError, match="there is no page '02-gone'"):
        objectives.read(folder)


def test_every_chapter_of_the_book_has_objectives_that_are_shown():
    found = objectives.read(ROOT / "book")  # which also says that the map is whole both ways
    assert set(found) == {name for name in book_pages() if re.match(r"\d", name)}
    for name, here in found.items():
        assert here, name
        assert all(objective.by for objective in here), name
