"""Autoencoders of dense layers: linear, deep and symmetric (with tied weights), sparse.

Chapter 10. Encoder e and decoder d are mirror images: D → widths → latent_dim, and back.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.classifier import check_choice
from companion.models.images import (
    ImageShape,
    check_at_least_1,
    check_codes,
    check_images,
    image_shape_of,
    reconstruction_error,
)

# "linear" leaves out the activation.
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class TransposedLinear(nn.Module):
    """The way back through a dense layer: y = Wᵀh + b, with that layer's W and a bias of its own.

    Both layers hold the same `nn.Parameter`: it is one in ``parameters()``, gathers the gradient of
    both uses, and appears under both names in ``state_dict()``.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = nn.Parameter(torch.zeros(layer.in_features))

    def forward(self, h: Tensor) -> Tensor:
        """N×out_features of the layer → N×in_features."""
        return F.linear(h, self.weight.T, self.bias)

    def extra_repr(self) -> str:
        """The sizes, for print(model)."""
        outward, inward = self.weight.shape
        return f"in_features={outward}, out_features={inward}"


class DenseCoder(nn.Module):
    """The two halves, and how they are built: `encoder` and `decoder`, each an `nn.Sequential`.

    ``image_shape`` is (C, H, W), D = C·H·W values; ``widths`` are the hidden layers between image
    and code, from the image inwards (none: the code is the only hidden layer). ``tied`` makes the
    decoder's matrices the encoder's, transposed: half the parameters. ``activation`` follows each
    layer but the two that ``code_activation`` and ``output_activation`` follow: the encoder's last
    and the decoder's last. Each is one of "linear", "relu", "elu", "tanh", "sigmoid".

    Weights start as in Glorot & Bengio (2010), with variance gain²·2/(fan_in + fan_out): the same
    for a matrix and its transpose, which the tied one has to be. Biases start at 0.

    Raises ValueError for sizes below 1 and unknown activations.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        widths: Sequence[int],
        *,
        tied: bool,
        activation: str,
        code_activation: str,
        output_activation: str,
    ) -> None:
        super().__init__()
        self.image_shape: ImageShape = image_shape_of(image_shape)
        check_at_least_1(latent_dim=latent_dim)
        self.latent_dim = latent_dim
        self.widths = tuple(widths)
        if min(self.widths, default=1) < 1:
            raise ValueError(f"widths must be positive integers, got {self.widths}.")
        self.tied = tied
        for name, choice in (
            ("activation", activation),
            ("code_activation", code_activation),
            ("output_activation", output_activation),
        ):
            check_choice(name, choice, _ACTIVATIONS)

        sizes = (prod(self.image_shape), *self.widths, latent_dim)
        inwards = [nn.Linear(before, after) for before, after in pairwise(sizes)]
        outwards: list[nn.Module] = [
            TransposedLinear(layer) if tied else nn.Linear(layer.out_features, layer.in_features)
            for layer in reversed(inwards)
        ]
        self.encoder = nn.Sequential(
            nn.Flatten(), *_interleave(inwards, activation, code_activation)
        )
        self.decoder = nn.Sequential(
            *_interleave(outwards, activation, output_activation),
            nn.Unflatten(1, self.image_shape),
        )
        gain = nn.init.calculate_gain("relu" if activation in ("relu", "elu") else "linear")
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight, gain)
                nn.init.zeros_(layer.bias)

    def encode(self, x: Tensor) -> Tensor:
        """Images x, N×C×H×W, → codes z, N×latent_dim. Raises ValueError for another shape."""
        check_images(x, self.image_shape)
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Codes z, N×latent_dim, → images x̂, N×C×H×W. Raises ValueError for another shape."""
        check_codes(z, self.latent_dim)
        images: Tensor = self.decoder(z)
        return images


class DenseAutoencoder(DenseCoder):
    """A deep symmetric autoencoder: x → z = e(x) → x̂ = d(z) in [0, 1], trained on ‖x − x̂‖².

    Settings as in :class:`DenseCoder`; the code is linear. Source: Hinton & Salakhutdinov (2006),
    without their layer-by-layer pre-training.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 8,
        widths: Sequence[int] = (256, 64),
        *,
        tied: bool = False,
        activation: str = "elu",
        output_activation: str = "sigmoid",
    ) -> None:
        super().__init__(
            image_shape,
            latent_dim,
            widths,
            tied=tied,
            activation=activation,
            code_activation="linear",
            output_activation=output_activation,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct images: x̂ = d(e(x)), the shape of x."""
        return self.decode(self.encode(x))


