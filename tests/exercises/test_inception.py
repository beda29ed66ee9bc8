"""The exercises of chapter 6: right answers, and each plausible mistake with its hint."""

import torch
from torch.nn import functional as F

from support.answers import answer_tests


def conv1x1(x, weight, bias):
    return torch.einsum("oc,nchw->nohw", weight, x) + bias.view(1, -1, 1, 1)


def branch_cost(size, depth, width, out, kernel):
    if width is None:
        return size**2 * kernel**2 * depth * out
    return size**2 * width * (depth + kernel**2 * out)


def loss(output, labels):
    if isinstance(output, torch.Tensor):
        return F.cross_entropy(output, labels)
    main, *heads = output
    return F.cross_entropy(main, labels) + 0.3 * sum(F.cross_entropy(h, labels) for h in heads)


RIGHT = {
    "conv1x1": [conv1x1, lambda x, w, b: F.linear(x.movedim(1, -1), w, b).movedim(-1, 1)],
    "branch_cost": [branch_cost],
    "break_even": [222],
    "loss": [loss],
}

WRONG = [
    ("conv1x1", lambda x, w, b: torch.einsum("oc,nchw->nohw", w, x), "bias is missing"),
    ("conv1x1", lambda x, w, b: x.movedim(1, -1) @ w.T + b, "ended up last"),
    ("conv1x1", lambda x, w, b: conv1x1(x, w, b).relu(), "ReLU"),
    ("conv1x1", lambda x, w, b: conv1x1(x, w, -b), "taken away"),
    ("conv1x1", lambda x, w, b: F.conv2d(x, w[:, :, None, None], b), "A convolution did"),
    ("conv1x1", lambda x, w, b: torch.conv2d(x, w[..., None, None], b), "A convolution did"),
    ("branch_cost", lambda n, d, w, o, k: n**2 * k**2 * (w or d) * o, "not counted"),
    ("branch_cost", lambda *a: branch_cost(*a) / a[0], "size twice"),
    ("branch_cost", lambda *a: branch_cost(*a) / a[0] ** 2, "number of weights"),
    ("branch_cost", lambda *a: 2 * branch_cost(*a), "additions"),
    ("branch_cost", lambda n, d, w, o, k: n**2 * w * (d + k * o), "kernel·kernel"),
    ("branch_cost", lambda n, d, w, o, k: n**2 * w * (d + k**2 * o), "raised TypeError"),
    ("break_even", 223, "Round down"),
    ("break_even", 222.97, "largest below"),
    ("break_even", 256, "own cost"),
    ("break_even", 109, "3×3 window"),
    ("loss", lambda o, y: F.cross_entropy(o[0], y), "heads are not"),
    ("loss", lambda o, y: sum(F.cross_entropy(z, y) for z in o), "0.3 each"),
    ("loss", lambda o, y: 0.3 * sum(F.cross_entropy(z, y) for z in o), "main loss"),
]


def taken_for_a_triple(output, labels):
    return loss(tuple(output) if len(output) == 3 else output, labels)


WRONG.append(("loss", taken_for_a_triple, "raised|of 3 images"))


test_right, test_wrong, test_unanswered, test_complete = answer_tests("inception", RIGHT, WRONG)
