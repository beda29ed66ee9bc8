"""The exercises of chapter 5, VGG and receptive fields."""

from typing import Any

import torch

from companion.exercises import Answer, Hint, agree, exercise

_STACKS: list[list[tuple[int, int, int]]] = [
    [(3, 1, 1)] * 3,
    [(11, 4, 0), (3, 2, 0), (5, 1, 2)],
    [(7, 2, 3), (3, 2, 1), (1, 2, 0), (3, 1, 1)],
]


def _walk(stack: list[tuple[int, int, int]], rule: str = "") -> list[float]:
    size, step, start = 1, 1, 0
    for kernel, stride, padding in stack:
        if rule == "stride first":
            step *= stride
        size += (kernel if rule == "whole kernel" else kernel - 1) * (1 if rule == "flat" else step)
        start += (1 if rule == "sign" else -1) * padding * step
        if rule != "stride first":
            step *= stride
    return [size, step, start]


def _several(answer: Answer, count: int, what: str, *arguments: Any) -> torch.Tensor:
    got = answer.tensor(*arguments).flatten()
    if len(got) != count:
        raise Hint(f"{what} are expected, got {len(got)} number{'s' if len(got) != 1 else ''}.")
    return got


@exercise("With these three numbers you know what every unit of the layer sees.")
def field(answer: Answer) -> None:
    """`field(stack)`: size, effective stride, start."""
    for stack in _STACKS:
        got = _several(answer, 3, "Three numbers (size, stride, start)", list(stack))
        right = torch.tensor(_walk(stack)).double()
        hints = {
            "stride first": "A layer's stride counts only for the layers above it: use the step "
            "of the layer below before you multiply it.",
            "whole kernel": "A window of k reaches k − 1 steps further than a single position.",
            "flat": "What a layer adds counts in steps of the layer below, which are wider than a "
            "pixel after a stride.",
            "sign": "Padding moves the start to the left, before the image.",
        }
        mistakes = {
            hint: torch.tensor(_walk(stack, rule)).double()
            for rule, hint in hints.items()
            if _walk(stack, rule) != _walk(stack)
        }
        mistakes["The last number is the start, which is minus the effective padding."] = (
            right * torch.tensor([1, 1, -1])
        )
        agree(
            got,
            right,
            mistakes,
            f"For {stack} the answer is {tuple(int(v) for v in right)}; yours differs.",
        )


@exercise("This is the square that you can cut out of the image and look at.")
def pixels(answer: Answer) -> None:
    """`pixels(size, step, start, unit, n)`: first and last pixel inside the image."""
    cases = [(7, 1, -3, 10, 32), (92, 8, -42, 2, 224), (212, 32, -90, 6, 224), (11, 4, 0, 5, 227)]
    for size, step, start, unit, n in cases:
        got = _several(answer, 2, "Two numbers (first, last)", size, step, start, unit, n)
        first = start + unit * step
        right = torch.tensor([max(first, 0), min(first + size - 1, n - 1)]).double()
        uncut = torch.tensor([first, first + size - 1]).double()
        mistakes = {
            "The last pixel is size − 1 after the first, since both count.": torch.tensor(
                [max(first, 0), min(first + size, n - 1)]
            ).double(),
            "Pixels are numbered from 0, so the last one of the image is n − 1.": torch.tensor(
                [max(first, 0), min(first + size - 1, n)]
            ).double(),
            "This may lie outside of the image: cut it at 0 and at n − 1.": uncut,
        }
        agree(
            got,
            right,
            mistakes,
            "Unit number i begins i steps after the start; size pixels from there on are seen.",
        )


@exercise("At stride 1 the field grows by k − 1 pixels a layer, and no faster.")
def layers_needed(answer: Answer) -> None:
    """`layers_needed(n, kernel)`: the smallest depth whose field has n pixels."""
    for n, kernel in ((7, 3), (224, 3), (224, 5), (9, 7), (1, 3)):
        right = -(-(n - 1) // (kernel - 1))
        mistakes = {
            "One layer too many: the first pixel is there before any layer.": -(-n // (kernel - 1)),
            "One layer more may be needed: round up, not down.": (n - 1) // (kernel - 1),
            "Neighbouring windows overlap, so a layer adds k − 1 pixels and not k.": -(
                -n // kernel
            ),
        }
        agree(
            answer.number(n, kernel),
            right,
            {hint: value for hint, value in mistakes.items() if value != right},
            f"{right} layers of kernel {kernel} see {1 + right * (kernel - 1)} pixels, and {n} "
            "are asked for.",
        )


@exercise("Compare n = 3, k = 3 with n = 1, k = 7 for the C of your choice.")
def stack_parameters(answer: Answer) -> None:
    """`stack_parameters(n, k, C)`: weights and biases."""
    for n, k, C in ((1, 7, 64), (3, 3, 64), (2, 5, 3)):
        agree(
            answer.number(n, k, C),
            n * C * (k * k * C + 1),
            {
                "These are the weights; each filter also has a bias.": n * C * k * k * C,
                "That is for one output channel; a layer has C filters.": n * (k * k * C + 1),
                "That is for one output channel and without biases.": n * k * k * C,
                "There is one bias for each filter of each layer.": n * C * k * k * C + C,
                "That is one layer; there are n.": C * (k * k * C + 1),
            },
            "A filter has k·k weights for each of its C input channels, and one bias.",
        )


@exercise("A pooling matters twice: by its own window, and by what it does to the layers above.")
def sigma(answer: Answer) -> None:
    """σ of conv 3, conv 3, pool 2 stride 2, conv 3, conv 3."""
    below, pool, above = 2 * 8 / 12, 3 / 12, 2 * 4 * 8 / 12
    got, right = answer.number(), (below + pool + above) ** 0.5
    if got == round(right, 1):
        raise Hint("Perhaps; but two decimals are asked for, as near misses agree in the first.")
    agree(
        right if got == round(got, 2) == round(right, 2) else got,
        right,
        {
            "This is the variance; take the root.": below + pool + above,
            "The layers above the pooling step by 2 pixels: their variance counts 2² times.": (
                2 * below + pool
            )
            ** 0.5,
            "A stride of 2 makes distances 2 times as long, and variances 2² times.": (
                3 * below + pool
            )
            ** 0.5,
            "The pooling has a window of its own, of variance (2² − 1)/12.": (below + above) ** 0.5,
        },
        "Add up (k² − 1)/12 over the layers, each times the square of the stride below it.",
    )
