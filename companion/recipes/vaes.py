"""Variational autoencoders (chapters 12 and 13): their loss for `fit`, figures, and recipes."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from companion.datasets import ImageSet
from companion.disentanglement.explained import explained, separation
from companion.models import ConvVAE, gaussian_constant, vae_loss
from companion.recipes.base import Goal, Recipe, register
from companion.training import negative_elbo

_COLLAPSED = 0.1  # nats: a latent that carries less says nothing about the image


def evaluate_vae(
    model: nn.Module, images: ImageSet, *, C: float = 1.0, likelihood: str = "gaussian"
) -> dict[str, Any]:
    """A VAE's figures on a set of images, in nats per image, with one draw of z for each image.

    `negative_elbo` = `reconstruction` + `kl` (weight 1, whatever β the model was trained with). For
    a Gaussian likelihood, add `gaussian_constant` to get the bound on −log p(x), a density over
    images in [0, 1]. `kl_per_dim` has one entry for each latent dimension. Where the factors of
    the images are known, `explained` is the share of the variance of each latent mean that each
    factor explains, and `separation` is that of these shares, collapsed latents apart.
    """
    sums: dict[str, Tensor] = {}
    means = []
    with torch.random.fork_rng([]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        for start in range(0, len(images), 256):
            x = images.images[start : start + 256] / 255
            output = model(x)
            parts = vae_loss(x, output, C=C, likelihood=likelihood)
            means.append(output.mu)
            for name in ("reconstruction", "kl", "kl_per_dim"):
                sums[name] = sums.get(name, 0) + getattr(parts, name).double() * len(x)
    averages = {name: (total / len(images)).tolist() for name, total in sums.items()}
    figures: dict[str, Any] = {
        "negative_elbo": averages["reconstruction"] + averages["kl"],
        **averages,
    }
    if likelihood == "gaussian":
        figures["gaussian_constant"] = gaussian_constant(C, images.images.shape[1:])
    if images.factors:
        mu = torch.cat(means)
        shares = {name: explained(mu, factor) for name, factor in images.factors.items()}
        figures["explained"] = {name: share.tolist() for name, share in shares.items()}
        # Of a collapsed latent the shares say nothing.
        used = torch.tensor(averages["kl_per_dim"]) > _COLLAPSED
        figures["separation"] = separation(torch.stack(list(shares.values())) * used)
    return figures


def _vae(
    name: str,
    description: str,
    *,
    model: dict[str, Any],
    loss: dict[str, Any],
    fit: dict[str, Any],
    **rest: Any,
) -> None:
    likelihood = {key: loss[key] for key in ("C", "likelihood") if key in loss}
    register(
        Recipe(
            name=name,
            description=description,
            model=ConvVAE,
            loss=negative_elbo,
            evaluate=partial(evaluate_vae, **likelihood),
            settings={"model": model, "loss": loss, "fit": fit},
            **rest,
        )
    )


_vae(
    "vae-digits",
    "A VAE with two latent dimensions on 8×8 handwritten digits: seconds to train.",
    dataset="digits",
    data="scikit-learn's digits, one image in five of each class held out",
    model={"image_shape": (1, 8, 8), "latent_dim": 2, "widths": (32,), "hidden": 64},
    loss={"C": 10.0},
    fit={"epochs": 60, "batch_size": 64, "lr": 8e-3, "schedule": "cosine"},
    must_reach=(Goal("negative_elbo", 27.0),),
)

for _latent_dim, _bound in ((2, 145.0), (16, 104.0)):
    _vae(
        f"vae-mnist-{_latent_dim}d",
        f"A VAE with {_latent_dim} latent dimensions on MNIST, Bernoulli likelihood.",
        dataset="mnist",
        data="MNIST: 60,000 training images, 10,000 test images",
        model={
            "image_shape": (1, 28, 28),
            "latent_dim": _latent_dim,
            "widths": (32, 64),
            "hidden": 256 if _latent_dim == 2 else 128,
        },
        loss={"likelihood": "bernoulli"},
        fit={
            "epochs": 24,
            "batch_size": 128,
            "lr": 2e-3,
            "schedule": "cosine",
            "channels_last": False,
        },
        must_reach=(Goal("negative_elbo", _bound),),
    )

# What the generated sets have in common. A Gaussian likelihood with C = 4 is σ = 0.35 a pixel.
_SPRITES: dict[str, Any] = {
    "dataset": "sprites",
    "drawn": 8192,
    "data": "sprites: 8,192 drawn anew for each epoch, 2,000 others held out",
}
_CHAIRS: dict[str, Any] = {
    "dataset": "chairs",  # a ray-marcher takes its time: they are drawn once
    "data": "chairs: 10,000 drawn for training, 2,000 others held out",
}
_SHAPE = {"image_shape": (3, 64, 64), "latent_dim": 8}
_FIT = {"batch_size": 32, "lr": 1e-3, "schedule": "cosine", "channels_last": True}
_NARROW = (16, 32, 64, 128)

_vae(
    "vae-sprites",
    "A VAE with eight latent dimensions on coloured 64×64 sprites.",
    model=_SHAPE,
    # A KL that weighs heavily at first has the latents find the factors one after the other.
    loss={"C": 4.0, "first_beta": 200.0, "anneal": 0.75},
    fit={"epochs": 96, **_FIT},
    must_reach=(Goal("negative_elbo", 70.0),),
    **_SPRITES,
)

# Latents that a factor has to itself are what β is for, so runs are ranked by them; seeds differ.
# A β that falls parts the factors like a large one, and then lets the details back in. Chairs need
# a smaller one to begin with: from 200 on, no latent found the hue.
for _set, _first, _last, _seeds, _separation, _bound in (
    (_SPRITES, None, 1, (0,), 0.05, 110.0),
    (_SPRITES, None, 32, (0, 1, 2), 0.25, 320.0),
    (_SPRITES, 200, 4, (0, 1, 2), 0.5, 180.0),
    (_CHAIRS, None, 1, (0,), 0.05, 110.0),
    (_CHAIRS, None, 32, (0, 1, 2), 0.25, 320.0),
    (_CHAIRS, 32, 4, (0, 1, 2), 0.3, 150.0),
):
    _name, _loss = _set["dataset"], {"C": 4.0, "beta": float(_last)}
    _vae(
        f"beta-vae-{_name}-{f'{_first}-to-' if _first else ''}{_last}",
        f"A β-VAE with β {f'falling from {_first} to' if _first else '='} {_last} and eight latent "
        f"dimensions on 64×64 {_name}.",
        model={**_SHAPE, "widths": _NARROW},
        loss={**_loss, "first_beta": float(_first), "anneal": 0.75} if _first else _loss,
        fit={"epochs": 40, **_FIT},
        must_reach=(Goal("separation", _separation, "higher"), Goal("negative_elbo", _bound)),
        seeds=_seeds,
        **_set,
    )

# Half of the training is at a price at which few nats are bought. With a rate that stays, enough of
# it is left when they become cheap. With the one seed tried, rotation, too, had a latent.
_vae(
    "beta-vae-sprites-constant-rate",
    "A β-VAE with β falling from 200 to 4 at a constant learning rate, and eight latent dimensions "
    "on 64×64 sprites.",
    model={**_SHAPE, "widths": _NARROW},
    loss={"C": 4.0, "beta": 4.0, "first_beta": 200.0, "anneal": 0.75},
    fit={"epochs": 40, **_FIT, "schedule": "constant"},
    must_reach=(Goal("separation", 0.5, "higher"), Goal("negative_elbo", 180.0)),
    **_SPRITES,
)
