"""The exercises of chapter 5: right answers, and each plausible mistake with its hint."""

from typing import Any

from support.answers import answer_tests


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


RIGHT: dict[str, list[Any]] = {
    "field": [field, lambda stack: list(field(stack))],
    "pixels": [pixels],
    "layers_needed": [sizes(kernel_less=1)],
    "stack_parameters": [lambda n, k, C: n * C * (k * k * C + 1)],
    "sigma": [VARIANCE**0.5, 2.63, 2.6300],
}

WRONG: list[tuple[str, Any, str]] = [
    ("field", stride_first, "only for the layers above it"),
    ("field", flat, "counts in steps of the layer below"),
    ("field", lambda s: (field(s)[0], field(s)[1], -field(s)[2]), "to the left"),
    ("field", lambda s: field(s)[0], "Three numbers"),
    ("field", lambda s: (7, 7, 7), "yours differs"),
    ("pixels", lambda r, j, a, i, n: (a + i * j, a + i * j + r - 1), "cut it at 0"),
    (
        "pixels",
        lambda r, j, a, i, n: (max(a + i * j, 0), min(a + i * j + r, n - 1)),
        "size − 1 after the first",
    ),
    (
        "pixels",
        lambda r, j, a, i, n: (max(a + i * j, 0), min(a + i * j + r - 1, n)),
        "the last one of the image is n − 1",
    ),
    ("layers_needed", sizes(kernel_less=0, more=1), "overlap"),
    ("layers_needed", sizes(kernel_less=1, up=False), "round up"),
    ("layers_needed", sizes(kernel_less=1, more=1), "One layer too many"),
    ("stack_parameters", lambda n, k, C: n * C * k * k * C, "also has a bias"),
    ("stack_parameters", lambda n, k, C: n * (k * k * C + 1), "one output channel"),
    ("sigma", 2.6, "two decimals"),
    ("sigma", 2.58, "window of its own|Add up"),
    ("sigma", VARIANCE, "take the root"),
    ("sigma", (4 * 8 / 12 + 3 / 12) ** 0.5, "step by 2 pixels"),
    ("sigma", (VARIANCE - 3 / 12) ** 0.5, "window of its own"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("vgg", RIGHT, WRONG)
