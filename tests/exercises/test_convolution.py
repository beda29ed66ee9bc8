"""The exercises of chapter 1: right answers, and each plausible mistake with its hint."""

from typing import Any

import numpy as np
import torch
from scipy import signal

from companion.by_hand.convolution import average_pool2d, convolve2d, correlate2d, max_pool2d
from support.answers import answer_tests


def size(n, k, p, s):
    return (n + 2 * p - k) // s + 1


def pool(x, block):
    rows, columns = x.shape[0] // block, x.shape[1] // block
    cut = x[: rows * block, : columns * block]
    return cut.reshape(rows, block, columns, block).max(axis=(1, 3))


def pool_with_zeros(x, block):
    up = [(0, -n % block) for n in x.shape]
    return max_pool2d(np.pad(x, up, constant_values=-np.inf), block)


RIGHT: dict[str, list[Any]] = {
    "size": [size, lambda n, k, p, s: len(range(0, n + 2 * p - k + 1, s))],
    "convolve": [
        convolve2d,
        lambda x, h: signal.convolve2d(x, h, mode="valid"),
        lambda x, h: torch.from_numpy(convolve2d(x, h)),
    ],
    "shift": [[[0, 0, 0], [1, 0, 0], [0, 0, 0]], np.array([[0, 0, 0], [1.0, 0, 0], [0, 0, 0]])],
    "parameters": [614_656],
    "max_pool": [pool, max_pool2d],
}
WRONG: list[tuple[str, Any, str]] = [
    ("size", lambda n, k, p, s: size(n, k, p, s) - 1, "One is missing"),
    ("size", lambda n, k, p, s: (n + 2 * p - k) / s + 1, "round down"),
    ("size", lambda n, k, p, s: -(-(n + 2 * p - k) // s) + 1, "rounded up"),
    ("size", lambda n, k, p, s: size(n, k, 0, s) if p == 0 else (n + p - k) // s + 1, "both sides"),
    ("size", lambda n, k, p, s: n + 2 * p - k + 1, "Where is the stride"),
    ("size", lambda n, k, p, s: (n - k) // s + 1, "Where is the padding"),
    ("size", lambda n, k, p, s: n, "count the places"),
    ("convolve", correlate2d, "laid as it is"),
    ("convolve", lambda x, h: correlate2d(x, h[::-1]), "Only the rows"),
    ("convolve", lambda x, h: correlate2d(x, h[:, ::-1]), "Only the columns"),
    ("convolve", lambda x, h: correlate2d(x, h.T), "transposed"),
    ("convolve", lambda x, h: correlate2d(x, np.rot90(h)), "90°"),
    ("convolve", lambda x, h: signal.convolve2d(x, h, mode="same"), "padding out"),
    ("convolve", lambda x, h: signal.convolve2d(x, h), "inside x"),
    ("convolve", lambda x, h: 2 * convolve2d(x, h), "single 1"),
    ("shift", [[0, 0, 0], [0, 0, 1], [0, 0, 0]], "to the left"),
    ("shift", [[0, 1, 0], [0, 0, 0], [0, 0, 0]], "moves down"),
    ("shift", [[0, 0, 0], [0, 0, 0], [0, 1, 0]], "moves up"),
    ("shift", [[0, 0, 0], [0, 1, 0], [0, 0, 0]], "where it is"),
    ("shift", [[1, 0, 0]], r"\(3, 3\)"),
    ("shift", [[0, 0, 0], [1, 1, 0], [0, 0, 0]], "no other"),
    ("shift", "right", "three rows"),
    ("shift", lambda: 1, "kernel itself"),
    ("parameters", 614_400, "biases are missing"),
    ("parameters", 614_400 + 96, "not for each input channel"),
    ("parameters", 614_400 + 256 * 96, "not for each kernel"),
    ("parameters", 256 * 26, "every input channel"),
    ("parameters", 256 * (96 * 5 + 1), "25 weights"),
    ("parameters", 7, "one filter first"),
    ("max_pool", lambda x, n: average_pool2d(x, n), "average"),
    ("max_pool", lambda x, n: -max_pool2d(-x, n), "smallest"),
    ("max_pool", lambda x, n: max_pool2d(x, n, 1), "overlap"),
    ("max_pool", lambda x, n: max_pool2d(x, 1, n)[: x.shape[0] // n, : x.shape[1] // n], "first"),
    ("max_pool", lambda x, n: np.maximum(max_pool2d(x, n), 0), "negative"),
    ("max_pool", pool_with_zeros, "left over"),
    ("max_pool", lambda x, n: max_pool2d(x, n) + 1, "upper left"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("convolution", RIGHT, WRONG)
