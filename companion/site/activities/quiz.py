"""The `{quiz}` directive: a question that the page itself answers, with no kernel.

    ```{quiz}
    :label: vae-quiz-collapse
    What happens to the KL divergence when σ → 0?
    - [ ] It goes to zero. | Look at the term −log σ².
    - [x] It grows without bound. | Right: −log σ² → ∞.
    ```

or, for a number, `= 50 ± 0.5 | feedback when right` in place of the options, and below it, for a
mistake that one expects, `≠ 25 | hint`. Feedback after ` | ` is optional elsewhere. What follows
a line `---` is the box "Reading the slide closely", which opens after the first try or when the
reader opens it. `:picture: above` says that the last figure above belongs to the question, which
takes it along into other systems (companion/site/lms). Without JavaScript the question stays
readable and a <details> gives the answer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx

from companion.site.activities import Activity, texts

OPTION = re.compile(r"^\s*- \[(?P<mark>[ xX])\]\s+(?P<text>.*)$")
_VALUE = r"[-+−]?[\d.]+(?:e[-+]?\d+)?"
NUMBER = re.compile(
    rf"^=\s*(?P<value>{_VALUE})(?:\s*±\s*(?P<tolerance>[\d.]+))?\s*(?:\|\s*(?P<feedback>.*))?$"
)
MISTAKE = re.compile(rf"^≠\s*(?P<value>{_VALUE})\s*\|\s*(?P<feedback>.+)$")
_MARK = re.compile(rf"^=\s*{_VALUE}\s*(?:[±|]|$)|^≠\s*{_VALUE}\s*\|")

#: The title of the box below a line `---`.
CLOSELY = "Reading the slide closely"


@dataclass(frozen=True)
class Option:
    """One answer of a multiple-choice question (Markdown texts)."""

    text: str
    feedback: str
    right: bool


@dataclass(frozen=True)
class Question:
    """A parsed quiz question: options, or a number with a tolerance.

    `closely` holds the lines of the box below it, and `closely_at` where they begin.
    """

    text: str
    options: tuple[Option, ...] = ()
    value: float | None = None
    tolerance: float = 0.0
    feedback: str = ""
    mistakes: tuple[tuple[float, str], ...] = ()
    closely: tuple[str, ...] = ()
    closely_at: int = 0


def parse_options(
    lines: Iterable[str], mark: re.Pattern[str]
) -> tuple[str, list[Option], list[str]]:
    """Split a body into the text before the options, the options, and the lines that fit `mark`."""
    text: list[str] = []
    options: list[Option] = []
    marked: list[str] = []
    for line in lines:
        if match := OPTION.match(line):
            answer, _, feedback = match["text"].partition(" | ")
            options.append(Option(answer.strip(), feedback.strip(), match["mark"] in "xX"))
        elif mark.match(line.strip()):
            marked.append(line.strip())
        elif options and line.strip():  # an option goes on in the next line
            last = options.pop()
            whole = f"{last.text} | {last.feedback}" if last.feedback else last.text
            answer, _, feedback = f"{whole} {line.strip()}".partition(" | ")
            options.append(Option(answer.strip(), feedback.strip(), last.right))
        else:
            text.append(line)
    return "\n".join(text).strip(), options, marked


def parse_question(lines: list[str]) -> Question:
    """Parse the body of a `{quiz}` directive.

    Raises:
        ValueError: no question, no right option, fewer than two options, options and a number, or
            nothing below `---`.
    """
    closely: list[str] = []
    closely_at = len(lines)
    if "---" in lines:
        closely_at = lines.index("---") + 1
        lines, closely = lines[: closely_at - 1], lines[closely_at:]
        if not any(line.strip() for line in closely):
            raise ValueError(f"a quiz with a line --- needs the box “{CLOSELY}” below; none came")
    question, options, marked = parse_options(lines, _MARK)
    numbers = [match for line in marked if (match := NUMBER.match(line))]
    mistakes = [match for line in marked if (match := MISTAKE.match(line))]
    if not question:
        raise ValueError("a quiz needs a question before its options; none came")
    if numbers and options:
        raise ValueError("a quiz has options or a number `= value`, not both")
    if numbers:
        number = numbers[-1]
        return Question(
            question,
            value=read_number(number["value"]),
            tolerance=float(number["tolerance"] or 0),
            feedback=number["feedback"] or "",
            mistakes=tuple((read_number(m["value"]), m["feedback"]) for m in mistakes),
            closely=tuple(closely),
            closely_at=closely_at,
        )
    if len(options) < 2 or not any(option.right for option in options):
        raise ValueError(
            "a quiz needs at least two options `- [ ] …`, one of them right `- [x] …`; "
            f"{len(options)} came, {sum(option.right for option in options)} right"
        )
    return Question(question, tuple(options), closely=tuple(closely), closely_at=closely_at)


def read_number(text: str) -> float:
    """A number as authors write it, with a hyphen or a true minus sign.

    Raises:
        ValueError: it is none.
    """
    return float(text.replace("−", "-"))


class QuizDirective(Activity):
    """Render one question as native form controls; site.js gives the feedback."""

    option_spec: ClassVar[dict[str, Any]] = texts("label", "picture")

    def run(self) -> list[nodes.Node]:
        """Parse the question and build its nodes."""
        try:
            question = parse_question(list(self.content))
        except ValueError as error:
            raise self.error(str(error)) from error
        number = self.env.new_serialno("quiz") + 1
        name = f"{self.env.docname}-quiz-{number}"
        several = sum(option.right for option in question.options) > 1
        box = self.box("quiz")
        title = f"Question {number}" + (" · find the slide’s error" if question.closely else "")
        box += self.html(f'<fieldset data-quiz="{name}"><legend>{title}</legend>')
        box += self.markdown(question.text, "quiz-question")
        if question.value is not None:
            box += self.html(
                f'<label class="quiz-number">Your answer: <input type="text" inputmode="decimal" '
                f'data-value="{question.value!r}" data-tolerance="{question.tolerance!r}" '
                'autocomplete="off"></label>'
            )
            box += self.feedback(question.feedback or "Right.", "quiz-right")
            for mistake, hint in question.mistakes:
                box += self.html(f'<div class="quiz-mistake" data-value="{mistake!r}">')
                box += self.feedback(hint, "quiz-wrong")
                box += self.html("</div>")
        kind = "checkbox" if several else "radio"
        for position, option in enumerate(question.options):
            right = str(option.right).lower()
            box += self.html(
                f'<div class="quiz-option"><label><input type="{kind}" name="{name}" '
                f'value="{position}" data-right="{right}">'
            )
            box += self.inline(option.text)
            box += self.html("</label>")
            if option.feedback:
                colour = "quiz-right" if option.right else "quiz-wrong"
                box += self.feedback(option.feedback, colour)
            box += self.html("</div>")
        box += self.html(
            '<button type="button" class="quiz-check">Check</button>'
            '<p class="quiz-verdict" role="status"></p></fieldset>'
        )
        right_answers = [option.text for option in question.options if option.right]
        if question.value is not None:
            right_answers = [f"{question.value:g}"]
        answers = (nodes.paragraph("", "", self.inline(answer)) for answer in right_answers)
        box.extend(self.folded("Answer", *answers))
        if question.closely:
            box += self.html(
                '<details class="admonition slide quiz-closely">'
                f'<summary class="admonition-title">{CLOSELY}</summary>'
            )
            box += self.markdown("\n".join(question.closely), "quiz-closely-text")
            box += self.html("</details>")
        return [box]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("quiz", QuizDirective)
