"""The exercises of chapter 5: right answers pass, each plausible mistake gets its own hint."""

from typing import Any

import pytest

from companion.exercises import judge


def field(stack: Any) -> tuple[int, int, int]:
    size, step, start = 1, 1, 0
    for kernel, stride, padding in stack:
        size += (kernel - 1) * step
        start -= padding * step
        step *= stride
    return size, step, start


def stride_first(stack: Any) -> tuple[int, int, int]:
    size, step, start = 1, 1, 0
    for kernel, stride, padding in stack:
        step *= stride
        size += (kernel - 1) * step
        start -= padding * step
    return size, step, start


def flat(stack: Any) -> tuple[int, int, int]:
    _, step, start = field(stack)
    return 1 + sum(kernel - 1 for kernel, _, _ in stack), step, start


def pixels(size: int, step: int, start: int, unit: int, n: int) -> tuple[int, int]:
    first = start + unit * step
    return max(first, 0), min(first + size - 1, n - 1)


def sizes(*, kernel_less: int, more: int = 0, up: bool = True) -> Any:
    def layers_needed(n: int, kernel: int) -> int:
        top, below = n - 1 + more, kernel - kernel_less
        return -(-top // below) if up else top // below

    return layers_needed


VARIANCE = 2 * 8 / 12 + 3 / 12 + 2 * 4 * 8 / 12


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("vgg.field", field),
        ("vgg.field", lambda stack: list(field(stack))),
        ("vgg.pixels", pixels),
        ("vgg.layers_needed", sizes(kernel_less=1)),
        ("vgg.stack_parameters", lambda n, k, C: n * C * (k * k * C + 1)),
        ("vgg.sigma", VARIANCE**0.5),
    ],
)
def test_right_answers_pass(name: str, answer: Any) -> None:
    assert judge(name, answer).status == "right"


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("vgg.field", stride_first, "only for the layers above it"),
        ("vgg.field", flat, "counts in steps of the layer below"),
        ("vgg.field", lambda s: (field(s)[0], field(s)[1], -field(s)[2]), "to the left"),
        ("vgg.field", lambda s: field(s)[0], "Three numbers"),
        ("vgg.field", lambda s: (7, 7, 7), "yours differs"),
        ("vgg.pixels", lambda r, j, a, i, n: (a + i * j, a + i * j + r - 1), "cut it at 0"),
        (
            "vgg.pixels",
            lambda r, j, a, i, n: (max(a + i * j, 0), min(a + i * j + r, n - 1)),
            "size − 1 after the first",
        ),
        (
            "vgg.pixels",
            lambda r, j, a, i, n: (max(a + i * j, 0), min(a + i * j + r - 1, n)),
            "the last one of the image is n − 1",
        ),
        ("vgg.layers_needed", sizes(kernel_less=0, more=1), "overlap"),
        ("vgg.layers_needed", sizes(kernel_less=1, up=False), "round up"),
        ("vgg.layers_needed", sizes(kernel_less=1, more=1), "One layer too many"),
        ("vgg.stack_parameters", lambda n, k, C: n * C * k * k * C, "also has a bias"),
        ("vgg.stack_parameters", lambda n, k, C: n * (k * k * C + 1), "one output channel"),
        ("vgg.sigma", VARIANCE, "take the root"),
        ("vgg.sigma", (4 * 8 / 12 + 3 / 12) ** 0.5, "step by 2 pixels"),
        ("vgg.sigma", (VARIANCE - 3 / 12) ** 0.5, "window of its own"),
    ],
)
def test_mistakes_get_their_hint(name: str, answer: Any, hint: str) -> None:
    verdict = judge(name, answer)
    assert verdict.status == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("name", ["field", "pixels", "layers_needed", "stack_parameters", "sigma"])
def test_placeholders_are_not_answered(name: str) -> None:
    assert judge(f"vgg.{name}", ...).status == "unanswered"
