"""Dense, linear and sparse autoencoders, and the noise and holes that autoencoders train on."""

import copy
import math
from dataclasses import fields
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models import ConvAutoencoder
from companion.models.corruption import (
    NOISES,
    add_noise,
    denoising_loss,
    fill_in,
    hide,
    inpainting_loss,
    random_masks,
    rectangle_masks,
)
from companion.models.dense_autoencoder import (
    DenseAutoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    SparseOutput,
    sparse_loss,
)
from companion.models.images import reconstruction_error
from companion.recipes import weights
from companion.training import fit

DENSE = [LinearAutoencoder, DenseAutoencoder, SparseAutoencoder]
AnyDense = type[LinearAutoencoder] | type[DenseAutoencoder] | type[SparseAutoencoder]

quick_fit = partial(fit, batch_size=32, device="cpu", progress=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# ---- dense autoencoders


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7)], ids=str)
@pytest.mark.parametrize("model", DENSE)
def test_shapes_in_and_out(model: AnyDense, shape: tuple[int, int, int], tied: bool) -> None:
    x = torch.rand(2, *shape)
    net = model(shape, 5, tied=tied)
    assert net.image_shape == shape
    z = net.encode(x)
    assert z.shape == (2, 5)
    output = net(x)
    x_hat = output.reconstruction if isinstance(output, SparseOutput) else output
    assert x_hat.shape == x.shape
    assert torch.equal(x_hat, net.decode(z))
    assert torch.equal(net.decode(z), net.decoder(z))


def test_deep_images_stay_within_0_and_1_and_linear_ones_need_not() -> None:
    z = 100 * torch.randn(50, 3, generator=seeded())
    deep = DenseAutoencoder((1, 4, 4), 3, (8,)).decode(z)
    assert deep.min() >= 0
    assert deep.max() <= 1
    assert LinearAutoencoder((1, 4, 4), 3).decode(z).min() < 0


def test_the_decoder_mirrors_the_encoder_layer_by_layer() -> None:
    net = DenseAutoencoder((1, 4, 4), 2, (9, 5), activation="tanh")
    inwards = [m.weight.shape for m in net.encoder if isinstance(m, nn.Linear)]
    outwards = [m.weight.shape for m in net.decoder if isinstance(m, nn.Linear)]
    assert inwards == [(9, 16), (5, 9), (2, 5)]
    assert outwards == [(5, 2), (9, 5), (16, 9)]
    kinds = [[type(m).__name__ for m in half] for half in (net.encoder, net.decoder)]
    assert kinds == [
        ["Flatten", "Linear", "Tanh", "Linear", "Tanh", "Linear"],
        ["Linear", "Tanh", "Linear", "Tanh", "Linear", "Sigmoid", "Unflatten"],
    ]


def test_tied_matrices_count_once() -> None:
    sizes = (16, 9, 5, 2)
    matrices = sum(a * b for a, b in pairwise(sizes))
    biases = sum(sizes[1:]) + sum(sizes[:-1])
    build = partial(DenseAutoencoder, (1, 4, 4), 2, (9, 5))
    assert count(build()) == 2 * matrices + biases
    assert count(build(tied=True)) == matrices + biases


def twins() -> tuple[DenseAutoencoder, DenseAutoencoder]:
    """A tied autoencoder, and an untied one that computes the same."""
    torch.manual_seed(0)
    tied = DenseAutoencoder((1, 4, 4), 2, (9, 5), tied=True)
    free = DenseAutoencoder((1, 4, 4), 2, (9, 5))
    with torch.no_grad():
        for parameter in tied.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for (name, theirs), ours in zip(
            free.named_parameters(), tied.state_dict().values(), strict=True
        ):
            turned = name.startswith("decoder") and theirs.ndim == 2
            theirs.copy_(ours.T if turned else ours)
    return tied, free


def test_tied_matrices_gather_the_gradient_of_both_uses() -> None:
    tied, free = twins()
    x = torch.rand(6, 1, 4, 4, generator=seeded())
    torch.testing.assert_close(tied(x), free(x))
    for net in (tied, free):
        reconstruction_error(x, net(x)).backward()
    ours = [p.grad for p in tied.parameters() if p.ndim == 2]
    inwards = [m.weight.grad for m in free.encoder if isinstance(m, nn.Linear)]
    outwards = [m.weight.grad for m in free.decoder if isinstance(m, nn.Linear)]
    for gathered, inward, outward in zip(ours, inwards, reversed(outwards), strict=True):
        assert gathered is not None
        assert inward is not None
        assert outward is not None
        assert inward.any()
        assert outward.any()
        torch.testing.assert_close(gathered, inward + outward.T)


