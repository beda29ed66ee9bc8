"""The exercises of chapter 7, residual networks."""

import math

import torch
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise, shape


@exercise(
    "With F = 0 the block passes on what a ReLU gave: a deeper network has that solution, too."
)
def residual(answer: Answer) -> None:
    """`residual(x, f)`: ReLU(f(x) + x), for any function f."""
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)

    def f(t: Tensor) -> Tensor:
        return torch.sin(3 * t) - 0.5

    got = answer.tensor(x, f)
    shape(got, tuple(x.shape), "The block keeps the shape of x.")
    agree(
        got,
        torch.relu(f(x) + x),
        {
            "The last ReLU comes after the addition; yours comes before it.": torch.relu(f(x)) + x,
            "The sum is right, but the ReLU after it is missing.": f(x) + x,
            "This is a plain block: the shortcut is missing.": torch.relu(f(x)),
            "The shortcut carries x itself, with no ReLU on its way.": torch.relu(
                f(x) + torch.relu(x)
            ),
            "F(x) = H(x) − x, so H(x) = F(x) + x: mind the sign.": torch.relu(f(x) - x),
        },
        "Add x to f(x) and pass the sum through a ReLU. With f = 0 and x ≥ 0, x comes out.",
    )


@exercise("This standard deviation lets a ReLU layer pass on as much as it gets.")
def he_std(answer: Answer) -> None:
    """`he_std(weight)`: √(2/fan_in) of a convolution's weights, out×in×k×k."""
    for out, into, k in ((64, 16, 3), (8, 32, 1), (96, 3, 11)):
        fan_in, fan_out = into * k * k, out * k * k
        agree(
            answer.number(torch.zeros(out, into, k, k)),
            math.sqrt(2 / fan_in),
            {
                "This is the variance; the standard deviation is its root.": 2 / fan_in,
                "These are Xavier's weights, made for layers without a ReLU.": math.sqrt(
                    2 / (fan_in + fan_out)
                ),
                "The factor 2 for the ReLU is missing.": math.sqrt(1 / fan_in),
                "This is fan-out; going forward, fan-in counts: what one output adds up.": (
                    math.sqrt(2 / fan_out)
                ),
                "One output adds up in_channels · k · k products, not in_channels alone.": (
                    math.sqrt(2 / into)
                ),
                "One output adds up in_channels · k · k products; your k is not squared.": (
                    math.sqrt(2 / (into * k))
                ),
            },
            f"For weights of {out}×{into}×{k}×{k} an output adds up {fan_in} products; "
            "call that fan_in, and take √(2/fan_in).",
        )


@exercise("That is batch norm in training; in evaluation only the two statistics are others.")
def batch_norm(answer: Answer) -> None:
    """`batch_norm(x, gamma, beta)`: training mode, ε = 1e-5, N×C×H×W."""
    generator = torch.Generator().manual_seed(3)
    x = 2 + 3 * torch.randn(3, 4, 2, 2, generator=generator)
    x[:, 2] = 0.01 * x[:, 2]  # so faint that ε matters
    x[:, 3] = 1
    gamma, beta = torch.randn(2, 4, generator=generator)
    got = answer.tensor(x, gamma, beta)
    shape(got, tuple(x.shape), "Batch norm keeps the shape.")
    if got.isnan().any():
        raise Hint("A channel that is 1 everywhere has the variance 0; there, ε is what is left.")
    x, gamma, beta = x.double(), gamma.double(), beta.double()

    def normalised(
        over: tuple[int, ...], correction: int = 0, root: bool = True, eps: float = 1e-5
    ) -> Tensor:
        variance = x.var(over, correction=correction, keepdim=True) + eps
        centred = x - x.mean(over, keepdim=True)
        y = centred / (variance.sqrt() if root else variance)
        return gamma.view(1, -1, 1, 1) * y + beta.view(1, -1, 1, 1)

    right = normalised((0, 2, 3))
    bare = (right - beta.view(1, -1, 1, 1)) / gamma.view(1, -1, 1, 1)
    agree(
        got,
        right,
        {
            "The variance is the mean squared distance, over n: set correction=0.": normalised(
                (0, 2, 3), correction=1
            ),
            "A channel's statistics run over the batch and over all positions; yours only over the "
            "batch.": normalised((0,)),
            "Yours takes each image by itself: the batch is missing.": normalised((2, 3)),
            "All channels have the same statistics here; each should have its own.": normalised(
                (0, 1, 2, 3)
            ),
            "Only the faint channel is wrong: ε = 1e-5 is added to the variance, under the root.": (
                gamma.view(1, -1, 1, 1)
                * (x - x.mean((0, 2, 3), keepdim=True))
                / (x.var((0, 2, 3), correction=0, keepdim=True).sqrt() + 1e-5)
                + beta.view(1, -1, 1, 1)
            ),
            "That is another ε than 1e-5.": normalised((0, 2, 3), eps=1e-3),
            "This divides by the variance; the standard deviation is wanted.": normalised(
                (0, 2, 3), root=False
            ),
            "Normalised rightly, but γ and β are missing.": bare,
            "γ is missing.": bare + beta.view(1, -1, 1, 1),
            "β is missing.": bare * gamma.view(1, -1, 1, 1),
        },
        "Of each channel: subtract the mean over batch and positions, divide by "
        "√(variance + 1e-5), then scale by γ and shift by β, both reshaped to 1×C×1×1.",
    )


@exercise("The 1×1 convolutions buy a 3×3 convolution on few channels: cheap depth.")
def bottleneck_weights(answer: Answer) -> None:
    """`bottleneck_weights(wide, narrow)`: weights of 1×1, 3×3, 1×1 convolutions, no batch norm."""
    for wide, narrow in ((256, 64), (1024, 256), (48, 8)):
        right = 2 * wide * narrow + 9 * narrow**2
        agree(
            answer.number(wide, narrow),
            right,
            {
                "The last convolution, back up to the wide depth, is missing.": wide * narrow
                + 9 * narrow**2,
                "The 3×3 convolution has nine weights for each pair of channels.": 2 * wide * narrow
                + narrow**2,
                "The 3×3 convolution works on the narrow depth.": 2 * wide * narrow + 9 * wide**2,
                "Batch norm's 2 parameters a channel are in it; only the weights are wanted.": right
                + 4 * narrow
                + 2 * wide,
                "These are two 3×3 convolutions on the wide depth, the block that it replaces.": (
                    18 * wide**2
                ),
                "There are no biases: batch norm has its own shift.": right + 2 * narrow + wide,
            },
            "Add three products: a k×k convolution from a to b channels has k·k·a·b weights.",
        )


@exercise("A signal that small is lost: the reason why deep ReLU nets need the factor 2.")
def xavier_after_50(answer: Answer) -> None:
    """The factor on the signal's RMS after 50 ReLU layers with n·Var(w) = 1: 2^−25."""
    layers, gain = 50, 1.0
    got = answer.number(layers, gain)
    if got < 0:
        raise Hint("A factor on a size is positive.")
    right = 2.0**-25
    # Numbers this small need a comparison of ratios.
    if abs(got / right - 1) < 0.02:
        return
    mistakes = {
        "This is the factor on the mean square; the RMS is its root.": right**2,
        "The other way round: the signal shrinks.": 1 / right,
        "This is the factor of one layer.": math.sqrt(0.5),
        "A variance of 1/n would keep the size if no ReLU came after.": 1.0,
    }
    for hint, value in mistakes.items():
        if abs(got / value - 1) < 0.02:
            raise Hint(hint)
    raise Hint(
        "Each layer multiplies the mean square by n·Var(w)/2; take 50 layers, then the root."
    )
