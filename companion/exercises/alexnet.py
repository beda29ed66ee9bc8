"""The exercises of chapter 4, AlexNet."""

import torch
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise, shape


@exercise("With it you can follow the side of the map through any network.")
def side(answer: Answer) -> None:
    """`side(n, kernel, stride, padding)`: how many positions a window finds along an axis."""
    for n, kernel, stride, padding, expected in (
        (227, 11, 4, 0, 55),
        (27, 5, 1, 2, 27),
        (55, 3, 2, 0, 27),
        (224, 11, 4, 0, 54),
        (224, 11, 4, 2, 55),
    ):
        got = answer.number(n, kernel, stride, padding)
        if got == expected:
            continue
        exact = (n + 2 * padding - kernel) / stride + 1
        if got != int(got):
            raise Hint(
                f"For n = {n}, kernel = {kernel}, stride = {stride}, padding = {padding} it gives "
                f"{got:g}: a window that does not fit any more is left out, so round down."
            )
        if got == expected - 1 and exact >= expected:
            raise Hint("One is missing: the window at the start counts, too.")
        if got == (n + padding - kernel) // stride + 1:
            raise Hint("The padding is on both sides, so it counts twice.")
        if got == round(exact) or got == -(-(n + 2 * padding - kernel) // stride) + 1:
            raise Hint(
                f"{exact:g} positions became {got:g}; a window must fit in whole, so round down."
            )
        raise Hint(
            f"For n = {n}, kernel = {kernel}, stride = {stride}, padding = {padding} the map has a "
            f"side of {expected}, yours gives {got:g}."
        )


@exercise("This is why the paper's network is lighter than the slide's table.")
def parameters(answer: Answer) -> None:
    """`parameters(c_in, filters, kernel, groups)`: weights and biases of a convolution."""
    for c_in, filters, kernel, groups in ((3, 96, 11, 1), (96, 256, 5, 2), (384, 256, 3, 2)):
        seen = kernel * kernel * c_in // groups
        agree(
            answer.number(c_in, filters, kernel, groups),
            float(filters * (seen + 1)),
            {
                "The biases are missing: one for each filter.": float(filters * seen),
                "With groups, a filter sees only its group's share of the channels.": float(
                    filters * (kernel * kernel * c_in + 1)
                ),
                "A filter is kernel × kernel in each channel that it sees; yours has one side.": (
                    float(filters * (kernel * c_in // groups + 1))
                ),
                "Groups do not divide the filters: all of them are there, each sees less.": float(
                    filters // groups * (seen + 1)
                ),
            },
            f"For {c_in} channels, {filters} filters of {kernel}×{kernel} and groups = {groups}, "
            f"each filter has {seen} weights and a bias.",
        )


@exercise("Nothing has to be rescaled when the network is used: the mean is right already.")
def dropout(answer: Answer) -> None:
    """`drop(x, kept, p)`: dropout with a given mask, its expectation equal to x."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    for p in (0.5, 0.2):
        kept = torch.rand(5, 7, generator=generator) >= p
        got = answer.tensor(x, kept, p)
        shape(got, (5, 7), "Dropout keeps the shape.")
        agree(
            got,
            x * kept / (1 - p),
            {
                "The dropped numbers are 0, but the kept ones are too small on average: what must "
                "they be divided by, so that the mean is x?": x * kept,
                "p is the share that is dropped; yours divides by it. The kept share is 1 − p.": (
                    x * kept / p
                ),
                "It multiplies where it should divide.": x * kept * (1 - p),
                "It drops what should be kept: True in the mask means kept.": (
                    x * (~kept) / (1 - p)
                ),
            },
            "With p = 0.5 the kept numbers are doubled, with p = 0.2 multiplied by 1.25.",
        )


@exercise("This is all that SGD with momentum does, 60 million times a step in AlexNet.")
def momentum(answer: Answer) -> None:
    """`step(w, v, gradient, lr, mu)` → (w, v), after one step."""
    generator = torch.Generator().manual_seed(9)
    w, v, gradient = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    lr, mu = 0.1, 0.9
    result = answer(w, v, gradient, lr, mu)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Hint("Two things come back: the new w and the new v, as return w, v.")
    new_w, new_v = (torch.as_tensor(part).cpu().double() for part in result)
    velocity = mu * v - lr * gradient
    agree(
        new_v,
        velocity,
        {
            "v came back as it was.": v,
            "The sign: the velocity turns against the gradient.": mu * v + lr * gradient,
            "The old velocity is missing; this is gradient descent.": -lr * gradient,
            "The old velocity should be shortened by μ.": v - lr * gradient,
            "This is torch's velocity, without −lr; here v is the step itself.": mu * v + gradient,
            "μ multiplies the old velocity alone.": mu * (v - lr * gradient),
        },
        "v should become μ v − lr · gradient.",
    )
    agree(
        new_w,
        w + velocity,
        {
            "w moved by the old velocity; take the new one.": w + v,
            "The sign: v already points downhill, so it is added.": w - velocity,
            "w came back as it was.": w,
        },
        "v is right; w should move by the new v.",
    )


@exercise("Averaging over such crops took the error of AlexNet down without any training.")
def five_crops(answer: Answer) -> None:
    """`five_crops(image, size)`: C×H×W → 5×C×size×size, the four corners and the middle."""
    image = torch.arange(2 * 8 * 10, dtype=torch.float64).view(2, 8, 10)
    size = 4
    got = answer.tensor(image, size)
    shape(got, (5, 2, size, size), "Five crops, stacked in a new first axis, are expected.")
    corners = [(0, 0), (0, 6), (4, 0), (4, 6), (2, 3)]

    def crops(places: list[tuple[int, int]]) -> Tensor:
        return torch.stack([image[:, t : t + size, c : c + size] for t, c in places])

    expected = crops(corners)
    if got.shape == expected.shape and torch.equal(got, expected):
        return
    found = {tuple(crop.flatten().tolist()) for crop in got}
    wanted = [tuple(crop.flatten().tolist()) for crop in expected]
    missing = [
        name
        for name, crop in zip(
            ("upper left", "upper right", "lower left", "lower right", "middle"),
            wanted,
            strict=True,
        )
        if crop not in found
    ]
    if missing:
        raise Hint(f"For an image of 8×10 and crops of 4, missing or misplaced: {missing}.")
    raise Hint("All five are there, in another order: corners row by row, then the middle.")
