"""A convolutional autoencoder, and the encoder and decoder that it shares with the VAE."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ImageShape = tuple[int, int, int]


def default_widths(image_shape: ImageShape) -> tuple[int, ...]:
    """Channels after each halving, until the shorter side is below 8 pixels.

    128 at the bottleneck and half as many a step towards the image, but at least 32: (128,) for
    8×8, (64, 128) for 28×28, (32, 64, 128) for 32×32, (32, 32, 64, 128) for 64×64 images.
    """
    side, steps = min(image_shape[1:]), 0
    while side >= 8:
        side, steps = side // 2, steps + 1
    return tuple(max(32, 128 >> step) for step in reversed(range(steps)))


class ConvEncoder(nn.Module):
    """Images N×C×H×W → features N×hidden: one 4×4 convolution of stride 2 for each width, then a
    dense layer; ELU after each.
    """

    def __init__(self, image_shape: ImageShape, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        sizes = _sizes(image_shape, widths)
        channels = (image_shape[0], *widths)
        layers: list[nn.Module] = []
        for inward, outward in pairwise(channels):
            layers += [nn.Conv2d(inward, outward, kernel_size=4, stride=2, padding=1), nn.ELU()]
        height, width = sizes[-1]
        layers += [nn.Flatten(), nn.Linear(channels[-1] * height * width, hidden), nn.ELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Images x → features."""
        features: Tensor = self.layers(x)
        return features


class ConvDecoder(nn.Module):
    """Codes N×latent_dim → images N×C×H×W in [0, 1]: the encoder's mirror image.

    Two dense layers, then one 4×4 transposed convolution of stride 2 for each width; ELU between,
    a sigmoid at the end.
    """

    def __init__(
        self, image_shape: ImageShape, latent_dim: int, widths: Sequence[int], hidden: int
    ) -> None:
        super().__init__()
        sizes = _sizes(image_shape, widths)
        channels = (image_shape[0], *widths)
        height, width = sizes[-1]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, hidden),
            nn.ELU(),
            nn.Linear(hidden, channels[-1] * height * width),
            nn.ELU(),
            nn.Unflatten(1, (channels[-1], height, width)),
        ]
        steps = zip(pairwise(reversed(channels)), pairwise(reversed(sizes)), strict=True)
        for (inward, outward), (small, large) in steps:
            # An odd side was rounded down on the way in: 3 → 7 needs one row more than 3 → 6.
            missing = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            layers += [
                nn.ConvTranspose2d(
                    inward, outward, kernel_size=4, stride=2, padding=1, output_padding=missing
                ),
                nn.ELU(),
            ]
        layers[-1] = nn.Sigmoid()
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Codes z → images x̂."""
        images: Tensor = self.layers(z)
        return images


class ConvCoder(nn.Module):
    """What the autoencoder and the VAE have in common: the two halves, and checks of what goes in.

    Raises ValueError for an ``image_shape`` that is not three positive integers (C, H, W), a
    ``latent_dim`` or ``hidden`` below 1, or ``widths`` that halve the image to nothing.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        widths: Sequence[int] | None,
        hidden: int,
    ) -> None:
        super().__init__()
        if len(image_shape) != 3 or min(image_shape) < 1:
            raise ValueError(
                f"image_shape must be three positive integers (C, H, W), got {tuple(image_shape)}."
            )
        channels, height, width = image_shape
        self.image_shape: ImageShape = (channels, height, width)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}.")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}.")
        self.latent_dim = latent_dim
        self.widths = default_widths(self.image_shape) if widths is None else tuple(widths)
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must be one or more positive integers, got {self.widths}.")
        if min(height, width) >> len(self.widths) < 1:
            raise ValueError(
                f"widths has {len(self.widths)} entries, and so many halvings leave nothing of an "
                f"image of {height}×{width} pixels."
            )
        self.encoder = ConvEncoder(self.image_shape, self.widths, hidden)
        self.decoder = ConvDecoder(self.image_shape, latent_dim, self.widths, hidden)
        self.encoder.apply(_initialise)
        self.decoder.apply(_initialise)

    def decode(self, z: Tensor) -> Tensor:
        """Codes z, N×latent_dim, → images x̂ in [0, 1], N×C×H×W."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"Expected codes of shape N×{self.latent_dim}, got {_as_shape(z.shape)}."
            )
        images: Tensor = self.decoder(z)
        return images

    def _features(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or tuple(x.shape[1:]) != self.image_shape:
            raise ValueError(
                f"Expected images of shape N×{_as_shape(self.image_shape)}, "
                f"got {_as_shape(x.shape)}."
            )
        if not x.is_floating_point():
            raise ValueError(
                f"Expected images as floating-point numbers in [0, 1], got {x.dtype}: "
                "convert with x.float() / 255."
            )
        features: Tensor = self.encoder(x)
        return features


class ConvAutoencoder(ConvCoder):
    """A deterministic autoencoder: x → z = e(x) → x̂ = d(z), trained on ‖x − x̂‖².

    ``image_shape`` is (C, H, W); ``widths`` are the channels after each halving of the image, from
    the image inwards (:func:`default_widths` if None); ``hidden`` is the width of the dense layer
    on either side of the code. Images are floats in [0, 1]. Chapter 12.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 8,
        widths: Sequence[int] | None = None,
        hidden: int = 128,
    ) -> None:
        super().__init__(image_shape, latent_dim, widths, hidden)
        self.to_z = nn.Linear(hidden, latent_dim)

    def encode(self, x: Tensor) -> Tensor:
        """Images x, N×C×H×W, → codes z, N×latent_dim. Raises ValueError for another shape."""
        z: Tensor = self.to_z(self._features(x))
        return z

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct images: x̂ = d(e(x)), the shape of x."""
        return self.decode(self.encode(x))


def _initialise(module: nn.Module) -> None:
    """He initialisation (He et al., 2015): weights of variance 2/fan_in, biases 0.

    PyTorch's default has a sixth of that variance, so the signal fades from layer to layer, and
    training starts with a long plateau.
    """
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        fan_in = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):
            # Each output pixel sees, of every input channel, only every stride-th tap each way.
            fan_in = module.in_channels * math.prod(module.kernel_size) // math.prod(module.stride)
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_in))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _sizes(image_shape: ImageShape, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width before and after each halving; odd sides are rounded down."""
    _, height, width = image_shape
    return [(height >> step, width >> step) for step in range(len(widths) + 1)]


def _as_shape(sizes: Sequence[int] | torch.Size) -> str:
    return "×".join(map(str, sizes))
