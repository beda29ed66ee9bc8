"""The exercises of chapter 9: right answers, and each plausible mistake with its hint."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from support.answers import answer_tests


def passes(side: int, patch: int, stride: int) -> int:
    return (math.ceil((side - patch) / stride) + 1) ** 2


def by_counting(side: int, patch: int, stride: int) -> int:
    return len(range(0, side - patch + stride, stride)) ** 2


def vote(embedding: Tensor, labels: Tensor, query: Tensor, k: int) -> int:
    nearest = (embedding - query).square().sum(1).topk(k, largest=False).indices
    return int(labels[nearest].bincount().argmax())


def gradient(model: nn.Module, image: Tensor, target: int) -> Tensor:
    x = image[None].clone().requires_grad_()
    (found,) = torch.autograd.grad(model(x)[0, target], x)
    return found[0]


def saliency(model: nn.Module, image: Tensor, target: int) -> Tensor:
    return gradient(model, image, target).abs().amax(0)


def as_given(model: nn.Module, image: Tensor, target: int) -> Tensor:
    x = image[None].clone().requires_grad_()
    model(x).max().backward()
    assert x.grad is not None
    return x.grad[0].amax(0)


def of_the_largest(model: nn.Module, image: Tensor, target: int) -> Tensor:
    return gradient(model, image, int(model(image[None]).argmax())).abs().amax(0)


def backward(model: nn.Module, image: Tensor, target: int) -> Tensor:
    x = image[None].clone().requires_grad_()
    model(x)[0, target].backward()
    assert x.grad is not None
    return x.grad[0].abs().amax(0)


def of_the_probability(model: nn.Module, image: Tensor, target: int) -> Tensor:
    x = image[None].clone().requires_grad_()
    (found,) = torch.autograd.grad(model(x).softmax(1)[0, target], x)
    return found[0].abs().amax(0)


def nearest_point(embedding: Tensor, labels: Tensor, query: Tensor, k: int) -> int:
    return int((embedding - query).square().sum(1).argmin())


def nearest_class(embedding: Tensor, labels: Tensor, query: Tensor, k: int) -> int:
    return int(labels[nearest_point(embedding, labels, query, k)])


def farthest(embedding: Tensor, labels: Tensor, query: Tensor, k: int) -> int:
    return int(labels[(embedding - query).square().sum(1).topk(k).indices].bincount().argmax())


RIGHT: dict[str, list[Any]] = {
    "passes": [passes, lambda s, p, t: float(passes(s, p, t)), by_counting],
    "vote": [
        vote,
        lambda e, y, q, k: y[torch.cdist(q[None], e)[0].argsort()[:k]].mode().values,
    ],
    "saliency": [saliency, lambda m, x, t: saliency(m, x, t).numpy()],
}

WRONG: list[tuple[str, Any, str]] = [
    ("passes", lambda s, p, t: math.ceil((s - p) / t) + 1, "one row"),
    ("passes", lambda s, p, t: math.ceil((s - p) / t) ** 2, "the start counts"),
    ("passes", lambda s, p, t: ((s - p) // t + 1) ** 2, "uncovered"),
    ("passes", lambda s, p, t: passes(s, p, t) + 1, "whole image"),
    ("passes", lambda s, p, t: math.ceil(s / t) ** 2, "too late"),
    ("passes", lambda s, p, t: math.ceil(s / p) ** 2, "stride as large"),
    ("passes", lambda s, p, t: 3.5, "got 3.5"),
    ("passes", lambda s, p, t: math.inf, "got inf"),
    ("vote", nearest_point, "number of a point"),
    ("vote", nearest_class, "let all k vote"),
    ("vote", farthest, "largest=False"),
    ("vote", lambda e, y, q, k: -1, "most votes"),
    ("saliency", as_given, "one pixel"),
    ("saliency", of_the_largest, "largest logit; the target"),
    ("saliency", lambda m, x, t: gradient(m, x, t).amax(0), "negative"),
    ("saliency", lambda m, x, t: gradient(m, x, t).amax(0).abs(), "too late"),
    ("saliency", lambda m, x, t: gradient(m, x, t).abs().sum(0), "added up"),
    ("saliency", lambda m, x, t: gradient(m, x, t).abs().mean(0), "averaged"),
    ("saliency", of_the_probability, "probability"),
    ("saliency", backward, "weights have gradients"),
    ("saliency", lambda m, x, t: gradient(m, x, t), "each pixel"),
    ("saliency", lambda m, x, t: saliency(m, x, t) * 7, "one pixel"),
]

(
    test_right_answers,
    test_each_mistake_gets_its_hint,
    test_unanswered_is_neutral,
    test_every_exercise_has_answers,
) = answer_tests("seeing", RIGHT, WRONG)
