"""The exercises of chapter 2, softmax and cross-entropy."""

import math

import torch

from companion.exercises import Answer, Hint, agree, exercise, rounded, shape


def _logits(n: int = 4, k: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return 2 * torch.randn(n, k, generator=generator, dtype=torch.float64)


@exercise("Every library does the same: the largest logit is taken out before the exponential.")
def softmax(answer: Answer) -> None:
    """`softmax(z)`: probabilities N×K that survive logits of ±1000."""
    z = _logits()
    got = answer.tensor(z)
    shape(got, tuple(z.shape), "There is one probability for each logit.")
    right = torch.softmax(z, 1)
    agree(
        got,
        right,
        {
            "The columns sum to 1; each row, one image, should.": torch.softmax(z, 0),
            "All entries together sum to 1; each row should.": z.exp() / z.exp().sum(),
            "These are log-probabilities; take their exponential.": torch.log_softmax(z, 1),
            "These are the powers alone; they are still to be divided by their sum.": z.exp(),
            "This divides by the largest power, not by the sum of them.": (
                z - z.amax(1, keepdim=True)
            ).exp(),
            "Logits can be negative: it needs the exponential, not just a division.": z
            / z.sum(1, keepdim=True),
        },
        "For the logits (0, 0) both probabilities are 0.5, for (log 3, 0) they are 0.75 and 0.25; "
        "try yours on these.",
    )
    hard = torch.tensor([[1000.0, 998.0, -1000.0], [-1000.0, -1000.0, -1001.0]]).double()
    got = answer.tensor(hard)
    if not got.isfinite().all():
        raise Hint("Right for small logits, but for ±1000 there is NaN: what may be subtracted?")
    agree(
        got,
        torch.softmax(hard, 1),
        {},
        "Right for small logits, but not for ±1000: each row needs its own largest logit.",
    )


@exercise("Each row of W moves along images: towards those of its class, away from the others.")
def weight_gradient(answer: Answer) -> None:
    """`weight_gradient(p, y, x)`: K×D, the gradient of the mean cross-entropy."""
    generator = torch.Generator().manual_seed(3)
    n, d = 4, 5
    p = torch.softmax(_logits(n), 1)
    y = torch.nn.functional.one_hot(torch.tensor([2, 0, 1, 2]), 3).double()
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    got = answer.tensor(p, y, x)
    if got.shape == (d, 3):
        raise Hint("Rows and columns are swapped: W has one row for each class.")
    shape(got, (3, d), "The gradient has the shape of W, K×D: each image gives an outer product.")
    right = (p - y).T @ x / n
    agree(
        got,
        right,
        {
            "The sign is turned round: the gradient is p − y.": -right,
            "This is the gradient of the sum over the images; the mean is wanted.": right * n,
            "Divide by the number of images, not by the number of classes.": right * n / 3,
            "The label is missing: p − y, not p alone.": p.T @ x / n,
        },
        "For one image the gradient of row k is (p_k − y_k)·x; average that over the images.",
    )


@exercise("It carries p in front of every entry: where p is nearly 0 or 1, nothing is left.")
def squared_gradient(answer: Answer) -> None:
    """`squared_gradient(p, y)`: N×K, of ‖p − y‖² with respect to the logits, image by image."""
    p = torch.softmax(_logits(), 1)
    y = torch.nn.functional.one_hot(torch.tensor([2, 0, 1, 2]), 3).double()
    got = answer.tensor(p, y)
    shape(got, (4, 3), "There is one gradient for each logit.")
    e = p - y
    right = 2 * p * (e - (e * p).sum(1, keepdim=True))
    agree(
        got,
        right,
        {
            "The square's own factor 2 is missing.": right / 2,
            "The sign is turned round.": -right,
            "This is the gradient with respect to p; the softmax is still to be passed.": 2 * e,
            "This is cross-entropy's gradient.": e,
            "A logit also moves the other probabilities: sum over all of them.": (
                2 * e * p * (1 - p)
            ),
            "One image at a time: this is the mean over the images.": right / 4,
        },
        "Chain rule: 2(p_j − y_j) times ∂p_j/∂z_k = p_j([j = k] − p_k), summed over j. "
        "Compare with autograd.",
    )


@exercise("The first loss of a training run says at once whether the start is sound.")
def chance(answer: Answer) -> None:
    """The cross-entropy of a uniform guess among 100 classes, as a number."""
    exact = math.log(100)
    agree(
        rounded(answer.number(), exact),
        exact,
        {
            "This is in bits or in powers of ten: take the natural logarithm.": math.log2(100),
            "This is with the base 10: take the natural logarithm.": 2.0,
            "The sign: the loss is −log p, and p is below 1.": -math.log(100),
            "This is the probability; the loss is its negative logarithm.": 0.01,
            "That is for ten classes.": math.log(10),
            "That is for a thousand classes.": math.log(1000),
        },
        "Each of the 100 classes gets p = 0.01. What is −log p?",
    )


@exercise("This is how overconfident networks are mended after training: with one number.")
def temperature(answer: Answer) -> None:
    """T for which softmax((3, 0)/T) gives 0.75 to the first class."""
    exact = 3 / math.log(3)
    agree(
        rounded(answer.number(), exact),
        exact,
        {
            "Upside down: the logits are divided by T.": math.log(3) / 3,
            "This is the logit after the division, 3/T.": math.log(3),
            "The odds of 0.75 are 0.75 to 0.25, which is 3.": 3 / math.log(0.75 / 0.5),
            "0.75 / 0.25 are the odds; their logarithm is missing.": 1.0,
            "The sigmoid's inverse is log(p/(1 − p)), not log p.": 3 / -math.log(0.75),
        },
        "Solve σ(3/T) = 0.75: the odds p/(1 − p) are e^(3/T).",
    )
