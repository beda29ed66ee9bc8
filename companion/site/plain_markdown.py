"""From the book's MyST Markdown to plain Markdown that Jupyter and Colab show well.

Directives, roles, labels, citations and footnotes become headings, quotes, <details>, links and
numbers; everything else stays as it was written, character by character: the text is parsed with
MyST's own parser, and only what the book alone understands is replaced in it. Syntax that is not
known here is an error with file and line, never left over.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from docutils.parsers.rst.directives.misc import TestDirective
from docutils.parsers.rst.states import MarkupError
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.directives import parse_directive_text
from myst_parser.parsers.mdit import create_md_parser
from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.plugin import find_plugin

from companion.site.quiz import parse_question

# What each MyST extension adds is handled below (or, as linkify, changes nothing in the source).
EXTENSIONS = {
    "amsmath": True,
    "attrs_inline": True,
    "colon_fence": True,
    "deflist": True,
    "dollarmath": True,
    "linkify": False,
    "tasklist": False,  # it alters the texts that positions are counted in; the syntax is Jupyter's
}

ADMONITIONS = {
    "attention": "Attention",
    "caution": "Caution",
    "danger": "Danger",
    "error": "Error",
    "hint": "Hint",
    "important": "Important",
    "note": "Note",
    "seealso": "See also",
    "tip": "Tip",
    "warning": "Warning",
}
NO_GLUE = "{glue} is not allowed: print or show the value in its cell"
# A display environment → what may stand between $$ in MathJax and in KaTeX alike.
ENVIRONMENTS = {"align": "aligned", "alignat": "alignedat", "gather": "gathered", "equation": ""}


@dataclass(frozen=True)
class Label:
    """What a reference shows: the page of the label, its text, its number if it has one."""

    page: str
    text: str
    number: str = ""


@dataclass
class Page:
    """One Markdown file of the book.

    Attributes:
        path: the file.
        text: its content.
        start: index of the first line after the front matter.
        metadata: its front matter.
        footnotes: the labels of its footnotes.
        title: its first heading of level one, or what the front matter says.
        cited: keys of the works it cites.
    """

    path: Path
    text: str
    start: int
    metadata: dict[str, Any]
    footnotes: set[str]
    title: str
    cited: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The page's name in `_toc.yml` and in references."""
        return self.path.stem

    @property
    def is_notebook(self) -> bool:
        """Whether an .ipynb is made of it."""
        return "kernelspec" in self.metadata


@dataclass(frozen=True)
class Directive:
    """One directive of a chapter, parsed: `line` is its own, `body_line` that of its first text."""

    name: str
    argument: str
    options: dict[str, str]
    body: list[str]
    line: int
    body_line: int
    quoted: bool
    labels: list[str]

    @property
    def classes(self) -> set[str]:
        """The names in its `class` option."""
        return set(self.options.get("class", "").replace(",", " ").split())


@dataclass
class Gate:
    """An exercise or a solution that spans cells and is open at the moment."""

    kind: str
    title: str
    line: int


class _WithArgument(TestDirective):
    """Tells MyST's parser to take any option, and the first line as argument."""

    final_argument_whitespace = True
    has_content = True


class _WithoutArgument(_WithArgument):
    """As above, but a text on the first line belongs to the body."""

    optional_arguments = 0


def _directive_head(info: str) -> tuple[str, str]:
    """Name and argument in the first line of a fence; two empty texts if it is no directive."""
    match = re.match(r"\s*\{([^}\s]+)\}\s*(.*)", info)
    return (match[1], match[2]) if match else ("", "")


class Pages:
    """All pages of the book, and what they know of one another.

    Args:
        folder: holds the pages (`*.md`) and `references.bib`.
        extensions: names of the MyST extensions that the book is built with.

    Attributes:
        pages: the pages by name, in order of their names.
        labels: what the labels stand for, as the last pass over all pages found it.
        config: MyST's settings.
        parser: MyST's parser for texts without front matter.

    Raises:
        ValueError: an extension that is not known here.
    """

    def __init__(self, folder: Path, extensions: set[str]) -> None:
        if unknown := sorted(extensions - set(EXTENSIONS)):
            raise ValueError(
                f"the notebooks know the MyST extensions {', '.join(EXTENSIONS)}; "
                f"enabled is also {', '.join(unknown)}"
            )
        self.folder = folder
        self.labels: dict[str, Label] = {}
        self.found: dict[str, Label] = {}  # in the pass that is under way
        wanted = {name for name in extensions if EXTENSIONS[name]}
        self.config = MdParserConfig(enable_extensions=wanted)
        self.parser = _parser(self.config)
        self.pages = {path.stem: self._read(path) for path in sorted(folder.glob("*.md"))}
        self.parser.disable("front_matter")

    def _read(self, path: Path) -> Page:
        text = path.read_text("utf-8")
        tokens = self.parser.parse(text)
        metadata: dict[str, Any] = {}
        start = 0
        if tokens and tokens[0].type == "front_matter" and tokens[0].map:
            metadata = yaml.safe_load(tokens[0].content) or {}
            start = tokens[0].map[1]
        notes = {t.meta["label"] for t in tokens if t.type == "footnote_reference_open"}
        title = str(metadata.get("title") or path.stem)
        return Page(path, text, start, metadata, notes, title)

    @cached_property
    def bibliography(self) -> BibliographyData:
        """The works in `references.bib`."""
        return parse_file(str(self.folder / "references.bib"))

    def settle(self, convert: Callable[["Converter"], object]) -> None:
        """Convert all pages until the texts and numbers that references need no longer change.

        Raises:
            ValueError: they never settle, because titles refer to one another.
        """
        for _ in range(5):
            self.found = {}
            for page in self.pages.values():
                convert(Converter(self, page, final=False))
            settled = self.found == self.labels
            self.labels, self.found = self.found, {}
            if settled:
                return
        raise ValueError(f"{self.folder}: the references in its titles run in a circle")

    def left_over(self, text: str) -> str | None:
        """The first piece of syntax that only the book knows in a text that should have none."""
        for token in _every(self.parser.parse(text)):
            left = token.type in _BOOK_ONLY or "attrs" in token.meta
            left = left or (token.type == "fence" and token.info.startswith("{"))
            if left or (token.type == "text" and re.search(r"\[\^\S+\]", token.content)):
                return token.info or token.content or token.type
        return None


