"""The exercises of chapter 13, the β-VAE."""

import numpy as np
import torch

from companion.exercises import Answer, Hint, agree, exercise


@exercise("All of it is information: the codes together are spread as the prior is.")
def nats(answer: Answer) -> None:
    """`nats(sigma)`: the mean KL of a latent with μ ~ N(0, 1 − σ²), which is −log σ."""
    sigma = torch.tensor([0.9, 0.5, 0.1, 0.03], dtype=torch.float64)
    right = -sigma.log()
    agree(
        answer.tensor(sigma),
        right,
        {
            "Twice too much: the factor ½ is missing.": 2 * right,
            "Half of it: log σ² is 2 log σ.": 0.5 * right,
            "The sign: a smaller σ costs more.": -right,
            "This leaves out μ: its mean square is 1 − σ².": 0.5 * (sigma**2 - 2 * sigma.log() - 1),
            "This takes μ² = 1; its mean is 1 − σ².": 0.5 * (sigma**2 - 2 * sigma.log()),
            "These are bits: take the natural logarithm.": -sigma.log2(),
        },
        "Put the mean of μ² into the closed form of chapter 12.",
    )


@exercise("Images may share the capacity as they need it; only the mean is charged.")
def capacity_loss(answer: Answer) -> None:
    """`capacity_loss(distortion, kl, capacity, gamma)`: mean distortion + γ|mean rate − c|."""
    generator = torch.Generator().manual_seed(13)
    distortion = 10 * torch.rand(6, generator=generator, dtype=torch.float64)
    kl = 3 * torch.rand(6, 4, generator=generator, dtype=torch.float64)
    rates = kl.sum(1)
    # Between the images' rates, so that the place of the absolute value matters; then above all.
    for capacity in (rates.median().item(), rates.max().item() + 1):
        away, gamma = rates.mean() - capacity, 5.0
        agree(
            answer.tensor(distortion, kl, capacity, gamma),
            distortion.mean() + gamma * away.abs(),
            {
                "The absolute value is missing: too few nats cost as much as too many.": (
                    distortion.mean() + gamma * away
                ),
                "The mean rate of the batch is compared with the capacity, not each image's.": (
                    distortion.mean() + gamma * (rates - capacity).abs().mean()
                ),
                "An image's rate is the sum over its latents.": (
                    distortion.mean() + gamma * (kl.mean() - capacity).abs()
                ),
                "Too few nats are charged, too: this is 0 below the capacity.": (
                    distortion.mean() + gamma * away.clamp(min=0)
                ),
                "Images are to be averaged.": distortion.sum()
                + gamma * (rates.sum() - capacity).abs(),
                "The capacity is not charged by its square.": (
                    distortion.mean() + gamma * away.square()
                ),
                "γ weighs the difference from the capacity.": distortion.mean() + away.abs(),
            },
            "Distortion and rate are means over the batch.",
        )


@exercise("Equal ratios in equal times, and then it stays.")
def beta_at(answer: Answer) -> None:
    """`beta_at(progress, first, last, anneal)`: β falling geometrically, then constant."""
    for first, last, anneal in ((200.0, 4.0, 0.75), (32.0, 4.0, 0.5)):
        places = np.array([0.0, 0.1, 0.3, anneal, 0.9, 1.0])
        got = np.array([answer.number(place, first, last, anneal) for place in places])
        expected = first * (last / first) ** np.minimum(1, places / anneal)
        if np.allclose(got, expected, rtol=1e-6):
            continue
        late = places >= anneal
        share = np.minimum(1, places / anneal)
        if np.allclose(got, first + (last - first) * share, rtol=1e-6):
            raise Hint("It falls and stays at the right times, but by equal steps, not ratios.")
        if np.allclose(got[~late], expected[~late], rtol=1e-6):
            raise Hint(
                f"It falls as it should, but from {anneal:g} on it must stay at {last:g}; at "
                f"{places[late][1]:g} of the training it is {got[late][1]:.4g}."
            )
        if np.allclose(got[late], last, rtol=1e-6):
            raise Hint(
                "It ends at the right time. On the way, what is done is the share of the first "
                f"part: at {places[1]:g} of the training β should be {expected[1]:.4g}, got "
                f"{got[1]:.4g}."
            )
        raise Hint(
            f"At {places[2]:g} of the training, falling from {first:g} to {last:g} over the first "
            f"{anneal:g} of it, β should be {expected[2]:.4g}, got {got[2]:.4g}."
        )


@exercise("That a training found its minimum can be refuted; that it did, not proved.")
def between(answer: Answer) -> None:
    """`between(betas, rates, distortions)`: whether each slope lies between the two β."""
    betas = [1.0, 4.0, 16.0, 64.0, 100.0]
    rates = [20.0, 15.0, 9.0, 4.0, 4.0]
    distortions = [100.0, 110.0, 209.0, 309.0, 309.0]  # slopes 2, 16.5, 20; then two that coincide
    got = answer(betas, rates, distortions)
    if not isinstance(got, list | tuple | np.ndarray) and not torch.is_tensor(got):
        raise Hint(f"A list of {len(betas) - 1} truth values is expected, got {got!r}.")
    found = [bool(each) for each in got]
    if len(found) != len(betas) - 1:
        raise Hint(f"There are {len(betas) - 1} pairs of neighbours, got {len(found)} values.")
    if found == [True, False, True, True]:
        return
    for words, mistake in (
        ("Two equal runs contradict nothing: their slope is 0/0. Multiply instead of dividing.",
         [True, False, True, False]),
        ("Only one of the two bounds is checked: the slope must not exceed the larger β either.",
         [True, True, True, True]),
        ("The other way round: these are the pairs that fail.", [False, True, False, False]),
    ):  # fmt: skip
        if found == mistake:
            raise Hint(words)
    raise Hint(
        "For rates 20, 15, 9, 4, 4 and distortions 100, 110, 209, 309, 309 at β = 1, 4, 16, 64, "
        f"100 there should be True, False, True, True; got {found}."
    )
