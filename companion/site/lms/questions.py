"""What the chapters ask, read from their own directives, for other systems to ask as well.

A quiz becomes a `Choice` or a `Number`, a prediction with a known answer too, an order an
`Ordering`, an exercise and a recall card an `Open` question. Tasks stay in the book: they need the
widget. Texts are plain Markdown with mathematics between `$`; roles and references are resolved as
in the notebooks.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from companion.site.activities import key_of
from companion.site.activities.order import parse_ordering
from companion.site.activities.predict import parse_prediction, settle
from companion.site.activities.quiz import CLOSELY, Option, parse_question
from companion.site.activities.recall import parse_cards
from companion.site.notebooks import Book, source_cells
from companion.site.plain_markdown import Converter, Directive, Page, Pages

#: Kinds of questions, in the order in which they are handed out, and what a teacher reads.
KINDS = {
    "quiz": "Quiz",
    "predict": "Predictions",
    "order": "Lines to order",
    "exercise": "Exercises",
    "recall": "Recall cards",
}


@dataclass(frozen=True)
class Picture:
    """An image that belongs to a question: its name there, its bytes (WebP or PNG), what it shows.

    `row` is the text beside it in the figure.
    """

    name: str
    data: bytes
    alt: str
    row: str


@dataclass(frozen=True)
class Asked:
    """What all questions have.

    Attributes:
        page: name of the chapter's file, as "12-vae".
        kind: one of `KINDS`.
        key: the directive's label, or a mark of its text; once in the book.
        title: what it is called, as "Question 3".
        text: the question.
        after: what is to be read once it has been answered; "" if nothing.
        pictures: what has to be seen with it.
        table: a table that has to be seen with it, as HTML rows of cells.
    """

    page: str
    kind: str
    key: str
    title: str
    text: str
    after: str = ""
    pictures: tuple[Picture, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Choice(Asked):
    """Options, of which one or several are right."""

    options: tuple[Option, ...] = ()

    @property
    def right(self) -> tuple[int, ...]:
        """Places of the right options."""
        return tuple(n for n, option in enumerate(self.options) if option.right)


@dataclass(frozen=True)
class Number(Asked):
    """A number within a tolerance.

    Attributes:
        value, tolerance: what is right, and how far off an answer still is.
        feedback: for a right answer; `low` and `high` for one that is too low or too high.
        mistakes: answers that are expected and wrong, each with its feedback.
        scale: the least and the largest number that can be answered, if there are such.
    """

    value: float = 0.0
    tolerance: float = 0.0
    feedback: str = ""
    low: str = ""
    high: str = ""
    mistakes: tuple[tuple[float, str], ...] = ()
    scale: tuple[float, float] | None = None

    @property
    def rounded(self) -> float:
        """The value as a student should read it: off by a hundredth of the tolerance at most."""
        digits = range(1, 16) if self.tolerance else ()
        short = (float(f"{self.value:.{number}g}") for number in digits)
        near = (value for value in short if abs(value - self.value) <= self.tolerance / 100)
        return next(near, self.value)


@dataclass(frozen=True)
class Ordering(Asked):
    """Lines to put in order (`companion.site.activities.order.Ordering` has the same fields)."""

    lines: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    orders: tuple[tuple[int, ...], ...] = ()
    shown: tuple[int, ...] = ()

    @property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """For each line that belongs: the places, from 1, that it has in a right order."""
        count = len(self.orders[0])
        return tuple(
            tuple(sorted({order.index(line) + 1 for order in self.orders})) for line in range(count)
        )


@dataclass(frozen=True)
class Open(Asked):
    """Answered in words or in code, and judged by a person; `answer` is the book's own."""

    answer: str = ""
    code: bool = False


def collect(folder: Path, built: Path | None = None) -> list[Asked]:
    """All questions of a book, chapter by chapter, in the order of the text.

    Args:
        folder: the book's Markdown, as for `companion.site.notebooks.Book`.
        built: the built site, whose pages know the truths that cells computed, and the figures.
            Chapters that it does not have are left out. Without it such predictions are left out,
            and questions come without their figures.

    Raises:
        ValueError: there is no chapter, one can't be read, or two questions have one key.
    """
    pages = Book(folder).pages
    if not pages.notebooks:
        raise ValueError(f"{folder}: expected chapters (*.md with a kernelspec), got none")
    pages.collect_labels(_run)
    asked: list[Asked] = []
    for page in pages.notebooks:
        file = built / f"{page.name}.html" if built else None
        if file and not file.is_file():
            continue  # the book is built without this chapter
        html = file.read_text("utf-8") if file else ""
        reader = _Reader(pages, page, dict(_TRUTH.findall(html)))
        _run(reader)
        asked += [
            _with_figure(question, html, reader.illustrated)
            for question in reader.asked
            # An exercise without a solution sends its readers to a quiz, which is exported itself.
            if not isinstance(question, Open) or question.answer
        ]
    keys = [question.key for question in asked]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"two questions of the book have the key {twice[0]!r}")
    return asked


