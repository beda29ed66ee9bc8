"""Autoencoders (chapter 10): plain, denoising, inpainting, sparse; figures and recipes.

A network that denoises or inpaints has to do better than what needs no training, so their figures
are measured beside those of scikit-image's filters on the same images.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from companion.datasets import ImageSet
from companion.models import (
    ConvAutoencoder,
    SparseAutoencoder,
    add_noise,
    denoising_loss,
    fill_in,
    hide,
    inpainting_loss,
    reconstruction_error,
    rectangle_masks,
    sparse_loss,
)
from companion.recipes.base import Goal, Recipe, register
from companion.training import Loss

# Enough for a figure to ±0.1 dB; the filters take their time.
_COMPARED = 300


def psnr(x: Tensor, x_hat: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB: 10·log₁₀(1/MSE), for x in [0, 1], averaged over images.

    With `where`, boolean N×1×H×W, it is that of all pixels that are marked, together: of a single
    image they may be restored without any error, which would count infinitely much.
    """
    error = (x - x_hat).square()
    if where is not None:
        return -10 * math.log10(error[where.expand_as(error)].mean().item())
    return (-10 * torch.log10(error.flatten(1).mean(1))).mean().item()


def squared() -> Loss:
    """‖x − x̂‖², the plain autoencoder's loss."""
    return lambda model, images, labels: reconstruction_error(images, model(images))


