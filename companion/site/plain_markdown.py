"""From the book's MyST Markdown to plain Markdown that Jupyter and Colab show well.

The book uses a small part of MyST, and this module knows that part and no other: the directives in
`_DIRECTIVES`, the roles in `Converter._role`, `(label)=` before a heading, and formulas between
lines of `$$`. Whatever else only the book would understand is an error with file and line. The
rest stays as it was written, except that blocks are set apart by exactly one blank line.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.plugin import find_plugin
from sphinxcontrib.bibtex.citation_target import parse_citation_targets

from companion.site import reading_time
from companion.site.activities.goals import parse_goal
from companion.site.activities.order import parse_ordering
from companion.site.activities.predict import parse_prediction
from companion.site.activities.quiz import CLOSELY, Option, parse_question
from companion.site.activities.recall import parse_cards

T = TypeVar("T")

#: The MyST extensions that the book is built with: what any other adds is not known here.
EXTENSIONS = {"dollarmath"}

_FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
_TITLE = re.compile(r"# (.+)", re.MULTILINE)

# Lines that begin a block, and the one that ends a formula.
_FENCE = re.compile(r"(`{3,})[^`]*")
_DIRECTIVE = re.compile(r"`{3,}\{([^}]+)\}\s*(.*)")
_LABEL = re.compile(r"\(([\w-]+)\)=")
_HEADING = re.compile(r"(#{1,6}) (.+)")
_CODE_LINE = re.compile(r"`([^`]+)`")
_FORMULA_END = re.compile(r"\$\$(?: \(([\w-]+)\))?")

# In a paragraph: a role; code, which nobody alters; a formula.
_INLINE = re.compile(
    r"\{(?P<role>[^{}\s`]+)\}`(?P<content>[^`]+)`"
    r"|(?<!\\)(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|(?<!\\)\$(?:[^$\\]|\\.)+\$",
    re.DOTALL,
)

# What a paragraph must not hold, because the book reads it and a notebook shows it as it is.
_ROWS_OF_THE_BOOK = re.compile(
    r"^[\s>*+\d.-]*(?:`{3}|~{3}|:{3}|\$\$).*"  # a fence or a formula, in a list or a quote
    r"|^\s*(?:%.*|\([\w-]+\)=)",  # a comment; a label in the middle of a text
    re.MULTILINE,
)
_TEXTS_OF_THE_BOOK = re.compile(
    r"\$\$|\[\^[^\]]+\]"  # a displayed formula in a line; a footnote
    r"|\]\((?!https?://)[^)]*\)|<(?:inv|myst|path|project):[^>]*>"  # a link to a file of the book
    r"|\{[^{}\s`]+\}`"  # a role that never ends
)


class Directive(NamedTuple):
    """A directive of a chapter; `line` is the number of its own line, `first` of its text's."""

    name: str
    argument: str
    options: dict[str, str]
    body: list[str]
    line: int
    first: int


class Label(NamedTuple):
    """What a reference shows: the page that has the label, and the words for it."""

    page: str
    text: str


@dataclass
class Page:
    """A Markdown file of the book.

    Attributes:
        path: the file.
        text: its content.
        metadata: its front matter.
        title: its heading of level one.
        cited: keys of the works that it cites, as far as it has been read.
    """

    path: Path
    text: str
    metadata: dict[str, Any]
    title: str
    cited: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The page's name in `_toc.yml` and in references."""
        return self.path.stem

    @property
    def chapter(self) -> str:
        """What its exercises' and equations' numbers begin with, as on the built page: "10."."""
        number = re.match(r"\d+", self.name)
        return f"{int(number[0])}." if number else ""

    @property
    def is_notebook(self) -> bool:
        """Whether an .ipynb is made of it."""
        return "kernelspec" in self.metadata


