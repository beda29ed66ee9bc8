"""Occlusion: lay a patch over each part of an image and see what a class loses (chapter 9).

Source: Zeiler & Fergus (2014), "Visualizing and understanding convolutional networks", §4.2.

What this means exactly, so that a page without a kernel can mean the same:

- **Where patches lie.** Along an axis of `side` pixels, patch k covers pixels k·stride to
  k·stride + patch − 1, for k = 0, 1, … ⌈(side − patch)/stride⌉. So every pixel is covered, and the
  last patch is cut off at the border if it sticks out.
- **What lies under a patch.** One picture as large as the image; a patch shows its own part of it
  (:func:`filling`): "grey" 0.5 everywhere; "mean" each channel's mean over the image; "blur" each
  pixel's mean over the square of 2·(patch // 2) + 1 pixels about it, as far as that lies in the
  image; "noise" numbers drawn evenly from 0 to 1, for each pixel and channel.
- **What is measured.** The *drop*: the score of the class for the whole image minus the score for
  the occluded one. Above 0, the patch hid something that speaks for the class. The score is the
  probability (softmax) or the logit.
- **From patches to pixels.** A pixel's number is the mean drop of the patches that cover it; this
  is what captum's Occlusion returns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.explain.passes import check_whole, evaluating, first_pass, one_image, score_of

FILLS = ("grey", "mean", "blur", "noise")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Occlusion:
    """What a class loses under a patch, for each place of the patch.

    `drops` is rows×columns, float32: `score` minus the score under the patch in that row and
    column of places. `boxes[row][column]` is what that patch covers: top, left, bottom, right in
    pixels, the last two not included.
    """

    drops: Tensor
    score: float
    boxes: tuple[tuple[Box, ...], ...]

    def on_pixels(self) -> Tensor:
        """H×W: for each pixel the mean drop of the patches that cover it."""
        _, _, height, width = self.boxes[-1][-1]
        total, covered = torch.zeros(height, width), torch.zeros(height, width)
        for boxes, drops in zip(self.boxes, self.drops, strict=True):
            for (top, left, bottom, right), drop in zip(boxes, drops, strict=True):
                total[top:bottom, left:right] += drop
                covered[top:bottom, left:right] += 1
        return total / covered


@torch.no_grad()
def occlusion_map(
    model: nn.Module,
    image: Tensor,
    target: int,
    *,
    patch: int,
    stride: int,
    fill: str | Tensor = "grey",
    output: str = "probability",
    seed: int = 0,
) -> Occlusion:
    """Lay a square patch over an image, place by place, and measure what class `target` loses.

    The module's docstring says where patches lie and what they show. Places are computed in batches
    that keep activations in the processor's cache; the model is left as it was.

    Args:
        model: from images N×C×H×W to logits N×K.
        image: C×H×W, floats in [0, 1].
        target: the number of a class.
        patch: the side of the patch, pixels.
        stride: pixels from one place to the next, at most `patch`: no pixel is passed over.
        fill: one of :data:`FILLS`, or a picture C×H×W of which the patch shows its part.
        output: what is measured, "probability" or "logit".
        seed: draws the noise.

    Raises:
        ValueError: an image, class, patch, stride, fill or output that cannot be.
    """
    x = one_image(model, image)
    height, width = x.shape[2:]
    check_whole(1, min(height, width), patch=patch)
    check_whole(1, patch, stride=stride)
    picture = filling(x[0], fill, patch=patch, seed=seed)
    tops, lefts = places(height, patch, stride), places(width, patch, stride)
    boxes = tuple(
        tuple((t, s, min(t + patch, height), min(s + patch, width)) for s in lefts) for t in tops
    )
    every = [box for row in boxes for box in row]
    scores = []
    with evaluating(model):
        logits, size = first_pass(model, x)
        score = score_of(logits, target, output)
        for first in range(0, len(every), size):
            some = every[first : first + size]
            batch = x.repeat(len(some), 1, 1, 1)
            for occluded, (top, left, bottom, right) in zip(batch, some, strict=True):
                occluded[:, top:bottom, left:right] = picture[:, top:bottom, left:right]
            scores.append(score_of(model(batch), target, output))
    drops = (score - torch.cat(scores)).view(len(tops), len(lefts))
    return Occlusion(drops.float().cpu(), float(score), boxes)


def places(side: int, patch: int, stride: int) -> list[int]:
    """The first pixels of all patches along an axis of `side` pixels; the last may stick out."""
    return [stride * k for k in range(1 - (patch - side) // stride)]


def filling(image: Tensor, fill: str | Tensor, *, patch: int, seed: int = 0) -> Tensor:
    """The picture that a patch shows its part of: C×H×W, as the image.

    Raises ValueError for a name that is not one of :data:`FILLS`, or a picture of another shape.
    """
    if isinstance(fill, Tensor):
        if fill.shape != image.shape:
            raise ValueError(
                f"A picture to fill with must have the image's shape {tuple(image.shape)}, got "
                f"{tuple(fill.shape)}."
            )
        return fill.to(image)
    if fill == "grey":
        return torch.full_like(image, 0.5)
    if fill == "mean":
        return image.mean((1, 2), keepdim=True).expand_as(image)
    if fill == "blur":
        return _blurred(image, patch // 2)
    if fill == "noise":
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(image.shape, generator=generator).to(image)
    raise ValueError(f"fill must be one of {', '.join(FILLS)} or a picture, got {fill!r}.")


def _blurred(image: Tensor, radius: int) -> Tensor:
    """Each pixel's mean over the square of 2·radius + 1 pixels about it, inside the image."""
    # A square's mean is the mean along rows of the means along columns: a hundred times cheaper.
    for axis in ((1, 0), (0, 1)):
        window = [2 * radius * a + 1 for a in axis]
        padding = [radius * a for a in axis]
        image = F.avg_pool2d(image, window, 1, padding, count_include_pad=False)
    return image