def sparse(l1: float) -> Loss:
    """The sparse autoencoder's loss as `fit` takes it, with its parts."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        parts = sparse_loss(images, model(images), l1=l1)
        return {"loss": parts.total, "reconstruction": parts.reconstruction, "norm": parts.norm}

    return loss


def evaluate_autoencoder(model: ConvAutoencoder, images: ImageSet) -> dict[str, Any]:
    """`squared_error` per image, and `pca_squared_error`: PCA's, with as many components.

    PCA is fitted on the very images that it is measured on, which flatters it.
    """
    x = images.pixels()
    with torch.no_grad():
        x_hat = torch.cat([model(part) for part in x.split(500)])
    flat = x.flatten(1).double()
    centred = flat - flat.mean(0)
    variances = torch.linalg.eigvalsh(centred.T @ centred / len(x))
    return {
        "squared_error": reconstruction_error(x, x_hat).item(),
        "pca_squared_error": variances[: -model.latent_dim].sum().item(),
    }


def evaluate_denoising(
    model: nn.Module, images: ImageSet, *, levels: Sequence[float]
) -> dict[str, Any]:
    """PSNR in dB of the network and of two filters, for each noise level σ, on 300 images.

    Each filter has its strength chosen on these very images, which flatters it: the size of the
    median's window, the weight of total-variation denoising (Chambolle 2004). `gain` is the
    network's lead over the better filter, at the level where it is smallest.
    """
    from skimage.filters import median
    from skimage.morphology import disk
    from skimage.restoration import denoise_tv_chambolle

    x = images[:_COMPARED].pixels()
    filters: dict[str, Sequence[Callable[[np.ndarray], np.ndarray]]] = {
        "median": [partial(median, footprint=disk(radius)) for radius in (1, 2)],
        "total variation": [
            partial(denoise_tv_chambolle, weight=weight)
            for weight in (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
        ],
    }
    table: dict[str, dict[str, float]] = {}
    for level in levels:
        noisy = add_noise(x, level, torch.Generator().manual_seed(0))
        with torch.no_grad():
            row = {"noisy": psnr(x, noisy.clamp(0, 1)), "network": psnr(x, model(noisy))}
        for name, strengths in filters.items():
            row[name] = max(
                psnr(x, _filtered(noisy, strength).clamp(0, 1)) for strength in strengths
            )
        table[f"{level:g}"] = row
    gains = [row["network"] - max(row[name] for name in filters) for row in table.values()]
    return {"gain": min(gains), "psnr": table}


def evaluate_inpainting(
    model: nn.Module, images: ImageSet, *, sides: Sequence[int]
) -> dict[str, Any]:
    """PSNR in dB over the hidden pixels of 300 images, of the network and of biharmonic inpainting.

    `gain` is the network's lead.
    """
    from skimage.restoration import inpaint_biharmonic

    x = images[:_COMPARED].pixels()
    hidden = rectangle_masks(x, sides, torch.Generator().manual_seed(0))
    damaged = hide(x, hidden)
    with torch.no_grad():
        network = psnr(x, fill_in(model, damaged, hidden), hidden)
    smooth = [
        inpaint_biharmonic(image.numpy(), mask.numpy())
        for image, mask in zip(damaged[:, 0], hidden[:, 0], strict=True)
    ]
    filled = torch.from_numpy(np.stack(smooth)).float()[:, None].clamp(0, 1)
    biharmonic = psnr(x, filled, hidden)
    return {"gain": network - biharmonic, "psnr": network, "biharmonic_psnr": biharmonic}


def evaluate_sparse(model: SparseAutoencoder, images: ImageSet) -> dict[str, Any]:
    """`squared_error` per image, and `active`: the per cent of units that are on for an image."""
    x = images.pixels()
    with torch.no_grad():
        output = model(x)
    return {
        "squared_error": reconstruction_error(x, output.reconstruction).item(),
        "active": 100 * (output.z > 0).double().mean().item(),
        "never_active": 100 * (output.z <= 0).all(0).double().mean().item(),
    }


def _filtered(noisy: Tensor, denoise: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    return torch.stack([torch.from_numpy(denoise(image[0].numpy()))[None] for image in noisy])


def _autoencoder(
    name: str,
    description: str,
    *,
    latent_dim: int,
    loss: Callable[..., Loss],
    evaluate: Callable[[Any, ImageSet], dict[str, Any]],
    must_reach: tuple[Goal, ...],
    loss_settings: dict[str, Any] | None = None,
    epochs: int = 16,
) -> None:
    register(
        Recipe(
            name=name,
            description=description,
            dataset="mnist",
            data="MNIST: 60,000 training images, 10,000 test images",
            model=ConvAutoencoder,
            loss=loss,
            evaluate=evaluate,
            settings={
                "model": {
                    "image_shape": (1, 28, 28),
                    "latent_dim": latent_dim,
                    "widths": (32, 64),
                    "hidden": 128,
                },
                "loss": loss_settings or {},
                "fit": {
                    "epochs": epochs,
                    "batch_size": 128,
                    "lr": 2e-3,
                    "schedule": "cosine",
                    "channels_last": False,
                },
            },
            must_reach=must_reach,
        )
    )


_autoencoder(
    "autoencoder-mnist",
    "A convolutional autoencoder with 16 numbers as code.",
    latent_dim=16,
    loss=squared,
    evaluate=evaluate_autoencoder,
    must_reach=(Goal("squared_error", 10.0),),
)

_autoencoder(
    "denoiser-mnist",
    "A denoising autoencoder, for every noise level from 0.1 to 0.7.",
    latent_dim=64,
    loss=denoising_loss,
    loss_settings={"sigma": (0.1, 0.7)},
    evaluate=partial(evaluate_denoising, levels=(0.3, 0.5)),
    must_reach=(Goal("gain", 0.5, "higher"),),
)

_autoencoder(
    "inpainter-mnist",
    "An inpainting autoencoder, for rectangular holes with sides of 6 to 14 pixels.",
    latent_dim=64,
    loss=inpainting_loss,
    loss_settings={"sides": (6, 14), "hidden_only": True},
    evaluate=partial(evaluate_inpainting, sides=(6, 14)),
    must_reach=(Goal("gain", 1.0, "higher"),),
)

register(
    Recipe(
        name="sparse-mnist",
        description="A sparse autoencoder: 256 units, few of them on for a digit; tied weights.",
        dataset="mnist",
        data="MNIST: 60,000 training images, 10,000 test images",
        model=SparseAutoencoder,
        loss=sparse,
        evaluate=evaluate_sparse,
        settings={
            "model": {"image_shape": (1, 28, 28), "latent_dim": 256},
            "loss": {"l1": 0.3},
            "fit": {"epochs": 20, "batch_size": 128, "lr": 1e-3, "schedule": "cosine"},
        },
        must_reach=(Goal("active", 15.0), Goal("squared_error", 13.0)),
    )
)
