"""The exercises of chapter 14, generative adversarial networks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.exercises import Answer, Hint, agree, exercise


@exercise(
    "A discriminator never sees a density, and yet its logit is the logarithm of a ratio of two."
)
def real_mean(answer: Answer) -> None:
    """`real_mean(values, logits)`: the mean of a quantity over real data, from samples alone."""
    generator = torch.Generator().manual_seed(14)
    logits = torch.randn(50, generator=generator, dtype=torch.float64)
    values = torch.randn(50, generator=generator, dtype=torch.float64) + logits
    weights = logits.exp()
    expected = (weights * values).sum() / weights.sum()
    D = torch.sigmoid(logits)
    agree(
        answer.tensor(values, logits),
        expected,
        {
            "This is the mean over the samples as they are: they come from the generator. Weigh "
            "each by how much more often real data fall there.": values.mean(),
            "Close: D itself is p/(p + q). The weight of a sample is the ratio p/q.": (
                (D * values).sum() / D.sum()
            ),
            "These are the weights of the generator over the data: turn the ratio round.": (
                (values / weights).sum() / (1 / weights).sum()
            ),
            "The weights must add up to 1: divide by their sum.": (weights * values).mean(),
            "The weights must add up to 1, so don't average besides.": (weights * values).sum(),
        },
        "The best D has the logit log p_data(x) − log p_model(x).",
    )
    far = answer.tensor(values, logits + 800)
    if not torch.allclose(far, expected):
        raise Hint(
            "Right, but a constant added to all logits should change nothing, and large logits "
            "overflow: torch.softmax takes care of both."
        )


@exercise("How often each kind is shown is part of what a classifier learns.")
def best_with_prior(answer: Answer) -> None:
    """`best_with_prior(p_data, p_model, share)`: the best D if a share of its images is real."""
    generator = torch.Generator().manual_seed(15)
    p, q = torch.rand(2, 9, generator=generator, dtype=torch.float64) + 0.05
    for share in (0.2, 0.5, 0.9):
        mixture = share * p + (1 - share) * q
        agree(
            answer.tensor(p, q, share),
            share * p / mixture,
            {
                "This is the best D for equal shares: `share` has no effect.": p / (p + q),
                "Real and generated are exchanged.": (1 - share)
                * q
                / (share * p + (1 - share) * q),
                "The weights are exchanged: real images come with the share `share`.": (
                    (1 - share) * p / ((1 - share) * p + share * q)
                ),
                "The generated images have a weight, too: 1 − share.": share * p / (share * p + q),
                "The shares belong to both densities below, and to the one above.": (p / mixture),
            },
            "Maximise share·p·log D + (1 − share)·q·log(1 − D) in D.",
        )


@exercise("Each of the three mistakes runs, and gives curves that look like a training.")
def losses(answer: Answer) -> None:
    """`losses(G, D, real, noise)`: the discriminator's loss, and the non-saturating generator's."""
    with torch.random.fork_rng([]):
        torch.manual_seed(16)
        G, D = nn.Linear(2, 3).double(), nn.Linear(3, 1).double()
        real, noise = torch.randn(6, 3).double(), torch.randn(6, 2).double()
    result = answer(G, D, real, noise)
    if not isinstance(result, tuple) or len(result) != 2:
        raise Hint("Two losses are expected: the discriminator's, then the generator's.")
    d_loss, g_loss = result
    if not (isinstance(d_loss, Tensor) and isinstance(g_loss, Tensor)):
        raise Hint("Both losses should be tensors, connected to what they were computed from.")
    on_real, on_fake = D(real), D(G(noise))
    expected_d = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
    expected_g = F.softplus(-on_fake).mean()
    agree(
        d_loss.detach(),
        expected_d.detach(),
        {
            "For D real and generated images are exchanged: it would learn to call real ones "
            "generated.": F.softplus(on_real).mean() + F.softplus(-on_fake).mean(),
            "For D both kinds count as real: nothing is told apart.": (
                F.softplus(-on_real).mean() + F.softplus(-on_fake).mean()
            ),
        },
        "The discriminator's loss is −log D(real) − log(1 − D(fake)), averaged.",
    )
    agree(
        g_loss.detach(),
        expected_g.detach(),
        {
            "The generator's loss is −log(1 − D): minimised, its images look *less* real.": (
                F.softplus(on_fake).mean()
            ),
            "This is the minimax loss log(1 − D). The non-saturating one is wanted.": (
                -F.softplus(on_fake).mean()
            ),
        },
        "The generator's loss is −log D(G(z)), averaged.",
    )
    pulls = torch.autograd.grad(d_loss, list(G.parameters()), retain_graph=True, allow_unused=True)
    if any(pull is not None and bool(pull.any()) for pull in pulls):
        raise Hint(
            "Both values are right. But the discriminator's loss also has a gradient for G, which "
            "would help D: detach the generated images from their history."
        )
    pulls = torch.autograd.grad(g_loss, list(G.parameters()), allow_unused=True)
    if not all(pull is not None and bool(pull.any()) for pull in pulls):
        raise Hint(
            "Both values are right. But the generator's loss has no gradient for G: here the "
            "generated images must keep their history."
        )


@exercise("It needs no second gradient: the last one tells where things are going.")
def optimistic(answer: Answer) -> None:
    """`optimistic(x, y, x_before, y_before, step)`: a step by twice the gradient minus the last."""
    step = 0.3
    x, y, x_before, y_before = 1.0, -0.4, 0.7, 0.9
    right = (x - 2 * step * y + step * y_before, y + 2 * step * x - step * x_before)
    got = answer.tensor(x, y, x_before, y_before, step).flatten()
    agree(
        got,
        torch.tensor(right, dtype=torch.float64),
        {
            "This is the simultaneous step: the gradients of before have no effect.": torch.tensor(
                (x - step * y, y + step * x), dtype=torch.float64
            ),
            "The last gradient is to be taken off, not added.": torch.tensor(
                (x - 2 * step * y - step * y_before, y + 2 * step * x + step * x_before),
                dtype=torch.float64,
            ),
            "x's gradient is y, and y's is x: yours seem to be exchanged.": torch.tensor(
                (x - 2 * step * x + step * x_before, y + 2 * step * y - step * y_before),
                dtype=torch.float64,
            ),
            "y wants x·y large: it goes up its gradient.": torch.tensor(
                (right[0], y - 2 * step * x + step * x_before), dtype=torch.float64
            ),
            "y is to step from where x was, not from where it has gone.": torch.tensor(
                (right[0], y + 2 * step * right[0] - step * x_before), dtype=torch.float64
            ),
        },
        "x ← x − η(2y − y_before), and y ← y + η(2x − x_before).",
    )
    path = [(1.0, 0.0), (1.0, 0.0)]
    for _ in range(200):
        path.append(tuple(answer.tensor(*path[-1], *path[-2], step).flatten().tolist()))
    if math.hypot(*path[-1]) > 0.1:
        raise Hint("Right once; but 200 steps of it should come close to (0, 0).")
