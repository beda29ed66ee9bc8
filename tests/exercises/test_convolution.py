"""The exercises of chapter 1: right answers, and each plausible mistake with its hint."""

from typing import Any

import numpy as np
import torch
from scipy import signal

from companion.by_hand.convolution import convolve2d, correlate2d
from support.answers import answer_tests


def size(n, k, p, s):
    return (n + 2 * p - k) // s + 1


def rounds(n, k, p, s):
    """Right where less than half a step is left over, and nowhere else."""
    return round((n + 2 * p - k) / s) + 1


def by_autograd(x, error):
    h_shape = [n - m + 1 for n, m in zip(x.shape, error.shape, strict=True)]
    h = torch.zeros(1, 1, *h_shape, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.conv2d(torch.from_numpy(x)[None, None], h)[0, 0]
    return torch.autograd.grad((y * torch.from_numpy(error)).sum(), h)[0][0, 0]


RIGHT: dict[str, list[Any]] = {
    "size": [size, lambda n, k, p, s: len(range(0, n + 2 * p - k + 1, s))],
    "convolve": [
        convolve2d,
        lambda x, h: signal.convolve2d(x, h, mode="valid"),
        lambda x, h: torch.from_numpy(convolve2d(x, h)),
    ],
    "shift": [
        [[0, 0, 0], [1, 0, 0], [0, 0, 0]],
        np.array([[0, 0, 0], [1.0, 0, 0], [0, 0, 0]]),
        torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0, 0]])[None, None],
    ],
    "parameters": [614_656, 614656.0, "614,656", (614, 656), torch.tensor(614_656)],
    "windows": [(9, 15, 25), [9, 15, 25.0], np.array([9, 15, 25]), torch.tensor([9, 15, 25])],
    "kernel_gradient": [correlate2d, by_autograd],
}
WRONG: list[tuple[str, Any, str]] = [
    ("size", lambda n, k, p, s: size(n, k, p, s) - 1, "One is missing"),
    ("size", lambda n, k, p, s: (n + 2 * p - k) / s + 1, "round down"),
    ("size", rounds, "rounded up"),
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
    ("parameters", 614_700, "one filter first"),
    ("windows", (4, 6, 9), "3×3 kernel"),
    ("windows", (25, 25, 25), "not on the frame"),
    ("windows", (1, 5, 25), "without padding"),
    ("windows", (25, 15, 9), "opposite order"),
    ("windows", (1, 1, 1), "neighbours"),
    ("windows", (9, 9, 25), "at most two pixels"),
    ("windows", (9, 15), "2 came"),
    ("windows", 9, "Three numbers"),
    ("windows", ("a", "b", "c"), "number is expected"),
    ("kernel_gradient", lambda x, e: -correlate2d(x, e), "sign"),
    ("kernel_gradient", convolve2d, "error is turned"),
    ("kernel_gradient", lambda x, e: correlate2d(x, e)[::-1, ::-1].copy(), "result is turned"),
    ("kernel_gradient", lambda x, e: correlate2d(x, e) / e.size, "number of outputs"),
    ("kernel_gradient", lambda x, e: e, "as large as the kernel"),
    ("kernel_gradient", lambda x, e: 2 * correlate2d(x, e), "over all outputs"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("convolution", RIGHT, WRONG)
