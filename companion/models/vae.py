"""The convolutional variational autoencoder and its loss (Kingma & Welling, 2014; chapter 12)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from companion.by_hand import gaussian
from companion.models.autoencoder import ConvCoder

# |log σ²| stays below this, so σ lies between 0.0067 and 148 and nothing overflows; a tanh bends
# towards the bound, where a clamp would cut the gradient off.
_LOG_VAR_BOUND = 10.0


class VAEOutput(NamedTuple):
    """What one pass through a VAE gives: x̂ (N×C×H×W), and μ_x, log σ_x², z (each N×latent_dim)."""

    reconstruction: Tensor
    mu: Tensor
    log_var: Tensor
    z: Tensor


class VAELoss(NamedTuple):
    """The loss and its parts, in nats per image, each the mean over a batch.

    ``total`` = ``reconstruction`` + β · ``kl`` (or β · |kl − capacity|), all scalars;
    ``kl_per_dim`` has one entry for each latent dimension and sums to ``kl``.
    """

    total: Tensor
    reconstruction: Tensor
    kl: Tensor
    kl_per_dim: Tensor


class ConvVAE(ConvCoder):
    """A VAE: the encoder gives a Gaussian N(μ_x, σ_x²) over codes, the decoder an image for a code.

    The encoder's two branches, for μ_x and log σ_x², share everything but their last layer. The
    covariance is diagonal. ``image_shape`` is (C, H, W); ``widths`` are the channels after each
    halving of the image, from the image inwards (``default_widths`` if None); ``hidden`` is the
    width of the dense layer on either side of the code. Images are floats in [0, 1].
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int = 8,
        widths: Sequence[int] | None = None,
        hidden: int = 128,
    ) -> None:
        super().__init__(image_shape, latent_dim, widths, hidden)
        self.to_mu = nn.Linear(hidden, latent_dim)
        self.to_log_var = nn.Linear(hidden, latent_dim)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images x, N×C×H×W, → (μ_x, log σ_x²), each N×latent_dim; |log σ_x²| < 10.

        Raises ValueError for images of another shape.
        """
        features = self._features(x)
        log_var = _LOG_VAR_BOUND * torch.tanh(self.to_log_var(features) / _LOG_VAR_BOUND)
        return self.to_mu(features), log_var

    def reparameterise(self, mu: Tensor, log_var: Tensor, noise: Tensor | None = None) -> Tensor:
        """A draw z = μ + σ·ε; ``noise`` is ε, drawn from N(0, I) if None."""
        return gaussian.reparameterise(mu, torch.exp(0.5 * log_var), noise)

    def forward(self, x: Tensor) -> VAEOutput:
        """Encode, draw z, decode. z is drawn in evaluation mode too: the loss is defined so.

        For the reconstruction without noise, decode the mean: ``model.decode(model.encode(x)[0])``.
        """
        mu, log_var = self.encode(x)
        z = self.reparameterise(mu, log_var)
        return VAEOutput(self.decode(z), mu, log_var, z)


def vae_loss(
    x: Tensor,
    output: VAEOutput,
    *,
    C: float = 1.0,
    beta: float | Tensor = 1.0,
    capacity: float | Tensor | None = None,
    likelihood: str = "gaussian",
) -> VAELoss:
    """−log p(x|z) + β·KL[N(μ_x, σ_x²) ‖ N(0, I)], in nats per image: pixels and latent dimensions
    are summed, images averaged.

    With the "gaussian" likelihood the first term is C·‖x − x̂‖²: −log N(x; x̂, σ²I) with
    C = 1/(2σ²), up to the constant :func:`gaussian_constant`. With "bernoulli" it is the
    cross-entropy of pixels between 0 and 1, −Σ x log x̂ + (1 − x) log(1 − x̂), times C; that makes
    MNIST's figures comparable (grey pixels count as probabilities, as everybody does). With C = 1
    or a Gaussian, and β = 1, the total (plus the constant) is −ELBO. Only the ratio C/β moves the
    minimum. A ``capacity``, in nats, replaces β·KL by β·|KL − capacity| (Burgess et al. 2018): the
    code is to carry so much, and no less either.

    It is computed in the number format of x, also where autocast has made the outputs bf16 or
    fp16, which have too few digits for sums over all pixels. Raises ValueError for images and
    reconstructions of different shapes, and for another likelihood.
    """
    if x.shape != output.reconstruction.shape:
        raise ValueError(
            f"The images and their reconstructions must have one shape, got {tuple(x.shape)} and "
            f"{tuple(output.reconstruction.shape)}."
        )
    x_hat, mu, log_var, _ = (part.to(x.dtype) for part in output)
    if likelihood == "gaussian":
        misfit = (x - x_hat).square()
    elif likelihood == "bernoulli":
        # A sigmoid that rounds to 0 or 1 may cost much, but not infinitely much.
        least = torch.finfo(x.dtype).tiny
        log_1, log_0 = (torch.log(p.clamp(min=least)) for p in (x_hat, 1 - x_hat))
        misfit = -(x * log_1 + (1 - x) * log_0)
    else:
        raise ValueError(f"likelihood must be 'gaussian' or 'bernoulli', got {likelihood!r}.")
    reconstruction = C * misfit.flatten(1).sum(1).mean()
    kl_per_dim = gaussian.kl_to_standard_normal(mu, torch.exp(0.5 * log_var)).mean(0)
    kl = kl_per_dim.sum()
    charge = kl if capacity is None else (kl - capacity).abs()
    return VAELoss(reconstruction + beta * charge, reconstruction, kl, kl_per_dim)


def gaussian_constant(C: float, image_shape: Sequence[int]) -> float:
    """What :func:`vae_loss` leaves out of −log N(x; x̂, σ²I): (D/2)·log(2πσ²) = (D/2)·log(π/C).

    D is the number of values in an image of ``image_shape`` (C, H, W). It is in nats per image, and
    negative once C > π: a density, unlike a probability, may exceed 1.
    """
    if C <= 0:
        raise ValueError(f"The weight C must be positive, got {C}.")
    return 0.5 * math.prod(image_shape) * math.log(math.pi / C)
