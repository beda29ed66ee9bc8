"""A task whose explanation is known: the class is a small mark at a known place (chapter 9).

Each image is a sprite of random shape, colour, size, rotation and place, which says nothing about
the class, and a mark of 8×8 pixels with a pattern, which says all. Whoever explains a network that
solves this must point at the mark.
"""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.datasets import ImageSet
from companion.datasets.sprites import IMAGE_SIZE, draw_sprites, sample_factors
from companion.explain.occlusion import Box
from companion.training import classification_loss, fit

#: The marks' patterns, which are the classes.
MARKS = ("horizontal", "vertical", "diagonal", "chequered")
#: The side of a mark, pixels.
MARK_SIZE = 8


class Planted(NamedTuple):
    """`images` uint8 N×3×64×64, `labels` int64 N (indices into :data:`MARKS`), and `boxes`.

    `boxes[i]` is where the mark of image i lies: top, left, bottom, right, as slices have it.
    """

    images: Tensor
    labels: Tensor
    boxes: list[Box]


def planted_marks(n: int, seed: int = 0) -> Planted:
    """`n` sprites with a mark each: pattern and place are uniform and independent of the sprite.

    Marks are wholly inside of the image, in front of the sprite, black and white. Raises ValueError
    for an `n` below 1.
    """
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n!r}.")
    images = draw_sprites(sample_factors(n, seed))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(MARKS), (n,), generator=generator)
    corners = torch.randint(IMAGE_SIZE - MARK_SIZE + 1, (n, 2), generator=generator).tolist()
    boxes = [(top, left, top + MARK_SIZE, left + MARK_SIZE) for top, left in corners]
    patterns = _patterns()
    for image, label, (top, left, bottom, right) in zip(images, labels, boxes, strict=True):
        image[:, top:bottom, left:right] = patterns[label]
    return Planted(images, labels, boxes)


def mark_network() -> nn.Sequential:
    """A small network for :func:`planted_marks`, untrained: images N×3×64×64 to logits N×4.

    Its last maps, those of "relu3", have 16×16 positions; the dense layer gets the largest value of
    each channel, which says what is there, and not where.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 12, 5, stride=2, padding=2, bias=False),
            bn1=nn.BatchNorm2d(12),
            relu1=nn.ReLU(),  # 32×32×12
            conv2=nn.Conv2d(12, 24, 3, stride=2, padding=1, bias=False),
            bn2=nn.BatchNorm2d(24),
            relu2=nn.ReLU(),  # 16×16×24
            conv3=nn.Conv2d(24, 24, 3, padding=1, bias=False),
            bn3=nn.BatchNorm2d(24),
            relu3=nn.ReLU(),  # 16×16×24
            pool=nn.AdaptiveMaxPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(24, len(MARKS)),
        )
    )


def trained_mark_network(seed: int = 0) -> nn.Sequential:
    """:func:`mark_network` after 8,000 images, about five seconds: it knows all marks, or nearly.

    `seed` draws images and weights; the caller's random numbers go on as they were.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = mark_network()
    data = planted_marks(2000, seed)
    train = ImageSet("marks", "train", data.images, data.labels, MARKS)
    loss = classification_loss()
    fit(
        model, train, loss, epochs=4, batch_size=32, lr=0.01, seed=seed, schedule="cosine",
        device="cpu", progress=False,
    )  # fmt: skip
    return model


def _patterns() -> Tensor:
    """The marks, uint8 4×8×8: stripes two pixels wide, or squares of two pixels."""
    row = torch.arange(MARK_SIZE)[:, None].expand(MARK_SIZE, MARK_SIZE)
    column = row.T
    lit = [row // 2 % 2, column // 2 % 2, (row + column) // 2 % 2, (row // 2 + column // 2) % 2]
    return 255 * torch.stack(lit).to(torch.uint8)
