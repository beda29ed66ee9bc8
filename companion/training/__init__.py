"""Training: `fit`, the losses that it takes, and what it records."""

from companion.training.arguments import Loss
from companion.training.loop import History, fit
from companion.training.losses import classification_loss, negative_elbo
from companion.training.side_by_side import fit_side_by_side

__all__ = ["History", "Loss", "classification_loss", "fit", "fit_side_by_side", "negative_elbo"]
