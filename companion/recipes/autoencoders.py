"""Autoencoders (chapter 10): plain, denoising, inpainting, sparse; figures and recipes.

A network that denoises or inpaints has to do better than what needs no training, so their figures
are measured beside those of filters (`companion.by_hand.restoration`) on the same images.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from companion.by_hand.restoration import biharmonic, median, psnr, total_variation, tuned
from companion.datasets import ImageSet, load_images
from companion.datasets.digits import as_mnist
from companion.models import (
    NOISES,
    ConvAutoencoder,
    SparseAutoencoder,
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

#: Filters that need no training, each with the strengths to choose among.
FILTERS: dict[str, tuple[Callable[[Tensor, Any], Tensor], Sequence[float]]] = {
    "median": (median, (1, 2)),
    "total variation": (total_variation, (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)),
}


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
    model: nn.Module, images: ImageSet, *, levels: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """PSNR in dB of the network and of two filters, for kinds of noise and strengths; 300 images.

    Each filter has its strength chosen on these very images, which flatters it: the radius of the
    median, the weight of total variation. `gain` is the network's lead over the better filter,
    where it is smallest.
    """
    x = images[:_COMPARED].pixels()
    table: dict[str, dict[str, float]] = {}
    for kind, level in ((kind, level) for kind, some in levels.items() for level in some):
        noisy = NOISES[kind](x, level, torch.Generator().manual_seed(0))
        with torch.no_grad():
            row = {"noisy": psnr(x, noisy.clamp(0, 1)), "network": psnr(x, model(noisy))}
        for name, (restore, strengths) in FILTERS.items():
            best = tuned(restore, strengths, x, noisy)
            row[name] = psnr(x, restore(noisy, best).clamp(0, 1))
        table[f"{kind} {level:g}"] = row
    gains = [row["network"] - max(row[name] for name in FILTERS) for row in table.values()]
    return {"gain": min(gains), "psnr": table}


def evaluate_inpainting(
    model: nn.Module, images: ImageSet, *, sides: Sequence[int]
) -> dict[str, Any]:
    """PSNR in dB over the hidden pixels of 300 images, of the network and of biharmonic inpainting.

    `gain` is the network's lead.
    """
    x = images[:_COMPARED].pixels()
    hidden = rectangle_masks(x, sides, torch.Generator().manual_seed(0))
    damaged = hide(x, hidden)
    with torch.no_grad():
        network = psnr(x, fill_in(model, damaged, hidden), hidden)
    smooth = psnr(x, biharmonic(damaged, hidden), hidden)
    return {"gain": network - smooth, "psnr": network, "biharmonic_psnr": smooth}


def also_on_digits(
    evaluate: Callable[[Any, ImageSet], dict[str, Any]],
) -> Callable[[Any, ImageSet], dict[str, Any]]:
    """The figures, and as `digits_…` those on scikit-learn's test digits, enlarged as MNIST's are.

    No training sees any of those.
    """

    def both(model: Any, images: ImageSet) -> dict[str, Any]:
        digits = load_images("digits", "test")
        enlarged = (255 * as_mnist(digits.pixels())).round().to(torch.uint8)
        other = evaluate(model, ImageSet("digits", "test", enlarged))
        return evaluate(model, images) | {f"digits_{name}": v for name, v in other.items()}

    return both


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
    widths: tuple[int, int] = (32, 64),
    hidden: int = 128,
    also: str = "",
    **changes: dict[str, Any],
) -> None:
    register(
        Recipe(
            name=name,
            description=description,
            dataset="mnist",
            data=f"MNIST: 60,000 training images, 10,000 test images{also}",
            model=ConvAutoencoder,
            loss=loss,
            evaluate=evaluate,
            settings={
                "model": {
                    "image_shape": (1, 28, 28),
                    "latent_dim": latent_dim,
                    "widths": widths,
                    "hidden": hidden,
                },
                "loss": loss_settings or {},
                "fit": {
                    "epochs": epochs,
                    "batch_size": 128,
                    "lr": 2e-3,
                    "schedule": "cosine",
                    "channels_last": False,
                },
                **changes,
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

_SMALL: dict[str, Any] = {"widths": (16, 32), "hidden": 80}  # they are loaded in a page

_autoencoder(
    "denoiser-mnist",
    "A denoising autoencoder for three kinds of noise of any strength.",
    latent_dim=64,
    loss=denoising_loss,
    loss_settings={
        "gaussian": (0.05, 0.8),
        "salt_and_pepper": (0.02, 0.6),
        "masking": (0.05, 0.8),
    },
    evaluate=also_on_digits(
        partial(
            evaluate_denoising,
            levels={"gaussian": (0.3, 0.5), "salt and pepper": (0.2, 0.4), "masking": (0.3, 0.5)},
        )
    ),
    must_reach=(Goal("gain", 0.5, "higher"), Goal("digits_gain", 0.0, "higher")),
    coarsen={"share": 0.4},  # as digits of other collections are
    **_SMALL,
)

_autoencoder(
    "inpainter-mnist",
    "An inpainting autoencoder, for rectangular holes with sides of 4 to 14 pixels.",
    latent_dim=64,
    loss=inpainting_loss,
    loss_settings={"sides": (4, 14), "hidden_only": True},
    evaluate=also_on_digits(partial(evaluate_inpainting, sides=(6, 14))),
    must_reach=(Goal("gain", 1.0, "higher"), Goal("digits_gain", 0.5, "higher")),
    epochs=8,
    # On enlarged digits, smooth as they are, a network that knew only MNIST loses.
    mix_digits={"share": 0.4},
    also="; scikit-learn's training digits in place of some",
    **_SMALL,
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
