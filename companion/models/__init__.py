"""The networks of the lecture, as `torch.nn.Module` classes."""

from companion.models.autoencoder import ConvAutoencoder, default_widths
from companion.models.vae import ConvVAE, VAELoss, VAEOutput, gaussian_constant, vae_loss

__all__ = [
    "ConvAutoencoder",
    "ConvVAE",
    "VAELoss",
    "VAEOutput",
    "default_widths",
    "gaussian_constant",
    "vae_loss",
]
