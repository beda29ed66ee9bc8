"""What chapter 10 claims, measured again on digits that no training of these networks has seen."""

import pytest
import torch
from scipy.linalg import subspace_angles

from companion import recipes
from companion.by_hand.restoration import biharmonic, median, psnr, total_variation, tuned
from companion.datasets import load_images, photos
from companion.datasets.digits import as_mnist
from companion.models import (
    NOISES,
    DenseAutoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    fill_in,
    hide,
    reconstruction_error,
    rectangle_masks,
    sparse_loss,
)
from companion.training import fit

pytestmark = pytest.mark.slow  # each trains, some several times

FILTERS = {
    "median": (median, (1, 2)),
    "total variation": (total_variation, (0.1, 0.2, 0.3, 0.45, 0.7)),
}


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits to choose a filter's strength on, and others to compare on."""
    train, test = (load_images("digits", split).pixels() for split in ("train", "test"))
    return as_mnist(train[:100]), as_mnist(test[:200])


@pytest.mark.parametrize(
    ("kind", "strength", "least"),
    [
        ("gaussian", 0.3, 2.0),
        ("gaussian", 0.5, 2.5),
        ("salt and pepper", 0.4, 2.0),
        ("masking", 0.3, 4.0),
        ("masking", 0.5, 4.0),
    ],
)
def test_the_denoiser_beats_tuned_filters(digits, kind: str, strength: float, least: float) -> None:
    chosen_on, held_out = digits
    noisy = NOISES[kind](held_out, strength, torch.Generator().manual_seed(1))
    practice = NOISES[kind](chosen_on, strength, torch.Generator().manual_seed(2))
    with torch.no_grad():
        network = psnr(held_out, recipes.load("denoiser-mnist").model(noisy))
    for restore, strengths in FILTERS.values():
        best = tuned(restore, strengths, chosen_on, practice)
        assert network >= psnr(held_out, restore(noisy, best).clamp(0, 1)) + least


@pytest.mark.parametrize(
    ("strength", "least", "most"),
    [(0.05, -7, -3), (0.1, -3, -0.2), (0.2, -0.5, 0.5)],
)
def test_at_weak_salt_and_pepper_the_median_is_ahead(
    digits, strength: float, least: float, most: float
) -> None:
    chosen_on, held_out = digits
    noisy = NOISES["salt and pepper"](held_out, strength, torch.Generator().manual_seed(1))
    practice = NOISES["salt and pepper"](chosen_on, strength, torch.Generator().manual_seed(2))
    best = tuned(median, (1, 2), chosen_on, practice)
    with torch.no_grad():
        network = psnr(held_out, recipes.load("denoiser-mnist").model(noisy))
    assert least < network - psnr(held_out, median(noisy, best)) < most


def test_nothing_takes_the_denoiser_beyond_25_decibels(digits) -> None:
    """It draws every pixel anew; so against very weak noise, doing nothing is better."""
    _, held_out = digits
    noisy = NOISES["gaussian"](held_out, 0.05, torch.Generator().manual_seed(1)).clamp(0, 1)
    model = recipes.load("denoiser-mnist").model
    with torch.no_grad():
        assert psnr(held_out, model(noisy)) < psnr(held_out, model(held_out)) + 0.1 < 25.1
    assert psnr(held_out, noisy) > 26


def test_on_photographs_the_denoiser_loses(digits) -> None:
    chosen_on, _ = digits
    pieces = photos.crops("test", 100, size=28).pixels().mean(1, keepdim=True)
    noisy = NOISES["gaussian"](pieces, 0.3, torch.Generator().manual_seed(1))
    practice = NOISES["gaussian"](chosen_on, 0.3, torch.Generator().manual_seed(2))
    with torch.no_grad():
        network = psnr(pieces, recipes.load("denoiser-mnist").model(noisy))
    for restore, strengths in FILTERS.values():
        best = tuned(restore, strengths, chosen_on, practice)
        assert psnr(pieces, restore(noisy, best).clamp(0, 1)) > network + 1
    assert psnr(pieces, noisy.clamp(0, 1)) > network + 1