_BOOK_ONLY = {
    "amsmath", "colon_fence", "dl_open", "footnote_ref", "footnote_reference_open",
    "math_block_label", "myst_block_break", "myst_line_comment", "myst_role", "myst_target",
    "span_open",
}  # fmt: skip


def _every(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _every(token.children or [])


def _parser(config: MdParserConfig) -> MarkdownIt:
    """MyST's own parser, whose inline tokens also know where they stand in the source."""
    parser = create_md_parser(config, RendererHTML)
    rules = parser.inline.ruler
    active = list(zip(rules.get_active_rules(), rules.getRules(""), strict=True))
    for name, rule in active:
        rules.at(name, _recording(name, rule))
    return parser


def _recording(
    name: str, rule: Callable[[StateInline, bool], bool]
) -> Callable[[StateInline, bool], bool]:
    """Wrap an inline rule so that the token it makes notes its `span` in the source."""

    def recorded(state: StateInline, silent: bool) -> bool:
        start, known = state.pos, len(state.tokens)
        if not rule(state, silent):
            return False
        if silent:
            return True
        if name == "attr":  # it makes no token but decorates the last one
            state.tokens[-1].meta["attrs"] = (start, state.pos)
        for token in state.tokens[known:]:
            if token.type != "text" and "span" not in token.meta:
                token.meta["span"] = (start, state.pos)
                if name in {"link", "span"}:
                    token.meta["label_end"] = state.md.helpers.parseLinkLabel(
                        state, start, name == "link"
                    )
                break
        return True

    return recorded


class Converter:
    """Converts one page, cell by cell.

    Args:
        book: all pages.
        page: the one to convert.
        final: whether every label is known by now, so that one which is not is an error.
    """

    def __init__(self, book: Pages, page: Page, *, final: bool) -> None:
        self.book = book
        self.page = page
        self.final = final
        self.counts: Counter[str] = Counter()
        self.level = 1
        self.gate: Gate | None = None
        self.notes: list[str] = []
        self.note_texts: dict[str, list[str]] = {}
        self.titled = False  # whether a heading of level one has come
        self.listed = False  # whether the chapter has its own {bibliography}

    def error(self, line: int, message: str) -> ValueError:
        """The one kind of error there is: file, line, what is wrong."""
        return ValueError(f"{self.page.path}:{line}: {message}")

    @property
    def solution(self) -> str | None:
        """Title of the solution that spans cells and is open at the moment, if one is."""
        return self.gate.title if self.gate and self.gate.kind == "solution" else None

    def caption(self, text: str, label: str | None, line: int) -> str:
        """The caption of a figure that a code cell draws."""
        name = self._numbered("Figure", [label] if label else [], line)
        words = " ".join(self.convert(text.split("\n"), line))
        return _emphasis(f"{name}. {words}" if words else name)

    def finish(self) -> list[str]:
        """What follows the last cell: footnotes, and the cited works if nothing else lists them.

        Raises:
            ValueError: an exercise or a solution that spans cells is still open.
        """
        if self.gate:
            raise self.error(self.gate.line, f"this {{{self.gate.kind}-start}} is never ended")
        lines = ["## Notes", ""] if self.notes else []
        for number, label in enumerate(self.notes, start=1):
            first, *more = self.note_texts[label]
            marker = f"{number}. "
            lines += [marker + first, *_indented(more, " " * len(marker))]
        works = [] if self.listed else self._works()
        if works:
            lines += [*([""] if lines else []), "## References", "", *works]
        return lines

    # Blocks ---------------------------------------------------------------------------------------

    def convert(
        self, lines: list[str], first: int, *, quoted: bool = False, top: bool = False
    ) -> list[str]:
        """Turn Markdown of the book into plain Markdown.

        Args:
            lines: the text.
            first: number of its first line in the file, for messages.
            quoted: whether the result goes into a blockquote, where Jupyter takes the `>` of a
                second line for a part of the mathematics.
            top: whether this is a whole cell, where an exercise or a solution may start or end.
        """
        edits = _Edits(lines)
        pending: list[str] = []  # labels that stand before the next block
        fold_from = 0 if top and self.solution else None
        environment = self._environment()
        tokens = self.book.parser.parse("\n".join(lines), environment)
        definitions = environment.get("references", {}) if self.page.is_notebook else {}
        for name, link in definitions.items():
            message = f"write the link [{name}] inline: cells of a notebook don't share definitions"
            raise self.error(first + link["map"][0], message)
        position = 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            if token.map is None:
                continue
            start, end = token.map
            line = first + start
            match token.type:
                case "myst_target":
                    pending.append(token.content)
                    edits.replace(start, end, [])
                    continue
                case "myst_line_comment" | "myst_block_break":
                    edits.replace(start, end, [""])
                    continue
                case "inline":
                    in_cell = tokens[position - 2].type in {"td_open", "th_open"}
                    self._edit_inline(edits, token, first, in_cell)
                case "heading_open":
                    self._heading(tokens[position], int(token.tag[1]), pending, line)
                    pending = []
                case "fence" | "colon_fence":
                    name, _ = _directive_head(token.info)
                    if name in _GATES:
                        if not top or token.level:
                            raise self.error(
                                line, f"{{{name}}} must not stand inside another block"
                            )
                        if fold_from is not None:
                            edits.fold(fold_from, start)
                    if name:
                        directive = self._directive(token, lines, first, quoted, pending)
                        edits.replace_block(start, end, token.markup, self._render(directive))
                        pending = []
                    elif token.type == "colon_fence":
                        raise self.error(line, "expected `:::{name}`, or this `:::` closes nothing")
                    if name in _GATES:
                        fold_from = end if self.solution else None
                case "math_block" | "math_block_label" | "amsmath":
                    labels = pending + ([token.info] if token.type == "math_block_label" else [])
                    pending = []
                    marker = token.markup or "\\begin"
                    end += token.type == "amsmath"  # its map leaves out the last line
                    inside = quoted or ">" in lines[start].partition(marker)[0]
                    formula = self._display_math(token.content, labels, line, one_line=inside)
                    edits.replace_block(start, end, marker, formula)
                case "footnote_reference_open":
                    body = "\n".join(lines[start:end]).partition("]:")[2].lstrip().split("\n")
                    body[1:] = textwrap.dedent("\n".join(body[1:])).split("\n")
                    self.note_texts[token.meta["label"]] = self.convert(body, line)
                    edits.replace(start, end, [])
                    position = _after(tokens, position, "footnote_reference_close")
                case "dl_open":
                    close = _after(tokens, position, "dl_close")
                    marker = tokens[position + 1].content.partition("\n")[0]
                    inside = quoted or ">" in lines[start].partition(marker)[0]
                    out = self._definitions(tokens[position:close], lines, first, inside)
                    edits.replace_block(start, end, marker, [*out, ""])
                    position = close
            self._register(pending, Label(self.page.name, ""), line)
            pending = []
        self._register(pending, Label(self.page.name, ""), first + len(lines))
        if fold_from is not None:
            edits.fold(fold_from, len(lines))
        return edits.apply()

    def _environment(self) -> dict[str, Any]:
        """What the parser has to know of the rest of the page: which footnotes there are."""
        return {"footnotes": {"refs": {f":{label}": -1 for label in self.page.footnotes}}}

    def _directive(
        self, token: Token, lines: list[str], first: int, quoted: bool, pending: list[str]
    ) -> Directive:
        start, end = token.map or (0, 0)
        line = first + start
        name, argument = _directive_head(token.info)
        closing = lines[end - 1].strip(" >") if end > start + 1 else ""
        if set(closing) != {token.markup[0]} or len(closing) < len(token.markup):
            raise self.error(line, f"{{{name}}} is not closed (an outer fence needs more ticks)")
        known = _DIRECTIVES.get(name)
        takes = _WithArgument if known is None or known.argument else _WithoutArgument
        try:
            # As MyST does: a fence that begins the text is no option of this directive.
            shift = token.content.startswith(":::")
            parsed = parse_directive_text(takes, argument, "\n" * shift + token.content)
        except MarkupError as error:
            raise self.error(line, f"{{{name}}}: {error}") from error
        if parsed.warnings:
            raise self.error(line, f"{{{name}}}: {parsed.warnings[0].msg}")
        options = {key: str(value or "") for key, value in parsed.options.items()}
        return Directive(
            name=name,
            argument=" ".join(parsed.arguments),
            options=options,
            body=list(parsed.body),
            line=line,
            body_line=line + 1 + parsed.body_offset - shift,
            quoted=quoted or ">" in lines[start].partition(token.markup)[0],
            labels=pending + [options[key] for key in ("label", "name") if options.get(key)],
        )

    def _render(self, directive: Directive) -> list[str]:
        name = directive.name
        if known := _DIRECTIVES.get(name):
            return known.render(self, directive)
        if name.startswith("glue"):
            raise self.error(directive.line, NO_GLUE)
        if name in {"code-cell", "raw-cell"}:
            raise self.error(directive.line, f"{{{name}}} must not stand inside another block")
        if not self.page.is_notebook:
            return []
        known_names = ", ".join(sorted(_DIRECTIVES))
        message = f"the directive {{{name}}} has no form in a notebook; known are {known_names}"
        raise self.error(directive.line, message)

    def _body(self, directive: Directive, *, quoted: bool = False) -> list[str]:
        return self.convert(directive.body, directive.body_line, quoted=directive.quoted or quoted)

    def _heading(self, inline: Token, level: int, labels: list[str], line: int) -> None:
        # A reference to the title may become a link, which can't hold another.
        text = re.sub(r"\[(.*?)\]\([^()]*\)", r"\1", self.inline(inline.content, line))
        self.level = level
        if level == 1 and not self.titled:
            self.page.title = text
            self.titled = True
        self._register(labels, Label(self.page.name, f"“{text}”"), line)

    def _definitions(
        self, tokens: list[Token], lines: list[str], first: int, quoted: bool
    ) -> list[str]:
        out: list[str] = []
        for position, token in enumerate(tokens):
            if token.level != tokens[0].level or token.map is None:
                continue
            start, end = token.map
            if token.type == "dt_open":
                out.append(f"- **{self.inline(tokens[position + 1].content, first + start)}**:")
            elif token.type == "dd_open":
                while not (match := re.match(r"([\s>]*)[:~]\s+(.*)", lines[start])):
                    start += 1  # the map of a second definition begins at its term
                more = [line[len(match[1]) :] for line in lines[start + 1 : end]]
                body = [match[2], *textwrap.dedent("\n".join(more)).split("\n")]
                converted = self.convert(body, first + start, quoted=quoted)
                if out[-1].endswith("**:"):
                    out[-1] += f" {converted.pop(0)}"
                else:
                    out.append("")
                out += _indented(converted, "  ")
        return out

    def _numbered(self, kind: str, labels: list[str], line: int) -> str:
        """The next number of a kind of thing, as "Figure 2", for which the labels then stand."""
        self.counts[kind] += 1
        number = str(self.counts[kind])
        self._register(labels, Label(self.page.name, f"{kind} {number}", number), line)
        return f"{kind} {number}"

    def _register(self, labels: list[str], label: Label, line: int) -> None:
        for name in labels:
            key = _normal(name)
            if key in self.book.found:
                raise self.error(line, f"the label {name!r} is used twice")
            self.book.found[key] = label

    # Directives -----------------------------------------------------------------------------------

    def _box(self, directive: Directive) -> list[str]:
        title = self.inline(directive.argument, directive.line)
        title = title or ADMONITIONS.get(directive.name, "")
        self._register(directive.labels, Label(self.page.name, f"“{title}”"), directive.line)
        if "dropdown" in directive.classes:
            return _details(title, self._body(directive))
        return _quote(title, self._body(directive, quoted=True))

    def _dropdown(self, directive: Directive) -> list[str]:
        title = self.inline(directive.argument, directive.line) or "Show"
        self._register(directive.labels, Label(self.page.name, f"“{title}”"), directive.line)
        return _details(title, self._body(directive))

    def _figure(self, directive: Directive) -> list[str]:
        caption, legend = _split_paragraph(self._body(directive))
        alt = directive.options.get("alt") or " ".join(caption)
        address = directive.argument.lstrip("/")
        out = [f"![{alt.replace('[', '(').replace(']', ')')}]({address})"]
        if directive.name == "image":
            self._register(directive.labels, Label(self.page.name, ""), directive.line)
            return out
        name = self._numbered("Figure", directive.labels, directive.line)
        text = f"{name}. {' '.join(caption)}" if caption else name
        return [*out, "", _emphasis(text), *(["", *legend] if legend else [])]

    def _table(self, directive: Directive) -> list[str]:
        name = self._numbered("Table", directive.labels, directive.line)
        caption = self.inline(directive.argument, directive.line)
        return [_emphasis(f"{name}. {caption}" if caption else name), "", *self._body(directive)]

    def _math(self, directive: Directive) -> list[str]:
        tex = "\n".join([directive.argument, *directive.body])
        return self._display_math(tex, directive.labels, directive.line, one_line=directive.quoted)

    def _code_block(self, directive: Directive) -> list[str]:
        ticks = max((len(run) for run in re.findall("`+", "\n".join(directive.body))), default=0)
        fence = "`" * max(3, ticks + 1)
        self._register(directive.labels, Label(self.page.name, ""), directive.line)
        return [fence + directive.argument, *directive.body, fence]

    def _exercise(self, directive: Directive) -> list[str]:
        if "hidden" in directive.options:
            self._register(directive.labels, Label(self.page.name, ""), directive.line)
            return []
        subtitle = self.inline(directive.argument, directive.line)
        if "nonumber" in directive.options:
            name = "Exercise"
            label = Label(self.page.name, f"Exercise “{subtitle}”" if subtitle else name)
            self._register(directive.labels, label, directive.line)
        else:
            name = self._numbered("Exercise", directive.labels, directive.line)
        heading = self._subheading(f"{name} — {subtitle}" if subtitle else name)
        return [heading, "", *self._body(directive)]

    def _solution(self, directive: Directive) -> list[str]:
        title = self._solution_title(directive)
        if "hidden" in directive.options:
            return []
        return [self._subheading(title), "", *_details("Show the solution", self._body(directive))]

    def _solution_title(self, directive: Directive) -> str:
        exercise = self._label(directive.argument, directive.line, directive.name).text
        title = f"Solution to {exercise[:1].lower()}{exercise[1:]}"
        self._register(directive.labels, Label(self.page.name, title), directive.line)
        return title

    def _subheading(self, text: str) -> str:
        return f"{'#' * min(self.level + 1, 6)} {text}"

    def _start(self, directive: Directive) -> list[str]:
        """An exercise or a solution that spans cells begins."""
        kind = directive.name.removesuffix("-start")
        if self.gate:
            raise self.error(directive.line, f"{{{self.gate.kind}-end}} is missing before this")
        if any(directive.body):
            raise self.error(directive.line, f"the text belongs below {{{directive.name}}}")
        if kind == "exercise":
            self.gate = Gate(kind, "", directive.line)
            return self._exercise(directive)[:1]
        self.gate = Gate(kind, self._solution_title(directive), directive.line)
        return [self._subheading(self.gate.title)]

    def _end(self, directive: Directive) -> list[str]:
        """An exercise or a solution that spans cells ends."""
        kind = directive.name.removesuffix("-end")
        if self.gate is None or self.gate.kind != kind:
            raise self.error(directive.line, f"{{{directive.name}}} without {{{kind}-start}}")
        self.gate = None
        return []

    def _quiz(self, directive: Directive) -> list[str]:
        try:
            question = parse_question(directive.body)
        except ValueError as error:
            raise self.error(directive.line, str(error)) from error
        line = directive.body_line
        name = self._numbered("Question", directive.labels, directive.line)
        text = self.convert(question.text.split("\n"), line, quoted=directive.quoted)
        out = [f"**{name}**", "", *text, ""]
        if question.value is not None:
            number = f"{question.value:.12g}"
            if question.tolerance:
                number += f" ± {question.tolerance:.12g}"
            feedback = self.inline(question.feedback, line)
            answers = [f"**{number}** — {feedback}" if feedback else f"**{number}**"]
        else:
            answers = []
            options = sorted(enumerate(question.options), key=lambda item: not item[1].right)
            for position, option in enumerate(question.options):
                out.append(f"- **{_letter(position)}.** {self.inline(option.text, line)}")
            for position, option in options:
                letter = f"**{_letter(position)}**" if option.right else _letter(position)
                feedback = self.inline(option.feedback, line) or ("right" if option.right else "no")
                answers.append(f"- {letter} — {feedback}")
            out.append("")
        return [*out, *_details("Answer", answers)]

    def _card(self, directive: Directive) -> list[str]:
        title = self.inline(directive.argument, directive.line)
        if link := directive.options.get("link"):
            text, address = self._destination(link, directive.line)
            title = f"[{title or text}]({address})" if address else title or text
        body = ["" if re.match(r"(\^{3,}|\+{3,})\s*$", line) else line for line in directive.body]
        return _titled(title, self.convert(body, directive.body_line, quoted=directive.quoted))

    def _section(self, directive: Directive) -> list[str]:
        title = self.inline(directive.argument, directive.line)
        return _titled(title, self._body(directive))

    def _plain(self, directive: Directive) -> list[str]:
        return self._body(directive)

    def _quotation(self, directive: Directive) -> list[str]:
        return _quote("", self._body(directive, quoted=True))

    def _nothing(self, directive: Directive) -> list[str]:
        return []

    def _contents(self, directive: Directive) -> list[str]:
        others = (page for page in self.book.pages.values() if page is not self.page)
        return [
            f"- [{page.title}]({page.name}.ipynb)" if page.is_notebook else f"- {page.title}"
            for page in others
        ]

    def _bibliography(self, directive: Directive) -> list[str]:
        self.listed = True
        return self._works()

    # Mathematics ----------------------------------------------------------------------------------

    def _display_math(self, tex: str, labels: list[str], line: int, *, one_line: bool) -> list[str]:
        """A displayed formula between $$, which MathJax and KaTeX both typeset."""
        if match := re.search(r"\\(label|ref|eqref)\b", tex):
            raise self.error(line, f"\\{match[1]} fails in a notebook; label as in $$…$$ (label)")
        rows = [re.sub(r"(?<!\\)%.*", "", row).rstrip() for row in tex.split("\n")]
        tex = textwrap.dedent("\n".join(row for row in rows if row)).strip()
        whole = re.fullmatch(r"\\begin\{(\w+)(\*?)\}(.*)\\end\{\1\2\}", tex, re.DOTALL)
        if whole and whole[1] in ENVIRONMENTS:
            inner = ENVIRONMENTS[whole[1]]
            tex = whole[3].strip("\n")
            if inner:
                tex = f"\\begin{{{inner}}}{whole[3]}\\end{{{inner}}}"
        elif whole and whole[1] in {"multline", "flalign", "eqnarray"}:
            raise self.error(line, f"the environment {whole[1]} fails in a notebook; use align")
        elif "\\\\" in tex and "\\begin" not in tex:
            tex = f"\\begin{{aligned}}\n{tex}\n\\end{{aligned}}"
        if labels:
            self.counts["equation"] += 1
            number = f"({self.counts['equation']})"
            self._register(labels, Label(self.page.name, number, number), line)
            tex += f" \\qquad {number}"
        if one_line:
            return [f"$${' '.join(tex.split())}$$"]
        return ["$$", *tex.split("\n"), "$$"]

    # Inline ---------------------------------------------------------------------------------------

    def inline(self, text: str, line: int) -> str:
        """Convert the text of one paragraph, title or cell."""
        (token,) = self.book.parser.parseInline(text, self._environment())
        for start, end, new in sorted(self._inline_edits(token, line), reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _edit_inline(self, edits: "_Edits", token: Token, first: int, in_cell: bool) -> None:
        """Carry the edits of an inline token over to the lines of the source."""
        top = (token.map or [0])[0]
        changes = self._inline_edits(token, first + top)
        if not changes and not in_cell:
            return
        rows = token.content.split("\n")
        starts = [0]
        for row in rows[:-1]:
            starts.append(starts[-1] + len(row) + 1)
        columns = [edits.locate(top + i, row, in_cell) for i, row in enumerate(rows)]
        if min(columns) < 0:
            raise self.error(first + top, f"cannot find the text {token.content!r} in its line")

        def place(offset: int) -> tuple[int, int]:
            row = max(i for i, begin in enumerate(starts) if begin <= offset)
            # In a table's cell each bar of the text is escaped in the source.
            bars = token.content.count("|", 0, offset) if in_cell else 0
            return top + row, columns[row] + offset - starts[row] + bars

        for start, end, new in changes:
            edits.replace_span(place(start), place(end), new)

    def _inline_edits(self, token: Token, line: int) -> list[tuple[int, int, str]]:
        edits: list[tuple[int, int, str]] = []
        content = token.content
        for child in token.children or []:
            if attrs := child.meta.get("attrs"):
                edits.append((*attrs, ""))
            if "span" not in child.meta:
                continue
            start, end = child.meta["span"]
            at = line + content.count("\n", 0, start)
            if child.type == "myst_role":
                edits.append((start, end, self._role(child.meta["name"], child.content, at)))
            elif child.type == "footnote_ref":
                edits.append((start, end, self._footnote(child.meta["label"])))
            elif child.type == "math_inline":
                if "$$" in (content[start - 1 : start + 1], content[end - 1 : end + 1]):
                    raise self.error(at, "a formula between $$ needs a blank line before and after")
                if "\n" in content[start:end]:
                    edits.append((start, end, " ".join(content[start:end].split())))
            elif child.type == "span_open":
                edits += [(start, start + 1, ""), (child.meta["label_end"], end, "")]
            elif child.type == "link_open":
                label_end = child.meta.get("label_end")  # none in <https://…>
                edits += self._link(str(child.attrs["href"]), (start, end), label_end, at)
            elif child.type == "image" and any(t.type == "myst_role" for t in child.children or []):
                raise self.error(at, "an image's alt text takes no roles")
        return edits

    def _footnote(self, label: str) -> str:
        if label not in self.notes:
            self.notes.append(label)
        return f"<sup>{self.notes.index(label) + 1}</sup>"

    def _link(
        self, href: str, span: tuple[int, int], label_end: int | None, line: int
    ) -> list[tuple[int, int, str]]:
        """Point a link at the notebooks, or leave its text where a notebook can't link."""
        start, end = span
        if re.match(r"(inv|myst|path|project):", href):
            raise self.error(
                line, f"a notebook knows no links of the kind <{href}>; use {{ref}} or {{doc}}"
            )
        if label_end is None:
            return []
        text, address = self._destination(unquote(href), line)
        if label_end == start + 1:
            return [(start, end, f"[{text}]({address})" if address else text)]
        if address:
            return [(label_end, end, f"]({address})")]
        return [(start, start + 1, ""), (label_end, end, "")]

    def _destination(self, target: str, line: int) -> tuple[str, str | None]:
        """What a link says by itself, and where it leads from a notebook, if it can."""
        path, _, anchor = target.partition("#")
        name = re.sub(r"^\.?/|\.(md|ipynb)$", "", path)
        if urlsplit(target).scheme or not self.final:
            return target, target
        if label := self.book.labels.get(_normal(anchor or path)):
            return self._described(label), self._address(self.book.pages[label.page])
        if page := self.book.pages.get(name):
            return page.title, self._address(page)
        if path and (self.book.folder / path).is_file():
            return Path(path).name, path
        raise self.error(line, f"{target!r} is no page, label or file of the book")

    def _address(self, page: Page) -> str | None:
        return f"{page.name}.ipynb" if page.is_notebook and page is not self.page else None

    def _label(self, name: str, line: int, role: str) -> Label:
        label = self.book.labels.get(_normal(name))
        if label is None:
            if self.final:
                raise self.error(line, f"{{{role}}} refers to {name!r}, and no page has that label")
            return Label(self.page.name, "?", "?")
        return label

    def _described(self, label: Label) -> str:
        """The text of a reference by itself; one to another chapter says to which."""
        page = self.book.pages[label.page]
        if page is self.page or label.text == f"“{page.title}”":
            return label.text
        return f"{label.text} of “{page.title}”"

    def _role(self, name: str, content: str, line: int) -> str:
        if name.partition(":")[0] == "cite":
            return self._cite(name.partition(":")[2] or "p", content, line)
        if name.startswith("glue"):
            raise self.error(line, NO_GLUE)
        if match := re.fullmatch(r"(.*?)\s*<([^<>]+)>", content, re.DOTALL):
            text, target = match[1], match[2]
        else:
            text, target = None, content
        match name:
            case "ref" | "prf:ref" | "eq" | "numref":
                label = self._label(target, line, name)
                if self.final and not label.text and not text:
                    raise self.error(line, f"{{{name}}}`{target}` needs a text: `text <{target}>`")
                if text and name == "numref":
                    text = text.replace("%s", label.number).replace("{number}", label.number)
                shown = text or self._described(label)
                address = self._address(self.book.pages[label.page])
                return f"[{shown}]({address})" if address else shown
            case "doc" | "download":
                shown, address = self._destination(target, line)
                return f"[{text or shown}]({address})" if address else text or shown
            case "term":
                return text or target
            case "abbr" | "guilabel" | "menuselection":
                return content if name == "abbr" else f"**{content}**"
            case "math":
                return f"${content}$"
            case "sub" | "sup" | "subscript" | "superscript" | "kbd":
                return f"<{name[:3]}>{escape(content)}</{name[:3]}>"
            case "code" | "command" | "file" | "program":
                return f"`{content}`"
        if re.fullmatch(r"bdg(-\w+)*", name):
            return f"**{content}**"
        if not self.page.is_notebook:
            return content
        raise self.error(line, f"the role {{{name}}} has no form in a notebook")

    # Citations ------------------------------------------------------------------------------------

    def _cite(self, style: str, keys: str, line: int) -> str:
        works = []
        for key in (key.strip() for key in keys.split(",")):
            if key not in self.book.bibliography.entries:
                raise self.error(line, f"references.bib has no work {key!r}")
            self.page.cited.add(key)
            works.append((_authors(self.book.bibliography.entries[key]), self._year(key)))
        match style.removesuffix("s"):
            case "p":
                return "(" + "; ".join(f"{who}, {when}" for who, when in works) + ")"
            case "t":
                return "; ".join(f"{who} ({when})" for who, when in works)
            case "author":
                return "; ".join(who for who, _ in works)
            case "year":
                return "; ".join(when for _, when in works)
        raise self.error(
            line, f"the role {{cite:{style}}} has no form in a notebook; use cite:p or cite:t"
        )

    def _year(self, key: str) -> str:
        """The year, with a letter where the chapter cites two works alike."""
        entries = self.book.bibliography.entries

        def name(other: str) -> tuple[str, str]:
            return _authors(entries[other]), entries[other].fields.get("year", "n.d.")

        alike = sorted(other for other in self.page.cited if name(other) == name(key))
        letter = chr(ord("a") + alike.index(key)) if len(alike) > 1 else ""
        return name(key)[1] + letter

    def _works(self) -> list[str]:
        """The list of the cited works, in order of their names in the text."""
        data = self.book.bibliography if self.page.cited else None
        if data is None:
            return []
        style = find_plugin("pybtex.style.formatting", "unsrt")()
        works = {}
        for entry in style.format_bibliography(data, sorted(self.page.cited)):
            # The back end escapes more than the middle of a line needs.
            text = re.sub(r"\\([-.()+!#])", r"\1", entry.text.render(Backend()))
            who, when = _authors(data.entries[entry.key]), self._year(entry.key)
            works[who, when, entry.key] = f"- **{who} ({when})**: {' '.join(text.split())}"
        return [works[name] for name in sorted(works)]


class _Edits:
    """Replacements in a text, noted by line and column, applied at once."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.edits: list[tuple[int, int, str]] = []
        self.cursor = (-1, 0)  # where the last table cell ended
        self.blank_before = -1  # the line before which a block left a blank one

    def replace(self, start: int, end: int, new: list[str]) -> None:
        """Put other lines in place of the lines from `start` up to `end`."""
        text = "".join(f"{line}\n" for line in new)
        self.edits.append((self.starts[start], self.starts[end], text))

    def replace_span(self, start: tuple[int, int], end: tuple[int, int], new: str) -> None:
        """Replace from one (line, column) up to another."""
        begin, finish = (self.starts[line] + column for line, column in (start, end))
        self.edits.append((begin, finish, new))

    def replace_block(self, start: int, end: int, marker: str, new: list[str]) -> None:
        """Replace a block that begins with `marker`; the list or quote around it stays."""
        prefix = self.lines[start].partition(marker)[0]
        inside = re.sub(r"[^\s>]", " ", prefix)
        out = [f"{inside if i else prefix}{line}".rstrip() for i, line in enumerate(new)]
        before = start and prefix == inside and self.lines[start - 1].strip(" >")
        if new and before and self.blank_before != start:
            out.insert(0, inside.rstrip())
        if new and end < len(self.lines) and self.lines[end].strip(" >"):
            out.append(inside.rstrip())
            self.blank_before = end
        self.replace(start, end, out)

    def fold(self, start: int, end: int) -> None:
        """Put lines into <details> unless they are empty."""
        written = [row for row in range(start, end) if self.lines[row].strip()]
        if written:
            opening, closing = _fold("Show the solution")
            for row, lines in ((written[0], opening), (written[-1] + 1, [*closing, ""])):
                place = self.starts[row]
                self.edits.append((place, place, "".join(f"{line}\n" for line in lines)))

    def locate(self, line: int, text: str, in_cell: bool) -> int:
        """The column where a piece of a paragraph, heading or table cell begins in its line."""
        row = self.lines[line]
        if in_cell:
            begin = self.cursor[1] if self.cursor[0] == line else 0
            text = text.replace("|", "\\|")
            column = row.find(text, begin)
            self.cursor = (line, column + len(text))
            return column
        whole = row.rstrip()
        if whole.endswith(text.rstrip()):
            return len(whole) - len(text.rstrip())
        return row.find(text)

    def apply(self) -> list[str]:
        """The lines after all edits, without blank ones around them."""
        text = "".join(f"{line}\n" for line in self.lines)
        out, position = [], 0
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2]):
            out += [text[position:start], new]
            position = end
        return "".join([*out, text[position:]]).strip("\n").split("\n")


def _normal(label: str) -> str:
    return " ".join(label.lower().split())


def _after(tokens: list[Token], position: int, close: str) -> int:
    """Position behind the token that closes the block which was opened just before `position`."""
    level = tokens[position - 1].level
    while tokens[position].type != close or tokens[position].level != level:
        position += 1
    return position + 1


def _letter(position: int) -> str:
    return chr(ord("A") + position)


def _authors(entry: Entry) -> str:
    """Names as a citation has them: "Kingma & Welling", "Higgins et al."."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [
        " ".join(str(part) for part in person.rich_prelast_names + person.rich_last_names)
        for person in persons
    ]
    if not names:
        return str(entry.rich_fields["title"]) if "title" in entry.fields else entry.key
    return names[0] + " et al." if len(names) > 2 else " & ".join(names)


def _indented(lines: list[str], indent: str) -> list[str]:
    return [f"{indent}{line}".rstrip() for line in lines]


def _split_paragraph(lines: list[str]) -> tuple[list[str], list[str]]:
    end = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    return [line for line in lines[:end] if line], lines[end + 1 :]


def _emphasis(text: str) -> str:
    return f"<em>{text}</em>" if "*" in text else f"*{text}*"


def _titled(title: str, body: list[str]) -> list[str]:
    return [f"**{title}**", "", *body] if title else body


def _quote(title: str, body: list[str]) -> list[str]:
    return _indented(_titled(title, body), "> ")


def _fold(title: str) -> tuple[list[str], list[str]]:
    """The lines before and after Markdown that is folded away under a title."""
    html = _SUMMARY.renderInline(title)
    return ["<details>", f"<summary><b>{html}</b></summary>", ""], ["", "</details>"]


def _details(title: str, body: list[str]) -> list[str]:
    opening, closing = _fold(title)
    return [*opening, *body, *closing]


def _summary_parser() -> MarkdownIt:
    """Markdown inside <summary> stays as it is in Jupyter: make HTML of it, leave mathematics."""
    parser = MarkdownIt("commonmark").use(dollarmath_plugin)
    parser.add_render_rule(
        "math_inline", lambda self, tokens, i, options, env: f"${escape(tokens[i].content)}$"
    )
    return parser


_SUMMARY = _summary_parser()


@dataclass(frozen=True)
class _Kind:
    """How a directive is rendered, and whether its first line is an argument."""

    render: Callable[[Converter, Directive], list[str]]
    argument: bool = True


_GATES = {"exercise-start", "exercise-end", "solution-start", "solution-end"}
_DIRECTIVES = {
    **dict.fromkeys(ADMONITIONS, _Kind(Converter._box, argument=False)),
    "admonition": _Kind(Converter._box),
    "bibliography": _Kind(Converter._bibliography),
    "card": _Kind(Converter._card),
    "code": _Kind(Converter._code_block),
    "code-block": _Kind(Converter._code_block),
    "container": _Kind(Converter._plain),
    "contents": _Kind(Converter._nothing),
    "div": _Kind(Converter._plain),
    "dropdown": _Kind(Converter._dropdown),
    "epigraph": _Kind(Converter._quotation, argument=False),
    "exercise": _Kind(Converter._exercise),
    "exercise-end": _Kind(Converter._end, argument=False),
    "exercise-start": _Kind(Converter._start),
    "figure": _Kind(Converter._figure),
    "grid": _Kind(Converter._plain),
    "grid-item": _Kind(Converter._plain),
    "grid-item-card": _Kind(Converter._card),
    "image": _Kind(Converter._figure),
    "index": _Kind(Converter._nothing),
    "margin": _Kind(Converter._box),
    "math": _Kind(Converter._math),
    "quiz": _Kind(Converter._quiz, argument=False),
    "rubric": _Kind(Converter._section),
    "sidebar": _Kind(Converter._box),
    "solution": _Kind(Converter._solution),
    "solution-end": _Kind(Converter._end, argument=False),
    "solution-start": _Kind(Converter._start),
    "tab-item": _Kind(Converter._section),
    "tab-set": _Kind(Converter._plain, argument=False),
    "table": _Kind(Converter._table),
    "tableofcontents": _Kind(Converter._contents),
    "topic": _Kind(Converter._box),
}
