"""The exercises of chapter 11, anomaly detection."""

import torch
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise, shape


def _precision(labels: Tensor, scores: Tensor) -> Tensor:
    ranked = labels[scores.argsort(descending=True)]
    return ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)


@exercise("A random ranking has about the share of anomalies.")
def average_precision(answer: Answer) -> None:
    """`average_precision(labels, scores)`: the mean precision at the anomalies, from the top."""
    generator = torch.Generator().manual_seed(0)
    for count, rare in ((12, 3), (50, 5), (30, 29)):
        scores = torch.rand(count, generator=generator, dtype=torch.float64)
        labels = torch.zeros(count, dtype=torch.bool)
        labels[torch.randperm(count, generator=generator)[:rare]] = True
        got = answer.number(labels, scores)
        order = scores.argsort(descending=True)
        precision, ranked = _precision(labels, scores).double(), labels[order]
        right = precision[ranked].mean().item()
        if abs(got - right) <= 1e-5:
            continue
        hints = {
            "the mean over all rows; only the rows that are anomalies count": precision.mean(),
            "the ranking the wrong way round: the highest score comes first": _precision(
                labels, -scores
            )[labels[scores.argsort()]].mean(),
            "the precision at the last anomaly; take the mean over all of them": precision[ranked][
                -1
            ],
            "a sum over the anomalies; divide it by their number": precision[ranked].sum(),
            "in the order of the rows: sort them by their scores first": (
                labels.cumsum(0) / torch.arange(1, count + 1)
            )[labels].mean(),
        }
        for hint, value in hints.items():
            if abs(got - float(value)) <= 1e-5:
                raise Hint(f"This is {hint}.")
        raise Hint(f"For {rare} anomalies among {count} rows {right:.4f} is right, got {got:.4f}.")


@exercise("So an isolation tree finds what has a wide gap beside it, without any distance.")
def alone(answer: Answer) -> None:
    """`alone(x)`: the probability that the first cut isolates each point of a line."""
    for values in ((3.0, 0.0, 1.0, 10.0), (5.0, 4.0, 2.0), (-1.0, 7.0, 6.5, 6.0, 5.0)):
        x = torch.tensor(values, dtype=torch.float64)
        order = x.argsort()
        s = x[order]
        span = s[-1] - s[0]
        gaps = s.diff() / span
        right = torch.zeros_like(x)
        right[order[0]], right[order[-1]] = gaps[0], gaps[-1]
        inner = torch.zeros_like(x)
        inner[order[1:-1]] = torch.minimum(gaps[:-1], gaps[1:])
        in_order = torch.zeros_like(x)
        in_order[0], in_order[-1] = gaps[0], gaps[-1]
        got = answer.tensor(x)
        shape(got, tuple(x.shape), "One probability for each point is expected.")
        agree(
            got,
            right,
            {
                "These are in the order of size; give them in the order of x.": in_order,
                "These are gaps; divide by the range to get probabilities.": right * span,
                "An inner point has neighbours on both sides: one cut cannot leave it alone.": (
                    right + inner
                ),
            },
            f"For x = {x.tolist()} something else is right. When does one cut leave a point alone?",
        )


@exercise("With these three LOF is wrong in ways that no error message tells.")
def lof(answer: Answer) -> None:
    """`lof(X, k)`: the local outlier factor, N numbers."""
    generator = torch.Generator().manual_seed(4)
    for k in (5, 3):
        X = torch.randn(25, 2, generator=generator, dtype=torch.float64)
        X[0] += 6
        got = answer.tensor(X, k)
        shape(got, (25,), "One number for each point is expected.")
        right = _lof(X, k)
        hints = {
            "A point is still its own neighbour, at distance 0: exclude the diagonal.": {
                "own": True
            },
            "The k-distance in the reachability is the neighbour's, not the point's.": {
                "mine": True
            },
            "The ratio is upside down: the neighbours' density belongs on top.": {"turned": True},
            "Two mistakes are left: the diagonal, and whose k-distance it is.": {
                "own": True, "mine": True,
            },
            "Two mistakes are left: the diagonal, and the ratio.": {"own": True, "turned": True},
            "Two mistakes are left: whose k-distance it is, and the ratio.": {
                "mine": True, "turned": True,
            },
            "All three mistakes are still there.": {"own": True, "mine": True, "turned": True},
        }  # fmt: skip
        agree(
            got,
            right,
            {hint: _lof(X, k, **ways) for hint, ways in hints.items()},
            "This is not LOF: compare with the three formulas, line by line.",
        )


def _lof(
    X: Tensor, k: int, *, own: bool = False, mine: bool = False, turned: bool = False
) -> Tensor:
    """LOF, with the mistakes of the exercise on request."""
    gaps = torch.cdist(X, X, compute_mode="donot_use_mm_for_euclid_dist")
    if not own:
        gaps.fill_diagonal_(float("inf"))
    near, who = gaps.topk(k, largest=False)
    reach = torch.maximum(near, near[:, -1:] if mine else near[:, -1][who])
    density = 1 / (reach.mean(1) + 1e-10)
    ratio = density[who].mean(1) / density
    return 1 / ratio if turned else ratio