class Pages:
    """All pages of the book, and the labels by which they refer to one another.

    Args:
        folder: holds the pages (`*.md`) and `references.bib`.

    Attributes:
        pages: the pages by name, in order of their names.
        labels: what the labels of the notebooks stand for.
        collecting: whether the labels are being collected, so that not all are known yet.

    Raises:
        ValueError: a page without a title.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {path.stem: _read(path) for path in sorted(folder.glob("*.md"))}
        self.labels: dict[str, Label] = {}
        self.collecting = False

    @property
    def notebooks(self) -> list[Page]:
        """The pages of which notebooks are made."""
        return [page for page in self.pages.values() if page.is_notebook]

    @cached_property
    def bibliography(self) -> BibliographyData:
        """The works in `references.bib`."""
        return parse_file(str(self.folder / "references.bib"))

    @cached_property
    def authors(self) -> dict[str, str]:
        """By a work's key, its authors as a citation names them."""
        return {key: _authors(entry) for key, entry in self.bibliography.entries.items()}

    def collect_labels(self, convert: Callable[["Converter"], object]) -> None:
        """Convert every notebook once, so that the next time each label and citation is known."""
        self.labels = {}
        self.collecting = True
        for page in self.notebooks:
            convert(Converter(self, page))
        self.collecting = False


def _read(path: Path) -> Page:
    text = path.read_text("utf-8")
    front = _FRONT_MATTER.match(text)
    metadata = (yaml.safe_load(front[1]) or {}) if front else {}
    title = _TITLE.search(text, front.end() if front else 0)
    if not title:
        raise ValueError(f"{path}: expected a heading of level one (# …), got none")
    return Page(path, text, metadata, title[1])


