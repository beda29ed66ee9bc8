"""Restoring images without any training: median, total variation, biharmonic filling (chapter 10).

What a denoising or an inpainting network has to beat. Images are floats N×C×H×W; every image and
channel is restored by itself. The page computes the same in js/maths/restoration.js.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad


def psnr(x: Tensor, x_hat: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB: 10·log₁₀(1/MSE), for x in [0, 1], averaged over images.

    With `where`, boolean N×1×H×W, it is that of all pixels that are marked, together: of a single
    image they may be restored without any error, which would count infinitely much.
    """
    error = (x - x_hat).square()
    if where is not None:
        return -10 * math.log10(error[where.expand_as(error)].mean().item())
    return (-10 * torch.log10(error.flatten(1).mean(1))).mean().item()


def median(x: Tensor, radius: int = 1) -> Tensor:
    """Each pixel becomes the median of those within `radius` of it: 5 pixels for 1, 13 for 2.

    Beyond the border the image goes on with its last pixel. Raises ValueError for a radius below 1.
    """
    _check(x)
    if radius < 1:
        raise ValueError(f"radius must be 1 pixel or more, got {radius}")
    framed = pad(x, [radius] * 4, mode="replicate")
    height, width = x.shape[2:]
    steps = range(-radius, radius + 1)
    near = [
        framed[..., radius + i : radius + i + height, radius + j : radius + j + width]
        for i in steps
        for j in steps
        if i * i + j * j <= radius * radius
    ]
    return torch.stack(near).median(0).values


def total_variation(x: Tensor, weight: float, steps: int = 100) -> Tensor:
    """The u that minimises ½‖x − u‖² + weight·Σ|∇u|: close to x, and flat but for few edges.

    |∇u| is the length of a pixel's differences to the right and downwards. Found by `steps` steps
    of Chambolle's iteration (2004) on the dual problem. Raises
    ValueError for a weight that is not positive.
    """
    _check(x)
    if not weight > 0:
        raise ValueError(f"weight must be positive, got {weight}")
    p = torch.zeros(2, *x.shape, dtype=x.dtype)
    for _ in range(steps):
        slope = _gradient(x + _divergence(p))
        p = (p - slope / 4) / (1 + slope.square().sum(0).sqrt() / (4 * weight))
    return x + _divergence(p)


def biharmonic(x: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels (boolean N×1×H×W) become the smoothest continuation of the visible ones.

    That which minimises ‖L·u‖², L being the differences to the four neighbours, added up; at the
    image's border a missing neighbour counts as equal. A linear system for the hidden pixels. The
    values are kept between the least and the greatest visible one. Source: Damelin & Hoang (2018).
    Raises ValueError if an image has no visible pixel.
    """
    _check(x)
    height, width = x.shape[2:]
    if tuple(hidden.shape) != (len(x), 1, height, width) or hidden.dtype != torch.bool:
        raise ValueError(
            f"expected boolean masks {len(x)}×1×{height}×{width}, got {hidden.dtype} "
            f"{'×'.join(map(str, hidden.shape))}"
        )
    rough = _roughness(height, width)
    restored = x.double().flatten(2).numpy().copy()
    for image, mask in zip(restored, hidden.flatten(1).numpy(), strict=True):
        if mask.all():
            raise ValueError("an image without a visible pixel cannot be continued")
        known = image[:, ~mask]
        right = -known @ rough[np.ix_(~mask, mask)]
        filled = np.linalg.solve(rough[np.ix_(mask, mask)], right.T).T
        image[:, mask] = filled.clip(known.min(1, keepdims=True), known.max(1, keepdims=True))
    return torch.from_numpy(restored).to(x.dtype).view(x.shape)


def tuned(
    restore: Callable[[Tensor, float], Tensor],
    strengths: Iterable[float],
    x: Tensor,
    damaged: Tensor,
) -> float:
    """The strength with which `restore(damaged, strength)` comes nearest to x, by PSNR."""
    return max(strengths, key=lambda s: psnr(x, restore(damaged, s).clamp(0, 1)))


def _gradient(u: Tensor) -> Tensor:
    """Differences to the pixel below and to that on the right, 2×…; 0 at the border."""
    down, right = torch.zeros_like(u), torch.zeros_like(u)
    down[..., :-1, :] = u[..., 1:, :] - u[..., :-1, :]
    right[..., :-1] = u[..., 1:] - u[..., :-1]
    return torch.stack([down, right])


def _divergence(p: Tensor) -> Tensor:
    """Minus the transpose of `_gradient`, with the sign of Chambolle's iteration."""
    down, right = p
    result = -down - right
    result[..., 1:, :] += down[..., :-1, :]
    result[..., 1:] += right[..., :-1]
    return result


def _roughness(height: int, width: int) -> np.ndarray:
    """LᵀL of an image of this size, its pixels row by row."""

    def differences(n: int) -> np.ndarray:
        step = np.diff(np.eye(n), axis=0)
        return step.T @ step

    laplacian = np.kron(differences(height), np.eye(width))
    laplacian += np.kron(np.eye(height), differences(width))
    return np.asarray(laplacian @ laplacian)


def _check(x: Tensor) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"expected images N×C×H×W as floats, got {x.dtype} {'×'.join(map(str, x.shape))}"
        )
