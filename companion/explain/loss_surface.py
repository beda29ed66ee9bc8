"""Slices through a network's loss over its weights (Li et al. 2018; chapter 7)."""

import copy
from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

Direction = list[Tensor]


def filter_normalised_direction(model: nn.Module, seed: int = 0) -> Direction:
    """A random direction in the space of the weights, each filter as long as the model's own.

    One tensor for each parameter: Gaussian noise in which each filter of a convolution, or row of a
    dense layer, is scaled to the norm of the weights that it stands for; zero for the biases and
    the parameters of batch norm. `seed` draws it.

    Without the scaling, a model with large weights would look flatter than one with small weights
    that computes the same. Source: Li et al. (2018), "Visualizing the loss landscape of neural
    nets", §4 (arXiv 1712.09913).
    """
    generator = torch.Generator().manual_seed(seed)
    direction = []
    for weight in model.parameters():
        w = weight.detach().cpu()
        noise = torch.randn(w.shape, generator=generator)
        if w.ndim <= 1:
            direction.append(torch.zeros_like(w))
            continue
        lengths = w.flatten(1).norm(dim=1), noise.flatten(1).norm(dim=1)
        ratio = lengths[0] / (lengths[1] + 1e-10)
        direction.append(noise * ratio.view(-1, *[1] * (w.ndim - 1)))
    return direction


def loss_on_slice(
    model: nn.Module,
    directions: Sequence[Direction],
    places: Sequence[ArrayLike],
    images: Tensor,
    labels: Tensor,
) -> Tensor:
    """Cross-entropy at w + a·d, or at w + a·d₁ + b·d₂, for all a (and b) in `places`.

    Returns a tensor of len(places[0]) (× len(places[1])) losses in nats per image. The model itself
    stays as it is; batch norm uses its stored statistics.

    Args:
        directions: one or two, from `filter_normalised_direction`.
        places: as many sequences of numbers, the coordinates along each direction.
        images: N×C×H×W floats in [0, 1].
        labels: N class numbers.

    Raises:
        ValueError: neither one nor two directions, or another number of places.
    """
    if len(directions) not in (1, 2) or len(places) != len(directions):
        raise ValueError(
            "expected one or two directions, and places along each, got "
            f"{len(directions)} and {len(places)}"
        )
    moved = copy.deepcopy(model).eval()
    grid = torch.cartesian_prod(*(torch.as_tensor(p, dtype=torch.float32) for p in places))
    losses = []
    with torch.no_grad():
        for place in grid.view(len(grid), -1).tolist():
            for own, weight, *steps in zip(
                model.parameters(), moved.parameters(), *directions, strict=True
            ):
                weight.copy_(own)
                for amount, step in zip(place, steps, strict=True):
                    weight.add_(step.to(weight.device), alpha=amount)
            losses.append(F.cross_entropy(moved(images), labels))
    return torch.stack(losses).view([len(torch.as_tensor(p)) for p in places])