class Title(NamedTuple):
    """What a thing that is asked is called: its kind (one of `KINDS`, or "task") and its title."""

    kind: str
    title: str


def titles(folder: Path) -> dict[str, dict[str, Title]]:
    """What is asked on each page of a book, tasks included, by page and key.

    Raises:
        ValueError: a chapter can't be read.
    """
    pages = Book(folder).pages
    pages.collect_labels(_run)
    found = {}
    for page in pages.notebooks:
        reader = _Reader(pages, page, {})
        _run(reader)
        found[page.name] = reader.titles
    return found


_TRUTH = re.compile(r'data-predict="predict/([^"]+)" data-truth="([^"]+)"')


def _run(converter: Converter) -> None:
    for cell, line in source_cells(converter.page):
        if cell.cell_type == "markdown":
            converter.cell(cell.source.split("\n"), line)
        elif isinstance(converter, _Reader):
            converter.code(cell.source)


class _Reader(Converter):
    """Keeps what is asked while it converts a page.

    Args:
        truths: of predictions, as the built page has them, by "page/key".

    Attributes:
        asked: the questions.
        illustrated: keys of those to which the figure above (-1) or below (1) belongs.
        titles: what everything is called that is asked, also what is no question for others.
    """

    def __init__(self, book: Pages, page: Page, truths: Mapping[str, str]) -> None:
        super().__init__(book, page)
        self.asked: list[Asked] = []
        self.illustrated: dict[str, int] = {}
        self.titles: dict[str, Title] = {}
        self._truths = truths
        self._part: list[str] | None = None  # of the exercise or solution that is open
        self._inside = False  # of a directive
        self._has_code = False

    def code(self, source: str) -> None:
        """A cell of code, which may belong to an exercise or its solution."""
        if self._part is not None:
            self._has_code = True
            self._part.append(f"```python\n{source}\n```")

    def _block(self, rows: list[str], line: int, *, quoted: bool = False) -> str:
        text = super()._block(rows, line, quoted=quoted)
        if self._part is not None and not self._inside:
            self._part.append(text)
        return text

    def _directive(self, directive: Directive) -> str:
        self._inside = True
        try:
            if read := getattr(self, f"_ask_{directive.name.replace('-', '_')}", None):
                read(directive)
                return ""
            text = super()._directive(directive)
        finally:
            self._inside = False
        if self._part is not None:
            self._part.append(text)
        return text

    def _link(self, text: str, page: Page) -> str:
        return text  # there are no other pages where the question goes

    def _role(self, name: str, content: str, line: int) -> str:
        text = super()._role(name, content, line)
        return f"{text} of the book" if name == "eq" else text

    def _option(self, option: Option, line: int) -> Option:
        return Option(
            self._inline(option.text, line), self._inline(option.feedback, line), option.right
        )

    def _key(self, kind: str, label: str | None, text: str, title: str) -> str:
        key = key_of(label, text)
        self.titles[key] = Title(kind, title)
        return key

    def _ask_task(self, directive: Directive) -> None:
        """Needs its widget: it has a title and is no question for others."""
        self._key("task", directive.options.get("label"), "\n".join(directive.body), "Task")

    def _ask_quiz(self, directive: Directive) -> None:
        question, first = self._parsed(directive, parse_question), directive.first
        title = self._numbered("Question ", directive)
        key = self._key("quiz", directive.options.get("label"), question.text, title)
        after = ""
        if question.closely:
            box = self._text(list(question.closely), first + question.closely_at)
            after = f"**{CLOSELY}**\n\n{box}"
        if "picture" in directive.options:
            self.illustrated[key] = -1
        text = self._text(question.text.split("\n"), first)
        if question.value is None:
            options = tuple(self._option(option, first) for option in question.options)
            self.asked.append(
                Choice(self.page.name, "quiz", key, title, text, after, options=options)
            )
            return
        mistakes = tuple((value, self._inline(hint, first)) for value, hint in question.mistakes)
        self.asked.append(
            Number(
                self.page.name, "quiz", key, title, text, after,
                value=question.value, tolerance=question.tolerance, mistakes=mistakes,
                feedback=self._inline(question.feedback, first),
            )
        )  # fmt: skip

    def _ask_predict(self, directive: Directive) -> None:
        first, options = directive.first, directive.options
        prediction = self._parsed(directive, parse_prediction, options)
        key = self._key("predict", options.get("label"), prediction.text, "Prediction")
        if prediction.quantity or not prediction.exported:
            return  # a widget shows the answer, or the question is nothing without its page
        if isinstance(prediction.truth, str):
            told = self._truths.get(f"{self.page.name}/{key}")
            if told is None:
                return  # the book is not built
            truth = float(told)
        else:
            truth, _ = settle(prediction, {})
        text = self._text(prediction.text.split("\n"), first)
        here = (self.page.name, "predict", key, "Prediction", text)
        if prediction.options:
            choices = tuple(
                replace(self._option(option, first), right=place == truth)
                for place, option in enumerate(prediction.options)
            )
            self.asked.append(Choice(*here, self._inline(prediction.near, first), options=choices))
            return
        scale = prediction.scale
        assert scale  # a prediction has options or a scale
        unit = f" {options['unit']}" if "unit" in options else ""
        text = f"{text}\n\nYour guess, from {scale.low:.12g} to {scale.high:.12g}{unit}?"
        near, low, high = (
            self._inline(sentence, first)
            for sentence in (prediction.near, prediction.low, prediction.high)
        )
        self.asked.append(
            Number(
                *here[:-1], text, f"It is {_short(truth)}{unit}.",
                value=truth, tolerance=prediction.tolerance, feedback=near, low=low, high=high,
                scale=(scale.low, scale.high),
            )
        )  # fmt: skip

    def _ask_order(self, directive: Directive) -> None:
        ordering, first = (
            self._parsed(directive, parse_ordering, directive.options),
            directive.first,
        )
        key = self._key("order", directive.options.get("label"), ordering.text, "Lines to order")
        self.asked.append(
            Ordering(
                self.page.name, "order", key, "Put in order",
                self._text(ordering.text.split("\n"), first),
                lines=tuple(self._inline(line, first) for line in ordering.lines),
                reasons=tuple(self._inline(reason, first) for reason in ordering.reasons),
                orders=ordering.orders, shown=ordering.shown,
            )
        )  # fmt: skip

    def _ask_recall(self, directive: Directive) -> None:
        for card in self._parsed(directive, parse_cards):
            front, back = (self._inline(side, directive.first) for side in (card.front, card.back))
            key = f"card-{card.key}"
            self.titles[key] = Title("recall", "Recall card")
            self.asked.append(Open(self.page.name, "recall", key, "Recall", front, answer=back))

    def _ask_exercise_start(self, directive: Directive) -> None:
        title = self._start(directive).lstrip("# ")
        key = self._key("exercise", directive.options.get("label"), title, title)
        self.asked.append(Open(self.page.name, "exercise", key, title, ""))
        self._part, self._has_code = [], False

    def _ask_exercise_end(self, directive: Directive) -> None:
        self._end(directive)
        code = self._has_code
        last = self.asked[-1]
        assert isinstance(last, Open)
        self.asked[-1] = replace(last, text="\n\n".join(self._part or ()), code=code)
        if not code:
            self.illustrated[last.key] = 1
        self._part = None

    def _ask_solution_start(self, directive: Directive) -> None:
        self._start(directive)
        self._part = [directive.argument]

    def _ask_solution_end(self, directive: Directive) -> None:
        self._end(directive)
        key, *parts = self._part or [""]
        self._part = None
        for place, question in enumerate(self.asked):
            if isinstance(question, Open) and question.key == key:
                self.asked[place] = replace(question, answer="\n\n".join(parts))


