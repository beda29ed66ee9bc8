"""The exercises of chapter 2: right answers, and each plausible mistake with its hint."""

import math

import torch

from support.answers import answer_tests


def gradient(p, y, x):
    return (p - y).T @ x / len(x)


def squared(p, y):
    z = p.log().requires_grad_()
    loss = (torch.softmax(z, 1) - y).square().sum()
    return torch.autograd.grad(loss, z)[0]


RIGHT = {
    "softmax": [
        lambda z: torch.softmax(z, 1),
        lambda z: torch.exp(z - z.logsumexp(1, keepdim=True)),
    ],
    "weight_gradient": [
        gradient,
        lambda p, y, x: torch.einsum("nk,nd->nkd", p - y, x).mean(0),
    ],
    "squared_gradient": [squared, lambda p, y: 2 * (p * (p - y) - p * (p * (p - y)).sum(1, True))],
    "chance": [4.6, 4.61, 4.605, math.log(100), torch.tensor(100.0).log()],
    "temperature": [3 / math.log(3), lambda: 2.73, 2.7, 2.731],
}

WRONG = [
    ("softmax", lambda z: torch.softmax(z, 0), "columns"),
    ("softmax", lambda z: torch.exp(z) / torch.exp(z).sum(), "All entries together"),
    ("softmax", lambda z: torch.exp(z) / torch.exp(z).sum(1, True), "NaN"),
    ("softmax", lambda z: torch.softmax(z.clamp(-9, 9), 1), "its own largest logit"),
    ("softmax", lambda z: torch.log_softmax(z, 1), "log-probabilities"),
    ("softmax", torch.exp, "powers alone"),
    ("softmax", lambda z: z / z.sum(1, True), "negative"),
    ("softmax", lambda z: torch.sigmoid(z), "0.75 and 0.25"),
    ("weight_gradient", lambda p, y, x: gradient(p, y, x).T, "swapped"),
    ("weight_gradient", lambda p, y, x: -gradient(p, y, x), "sign"),
    ("weight_gradient", lambda p, y, x: (p - y).T @ x, "sum over the images"),
    ("weight_gradient", lambda p, y, x: p.T @ x / len(x), "label is missing"),
    ("weight_gradient", lambda p, y, x: p - y, "shape of W"),
    ("squared_gradient", lambda p, y: squared(p, y) / 2, "factor 2"),
    ("squared_gradient", lambda p, y: -squared(p, y), "sign"),
    ("squared_gradient", lambda p, y: 2 * (p - y), "still to be passed"),
    ("squared_gradient", lambda p, y: p - y, "cross-entropy"),
    ("squared_gradient", lambda p, y: 2 * (p - y) * p * (1 - p), "sum over all"),
    ("squared_gradient", lambda p, y: squared(p, y) / 4, "mean over the images"),
    ("squared_gradient", lambda p, y: squared(p, y).sum(0), "each logit"),
    ("squared_gradient", lambda p, y: p * y, "Chain rule"),
    ("chance", math.log2(100), "natural logarithm"),
    ("chance", 2, "base 10"),
    ("chance", -math.log(100), "sign"),
    ("chance", 0.01, "probability"),
    ("chance", 9.2, "p = 0.01"),
    ("temperature", math.log(3) / 3, "Upside down"),
    ("temperature", math.log(3), "after the division"),
    ("temperature", 4, "odds"),
    ("temperature", 2.75, "odds"),
    ("temperature", 3, "odds"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("softmax", RIGHT, WRONG)
