"""Classification by hand: softmax, cross-entropy, their gradients, errors (chapters 2 and 3).

Logits z are N×K (or just K): one row an image, one column a class. Labels y are class indices, N
(or one), or, for the losses, probabilities of the shape of z. A function returns one value for each
image and averages nothing, unless its name is that of an error or an accuracy. Logarithms are
natural, so losses are in nats. PyTorch's own versions are the oracles in the tests.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def log_sum_exp(z: Tensor) -> Tensor:
    """log Σ_j e^{z_j} over the last axis, the largest logit taken out first: none overflows."""
    largest = z.amax(-1, keepdim=True)
    return largest.squeeze(-1) + (z - largest).exp().sum(-1).log()


def log_softmax(z: Tensor) -> Tensor:
    """log softmax(z) = z − log Σ_j e^{z_j}, finite for all finite logits."""
    below = z - z.amax(-1, keepdim=True)  # before anything is rounded: no digit is lost
    return below - below.exp().sum(-1, keepdim=True).log()


def softmax(z: Tensor, temperature: float = 1.0) -> Tensor:
    """softmax(z/T)_i = e^{z_i/T} / Σ_j e^{z_j/T}: numbers in [0, 1] that sum to 1 for each image.

    Raises ValueError for a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be a number above 0, got {temperature!r}")
    return log_softmax(z / temperature).exp()


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """−Σ_i y_i log softmax(z)_i for each image, in nats; with a label y, −log p_y.

    Raises ValueError if y is neither one label for each image nor probabilities of z's shape.
    """
    return -(targets(z, y) * log_softmax(z)).sum(-1)


def cross_entropy_gradient(z: Tensor, y: Tensor) -> Tensor:
    """∂/∂z of `cross_entropy` for each image: p − y, of z's shape. Raises what that raises."""
    return softmax(z) - targets(z, y)


def squared_error(z: Tensor, y: Tensor) -> Tensor:
    """‖softmax(z) − y‖² for each image: the loss that chapter 2 advises against."""
    return (softmax(z) - targets(z, y)).square().sum(-1)


def squared_error_gradient(z: Tensor, y: Tensor) -> Tensor:
    """∂/∂z of `squared_error` for each image: p_k·(g_k − Σ_j p_j g_j) with g = 2(p − y)."""
    p = softmax(z)
    g = 2 * (p - targets(z, y))
    return p * (g - (p * g).sum(-1, keepdim=True))


def sigmoid(z: Tensor) -> Tensor:
    """1 / (1 + e^{−z}): the softmax of the two logits (z, 0), the probability of the first."""
    return softmax(_against_zero(z))[..., 0]


def binary_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """−[y log p + (1 − y) log(1 − p)] with p = σ(z), element by element; y is from 0 to 1.

    Computed from the logit, so that it stays finite where p rounds to 0 or 1.
    """
    log_p = log_softmax(_against_zero(z))
    return -(y * log_p[..., 0] + (1 - y) * log_p[..., 1])


def targets(z: Tensor, y: Tensor) -> Tensor:
    """Labels as one-hot rows of z's shape and type; probabilities of z's shape as they are.

    Raises ValueError if y is neither.
    """
    if y.shape == z.shape and y.is_floating_point():
        return y
    if y.shape == z.shape[:-1] and not y.is_floating_point():
        classes = z.shape[-1]
        if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
            raise ValueError(
                f"labels must be from 0 to {classes - 1}, got {int(y.min())} to {int(y.max())}"
            )
        return one_hot(y.long(), classes).to(z.dtype)
    raise ValueError(
        f"expected whole-number labels of shape {tuple(z.shape[:-1])} or probabilities of shape "
        f"{tuple(z.shape)}, got {y.dtype} of shape {tuple(y.shape)}"
    )


def label_rank(scores: Tensor, labels: Tensor) -> Tensor:
    """Place of the right class among all classes, 1 for the highest score; int64, N.

    Of classes with equal scores, the one with the smaller index comes first.
    """
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or labels.is_floating_point():
        raise ValueError(
            "expected scores N×K and N whole-number labels, got shapes "
            f"{tuple(scores.shape)} and {tuple(labels.shape)} ({labels.dtype})"
        )
    targets(scores, labels)  # refuses labels that are no class
    right = labels.long().unsqueeze(1)
    own = scores.gather(1, right)
    index = right.new_tensor(range(scores.shape[1]))
    before = (scores > own) | ((scores == own) & (index < right))
    return 1 + before.sum(1)


def top_k_error(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Share of the N images whose right class is not among the k highest scores; 0 to 1.

    Raises ValueError if k is not from 1 to K, or the shapes are not N×K and N, or N is 0. Source:
    Russakovsky et al. (2015), section 4.1 (k = 5).
    """
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k must be from 1 to the {scores.shape[-1]} classes, got {k!r}")
    if not len(scores):
        raise ValueError("an error rate needs at least one image, got none")
    return (label_rank(scores, labels) > k).cpu().double().mean().item()


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes in `labels` of the share of their images predicted right; 0 to 1.

    Raises ValueError if the two are not of the same length, or empty.
    """
    if predicted.shape != labels.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            "expected as many predicted classes as labels, at least one, got shapes "
            f"{tuple(predicted.shape)} and {tuple(labels.shape)}"
        )
    labels = labels.cpu()
    right = (predicted.cpu() == labels).double()
    recalls = [right[labels == k].mean() for k in labels.unique()]
    return (sum(recalls) / len(recalls)).item()  # type: ignore[union-attr]


def _against_zero(z: Tensor) -> Tensor:
    """The logits (z, 0) of two classes, along a new last axis."""
    return torch.stack([z, torch.zeros_like(z)], dim=-1)