@pytest.mark.parametrize("sides", [(6, 8), (9, 11), (12, 14)])
def test_the_inpainter_beats_the_smooth_surface(digits, sides: tuple[int, int]) -> None:
    _, held_out = digits
    hidden = rectangle_masks(held_out, sides, torch.Generator().manual_seed(3))
    holes = hide(held_out, hidden)
    with torch.no_grad():
        network = fill_in(recipes.load("inpainter-mnist").model, holes, hidden)
    smooth = biharmonic(holes, hidden)
    assert psnr(held_out, network, hidden) > psnr(held_out, smooth, hidden)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_linear_autoencoder_converges_to_pcas_subspace(tied: bool, seed: int) -> None:
    x = load_images("digits", "train").pixels().double()
    rows = x.flatten(1)
    _, _, directions = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    torch.manual_seed(seed)
    model = LinearAutoencoder((1, 8, 8), 4, tied=tied).double()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=800, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-9, tolerance_change=1e-14,
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = reconstruction_error(x, model(x))
        loss.backward()
        return loss

    optimizer.step(closure)
    axes = model.axes.flatten(1)
    angles = subspace_angles(axes.T.numpy(), directions[:4].T.numpy())
    assert angles.max() < 1e-3
    # The same subspace, not the same axes.
    cosines = (axes / axes.norm(dim=1, keepdim=True)) @ directions[:4].T
    assert cosines.abs().amax(1).min() < 0.95


def test_halfway_in_the_code_and_halfway_in_pixels_then_coded_are_alike() -> None:
    """And measured from its own copies of real digits, PCA loses about as little on the way."""
    train, test = load_images("digits", "train"), load_images("digits", "test")
    x, rows = test.pixels(), train.pixels().flatten(1)
    torch.manual_seed(0)
    model = DenseAutoencoder((1, 8, 8), 8, (128, 64))
    fit(
        model, train, lambda m, images, _: reconstruction_error(images, m(images)),
        epochs=25, batch_size=64, lr=2e-3, schedule="cosine", progress=False,
    )  # fmt: skip
    i, j = torch.randint(len(x), (2, 500), generator=torch.Generator().manual_seed(0))

    def to_data(images: torch.Tensor) -> float:
        return torch.cdist(images.flatten(1), rows).amin(1).square().mean().item()

    with torch.no_grad():
        z = model.encode(x)
        in_code = to_data(model.decode((z[i] + z[j]) / 2))
        in_pixels = to_data(model((x[i] + x[j]) / 2))
        real = to_data(model(x))
    assert real < in_code < to_data((x[i] + x[j]) / 2)
    assert in_code == pytest.approx(in_pixels, rel=0.1)

    mean = rows.mean(0)
    V = torch.linalg.svd(rows - mean, full_matrices=False).Vh[:8]

    def pca(images: torch.Tensor) -> torch.Tensor:
        return (mean + (images.flatten(1) - mean) @ V.T @ V).clamp(0, 1)

    by_pca = to_data(pca((x[i] + x[j]) / 2)) - to_data(pca(x))
    assert by_pca == pytest.approx(in_code - real, rel=0.25)


def test_mixed_pixels_are_copied_by_a_wide_code_and_not_by_a_sparse_one() -> None:
    """Every pixel is as in digits, and no image is a digit."""
    train, test = load_images("digits", "train"), load_images("digits", "test")
    columns = test.pixels().flatten(1).T
    generator = torch.Generator().manual_seed(0)
    mixed = torch.stack([c[torch.randperm(len(c), generator=generator)] for c in columns], 1)
    mixed = mixed.view(-1, 1, 8, 8)
    everything = reconstruction_error(mixed, mixed.mean(0).expand_as(mixed)).item()
    left = {}
    for weight in (0.0, 0.1):
        torch.manual_seed(0)
        model = SparseAutoencoder((1, 8, 8), 128)
        fit(
            model, train,
            lambda m, images, _, w=weight: sparse_loss(images, m(images), l1=w).total,
            epochs=35, batch_size=64, lr=3e-3, schedule="cosine", progress=False,
        )  # fmt: skip
        with torch.no_grad():
            left[weight] = reconstruction_error(mixed, model(mixed).reconstruction).item()
    assert left[0.0] < 0.2 * everything
    assert left[0.1] > 0.7 * everything


def test_with_32_numbers_cut_off_pca_is_as_good_as_a_deep_autoencoder_trained_long() -> None:
    train, test = load_images("digits", "train"), load_images("digits", "test")
    x, rows = test.pixels(), train.pixels().flatten(1)
    mean = rows.mean(0)
    V = torch.linalg.svd(rows - mean, full_matrices=False).Vh[:32]
    copies = mean + (x.flatten(1) - mean) @ V.T @ V
    torch.manual_seed(0)
    model = DenseAutoencoder((1, 8, 8), 32, (128, 64))
    fit(
        model, train, lambda m, images, _: reconstruction_error(images, m(images)),
        epochs=200, batch_size=64, lr=2e-3, schedule="cosine", progress=False,
    )  # fmt: skip
    with torch.no_grad():
        deep = reconstruction_error(x, model(x)).item()
    uncut, cut = (
        reconstruction_error(x, c.view_as(x)).item() for c in (copies, copies.clamp(0, 1))
    )
    assert deep < uncut
    assert deep == pytest.approx(cut, rel=0.05)
