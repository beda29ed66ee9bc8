"""The exercises of chapter 3, ImageNet and its challenge."""

import torch

from companion.by_hand.classification import balanced_accuracy as _balanced
from companion.by_hand.classification import top_k_error as _top_k
from companion.exercises import Answer, Hint, agree, exercise, rounded, shape


@exercise("This is the number by which eight years of the challenge were decided, for k = 5.")
def top_k_error(answer: Answer) -> None:
    """`top_k_error(scores, labels, k)`: a number from 0 to 1."""
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(8, (40,), generator=generator)
    for k in (2, 1, 4):
        right = _top_k(scores, labels, k)
        agree(
            answer.number(scores, labels, k),
            right,
            {
                "This is the share of hits; the error is the share of misses.": 1 - right,
                "This is a percentage; a share from 0 to 1 is expected.": 100 * right,
                "This is the number of errors; divide it by the number of images.": 40 * right,
                "This counts for k − 1: the label may be the k-th.": (
                    _top_k(scores, labels, k - 1) if k > 1 else 1.0
                ),
                "This counts one place too many: the label must be among the first k.": (
                    _top_k(scores, labels, k + 1)
                ),
                "k plays no role here: only the first guess counts.": _top_k(scores, labels, 1),
                "This takes the k lowest scores.": _top_k(-scores, labels, k),
                "This asks for the k-th guess alone; any of the first k may be the label.": (
                    (scores.topk(k, dim=1).indices[:, -1] != labels).double().mean().item()
                ),
            },
            f"For k = {k}: take the k best classes of each image, see whether the label is one of "
            "them, and average the misses over the images.",
        )


@exercise("It is the last step before a photograph enters almost any network of this book.")
def centre_crop(answer: Answer) -> None:
    """`centre_crop(image, size)`: C×size×size from the middle."""
    image = torch.arange(3 * 12 * 20, dtype=torch.float64).reshape(3, 12, 20)
    for size in (8, 12):
        got = answer.tensor(image, size)
        shape(got, (3, size, size), "The crop keeps the channels and is size×size.")
        top, left = (12 - size) // 2, (20 - size) // 2

        def cut(y: int, x: int, side: int = size) -> torch.Tensor:
            return image[:, y : y + side, x : x + side]

        agree(
            got,
            cut(top, left),
            {
                "This is the upper left corner.": cut(0, 0),
                "This is the lower right corner.": cut(12 - size, 20 - size),
                "Height and width are swapped: the axes are C, H, W.": (
                    cut(left, top) if left + size <= 12 else cut(0, 0)
                ),
                "It is centred from top to bottom only.": cut(top, 0),
                "It is centred from left to right only.": cut(0, left),
                "The right place, but it is mirrored.": cut(top, left).flip(2),
            },
            f"For an image of 12×20 and size {size}, row {top} and column {left} come first.",
        )


@exercise("A rare class now counts as much as a frequent one.")
def balanced_accuracy(answer: Answer) -> None:
    """`balanced_accuracy(predicted, labels)`: the mean of the classes' accuracies."""
    labels = torch.tensor([0] * 10 + [1] * 4 + [3] * 2)
    predicted = torch.tensor([0] * 9 + [1] + [1, 1, 0, 0] + [0, 0])
    right = _balanced(predicted, labels)
    plain = (predicted == labels).double().mean().item()
    recalls = torch.tensor([0.9, 0.5, 0.0])
    agree(
        answer.number(predicted, labels),
        right,
        {
            "This is the plain accuracy: frequent classes weigh more in it.": plain,
            "This also counts a class that does not occur in the labels.": recalls.sum() / 4,
            "This groups by what was predicted; group by the label.": _balanced(labels, predicted),
            "This is the error; the accuracy is 1 minus it.": 1 - right,
            "A class of which nothing was right counts too, with 0.": 0.7,
            "This is a percentage; a share from 0 to 1 is expected.": 100 * right,
        },
        "For each class in the labels take the share of its images that is right, then average "
        "these shares. With shares of 0.9, 0.5 and 0 the answer is their mean.",
    )


@exercise("That is why a benchmark needs tens of thousands of images, and why 1,500 say little.")
def images_needed(answer: Answer) -> None:
    """N for which √(0.05·0.95/N) is 0.001."""
    got = answer.number()
    if 0.05 < got < 1:
        raise Hint("A number of images is expected, a large one.")
    exact = 0.05 * 0.95 / 0.001**2
    agree(
        rounded(got, exact),
        exact,
        {
            "0.1 percentage points are 0.001, not 0.1.": 0.05 * 0.95 / 0.1**2,
            "0.1 percentage points are 0.001, not 0.01.": 0.05 * 0.95 / 0.01**2,
            "The standard error has a square root: N goes with the square of it.": 0.05
            * 0.95
            / 0.001,
            "The factor 1 − q is missing.": 0.05 / 0.001**2,
            "The variance is q(1 − q), not (q(1 − q))².": (0.05 * 0.95 / 0.001) ** 2,
            "The square root belongs over q(1 − q) too.": (0.05 * 0.95) ** 0.5 / 0.001,
        },
        "Solve √(q(1 − q)/N) = 0.001 for N, with q = 0.05.",
    )
