"""Goals about the numbers that a widget shows: `probability < 0.1 and patch <= 48`.

A goal is parsed while the book is built, and checked in the page by js/activities/goals.js, which
gets it as JSON: nothing is evaluated there.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from typing import NamedTuple

from docutils import nodes

from companion.site.activities.quiz import read_number

_COMPARISON = re.compile(
    r"(?P<quantity>[A-Za-z][\w-]*)\s*(?P<sign><=|>=|!=|[<>=≤≥≠])\s*(?P<bound>[^\s±]+)"
    r"(?:\s*±\s*(?P<tolerance>\S+))?"
)
_SIGNS = {"<=": "≤", ">=": "≥", "!=": "≠"}


class Comparison(NamedTuple):
    """A quantity against a number or another quantity; `=` and `≠` within a tolerance."""

    quantity: str
    sign: str
    bound: float | str
    tolerance: float


Goal = list[list[Comparison]]  # reached when all comparisons of one of the lists hold


def parse_goal(text: str) -> Goal:
    """Parse comparisons joined by `and` and `or`; `and` binds closer.

    Raises:
        ValueError: something is no comparison, with an example of one.
    """
    return [
        [_comparison(part.strip()) for part in re.split(r"\band\b", choice)]
        for choice in re.split(r"\bor\b", text)
    ]


def _comparison(text: str) -> Comparison:
    match = _COMPARISON.fullmatch(text)
    bound: float | str | None = None
    tolerance = 0.0
    if match:
        try:
            bound = _bound(match["bound"])
            tolerance = read_number(match["tolerance"] or "0")
        except ValueError:
            bound = None
    if match is None or bound is None or not 0 <= tolerance < float("inf"):
        raise ValueError(
            f"a goal compares quantities, as in `probability < 0.1 and patch <= 48`; got {text!r}"
        )
    sign = _SIGNS.get(match["sign"], match["sign"])
    if tolerance and sign not in "=≠":
        raise ValueError(f"± goes with = and ≠ only, got {text!r}")
    return Comparison(match["quantity"], sign, bound, tolerance)


def _bound(text: str) -> float | str:
    if re.fullmatch(r"[A-Za-z][\w-]*", text):
        return text
    value = read_number(text)
    if not abs(value) < float("inf"):
        raise ValueError
    return value


def as_json(goal: Goal) -> str:
    """What the page's JavaScript reads."""
    return json.dumps(goal, ensure_ascii=False, separators=(",", ":"))


def quantities(goal: Goal) -> set[str]:
    """The names of all quantities that a goal speaks of."""
    pairs = ((each.quantity, each.bound) for choice in goal for each in choice)
    return {name for pair in pairs for name in pair if isinstance(name, str)}


def holds(goal: Goal, values: Mapping[str, float]) -> bool:
    """Whether the values reach the goal; a quantity without a value reaches nothing."""

    def compare(each: Comparison) -> bool:
        value = values.get(each.quantity, float("nan"))
        bound = each.bound
        if isinstance(bound, str):
            bound = values.get(bound, float("nan"))
        gap = abs(value - bound)
        slack = each.tolerance + 1e-9 * abs(bound)
        tests = {
            "<": value < bound,
            ">": value > bound,
            "≤": value <= bound,
            "≥": value >= bound,
            "=": gap <= slack,
            "≠": gap > slack,
        }
        return tests[each.sign]

    return any(all(compare(each) for each in choice) for choice in goal)


class _Shown(HTMLParser):
    """The quantities in a still picture, with what is written there: it has no more digits."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, float] = {}
        self._open: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs).get("data-quantity")
        if self._open:
            self.values.setdefault(self._open, float("nan"))

    def handle_data(self, data: str) -> None:
        if self._open:
            with contextlib.suppress(ValueError):
                self.values[self._open] = read_number(data)
        self._open = None


def shown_at_rest(place: nodes.Node, widget: str) -> tuple[str, dict[str, float]]:
    """The widget that follows a node: its module's name, the quantities that it shows, with values.

    Args:
        place: the node.
        widget: the name that it must have; "" for whatever widget comes first.

    Raises:
        ValueError: none follows.
    """
    passed = False
    for node in place.document.findall() if place.document is not None else ():
        passed = passed or node is place
        if passed and isinstance(node, nodes.raw):
            found = re.match(r'<div class="companion-widget" data-widget="([^"]*)"', node.astext())
            if found and widget in ("", found[1]):
                return found[1], _Shown(node.astext()).values
    raise ValueError(f"no {f'widget {widget!r}' if widget else 'widget'} follows on this page")


def check_quantities(names: set[str], widget: str, shown: Iterable[str]) -> None:
    """Refuse names that a widget does not show.

    Raises:
        ValueError: there is one.
    """
    if unknown := sorted(names - set(shown)):
        known = ", ".join(sorted(set(shown))) or "none"
        raise ValueError(
            f"the widget {widget!r} shows no quantity {unknown[0]!r} at rest (`:later:` names "
            f"those that come when it is used); it shows: {known}"
        )
