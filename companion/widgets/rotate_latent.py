"""A VAE whose latent space is rotated in one plane: what the loss sees of it, and what metrics see
(chapter 13)."""

import base64
import math
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.datasets import ImageSet
from companion.disentanglement import (
    dci,
    diagonal_loss,
    entropies,
    factor_vae_score,
    mig,
    mutual_information,
    rotated_kl,
    rotation,
    sap,
)
from companion.disentanglement.tables import as_factors, is_discrete
from companion.export.decoder import export_decoder
from companion.export.model import frozen_copy
from companion.figures import encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import branch, noise, uniform
from companion.widgets.traits import Bounded, Seed

MOST = 4000  # images
# As in rotate_latent.js, which draws the same pictures.
FRAMES = 7
SAMPLES = 6
REACH = 2.5
VOTES = 800


class RotateLatent(LiveWidget):
    """A slider turns two latents of a VAE into one another; the decoder undoes it before it draws.

    The rotated model has the code z' = Rz, the posterior N(Rμ, RΣRᵀ) and the decoder x̂(Rᵀz'). −ELBO
    is the sum of the reconstruction, measured once with one draw for each image, which R cannot
    change, and the KL divergence of the rotated posteriors, computed at each angle. The metrics are
    computed from the rotated means at each angle, too, as by :mod:`companion.disentanglement`
    (DCI: the linear one). Below are samples of the prior, always the same z', decoded, and the
    images along the two rotated latents.

    Args:
        model: a VAE with encode(x) → (μ, log σ²) and decode(z) → images in [0, 1].
        images: 4 to 4,000 of them with their factors.
        plane: two latents.
        angle: 0 to 90 degrees.
        C: of the Gaussian likelihood that the model was trained with.
        seed: of the samples, the draws and the votes.
        title: heading of the widget.

    Attributes:
        plane, angle: what is on show; they may be set and observed.

    Raises:
        ValueError: images without factors, too few or too many; a plane that is not two of the
            latents; a model that can't be exported (`export_decoder`).

    Source: chapter 13; Locatello et al. (2019).
    """

    module = "rotate_latent"

    decoder = traitlets.Unicode().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    factors = traitlets.List(traitlets.Dict()).tag(sync=True)
    mu = traitlets.List(traitlets.Unicode()).tag(sync=True)
    log_var = traitlets.List(traitlets.Unicode()).tag(sync=True)
    reconstruction = traitlets.Float().tag(sync=True)
    plane = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=lambda w: settings.several(settings.whole(0, w._mu.shape[1] - 1), 2)
    )
    angle = Bounded(0, 90, default=0).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        plane: tuple[int, int] = (0, 1),
        angle: float = 0,
        C: float = 4.0,
        seed: int = 0,
        title: str = "Rotate the latent space",
    ) -> None:
        if not images.factors:
            raise ValueError("Expected images whose factors are known.")
        if not 4 <= len(images) <= MOST:
            raise ValueError(f"Expected 4 to {MOST:,} images, got {len(images):,}.")
        twin = frozen_copy(model)
        mu, log_var, error = _encoded(twin, images, seed)
        # What the page computes with, exactly.
        self._mu, self._log_var = mu.double().numpy(), log_var.double().numpy()
        self._factors = {
            name: values if is_discrete(values) else values.astype("<f4").astype(float)
            for name, values in as_factors(images.factors).items()
        }
        self._exported = export_decoder(Decode(twin), mu.shape[1])
        super().__init__(
            [self._exported.path],
            decoder=self._exported.sha256,
            image_shape=list(self._exported.image_shape),
            factors=[
                {
                    "name": name.replace("_", " "),
                    "values": as_base64(values),
                    "classes": int(values.max()) + 1 if is_discrete(values) else 0,
                }
                for name, values in self._factors.items()
            ],
            mu=[as_base64(column) for column in self._mu.T],
            log_var=[as_base64(column) for column in self._log_var.T],
            reconstruction=C * error,
            plane=list(plane),
            angle=angle,
            seed=seed,
            title=str(title),
        )

    @traitlets.validate("plane")
    def _check_plane(self, proposal: traitlets.Bunch) -> list[int]:
        plane = list(proposal["value"])
        rotation(self._mu.shape[1], tuple(plane), 0.0)
        return plane

    @property
    def turn(self) -> np.ndarray:
        """R, d×d."""
        return rotation(self._mu.shape[1], (self.plane[0], self.plane[1]), self.angle)

    def codes(self) -> np.ndarray:
        """The rotated means, N×d."""
        codes = self._mu.copy()
        if self.angle:
            i, j = self.plane
            cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            codes[:, i] = cos * self._mu[:, i] + sin * self._mu[:, j]
            codes[:, j] = cos * self._mu[:, j] - sin * self._mu[:, i]
        return codes

    def losses(self) -> dict[str, float]:
        """In nats per image: KL, −ELBO, and what the best diagonal posterior would miss."""
        kl = float(rotated_kl(self._mu, self._log_var, self.turn).mean())
        missed = float(diagonal_loss(self._log_var, self.turn).mean())
        return {"kl": kl, "negative-elbo": self.reconstruction + kl, "diagonal-loss": missed}

    def scores(self) -> dict[str, float]:
        """The metrics, by the names of the quantities in the page."""
        codes = self.codes()
        d, c, i, _ = dci(self._factors, codes)
        return {
            "mig": mig(self._factors, codes),
            "sap": sap(self._factors, codes),
            "dci-disentanglement": d,
            "dci-completeness": c,
            "dci-informativeness": i,
            "factor-vae": factor_vae_score(
                self._factors,
                codes,
                votes=VOTES,
                draw=lambda n: uniform(branch(self.seed, 3), n).numpy(),
            ),
        }

    def shares(self) -> np.ndarray:
        """I(factor; latent) over the entropy of the factor, F×d."""
        table = mutual_information(self._factors, self.codes())
        shares: np.ndarray = table / entropies(self._factors)[:, None]
        return shares

    def points(self) -> Tensor:
        """What the page decodes, as z before the rotation: both ways along the plane, then samples.

        (2·7 + 6)×d.
        """
        d = len(self.mu)
        ways = torch.zeros(2, FRAMES, d, dtype=torch.float64)
        for row, latent in enumerate(self.plane):
            ways[row, :, latent] = torch.linspace(-REACH, REACH, FRAMES, dtype=torch.float64)
        samples = noise(branch(self.seed, 4), SAMPLES * d).view(SAMPLES, d)
        rotated = torch.cat([ways.flatten(0, 1), samples])
        return (rotated @ torch.from_numpy(self.turn)).float()

    def stills(self) -> dict[str, bytes]:
        """The images along both latents, and the samples."""
        images = list(to_uint8(self._exported.decode(self.points())))
        parts = {
            "way-0": images[:FRAMES],
            "way-1": images[FRAMES : 2 * FRAMES],
            "samples": images[2 * FRAMES :],
        }
        return {name: encode_image(np.hstack(part)) for name, part in parts.items()}

    def describe(self) -> str:
        """One line: the angle, −ELBO and MIG."""
        return (
            f"RotateLatent: latents {self.plane[0]} and {self.plane[1]} by {self.angle:g}°: −ELBO "
            f"{self.losses()['negative-elbo']:.2f} nats, MIG {self.scores()['mig']:.2f}"
        )


class Decode(nn.Module):
    """A model's decode as a module of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        """Images N×C×H×W of z, N×d."""
        decode: Any = self.model.decode
        images: Tensor = decode(z)
        return images


def as_base64(values: np.ndarray) -> str:
    """float32 numbers, little-endian, as base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _encoded(model: Any, images: ImageSet, seed: int) -> tuple[Tensor, Tensor, float]:
    """μ and log σ², N×d, float32, and the mean of ‖x − x̂‖² with one draw for each image."""
    mus: list[Tensor] = []
    log_vars: list[Tensor] = []
    error = 0.0
    with torch.no_grad():
        for part in images.images.split(250):
            x = part / 255
            mu, log_var = model.encode(x)
            draw = noise(branch(seed, 5, len(mus)), mu.numel()).view(mu.shape).float()
            z = mu + torch.exp(0.5 * log_var) * draw
            error += (x - model.decode(z)).square().sum().item()
            mus.append(mu)
            log_vars.append(log_var)
    return torch.cat(mus), torch.cat(log_vars), error / len(images)
