"""How good are the images of a generator? Sharpness, coverage, and whether they are copies.

Each compares samples with real images, and none says anything without the same number for real
images that the generator has not seen. Chapter 14.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class PrecisionRecall(NamedTuple):
    """Two shares in [0, 1]: samples that lie among real images, real images among samples."""

    precision: float
    recall: float


def sharpness(images: Tensor) -> float:
    """The mean gradient energy of images N×C×H×W: squared differences of neighbours, summed.

    Blur lowers it. Noise raises it, so more than real images have is no praise. Divide by what
    they have.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be N×C×H×W, got {tuple(images.shape)}")
    down, across = images.diff(dim=2), images.diff(dim=3)
    return float((down.square().flatten(1).sum(1) + across.square().flatten(1).sum(1)).mean())


def near(points: Tensor, cloud: Tensor, k: int = 3) -> Tensor:
    """For each of M points (M×D): is it within a ball of the cloud (N×D)? M booleans.

    Around each point of the cloud lies a ball that reaches to its k-th nearest in the cloud. All of
    them together stand for where the cloud is.
    """
    _check(points, cloud)
    if not 1 <= k < len(cloud):
        raise ValueError(f"k must be 1 to {len(cloud) - 1}, one less than the cloud; got {k}")
    # Each is its own nearest, at distance 0.
    radii = torch.cdist(cloud, cloud).kthvalue(k + 1, dim=1).values
    return (torch.cdist(points, cloud) <= radii).any(1)


def precision_recall(
    real: Tensor, samples: Tensor, held_out: Tensor, k: int = 3
) -> PrecisionRecall:
    """Precision: samples near the real images. Recall: held-out real images near the samples.

    Each is N×D, in whatever space distances are to be taken; give as many samples as real ones, as
    recall grows with their number. Source: Kynkäänniemi et al. (2019), "Improved precision and
    recall metric for assessing generative models", who count recall on the real images themselves.
    """
    _check(real, samples)
    _check(held_out, samples)
    inside = near(samples, real, k), near(held_out, samples, k)
    return PrecisionRecall(*(float(share.float().mean()) for share in inside))


def nearest_is_seen(samples: Tensor, seen: Tensor, unseen: Tensor) -> float:
    """The share of samples whose nearest real image is one that the generator was trained on.

    If it copies nothing, `seen` images are nearest as often as they are frequent: n/(n + m) for n
    seen and m unseen ones of the same kind. A thief has 1. Blur does not matter, as both distances
    suffer alike. All are rows, in one space. Source: the three samples of Meehan, Chaudhuri &
    Dasgupta (2020), "A non-parametric test to detect data-copying in generative models".
    """
    _check(samples, seen)
    _check(samples, unseen)
    to_seen, to_unseen = (torch.cdist(samples, images).amin(1) for images in (seen, unseen))
    return float((to_seen < to_unseen).float().mean())


def _check(points: Tensor, cloud: Tensor) -> None:
    if points.ndim != 2 or cloud.ndim != 2 or points.shape[1] != cloud.shape[1]:
        raise ValueError(
            "points must be M×D and N×D in one space, got shapes "
            f"{tuple(points.shape)} and {tuple(cloud.shape)}"
        )
