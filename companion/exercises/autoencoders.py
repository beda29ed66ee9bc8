"""The exercises of chapter 10, autoencoders."""

import numpy as np
import torch
from scipy.linalg import subspace_angles
from torch import Tensor

from companion.exercises import Answer, Hint, agree, exercise


def _encode(x: Tensor) -> Tensor:
    return 0.5 * x.flatten(1)[:, :3]


def _decode(shape: tuple[int, ...]) -> "torch.nn.Module":
    """From three numbers to a batch of this shape, by a fixed matrix."""
    size = int(np.prod(shape[1:]))
    matrix = torch.linspace(-1, 1, 3 * size, dtype=torch.float64).view(3, size).sin()
    layer = torch.nn.Linear(3, size, bias=False).double().requires_grad_(False)
    layer.weight.copy_(matrix.T)
    return torch.nn.Sequential(layer, torch.nn.Unflatten(1, shape[1:]))


@exercise("Input and target are the same: that is all that makes it an autoencoder.")
def loss(answer: Answer) -> None:
    """`loss(x, encode, decode)`: ‖x − d(e(x))‖², summed over an image, averaged over images."""
    generator = torch.Generator().manual_seed(10)
    for shape in ((5, 2, 4, 4), (6, 7)):
        x = torch.rand(shape, generator=generator, dtype=torch.float64)
        decode = _decode(shape)
        squares = (x - decode(_encode(x))).square().flatten(1)
        got = answer.number(x, _encode, decode)
        for hint, mistake in {
            "Pixels are to be summed; yours seems to average over them, too.": squares.mean(),
            "Images are to be averaged; yours seems to sum over them, too.": squares.sum(),
            "This is the root of the sum: the norm is to be squared.": (
                squares.sum(1).sqrt().mean()
            ),
            "This is the absolute error; squares are wanted.": (
                (x - decode(_encode(x))).abs().flatten(1).sum(1).mean()
            ),
            "The sum goes over one axis only; an image has several.": (
                squares.view(shape).sum(1).mean() if len(shape) == 4 else torch.tensor(torch.nan)
            ),
        }.items():
            if np.isclose(got, mistake.item(), rtol=1e-6):
                raise Hint(hint)
        if not np.isclose(got, squares.sum(1).mean().item(), rtol=1e-6):
            raise Hint(
                f"For x of shape {'×'.join(map(str, shape))} there should be "
                f"{squares.sum(1).mean():.4f}, got {got:.4f}."
            )


@exercise("At 0 the subspaces are equal, whatever the axes.")
def largest_angle(answer: Answer) -> None:
    """`largest_angle(A, B)`: the largest principal angle of two column spaces, in radians."""
    generator = torch.Generator().manual_seed(11)
    for rows, columns in ((6, 2), (8, 3), (5, 1)):
        A = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        B = A + 0.7 * torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        angles = subspace_angles(A.numpy(), B.numpy())
        right, least = angles.max(), angles.min()
        Q_A, Q_B = torch.linalg.qr(A).Q, torch.linalg.qr(B).Q
        cosines = torch.linalg.svdvals(Q_A.T @ Q_B)
        got = answer.number(A, B)
        raw = torch.linalg.svdvals(A.T @ B).clamp(max=1)
        for hint, mistake in {
            "This is the smallest angle: the largest one has the smallest cosine.": least,
            "This is in degrees; radians are wanted.": np.degrees(right),
            "This is the cosine; the angle is its arc cosine.": cosines.min().item(),
            "The bases must be orthonormal first: take Q of torch.linalg.qr.": (
                torch.acos(raw.min()).item()
            ),
            "This is the angle between the first columns, not between the subspaces.": (
                torch.acos(
                    torch.nn.functional.cosine_similarity(A[:, 0], B[:, 0], dim=0).abs()
                ).item()
            ),
        }.items():
            if np.isclose(got, mistake, rtol=1e-6) and not np.isclose(right, mistake, rtol=1e-6):
                raise Hint(hint)
        if not np.isclose(got, right, rtol=1e-6):
            raise Hint(
                f"For two matrices of {rows}×{columns} there should be {right:.4f}, got {got:.4f}."
            )
    A = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    mixture = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    got = answer.number(A, A @ mixture)
    if not 0 <= got < 1e-6:
        raise Hint(
            "Right for subspaces that differ. For equal ones, with other axes, the angle is 0; "
            f"got {got:.4g} (rounding may bring a cosine above 1)."
        )


@exercise("Each of the three mistakes lets the loss fall. Only what comes out gives them away.")
def denoising(answer: Answer) -> None:
    """`denoising(model, x, noise, sigma)`: ‖x − model(x + σε)‖², pixels summed, images averaged."""
    generator = torch.Generator().manual_seed(12)
    x, noise = (torch.randn(4, 1, 3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = 0.3

    def model(images: Tensor) -> Tensor:
        return (0.8 * images).tanh() + 0.1

    def squares(target: Tensor, given: Tensor) -> Tensor:
        return (target - model(given)).square().flatten(1).sum(1).mean()

    noisy, weaker = x + sigma * noise, x + sigma**2 * noise
    got = answer.tensor(model, x, noise, sigma)
    agree(
        got,
        squares(x, noisy),
        {
            "All three mistakes are still there: the strength of the noise, what the model sees, "
            "and the target.": squares(weaker, x),
            "The strength is right. The model is shown the clean image, and the target is the "
            "noisy one: exchange them.": squares(noisy, x),
            "The noise has the wrong strength: σ is its standard deviation.": squares(x, weaker),
            "The target must be the clean image: else the model learns to keep the noise.": (
                squares(noisy, noisy)
            ),
            "The model must be shown the noisy image: else it has nothing to remove.": (
                squares(x, x)
            ),
            "The noise has the wrong strength, and the target is noisy.": squares(weaker, weaker),
            "Pixels are to be summed, images averaged.": (x - model(noisy)).square().mean(),
        },
        "Write down what the model sees, and what it is compared with.",
    )
