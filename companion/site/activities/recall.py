"""The `{recall}` directive: cards to answer from memory; `{recall-due}`: the book's cards, by day.

    ```{recall}
    - What does the KL term want, whatever the image? | $\\mu = 0$ and $\\sigma = 1$: the prior.
    - Which term speaks for the image? | Only the reconstruction.
    ```

Each card is a line `- question | answer`. A reader opens it and says whether they knew it. What
was missed comes back in the chapter's next block, and is due at once on the page with
`{recall-due}`; what was known is due again after 1, 3, 7, 21, then 60 days. Without JavaScript a
card is a <details>, and the page lists all of them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx

from companion.site.activities import Activity, attributes, key_of

_CARD = re.compile(r"- (?P<front>.+)")
_BLOCK = re.compile(r"^(`{3,})\{recall\} *\n(.*?)^\1 *$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """A question and its answer (Markdown), and what the browser keeps it under."""

    front: str
    back: str

    @property
    def key(self) -> str:
        """A mark of the question's text: a new question is a new card."""
        return key_of(None, self.front)


def parse_cards(lines: Iterable[str]) -> list[Card]:
    """Parse the body of a `{recall}` directive.

    Raises:
        ValueError: no card, a card without answer, two cards with the same question.
    """
    texts: list[str] = []
    for line in lines:
        if match := _CARD.fullmatch(line):
            texts.append(match["front"].strip())
        elif line.strip() and texts:  # a card goes on in the next line
            texts[-1] += f" {line.strip()}"
        elif line.strip():
            raise ValueError(f"recall cards are lines `- question | answer`, got {line.strip()!r}")
    cards = []
    for text in texts:
        front, _, back = (part.strip() for part in text.partition(" | "))
        if not front or not back:
            raise ValueError(f"a recall card is a line `- question | answer`, got {text!r}")
        cards.append(Card(front, back))
    if not cards:
        raise ValueError("recall needs at least one card `- question | answer`; none came")
    if len({card.front for card in cards}) < len(cards):
        raise ValueError("two cards of this block ask the same")
    return cards


class RecallDirective(Activity):
    """Render cards as <details>; js/activities/recall.js asks and remembers."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Parse the cards and build their nodes."""
        try:
            cards = parse_cards(self.content)
        except ValueError as error:
            raise self.error(str(error)) from error
        box = self.box("recall")
        box += self.html('<fieldset data-recall><legend>Recall</legend><div class="recall-cards">')
        box.extend(node for card in cards for node in card_nodes(self, card, f"card-{card.key}"))
        box += self.html("</div></fieldset>")
        return [box]


def card_nodes(directive: Activity, card: Card, name: str | None = None) -> list[nodes.Node]:
    """One card; `name` is its id in the page."""
    start = attributes(id=name, data_card=card.key)
    return [
        directive.html(f'<details class="recall-card"{start}><summary>'),
        directive.inline(card.front, "recall-front"),
        directive.html("</summary>"),
        directive.markdown(card.back, "recall-back"),
        directive.html("</details>"),
    ]


def cards_of(path: Path) -> tuple[str, list[Card]]:
    """Title and cards of a chapter's file.

    Raises:
        ValueError: a card can't be read; the message begins with the file.
    """
    text = path.read_text("utf-8")
    title = _TITLE.search(text)
    cards = []
    for block in _BLOCK.finditer(text):
        try:
            cards += parse_cards(block[2].split("\n"))
        except ValueError as error:
            line = text.count("\n", 0, block.start()) + 1
            raise ValueError(f"{path}:{line}: {error}") from None
    return title[1] if title else path.stem, cards


class RecallDueDirective(Activity):
    """Render all cards of the book; js/activities/recall.js shows those that are due."""

    has_content = False
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Read the chapters and build the nodes of their cards."""
        box = self.box("recall-due")
        box["classes"].remove("quiz")
        box += self.html(_CONTROLS)
        known: dict[str, str] = {}
        for name in sorted(self.env.found_docs):
            path = Path(self.env.doc2path(name))
            self.env.note_dependency(str(path))
            try:
                title, cards = cards_of(path)
                for card in cards:
                    if card.front in known:
                        where = f"{known[card.front]} and {name}"
                        raise ValueError(f"two cards ask the same ({where}): {card.front}")
                    known[card.front] = name
            except ValueError as error:
                raise self.error(str(error)) from error
            if cards:
                box.extend(self._chapter(name, title, cards))
        return [box]

    def _chapter(self, name: str, title: str, cards: list[Card]) -> list[nodes.Node]:
        parts: list[nodes.Node] = [self.html('<section class="recall-chapter"><h2>')]
        parts += [self.inline(title, "recall-title"), self.html("</h2>")]
        for card in cards:
            texts = attributes(data_front=for_anki(card.front), data_back=for_anki(card.back))
            parts.append(self.html(f'<div class="recall-row"{texts}>'))
            parts += card_nodes(self, card)
            address = escape(f"{name}.html#card-{card.key}")
            parts.append(
                self.html(f'<a class="recall-where" href="{address}">Where it stands</a></div>')
            )
        return [*parts, self.html("</section>")]


_CONTROLS = """<form class="recall-controls" hidden>
<fieldset><legend>Cards</legend>
<label><input type="radio" name="recall-cards" value="due" checked> due today</label>
<label><input type="radio" name="recall-cards" value="all"> all of the book</label></fieldset>
<button type="button" class="quiz-check recall-export">Download for Anki (CSV)</button>
<p class="recall-count" role="status"></p></form>
"""


def for_anki(text: str) -> str:
    r"""A line of Markdown as Anki shows it: HTML, with mathematics between \( and \)."""

    def convert(match: re.Match[str]) -> str:
        if match["tex"] is not None:
            return rf"\({match['tex']}\)"
        if match["code"] is not None:
            return f"<code>{match['code']}</code>"
        tag = "b" if match["strong"] is not None else "i"
        return f"<{tag}>{match['strong'] or match['emphasis']}</{tag}>"

    return re.sub(
        r"\$(?P<tex>[^$]+)\$|`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<emphasis>[^*]+)\*",
        convert,
        escape(text, quote=False),
    )


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("recall", RecallDirective)
    app.add_directive("recall-due", RecallDueDirective)
