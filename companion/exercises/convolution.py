"""The exercises of chapter 1, convolution in two dimensions."""

import numpy as np
import torch

from companion.by_hand.convolution import convolve2d, correlate2d
from companion.exercises import Answer, Hint, agree, count, exercise, shape


@exercise("This one line predicts every shape in a convolutional network, and in its pooling.")
def size(answer: Answer) -> None:
    """`size(n, k, padding, stride)`: outputs along one axis."""
    # One thing at a time: no padding, padding, a stride that leaves a rest, all of it; a rest above
    # a half, which rounding to the nearest would count.
    cases = ((5, 3, 0, 1), (7, 3, 2, 1), (224, 11, 0, 4), (9, 3, 2, 3), (6, 3, 0, 4), (10, 4, 1, 5))
    for n, k, p, s in cases:
        exact = (n + 2 * p - k) / s + 1
        agree(
            answer.number(n, k, p, s),
            float(int(exact)),
            {
                "One is missing: the first place of the kernel counts, too.": float(int(exact)) - 1,
                "A place is whole or it does not exist: round down.": exact,
                "It is rounded up, but the kernel does not fit into what is left at the end.": (
                    float(-(-(n + 2 * p - k) // s) + 1)
                ),
                "The padding is on both sides, so it counts twice.": float((n + p - k) // s + 1),
                "Where is the stride? The window does not stop at every place.": float(
                    n + 2 * p - k + 1
                ),
                "Where is the padding? It makes the input larger, on both sides.": float(
                    (n - k) // s + 1
                ),
            },
            f"For n = {n}, k = {k}, padding = {p}, stride = {s}, count the places where the kernel "
            "can start.",
        )


@exercise("It is the cross-correlation with the kernel turned by 180°.")
def convolve(answer: Answer) -> None:
    """`convolve(x, h)`: the mathematical convolution, valid places only."""
    generator = np.random.default_rng(1)
    for x_shape, h_shape in (((5, 6), (3, 3)), ((6, 5), (2, 3))):
        x, h = generator.normal(size=x_shape), generator.normal(size=h_shape)
        got = answer.tensor(x.copy(), h.copy())
        right = convolve2d(x, h)
        if tuple(got.shape) == x.shape:
            raise Hint("The output is as large as x: leave the padding out.")
        shape(got, right.shape, "The kernel should lie entirely inside x.")
        mistakes = {
            "This is the cross-correlation: the kernel is laid as it is.": correlate2d(x, h),
            "Only the rows are turned round; turning by 180° flips the columns, too.": correlate2d(
                x, h[::-1]
            ),
            "Only the columns are turned round; turning by 180° flips the rows, too.": correlate2d(
                x, h[:, ::-1]
            ),
        }
        if h.shape[0] == h.shape[1]:
            mistakes |= {
                "The kernel is transposed; turning it by 180° is something else.": correlate2d(
                    x, h.T
                ),
                "The kernel is turned by 90°; it takes two such turns.": correlate2d(
                    x, np.rot90(h)
                ),
            }
        agree(
            got,
            torch.from_numpy(right),
            {hint: torch.from_numpy(value) for hint, value in mistakes.items()},
            "Try a single 1 in the middle of zeros: a convolution gives the kernel back, upright.",
        )


@exercise("Convolution can move, too: any small shift is a kernel with a single 1.")
def shift(answer: Answer) -> None:
    """The 3×3 kernel that moves a picture one pixel to the right."""
    if callable(answer.value):
        raise Hint("The kernel itself is expected here: three rows of three numbers.")
    try:
        kernel = torch.as_tensor(answer.value).cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Hint("A 3×3 kernel is expected: three rows of three numbers.") from error
    if kernel.shape == (1, 1, 3, 3):  # as torch.nn.Conv2d keeps it
        kernel = kernel[0, 0]
    shape(kernel, (3, 3), "A 3×3 kernel is expected.")

    def one(row: int, column: int) -> torch.Tensor:
        weights = torch.zeros(3, 3, dtype=torch.float64)
        weights[row, column] = 1
        return weights

    agree(
        kernel,
        one(1, 0),
        {
            "It moves to the left: from where does the new pixel take its value?": one(1, 2),
            "It moves down; to the right is wanted.": one(0, 1),
            "It moves up; to the right is wanted.": one(2, 1),
            "This one leaves the picture where it is.": one(1, 1),
        },
        "The new value of a pixel is the old value of the pixel to its left, and of no other.",
    )


@exercise("The size of the image is not in it: a layer may be laid over any image.")
def parameters(answer: Answer) -> None:
    """Parameters of 256 filters of 5×5 on 96 channels, with biases."""
    weights = 256 * 96 * 25
    count(
        answer.number(),
        weights + 256,
        {
            "The biases are missing, one for each filter.": weights,
            "There is one bias for each filter, not for each input channel.": weights + 96,
            "There is one bias for each filter, not for each kernel.": weights + 256 * 96,
            "Each filter has a kernel for every input channel.": 256 * 26,
            "A kernel of 5×5 has 25 weights.": 256 * (96 * 5 + 1),
        },
        "Count one filter first: a kernel for each channel, and one bias.",
    )


@exercise(
    "So padding makes border pixels count more than without it, and still less than inner ones."
)
def windows(answer: Answer) -> None:
    """In how many 5×5 windows with padding 2 a corner, an edge and an inner pixel lie."""
    expected = "Three numbers are expected: corner, edge, inside"
    if callable(answer.value):
        raise Hint(f"{expected}.")
    try:
        parts = list(answer.value)
    except TypeError as error:
        raise Hint(f"{expected}.") from error
    if len(parts) != 3:
        raise Hint(f"{expected}; {len(parts)} came.")
    got = tuple(Answer(part).number() for part in parts)
    known: dict[tuple[float, ...], str] = {
        (9.0, 15.0, 25.0): "",
        (25.0, 25.0, 25.0): "A window's centre must lie on a pixel of the image, not on the frame.",
        (1.0, 5.0, 25.0): "That is without padding. The frame adds windows.",
        (25.0, 15.0, 9.0): "These are the right numbers in the opposite order.",
        (1.0, 1.0, 1.0): "A pixel is the centre of one window, and lies in its neighbours', too.",
        (4.0, 6.0, 9.0): "That is for a 3×3 kernel with padding 1.",
    }
    hint = known.get(
        got,
        "A pixel lies in the windows that are centred at most two pixels away from it. How many of "
        "these centres are in the image, for a corner?",
    )
    if hint:
        raise Hint(hint)


@exercise("So a convolutional layer learns by a cross-correlation, too: input with error.")
def kernel_gradient(answer: Answer) -> None:
    """`kernel_gradient(x, error)`: of L with respect to h, for y = x ⋆ h and error = ∂L/∂y."""
    generator = np.random.default_rng(3)
    for x_shape, h_shape in (((5, 6), (3, 3)), ((6, 5), (2, 4))):
        y_shape = tuple(n - k + 1 for n, k in zip(x_shape, h_shape, strict=True))
        x, error = generator.normal(size=x_shape), generator.normal(size=y_shape)
        got = answer.tensor(x.copy(), error.copy())
        shape(got, h_shape, "The gradient is as large as the kernel.")
        right = torch.from_numpy(correlate2d(x, error))
        agree(
            got,
            right,
            {
                "The sign is turned round.": -right,
                "The error is turned by 180° here; it should be laid as it is.": (
                    torch.from_numpy(convolve2d(x, error))
                ),
                "The result is turned by 180°.": right.flip(0, 1),
                "This is divided by the number of outputs; L is what it is.": right / error.size,
            },
            "h[a, b] meets x[r + a, c + b] in the output y[r, c]. Add up x[r + a, c + b] times "
            "error[r, c] over all outputs.",
        )
