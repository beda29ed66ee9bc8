"""Tests of a chapter's exercises, made from right answers and from mistakes with their hints."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from companion import exercises
from companion.exercises import Verdict, judge


def body_is_dots(*arguments: Any) -> Any: ...


def answer_tests(
    chapter: str, right: dict[str, list[Any]], wrong: list[tuple[str, Any, str]]
) -> tuple[Callable[..., None], ...]:
    """Four tests for the module to give names to.

    `right` has the answers that pass by the exercise's name, `wrong` the plausible mistakes: name,
    answer, and words (a regular expression) of the hint that it must get.
    """

    @pytest.mark.parametrize(
        ("name", "answer"), [(name, answer) for name, all_ in right.items() for answer in all_]
    )
    def test_right_answers(name: str, answer: Any) -> None:
        verdict = judge(f"{chapter}.{name}", answer)
        assert verdict.status == "right", verdict
        assert verdict.message.endswith(".")

    @pytest.mark.parametrize(("name", "answer", "words"), wrong)
    def test_each_mistake_gets_its_hint(name: str, answer: Any, words: str) -> None:
        verdict = judge(f"{chapter}.{name}", answer)
        assert verdict.status == "wrong"
        assert re.search(words, verdict.message), verdict

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            (name, answer)
            for name, answers in right.items()
            for answer in (..., None, body_is_dots, lambda *a: ...)
            if not callable(answer) or any(map(callable, answers))
        ],
    )
    def test_unanswered_is_neutral(name: str, answer: Any) -> None:
        assert judge(f"{chapter}.{name}", answer) == Verdict(f"{chapter}.{name}", "unanswered")

    def test_every_exercise_has_answers() -> None:
        judge(f"{chapter}.{next(iter(right))}", ...)  # loads the chapter's exercises
        own = {name for name in exercises._EXERCISES if name.startswith(f"{chapter}.")}
        assert own == {f"{chapter}.{name}" for name in right}
        assert own == {f"{chapter}.{name}" for name, _, _ in wrong}

    return (
        test_right_answers,
        test_each_mistake_gets_its_hint,
        test_unanswered_is_neutral,
        test_every_exercise_has_answers,
    )
