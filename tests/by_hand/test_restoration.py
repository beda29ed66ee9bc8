"""Restoration without training, against scikit-image and what each filter promises."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import filters, metrics, morphology, restoration

from companion.by_hand.restoration import biharmonic, median, psnr, total_variation, tuned


def images(seed: int = 0, count: int = 3, height: int = 12, width: int = 15) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, height, width, generator=generator, dtype=torch.float64)


def holes(seed: int, count: int = 3, height: int = 12, width: int = 15) -> torch.Tensor:
    """Rectangles, also at the border."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.zeros(count, 1, height, width, dtype=torch.bool)
    for mask in hidden[:, 0]:
        top, left = (int(torch.randint(-2, n - 1, (), generator=generator)) for n in mask.shape)
        tall, wide = (int(torch.randint(3, 8, (), generator=generator)) for _ in range(2))
        mask[max(0, top) : top + tall, max(0, left) : left + wide] = True
    return hidden


def each(x: torch.Tensor, restore) -> torch.Tensor:
    """`restore` of every channel of every image by itself."""
    parts = [[torch.from_numpy(restore(channel.numpy())) for channel in image] for image in x]
    return torch.stack([torch.stack(channels) for channels in parts])


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_the_median_is_scikit_images(radius: int) -> None:
    footprint = morphology.disk(radius)
    wanted = each(images(), lambda x: filters.median(x, footprint, mode="nearest"))
    assert torch.equal(median(images(), radius), wanted)


@pytest.mark.parametrize("weight", [0.05, 0.3, 1.0])
def test_total_variation_is_scikit_images(weight: float) -> None:
    def chambolle(x: np.ndarray) -> np.ndarray:
        # What it returns is one step behind its last.
        return restoration.denoise_tv_chambolle(x, weight, eps=0, max_num_iter=41)

    wanted = each(images(), chambolle)
    torch.testing.assert_close(total_variation(images(), weight, 40), wanted, atol=1e-12, rtol=0)


def test_total_variation_reaches_its_minimum() -> None:
    """No nearby image is better, and a large weight leaves only the mean."""
    x, weight = images(count=1, height=6, width=6), 0.2

    def cost(u: torch.Tensor) -> float:
        down, right = torch.zeros_like(u), torch.zeros_like(u)
        down[..., :-1, :], right[..., :-1] = u.diff(dim=2), u.diff(dim=3)
        return (0.5 * (x - u).square().sum() + weight * torch.hypot(down, right).sum()).item()

    best = total_variation(x, weight, 5000)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        step = 1e-3 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        assert cost(best + step) > cost(best)
    flat = total_variation(x, 100.0, 20000)
    torch.testing.assert_close(flat, x.mean((2, 3), keepdim=True).expand_as(x), atol=1e-3, rtol=0)


@given(st.integers(0, 10_000))
def test_filling_is_scikit_images(seed: int) -> None:
    x, hidden = images(seed), holes(seed)
    masks = hidden[:, 0].numpy()
    wanted = torch.cat([
        each(image[None], partial(restoration.inpaint_biharmonic, mask=mask))
        for image, mask in zip(x, masks, strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(biharmonic(x, hidden), wanted, atol=1e-9, rtol=0)


def test_filling_leaves_what_is_seen_and_continues_planes() -> None:
    hidden = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    hidden[..., 3:6, 3:6] = True
    rows, columns = torch.meshgrid(*[torch.linspace(0, 1, 9)] * 2, indexing="ij")
    plane = (0.2 + 0.3 * rows + 0.4 * columns)[None, None]
    torch.testing.assert_close(biharmonic(plane.masked_fill(hidden, 0.5), hidden), plane)
    x = images(5, 1, 9, 9)
    assert torch.equal(biharmonic(x, hidden)[..., :3, :], x[..., :3, :])


def test_psnr_is_scikit_images() -> None:
    a, b = images(1), images(2)
    each_image = [
        metrics.peak_signal_noise_ratio(x.numpy(), y.numpy(), data_range=1.0)
        for x, y in zip(a, b, strict=True)
    ]
    assert psnr(a, b) == pytest.approx(np.mean(each_image))
    hidden = holes(3)
    error = (a - b)[hidden.expand_as(a)].square().mean().item()
    assert psnr(a, b, hidden) == pytest.approx(-10 * math.log10(error))


def test_tuning_finds_the_best_strength() -> None:
    x = images()
    assert tuned(lambda y, s: y * s, [0.5, 1.0, 2.0], x, x / 2) == 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: median(x, 0), "radius must be 1 pixel or more, got 0"),
        (lambda x: total_variation(x, 0.0), "weight must be positive, got 0"),
        (lambda x: total_variation(x[0], 0.1), "N×C×H×W as floats.* 2×12×15"),
        (lambda x: median(x.byte()), "as floats, got torch.uint8"),
        (lambda x: biharmonic(x, torch.ones(3, 1, 12, 15) > 0), "without a visible pixel"),
        (lambda x: biharmonic(x, torch.ones(3, 2, 12, 15) > 0), "masks 3×1×12×15, got .* 3×2×12"),
    ],
)
def test_refusals(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(images())
