"""The `{quiz}` directive: a question that the page itself answers, with no kernel.

    ```{quiz}
    :label: vae-quiz-collapse
    What happens to the KL divergence when σ → 0?
    - [ ] It goes to zero. | Look at the term −log σ².
    - [x] It grows without bound. | Right: −log σ² → ∞.
    ```

or, for a number, `= 50 ± 0.5 | feedback when right` in place of the options, and below it, for a
mistake that one expects, `≠ 25 | hint`. Feedback after ` | ` is optional elsewhere. Without
JavaScript the question stays readable and a <details> gives the answer.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

OPTION = re.compile(r"^\s*- \[(?P<mark>[ xX])\]\s+(?P<text>.*)$")
NUMBER = re.compile(
    r"^=\s*(?P<value>[-+−]?[\d.]+(?:e[-+]?\d+)?)(?:\s*±\s*(?P<tolerance>[\d.]+))?"
    r"\s*(?:\|\s*(?P<feedback>.*))?$"
)
MISTAKE = re.compile(r"^≠\s*(?P<value>[-+−]?[\d.]+(?:e[-+]?\d+)?)\s*\|\s*(?P<feedback>.+)$")


@dataclass(frozen=True)
class Option:
    """One answer of a multiple-choice question (Markdown texts)."""

    text: str
    feedback: str
    right: bool


@dataclass(frozen=True)
class Question:
    """A parsed quiz question: options, or a number with a tolerance."""

    text: str
    options: tuple[Option, ...] = ()
    value: float | None = None
    tolerance: float = 0.0
    feedback: str = ""
    mistakes: tuple[tuple[float, str], ...] = ()


def parse_question(lines: list[str]) -> Question:
    """Parse the body of a `{quiz}` directive.

    Raises:
        ValueError: no question, no right option, fewer than two options, or options and a number.
    """
    text: list[str] = []
    options: list[Option] = []
    number: re.Match[str] | None = None
    mistakes: list[tuple[float, str]] = []
    for line in lines:
        if match := OPTION.match(line):
            answer, _, feedback = match["text"].partition(" | ")
            options.append(Option(answer.strip(), feedback.strip(), match["mark"] in "xX"))
        elif match := NUMBER.match(line.strip()):
            number = match
        elif match := MISTAKE.match(line.strip()):
            mistakes.append((_number(match["value"]), match["feedback"]))
        elif options and line.strip():  # an option goes on in the next line
            last = options.pop()
            whole = f"{last.text} | {last.feedback}" if last.feedback else last.text
            answer, _, feedback = f"{whole} {line.strip()}".partition(" | ")
            options.append(Option(answer.strip(), feedback.strip(), last.right))
        else:
            text.append(line)
    question = "\n".join(text).strip()
    if not question:
        raise ValueError("a quiz needs a question before its options; none came")
    if number and options:
        raise ValueError("a quiz has options or a number `= value`, not both")
    if number:
        return Question(
            question,
            value=_number(number["value"]),
            tolerance=float(number["tolerance"] or 0),
            feedback=number["feedback"] or "",
            mistakes=tuple(mistakes),
        )
    if len(options) < 2 or not any(option.right for option in options):
        raise ValueError(
            "a quiz needs at least two options `- [ ] …`, one of them right `- [x] …`; "
            f"{len(options)} came, {sum(option.right for option in options)} right"
        )
    return Question(question, tuple(options))


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


class QuizDirective(SphinxDirective):
    """Render one question as native form controls; site.js gives the feedback."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"label": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Parse the question and build its nodes."""
        try:
            question = parse_question(list(self.content))
        except ValueError as error:
            raise self.error(str(error)) from error
        number = self.env.new_serialno("quiz") + 1
        name = f"{self.env.docname}-quiz-{number}"
        several = sum(option.right for option in question.options) > 1
        box = nodes.container(classes=["quiz"])
        if label := self.options.get("label"):
            box["ids"] = [nodes.make_id(label)]
        box += self._html(f'<fieldset data-quiz="{name}"><legend>Question {number}</legend>')
        box += self._markdown(question.text, "quiz-question")
        if question.value is not None:
            box += self._html(
                f'<label class="quiz-number">Your answer: <input type="text" inputmode="decimal" '
                f'data-value="{question.value!r}" data-tolerance="{question.tolerance!r}" '
                'autocomplete="off"></label>'
            )
            box += self._feedback("right", question.feedback or "Right.")
            for mistake, hint in question.mistakes:
                box += self._html(f'<div class="quiz-mistake" data-value="{mistake!r}">')
                box += self._feedback("wrong", hint)
                box += self._html("</div>")
        kind = "checkbox" if several else "radio"
        for position, option in enumerate(question.options):
            right = str(option.right).lower()
            box += self._html(
                f'<div class="quiz-option"><label><input type="{kind}" name="{name}" '
                f'value="{position}" data-right="{right}">'
            )
            box += self._inline(option.text)
            box += self._html("</label>")
            if option.feedback:
                box += self._feedback(right, option.feedback)
            box += self._html("</div>")
        box += self._html(
            '<button type="button" class="quiz-check">Check</button>'
            '<p class="quiz-verdict" role="status"></p></fieldset>'
        )
        box += self._html("<noscript><details><summary>Answer</summary>")
        right_answers = [option.text for option in question.options if option.right]
        if question.value is not None:
            right_answers = [f"{question.value:g}"]
        for answer in right_answers:
            box += nodes.paragraph("", "", self._inline(answer))
        box += self._html("</details></noscript>")
        return [box]

    @staticmethod
    def _html(html: str) -> nodes.raw:
        return nodes.raw("", html, format="html")

    def _markdown(self, text: str, css_class: str) -> nodes.container:
        block = nodes.container(classes=[css_class])
        lines = StringList(text.split("\n"), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, block)
        return block

    def _inline(self, text: str) -> nodes.inline:
        children, messages = self.state.inline_text(text, self.lineno)
        return nodes.inline("", "", *children, *messages, classes=["quiz-text"])

    def _feedback(self, kind: str, text: str) -> nodes.container:
        block = self._markdown(text, "quiz-feedback")
        block["classes"] += ["quiz-right" if kind in {"true", "right"} else "quiz-wrong"]
        return block


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("quiz", QuizDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
