"""The autoencoder as a detector: it is trained on what is there, and rebuilds badly what is rare.

Chapter 11. The score of a row or an image is its mean squared error; where in an image the error
lies is a map of the defect.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from companion.datasets import ImageSet
from companion.models import DenseAutoencoder
from companion.models.images import reconstruction_error
from companion.training import fit

_AT_ONCE = 512  # images in a forward pass


class TableAutoencoder(nn.Module):
    """D columns, standardised → latent_dim numbers → D columns, by dense layers.

    Takes N×1×1×D, each column scaled so that the rows it is fitted on fill [0, 1], as `fit` wants
    its images; gives the standardised columns, and their reconstruction.
    """

    low: Tensor
    span: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, rows: Tensor, latent_dim: int, widths: Sequence[int]) -> None:
        super().__init__()
        low, high = rows.amin(0), rows.amax(0)
        deviation = rows.std(0, correction=0)
        for name, value in (
            ("low", low),
            ("span", torch.where(high > low, high - low, 1.0)),
            ("mean", rows.mean(0)),
            ("deviation", torch.where(high > low, deviation, 1.0)),
        ):
            self.register_buffer(name, value.float())
        self.inside = DenseAutoencoder(
            (1, 1, rows.shape[1]),
            latent_dim,
            widths,
            activation="tanh",
            output_activation="linear",
        )

    def scaled(self, rows: Tensor) -> Tensor:
        """Rows N×D → N×1×1×D, in [0, 1] for those that it is fitted on."""
        return ((rows.float() - self.low) / self.span)[:, None, None]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """N×1×1×D in [0, 1] → the standardised columns and what is made of them."""
        z = (x * self.span + self.low - self.mean) / self.deviation
        return z, self.inside(z)


def fit_table(
    rows: np.ndarray,
    *,
    latent_dim: int | None = None,
    widths: Sequence[int] = (32,),
    epochs: int = 100,
    lr: float = 3e-3,
    seed: int = 0,
) -> TableAutoencoder:
    """Train an autoencoder on rows N×D; it standardises by itself.

    `latent_dim` is a quarter of the columns if not given, at least 1; `widths` are the layers
    between columns and code. Raises ValueError for sizes below 1.
    """
    table = torch.from_numpy(np.asarray(rows, dtype=np.float64))
    columns = table.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chosen = max(1, columns // 4) if latent_dim is None else latent_dim
        model = TableAutoencoder(table, chosen, widths)

    def loss(model: nn.Module, images: Tensor, _: Tensor | None) -> Tensor:
        z, z_hat = model(images)
        return (z - z_hat).square().mean()

    data = TensorDataset(model.scaled(table).clamp(0, 1), torch.zeros(len(table), dtype=torch.long))
    batch = min(64, len(table))
    fit(model, data, loss, epochs=epochs, batch_size=batch, lr=lr, seed=seed, progress=False)
    return model


def fit_images(
    images: np.ndarray | Tensor,
    *,
    model: nn.Module | None = None,
    latent_dim: int = 8,
    widths: Sequence[int] = (128,),
    epochs: int = 30,
    lr: float = 3e-3,
    seed: int = 0,
) -> nn.Module:
    """Train an autoencoder on images N×C×H×W in [0, 1].

    `model` is one from images to images; if not given, dense layers by `latent_dim` and `widths`
    (:class:`companion.models.DenseAutoencoder`).
    """
    pixels = (255 * torch.as_tensor(images)).round().to(torch.uint8)
    channels, height, width = pixels.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DenseAutoencoder((channels, height, width), latent_dim, widths)
    network = network if model is None else model  # type: ignore[assignment]

    def loss(model: nn.Module, images: Tensor, _: Tensor | None) -> Tensor:
        return reconstruction_error(images, model(images))

    batch = min(64, len(pixels))
    fit(network, pixels, loss, epochs=epochs, batch_size=batch, lr=lr, seed=seed, progress=False)
    return network


@torch.no_grad()
def errors(model: nn.Module, images: np.ndarray | Tensor | ImageSet) -> np.ndarray:
    """Squared differences between images in [0, 1], or rows, and their reconstruction.

    N×C×H×W for images, N×D for rows of a table and a :class:`TableAutoencoder`.
    """
    pixels = images.pixels() if isinstance(images, ImageSet) else torch.as_tensor(images)
    parts = []
    for part in pixels.split(_AT_ONCE):
        if isinstance(model, TableAutoencoder):
            z, z_hat = model(model.scaled(part))
            parts.append((z - z_hat).square()[:, 0, 0])
        else:
            parts.append((part.float() - model(part.float())).square())
    return torch.cat(parts).double().numpy()


def error_maps(
    model: nn.Module, images: np.ndarray | Tensor | ImageSet, sigma: float = 2.0
) -> np.ndarray:
    """Where the error of each image lies: N×H×W, blurred by a Gaussian of `sigma` pixels.

    A single pixel's error is mostly the texture's own noise; a defect is larger.
    """
    from scipy.ndimage import gaussian_filter

    mean = errors(model, images).mean(axis=1)
    return gaussian_filter(mean, (0, sigma, sigma)) if sigma else mean
