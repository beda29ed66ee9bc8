"""What the classification networks have in common: images in, logits out, and clear refusals."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Images minus `mean`, divided by `std`, both one number for each channel.

    As a network's first layer it goes wherever the network goes: nobody can forget it, or do it
    twice. Raises ValueError for two lengths that differ and for a `std` that is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise ValueError(
                "Expected a mean and a positive standard deviation for each channel, "
                f"got {tuple(mean)} and {tuple(std)}."
            )
        # Part of the architecture, not learnt: they are no weights, and not stored with them.
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → the same shape."""
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        """The numbers, for print(model)."""
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        return f"mean={mean}, std={std}"


class ImageClassifier(nn.Module):
    """A network from images N×in_channels×H×W to logits N×num_classes.

    `layers` is the network as one `nn.Sequential` of named layers, in the order in which they
    compute, so that a table of layers is a walk over ``model.layers.named_children()`` and a part
    of the network is a slice of it. What branches (a residual block, an Inception module) is one
    layer there. Logits are unnormalised: the softmax belongs to the loss.

    `title` is the network's name for people, `size` the side in pixels of the images it is made
    for. It takes images with sides from `smallest` up; where that is None (because a dense layer
    counts on every position), of the one size alone.

    Raises ValueError for `num_classes` or `in_channels` below 1, and when called with images of
    another size, number of channels or number format, saying what it needs.
    """

    layers: nn.Sequential

    def __init__(
        self,
        title: str,
        num_classes: int,
        in_channels: int,
        *,
        size: int,
        smallest: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("in_channels", in_channels)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.title = title
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.size = size
        self.smallest = smallest

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images that it is made for."""
        return self.in_channels, self.size, self.size

    def forward(self, x: Tensor) -> Tensor:
        """Images x → logits N×num_classes."""
        self.check(x)
        logits: Tensor = self.layers(x)
        return logits

    def check(self, x: Tensor) -> None:
        """Raise a ValueError that says what this network needs, if x is not that."""
        fits = x.ndim == 4 and x.shape[1] == self.in_channels
        if self.smallest is None:
            sides, more = f"{self.size}×{self.size}", ""
            fits = fits and x.shape[2] == x.shape[3] == self.size
        else:
            sides = "H×W"
            more = (
                f" with sides of {self.smallest} pixels or more "
                f"(it is made for {self.size}×{self.size})"
            )
            fits = fits and min(x.shape[2:]) >= self.smallest
        if not fits:
            raise ValueError(
                f"{self.title} needs images of shape N×{self.in_channels}×{sides}{more}, "
                f"got {'×'.join(map(str, x.shape))}."
            )
        if not x.is_floating_point():
            raise ValueError(
                f"{self.title} needs images as floating-point numbers, got {x.dtype}: "
                "convert them with x.float() / 255."
            )


def he_initialise(model: nn.Module) -> None:
    """Draw all weights of convolutions and dense layers from N(0, 2/fan_in); biases become 0.

    A ReLU halves the second moment of what passes; the 2 makes up for it, so that signals neither
    fade nor grow with depth. Source: He et al. (2015), "Delving deep into rectifiers", eq. 10; the
    slide's "Xavier/2".
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_choice(what: str, choice: object, choices: Collection[object]) -> None:
    """Raise a ValueError that names the choices, if `choice` is none of them."""
    if choice not in choices:
        names = ", ".join(map(repr, choices))
        raise ValueError(f"{what} must be one of {names}, got {choice!r}.")
