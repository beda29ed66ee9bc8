"""What chapter 4 builds by hand, against torch and torchvision."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import companion.library  # noqa: F401  (torchvision loads beside any torch)
from companion.by_hand.dropout import dropout
from companion.by_hand.local_response import local_response_norm
from companion.by_hand.momentum import descend, momentum_step
from companion.datasets import load_images
from companion.jupyter import code_of
from companion.training import fit_side_by_side
from companion.training.augmentation import (
    VIEWS,
    colour_components,
    colour_jitter,
    crop_and_flip,
    shift_colours,
    views,
)


def seeded(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class TestLocalResponseNorm:
    @pytest.mark.parametrize("n", [1, 3, 5, 9])
    @pytest.mark.parametrize("channels", [1, 4, 16])
    def test_is_torchs_with_its_own_alpha(self, n, channels):
        a = 200 * seeded(2, channels, 3, 4) - 100
        expected = F.local_response_norm(a, n, alpha=n * 1e-4, beta=0.75, k=2.0)
        torch.testing.assert_close(local_response_norm(a, n), expected, rtol=1e-12, atol=0)

    def test_a_lone_channel_is_loudest_at_200(self):
        a = torch.linspace(0, 400, 401, dtype=torch.float64).view(-1, 1, 1, 1)
        assert int(local_response_norm(a).argmax()) == 200  # a² = k / (α (2β − 1))

    def test_even_windows_have_no_middle(self):
        with pytest.raises(ValueError, match=r"n must be odd.*got 4"):
            local_response_norm(seeded(1, 5, 1, 1), n=4)


class TestDropout:
    @pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
    def test_keeps_the_expectation_and_drops_the_share(self, p):
        x = torch.full((200_000,), 3.0)
        y = dropout(x, p, generator=torch.Generator().manual_seed(1))
        error = 3 * (p / (1 - p) / len(x)) ** 0.5
        assert abs(y.mean() - 3) <= 4 * error
        assert abs((y == 0).double().mean() - p) < 0.01
        torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 3 / (1 - p)))

    def test_rests_in_evaluation(self):
        x = seeded(5)
        assert torch.equal(dropout(x, 0.9, training=False), x)

    def test_certainty_is_refused(self):
        with pytest.raises(ValueError, match="probability below 1, got 1"):
            dropout(seeded(3), 1)


class TestMomentum:
    @given(st.floats(0, 0.99), st.floats(0, 0.1), st.floats(1e-4, 0.01))
    def test_steps_are_those_of_torch(self, momentum, decay, lr):
        w, v = seeded(4), torch.zeros(4, dtype=torch.float64)
        weight = nn.Parameter(w.clone())
        sgd = torch.optim.SGD([weight], lr=lr, momentum=momentum, weight_decay=decay)
        for _ in range(20):
            w, v = momentum_step(w, v, (5 * w).sin(), lr, momentum, decay)
            weight.grad = (5 * weight.detach()).sin()
            sgd.step()
        torch.testing.assert_close(w, weight.detach(), rtol=1e-10, atol=1e-12)

    def test_a_quadratic_in_closed_form(self):
        start = torch.tensor([3.0, -2.0], dtype=torch.float64)
        path = descend(lambda w: 4 * w, start, 10, lr=0.1)
        expected = start * (1 - 0.4) ** torch.arange(11, dtype=torch.float64)[:, None]
        torch.testing.assert_close(path, expected)
        assert torch.equal(start, torch.tensor([3.0, -2.0], dtype=torch.float64))
        with pytest.raises(ValueError, match="got -1"):
            descend(lambda w: w, start, -1, lr=0.1)


class TestViews:
    @pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 28), (31, 40, 24), (9, 8, 8)])
    def test_ten_views_are_torchvisions(self, height, width, size):
        from torchvision.transforms.functional import center_crop, ten_crop

        images = seeded(3, 3, height, width)
        expected = torch.stack(ten_crop(images, [size, size]), dim=1)
        assert torch.equal(views(images, "crop_flip", size), expected)
        assert torch.equal(views(images, "none", size)[:, 0], center_crop(images, [size, size]))

    def test_counts_and_sizes_as_on_the_slide(self):
        image = seeded(1, 3, 256, 256)
        assert {kind: views(image, kind).shape[1] for kind in VIEWS} == VIEWS
        assert views(image, "crop_flip").shape == (1, 10, 3, 224, 224)
        both = views(image, "flip")[0]
        assert torch.equal(both, torch.stack([image[0], image[0].flip(-1)]))

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="'none', 'flip', 'crop_flip', got 'crop'"):
            views(seeded(1, 3, 8, 8), "crop")
        with pytest.raises(ValueError, match="size must be 1 to 8 for images of 8×9, got 9"):
            views(seeded(1, 3, 8, 9), "none", 9)


class TestRandomCrops:
    def test_crops_without_a_frame(self):
        images = seeded(300, 3, 10, 12)
        torch.manual_seed(0)
        cut = crop_and_flip(0, size=8)(images)
        assert cut.shape == (300, 3, 8, 8)
        seen = set()
        for original, result in zip(images, cut, strict=True):
            seen |= {
                (top, left, side)
                for top in range(3)
                for left in range(5)
                for side in (False, True)
                if torch.equal(
                    result.flip(-1) if side else result,
                    original[:, top : top + 8, left : left + 8],
                )
            }
        assert len(seen) == 30

    def test_the_same_draws_as_ever(self):
        """Recorded before crops had a size of their own: recipes must give the same weights."""
        torch.manual_seed(3)
        shifts = torch.randint(0, 5, (2, 6, 1))
        torch.manual_seed(3)
        images = seeded(6, 1, 8, 8)
        cut = crop_and_flip(2, flip=False)(images)
        framed = F.pad(images, [2] * 4)
        for n, (top, left) in enumerate(zip(*shifts[..., 0].tolist(), strict=True)):
            assert torch.equal(cut[n], framed[n, :, top : top + 8, left : left + 8])

    def test_too_large_a_crop(self):
        with pytest.raises(ValueError, match="A crop of 9×9 does not fit into 8×8"):
            crop_and_flip(0, size=9)(seeded(1, 3, 8, 8))
        with pytest.raises(ValueError, match="size must be 1 pixel or more"):
            crop_and_flip(0, size=0)


class TestColours:
    def test_components_against_an_svd(self):
        images = seeded(4, 3, 6, 6) * torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1)
        found = colour_components(images)
        pixels = images.transpose(0, 1).flatten(1).T
        _, s, vt = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
        torch.testing.assert_close(found.variances, s**2 / (len(pixels) - 1))
        torch.testing.assert_close((found.directions * vt.T).sum(0).abs(), torch.ones(3).double())
        assert (found.directions.sum(0) > 0).all()
        as_bytes = (255 * images).round().byte()
        torch.testing.assert_close(
            colour_components(as_bytes).variances, found.variances, rtol=0.01, atol=1e-4
        )

    def test_a_shift_is_the_papers_sum(self):
        images = 0.4 + 0.2 * seeded(2, 3, 5, 5)
        found = colour_components(images)
        alpha = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 2.0]], dtype=torch.float64)
        shifted = shift_colours(images, found, alpha) - images
        p, variance = found.directions, found.variances
        torch.testing.assert_close(shifted[0, :, 2, 2], variance[0] * p[:, 0])
        expected = -variance[1] * p[:, 1] + 2 * variance[2] * p[:, 2]
        torch.testing.assert_close(shifted[1, :, 0, 4], expected)
        assert shift_colours(images, found, 1e4 * alpha).amax() <= 1

    def test_jitter_draws_for_each_image(self):
        images = torch.full((500, 3, 2, 2), 0.5)
        found = colour_components(0.4 * torch.rand(1, 3, 50, 50))
        torch.manual_seed(0)
        moved = colour_jitter(found, sigma=0.5)(images) - images
        assert (moved == moved[:, :, :1, :1]).all()
        alpha = moved[:, :, 0, 0].double() @ found.directions / found.variances
        assert alpha.std(0) == pytest.approx([0.5] * 3, rel=0.15)
        assert torch.equal(colour_jitter(found, 0)(images), images)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="expected images N×3×H×W, got 2×1×4×4"):
            colour_components(seeded(2, 1, 4, 4))
        with pytest.raises(ValueError, match="sigma must be 0 or more"):
            colour_jitter(colour_components(seeded(1, 3, 4, 4)), -1)


def test_conv1_starts_where_tanh_is_saturated():
    """What chapter 4 says of AlexNet's first layer: sums of about 0.01·√363·60 ≈ 11."""
    pixels = load_images("photos").images.float()
    pixels = pixels - pixels.mean((0, 2, 3), keepdim=True)
    assert pixels.std().item() == pytest.approx(60, abs=3)
    weight = 0.01 * torch.randn(96, 3, 11, 11, generator=torch.Generator().manual_seed(0))
    sums = F.conv2d(pixels, weight, stride=4)
    assert sums.std().item() == pytest.approx(11, abs=2)
    assert (1 - sums.tanh().square()).mean() < 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "rates"), [(255, (1e-3, 3e-3, 0.01, 0.1)), (1, (0.03, 0.1, 0.3))]
)
def test_relu_is_ahead_with_pixels_up_to_255_and_not_with_pixels_up_to_1(scale, rates):
    """Best training error of each rate and seed, weights of variance gain / fan-in, as in ch. 4."""
    digits = load_images("digits", "train")
    x = digits.pixels().flatten(1)
    x = scale * (x - x.mean(0))

    def best(activation, gain):
        models = []
        runs = [(lr, seed) for lr in rates for seed in (0, 1)]
        for _, seed in runs:
            torch.manual_seed(seed)
            layers = [nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)]
            for layer in layers:
                nn.init.normal_(layer.weight, std=(gain / 64) ** 0.5)
                nn.init.zeros_(layer.bias)
            models.append(
                nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2])
            )
        lr, seeds = zip(*runs, strict=True)
        fit_side_by_side(
            models, x, digits.labels, F.cross_entropy, lr, epochs=6, batch_size=50, seeds=seeds,
            momentum=0.9,
        )  # fmt: skip
        guesses = torch.stack([model(x).argmax(1) for model in models])
        return (guesses != digits.labels).double().mean(1).view(-1, 2).mean(1).min().item()

    relu, tanh = best(nn.ReLU, 2), best(nn.Tanh, 1)
    if scale == 255:
        assert relu < 0.01
        assert tanh > 3 * relu
    else:
        assert max(relu, tanh) < 0.01


def test_code_of_leaves_out_the_docstring():
    shown = code_of(dropout)
    assert shown.startswith("def dropout(")
    assert '"""' not in shown
    assert shown.endswith("return x * kept / (1 - p)")
    scope: dict = {"torch": torch, "Tensor": torch.Tensor}
    exec(shown, scope)  # what is shown runs
    assert torch.equal(scope["dropout"](torch.ones(3), 0.5, False), torch.ones(3))


class TestVariants:
    def test_three_counts_and_their_differences(self):
        from companion.explain.layer_table import layer_table
        from companion.models import AlexNet

        with torch.device("meta"):
            models = {v: AlexNet(v) for v in ("slide", "paper", "torchvision")}
        tables = {v: layer_table(m, m.image_shape) for v, m in models.items()}
        counts = {v: table.parameters for v, table in tables.items()}
        # The slide; Krizhevsky et al. (2012); torchvision's alexnet.
        assert counts == {"slide": 62_378_344, "paper": 60_965_224, "torchvision": 61_100_840}
        halves = ("conv2", "conv4", "conv5")
        saved = [tables["slide"].row(n).parameters - tables["paper"].row(n).parameters
                 for n in halves]  # fmt: skip
        assert saved == [307_200, 663_552, 442_368]
