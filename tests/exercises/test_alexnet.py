"""The exercises of chapter 4: right answers, and each plausible mistake with its hint."""

import numpy as np
import pytest
import torch

from companion.by_hand.dropout import dropout
from companion.by_hand.momentum import momentum_step
from companion.models import AlexNet
from support.answers import answer_tests


def variance(x, p):
    return x**2 * p / (1 - p)


def five_crops(image, size):
    b, r = image.shape[1] - size, image.shape[2] - size
    places = [(0, 0), (0, r), (b, 0), (b, r), (b // 2, r // 2)]
    return torch.stack([image[:, t : t + size, c : c + size] for t, c in places])


ALL = 3 * 1.135e9 * 90 * 1.2e6

RIGHT = {
    "input_sides": [(227, 258), [227, 258.0], np.array([227, 258]), torch.tensor([227, 258])],
    "sustained": [ALL / (5.5 * 86400), 7.7e11, 8e11, lambda: 773e9],
    "dropout_variance": [variance, lambda x, p: (x / (1 - p)) ** 2 * (1 - p) - x**2],
    "terminal_step": [0.1, 0.01 / (1 - 0.9), -0.1],
    "five_crops": [five_crops, lambda i, s: tuple(five_crops(i, s))],
}

WRONG = [
    ("input_sides", (258, 227), "opposite order"),
    ("input_sides", (227, 255), "three pixels over"),
    ("input_sides", (227, 227), "larger input"),
    ("input_sides", (227, 259), "side of 7"),
    ("input_sides", (224, 258), "side of 5"),
    ("input_sides", (227,), "1 came"),
    ("input_sides", 227, "Two numbers"),
    ("input_sides", "227", "Two numbers"),
    ("input_sides", ("a", "b"), "Two numbers"),
    ("sustained", ALL / 3 / (5.5 * 86400), "Forward passes alone"),
    ("sustained", 2 * ALL / 3 / (5.5 * 86400), "three in all"),
    ("sustained", ALL / 5.5, "3600 seconds"),
    ("sustained", ALL / 90 / (5.5 * 86400), "Ninety"),
    ("sustained", ALL / (5.5 * 86400) / 1e9, "not in billions"),
    ("sustained", 1.0, "over seconds"),
    ("dropout_variance", lambda x, p: x**2 / (1 - p), "take off"),
    ("dropout_variance", lambda x, p: x**2 * p * (1 - p), "divided by 1 − p"),
    ("dropout_variance", lambda x, p: variance(x, p) ** 0.5, "standard deviation"),
    ("dropout_variance", lambda x, p: x**2 * (1 - p) / p, "take off|share that is dropped"),
    ("dropout_variance", lambda x, p: x * p / (1 - p), "square of x"),
    ("dropout_variance", lambda x, p: 0 * x, r"Var = E\[y²\]"),
    ("dropout_variance", lambda x, p: p, "one variance for each"),
    ("terminal_step", 0.01, "without momentum"),
    ("terminal_step", 0.019, "second step"),
    ("terminal_step", 10, "learning rate is missing"),
    ("terminal_step", 0.009, "first step"),
    ("terminal_step", 0.5, "Solve for v"),
    ("five_crops", lambda i, s: i[:, :s, :s], "Five crops"),
    ("five_crops", lambda i, s: (i, i[:, :s, :s]), "same size"),
    ("five_crops", lambda i, s: five_crops(i, s)[[0, 1, 3, 2, 4]], "another order"),
    ("five_crops", lambda i, s: five_crops(i, s)[[0, 1, 2, 3, 3]], "middle"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("alexnet", RIGHT, WRONG)


@pytest.mark.parametrize("side", [226, 227, 240, 258, 259])
def test_the_sides_are_those_that_the_network_takes(side):
    with torch.device("meta"):
        layers, x = AlexNet().layers, torch.empty(1, 3, side, side)
    before_fc6 = layers[: list(layers._modules).index("flatten")](x)
    assert (before_fc6.shape[-1] == 6) == (227 <= side <= 258)


def test_variance_and_last_step_by_experiment():
    y = dropout(torch.full((200_000,), 3.0), 0.2, generator=torch.Generator().manual_seed(0))
    assert y.var() == pytest.approx(variance(3.0, 0.2), rel=0.02)
    w = v = torch.zeros(1)
    for _ in range(200):
        w, v = momentum_step(w, v, torch.ones(1), 0.01, 0.9)
    assert -v.item() == pytest.approx(0.1)
