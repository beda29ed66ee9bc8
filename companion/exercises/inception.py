"""The exercises of chapter 6, GoogLeNet and Inception."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from companion.exercises import Answer, Hint, agree, exercise, shape


class _Convolutions(TorchDispatchMode):
    """Whether PyTorch convolved while this is on, by whichever of its functions."""

    seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen = self.seen or "conv" in func.__name__
        return func(*args, **(kwargs or {}))


@exercise("A 1×1 convolution is a dense layer over the channels, the same at every pixel.")
def conv1x1(answer: Answer) -> None:
    """`conv1x1(x, weight, bias)`: N×C×H×W images, a C'×C weight, a bias of C'."""
    generator = torch.Generator().manual_seed(6)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x, weight, bias = draw(2, 5, 3, 4), draw(6, 5), draw(6)
    with _Convolutions() as convolutions:
        got = answer.tensor(x, weight, bias)
    if convolutions.seen:
        raise Hint("A convolution did the work. Multiply the channels of each pixel by the weight.")
    if got.shape == (2, 3, 4, 6):
        raise Hint("The channels have ended up last; they belong in the second place: N×C'×H×W.")
    shape(got, (2, 6, 3, 4), "Each pixel gets as many channels as the weight has rows.")
    right = F.conv2d(x, weight[:, :, None, None], bias)
    plain = right - bias.view(1, -1, 1, 1)
    agree(
        got,
        right,
        {
            "The bias is missing.": plain,
            "The bias is taken away; it should be added.": plain - bias.view(1, -1, 1, 1),
            "A ReLU has crept in: the convolution itself is linear.": right.relu(),
        },
        "At pixel (i, j) of the first image it should be weight @ x[0, :, i, j] + bias; compare.",
    )


@exercise("This one formula gives every term of the slide.")
def branch_cost(answer: Answer) -> None:
    """`branch_cost(size, in_channels, bottleneck, out_channels, kernel)`."""
    for size, depth, width, out, kernel in (
        (28, 256, 64, 192, 3),
        (28, 256, 64, 96, 5),
        (14, 480, 16, 48, 5),
        (28, 256, None, 192, 3),
    ):
        got = answer.number(size, depth, width, out, kernel)
        window = kernel**2
        if width is None:
            right = size**2 * window * depth * out
            mistakes: dict[str, float] = {
                "Without a bottleneck something is still added for it.": right
                + size**2 * depth * out,
                "The window has kernel·kernel weights for each channel.": size**2
                * kernel
                * depth
                * out,
            }
        else:
            first, second = size**2 * depth * width, size**2 * window * width * out
            right = first + second
            mistakes = {
                "The 1×1 convolution itself is not counted.": second,
                "Only the 1×1 convolution is counted.": first,
                "The larger convolution sees the bottleneck's channels, not all.": first
                + size**2 * window * depth * out,
                "Multiply by the size twice: the image has size·size pixels.": right / size,
                "The pixels are missing: this is the number of weights.": right / size**2,
                "The window has kernel·kernel weights for each channel.": first
                + size**2 * kernel * width * out,
                "Twice as many: each multiplication counts once, additions are left out.": 2
                * right,
                "Both convolutions happen, one after the other: their costs add up.": first
                * second,
            }
        agree(
            got,
            right,
            mistakes,
            f"For size = {size}, in_channels = {depth}, bottleneck = {width}, out_channels = {out},"
            f" kernel = {kernel} it should be {right:,}, not {got:,.0f}.",
        )


@exercise("A bottleneck of 64 lies far below that, and saves more than two thirds.")
def break_even(answer: Answer) -> None:
    """The widest bottleneck that saves multiplications, 256 → 192 channels, 3×3."""
    got = answer.number()
    agree(
        got,
        222.0,
        {
            "At this width it costs more already. Round down.": 223.0,
            "A whole number is asked for: the largest below that.": 9 * 256 * 192 / (256 + 9 * 192),
            "That leaves out what the 1×1 convolution itself costs.": 255.0,
            "Without the 1×1's own cost it would be so; but it has one.": 256.0,
            "That counts the 3×3 window as a 1×1.": float(256 * 192 // (256 + 192)),
            "This is the slide's width. How far could one go?": 64.0,
        },
        "Write down the cost with a bottleneck of width r and without one, and solve for r.",
    )


@exercise("At test time the heads are gone, and so are their terms.")
def loss(answer: Answer) -> None:
    """`googlenet_loss(output, labels)`: a triple of logits in training, a tensor otherwise."""
    generator = torch.Generator().manual_seed(7)
    main, first, second = torch.randn(3, 4, 10, generator=generator, dtype=torch.float64)
    labels = torch.tensor([1, 0, 7, 3])
    a, b, c = (F.cross_entropy(logits, labels) for logits in (main, first, second))
    agree(
        answer.number((main, first, second), labels),
        a + 0.3 * (b + c),
        {
            "The heads are not in it.": a,
            "The heads' losses count 0.3 each, not fully.": a + b + c,
            "Only one of the two heads is in it.": a + 0.3 * b,
            "Only the second head is in it.": a + 0.3 * c,
            "The losses of the heads are averaged; each should count 0.3.": a + 0.15 * (b + c),
            "The main loss counts fully; only the heads are weighted.": 0.3 * (a + b + c),
        },
        "It should be the cross-entropy of the logits plus 0.3 times that of each head.",
    )
    for count in (4, 3):
        agree(
            answer.number(main[:count], labels[:count]),
            F.cross_entropy(main[:count], labels[:count]),
            {},
            "In training it is right. In evaluation the output is one tensor of logits (here of "
            f"{count} images), and its cross-entropy is the whole loss.",
        )