class LinearAutoencoder(DenseAutoencoder):
    """One matrix in, one matrix out, no activation: at its best, PCA's subspace.

    x̂ = W_d(W_e·x + b_e) + b_d, not confined to [0, 1]. The minimum of ‖x − x̂‖² is PCA's: W_d·W_e
    projects onto the span of the first ``latent_dim`` principal components, and there are no other
    local minima (Baldi & Hornik, 1989). The axes in that subspace remain free: (W_d·A, A⁻¹·W_e) is
    as good for every invertible A. ``tied`` leaves only the rotations and reflections among those.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int = 8, *, tied: bool = False
    ) -> None:
        super().__init__(
            image_shape,
            latent_dim,
            (),
            tied=tied,
            activation="linear",
            output_activation="linear",
        )

    @property
    def axes(self) -> Tensor:
        """latent_dim×C×H×W: what a step of 1 along each axis of the code adds to the image."""
        weight = self.get_parameter("decoder.0.weight").detach()
        return (weight if self.tied else weight.T).unflatten(1, self.image_shape)


class SparseOutput(NamedTuple):
    """What one pass through a sparse autoencoder gives: x̂, N×C×H×W, and z, N×latent_dim, ≥ 0."""

    reconstruction: Tensor
    z: Tensor


class SparseLoss(NamedTuple):
    """The loss and its parts, scalars, per image: ``total`` = ``reconstruction`` + l1 · ``norm``.

    ``reconstruction`` is ‖x − x̂‖², ``norm`` is ‖z‖₁, each averaged over the batch.
    """

    total: Tensor
    reconstruction: Tensor
    norm: Tensor


class SparseAutoencoder(DenseCoder):
    """An autoencoder with few active units for each image, of as many as you like.

    The code passes a ReLU, so that a unit can be off, and :func:`sparse_loss` charges for each that
    is on; ``latent_dim`` may exceed the number of pixels. Other settings as in
    :class:`DenseCoder`. The weights are tied by default, for otherwise the charge can be dodged:
    halve z, double the next matrix, and x̂ stays the same at half the price. With ``tied=False``
    something else, weight decay for instance, has to hold the decoder's matrices.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 256,
        widths: Sequence[int] = (),
        *,
        tied: bool = True,
        activation: str = "relu",
        output_activation: str = "sigmoid",
    ) -> None:
        super().__init__(
            image_shape,
            latent_dim,
            widths,
            tied=tied,
            activation=activation,
            code_activation="relu",
            output_activation=output_activation,
        )

    def forward(self, x: Tensor) -> SparseOutput:
        """Reconstruct images, and give the code that the loss charges for."""
        z = self.encode(x)
        return SparseOutput(self.decode(z), z)


def sparse_loss(x: Tensor, output: SparseOutput, *, l1: float) -> SparseLoss:
    """‖x − x̂‖² + l1·‖z‖₁: pixels and units are summed, images averaged.

    Computed in the number format of x. Raises ValueError for a negative ``l1`` and for images and
    reconstructions of different shapes.
    """
    if not l1 >= 0:
        raise ValueError(f"The weight l1 must be 0 or more, got {l1}.")
    reconstruction = reconstruction_error(x, output.reconstruction)
    norm = output.z.to(x.dtype).abs().sum(1).mean()
    return SparseLoss(reconstruction + l1 * norm, reconstruction, norm)


def _interleave(layers: Sequence[nn.Module], activation: str, last: str) -> list[nn.Module]:
    """The layers, each with its activation after it; nothing after it where that is linear."""
    names = [activation] * (len(layers) - 1) + [last]
    pairs = zip(layers, names, strict=True)
    return [
        part
        for layer, name in pairs
        for part in ((layer,) if name == "linear" else (layer, _ACTIVATIONS[name]()))
    ]
