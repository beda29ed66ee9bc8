"""The GAN: its figures, which the CNN for MNIST gives, and its recipe."""

from functools import partial
from typing import Any

import torch

from companion.datasets import ImageSet
from companion.models import DCGAN, gan_loss
from companion.recipes.base import Goal, Recipe, load, register
from companion.training import Loss

_SAMPLES = 5_000

CRITIC_ON_MNIST = (
    -3.37, -1.59, -1.33, -1.14, -1.01, -0.9, -0.79, -0.71, -0.62, -0.54, -0.46, -0.4,
    -0.32, -0.25, -0.19, -0.12, -0.05, 0.01, 0.07, 0.13, 0.2, 0.26, 0.33, 0.4,
    0.47, 0.53, 0.6, 0.67, 0.75, 0.83, 0.92, 1.03, 1.13, 1.25, 1.38, 1.53,
    1.73, 1.94, 2.22, 2.69, 5.22,
)  # fmt: skip
"""What the critic of dcgan-mnist as it ships (`DCGAN.critic`, seed 0) says of MNIST's 10,000 test
digits: the quantiles 0, 1/40, …, 1 of its logits. For where MNIST itself is not at hand."""


def evaluate_gan(model: DCGAN, images: ImageSet, *, judge: str) -> dict[str, Any]:
    """How a classifier (the recipe `judge`) sees 5,000 samples of the model.

    `confidence` is the mean, over samples, of the largest class probability; `class_shares` are the
    per cent of samples in each class, `smallest_class` the least of them. `real_confidence` is the
    classifier's mean confidence on as many real images: what perfect samples would reach.
    """
    classifier = load(judge).model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        samples = model.sample(_SAMPLES, generator)
        likely = classifier(samples).softmax(1)
        real = classifier(images.images[:_SAMPLES] / 255).softmax(1)
    shares = 100 * torch.bincount(likely.argmax(1), minlength=likely.shape[1]) / len(samples)
    return {
        "confidence": likely.max(1).values.mean().item(),
        "real_confidence": real.max(1).values.mean().item(),
        "smallest_class": shares.min().item(),
        "class_shares": shares.tolist(),
    }


def game() -> Loss:
    """The loss of both players, :func:`companion.models.gan_loss`."""
    return gan_loss


register(
    Recipe(
        name="dcgan-mnist",
        description="A small DCGAN that draws handwritten digits.",
        dataset="mnist",
        data="MNIST: 60,000 training images; judged by cnn-mnist",
        model=DCGAN,
        loss=game,
        evaluate=partial(evaluate_gan, judge="cnn-mnist"),
        needs=("cnn-mnist",),
        settings={
            "model": {"image_shape": (1, 28, 28), "latent_dim": 32, "width": 32},
            "loss": {},
            "fit": {"epochs": 14, "batch_size": 128, "lr": 3e-4, "channels_last": True},
            "optimizer": {"name": "Adam", "betas": (0.5, 0.999)},
        },
        must_reach=(
            Goal("confidence", 0.9, "higher"),
            Goal("smallest_class", 3.0, "higher"),
        ),
    )
)
