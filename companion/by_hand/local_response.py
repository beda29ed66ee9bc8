"""Local response normalisation, as AlexNet has it (chapter 4)."""

import torch
from torch import Tensor


def local_response_norm(
    a: Tensor,
    n: int = 5,
    k: float = 2.0,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> Tensor:
    """Divide each activity by what `n` neighbouring channels do at the same place, N×C×H×W.

    b_i = a_i / (k + α Σ_j a_j²)^β, where j runs over the channels from i − n//2 to i + n//2 that
    there are. Constants and formula are those of Krizhevsky et al. (2012), §3.3. torch's
    `local_response_norm` takes the mean over n channels in place of the sum, so its α is n times
    this one. Raises ValueError for an even `n`, which has no middle.
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"n must be odd, with a channel in its middle, got {n}")
    channels, half = a.shape[1], n // 2
    b = torch.empty_like(a)
    for i in range(channels):
        neighbours = a[:, max(0, i - half) : i + half + 1]
        b[:, i] = a[:, i] / (k + alpha * neighbours.square().sum(1)) ** beta
    return b
