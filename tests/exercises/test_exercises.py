"""The self-checking exercises: right answers pass, each plausible mistake gets its own hint."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from companion import exercises
from companion.exercises import Verdict, check, judge


def kl(mu: Tensor, sigma: Tensor) -> Tensor:
    return 0.5 * (mu**2 + sigma**2 - torch.log(sigma**2) - 1).sum(1)


def reparameterise(mu: Tensor, sigma: Tensor, eps: Tensor) -> Tensor:
    return mu + sigma * eps


def interpolate(z_a: Tensor, z_b: Tensor, steps: int) -> Tensor:
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * z_a + t * z_b


def active_units(kl_per_dim: Tensor, threshold: float) -> Tensor:
    order = kl_per_dim.argsort(descending=True)
    return order[kl_per_dim[order] > threshold]


def looped_kl(mu: Tensor, sigma: Tensor) -> list[float]:
    return [
        sum(0.5 * (m**2 + s**2 - 2 * math.log(s) - 1) for m, s in zip(*row, strict=True))
        for row in zip(mu.tolist(), sigma.tolist(), strict=True)
    ]


RIGHT: dict[str, list[Any]] = {
    "vae.kl": [
        kl,
        looped_kl,
        lambda mu, sigma: torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0)
        ).sum(1),
        lambda mu, sigma: kl(mu.float(), sigma.float()).numpy(),
    ],
    "vae.reparameterise": [
        reparameterise,
        lambda mu, sigma, eps: torch.addcmul(mu, sigma, eps),
    ],
    "vae.C_from_sigma": [
        50,
        50.0,
        torch.tensor(50.0),
        lambda sigma: 1 / (2 * sigma**2),
    ],
    "vae.interpolate": [
        interpolate,
        lambda a, b, n: torch.stack([a + (b - a) * k / (n - 1) for k in range(n)]),
    ],
    "vae.active_units": [
        active_units,
        lambda k, t: sorted((i for i in range(len(k)) if k[i] > t), key=lambda i: -k[i]),
    ],
}

WRONG: list[tuple[str, Any, str]] = [
    ("vae.kl", lambda mu, sigma: 2 * kl(mu, sigma), "twice"),
    ("vae.kl", lambda mu, sigma: -kl(mu, sigma), "never negative"),
    ("vae.kl", lambda mu, sigma: kl(mu, sigma) / mu.shape[1], "add up"),
    ("vae.kl", lambda mu, sigma: kl(mu, sigma) / math.log(2), "bits"),
    ("vae.kl", lambda mu, sigma: kl(mu, sigma).mean(), "keep its own"),
    (
        "vae.kl",
        lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - sigma.log() - 1).sum(1),
        "log of the var",
    ),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma - 2 * sigma.log() - 1).sum(1), "beside μ²"),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma.exp() - sigma - 1).sum(1), "as log σ²"),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma - sigma.log() - 1).sum(1), "as the variance"),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log()).sum(1), "KL must be 0"),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log() - 1), "4×3"),
    ("vae.kl", lambda mu, sigma: 0.5 * (mu**2 + sigma**2 - 2 * sigma.log() - 1).sum(0), r"\(3,\)"),
    (
        "vae.kl",
        lambda mu, sigma: (sigma.log() + (1 + mu**2) / (2 * sigma**2) - 0.5).sum(1),
        "other way round",
    ),
    ("vae.kl", lambda mu, sigma: (sigma - mu).log().sum(1), "NaN"),
    ("vae.kl", lambda mu, sigma: mu.sum(1), "0.807"),
    ("vae.kl", lambda mu, sigma: "0.5", "returned str '0.5'"),
    ("vae.kl", 3.0, "without brackets.*3.0"),
    ("vae.kl", lambda mu: mu, "raised TypeError"),
    ("vae.reparameterise", lambda m, s, e: m + s**2 * e, "σ²"),
    ("vae.reparameterise", lambda m, s, e: m + s.sqrt() * e, "√σ"),
    ("vae.reparameterise", lambda m, s, e: m + (s / 2).exp() * e, "as log σ²"),
    ("vae.reparameterise", lambda m, s, e: m + s.exp() * e, "as log σ"),
    ("vae.reparameterise", lambda m, s, e: m + e, "σ has no influence"),
    ("vae.reparameterise", lambda m, s, e: s * e, "μ has no influence"),
    ("vae.reparameterise", lambda m, s, e: m, "without any noise"),
    ("vae.reparameterise", lambda m, s, e: s + m * e, "swapped"),
    ("vae.reparameterise", lambda m, s, e: m + s * torch.randn_like(s), "two different z"),
    ("vae.reparameterise", lambda m, s, e: torch.normal(m, s), "two different z"),
    ("vae.reparameterise", lambda m, s, e: (m + s * e).detach(), "no gradient"),
    ("vae.reparameterise", lambda m, s, e: m + s.detach() * e, "does not reach σ"),
    ("vae.reparameterise", lambda m, s, e: m.detach() + s * e, "does not reach μ"),
    ("vae.reparameterise", lambda m, s, e: (m + s * e).sum(1), "as many entries"),
    ("vae.reparameterise", lambda m, s, e: m - s * e, "ε = 0"),
    ("vae.C_from_sigma", 100, "another factor"),
    ("vae.C_from_sigma", 5, "square of the distance"),
    ("vae.C_from_sigma", 10, "both"),
    ("vae.C_from_sigma", 0.02, "stricter"),
    ("vae.C_from_sigma", 0.005, "the smaller σ"),
    ("vae.C_from_sigma", 200, "denominator"),
    ("vae.C_from_sigma", 7, "density"),
    ("vae.C_from_sigma", lambda sigma: 50, "σ = 0.4"),
    ("vae.C_from_sigma", "fifty", "number is expected, got str 'fifty'"),
    ("vae.C_from_sigma", math.nan, "NaN"),
    ("vae.interpolate", lambda a, b, n: interpolate(b, a, n), "backwards"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n + 1), r"\(6, 3\)"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n).T, "swapped"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n + 1)[:-1], "stops before z_b"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n + 1)[1:], "leaves out z_a"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n + 2)[1:-1], "Both ends are left out"),
    ("vae.interpolate", lambda a, b, n: interpolate(a, b, n) - a, "from 0"),
    (
        "vae.interpolate",
        lambda a, b, n: a + torch.linspace(0, 1, n)[:, None] ** 2 * (b - a),
        "equally",
    ),
    ("vae.interpolate", lambda a, b, n: torch.zeros(n, 3), "first row"),
    ("vae.active_units", lambda k, t: k > t, "mask"),
    ("vae.active_units", lambda k, t: k[k > t], "fraction"),
    ("vae.active_units", lambda k, t: active_units(k, t).flip(0), "wrong order"),
    ("vae.active_units", lambda k, t: (k > t).nonzero().flatten(), "not in the order"),
    ("vae.active_units", lambda k, t: (k > t).nonzero(), r"\(4, 1\)"),
    ("vae.active_units", lambda k, t: k.argsort(descending=True), "carry less"),
    ("vae.active_units", lambda k, t: active_units(k, 0.1), "threshold = 2.0"),
    ("vae.active_units", lambda k, t: k[k > t].argsort(descending=True), "among the active"),
    ("vae.active_units", lambda k, t: active_units(k, t)[:2], "should be 4 active"),
    ("vae.active_units", lambda k, t: "1, 4", "indices is expected"),
]


@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answers in RIGHT.items() for answer in answers]
)
def test_right_answers(name: str, answer: Any) -> None:
    verdict = judge(name, answer)
    assert verdict.status == "right", verdict
    assert verdict.message.endswith(".")


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_each_mistake_gets_its_hint(name: str, answer: Any, words: str) -> None:
    verdict = judge(name, answer)
    assert verdict.status == "wrong"
    with pytest.raises(ValueError, match=words):
        raise ValueError(verdict.message)


def test_hints_differ() -> None:
    for exercise in RIGHT:
        hints = [str(judge(name, answer)) for name, answer, _ in WRONG if name == exercise]
        assert len(set(hints)) >= len(hints) - 1, hints  # two ways of drawing inside share one


def body_is_dots(*arguments: Any) -> Any: ...


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize(
    "answer",
    [..., None, body_is_dots, lambda *a: ..., lambda *a: a[0] + ...],
    ids=["dots", "none", "def-dots", "returns-dots", "adds-dots"],
)
def test_unanswered_is_neutral(name: str, answer: Any) -> None:
    assert judge(name, answer) == Verdict(name, "unanswered")


def fails_in_line_two(*arguments: Any) -> Any:
    raise KeyError("no\nsuch  key")


@pytest.mark.parametrize("name", RIGHT)
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
