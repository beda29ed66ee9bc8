"""How many nats a latent tells of a factor: by counting in bins, or from a VAE's posteriors."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from companion.disentanglement.tables import Factors, as_factors, as_table, is_discrete

Cut = Literal["frequency", "width"]


def bin_numbers(values: np.ndarray, bins: int, cut: Cut = "frequency") -> np.ndarray:
    """The bin, 0 to bins − 1, of each of N values (int64); class numbers stay what they are.

    "frequency" gives all bins as many values as possible (equal values share one), "width" cuts the
    range from the least to the largest value into equal intervals.
    """
    if is_discrete(values):
        return values
    if bins < 2:
        raise ValueError(f"Expected at least 2 bins, got {bins}.")
    if cut == "frequency":
        below = np.searchsorted(np.sort(values), values)
        return below * bins // len(values)
    if cut == "width":
        low, high = values.min(), values.max()
        return np.minimum((values - low) * (bins / (high - low)), bins - 1).astype(np.int64)
    raise ValueError(f"Expected cut 'frequency' or 'width', got {cut!r}.")


def information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) = Σ p(a, b) log [p(a, b) / (p(a) p(b))], in nats, of class numbers by counting."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    return joint_information(joint)


def joint_information(joint: np.ndarray) -> float:
    """I in nats of a table of joint probabilities."""
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def mutual_information(
    factors: Factors, codes: ArrayLike, *, bins: int = 20, cut: Cut = "frequency"
) -> np.ndarray:
    """I(factor; latent) in nats, F×d, by counting.

    Continuous factors and all latents are cut into `bins` (see :func:`bin_numbers`). Counting finds
    too much where there is nothing: about (a − 1)(b − 1)/2N nats for a times b bins and N rows; and
    too little where there is more than bins can hold, log `bins`. A circular factor needs no care:
    bins have no order.

    It takes codes as they are: means μ of a VAE know more than its draws z ~ N(μ, σ²), and the
    mean of a collapsed latent may tell much though no draw does (:func:`posterior_information`).
    """
    table = as_table(factors, codes)
    latents = [bin_numbers(z, bins, cut) for z in table.codes.T]
    return np.array(
        [
            [information(bin_numbers(v, bins, cut), latent) for latent in latents]
            for v in table.factors
        ]
    )


def entropies(factors: Factors, *, bins: int = 20, cut: Cut = "frequency") -> np.ndarray:
    """H(factor) in nats, F values, after the same cut.

    That of a continuous factor is the entropy of its bins, about log `bins`: its own has no meaning
    here.
    """
    cuts = [bin_numbers(v, bins, cut) for v in as_factors(factors).values()]
    return np.array([information(v, v) for v in cuts])


def gap(table: np.ndarray) -> np.ndarray:
    """By how much the best of d latents is ahead of the second, for each row of a table F×d.

    A single latent is ahead of 0.
    """
    ordered = np.sort(np.c_[table, np.zeros(len(table))], axis=1)
    ahead: np.ndarray = ordered[:, -1] - np.maximum(ordered[:, -2], 0)
    return ahead


def posterior_information(
    factors: Factors, mu: ArrayLike, log_var: ArrayLike, *, bins: int = 20
) -> np.ndarray:
    """I(factor; latent) in nats, F×d, of draws z ~ N(μ, σ²), without drawing any.

    As :func:`mutual_information`, but a row counts in every bin of a latent with the probability
    that a draw falls there, Φ((b − μ)/σ) − Φ((a − μ)/σ) in closed form. The bins hold equal shares
    of all draws. For `mu` and `log_var` N×d. Collapsed latents tell nothing here, as it should be.

    Raises ValueError: as `mutual_information`, and for variances of another shape or not finite.
    """
    table = as_table(factors, mu)
    sigma = np.exp(0.5 * np.asarray(log_var, dtype=np.float64))
    if sigma.shape != table.codes.shape or not np.isfinite(sigma).all():
        raise ValueError(
            f"Expected finite log variances of the shape {table.codes.shape}, as the means have, "
            f"got {sigma.shape}."
        )
    latents = [soft_bins(m, s, bins) for m, s in zip(table.codes.T, sigma.T, strict=True)]
    rows = []
    for values in table.factors:
        group = bin_numbers(values, bins)
        member = np.eye(group.max() + 1)[group] / len(group)
        rows.append([joint_information(member.T @ latent) for latent in latents])
    return np.array(rows)


def soft_bins(mu: np.ndarray, sigma: np.ndarray, bins: int) -> np.ndarray:
    """The probability, N×bins, that a draw of N(μ, σ²) falls into each bin."""
    from scipy.special import ndtr, ndtri

    levels = ndtri((np.arange(21) + 0.5) / 21)
    spread = (mu[:, None] + sigma[:, None] * levels).ravel()
    edges = np.quantile(spread, np.arange(1, bins) / bins)
    below = ndtr((edges - mu[:, None]) / sigma[:, None])
    return np.diff(np.c_[np.zeros(len(mu)), below, np.ones(len(mu))], axis=1)
