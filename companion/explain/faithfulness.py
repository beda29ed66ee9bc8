"""Explanations put to the test: does a map show what the network uses? (chapter 9)

A map is H×W, larger where a pixel is said to count more. Three tests: take away what it points at
and see the score fall (deletion, insertion); know beforehand where the evidence lies (the pointing
game); destroy what the network has learnt and see whether the map notices (randomised weights).
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.explain.occlusion import Box, filling
from companion.explain.passes import check_whole, evaluating, first_pass, one_image, score_of


class Curve(NamedTuple):
    """Scores while more and more pixels change sides; `area` is the mean height of the curve.

    `shares` go from 0 to 1, the share of the pixels that have been deleted (or inserted).
    """

    shares: Tensor
    scores: Tensor

    @property
    def area(self) -> float:
        """The area below the curve, by trapezoids: from 0 to 1 for probabilities."""
        return torch.trapezoid(self.scores, self.shares).item()


def deletion_curve(
    model: nn.Module,
    image: Tensor,
    target: int,
    saliency: Tensor,
    *,
    steps: int = 32,
    fill: str | Tensor = "grey",
    output: str = "probability",
) -> Curve:
    """The score of class `target` while the pixels that the map ranks highest are filled first.

    A map that shows what the network uses makes the score fall early: a small area. Pixels of equal
    rank go in an order drawn at random, always the same. Source: Petsiuk, Das & Saenko (2018),
    "RISE: randomized input sampling for explanation", §4.

    Args:
        image: C×H×W floats in [0, 1]. saliency: H×W.
        steps: how often the score is measured after the first, each time for as many more pixels.
        fill: as in :func:`companion.explain.occlusion.occlusion_map`; blur with a quarter of the
            shorter side.

    Raises:
        ValueError: an image, class, map, steps, fill or output that cannot be.
    """
    x = one_image(model, image)
    return _curve(model, x[0], _filled(x, fill), target, saliency, steps, output)


def insertion_curve(
    model: nn.Module,
    image: Tensor,
    target: int,
    saliency: Tensor,
    *,
    steps: int = 32,
    fill: str | Tensor = "blur",
    output: str = "probability",
) -> Curve:
    """The score while pixels of the image appear on the filling, the highest ranks first.

    A good map makes it rise early: a large area. Otherwise as :func:`deletion_curve`.
    """
    x = one_image(model, image)
    return _curve(model, _filled(x, fill), x[0], target, saliency, steps, output)


def pointing_game(saliency: Tensor, box: Box) -> float:
    """Whether the map's largest value lies in the box: top, left, bottom, right, as slices have it.

    1 or 0; if several pixels have the largest value, the share of them that lies in the box, which
    is the chance that a random one of them hits. The mean over many images is the hit rate; a
    random map has that of the box's share of the image. Source: Zhang et al. (2016), "Top-down
    neural attention by excitation backprop", §4.2.

    Raises ValueError for what is no map, and a box that is not inside of it.
    """
    height, width = _checked(saliency).shape
    top, left, bottom, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ValueError(f"There is no box {tuple(box)} in a map of {height}×{width}.")
    largest = saliency == saliency.max()
    return (largest[top:bottom, left:right].sum() / largest.sum()).item()


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of two maps, −1 to 1; 0 if one is the same everywhere.

    Raises ValueError for maps of different shapes.
    """
    if _checked(one).shape != _checked(other).shape:
        raise ValueError(
            f"Expected two maps of one shape, got {tuple(one.shape)} and {tuple(other.shape)}."
        )
    ranks = torch.stack([_ranks(one), _ranks(other)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    lengths = ranks.norm(dim=1)
    return (ranks[0] @ ranks[1] / (lengths[0] * lengths[1])).item() if lengths.all() else 0.0


def weight_layers(model: nn.Module) -> list[str]:
    """The layers that :func:`randomise` counts, from the input on: convolutions and dense layers.

    In the order in which the model defines them, by their names in `model.named_modules()`.
    """
    return [names[0] for names in _groups(model)]


def randomise(model: nn.Module, layers: int, seed: int = 0) -> nn.Module:
    """A copy of the model in which the last `layers` of its :func:`weight_layers` know nothing.

    Every parameter there, and in the normalisations behind it, is drawn from a normal distribution
    with the mean and standard deviation that its own numbers have, so that signals keep their size.
    Stored statistics stay. The copy is in evaluation mode. Source: Adebayo et al. (2018), "Sanity
    checks for saliency maps", §3.1 (cascading randomisation).

    Raises ValueError for more layers than there are.
    """
    groups = _groups(model)
    check_whole(0, len(groups), layers=layers)
    generator = torch.Generator().manual_seed(seed)
    changed = copy.deepcopy(model).eval()
    modules = dict(changed.named_modules())
    # From the output on: with one seed, what is drawn for a layer does not depend on `layers`.
    for names in groups[::-1][:layers]:
        for name in names:
            for parameter in modules[name].parameters(recurse=False):
                own = parameter.detach().float()
                drawn = torch.randn(own.shape, generator=generator).to(own.device)
                parameter.data = (own.mean() + own.std(unbiased=False) * drawn).to(parameter.dtype)
    return changed


def _filled(x: Tensor, fill: str | Tensor) -> Tensor:
    return filling(x[0], fill, patch=min(x.shape[2:]) // 4)


@torch.no_grad()
def _curve(
    model: nn.Module,
    start: Tensor,
    end: Tensor,
    target: int,
    saliency: Tensor,
    steps: int,
    output: str,
) -> Curve:
    """From one picture to the other, in the order of the map."""
    count = start[0].numel()
    if _checked(saliency).shape != start.shape[1:]:
        raise ValueError(
            f"The map must be as large as the image, {tuple(start.shape[1:])}, got "
            f"{tuple(saliency.shape)}."
        )
    check_whole(1, count, steps=steps)
    mixed = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    order = mixed[saliency.detach().cpu().flatten()[mixed].argsort(descending=True, stable=True)]
    rank = torch.empty(count, dtype=torch.long)
    rank[order] = torch.arange(count)
    rank = rank.view(saliency.shape).to(start.device)
    changed = torch.tensor([round(count * step / steps) for step in range(steps + 1)])
    scores = []
    with evaluating(model):
        _, size = first_pass(model, start[None])
        for some in changed.to(start.device).split(size):
            batch = torch.where(rank < some.view(-1, 1, 1, 1), end, start)
            scores.append(score_of(model(batch), target, output).float().cpu())
    return Curve(changed / count, torch.cat(scores))


def _groups(model: nn.Module) -> list[list[str]]:
    """Names of modules with parameters: a convolution or dense layer, and what normalises it."""
    groups: list[list[str]] = []
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if any(parameter.ndim > 1 for parameter in own):
            groups.append([name])
        elif own and groups:
            groups[-1].append(name)
    return groups


def _ranks(saliency: Tensor) -> Tensor:
    """Ranks from 0, equal values with the mean of theirs; float64."""
    _, inverse, counts = saliency.flatten().unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts + 1) / 2)[inverse]


def _checked(saliency: Tensor) -> Tensor:
    if not isinstance(saliency, Tensor) or saliency.ndim != 2 or saliency.isnan().any():
        what = type(saliency).__name__
        if isinstance(saliency, Tensor):
            what = f"{tuple(saliency.shape)}" if saliency.ndim != 2 else "one with NaN"
        raise ValueError(f"Expected a map H×W of numbers, got {what}.")
    return saliency
