"""The DCGAN: its two networks, its two losses, and the game in `fit`."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.gan import DCGAN, discriminator_loss, gan_loss, generator_loss
from companion.training import fit

SHAPES = [(1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32), (3, 64, 64), (3, 16, 24)]


def small(seed: int = 0) -> DCGAN:
    torch.manual_seed(seed)
    return DCGAN((1, 8, 8), latent_dim=4, width=8)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_in_and_out(shape: tuple[int, int, int]) -> None:
    gan = DCGAN(shape, latent_dim=10, width=8)
    images = gan.sample(4)
    assert images.shape == (4, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert gan.discriminator(images).shape == (4,)
    assert gan.image_shape == shape
    z = torch.randn(2, 10)
    gan.eval()
    assert torch.equal(gan.decoder(z), gan.generator(z))


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 28, 28), [(128, 7, 7), (64, 14, 14), (1, 28, 28)]),
        ((3, 32, 32), [(256, 4, 4), (128, 8, 8), (64, 16, 16), (3, 32, 32)]),
    ],
    ids=str,
)
def test_the_networks_are_those_of_the_paper(
    shape: tuple[int, int, int], sizes: list[tuple[int, int, int]]
) -> None:
    gan = DCGAN(shape)
    seen: list[tuple[int, ...]] = []
    kinds: list[str] = []

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        kinds.append(type(module).__name__)
        if isinstance(module, nn.Unflatten | nn.Conv2d | nn.ConvTranspose2d):
            seen.append(tuple(output.shape[1:]))

    for module in gan.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    images = gan.sample(2)
    block = ["BatchNorm2d", "ReLU", "ConvTranspose2d"]
    assert seen == sizes
    assert kinds == ["Linear", "Unflatten", *(len(sizes) - 1) * block, "Tanh"]

    seen.clear()
    kinds.clear()
    gan.discriminator(images)
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert seen == sizes[-2::-1]
    assert kinds == ["Conv2d", "LeakyReLU", *(len(sizes) - 2) * block, "Flatten", "Linear"]


def test_parameters_of_the_network_for_mnist() -> None:
    gan = DCGAN((1, 28, 28), latent_dim=100, width=64)
    dense, norms = 100 * 128 * 49, 2 * 128 + 2 * 64
    assert count(gan.generator) == dense + norms + 128 * 64 * 16 + 64 * 16 + 1
    assert count(gan.discriminator) == (64 * 16 + 64) + 64 * 128 * 16 + 2 * 128 + (128 * 49 + 1)


def test_weights_start_from_a_normal_of_width_0_02() -> None:
    torch.manual_seed(0)
    layers = [
        m
        for m in DCGAN((3, 32, 32)).modules()
        if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert len(layers) == 8
    for layer in layers:
        assert layer.bias is None or not layer.bias.any()
        error = 4 / math.sqrt(layer.weight.numel())
        assert layer.weight.std().item() == pytest.approx(0.02, rel=error)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.02 * error)


def test_real_images_count_as_bright_as_the_generator_paints_them() -> None:
    # Both networks compute in [−1, 1] and speak in [0, 1]: mid-grey is 0 inside.
    gan = small().eval()
    linear = gan.discriminator.layers[0]
    seen: list[Tensor] = []
    linear.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    painted: list[Tensor] = []
    gan.generator.layers[-1].register_forward_hook(lambda m, i, output: painted.append(output))
    gan.discriminator(gan.sample(3))
    torch.testing.assert_close(seen[0], painted[0])


# ---- the losses


def test_the_losses_are_cross_entropies() -> None:
    real, fake = 5 * torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    ones, zeros = torch.ones(50), torch.zeros(50)
    bce = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(discriminator_loss(real, fake), bce(real, ones) + bce(fake, zeros))
    torch.testing.assert_close(generator_loss(fake), bce(fake, ones))
    undecided = torch.zeros(50)
    assert discriminator_loss(undecided, undecided).item() == pytest.approx(2 * math.log(2))


def test_losses_stay_finite_and_the_generators_does_not_saturate() -> None:
    sure = torch.tensor([-1e4], requires_grad=True)
    assert discriminator_loss(-sure, sure).item() == 0
    loss = generator_loss(sure)
    assert loss.item() == pytest.approx(1e4)
    loss.backward()
    assert sure.grad is not None
    assert sure.grad.item() == pytest.approx(-1)
    for few in (torch.bfloat16, torch.float16):
        assert generator_loss(torch.zeros(3, dtype=few)).dtype == torch.float32


def test_each_loss_moves_its_own_player_only() -> None:
    # Against the textbook's two steps, one player at a time.
    gan, x = small(), torch.rand(16, 1, 8, 8)
    by_hand = copy.deepcopy(gan)

    torch.manual_seed(1)
    entries = gan_loss(gan, x, None)
    entries["loss"].backward()

    torch.manual_seed(1)
    fakes = by_hand.sample(16)
    of_discriminator = discriminator_loss(
        by_hand.discriminator(x), by_hand.discriminator(fakes.detach())
    )
    wanted = torch.autograd.grad(of_discriminator, list(by_hand.discriminator.parameters()))
    of_generator = generator_loss(by_hand.discriminator(fakes))
    wanted += torch.autograd.grad(of_generator, list(by_hand.generator.parameters()))

    came = [*gan.discriminator.parameters(), *gan.generator.parameters()]
    for parameter, gradient in zip(came, wanted, strict=True):
        assert parameter.requires_grad
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient)
    torch.testing.assert_close(entries["discriminator"], of_discriminator)
    torch.testing.assert_close(entries["generator"], of_generator)
    torch.testing.assert_close(entries["loss"], of_discriminator + of_generator)


def test_a_discriminator_that_is_frozen_stays_frozen() -> None:
    gan = small()
    gan.discriminator.requires_grad_(False)
    gan_loss(gan, torch.rand(4, 1, 8, 8), None)
    assert not any(p.requires_grad for p in gan.discriminator.parameters())


# ---- the game


def halves(n: int, seed: int = 0) -> Tensor:
    """8×8 images, bright in the left half or in the right one, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 40, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)
    left = torch.rand(n, generator=generator) < 0.5
    images[left, :, :, :4] += 200
    images[~left, :, :, 4:] += 200
    return images


