"""Exercises that check themselves: `check("vae.kl", kl)` in a notebook cell; truths of predictions.

A chapter's exercises stand here in the module of the chapter's name (`vae.kl` in `vae.py`), each a
function that looks at one answer:

    @exercise("It is what pulls every posterior towards the prior.")
    def kl(answer: Answer) -> None:
        got = answer.tensor(mu, sigma)         # calls the reader's function
        shape(got, (4,), "One number for each example is expected.")
        agree(got, expected, {"Twice the right value.": 2 * expected})

It returns if the answer is right, and says what is wrong by raising `Hint`. Whatever the reader's
own code does, `check` itself never fails.
"""

import importlib.util
import math
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from html import escape
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor

from companion.jupyter import in_notebook

__all__ = [
    "Answer",
    "Hint",
    "Verdict",
    "agree",
    "check",
    "count",
    "exercise",
    "judge",
    "rounded",
    "shape",
    "truth",
]

#: The type of what a cell tells to a prediction of the page.
TRUTH = "application/vnd.companion.truth+json"

_SIGNS = {
    # Colours are mid-tones, readable on light and dark; the word says the same.
    "right": ("✓", "Right.", "#2f855a"),
    "wrong": ("✗", "Not yet.", "#c8621b"),
    "unanswered": ("○", "Not answered yet.", "#808080"),
}


class Hint(Exception):
    """What is wrong with an answer, in a sentence that helps without giving the solution away."""


class _Unanswered(Exception):
    """The answer is still the placeholder of the exercise."""


@dataclass(frozen=True)
class Verdict:
    """What `check` says about an answer; shows itself as HTML in notebooks, as a line elsewhere."""

    name: str
    status: Literal["right", "wrong", "unanswered"]
    message: str = ""

    def __str__(self) -> str:
        sign, word, _ = _SIGNS[self.status]
        return " ".join(filter(None, (sign, f"{self.name}:", word, self.message)))

    def _repr_html_(self) -> str:
        sign, word, colour = _SIGNS[self.status]
        return (
            f'<div class="companion-check companion-check-{self.status}" role="status" style="'
            f'border-left:0.3rem solid {colour};padding:0.3rem 0.8rem;margin:0.3rem 0">'
            f"<strong>{sign} {word}</strong> {escape(self.message)} "
            f"<code>{escape(self.name)}</code></div>"
        )


class Answer:
    """A reader's answer, a function or a number, asked for values with care.

    What the reader's code raises becomes a `Hint`; None and `...` mean that there is no answer yet.
    """

    def __init__(self, value: Any) -> None:
        if value is None or value is ...:
            raise _Unanswered
        if isinstance(value, tuple | list) and any(part is ... for part in value):
            raise _Unanswered
        self.value = value

    def __call__(self, *arguments: Any) -> Any:
        """What the reader's function returns for copies of the arguments."""
        if not callable(self.value):
            raise Hint(
                "The function itself is expected here (its name, without brackets), got "
                f"{_kind(self.value)}."
            )
        copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        try:
            result = self.value(*copies)
        except Exception as error:
            if "ellipsis" in str(error):
                raise _Unanswered from error
            raise Hint(self._report(error)) from error
        if result is None or result is ...:
            raise _Unanswered
        return result

    def tensor(self, *arguments: Any) -> Tensor:
        """The function's result as a float64 tensor, connected to what it was computed from."""
        result = self(*arguments)
        try:
            if isinstance(result, list | tuple) and any(isinstance(r, Tensor) for r in result):
                result = torch.stack([torch.as_tensor(row) for row in result])
            return torch.as_tensor(result).cpu().double()
        except (TypeError, ValueError, RuntimeError) as error:
            raise Hint(f"A tensor is expected, your function returned {_kind(result)}.") from error

    def number(self, *arguments: Any) -> float:
        """The answer if it is a number, otherwise what the function returns."""
        result = self(*arguments) if callable(self.value) else self.value
        try:
            return float(_with_thousands(result))
        except (TypeError, ValueError, RuntimeError) as error:
            raise Hint(f"A number is expected, got {_kind(result)}.") from error

    def _report(self, error: Exception) -> str:
        code = getattr(self.value, "__code__", None)
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if code is not None and frame.filename == code.co_filename
        ]
        where = f" in line {lines[-1]} of its cell" if lines else ""
        said = " ".join(str(error).split())
        said = f": {said[:200]}{'…' if len(said) > 200 else ''}" if said else ""
        return f"Your function raised {type(error).__name__}{where}{said}."


@dataclass(frozen=True)
class _Exercise:
    why: str
    look: Callable[[Answer], None]


_EXERCISES: dict[str, _Exercise] = {}


def exercise(why: str) -> Callable[[Callable[[Answer], None]], Callable[[Answer], None]]:
    """Register a function as the exercise `<module>.<function>`; `why` says why it matters."""

    def register(look: Callable[[Answer], None]) -> Callable[[Answer], None]:
        chapter = look.__module__.rpartition(".")[2]
        _EXERCISES[f"{chapter}.{look.__name__}"] = _Exercise(why, look)
        return look

    return register


