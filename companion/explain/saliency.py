"""Which pixels count for a class, by gradients: three maps of one image (chapter 9).

Each is H×W float32 on the CPU, for one class of a model from images N×C×H×W to logits N×K; the
model is left as it was. They answer different questions: the gradient, what a small change of a
pixel would do; integrated gradients, how the score's difference from a baseline is shared out;
Grad-CAM, which positions of a layer's map speak for the class.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.explain.passes import (
    check_whole,
    evaluating,
    first_pass,
    hooked,
    named_layers,
    one_image,
    score_of,
)


@torch.enable_grad()
def gradient_map(model: nn.Module, image: Tensor, target: int, *, output: str = "logit") -> Tensor:
    """|∂y/∂x|, the largest over a pixel's channels; y is the logit (or probability) of a class.

    Source: Simonyan, Vedaldi & Zisserman (2014), "Deep inside convolutional networks", §3.
    Raises ValueError for an image, class or output that cannot be.
    """
    x = one_image(model, image).requires_grad_()
    with evaluating(model):
        (gradient,) = torch.autograd.grad(score_of(model(x), target, output).sum(), x)
    return gradient[0].abs().amax(0).float().cpu()


@torch.enable_grad()
def integrated_gradients(
    model: nn.Module,
    image: Tensor,
    target: int,
    *,
    baseline: float | Tensor = 0.0,
    steps: int = 50,
    output: str = "logit",
) -> Tensor:
    """(x − x′) times the mean gradient on the line from the baseline x′ to x, summed over channels.

    The numbers of all pixels add up to the score's difference between image and baseline, but for
    the error of a mean over `steps` points (the middles of as many parts of the line). Source:
    Sundararajan, Taly & Yan (2017), "Axiomatic attribution for deep networks".

    `baseline` is one number or a picture C×H×W. Raises ValueError for an image, class, baseline,
    steps or output that cannot be.
    """
    x = one_image(model, image)
    check_whole(1, steps=steps)
    start = torch.as_tensor(baseline).to(x)
    if start.ndim and start.shape != x.shape[1:]:
        raise ValueError(
            f"baseline must be a number or a picture of shape {tuple(x.shape[1:])}, got "
            f"{tuple(start.shape)}."
        )
    along = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    total = torch.zeros_like(x[0])
    with evaluating(model):
        _, size = first_pass(model, x)
        for some in along.split(size):
            points = (start + some.view(-1, 1, 1, 1) * (x - start)).requires_grad_()
            score = score_of(model(points), target, output).sum()
            (gradient,) = torch.autograd.grad(score, points)
            total += gradient.sum(0)
    return ((x[0] - start) * total / steps).sum(0).float().cpu()


@torch.enable_grad()
def grad_cam(
    model: nn.Module, image: Tensor, target: int, layer: str, *, output: str = "logit"
) -> Tensor:
    """Where the maps A of a convolutional layer speak for a class, enlarged to the image.

    Each map is weighted by its mean gradient ∂y/∂A; what their sum has below 0 becomes 0. Source:
    Selvaraju et al. (2017), "Grad-CAM: visual explanations from deep networks".

    `layer` is a name of `model.named_modules()`; what leads to it may be left out. Raises
    ValueError for a layer that is not there or has no maps, and an image, class or output that
    cannot be.
    """
    x = one_image(model, image).requires_grad_()
    maps: list[Tensor] = []

    def take(module: nn.Module, inputs: object, made: Tensor) -> Tensor:
        maps.append(made)
        return made.clone()  # what follows may work in place

    with evaluating(model), hooked(named_layers(model, [layer]).values(), take):
        score = score_of(model(x), target, output).sum()
        if len(maps) != 1 or maps[0].ndim != 4:
            raise ValueError(
                f"Layer {layer!r} makes no maps N×C×H×W: Grad-CAM needs a convolutional layer that "
                "computes once."
            )
        (gradient,) = torch.autograd.grad(score, maps[0])
    weights = gradient.mean((2, 3), keepdim=True)
    cam = (weights * maps[0].detach()).sum(1, keepdim=True).relu()
    return F.interpolate(cam, x.shape[2:], mode="bilinear")[0, 0].float().cpu()
