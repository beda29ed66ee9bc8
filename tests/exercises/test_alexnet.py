"""The exercises of chapter 4: right answers, and each plausible mistake with its hint."""

import math

import torch

from support.answers import answer_tests


def side(n, k, s, p):
    return (n + 2 * p - k) // s + 1


def parameters(c, f, k, g):
    return f * (k * k * c // g + 1)


def drop(x, kept, p):
    return x * kept / (1 - p)


def step(w, v, gradient, lr, mu):
    v = mu * v - lr * gradient
    return w + v, v


def five_crops(image, size):
    b, r = image.shape[1] - size, image.shape[2] - size
    places = [(0, 0), (0, r), (b, 0), (b, r), (b // 2, r // 2)]
    return torch.stack([image[:, t : t + size, c : c + size] for t, c in places])


RIGHT = {
    "side": [side, lambda n, k, s, p: math.floor((n + 2 * p - k) / s) + 1],
    "parameters": [parameters, lambda c, f, k, g: f * k * k * (c // g) + f],
    "dropout": [drop, lambda x, kept, p: torch.where(kept, x / (1 - p), 0.0)],
    "momentum": [step, lambda w, v, d, lr, mu: [w + mu * v - lr * d, mu * v - lr * d]],
    "five_crops": [five_crops],
}

WRONG = [
    ("side", lambda n, k, s, p: (n + 2 * p - k) / s + 1, "round down"),
    ("side", lambda n, k, s, p: (n + 2 * p - k) // s, "window at the start"),
    ("side", lambda n, k, s, p: (n + p - k) // s + 1, "counts twice"),
    ("side", lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1, "fit in whole"),
    ("side", lambda n, k, s, p: n, "a side of 55"),
    ("parameters", lambda c, f, k, g: f * (k * k * c // g), "biases are missing"),
    ("parameters", lambda c, f, k, g: f * (k * k * c // g) + 1, "one for each filter"),
    ("parameters", lambda c, f, k, g: f * (k * k * c + 1), "group's share"),
    ("parameters", lambda c, f, k, g: f * (k * c // g + 1), "one side"),
    ("parameters", lambda c, f, k, g: f // g * (k * k * c // g + 1), "each sees less"),
    ("dropout", lambda x, kept, p: x * kept, "too small on average"),
    ("dropout", lambda x, kept, p: x * kept / p, "kept share is 1 − p"),
    ("dropout", lambda x, kept, p: x * kept * (1 - p), "too small|multiplies"),
    ("dropout", lambda x, kept, p: x * ~kept / (1 - p), "True in the mask"),
    ("momentum", lambda w, v, d, lr, mu: w - lr * d, "Two things|return w, v"),
    ("momentum", lambda w, v, d, lr, mu: (w - lr * d, -lr * d), "old velocity is missing"),
    ("momentum", lambda w, v, d, lr, mu: (w, mu * v + lr * d), "against the gradient"),
    ("momentum", lambda w, v, d, lr, mu: (w, mu * v + d), "without −lr"),
    ("momentum", lambda w, v, d, lr, mu: (w + v, mu * v - lr * d), "take the new one"),
    ("five_crops", lambda i, s: i[:, :s, :s], "Five crops"),
    ("five_crops", lambda i, s: five_crops(i, s)[[0, 1, 3, 2, 4]], "another order"),
    ("five_crops", lambda i, s: five_crops(i, s)[[0, 1, 2, 3, 3]], "middle"),
]


test_right, test_wrong, test_unanswered, test_complete = answer_tests("alexnet", RIGHT, WRONG)
