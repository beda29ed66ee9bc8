"""The exercises of chapter 9, what CNNs see."""

import math

import torch
from torch import Tensor, nn

from companion.exercises import Answer, Hint, agree, exercise, shape


@exercise("Halving the stride takes about four times as long; so start coarse.")
def passes(answer: Answer) -> None:
    """`passes(side, patch, stride)`: covered images of an occlusion map, every pixel covered."""
    for side, patch, stride in ((224, 32, 16), (28, 5, 3), (64, 64, 8), (30, 8, 8)):
        got = answer.number(side, patch, stride)
        along = math.ceil((side - patch) / stride) + 1
        short = (side - patch) // stride + 1
        if got == along**2:
            continue
        what = f"For side = {side}, patch = {patch}, stride = {stride} there should be {along**2}"
        hints = {
            along: "that is one row of places; the patch also moves down.",
            (along - 1) ** 2: "the place at the start counts, too.",
            short**2: "the last pixels are left uncovered: round up, the last patch may stick out.",
            along**2 + 1: "the whole image was counted as well; only covered ones count here.",
            math.ceil(side / stride) ** 2: (
                "the last patches start too late: where the one before reaches the border, all is "
                "covered."
            ),
            math.ceil(side / patch) ** 2: "this is a stride as large as the patch; use `stride`.",
        }
        said = hints.get(int(got) if float(got).is_integer() else -1, f"got {got:g}.")
        raise Hint(f"{what}: {said}")


def _points(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points 30×4, three classes, and a query that is near none of the first points."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (30,), generator=generator)
    return points, labels, 0.5 * torch.randn(4, generator=generator, dtype=torch.float64)


def _most(labels: Tensor) -> int | None:
    """The class that more have than any other, if there is one."""
    counts = labels.bincount(minlength=3)
    top = counts.topk(2).values
    return int(counts.argmax()) if top[0] > top[1] else None


@exercise("This is a classifier without training, and a good first test of any embedding.")
def vote(answer: Answer) -> None:
    """`vote(embedding, labels, query, k)`: the most frequent class of the k nearest (L2)."""
    for seed in range(12):
        for k in (1, 5, 7):
            points, labels, query = _points(seed)
            points = points * torch.tensor([1.0, 1.0, 1.0, 4.0], dtype=torch.float64)
            distances = (points - query).square().sum(1)
            nearest = distances.topk(k, largest=False).indices
            right = _most(labels[nearest])
            if right is None:
                continue
            got = answer.number(points, labels, query, k)
            if got == right:
                continue
            if got == int(nearest[0]) and got != int(labels[nearest[0]]):
                raise Hint("This is the number of a point; its class, labels[…], is wanted.")
            farthest = _most(labels[distances.topk(k).indices])
            first = int(labels[nearest[0]])
            hint = f"With k = {k} the class {right} has most votes, got {got:g}."
            if got == first and k > 1:
                hint += " Yours is the class of the nearest point: let all k vote."
            elif got == farthest:
                hint += " Yours seems to take the farthest points: topk needs largest=False."
            raise Hint(hint)


def _network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 5)
        ).double()


@exercise("A map that looks fine is no test. Compare with one pixel, changed a little.")
def saliency(answer: Answer) -> None:
    """`saliency(model, image, target)`: max over channels of |∂y/∂x|, y the target's logit."""
    model = _network()
    generator = torch.Generator().manual_seed(9)
    image = torch.rand(3, 6, 6, generator=generator, dtype=torch.float64)
    x = image[None].clone().requires_grad_()
    logits = model(x)
    for target in (int(logits.argmin()), int(logits.argmax())):
        (gradient,) = torch.autograd.grad(logits[0, target], x, retain_graph=True)
        (largest,) = torch.autograd.grad(logits.max(), x, retain_graph=True)
        (likely,) = torch.autograd.grad(logits.softmax(1)[0, target], x, retain_graph=True)
        signed = gradient[0]
        right = signed.abs().amax(0)
        model.zero_grad()
        got = answer.tensor(model, image.clone(), target)
        shape(got, (6, 6), "One number for each pixel is expected.")
        agree(
            got,
            right,
            {
                "This is for the largest logit; the target's is wanted, whatever the network "
                "would say.": largest[0].abs().amax(0),
                "Strongly negative gradients are lost: take the absolute value before the "
                "maximum.": signed.amax(0),
                "The absolute value comes too late: take it before the maximum over the "
                "channels.": signed.amax(0).abs(),
                "The channels are added up; the largest of the three is wanted.": (
                    signed.abs().sum(0)
                ),
                "The channels are averaged; the largest of the three is wanted.": (
                    signed.abs().mean(0)
                ),
                "This is the gradient of the probability; that of the logit is wanted.": (
                    likely[0].abs().amax(0)
                ),
            },
            "Check one pixel: change it by 0.001, and see how the target's logit changes.",
        )
        if any(parameter.grad is not None for parameter in model.parameters()):
            raise Hint(
                "The numbers are right, but the weights have gradients now: "
                "torch.autograd.grad(y, x) gives that of the image alone."
            )