def check(name: str, answer: Any) -> None:
    """Look at the answer to an exercise and say, below the cell, whether it is right.

    `name` is "<chapter>.<exercise>"; `answer` is the reader's function, or a number. Raises
    ValueError only for a name that no exercise has.
    """
    verdict = judge(name, answer)
    if in_notebook():
        from IPython.display import display

        show: Any = display
        show({"text/html": verdict._repr_html_(), "text/plain": str(verdict)}, raw=True)
    else:
        print(verdict)


def judge(name: str, answer: Any) -> Verdict:
    """The verdict on an answer, as a value; `check` shows it."""
    known = _find(name)
    try:
        known.look(Answer(answer))
    except _Unanswered:
        return Verdict(name, "unanswered")
    except Hint as hint:
        return Verdict(name, "wrong", str(hint))
    except Exception as error:  # an answer stranger than any exercise foresees
        return Verdict(name, "wrong", f"It could not be checked ({type(error).__name__}: {error}).")
    return Verdict(name, "right", known.why)


def shape(got: Tensor, expected: tuple[int, ...], hint: str) -> None:
    """Raise a `Hint` unless the tensor has the shape."""
    if tuple(got.shape) != expected:
        raise Hint(f"{hint} Expected the shape {expected}, got {tuple(got.shape)}.")


def agree(
    got: Tensor | float,
    expected: Tensor | float,
    mistakes: Mapping[str, Tensor | float],
    otherwise: str,
) -> None:
    """Raise a `Hint` unless two tensors (or numbers) agree to four digits.

    `mistakes` maps a hint to what those who need it get; the first that fits is given, and
    `otherwise` if none does.
    """
    got = torch.as_tensor(got).detach().cpu().double()
    if _close(got, expected):
        return
    if not got.isfinite().all():
        raise Hint("There are NaN or infinite values in your result.")
    raise Hint(next((hint for hint, value in mistakes.items() if _close(got, value)), otherwise))


def count(got: float, expected: int, mistakes: Mapping[str, int], otherwise: str) -> None:
    """Raise a `Hint` unless a number that counts something is right to the last digit."""
    if got == expected:
        return
    raise Hint(next((hint for hint, value in mistakes.items() if got == value), otherwise))


def rounded(got: float, exact: float) -> float:
    """`exact` if an answer worked out on paper is that, rounded to two digits that count or more.

    Otherwise `got`. 2.7 is 2.7307 rounded, 2.75 is not; a half may be rounded either way.
    """
    magnitude = math.floor(math.log10(abs(exact)))
    for digits in range(2, 8):
        step = 10.0 ** (magnitude - digits + 1)
        off = abs(got / step - round(got / step)) if math.isfinite(got) else 1.0
        if off < 1e-6 and abs(got - exact) <= step / 2 * (1 + 1e-9):
            return exact
    return got


def _close(got: Tensor, expected: Tensor | float) -> bool:
    reference = torch.as_tensor(expected, dtype=torch.float64).detach()
    return got.shape == reference.shape and torch.allclose(got, reference, rtol=1e-4, atol=1e-6)


def _with_thousands(value: Any) -> Any:
    """A number written as the book writes it: 614,656 is a tuple to Python, "614,656" a text."""
    if isinstance(value, tuple) and value and all(type(part) is int for part in value):
        value = ",".join([str(value[0]), *(f"{part:03}" for part in value[1:])])
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,3}(,\d{3})+", value.strip()):
        return value.replace(",", "")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, int | float | complex | str | bool):
        return (
            f"{type(value).__name__} {str(value)[:40]!r}" if isinstance(value, str) else f"{value}"
        )
    return f"a {type(value).__name__}"


def _find(name: str) -> _Exercise:
    chapter, _, _ = name.partition(".")
    module = f"{__name__}.{chapter}"
    if chapter.isidentifier() and importlib.util.find_spec(module):
        import_module(module)
    if name not in _EXERCISES:
        close = get_close_matches(name, _EXERCISES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no exercise {name!r}{hint}")
    return _EXERCISES[name]


def truth(name: str, value: Tensor | float | str) -> None:
    """Tell the page's prediction `name` what came out: a number, or the text of one of its options.

    A page of the book shows it when the reader asks (companion/site/activities), a notebook below
    the cell. Raises TypeError or ValueError for what is neither a finite number nor a text.
    """
    if not isinstance(value, str):
        try:
            value = float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            expected = "a number or the text of an option"
            raise TypeError(f"truth({name!r}) expects {expected}, got {_kind(value)}") from error
        if not math.isfinite(value):
            raise ValueError(f"truth({name!r}) expects a finite number, got {value}")
    line = f"{name}: {value if isinstance(value, str) else format(value, '.4g')}"
    if in_notebook():
        from IPython.display import display

        show: Any = display
        show({TRUTH: {"name": name, "value": value}, "text/plain": line}, raw=True)
    else:
        print(line)
