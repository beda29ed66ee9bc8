"""Classifiers: the CNN for MNIST, ResNet-20 for CIFAR-10, and the nets that show degradation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.datasets import ImageSet
from companion.models import CifarResNet, DigitCNN
from companion.recipes.base import Goal, Recipe, register
from companion.training import Loss

# Means and standard deviations of CIFAR-10's training images, channel by channel.
_CIFAR_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def cross_entropy() -> Loss:
    """The classification loss as `fit` takes it: "loss" and "error", the per cent misclassified."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = model(images).float()
        return {
            "loss": F.cross_entropy(logits, labels),
            "error": 100 * (logits.argmax(1) != labels).float().mean(),
        }

    return loss


def evaluate_classifier(model: nn.Module, images: ImageSet) -> dict[str, Any]:
    """`accuracy` in per cent, `cross_entropy` in nats per image, and the accuracy of each class."""
    if images.labels is None:
        raise ValueError(f"{images.name} has no labels to compare with")
    with torch.no_grad():
        parts = [
            model(images.images[start : start + 500] / 255) for start in range(0, len(images), 500)
        ]
    logits = torch.cat(parts)
    right = logits.argmax(1) == images.labels
    return {
        "accuracy": 100 * right.double().mean().item(),
        "cross_entropy": F.cross_entropy(logits, images.labels).item(),
        "accuracy_by_class": {
            name: 100 * right[images.labels == k].double().mean().item()
            for k, name in enumerate(images.class_names)
        },
    }


register(
    Recipe(
        name="cnn-mnist",
        description="A small convolutional network for handwritten digits, live in the page.",
        dataset="mnist",
        data="MNIST: 60,000 training images, 10,000 test images",
        model=DigitCNN,
        loss=cross_entropy,
        evaluate=evaluate_classifier,
        settings={
            "model": {"size": 28},
            "loss": {},
            "fit": {
                "epochs": 16,
                "batch_size": 128,
                "lr": 4e-3,
                "schedule": "cosine",
                "channels_last": True,
            },
            # A digit a little to the side is the same digit; its mirror image is not.
            "augment": {"padding": 2, "flip": False},
        },
        must_reach=(Goal("accuracy", 99.3, "higher"),),
    )
)


def _cifar(
    name: str,
    description: str,
    *,
    model: dict[str, Any],
    fit: dict[str, Any],
    loss: dict[str, Any],
    must_reach: tuple[Goal, ...],
    **rest: Any,
) -> None:
    register(
        Recipe(
            name=name,
            description=description,
            dataset="cifar10",
            data="CIFAR-10: 50,000 training images, 10,000 test images",
            model=CifarResNet,
            loss=cross_entropy,
            evaluate=evaluate_classifier,
            settings={
                "model": {"statistics": _CIFAR_STATISTICS, **model},
                "loss": loss,
                "fit": {"batch_size": 128, "channels_last": True, **fit},
                "optimizer": {
                    "name": "SGD",
                    "momentum": 0.9,
                    "nesterov": True,
                    "weight_decay": 5e-4,
                },
                "augment": {"padding": 4},
            },
            must_reach=must_reach,
            **rest,
        )
    )


_cifar(
    "resnet20-cifar10",
    "The residual network of 20 layers for small photographs (He et al. 2015, §4.2).",
    model={"depth": 20},
    loss={},
    fit={"epochs": 100, "lr": 0.1, "schedule": "cosine"},
    must_reach=(Goal("accuracy", 89.0, "higher"),),
)

for _residual in (False, True):
    for _depth in (20, 56):
        _title = f"{'resnet' if _residual else 'plain'}{_depth}"
        _cifar(
            f"{_title}-cifar10-run",
            f"A recorded run for the degradation problem: {_title} at half width, 5 epochs.",
            model={"depth": _depth, "residual": _residual, "width": 0.5},
            loss={},
            fit={"epochs": 5, "lr": 0.1, "schedule": "cosine"},
            # Whatever comes out is the result; but a run that learns nothing shows nothing.
            must_reach=(Goal("accuracy", 25.0, "higher"),),
            ships=False,
        )
