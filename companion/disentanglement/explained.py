"""Whether each factor of the images has a latent of its own (chapter 13)."""

import torch
from torch import Tensor


def explained(codes: Tensor, factor: Tensor, *, bins: int = 20) -> Tensor:
    """The share, 0 to 1, of the variance of each column of N×d `codes` that a factor explains.

    It is the correlation ratio η²: the variance of the group means over the variance of all, where
    images with the same factor are one group (a continuous factor is cut into `bins` groups of
    equal size). By chance alone it is about (groups − 1)/N. Of a collapsed
    dimension it says little: whatever small variance is left may be explained very well.
    """
    # Apple's GPUs know no float64.
    codes, factor = codes.cpu().double(), factor.cpu()
    if factor.is_floating_point():
        order = factor.argsort().argsort()
        group = order * bins // len(factor)
    else:
        group = factor.unique(return_inverse=True)[1]
    centred = codes - codes.mean(0)
    sizes = torch.bincount(group).clamp(min=1)
    sums = torch.zeros(len(sizes), codes.shape[1], dtype=torch.float64)
    sums.index_add_(0, group, centred)
    between = (sums.square() / sizes[:, None]).sum(0)
    total = centred.square().sum(0)
    return torch.where(total > 0, between / total.clamp(min=1e-300), 0.0)


def separation(explained: Tensor) -> float:
    """How far, on average over F factors, the best of d latents is ahead of the second best.

    `explained` (F×d) has the share of each latent's variance that each factor explains. 1 where
    every factor has a latent of its own, 0 where all share.
    """
    best = explained.topk(2, dim=1).values
    return (best[:, 0] - best[:, 1]).mean().item()
