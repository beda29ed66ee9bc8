"""A small DCGAN: generator, discriminator, and the loss of each.

Sources: Goodfellow et al. (2014) for the game and the non-saturating loss, Radford, Metz &
Chintala (2016, arXiv 1511.06434) for the networks.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.images import (
    ImageShape,
    by,
    check_at_least_1,
    check_codes,
    check_images,
    image_shape_of,
)


class Generator(nn.Module):
    """Codes N×latent_dim → images N×C×H×W in [0, 1], which starts from a few pixels and doubles.

    A dense layer to the smallest size (4×4 to 7×7), then 4×4 transposed convolutions of stride 2;
    batch norm and ReLU after all but the last. The paper's tanh, in [−1, 1], is brought to [0, 1].
    """

    def __init__(self, image_shape: ImageShape, latent_dim: int, width: int) -> None:
        super().__init__()
        small, channels = _pyramid(image_shape, width)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        deepest = channels[-1]
        # No biases before batch norm, which has its own.
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, deepest * small[0] * small[1], bias=False),
            nn.Unflatten(1, (deepest, *small)),
            nn.BatchNorm2d(deepest),
            nn.ReLU(),
        ]
        for inward, outward in pairwise(reversed(channels[1:])):
            layers += [
                nn.ConvTranspose2d(inward, outward, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outward),
                nn.ReLU(),
            ]
        layers.append(nn.ConvTranspose2d(channels[1], channels[0], 4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.apply(_initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Codes z → images G(z). Raises ValueError for codes of another shape."""
        check_codes(z, self.latent_dim)
        images: Tensor = (self.layers(z) + 1) / 2
        return images


class Discriminator(nn.Module):
    """Images N×C×H×W in [0, 1] → logits N, high for real ones: D(x) is their sigmoid.

    The generator's mirror image: 4×4 convolutions of stride 2 and a dense layer. Leaky ReLU of
    slope 0.2 after each convolution, batch norm before it except in the first.
    """

    def __init__(self, image_shape: ImageShape, width: int) -> None:
        super().__init__()
        small, channels = _pyramid(image_shape, width)
        self.image_shape = image_shape
        layers: list[nn.Module] = []
        for inward, outward in pairwise(channels):
            first = not layers
            layers.append(nn.Conv2d(inward, outward, 4, stride=2, padding=1, bias=first))
            if not first:
                layers.append(nn.BatchNorm2d(outward))
            layers.append(nn.LeakyReLU(0.2))
        layers += [nn.Flatten(), nn.Linear(channels[-1] * small[0] * small[1], 1)]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Images x → logits. Raises ValueError for images of another shape."""
        check_images(x, self.image_shape)
        logits: Tensor = self.layers(2 * x - 1)
        return logits.squeeze(1)


class DCGAN(nn.Module):
    """Both players: `generator`, z ~ N(0, I) → G(z), and `discriminator`, x → logit of D(x).

    ``image_shape`` is (C, H, W), with sides that stay whole when halved until the shorter is below
    8 pixels: 28×28 (from 7×7), 32×32 and 64×64 (from 4×4). ``width`` is the number of channels next
    to the image; each halving doubles it. Weights of convolutions and dense layers start from
    N(0, 0.02²), biases at 0.

    Of the paper it differs in drawing z from a Gaussian, not a uniform, and in kernels of 4×4, not
    5×5: a multiple of the stride, so that every pixel gets equally many contributions.

    `fit` trains both at once, with :func:`gan_loss`::

        adam = functools.partial(torch.optim.Adam, betas=(0.5, 0.999))
        fit(DCGAN((1, 28, 28)), images, gan_loss, epochs=25, lr=2e-4, optimizer=adam)

    Raises ValueError for sizes below 1 and sides that can't be halved so.
    """

    def __init__(self, image_shape: Sequence[int], latent_dim: int = 100, width: int = 64) -> None:
        super().__init__()
        self.image_shape: ImageShape = image_shape_of(image_shape)
        check_at_least_1(latent_dim=latent_dim, width=width)
        self.latent_dim = latent_dim
        self.generator = Generator(self.image_shape, latent_dim, width)
        self.discriminator = Discriminator(self.image_shape, width)

    @property
    def decoder(self) -> Generator:
        """The generator, under the name that it has in an autoencoder."""
        return self.generator

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """``count`` images G(z), count×C×H×W, with z drawn from N(0, I) on the model's device.

        Draws from ``generator``, or from PyTorch's global one if that is None. In evaluation mode
        an image depends on its own z alone, in training mode (batch norm) on the whole batch's.
        """
        check_at_least_1(count=count)
        device = next(self.parameters()).device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        images: Tensor = self.generator(z)
        return images

    def critic(self, count: int = 1000, generator: torch.Generator | None = None) -> Discriminator:
        """A copy of the discriminator that can judge one image at a time, in evaluation mode.

        In training its batches were all real or all generated, and batch norm saw each batch's own
        statistics. The running averages mix both kinds and fit neither: with them it takes nearly
        everything for generated. The copy's come from ``count`` samples instead.
        """
        critic = copy.deepcopy(self.discriminator)
        norms = [module for module in critic.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches: there is one
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        with torch.no_grad():
            critic.train()(self.sample(count, generator))
        for module, mode in modes:
            module.training = mode
        return critic.eval()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−log D(x) − log(1 − D(G(z))), averaged; from the logits for real and for generated images.

    It is 2·log 2 for a discriminator that can only guess.
    """
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """−log D(G(z)), averaged; from the logits for generated images.

    Non-saturating: it has the sign of the game's own log(1 − D(G(z))), but its gradient is largest,
    not smallest, where the discriminator is sure that the images are not real.
    """
    return F.softplus(-fake.float()).mean()


def gan_loss(model: DCGAN, images: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    """One round of the game as a loss for `fit`, with as many generated images as real ones.

    "loss" is the sum of "discriminator" and "generator", but each reaches only its own player: the
    discriminator sees the images without their history, and holds still while it judges for the
    generator. So each step moves both players at once, each against what the other was before it;
    Radford et al. let them take turns. The sum does not fall as training goes well: with neither
    side ahead it stays near 3·log 2 ≈ 2.08.
    """
    fakes = model.sample(len(images))
    real, fake = model.discriminator(images), model.discriminator(fakes.detach())
    of_discriminator = discriminator_loss(real, fake)
    with _held(model.discriminator):
        of_generator = generator_loss(model.discriminator(fakes))
    return {
        "loss": of_discriminator + of_generator,
        "discriminator": of_discriminator,
        "generator": of_generator,
    }


@contextmanager
def _held(module: nn.Module) -> Iterator[None]:
    """Gradients pass through the module within the block, but none stay in its parameters."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _pyramid(image_shape: ImageShape, width: int) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The smallest size (height, width), and the channels from the image down to it."""
    colours, height, across = image_shape
    steps = 0
    while min(height, across) >> steps >= 8:
        steps += 1
    if not steps or height % (1 << steps) or across % (1 << steps):
        raise ValueError(
            "A DCGAN needs images whose sides can be halved, without remainder, until the shorter "
            f"is 4 to 7 pixels (28×28, 32×32, 64×64, …), got {by((height, across))}."
        )
    small = (height >> steps, across >> steps)
    return small, (colours, *(width << step for step in range(steps)))
