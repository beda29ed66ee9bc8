"""One latent unit's Gaussian posterior against the prior, live in the page (chapter 12)."""

import math
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.by_hand.gaussian import kl_to_standard_normal, log_density, reparameterise
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise
from companion.widgets.traits import Bounded, Seed

MU_RANGE = (-3.0, 3.0)
SIGMA_RANGE = (0.1, 2.5)
SAMPLE_COUNTS = (12, 100, 10_000)


class PosteriorVsPrior(LiveWidget):
    """q(z|x) = N(μ, σ²) against p(z) = N(0, 1): densities, KL term by term, samples, gradients.

    Args:
        mu: mean of q, from −3 to 3.
        sigma: standard deviation of q, from 0.1 to 2.5.
        seed: of the noise ε, 0 … 2³² − 1; "New ε" in the widget adds 1.
        n_samples: 12, 100 or 10,000 samples for the Monte-Carlo estimate of KL.
        reparameterised: z = μ + σ·ε with ε kept (True), or z drawn directly, where no gradient
            passes.
        title: heading of the widget.

    All but `title` may be set and observed from Python while the widget is on show.

    Raises:
        ValueError: an argument is outside its range.

    Source: chapter 12; Kingma & Welling (2014), §2.4 and appendix B.
    """

    module = "posterior"

    mu = Bounded(*MU_RANGE).tag(sync=True)
    sigma = Bounded(*SIGMA_RANGE).tag(sync=True)
    seed = Seed().tag(sync=True)
    n_samples = traitlets.Int().tag(
        sync=True, setting=settings.whole(min(SAMPLE_COUNTS), max(SAMPLE_COUNTS))
    )
    reparameterised = traitlets.Bool().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        mu: float = 1.0,
        sigma: float = 0.5,
        *,
        seed: int = 31,  # its first twelve draws lie well apart from each other
        n_samples: int = 100,
        reparameterised: bool = True,
        title: str = "Posterior against prior",
    ) -> None:
        super().__init__(
            mu=mu,
            sigma=sigma,
            seed=seed,
            n_samples=n_samples,
            reparameterised=reparameterised,
            title=str(title),
        )

    @traitlets.validate("n_samples")
    def _check_n_samples(self, proposal: Any) -> int:
        count: int = proposal["value"]
        if count not in SAMPLE_COUNTS:
            raise ValueError(f"n_samples must be one of {SAMPLE_COUNTS}, not {count}")
        return count

    @property
    def kl(self) -> float:
        """KL[q ‖ p] in nats, in closed form."""
        return float(kl_to_standard_normal(*self._parameters()))

    @property
    def gradient(self) -> tuple[float, float]:
        """(∂KL/∂μ, ∂KL/∂σ) = (μ, σ − 1/σ)."""
        return self.mu, self.sigma - 1 / self.sigma

    @property
    def epsilon(self) -> Tensor:
        """The noise of the samples: n_samples float64 numbers."""
        return noise(self.seed, self.n_samples)

    @property
    def samples(self) -> Tensor:
        """z = μ + σ·ε: n_samples float64 numbers. The first twelve are those in the picture."""
        return reparameterise(*self._parameters(), self.epsilon)

    @property
    def estimate(self) -> tuple[float, float]:
        """(mean, standard error of the mean) of log q(z) − log p(z) over `samples`, in nats."""
        z = self.samples
        standard = torch.zeros((), dtype=z.dtype), torch.ones((), dtype=z.dtype)
        log_ratio = log_density(z, *self._parameters()) - log_density(z, *standard)
        return float(log_ratio.mean()), float(log_ratio.std()) / math.sqrt(self.n_samples)

    @property
    def integrand_areas(self) -> tuple[float, float]:
        """Areas of q·log(q/p) above and below the axis, both positive; their difference is KL."""
        t = torch.linspace(-8, 8, 321, dtype=torch.float64)
        _, _, integrand = _curves(self.mu + self.sigma * t, *self._parameters())
        width = self.sigma / 20
        above, below = integrand.clamp(min=0).sum(), integrand.clamp(max=0).sum()
        return float(above) * width, -float(below) * width

    def describe(self) -> str:
        """One line: q, and how far it is from the prior."""
        mu, sigma = f"{self.mu:.2f}".replace("-", "−"), f"{self.sigma:.2f}"
        return f"PosteriorVsPrior: q = N({mu}, {sigma}²), p = N(0, 1), KL {self.kl:.3f} nats"

    def _parameters(self) -> tuple[Tensor, Tensor]:
        return (
            torch.tensor(self.mu, dtype=torch.float64),
            torch.tensor(self.sigma, dtype=torch.float64),
        )


def _curves(z: Tensor, mu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q(z), p(z) and q·log(q/p) at the places z."""
    log_q = log_density(z, mu, sigma)
    log_p = log_density(z, torch.zeros_like(mu), torch.ones_like(sigma))
    return log_q.exp(), log_p.exp(), log_q.exp() * (log_q - log_p)