def test_tied_matrices_stay_tied_in_copies_conversions_and_files(tmp_path: Path) -> None:
    net, _ = twins()
    other = copy.deepcopy(net).double()
    blank = {f.name: f.name for f in fields(weights.Card) if f.type is str}
    card = weights.Card(**blank, seed=0, settings={}, seconds=0.0, figures={})  # type: ignore[arg-type]
    weights.save(net, tmp_path / "net.safetensors", card)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    weights.load(other, tmp_path / "net.safetensors")
    x = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(other(x.double()).float(), net(x))
    quick_fit(other.float(), (255 * x).byte(), denoising_loss(0.0), epochs=2)
    assert count(other) == count(net)
    for inward, outward in ((1, 4), (3, 2), (5, 0)):
        ours = other.get_parameter(f"encoder.{inward}.weight")
        assert ours is other.get_parameter(f"decoder.{outward}.weight")
        assert not torch.equal(ours, net.get_parameter(f"encoder.{inward}.weight"))


@pytest.mark.parametrize("activation", ["relu", "elu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_learns(activation: str, tied: bool) -> None:
    torch.manual_seed(0)
    net = DenseAutoencoder((1, 6, 6), 8, (24, 16), tied=tied, activation=activation)
    x = torch.rand(64, 1, 6, 6)
    reconstruction_error(x, net(x)).backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_the_weights_start_with_glorots_variance() -> None:
    torch.manual_seed(0)
    for activation, gain in (("relu", 2.0), ("elu", 2.0), ("tanh", 1.0)):
        net = DenseAutoencoder((1, 20, 20), 100, (), activation=activation)
        for name in ("encoder.1.weight", "decoder.0.weight"):
            variance = net.get_parameter(name).var().item()
            assert variance == pytest.approx(gain * 2 / 500, rel=0.05)


# ---- linear autoencoders and PCA


def correlated(rows: int = 60) -> Tensor:
    """4×4 images whose variance falls from direction to direction, with a mean that is not 0."""
    mixing = torch.linalg.qr(torch.randn(16, 16, generator=seeded(1), dtype=torch.float64)).Q
    scales = torch.linspace(1.0, 0.1, 16, dtype=torch.float64)
    x = torch.randn(rows, 16, generator=seeded(2), dtype=torch.float64) * scales @ mixing
    return (0.5 + 0.2 * x).view(rows, 1, 4, 4)


def converge(model: LinearAutoencoder, x: Tensor) -> None:
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=3000,
        tolerance_grad=1e-10,
        tolerance_change=1e-15,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = reconstruction_error(x, model(x))
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_a_linear_autoencoder_finds_the_subspace_of_pca(tied: bool) -> None:
    x = correlated()
    torch.manual_seed(0)
    model = LinearAutoencoder((1, 4, 4), 3, tied=tied).double()
    converge(model, x)

    flat = x.flatten(1).numpy()
    pca = PCA(3).fit(flat)
    ideal = pca.inverse_transform(pca.transform(flat))
    least = np.square(flat - ideal).sum(1).mean()
    assert reconstruction_error(x, model(x)).item() == pytest.approx(least, rel=1e-7)
    np.testing.assert_allclose(model(x).detach().flatten(1).numpy(), ideal, atol=1e-4)

    axes = model.axes.flatten(1)
    ours, theirs = torch.linalg.qr(axes.T).Q, torch.from_numpy(pca.components_.T)
    cosines = torch.linalg.svdvals(ours.T @ theirs)
    # sin² = 1 − cos²: the angles themselves, in radians.
    assert (1 - cosines.square()).clamp(min=0).sqrt().max() < 1e-4

    # The same subspace, but not the same axes, and only the tied ones at right angles.
    unit = F.normalize(axes, dim=1)
    assert (unit @ theirs).abs().max() < 0.999
    right_angles = torch.allclose(unit @ unit.T, torch.eye(3).double(), atol=1e-4)
    assert right_angles is tied
    if tied:
        torch.testing.assert_close(axes.norm(dim=1), torch.ones(3).double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("tied", [False, True])
def test_axes_are_what_a_step_of_the_code_adds(tied: bool) -> None:
    model = LinearAutoencoder((3, 4, 5), 2, tied=tied)
    z = torch.randn(1, 2)
    step = model.decode(z + torch.tensor([[0.0, 1.0]])) - model.decode(z)
    torch.testing.assert_close(step[0], model.axes[1], atol=1e-5, rtol=0)


# ---- sparse autoencoders


@given(l1=st.floats(0, 10), seed=st.integers(0, 50))
def test_sparse_loss_is_squared_error_plus_l1_norm(l1: float, seed: int) -> None:
    x, x_hat = torch.rand(2, 5, 3, 4, 4, generator=seeded(seed), dtype=torch.float64)
    z = torch.rand(5, 7, generator=seeded(seed), dtype=torch.float64)
    loss = sparse_loss(x, SparseOutput(x_hat, z), l1=l1)
    error = np.square(x.numpy() - x_hat.numpy()).sum() / 5
    norm = z.numpy().sum() / 5
    assert loss.reconstruction.item() == pytest.approx(error)
    assert loss.norm.item() == pytest.approx(norm)
    assert loss.total.item() == pytest.approx(error + l1 * norm)


def test_losses_of_outputs_in_few_bits_are_summed_in_full() -> None:
    x = torch.rand(8, 1, 28, 28)
    output = SparseOutput(torch.rand_like(x).bfloat16(), torch.rand(8, 500).bfloat16())
    exact = sparse_loss(x.double(), SparseOutput(*(part.double() for part in output)), l1=0.1)
    for few, many in zip(sparse_loss(x, output, l1=0.1), exact, strict=True):
        assert few.dtype == torch.float32
        torch.testing.assert_close(few.double(), many, rtol=1e-5, atol=0)


def bars(n: int, seed: int) -> Tensor:
    """8×8 images, uint8, of one to three horizontal or vertical bars."""
    generator = seeded(seed)
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    for image in images:
        for line in torch.randint(0, 16, (3,), generator=generator).tolist():
            if line < 8:
                image[:, line] = 255
            else:
                image[:, :, line - 8] = 255
    return images


def test_the_l1_norm_makes_codes_sparse() -> None:
    def loss(
        model: nn.Module, images: Tensor, labels: Tensor | None, l1: float
    ) -> dict[str, Tensor]:
        parts = sparse_loss(images, model(images), l1=l1)
        return {"loss": parts.total, "reconstruction": parts.reconstruction}

    images, shares, errors = bars(256, 0), [], []
    for l1 in (0.0, 0.3):
        torch.manual_seed(0)
        model = SparseAutoencoder((1, 8, 8), 100)
        quick_fit(model, images, partial(loss, l1=l1), epochs=40, lr=3e-3)
        output = model(bars(100, 1) / 255)
        assert output.z.min() >= 0
        shares.append((output.z > 0).float().mean().item())
        errors.append(reconstruction_error(bars(100, 1) / 255, output.reconstruction).item())
    assert shares[1] < 0.4 * shares[0]
    assert errors[1] < 4  # of about 20 bright pixels


def test_only_tied_weights_make_the_charge_real() -> None:
    assert SparseAutoencoder((1, 4, 4)).tied
    x = torch.rand(16, 1, 4, 4, generator=seeded())
    for tied in (False, True):
        torch.manual_seed(0)
        model = SparseAutoencoder((1, 4, 4), 30, tied=tied)
        before = sparse_loss(x, model(x), l1=1.0)
        with torch.no_grad():
            model.get_parameter("encoder.1.weight").mul_(0.5)
            if not tied:
                model.get_parameter("decoder.0.weight").mul_(2)
        after = sparse_loss(x, model(x), l1=1.0)
        torch.testing.assert_close(after.norm, before.norm / 2)
        assert torch.isclose(after.reconstruction, before.reconstruction).item() is not tied


# ---- noise and holes


def test_noise_has_the_level_that_was_asked_for() -> None:
    x = torch.rand(64, 3, 32, 32, generator=seeded())
    noise = add_noise(x, 0.2, seeded(1)) - x
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert noise.std().item() == pytest.approx(0.2, rel=0.01)
    excess = (noise / 0.2).pow(4).mean().item()
    assert excess == pytest.approx(3, rel=0.05)  # Gaussian: the fourth moment is 3σ⁴
    assert torch.equal(add_noise(x, 0.0), x)


def test_a_pair_of_levels_gives_each_image_its_own() -> None:
    x = torch.full((2000, 1, 16, 16), 0.5)
    levels = (add_noise(x, (0.1, 0.5), seeded()) - x).flatten(1).std(1)
    assert 0.08 < levels.min() < 0.13
    assert 0.47 < levels.max() < 0.57
    assert levels.mean().item() == pytest.approx(0.3, abs=0.01)
    assert levels.std().item() == pytest.approx(0.4 / math.sqrt(12), abs=0.01)


@pytest.mark.parametrize(("kind", "values"), [("salt and pepper", (0, 1)), ("masking", (0,))])
def test_pixels_are_hit_as_often_as_was_asked_for(kind: str, values: tuple[int, ...]) -> None:
    x = torch.full((200, 3, 20, 20), 0.5)
    hit = NOISES[kind](x, 0.3, seeded())
    assert set(hit.unique().tolist()) == {0.5, *values}
    for value in values:
        share = (hit == value).float().mean().item()
        assert share == pytest.approx(0.3 / len(values), abs=0.01)
    assert torch.equal(hit[:, 0], hit[:, 2])  # all channels of a pixel
    assert torch.equal(NOISES[kind](x, 0.0), x)
    shares = (NOISES[kind](x, (0.1, 0.7), seeded()) != 0.5).flatten(1).float().mean(1)
    assert shares.min() < 0.2
    assert shares.max() > 0.6


def test_each_image_gets_one_of_several_kinds_of_noise() -> None:
    torch.manual_seed(0)
    x = torch.full((300, 1, 20, 20), 0.5)
    seen: list[Tensor] = []

    class Look(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images

    denoising_loss(0.2, salt_and_pepper=0.5, masking=0.5)(Look(), x, None)
    kinds = []
    for image in seen[0]:
        values = set(image.unique().tolist())
        kinds.append(3 if len(values) > 3 else len(values))
    counts = torch.bincount(torch.tensor(kinds), minlength=4)[1:]
    assert counts[0] == 0
    # Two values: masking; three: salt and pepper, or more: Gaussian.
    assert counts[1].item() == pytest.approx(100, abs=30)
    assert sum(len(image.unique()) > 3 for image in seen[0]) == pytest.approx(100, abs=30)


def test_draws_are_those_of_the_generator() -> None:
    x = torch.rand(4, 1, 9, 9)
    for draw in (
        partial(add_noise, x, (0.1, 0.3)),
        partial(NOISES["salt and pepper"], x, 0.5),
        partial(NOISES["masking"], x, (0.2, 0.6)),
        partial(random_masks, x, 0.5),
        partial(rectangle_masks, x, (2, 5)),
    ):
        state = torch.get_rng_state()
        assert torch.equal(draw(seeded(3)), draw(seeded(3)))
        assert not torch.equal(draw(seeded(3)), draw(seeded(4)))
        assert torch.equal(torch.get_rng_state(), state)
        draw()
        assert not torch.equal(torch.get_rng_state(), state)


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    data=st.data(),
    seed=st.integers(0, 1000),
)
def test_holes_are_whole_rectangles_of_the_sides_asked_for(
    height: int, width: int, data: st.DataObject, seed: int
) -> None:
    shortest = data.draw(st.integers(1, min(height, width)))
    longest = data.draw(st.integers(shortest, min(height, width)))
    masks = rectangle_masks(torch.zeros(7, 3, height, width), (shortest, longest), seeded(seed))
    assert masks.shape == (7, 1, height, width)
    assert masks.dtype == torch.bool
    for mask in masks[:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        for places in (rows, columns):
            assert shortest <= len(places) <= longest
            assert places[-1] - places[0] + 1 == len(places)
        assert mask.sum() == len(rows) * len(columns)


def test_rectangles_have_every_side_and_place_equally_often() -> None:
    masks = rectangle_masks(torch.zeros(6000, 1, 6, 6), (2, 4), seeded())[:, 0]
    heights, widths = masks.any(2).sum(1), masks.any(1).sum(1)
    for side in (2, 3, 4):
        for sides in (heights, widths):
            assert (sides == side).float().mean().item() == pytest.approx(1 / 3, abs=0.03)
        starts = masks[heights == side].any(2).float().argmax(1)
        shares = torch.bincount(starts, minlength=7 - side) / len(starts)
        assert len(shares) == 7 - side
        torch.testing.assert_close(
            shares, torch.full_like(shares, 1 / (7 - side)), atol=0.04, rtol=0
        )
    assert torch.corrcoef(torch.stack([heights, widths]).double())[0, 1].abs() < 0.05


def test_random_holes_hide_the_share_asked_for() -> None:
    masks = random_masks(torch.zeros(100, 3, 20, 20), 0.3, seeded())
    assert masks.shape == (100, 1, 20, 20)
    assert masks.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert random_masks(torch.zeros(2, 1, 5, 5), 1.0).all()


def test_hide_and_fill_in_touch_the_hidden_pixels_only() -> None:
    x = torch.rand(5, 3, 8, 8, generator=seeded())
    hidden = random_masks(x, 0.4, seeded(1))
    damaged = hide(x, hidden, 0.25)
    everywhere = hidden.expand_as(x)
    assert (damaged[everywhere] == 0.25).all()
    assert torch.equal(damaged[~everywhere], x[~everywhere])

    restored = fill_in(lambda images: images + 1, damaged, hidden)  # type: ignore[arg-type]
    assert (restored[everywhere] == 1.25).all()
    assert torch.equal(restored[~everywhere], x[~everywhere])


def test_the_denoising_loss_of_doing_nothing_is_the_noise() -> None:
    torch.manual_seed(0)
    x = torch.rand(2000, 1, 8, 8)
    assert denoising_loss(0.3)(nn.Identity(), x, None).item() == pytest.approx(64 * 0.09, rel=0.02)
    # The mean of σ² over [0.1, 0.3].
    assert denoising_loss([0.1, 0.3])(nn.Identity(), x, None).item() == pytest.approx(
        64 * (0.3**3 - 0.1**3) / 0.6, rel=0.03
    )
    assert denoising_loss(0.0)(nn.Identity(), x, None) == 0


class Plus(nn.Module):
    """Adds 1 to every pixel, or to those that are not `spare`."""

    def __init__(self, spare: float | None = None) -> None:
        super().__init__()
        self.spare = spare

    def forward(self, x: Tensor) -> Tensor:
        return x + (x != self.spare)


def test_the_inpainting_loss_counts_what_it_should() -> None:
    torch.manual_seed(0)
    x = torch.rand(500, 3, 8, 8) / 2
    for holes, pixels in (({"sides": (4, 4)}, 16.0), ({"share": 1.0}, 64.0)):
        for hidden_only in (False, True):
            loss = inpainting_loss(**holes, fill=0.75, hidden_only=hidden_only)
            # x is uniform on [0, 1/2], so E(x − 3/4)² = 1/4 + 1/48.
            least = 3 * pixels * (1 / 4 + 1 / 48)
            assert loss(nn.Identity(), x, None).item() == pytest.approx(least, rel=0.02)
            # An error of 1 at each visible pixel, which `hidden_only` does not see.
            outside = 0 if hidden_only else 3 * (64 - pixels)
            assert loss(Plus(0.75), x, None).item() == pytest.approx(least + outside, rel=0.02)


@pytest.mark.parametrize(
    "loss",
    [
        denoising_loss((0.2, 0.6)),
        inpainting_loss(sides=(3, 4)),
        inpainting_loss(share=0.3, hidden_only=True),
    ],
    ids=["denoising", "rectangles", "random"],
)
def test_fit_learns_to_repair_images(loss: object) -> None:
    assert callable(loss)
    trained = []
    for validation in (None, bars(64, 1)):
        torch.manual_seed(0)
        model = DenseAutoencoder((1, 8, 8), 32, (64,))
        history = quick_fit(model, bars(512, 0), loss, epochs=12, lr=3e-3, validation=validation)
        trained.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*trained)
    torch.manual_seed(0)
    untouched = loss(nn.Identity(), bars(64, 1) / 255, None).item()
    assert history.last["validation_loss"] < 0.6 * untouched


def test_the_convolutional_autoencoder_takes_both_losses() -> None:
    torch.manual_seed(0)
    model = ConvAutoencoder((1, 8, 8), 16, widths=(16,), hidden=32)
    for loss in (denoising_loss(0.3), inpainting_loss(sides=(2, 4))):
        epochs = quick_fit(model, bars(128, 0), loss, epochs=3, lr=5e-3).epochs["loss"]
        assert epochs[-1] < epochs[0]


# ---- refusals


@pytest.mark.parametrize("model", DENSE)
def test_wrong_images_and_codes_are_refused(model: AnyDense) -> None:
    net = model((1, 8, 8), 3)
    with pytest.raises(ValueError, match="N×1×8×8, got 2×3×8×8"):
        net.encode(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="N×1×8×8, got 1×8×8"):
        net(torch.rand(1, 8, 8))
    with pytest.raises(ValueError, match=r"uint8.*/ 255"):
        net.encode(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="N×3, got 2×4"):
        net.decode(torch.zeros(2, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"widths": (8, 0)}, r"widths must be positive integers, got \(8, 0\)"),
        ({"image_shape": (8, 8)}, r"image_shape .* got \(8, 8\)"),
        ({"image_shape": (0, 8, 8)}, "image_shape"),
        ({"activation": "swish"}, "activation must be one of .*'relu'.* got 'swish'"),
        ({"output_activation": "softmax"}, "output_activation must be one of"),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", [DenseAutoencoder, SparseAutoencoder])
def test_impossible_settings_are_refused(
    model: type[DenseAutoencoder], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**({"image_shape": (1, 8, 8)} | settings))  # type: ignore[arg-type]


X = torch.zeros(2, 1, 8, 8)
HIDDEN = torch.zeros(2, 1, 8, 8, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: add_noise(X, -0.1), "sigma must be 0 or more.* got -0.1"),
        (lambda: add_noise(X, (0.3, 0.1)), "sigma"),
        (lambda: add_noise(X, math.nan), "sigma"),
        (lambda: denoising_loss((0.1, 0.2, 0.3)), "sigma"),
        (lambda: add_noise(X.byte(), 0.1), r"uint8.*/ 255"),
        (lambda: add_noise(X[0], 0.1), "N×C×H×W, got 1×8×8"),
        (lambda: NOISES["masking"](X, 1.1), "share must be a number from 0 to 1, or a pair"),
        (lambda: denoising_loss(masking=(0.5, 0.2)), "share must be a number from 0 to 1"),
        (lambda: denoising_loss(), "at least one kind of noise, got none"),
        (lambda: random_masks(X, 0.0), "share must be above 0 and at most 1, got 0"),
        (lambda: inpainting_loss(share=1.5), "share"),
        (lambda: rectangle_masks(X, (2, 9)), "up to 9 pixels does not fit into images of 8×8"),
        (lambda: rectangle_masks(X, (3, 2)), r"sides must be two .* got \(3, 2\)"),
        (lambda: inpainting_loss(sides=(0, 2)), "sides"),
        (lambda: inpainting_loss(), "either sides or share"),
        (lambda: inpainting_loss(sides=(1, 2), share=0.5), "either sides or share"),
        (lambda: hide(X, HIDDEN.float()), "boolean masks of shape 2×1×8×8.*float32"),
        (lambda: hide(X, HIDDEN[:, 0]), "boolean masks.* of shape 2×8×8"),
        (lambda: fill_in(nn.Identity(), X, HIDDEN[:1]), "boolean masks"),
        (lambda: reconstruction_error(X, X[:1]), "one shape, got 2×1×8×8 and 1×1×8×8"),
        (lambda: sparse_loss(X, SparseOutput(X, X.flatten(1)), l1=-1.0), "l1 must be 0 or more"),
    ],
)
def test_impossible_corruptions_are_refused(call: partial[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_network_that_returns_no_images_is_named() -> None:
    with pytest.raises(TypeError, match="returned SparseOutput"):
        denoising_loss(0.1)(SparseAutoencoder((1, 8, 8), 4), X, None)