def _short(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"


class _Figures(HTMLParser):
    """The figures (lists of pictures) and tables (lists of rows) that cells put into a page.

    Attributes:
        found: each with the place in the page where it begins.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[int, list[Picture], list[list[str]]]] = []
        self._starts = [0]
        for line in html.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._in = ""  # "figure" or "table"
        self._row, self._alt = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if values.get("class") in ("companion-picture", "companion-table"):
            line, column = self.getpos()
            self.found.append((self._starts[line - 1] + column, [], []))
            self._in, self._row, self._alt = tag, "", values.get("aria-label", "")
        elif tag == "img" and self._in == "figure":
            kind, _, data = values["src"].partition(";base64,")
            pictures = self.found[-1][1]
            name = f"{len(pictures) + 1}.{kind.rpartition('/')[2]}"
            alt = values.get("alt") or self._alt
            pictures.append(Picture(name, b64decode(data), alt, self._row.strip()))
            self._row = ""
        elif tag == "tr" and self._in == "table":
            self.found[-1][2].append([])
        elif tag in ("td", "th") and self._in == "table":
            self.found[-1][2][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._in:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "figure":
            self._row += data
        elif self._in == "table" and self.found[-1][2]:
            self.found[-1][2][-1][-1] += data


def _with_figure(question: Asked, html: str, illustrated: Mapping[str, int]) -> Asked:
    """The question with the figure next to it, and the table that follows the figure."""
    side = illustrated.get(question.key, 0)
    here = html.find(f'id="{question.key}"')
    if not side or here < 0:
        return question
    found = [each for each in _Figures(html).found if (each[0] - here) * side > 0]
    places = [place for place, (_, pictures, _) in enumerate(found) if pictures]
    if not places:
        raise ValueError(f"{question.page}: no figure stands beside the question {question.key!r}")
    place = places[-1] if side < 0 else places[0]
    rows = found[place + 1][2] if place + 1 < len(found) else []
    pictures = (
        replace(picture, name=f"{question.key}-{picture.name}") for picture in found[place][1]
    )
    return replace(question, pictures=tuple(pictures), table=tuple(map(tuple, rows)))