class Converter:
    """Converts one page, cell by cell, in the order of the text: it counts as it goes.

    Args:
        book: all pages.
        page: the one to convert.

    Attributes:
        solution: title of the solution that is open after the last cell, if one is.
        exercises: label of each exercise so far, by the line that is its heading.
    """

    def __init__(self, book: Pages, page: Page) -> None:
        self.book = book
        self.page = page
        self.solution: str | None = None
        self.exercises: dict[str, str] = {}
        self._open: tuple[str, int] | None = None  # "exercise" or "solution", and its line
        self._counts: Counter[str] = Counter()
        self._level = 1  # of the last heading

    def error(self, line: int, message: str) -> ValueError:
        """The one kind of error there is: file, line, what is wrong."""
        return ValueError(f"{self.page.path}:{line}: {message}")

    def cell(self, lines: list[str], first: int) -> str:
        """Turn a Markdown cell into plain Markdown.

        Args:
            lines: the cell's text.
            first: number of its first line in the file.

        Raises:
            ValueError: it holds something that has no form in a notebook.
        """
        blocks: list[str] = []
        folded: list[str] = []  # the blocks of a solution, which are not shown at once

        def unfold() -> None:
            if folded:
                blocks.append(_details("Show the solution", "\n\n".join(folded)))
                folded.clear()

        for line, rows in self._blocks(lines, first):
            was_open = self.solution
            if directive := _DIRECTIVE.fullmatch(rows[0]):
                block = self._directive(
                    self._read(directive[1], directive[2].strip(), rows[1:-1], line)
                )
            else:
                block = self._block(rows, line)
            if was_open and self.solution:
                folded.append(block)
            else:
                unfold()
                blocks.append(block)
        unfold()
        return "\n\n".join(filter(None, blocks))

    def finish(self) -> str:
        """What follows the last cell: the list of the cited works.

        Raises:
            ValueError: an exercise or a solution is still open.
        """
        if self._open:
            kind, line = self._open
            raise self.error(line, f"this {{{kind}-start}} is never ended")
        return f"## References\n\n{works}" if (works := self._works()) else ""

    # Blocks ---------------------------------------------------------------------------------------

    def _blocks(self, lines: list[str], first: int) -> Iterator[tuple[int, list[str]]]:
        """Fences, formulas, headings with their label, paragraphs: number of the line, lines."""
        position = 0
        while position < len(lines):
            start, text = position, lines[position].rstrip()
            position += 1
            if not text:
                continue
            fence = _FENCE.fullmatch(text)
            if fence or text == "$$":
                closing = re.compile(fence[1] + "`*") if fence else _FORMULA_END
                while position < len(lines) and not closing.fullmatch(lines[position].rstrip()):
                    position += 1
                if position == len(lines):
                    raise self.error(first + start, f"{text} is not closed")
                position += 1
            elif _LABEL.fullmatch(text):
                position += 1
            elif not _HEADING.fullmatch(text):
                # Only a fence or a heading may follow a paragraph without a blank line.
                while position < len(lines) and not (
                    not lines[position].strip()
                    or _FENCE.fullmatch(lines[position])
                    or _HEADING.fullmatch(lines[position])
                ):
                    position += 1
            yield first + start, lines[start:position]

    def _block(self, rows: list[str], line: int, *, quoted: bool = False) -> str:
        """Convert a block that is no directive.

        Args:
            rows: its lines.
            line: number of the first.
            quoted: whether it goes into a blockquote, where Jupyter takes the `>` of a formula's
                second line for a part of the formula.
        """
        head = rows[0].rstrip()
        if head == "$$":
            return self._formula(rows, line, one_line=quoted)
        if _DIRECTIVE.fullmatch(head):
            raise self.error(line, f"{head}: a directive inside another has no form in a notebook")
        if _FENCE.fullmatch(head):
            return "\n".join(rows)
        label = _LABEL.fullmatch(head)
        heading = _HEADING.fullmatch(rows[-1]) if label or len(rows) == 1 else None
        if heading:
            self._level = len(heading[1])
            title = self._title(heading[2], line)
            self._register(label and label[1], f"“{title}”", line)
            return f"{heading[1]} {title}"
        if label:
            raise self.error(line, f"the label {label[1]!r} needs a heading in the next line")
        text = "\n".join(rows)
        if left := _ROWS_OF_THE_BOOK.search(text):
            at = line + text.count("\n", 0, left.start())
            raise self.error(at, f"{left[0].strip()!r} has no form in a notebook inside a text")
        return self._inline(text, line)

    def _text(self, lines: list[str], first: int, *, quoted: bool = False) -> str:
        """Convert the text inside a directive, which may hold no other directive."""
        blocks = self._blocks(lines, first)
        return "\n\n".join(self._block(rows, line, quoted=quoted) for line, rows in blocks)

    def _formula(self, rows: list[str], line: int, *, one_line: bool) -> str:
        """A displayed formula; one with a label has its number in it, for no notebook counts."""
        tex = "\n".join(row.rstrip() for row in rows[1:-1] if row.strip())
        if "\\\\" in tex and "\\begin" not in tex:
            raise self.error(line, "a formula of several lines needs \\begin{aligned}")
        end = _FORMULA_END.fullmatch(rows[-1].rstrip())
        if end and end[1]:
            number = f"({self.page.chapter}{self._count('equation')})"
            self._register(end[1], number, line)
            tex += f" \\qquad {number}"
        return f"$${' '.join(tex.split())}$$" if one_line else f"$$\n{tex}\n$$"

    # Directives -----------------------------------------------------------------------------------

    def _directive(self, directive: Directive) -> str:
        return _DIRECTIVES[directive.name].render(self, directive)

    def _read(self, name: str, argument: str, body: list[str], line: int) -> Directive:
        """A directive with its options read off its body."""
        kind = _DIRECTIVES.get(name)
        if kind is None:
            raise self.error(line, f"the directive {{{name}}} has no form in a notebook")
        if argument and not kind.argument:
            raise self.error(line, f"{{{name}}} takes nothing behind its name, got {argument!r}")
        options: dict[str, str] = {}
        first = line + 1
        while body and body[0].startswith((":", "---")):
            option = re.fullmatch(r":(\w+):(.*)", body[0])
            if not option or option[1] not in kind.options:
                raise self.error(first, f"the option {body[0]!r} of {{{name}}} is not known here")
            options[option[1]] = option[2].strip()
            body, first = body[1:], first + 1
        return Directive(name, argument, options, body, line, first)

    def _admonition(self, directive: Directive) -> str:
        title = self._title(directive.argument, directive.line)
        dropdown = "dropdown" in directive.options.get("class", "").split()
        text = self._text(directive.body, directive.first, quoted=not dropdown)
        return _details(title, text) if dropdown else _quote(f"**{title}**\n\n{text}")

    def _start(self, directive: Directive) -> str:
        """An exercise or a solution, which may span cells, begins."""
        if self._open:
            raise self.error(directive.line, f"{{{self._open[0]}-end}} is missing before this")
        if any(directive.body):
            raise self.error(directive.line, f"the text belongs below {{{directive.name}}}")
        kind = directive.name.removesuffix("-start")
        self._open = kind, directive.line
        if kind == "exercise":
            name = self._numbered(f"Exercise {self.page.chapter}", directive)
            title = self._title(directive.argument, directive.line)
            heading = self._subheading(f"{name} — {title}" if title else name)
            if label := directive.options.get("label"):
                self.exercises[heading] = label
            return heading
        exercise = self._label(directive.argument, directive.line).text
        self.solution = f"Solution to {exercise[:1].lower()}{exercise[1:]}"
        return self._subheading(self.solution)

    def _end(self, directive: Directive) -> str:
        kind = directive.name.removesuffix("-end")
        if self._open is None or self._open[0] != kind:
            raise self.error(directive.line, f"{{{kind}-end}} without {{{kind}-start}}")
        self._open = self.solution = None
        return ""

    def _parsed(self, directive: Directive, parse: Callable[..., T], *arguments: Any) -> T:
        """What `parse` makes of the directive's text; its complaint gets file and line."""
        try:
            return parse(directive.body, *arguments)
        except ValueError as error:
            raise self.error(directive.line, str(error)) from error

    def _quiz(self, directive: Directive) -> str:
        first = directive.first
        question = self._parsed(directive, parse_question)
        asked = [f"**{self._numbered('Question ', directive)}**"]
        asked.append(self._text(question.text.split("\n"), first))
        if question.value is not None:
            number = f"{question.value:.12g}"
            if question.tolerance:
                number += f" ± {question.tolerance:.12g}"
            feedback = self._inline(question.feedback, first)
            answer = f"**{number}** — {feedback}" if feedback else f"**{number}**"
        else:
            asked.append(self._choices(question.options, first))
            answer = self._verdicts(question.options, first)
        asked.append(_details("Answer", answer))
        if question.closely:
            box = self._text(list(question.closely), first + question.closely_at)
            asked.append(_details(CLOSELY, box))
        return "\n\n".join(asked)

    def _choices(self, options: Iterable[Option], line: int) -> str:
        lettered = zip("ABCDEFGH", options, strict=False)
        return "\n".join(f"- **{a}.** {self._inline(option.text, line)}" for a, option in lettered)

    def _verdicts(self, options: Iterable[Option], line: int) -> str:
        """The right options with their feedback, then the others."""
        right, wrong = [], []
        for letter, option in zip("ABCDEFGH", options, strict=False):
            feedback = self._inline(option.feedback, line)
            if option.right:
                right.append(f"- **{letter}** — {feedback or 'right'}")
            else:
                wrong.append(f"- {letter} — {feedback or 'no'}")
        return "\n".join(right + wrong)

    def _predict(self, directive: Directive) -> str:
        first, options = directive.first, directive.options
        prediction = self._parsed(directive, parse_prediction, options)
        self._register(options.get("label"), "the prediction", directive.line)
        asked = [f"**Predict.** {self._text(prediction.text.split(chr(10)), first)}"]
        if prediction.scale:
            low, high = prediction.scale.low, prediction.scale.high
            unit = options.get("unit")
            asked.append(f"Your guess, from {low:.12g} to {high:.12g}{f' {unit}' * bool(unit)}?")
        if prediction.options:
            asked.append(self._choices(prediction.options, first))
        if prediction.quantity:
            when = f", at `{options['when']}`" if prediction.when else ""
            answer = [f"The widget shows it as `{prediction.quantity}`{when}."]
        elif isinstance(prediction.truth, str):
            answer = [f'The cell that calls `truth("{prediction.truth}", …)` says it.']
        elif prediction.options:
            answer = [self._verdicts(prediction.options, first)]
        else:
            answer = [f"**{prediction.truth:.12g}**"]
        told = {"Close": prediction.near, "Too low": prediction.low, "Too high": prediction.high}
        if isinstance(prediction.truth, str):
            lettered = zip("ABCDEFGH", prediction.options, strict=False)
            told |= {letter: option.feedback for letter, option in lettered}
        sentences = [
            f"- *{kind}:* {self._inline(text, first)}" for kind, text in told.items() if text
        ]
        if sentences:
            answer.append("\n".join(sentences))
        return "\n\n".join([*asked, _details("Compare", "\n\n".join(answer))])

    def _task(self, directive: Directive) -> str:
        try:
            parse_goal(directive.options.get("goal", ""))
        except ValueError as error:
            raise self.error(directive.line, str(error)) from error
        self._register(directive.options.get("label"), "the task", directive.line)
        text = self._text(directive.body, directive.first, quoted=True)
        return _quote(f"**Task.** {text}")

    def _recall(self, directive: Directive) -> str:
        cards = self._parsed(directive, parse_cards)
        folded = [
            _details(
                self._inline(card.front, directive.first), self._inline(card.back, directive.first)
            )
            for card in cards
        ]
        return "\n\n".join(["**Recall** (answer first, then look)", *folded])

    def _order(self, directive: Directive) -> str:
        first = directive.first
        ordering = self._parsed(directive, parse_ordering, directive.options)
        self._register(directive.options.get("label"), "the lines to order", directive.line)
        count = len(ordering.orders[0])
        asked = [f"**Put in order.** {self._text(ordering.text.split(chr(10)), first)}"]
        asked.append(self._lines([ordering.lines[line] for line in ordering.shown], first))
        solution = [self._lines(ordering.lines[:count], first)]
        for order in ordering.orders[1:]:
            numbers = " ".join(str(line + 1) for line in order)
            solution.append(f"Right, too, by the numbers of these lines: {numbers}.")
        out = [
            f"- {self._inline(text, first)} — {self._inline(reason, first) or 'does not belong'}"
            for text, reason in zip(ordering.lines[count:], ordering.reasons, strict=True)
        ]
        if out:
            asked.append("Not every line belongs.")
            solution.append("Left out:\n\n" + "\n".join(out))
        return "\n\n".join([*asked, _details("Solution", "\n\n".join(solution))])

    def _lines(self, lines: Sequence[str], line: int) -> str:
        """Lines of code as such, others as a list."""
        code = [match[1] for text in lines if (match := _CODE_LINE.fullmatch(text))]
        if len(code) == len(lines):
            return "\n".join(["```python", *code, "```"])
        return "\n".join(f"- {self._inline(text, line)}" for text in lines)

    def _subheading(self, text: str) -> str:
        return f"{'#' * (self._level + 1)} {text}"

    # Labels ---------------------------------------------------------------------------------------

    def _count(self, kind: str) -> int:
        self._counts[kind] += 1
        return self._counts[kind]

    def _numbered(self, kind: str, directive: Directive) -> str:
        """The next of its kind, as "Exercise 4.2", for which the label in the options stands."""
        name = f"{kind}{self._count(kind)}"
        self._register(directive.options.get("label"), name, directive.line)
        return name

    def _register(self, label: str | None, text: str, line: int) -> None:
        if label is None or not self.book.collecting:
            return
        if label in self.book.labels:
            raise self.error(line, f"the label {label!r} is used twice")
        self.book.labels[label] = Label(self.page.name, text)

    def _label(self, name: str, line: int) -> Label:
        if name not in self.book.labels and not self.book.collecting:
            raise self.error(line, f"no chapter has the label {name!r}")
        return self.book.labels.get(name) or Label(self.page.name, "?")

    # Inside a paragraph, title or cell of a table -------------------------------------------------

    def _title(self, text: str, line: int) -> str:
        """Convert a title; other titles may refer to it, so it refers to nothing itself."""
        if any(match["role"] in {"eq", "ref"} for match in _INLINE.finditer(text)):
            raise self.error(line, f"a title can't refer to something else, got {text!r}")
        return self._inline(text, line)

    def _inline(self, text: str, line: int) -> str:
        def line_of(position: int) -> int:
            return line + text.count("\n", 0, position)

        bare = _INLINE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
        if left := _TEXTS_OF_THE_BOOK.search(bare):
            found = text[left.start() : left.end()]
            raise self.error(line_of(left.start()), f"{found!r} has no form in a notebook")

        def converted(match: re.Match[str]) -> str:
            if match["role"]:
                at = line_of(match.start())
                if match["role"].startswith("cite") and text.startswith("(", match.end()):
                    raise self.error(at, "a bracket right behind a citation would make it a link")
                return self._role(match["role"], match["content"], at)
            # Jupyter takes the line breaks of a formula for its own.
            return match[0] if match["ticks"] else " ".join(match[0].split())

        plain = _INLINE.sub(converted, text)
        if re.match(r"\s*\[[^\]]+\]:", plain):
            raise self.error(line, "this beginning would be the definition of a link in a notebook")
        return plain

    def _role(self, name: str, content: str, line: int) -> str:
        match name:
            case "cite:p" | "cite:t":
                return self._cite(content, line, in_text=name == "cite:t")
            case "eq" | "ref":
                label = self._label(content, line)
                page = self.book.pages[label.page]
                here = page is self.page
                return label.text if here else self._link(f"{label.text} of “{page.title}”", page)
            case "doc" if content in self.book.pages:
                page = self.book.pages[content]
                return self._link(page.title, page)
            case "doc":
                raise self.error(line, f"{content!r} is no page of the book")
            case "minutes":
                try:
                    return reading_time.told(self.page.text, content)
                except ValueError as error:
                    raise self.error(line, str(error)) from error
        raise self.error(line, f"the role {{{name}}} has no form in a notebook")

    def _link(self, text: str, page: Page) -> str:
        return f"[{text}]({page.name}.ipynb)" if page.is_notebook else text

    # Citations ------------------------------------------------------------------------------------

    def _cite(self, content: str, line: int, *, in_text: bool) -> str:
        """A citation as the book has it, in square brackets, which may stand beside round ones."""
        works = []
        for key, before, after in parse_citation_targets(content):
            if key not in self.book.bibliography.entries or before:
                raise self.error(line, f"references.bib has no work {before or key!r}")
            self.page.cited.add(key)
            where = f", {after}" if after else ""
            works.append((self.book.authors[key], self._year(key) + where))
        if in_text:
            return "; ".join(f"{who} [{when}]" for who, when in works)
        return "[" + "; ".join(f"{who}, {when}" for who, when in works) + "]"

    def _year(self, key: str) -> str:
        """The year, with a letter where the chapter cites two works alike."""
        entries = self.book.bibliography.entries

        def name(other: str) -> tuple[str, str]:
            return self.book.authors[other], entries[other].fields.get("year", "n.d.")

        alike = sorted(other for other in self.page.cited if name(other) == name(key))
        letter = "abcdefgh"[alike.index(key)] if len(alike) > 1 else ""
        return name(key)[1] + letter

    def _works(self) -> str:
        """The list of the cited works, in order of their names in the text."""
        if not self.page.cited:
            return ""
        data = self.book.bibliography
        style = find_plugin("pybtex.style.formatting", "unsrt")()
        works = {}
        for entry in style.format_bibliography(data, sorted(self.page.cited)):
            # The back end escapes more than the middle of a line needs.
            text = re.sub(r"\\([-.()+!#])", r"\1", entry.text.render(Backend()))
            who, when = self.book.authors[entry.key], self._year(entry.key)
            works[who, when, entry.key] = f"- **{who} [{when}]**: {' '.join(text.split())}"
        return "\n".join(works[name] for name in sorted(works))


