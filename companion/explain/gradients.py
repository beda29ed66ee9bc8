"""How much gradient reaches each layer of a network (chapters 6 and 7)."""

import copy

from torch import Tensor, autograd, nn
from torch.nn import functional as F

from companion.models.classifier import ImageClassifier
from companion.models.googlenet import GoogLeNet, GoogLeNetOutput

#: The terms of GoogLeNet's loss in training, and the weight that the paper gives to each.
TERMS = {"main": 1.0, "0.3 · head at 4a": 0.3, "0.3 · head at 4d": 0.3}


def gradient_norms(model: ImageClassifier, loss: Tensor) -> dict[str, float]:
    """The norm of the loss's gradient in each of ``model.layers`` that has parameters, by name.

    All parameters of a layer count as one long vector; the norm is 0 where nothing arrives. The
    graph of the loss is kept, so that other losses of the same pass can be asked for as well.

    Raises:
        ValueError: the loss is no single number, or none that depends on the model's layers.
    """
    if loss.ndim or not loss.requires_grad:
        raise ValueError(
            "gradient_norms needs a loss of one number that gradients flow back from, got one of "
            f"shape {tuple(loss.shape)}{'' if loss.requires_grad else ' without a graph'}."
        )
    layers = {
        name: list(layer.parameters())
        for name, layer in model.layers.named_children()
        if any(True for _ in layer.parameters())
    }
    everything = [parameter for parameters in layers.values() for parameter in parameters]
    gradients = autograd.grad(loss, everything, retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise ValueError("this loss does not depend on the model's layers.")
    arrived = iter(gradients)
    squares = {
        name: sum(_square(next(arrived)) for _ in parameters) for name, parameters in layers.items()
    }
    return {name: square**0.5 for name, square in squares.items()}


def term_norms(model: GoogLeNet, images: Tensor, labels: Tensor) -> dict[str, dict[str, float]]:
    """:func:`gradient_norms` of each of the `TERMS` of GoogLeNet's loss, and of their sum ("all").

    `model` has its heads and is in training mode; images N×C×224×224, labels N class numbers. The
    graph, of about 80 MB for each image, is gone afterwards.

    Raises:
        ValueError: the model gives no logits of heads.
    """
    outputs = model(images)
    if not isinstance(outputs, GoogLeNetOutput):
        raise ValueError(
            "term_norms needs a GoogLeNet with auxiliary heads in training mode: "
            "GoogLeNet().train() is one."
        )
    losses = {
        name: weight * F.cross_entropy(logits, labels)
        for (name, weight), logits in zip(TERMS.items(), outputs, strict=True)
    }
    losses["all"] = sum(losses.values(), start=images.new_zeros(()))
    return {name: gradient_norms(model, loss) for name, loss in losses.items()}


def weight_gradients(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of the cross-entropy by each weight of convolutions and dense layers, by name.

    In training mode, so that batch norm uses the batch; the model itself stays as it is.

    Args:
        images: N×C×H×W floats in [0, 1].
        labels: N class numbers.
    """
    twin = copy.deepcopy(model).train()
    twin.zero_grad()
    F.cross_entropy(twin(images), labels).backward()
    return {
        name: weight.grad
        for name, weight in twin.named_parameters()
        if weight.ndim > 1 and weight.grad is not None
    }


def _square(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else gradient.cpu().double().square().sum().item()
