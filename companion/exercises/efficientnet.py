"""The exercises of chapter 8, the state of the art and EfficientNet."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from companion.exercises import Answer, Hint, agree, exercise, rounded, shape
from companion.models.efficientnet import scaled_channels


@exercise("With many output channels it tends to k²: about 9 for a 3×3, about 25 for a 5×5.")
def separable_saving(answer: Answer) -> None:
    """`separable_saving(out_channels, kernel)`: full over separable multiplications."""
    for channels, kernel in ((240, 3), (240, 5), (16, 3)):
        share = 1 / channels + 1 / kernel**2
        agree(
            answer.number(channels, kernel),
            1 / share,
            {
                "Upside down: this is the share that is left.": share,
                "The 1×1 convolution is not counted.": float(channels),
                "The depthwise part is not counted.": float(kernel**2),
                "The costs of the two parts add up, not their inverses.": float(
                    channels + kernel**2
                ),
                "The window has kernel·kernel weights.": 1 / (1 / channels + 1 / kernel),
                "This is what is saved as a share of the whole.": 1 - share,
            },
            f"For {channels} output channels and {kernel}×{kernel} divide the cost of the full "
            "convolution by the sum of the two parts; C_in cancels.",
        )


@exercise("One factor for each channel of each image: that is all the gate can say.")
def squeeze_excite(answer: Answer) -> None:
    """`squeeze_excite(x, w1, b1, w2, b2)`."""
    generator = torch.Generator().manual_seed(8)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x, w1, b1, w2, b2 = draw(2, 6, 3, 4), draw(2, 6), draw(2), draw(6, 2), draw(6)
    got = answer.tensor(x, w1, b1, w2, b2)
    if got.shape == (2, 6):
        raise Hint("These are the factors alone; the images multiplied by them are wanted.")
    shape(got, tuple(x.shape), "The result has the shape of x.")

    def gated(s: Tensor, inner: object = F.silu, outer: object = torch.sigmoid) -> Tensor:
        assert callable(inner)
        assert callable(outer)
        factors: Tensor = outer(inner(s @ w1.T + b1) @ w2.T + b2)
        return factors[:, :, None, None] * x

    s = x.mean(dim=(2, 3))

    def identity(t: Tensor) -> Tensor:
        return t

    agree(
        got,
        gated(s),
        {
            "The squeeze is the mean over the pixels, not their sum.": gated(x.sum(dim=(2, 3))),
            "The squeeze is the mean over the pixels, not their maximum.": gated(x.amax((2, 3))),
            "Between the two layers comes a SiLU; yours has a ReLU.": gated(s, F.relu),
            "Between the two layers comes a SiLU; yours has a sigmoid.": gated(s, torch.sigmoid),
            "Between the two layers a SiLU is missing.": gated(s, identity),
            "The sigmoid at the end is missing: the factors must lie in (0, 1).": gated(
                s, F.silu, identity
            ),
            "x is added once more; the gate only multiplies.": gated(s) + x,
        },
        "Take one image: s is its mean over the pixels, g has one number for each channel, and "
        "channel c of the result is g[c] · x[c].",
    )


@exercise("About 3.53 for a factor of ten, which is near B4.")
def phi_for(answer: Answer) -> None:
    """`phi_for(factor)`: log(factor) / log 1.92, as a function or as a number for 10."""
    for factor in (10.0, 2.0, 100.0) if callable(answer.value) else (10.0,):
        right, got = math.log(factor) / math.log(1.92), answer.number(factor)
        agree(
            got if callable(answer.value) else rounded(got, right),
            right,
            {
                "That takes α·β²·γ² for 2; here it is 1.92.": math.log2(factor),
                "The logarithms must be divided, not subtracted.": math.log(factor)
                - math.log(1.92),
                "Upside down.": 1 / right,
                "Growth is a power of φ, not a multiple.": factor / 1.92,
                "That is the logarithm to base 10.": math.log10(factor),
                "That is the natural logarithm alone; divide by that of 1.92.": math.log(factor),
            },
            f"Which φ makes 1.92^φ equal to {factor:g}?",
        )


@exercise("This is the rule of the authors' code, and of our EfficientNet.")
def round_channels(answer: Answer) -> None:
    """`round_channels(channels, width)`."""
    for channels, width in (
        (32, 1.1),
        (112, 1.1),
        (40, 1.1),
        (20, 1.0),
        (52, 1.0),
        (11, 1.0),
        (3, 1.0),
    ):
        got, exact = answer.number(channels, width), channels * width
        plain = max(8, int(exact + 4) // 8 * 8)
        agree(
            got,
            float(scaled_channels(channels, width)),
            {
                "Not a multiple of 8.": exact,
                "It may not fall below 90 % of the exact value.": float(plain),
                **(
                    {"A tie goes up; Python's round goes to the even number.": 48.0}
                    if exact == 52
                    else {}
                ),
                "It should round to the nearest multiple, not always down.": float(
                    int(exact) // 8 * 8
                ),
                "It should round to the nearest multiple, not always up.": float(
                    math.ceil(exact / 8) * 8
                ),
                "At least 8 channels should be left.": float(int(exact + 4) // 8 * 8),
            },
            f"{channels} channels times {width:g} is {exact:g}; that should become "
            f"{scaled_channels(channels, width)}, not {got:g}.",
        )
