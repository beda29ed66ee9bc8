"""How good are the images of a generator? Sharpness, coverage, and whether they are copies.

Each compares samples with real images, and none says anything without the same number for real
images that the generator has not seen. Chapter 14.
"""

import torch
from torch import Tensor


def sharpness(images: Tensor) -> float:
    """The mean gradient energy of images N×C×H×W: squared differences of neighbours, summed.

    Blur lowers it. Noise raises it, so more than real images have is no praise. Divide by what
    they have.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be N×C×H×W, got {tuple(images.shape)}")
    down, across = images.diff(dim=2), images.diff(dim=3)
    return float((down.square().flatten(1).sum(1) + across.square().flatten(1).sum(1)).mean())


def reach(cloud: Tensor, k: int = 3) -> Tensor:
    """The distance of each point of a cloud, N×D, to its k-th nearest in it: N radii.

    The balls with these radii, all together, stand for where the cloud is (Kynkäänniemi et al.,
    2019, "Improved precision and recall metric for assessing generative models").
    """
    if cloud.ndim != 2 or not 1 <= k < len(cloud):
        raise ValueError(
            f"the cloud must be N×D with more than k = {k} ≥ 1 points, got {tuple(cloud.shape)}"
        )
    return torch.cdist(cloud, cloud).kthvalue(k + 1, dim=1).values  # the nearest is itself


def precision(real: Tensor, samples: Tensor, k: int = 3) -> float:
    """The share of samples that lie in a ball of the real images. Both are N×D, in one space."""
    _check(real, samples)
    return float((torch.cdist(samples, real) <= reach(real, k)).any(1).float().mean())


def coverage(real: Tensor, samples: Tensor, k: int = 3) -> float:
    """The share of real images whose ball holds a sample; depends on the number of samples, too.

    Source: Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models".
    """
    _check(real, samples)
    inside = torch.cdist(samples, real) <= reach(real, k)
    return float(inside.any(0).float().mean())


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
