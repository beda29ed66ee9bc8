"""The `{order}` directive: put the lines of a loop, or of a derivation, into order.

    ```{order}
    :label: order-step
    :or: 2 1 3 4 5
    One training step of an autoencoder.
    1. `for images, _ in loader:`
    2. `    optimizer.zero_grad()`
    …
    - `    loss.step()` | A loss has no step: the optimizer has one.
    ```

The numbered lines stand in a right order; `:or:` names others that are right too, by these numbers
(several with commas between). Lines `- text | why not` do not belong. The page shows them all in
an order that is not right and always the same; without JavaScript a <details> has the solution.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx

from companion.site.activities import Activity, attributes, key_of, texts

_LINE = re.compile(r"(?P<number>\d+)\. (?P<text>.+)")
_DISTRACTOR = re.compile(r"- (?P<text>.+)")


@dataclass(frozen=True)
class Ordering:
    """A parsed exercise.

    Attributes:
        text: what to do (Markdown).
        lines: the lines in a right order, then those that do not belong (Markdown).
        reasons: why each of the latter does not belong.
        orders: all right orders, as places in `lines`.
        shown: the order in which the lines are shown.
    """

    text: str
    lines: tuple[str, ...]
    reasons: tuple[str, ...]
    orders: tuple[tuple[int, ...], ...]
    shown: tuple[int, ...]


def parse_ordering(lines: list[str], options: Mapping[str, str]) -> Ordering:
    """Parse the body and the options (`or`) of an `{order}` directive.

    Raises:
        ValueError: too few lines, numbers that do not count up, an order that is none, or no wrong
            order left to show.
    """
    text: list[str] = []
    right: list[str] = []
    wrong: list[tuple[str, str]] = []
    for line in lines:
        if match := _LINE.fullmatch(line.rstrip()):
            right.append(match["text"])
            if int(match["number"]) != len(right):
                raise ValueError(f"the lines count up from 1; expected {len(right)}, got {line!r}")
        elif match := _DISTRACTOR.fullmatch(line.rstrip()):
            false, _, reason = match["text"].partition(" | ")
            wrong.append((false.rstrip(), reason.strip()))
        elif (right or wrong) and line.strip():
            raise ValueError(f"a line is `1. text` or `- text | why not`, got {line!r}")
        else:
            text.append(line)
    task = "\n".join(text).strip()
    if not task:
        raise ValueError("an ordering says first what to do; nothing came")
    if len(right) < 2:
        raise ValueError(f"an ordering needs two or more lines `1. text`; {len(right)} came")
    count = len(right)
    orders = [tuple(range(count))]
    for other in filter(None, options.get("or", "").split(",")):
        order = tuple(int(n) - 1 if n.isdecimal() else -1 for n in other.split())
        if sorted(order) != list(range(count)):
            raise ValueError(f"an order has each number from 1 to {count} once, got {other!r}")
        orders.append(order)
    every = (*right, *(false for false, _ in wrong))
    if len(set(every)) < len(every):
        raise ValueError("two lines are the same: give both one place, or tell them apart")
    return Ordering(
        task,
        every,
        tuple(reason for _, reason in wrong),
        tuple(dict.fromkeys(orders)),
        _shuffled(len(every), orders, task),
    )


def _shuffled(count: int, orders: list[tuple[int, ...]], seed: str) -> tuple[int, ...]:
    """An order that is not right even without the lines that do not belong."""
    chance = random.Random(seed)
    for _ in range(200):
        order = chance.sample(range(count), count)
        kept = tuple(line for line in order if line < len(orders[0]))
        # Whoever finds the first line at its place has one line less to think about.
        if kept not in orders and order[0] != orders[0][0]:
            return tuple(order)
    raise ValueError("nearly every order of these lines is right: there is nothing to find")


class OrderDirective(Activity):
    """Render the lines; js/activities/order.js moves and checks them."""

    option_spec: ClassVar[dict[str, Any]] = texts("label", "or")

    def run(self) -> list[nodes.Node]:
        """Parse the exercise and build its nodes."""
        try:
            ordering = parse_ordering(list(self.content), self.options)
        except ValueError as error:
            raise self.error(str(error)) from error
        count = len(ordering.orders[0])
        key = f"order/{self.env.docname}/{key_of(self.options.get('label'), ordering.text)}"
        shown = attributes(data_order=key, data_orders=json.dumps(ordering.orders))
        box = self.box("order")
        box += self.html(f"<fieldset{shown}><legend>Put in order</legend>")
        box += self.markdown(ordering.text, "quiz-question")
        box += self.html('<ol class="order-lines">')
        for line in ordering.shown:
            box += self.html(f'<li data-line="{line}">')
            box += self.inline(ordering.lines[line], "order-text")
            box += self.html("</li>")
        box += self.html("</ol>")
        if ordering.reasons:
            box += self.html(
                '<p class="order-rest">Not every line belongs. Leave out what does not:</p>'
                '<ol class="order-lines order-out"></ol>'
            )
        box += self.html(
            '<button type="button" class="quiz-check">Check</button>'
            '<p class="quiz-verdict" role="status"></p>'
        )
        for line, reason in enumerate(ordering.reasons, start=count):
            if reason:
                box += self.html(f'<div class="order-reason" data-line="{line}">')
                box += self.feedback(reason, "quiz-wrong")
                box += self.html("</div>")
        box += self.html("</fieldset>")
        solution: list[nodes.Node] = [self.html('<ol class="order-lines">')]
        for text in ordering.lines[:count]:
            line = self.inline(text, "order-text")
            solution += [self.html("<li>"), line, self.html("</li>")]
        box.extend(self.folded("Solution", *solution, self.html("</ol>")))
        return [box]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("order", OrderDirective)
