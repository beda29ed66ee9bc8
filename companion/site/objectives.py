"""What readers can do after each chapter, and by what they show it: `book/objectives.yml`.

`{objectives}` on a page shows the map. It is checked both ways: each objective is one of the
chapter's card and has an assessment that the chapter has; each exercise and each question of the
quiz belongs to an objective.
"""

import re
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from companion.site.activities import Activity, key_of
from companion.site.lms.questions import titles
from companion.site.plain_markdown import Pages

FILE = "objectives.yml"
_CARD = re.compile(r"\*\*You will be able to\*\* (.*?)\.\n\n", re.DOTALL)
_MUST_SERVE = ("exercise", "quiz")


class Objective(NamedTuple):
    """What a reader can do (Markdown); the keys and titles of what shows it."""

    can: str
    by: tuple[tuple[str, str], ...]


def on_card(text: str) -> list[str]:
    """The objectives that a chapter's card names, in their order."""
    card = _CARD.search(text)
    return " ".join(card[1].split()).split("; ") if card else []


def read(folder: Path) -> dict[str, list[Objective]]:
    """The objectives of every chapter, by the page's name.

    Args:
        folder: the book's Markdown, with `objectives.yml`.

    Raises:
        ValueError: the map does not fit the chapters; one sentence for each fault.
    """
    entries = yaml.safe_load((folder / FILE).read_text("utf-8"))
    asked = titles(folder)
    found: dict[str, list[Objective]] = {}
    faults = []
    for name, page in Pages(folder).pages.items():
        here = entries.pop(name, [])
        cans = [entry["can"] for entry in here]
        if cans != (card := on_card(page.text)):
            odd = sorted(set(cans) ^ set(card)) or ["their order"]
            faults.append(f"{name}: card and {FILE} differ in: {'; '.join(odd)}")
        known = asked.get(name, {})
        used = set()
        found[name] = []
        for entry in here:
            keys = [f"card-{key_of(None, by)}" if " " in by else by for by in entry.get("by") or ()]
            missing = [
                by for by, key in zip(entry.get("by") or (), keys, strict=True) if key not in known
            ]
            faults += [f"{name}: nothing there is called {by!r}" for by in missing]
            if not keys:
                faults.append(f"{name}: nothing shows that a reader can {entry['can']}")
            used |= set(keys)
            shown = tuple((key, known[key].title) for key in keys if key in known)
            found[name].append(Objective(entry["can"], shown))
        faults += [
            f"{name}: {key} belongs to no objective of {FILE}"
            for key, what in known.items()
            if what.kind in _MUST_SERVE and key not in used
        ]
    faults += [f"{FILE}: there is no page {name!r}" for name in entries]
    if faults:
        raise ValueError("\n".join(faults))
    return {name: objectives for name, objectives in found.items() if objectives}


class ObjectivesDirective(Activity):
    """The map as a list: chapters, objectives, links to what shows them."""

    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Read the map and build its nodes."""
        folder = Path(self.env.srcdir)
        for path in (folder / FILE, *folder.glob("*.md")):
            self.env.note_dependency(str(path))
        try:
            chapters = read(folder)
        except ValueError as error:
            raise self.error(str(error)) from error
        pages = Pages(folder).pages
        found: list[nodes.Node] = []
        for name, objectives in chapters.items():
            if name not in self.env.found_docs:
                continue  # the book is built without this chapter
            number = int(name.partition("-")[0])
            found.append(nodes.rubric("", "", *self.inline(f"{number} · {pages[name].title}")))
            items = nodes.bullet_list()
            for objective in objectives:
                line = nodes.paragraph("", "", *self.inline(objective.can), nodes.Text(": "))
                for place, (key, title) in enumerate(objective.by):
                    line += nodes.Text(", " if place else "")
                    link = nodes.reference("", "", internal=True, refuri=f"{name}.html#{key}")
                    link += self.inline(title)
                    line += link
                items += nodes.list_item("", line)
            found.append(items)
        return found


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("objectives", ObjectivesDirective)
