"""The self-checking exercises of chapters 2 and 3."""

import math

import pytest
import torch

from companion.by_hand.classification import balanced_accuracy, top_k_error
from companion.by_hand.crops import centre_crop
from companion.exercises import judge


def gradient(p, y, x):
    return (p - y).T @ x / len(x)


def hits(s, y, k):
    return (s.topk(k, 1).indices == y[:, None]).any(1).double().mean()


RIGHT = {
    "softmax.softmax": [
        lambda z: torch.softmax(z, 1),
        lambda z: torch.exp(z - z.logsumexp(1, keepdim=True)),
    ],
    "softmax.weight_gradient": [
        gradient,
        lambda p, y, x: torch.einsum("nk,nd->nkd", p - y, x).mean(0),
    ],
    "softmax.chance": [4.6, 4.605, math.log(100), torch.tensor(100.0).log()],
    "softmax.temperature": [3 / math.log(3), lambda: 2.73],
    "imagenet.top_k_error": [top_k_error, lambda s, y, k: 1 - hits(s, y, k)],
    "imagenet.centre_crop": [centre_crop],
    "imagenet.balanced_accuracy": [balanced_accuracy],
    "imagenet.images_needed": [47_500, 47500.0],
}

WRONG = [
    ("softmax.softmax", lambda z: torch.softmax(z, 0), "columns"),
    ("softmax.softmax", lambda z: torch.exp(z) / torch.exp(z).sum(), "All entries together"),
    ("softmax.softmax", lambda z: torch.exp(z) / torch.exp(z).sum(1, True), "NaN"),
    ("softmax.softmax", lambda z: torch.softmax(z.clamp(-9, 9), 1), "its own largest logit"),
    ("softmax.softmax", lambda z: torch.log_softmax(z, 1), "log-probabilities"),
    ("softmax.softmax", torch.exp, "powers alone"),
    ("softmax.softmax", lambda z: z / z.sum(1, True), "negative"),
    ("softmax.softmax", lambda z: torch.sigmoid(z), "0.75 and 0.25"),
    ("softmax.weight_gradient", lambda p, y, x: gradient(p, y, x).T, "swapped"),
    ("softmax.weight_gradient", lambda p, y, x: -gradient(p, y, x), "sign"),
    ("softmax.weight_gradient", lambda p, y, x: (p - y).T @ x, "sum over the images"),
    ("softmax.weight_gradient", lambda p, y, x: p.T @ x / len(x), "label is missing"),
    ("softmax.weight_gradient", lambda p, y, x: p - y, "shape of W"),
    ("softmax.chance", math.log2(100), "natural logarithm"),
    ("softmax.chance", 2, "base 10"),
    ("softmax.chance", -math.log(100), "sign"),
    ("softmax.chance", 0.01, "probability"),
    ("softmax.chance", 9.2, "p = 0.01"),
    ("softmax.temperature", math.log(3) / 3, "Upside down"),
    ("softmax.temperature", math.log(3), "after the division"),
    ("softmax.temperature", 4, "odds"),
    ("imagenet.top_k_error", hits, "share of hits"),
    ("imagenet.top_k_error", lambda s, y, k: 100 * top_k_error(s, y, k), "percentage"),
    ("imagenet.top_k_error", lambda s, y, k: 40 * top_k_error(s, y, k), "number of errors"),
    ("imagenet.top_k_error", lambda s, y, k: top_k_error(s, y, 1), "k plays no role|k − 1"),
    ("imagenet.top_k_error", lambda s, y, k: top_k_error(-s, y, k), "lowest"),
    ("imagenet.top_k_error", lambda s, y, k: top_k_error(s, y, k + 1), "one place too many"),
    ("imagenet.top_k_error", lambda s, y, k: 0.5, "For k = 2"),
    ("imagenet.centre_crop", lambda x, s: x[:, :s, :s], "upper left"),
    ("imagenet.centre_crop", lambda x, s: x[:, -s:, -s:], "lower right"),
    ("imagenet.centre_crop", lambda x, s: x[0, :s, :s], "keeps the channels"),
    ("imagenet.centre_crop", lambda x, s: centre_crop(x, s).flip(2), "mirrored"),
    ("imagenet.balanced_accuracy", lambda p, y: (p == y).double().mean(), "plain accuracy"),
    ("imagenet.balanced_accuracy", lambda p, y: balanced_accuracy(y, p), "group by the label"),
    ("imagenet.balanced_accuracy", lambda p, y: 0.35, "does not occur"),
    ("imagenet.images_needed", 4.75, "0.001, not 0.1"),
    ("imagenet.images_needed", 47.5, "square root"),
    ("imagenet.images_needed", 50_000, "1 − q"),
    ("imagenet.images_needed", 0.0475**0.5, "number of images"),
    ("imagenet.images_needed", 1500, "Solve"),
]


@pytest.mark.parametrize(("name", "answer"), [(n, a) for n, many in RIGHT.items() for a in many])
def test_right_answers(name, answer):
    assert judge(name, answer).status == "right", judge(name, answer)


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_each_mistake_gets_its_hint(name, answer, words):
    verdict = judge(name, answer)
    assert verdict.status == "wrong"
    with pytest.raises(ValueError, match=words):
        raise ValueError(verdict.message)


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [..., None, lambda *a: ...])
def test_unanswered_is_neutral(name, answer):
    assert judge(name, answer).status == "unanswered"
