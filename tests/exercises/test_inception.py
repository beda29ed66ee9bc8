"""The exercises of chapters 6 and 8: right answers pass, each plausible mistake gets its hint."""

import math
import re

import pytest
import torch
from torch.nn import functional as F

from companion.exercises import judge


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


def squeeze_excite(x, w1, b1, w2, b2, squeeze=None, inner=F.silu, outer=torch.sigmoid):
    s = x.mean((2, 3)) if squeeze is None else squeeze(x)
    return outer(inner(s @ w1.T + b1) @ w2.T + b2)[:, :, None, None] * x


def round_channels(channels, width):
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


RIGHT = [
    ("inception.conv1x1", conv1x1),
    ("inception.conv1x1", lambda x, w, b: F.linear(x.movedim(1, -1), w, b).movedim(-1, 1)),
    ("inception.branch_cost", branch_cost),
    ("inception.break_even", 222),
    ("inception.loss", loss),
    ("efficientnet.separable_saving", lambda c, k: c * k**2 / (c + k**2)),
    ("efficientnet.squeeze_excite", squeeze_excite),
    ("efficientnet.phi_for", lambda factor: math.log(factor, 1.92)),
    ("efficientnet.phi_for", math.log(10, 1.92)),
    ("efficientnet.round_channels", round_channels),
]

WRONG = [
    ("inception.conv1x1", lambda x, w, b: torch.einsum("oc,nchw->nohw", w, x), "bias is missing"),
    ("inception.conv1x1", lambda x, w, b: x.movedim(1, -1) @ w.T + b, "ended up last"),
    ("inception.conv1x1", lambda x, w, b: conv1x1(x, w, b).relu(), "ReLU"),
    ("inception.conv1x1", lambda x, w, b: conv1x1(x, w, -b), "taken away"),
    ("inception.branch_cost", lambda n, d, w, o, k: n**2 * k**2 * (w or d) * o, "not counted"),
    ("inception.branch_cost", lambda *a: branch_cost(*a) / a[0], "size twice"),
    ("inception.branch_cost", lambda *a: branch_cost(*a) / a[0] ** 2, "number of weights"),
    ("inception.branch_cost", lambda *a: 2 * branch_cost(*a), "additions"),
    ("inception.branch_cost", lambda n, d, w, o, k: n**2 * w * (d + k * o), "kernel·kernel"),
    ("inception.branch_cost", lambda n, d, w, o, k: n**2 * w * (d + k**2 * o), "raised TypeError"),
    ("inception.break_even", 223, "Round down"),
    ("inception.break_even", 222.97, "largest below"),
    ("inception.break_even", 256, "own cost"),
    ("inception.break_even", 109, "3×3 window"),
    ("inception.loss", lambda o, y: F.cross_entropy(o[0], y), "heads are not"),
    ("inception.loss", lambda o, y: sum(F.cross_entropy(z, y) for z in o), "0.3 each"),
    ("inception.loss", lambda o, y: 0.3 * sum(F.cross_entropy(z, y) for z in o), "main loss"),
    ("efficientnet.separable_saving", lambda c, k: 1 / c + 1 / k**2, "Upside down"),
    ("efficientnet.separable_saving", lambda c, k: k**2, "depthwise part"),
    ("efficientnet.separable_saving", lambda c, k: c, "1×1 convolution"),
    ("efficientnet.separable_saving", lambda c, k: 1 / (1 / c + 1 / k), "kernel·kernel"),
    ("efficientnet.squeeze_excite", lambda *a: squeeze_excite(*a, inner=F.relu), "ReLU"),
    ("efficientnet.squeeze_excite", lambda *a: squeeze_excite(*a, outer=lambda t: t), "at the end"),
    (
        "efficientnet.squeeze_excite",
        lambda *a: squeeze_excite(*a, squeeze=lambda x: x.sum((2, 3))),
        "not their sum",
    ),
    ("efficientnet.squeeze_excite", lambda *a: squeeze_excite(*a).mean((2, 3)), "factors alone"),
    ("efficientnet.squeeze_excite", lambda *a: squeeze_excite(*a) + a[0], "once more"),
    ("efficientnet.phi_for", math.log2, "1.92"),
    ("efficientnet.phi_for", lambda f: f / 1.92, "power"),
    ("efficientnet.phi_for", math.log, "divide by"),
    ("efficientnet.round_channels", lambda c, w: c * w, "multiple of 8"),
    ("efficientnet.round_channels", lambda c, w: max(8, int(c * w) // 8 * 8), "always down"),
    (
        "efficientnet.round_channels",
        lambda c, w: max(8, math.ceil(c * w / 8) * 8),
        "always up|nearest",
    ),
    ("efficientnet.round_channels", lambda c, w: max(8, int(c * w + 4) // 8 * 8), "90 %"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers(name, answer):
    verdict = judge(name, answer)
    assert verdict.status == "right", verdict


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_each_mistake_gets_its_hint(name, answer, words):
    verdict = judge(name, answer)
    assert verdict.status == "wrong"
    assert re.search(words, verdict.message), verdict.message


@pytest.mark.parametrize("name", sorted({name for name, _ in RIGHT}))
def test_unanswered_is_neutral(name):
    assert judge(name, ...).status == "unanswered"
    assert judge(name, lambda *arguments: ...).status == "unanswered"
