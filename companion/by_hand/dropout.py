"""Dropout by hand (chapter 4)."""

import torch
from torch import Tensor


def dropout(
    x: Tensor,
    p: float = 0.5,
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """In training, set each number to 0 with probability `p` and divide the others by 1 − p.

    Its expectation is x, so nothing needs to change in evaluation, where x comes back as it is.
    (Krizhevsky et al., 2012, §4.2, leave the kept numbers alone and halve all of them when the
    network is used: the same but for a factor.) Raises ValueError unless 0 ≤ p < 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p must be a probability below 1, got {p}")
    if not training:
        return x
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= p
    return x * kept / (1 - p)
