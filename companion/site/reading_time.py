"""How many minutes a chapter takes: an estimate, computed from its text when the book is built.

Nobody has measured them in a class yet. The reading speed is published (Brysbaert 2019: most adults
read English non-fiction at 175 to 300 words a minute); we take the slow end, since the text is
dense and English is a second language for most of its readers. All other figures are assumptions,
and book/teaching.md says so.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

WORDS_PER_MINUTE = 175

#: Assumed minutes for one of each: what is read, then what is done.
READ = {"formula": 0.5, "line of code": 0.05}
DO = {
    "widget": 2.0,
    "task": 2.0,
    "prediction": 1.0,
    "question": 1.0,
    "ordering": 2.0,
    "recall card": 0.25,
    "exercise": 6.0,
}
_STEP = 5  # minutes are told in steps of these

#: Parts of a chapter of which the minutes can be told; "optional" is not in the other two.
PARTS = ("reading", "doing", "optional")

_DIRECTIVES = {"task": "task", "predict": "prediction", "quiz": "question", "order": "ordering"}
_FENCE = re.compile(r"^(`{3,})(?:\{([\w-]+)\})?[^\n`]*\n(.*?)^\1`*[ ]*$", re.MULTILINE | re.DOTALL)
_EXERCISE = re.compile(
    r"^`{3,}\{(exercise|solution)-start\}.*?^`{3,}\{\1-end\}\n`{3,}", re.MULTILINE | re.DOTALL
)
_FORMULA = re.compile(r"^\$\$$.*?^\$\$.*?$", re.MULTILINE | re.DOTALL)
_IMPORTED = re.compile(r"^from companion\.widgets import (?:\(([^)]*)\)|([^\n]*))", re.MULTILINE)
_WORD = re.compile(r"\$[^$]+\$|[^\W_][\w’'-]*")
_HEADING = re.compile(r"^(#{2,6}) (.+)$")


@dataclass(frozen=True)
class Counts:
    """What a text holds: words, and how many of each thing in `READ` and `DO`."""

    words: int
    things: dict[str, int]

    @property
    def reading(self) -> float:
        """Minutes to read it."""
        return self.words / WORDS_PER_MINUTE + self._minutes(READ)

    @property
    def doing(self) -> float:
        """Minutes to do what it asks."""
        return self._minutes(DO)

    def _minutes(self, each: dict[str, float]) -> float:
        return sum(minutes * self.things[thing] for thing, minutes in each.items())


def count(text: str, widgets: frozenset[str] = frozenset()) -> Counts:
    """What a piece of a chapter's Markdown holds.

    The words of activities, exercises and solutions count as theirs.

    Args:
        text: the Markdown, without front matter.
        widgets: names of widgets; a cell with a line that begins with one shows it.
    """
    things = dict.fromkeys([*READ, *DO], 0)

    def exercise(match: re.Match[str]) -> str:
        things["exercise"] += match[1] == "exercise"
        return ""

    def fence(match: re.Match[str]) -> str:
        name, body = match[2], match[3]
        if name == "admonition":
            return re.sub(r"^:.*$", "", body, flags=re.MULTILINE)
        if name == "recall":
            things["recall card"] += len(re.findall(r"^- ", body, re.MULTILINE))
        elif name in _DIRECTIVES:
            things[_DIRECTIVES[name]] += 1
        elif name == "code-cell":
            things["widget"] += any(
                row.partition("(")[0] in widgets for row in body.split("\n") if "(" in row
            )
            if "hide-input" not in body.partition("\n")[0]:
                things["line of code"] += sum(bool(row.strip()) for row in body.split("\n"))
        return ""

    def formula(match: re.Match[str]) -> str:
        things["formula"] += 1
        return ""

    text = _FENCE.sub(fence, _EXERCISE.sub(exercise, text))
    text = _FORMULA.sub(formula, text)
    text = re.sub(r"\{[\w:]+\}`[^`]*`", "", text)
    return Counts(len(_WORD.findall(text)), things)


def parts(text: str) -> tuple[str, str]:
    """A chapter's Markdown without and with only its optional sections (“Optional: …”)."""
    must: list[str] = []
    may: list[str] = []
    optional = 0  # the level of the heading of the optional section that is open
    fence = ""
    for row in re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).split("\n"):
        if mark := re.match(r"`{3,}", row):
            fence = "" if fence and row.startswith(fence) else fence or mark[0]
        elif not fence and (heading := _HEADING.match(row)):
            level = len(heading[1])
            if optional and level <= optional:
                optional = 0
            if not optional and heading[2].startswith("Optional"):
                optional = level
        (may if optional else must).append(row)
    return "\n".join(must), "\n".join(may)


def minutes(text: str) -> dict[str, int]:
    """Estimated minutes for each of `PARTS` of a chapter's Markdown, in steps of five.

    However short it is, a step for reading.
    """
    names = {
        name for found in _IMPORTED.findall(text) for name in re.findall(r"\w+", "".join(found))
    }
    must, may = (count(part, frozenset(names)) for part in parts(text))
    exact = must.reading, must.doing, may.reading + may.doing
    steps = {part: round(m / _STEP) for part, m in zip(PARTS, exact, strict=True)}
    return {part: _STEP * n for part, n in (steps | {"reading": max(1, steps["reading"])}).items()}


def told(text: str, part: str) -> str:
    """The minutes of one part as a page shows them.

    Raises:
        ValueError: there is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"{{minutes}} is one of {', '.join(PARTS)}, got {part!r}")
    return str(minutes(text)[part])


class MinutesRole(SphinxRole):
    """{minutes}`reading` in a chapter: how many it takes."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Compute them from the chapter's file."""
        text = Path(self.env.doc2path(self.env.docname)).read_text("utf-8")
        try:
            return [nodes.Text(told(text, self.text))], []
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class MinutesDirective(SphinxDirective):
    """`{minutes-table}`: the estimate for every chapter, and what it is made of."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Read the chapters and build the table."""
        rows = [["chapter", "reading", "doing", "optional sections"]]
        total = dict.fromkeys(PARTS, 0)
        for name in sorted(self.env.found_docs):
            path = Path(self.env.doc2path(name))
            text = path.read_text("utf-8")
            self.env.note_dependency(str(path))
            if "{minutes}`" not in text or name == self.env.docname:
                continue
            here = minutes(text)
            title = re.search(r"^# (.+)$", text, re.MULTILINE)
            number, _, rest = name.partition("-")
            label = re.sub(r"[*]", "", title[1]) if title else rest
            rows.append([f"{int(number)} · {label}", *(str(here[p] or "–") for p in PARTS)])
            total = {part: total[part] + here[part] for part in PARTS}
        rows.append(["all", *(str(total[part]) for part in PARTS)])
        table = nodes.table("", classes=["minutes"])
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in rows[0]), cols=len(rows[0]))
        head, body = nodes.thead(), nodes.tbody()
        for place, row in enumerate(rows):
            cells = (nodes.entry("", nodes.paragraph("", cell)) for cell in row)
            (body if place else head).append(nodes.row("", *cells))
        group.extend([head, body])
        table += group
        return [table]


def setup(app: Sphinx) -> None:
    """Register the role and the directive."""
    app.add_role("minutes", MinutesRole())
    app.add_directive("minutes-table", MinutesDirective)
