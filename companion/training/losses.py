"""Losses as `fit` takes them: (model, images, labels) → the loss and its parts."""

from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.vae import vae_loss
from companion.training.arguments import Loss


def classification_loss(label_smoothing: float = 0.0) -> Loss:
    """The classification loss as `fit` takes it: "loss" and "error", the per cent misclassified.

    `label_smoothing`, from 0 to 1, is the share of each target that is spread evenly over all
    classes. Source: Szegedy et al. (2016), "Rethinking the Inception architecture", §7.
    """

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = model(images).float()
        return {
            "loss": F.cross_entropy(logits, labels, label_smoothing=label_smoothing),
            "error": 100 * (logits.argmax(1) != labels).float().mean(),
        }

    return loss


def negative_elbo(
    C: float = 1.0,
    beta: float = 1.0,
    *,
    likelihood: str = "gaussian",
    capacity: float | None = None,
    first_beta: float | None = None,
    anneal: float = 0.0,
) -> Loss:
    """The VAE's loss (:func:`companion.models.vae_loss`) as `fit` takes it: "loss" and its parts.

    With `first_beta`, the weight on the KL moves geometrically from there to `beta` over the first
    `anneal` (0 to 1) of the training, and stays. A `capacity` grows linearly from 0 over the whole
    training. The `progress` may be a tensor.
    """

    def loss(
        model: nn.Module, images: Tensor, labels: Tensor | None, progress: float | Tensor = 1.0
    ) -> dict[str, Tensor]:
        weight: float | Tensor = beta
        if first_beta is not None and anneal:
            left = 1 - progress / anneal
            left = left.clamp(min=0) if isinstance(left, Tensor) else max(left, 0.0)
            weight = beta * (first_beta / beta) ** left
        so_far = None if capacity is None else progress * capacity
        parts = vae_loss(
            images, model(images), C=C, beta=weight, capacity=so_far, likelihood=likelihood
        )
        return {"loss": parts.total, "reconstruction": parts.reconstruction, "kl": parts.kl}

    return loss
