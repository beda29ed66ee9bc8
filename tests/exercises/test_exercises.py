"""How exercises check themselves; the answers to each chapter's are tested beside this file."""

import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from companion import exercises
from companion.exercises import Verdict, check, judge
from conftest import ROOT


def kl(mu: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (mu**2 + sigma**2 - torch.log(sigma**2) - 1).sum(1)


CHAPTERS = [module.name for module in pkgutil.iter_modules(exercises.__path__)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_exercises_of_every_chapter_are_tested(chapter: str) -> None:
    assert (ROOT / "tests" / "exercises" / f"test_{chapter}.py").is_file()


def test_a_sum_with_dots_is_no_answer() -> None:
    assert judge("vae.kl", lambda mu, sigma: mu + ...) == Verdict("vae.kl", "unanswered")


def test_several_numbers_are_no_answer_while_one_is_missing() -> None:
    assert judge("convolution.windows", (9, ..., ...)).status == "unanswered"


@pytest.mark.parametrize(
    ("answer", "status"),
    [("614,656", "right"), ((614, 656), "right"), ((614, 65), "wrong"), ("614,6", "wrong"),
     ((614.0, 656.0), "wrong"), ("six", "wrong"), (614_656 + 1e-3, "wrong")],
)  # fmt: skip
def test_thousands_as_the_book_writes_them(answer: Any, status: str) -> None:
    assert judge("convolution.parameters", answer).status == status


@pytest.mark.parametrize(
    ("got", "exact", "is_that"),
    [(2.7, 2.7307, True), (2.73, 2.7307, True), (2.75, 2.7307, False), (3, 2.7307, False),
     (48_000, 47_500, True), (47_000, 47_500, True), (47_400, 47_500, False), (0.1, 0.1, True),
     (float("nan"), 2.7, False), (float("inf"), 2.7, False), (-2.7, 2.7307, False)],
)  # fmt: skip
def test_an_answer_rounded_rightly_is_the_exact_one(
    got: float, exact: float, is_that: bool
) -> None:
    assert (exercises.rounded(got, exact) == exact) is is_that


def fails_in_line_two(*arguments: Any) -> Any:
    raise KeyError("no\nsuch  key")


@pytest.mark.parametrize("name", ["vae.kl", "vae.C_from_sigma", "vae.interpolate"])
def test_what_the_answer_raises_is_one_sentence(name: str) -> None:
    line = fails_in_line_two.__code__.co_firstlineno + 1
    verdict = judge(name, fails_in_line_two)
    assert verdict.status == "wrong"
    assert f"raised KeyError in line {line} of its cell" in verdict.message
    assert "\n" not in verdict.message


def test_long_and_hostile_messages() -> None:
    def hostile(*arguments: Any) -> Any:
        raise ValueError("<script>alert(1)</script><img src=x onerror=alert(1)>" + 500 * "x")

    verdict = judge("vae.kl", hostile)
    html = verdict._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert len(verdict.message) < 300
    assert "<b>" not in Verdict("<b>", "right")._repr_html_()


class Stranger:
    """Passes for a number until it is asked."""

    def __float__(self) -> float:
        raise OverflowError("no")


def test_a_strange_answer_is_no_crash() -> None:
    verdict = judge("vae.C_from_sigma", Stranger())
    assert verdict.status == "wrong"
    assert "OverflowError" in verdict.message


def test_answers_cannot_change_what_they_are_measured_by() -> None:
    def greedy(mu: Tensor, sigma: Tensor) -> Tensor:
        result = kl(mu, sigma)
        mu.zero_()
        sigma.zero_()
        return result

    assert judge("vae.kl", greedy).status == "right"


def test_check_prints_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    check("vae.C_from_sigma", 50)
    check("vae.C_from_sigma", ...)
    check("vae.C_from_sigma", 5)
    right, unanswered, wrong = capsys.readouterr().out.splitlines()
    assert right.startswith("✓ vae.C_from_sigma: Right. C is")
    assert unanswered == "○ vae.C_from_sigma: Not answered yet."
    assert wrong.startswith("✗ vae.C_from_sigma: Not yet. ")


def test_check_shows_html_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(exercises, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    check("vae.C_from_sigma", 50)
    (bundle,) = shown
    assert bundle["text/html"].startswith('<div class="companion-check companion-check-right"')
    assert "✓ Right." in bundle["text/html"]
    assert bundle["text/plain"].startswith("✓ vae.C_from_sigma")


@pytest.mark.parametrize("name", ["vae.Kl", "vae.nothing", "nochapter.kl", "", "..vae.kl", "vae"])
def test_unknown_exercise(name: str) -> None:
    with pytest.raises(ValueError, match="there is no exercise"):
        judge(name, kl)


def test_exercises_of_a_chapter_are_one_line_each() -> None:
    """A new chapter needs a module with decorated functions, and nothing else."""

    def look(answer: exercises.Answer) -> None:
        exercises.agree(answer.number(), 2.0, {"Half of it.": 1.0}, "Count again.")

    look.__module__ = "companion.exercises.vae"
    register: Callable[..., Any] = exercises.exercise("It is even.")
    register(look)
    try:
        assert judge("vae.look", 2).message == "It is even."
        assert judge("vae.look", 1).message == "Half of it."
        assert judge("vae.look", 3).message == "Count again."
    finally:
        del exercises._EXERCISES["vae.look"]