def trained(epochs: int) -> DCGAN:
    gan = small()
    fit(
        gan,
        halves(640),
        gan_loss,
        epochs=epochs,
        batch_size=32,
        lr=2e-3,
        optimizer=partial(torch.optim.Adam, betas=(0.5, 0.999)),
        device="cpu",
        progress=False,
    )
    return gan


def test_fit_plays_the_game_until_the_generator_paints_both_kinds_of_image() -> None:
    images = trained(20).sample(500, torch.Generator().manual_seed(0))
    left, right = images[..., :4].mean((1, 2, 3)), images[..., 4:].mean((1, 2, 3))
    brighter, darker = torch.maximum(left, right), torch.minimum(left, right)
    # Real ones: 220/255 = 0.86 on one side, 20/255 = 0.08 on the other.
    assert brighter.median().item() == pytest.approx(0.86, abs=0.15)
    assert darker.median().item() == pytest.approx(0.08, abs=0.15)
    assert 0.2 < (left > right).float().mean() < 0.8


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (trained(1).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_samples_are_those_of_the_random_generator() -> None:
    gan = small().eval()
    draw = partial(torch.Generator().manual_seed, 3)
    state = torch.get_rng_state()
    assert torch.equal(gan.sample(5, draw()), gan.sample(5, draw()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(gan.sample(5), gan.sample(5))
    # In evaluation mode an image depends on its own z alone.
    z = torch.randn(6, 4)
    torch.testing.assert_close(gan.generator(z)[:2], gan.generator(z[:2]))


# ---- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"image_shape": (28, 28)}, r"image_shape .* got \(28, 28\)"),
        ({"image_shape": (1, 30, 30)}, "halved, without remainder.* got 30×30"),
        ({"image_shape": (1, 28, 30)}, "got 28×30"),
        ({"image_shape": (1, 7, 7)}, "got 7×7"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DCGAN(**({"image_shape": (1, 28, 28)} | settings))  # type: ignore[arg-type]


def test_wrong_images_and_codes_are_refused() -> None:
    gan = small()
    with pytest.raises(ValueError, match="N×1×8×8, got 2×3×8×8"):
        gan.discriminator(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"uint8.*/ 255"):
        gan.discriminator(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="N×4, got 2×5"):
        gan.generator(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        gan.sample(0)


class TestCritic:
    def test_its_statistics_are_those_of_samples(self) -> None:
        gan = small()
        critic = gan.critic(200, torch.Generator().manual_seed(3))
        gan.eval()
        samples = gan.sample(200, torch.Generator().manual_seed(3))
        whole = gan.discriminator.train()(samples)  # with the batch's own statistics
        # Batch norm divides by the biased variance in training, by the unbiased one afterwards.
        assert torch.allclose(critic(samples), whole, atol=1e-2)

    def test_it_judges_one_image_at_a_time(self) -> None:
        critic = small().critic(50)
        x = torch.rand(5, 1, 8, 8)
        one_by_one = torch.cat([critic(image[None]) for image in x])
        assert torch.allclose(critic(x), one_by_one, atol=1e-6)

    def test_the_model_stays_as_it_is(self) -> None:
        gan = small().train()
        before = copy.deepcopy(gan.state_dict())
        gan.critic(20)
        assert gan.training
        assert all(torch.equal(value, before[name]) for name, value in gan.state_dict().items())