class _Kind(NamedTuple):
    """How a directive is rendered, the options it may have, whether it takes an argument."""

    render: Callable[[Converter, Directive], str]
    options: frozenset[str] = frozenset()
    argument: bool = True


_DIRECTIVES = {
    "admonition": _Kind(Converter._admonition, frozenset({"class"})),
    "exercise-end": _Kind(Converter._end, argument=False),
    "exercise-start": _Kind(Converter._start, frozenset({"label"})),
    "order": _Kind(Converter._order, frozenset({"label", "or"}), argument=False),
    "predict": _Kind(
        Converter._predict,
        frozenset({"label", "scale", "unit", "quantity", "when", "widget", "later", "export"}),
        argument=False,
    ),
    "quiz": _Kind(Converter._quiz, frozenset({"label", "picture"}), argument=False),
    "recall": _Kind(Converter._recall, argument=False),
    "solution-end": _Kind(Converter._end, argument=False),
    "solution-start": _Kind(Converter._start, frozenset({"class"})),
    "task": _Kind(Converter._task, frozenset({"label", "goal", "widget", "later"}), argument=False),
}


def _authors(entry: Entry) -> str:
    """Names as a citation has them: "Kingma & Welling", "Higgins et al."."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [
        " ".join(str(part) for part in person.rich_prelast_names + person.rich_last_names)
        for person in persons
    ]
    if not names:
        return str(entry.rich_fields["title"])
    return names[0] + " et al." if len(names) > 2 else " & ".join(names)


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _details(title: str, text: str) -> str:
    """Markdown that is folded away under a title."""
    summary = f"<summary><b>{_SUMMARY.renderInline(title)}</b></summary>"
    return f"<details>\n{summary}\n\n{text}\n\n</details>"


# Jupyter leaves Markdown inside <summary> as it is: make HTML of it, but leave mathematics.
_SUMMARY = MarkdownIt("commonmark").use(dollarmath_plugin)
_SUMMARY.add_render_rule(
    "math_inline", lambda self, tokens, i, options, env: f"${escape(tokens[i].content)}$"
)
