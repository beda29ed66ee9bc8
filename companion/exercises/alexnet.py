"""The exercises of chapter 4, AlexNet."""

import torch
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise, rounded, shape


@exercise("The table allows for 32 sizes, and 224 is none of them.")
def input_sides(answer: Answer) -> None:
    """The smallest and the largest input with which pool3 has a side of 6: (227, 258)."""
    expected = "Two numbers are expected: the smallest side and the largest"
    if callable(answer.value) or isinstance(answer.value, str):
        raise Hint(f"{expected}.")
    try:
        got = [float(side) for side in answer.value]
    except (TypeError, ValueError, RuntimeError) as error:
        raise Hint(f"{expected}.") from error
    if len(got) != 2:
        raise Hint(f"{expected}; {len(got)} came.")
    if got == [227, 258]:
        return
    smallest, largest = got
    if got == [258, 227]:
        raise Hint("These are the two, in the opposite order.")
    if smallest != 227:
        raise Hint(
            f"With an input of {smallest:g} pool3 has a side of {_after_pool3(smallest)}, or a "
            "smaller input does as well. Walk back from 6: which maps can give it?"
        )
    if largest == 255:
        raise Hint("255 fits. But conv1 may leave up to three pixels over: can there be more?")
    raise Hint(
        f"227 is right. An input of {largest:g} gives pool3 a side of {_after_pool3(largest)}, or "
        "a larger input does as well."
    )


def _after_pool3(n: float) -> int:
    m = int(n)
    for kernel, stride in (
        (11, 4),
        (3, 2),
        (3, 2),
        (3, 2),
    ):  # the padded convolutions keep the side
        m = (m - kernel) // stride + 1
    return m


@exercise(
    "That is the slide's network at the paper's pace; the paper's own, in two groups, makes fewer."
)
def sustained(answer: Answer) -> None:
    """Multiplications a second for 90 passes over 1.2 million images in 5.5 days."""
    forward, images, seconds = 1.135e9, 90 * 1.2e6, 5.5 * 24 * 3600
    right = 3 * forward * images / seconds
    got = answer.number()
    near = next(
        (
            hint
            for factor, hint in (
                (1 / 3, "Forward passes alone; the backward pass costs twice as many again."),
                (2 / 3, "The backward pass comes on top of the forward pass: three in all."),
                (3600.0, "A day has 24 hours of 3600 seconds."),
                (24.0, "A day has 24 hours of 3600 seconds."),
                (86400.0, "A day has 24 hours of 3600 seconds."),
                (1 / 90, "Ninety passes over the images."),
                (1e-9, "The answer is in multiplications, not in billions of them."),
                (1e-12, "The answer is in multiplications, not in millions of millions."),
            )
            if abs(got / right / factor - 1) < 0.06
        ),
        "Multiplications of one image, both ways, times images, times passes, over seconds.",
    )
    if abs(got / right - 1) > 0.06:
        raise Hint(near)


@exercise("The noise that dropout adds grows with the number itself, and with p/(1 − p).")
def dropout_variance(answer: Answer) -> None:
    """`variance(x, p)`: of what dropout makes of a number x in training."""
    x = torch.tensor([-2.0, 0.0, 0.5, 3.0], dtype=torch.float64)
    for p in (0.5, 0.2):
        got = answer.tensor(x, p)
        shape(got, (4,), "There is one variance for each number.")
        agree(
            got,
            x**2 * p / (1 - p),
            {
                "That is the mean of the square; take off the square of the mean.": (
                    x**2 / (1 - p)
                ),
                "The kept numbers are divided by 1 − p, and so is what they add to the variance.": (
                    x**2 * p * (1 - p)
                ),
                "That is the standard deviation.": (x**2 * p / (1 - p)) ** 0.5,
                "p is the share that is dropped.": x**2 * (1 - p) / p,
                "The variance goes with the square of x.": x * p / (1 - p),
            },
            "The output is x/(1 − p) with probability 1 − p and 0 otherwise. Var = E[y²] − E[y]².",
        )


@exercise("With μ = 0.9 a gradient that stays the same is followed ten times as fast.")
def terminal_step(answer: Answer) -> None:
    """How long a step becomes for a constant gradient of 1, lr 0.01 and momentum 0.9: 0.1."""
    exact = 0.01 / (1 - 0.9)
    got = answer.number()
    agree(
        rounded(abs(got), exact),
        exact,
        {
            "That is a step without momentum.": 0.01,
            "That is the second step. It goes on growing: when does it stop?": 0.019,
            "That is the first step but for μ; what does v add up to?": 0.009,
            "The learning rate is missing.": 10.0,
        },
        "When the steps no longer change, v = μ v − lr · 1. Solve for v.",
    )


@exercise("Averaging over such crops took the error of AlexNet down without any training.")
def five_crops(answer: Answer) -> None:
    """`five_crops(image, size)`: C×H×W → 5×C×size×size, the four corners and the middle."""
    image = torch.arange(2 * 8 * 10, dtype=torch.float64).view(2, 8, 10)
    size = 4
    result = answer(image, size)
    if isinstance(result, tuple | list) and all(isinstance(crop, Tensor) for crop in result):
        if len({tuple(crop.shape) for crop in result}) != 1:
            raise Hint("All five crops should have the same size.")
        result = torch.stack(list(result))
    got = Answer(lambda: result).tensor()
    shape(got, (5, 2, size, size), "Five crops, stacked in a new first axis, are expected.")
    corners = [(0, 0), (0, 6), (4, 0), (4, 6), (2, 3)]

    def crops(places: list[tuple[int, int]]) -> Tensor:
        return torch.stack([image[:, t : t + size, c : c + size] for t, c in places])

    expected = crops(corners)
    if torch.equal(got, expected):
        return
    found = {tuple(crop.flatten().tolist()) for crop in got}
    wanted = [tuple(crop.flatten().tolist()) for crop in expected]
    names = ("upper left", "upper right", "lower left", "lower right", "middle")
    missing = [name for name, crop in zip(names, wanted, strict=True) if crop not in found]
    if missing:
        raise Hint(f"For an image of 8×10 and crops of 4, missing or misplaced: {missing}.")
    raise Hint("All five are there, in another order: corners row by row, then the middle.")
