"""The exercises of chapter 1, convolution in two dimensions."""

import numpy as np
import torch

from companion.by_hand.convolution import convolve2d, correlate2d, max_pool2d
from companion.exercises import Answer, Hint, agree, exercise, shape


@exercise("This one line predicts every shape in a convolutional network, and in its pooling.")
def size(answer: Answer) -> None:
    """`size(n, k, padding, stride)`: outputs along one axis."""
    # One thing at a time: no padding, padding, a stride that leaves a rest, all of it.
    for n, k, p, s in ((5, 3, 0, 1), (7, 3, 2, 1), (224, 11, 0, 4), (9, 3, 2, 3)):
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
    weights = 256.0 * 96 * 25
    agree(
        answer.number(),
        weights + 256,
        {
            "The biases are missing, one for each filter.": weights,
            "There is one bias for each filter, not for each input channel.": weights + 96,
            "There is one bias for each filter, not for each kernel.": weights + 256 * 96,
            "Each filter has a kernel for every input channel.": 256.0 * 26,
            "A kernel of 5×5 has 25 weights.": 256.0 * (96 * 5 + 1),
        },
        "Count one filter first: a kernel for each channel, and one bias.",
    )


@exercise("No weights, nothing to learn: only the strongest answer of each block is passed on.")
def max_pool(answer: Answer) -> None:
    """`max_pool(x, size)`: the largest value of each block."""
    generator = np.random.default_rng(2)
    for x_shape, block in (((4, 6), 2), ((7, 8), 3)):
        x = generator.normal(size=x_shape) - 3  # all negative: zeros must not win
        got = answer.tensor(x.copy(), block)
        right = max_pool2d(x, block)
        if tuple(got.shape) == max_pool2d(x, block, 1).shape:
            raise Hint("The blocks overlap: step by the whole size of a block.")
        if tuple(got.shape) == tuple(-(-n // block) for n in x.shape) != right.shape:
            raise Hint("What is left over at the right and at the bottom should be dropped.")
        shape(got, right.shape, f"For x of shape {x.shape} and size = {block}:")
        blocks = x[: right.shape[0] * block, : right.shape[1] * block]
        blocks = blocks.reshape(right.shape[0], block, right.shape[1], block)
        agree(
            got,
            torch.from_numpy(right),
            {
                "This is the average of each block; its largest value is wanted.": (
                    torch.from_numpy(blocks.mean(axis=(1, 3)))
                ),
                "This is the smallest value of each block.": torch.from_numpy(
                    blocks.min(axis=(1, 3))
                ),
                "This takes the first pixel of each block, whatever the others are.": (
                    torch.from_numpy(blocks[:, 0, :, 0].copy())
                ),
                "All values here are negative, and yet there are zeros in your result.": (
                    torch.zeros(right.shape, dtype=torch.float64)
                ),
            },
            "The upper left number should be x[:size, :size].max().",
        )
