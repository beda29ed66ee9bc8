"""One latent unit's Gaussian posterior against the prior, live in the page (chapter 12)."""

import math
from html import escape
from numbers import Real
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.by_hand.gaussian import kl_to_standard_normal, log_density, reparameterise
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise

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

    mu = traitlets.Float().tag(sync=True)
    sigma = traitlets.Float().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
    n_samples = traitlets.Int().tag(sync=True)
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
            mu=_within("mu", mu, *MU_RANGE),
            sigma=_within("sigma", sigma, *SIGMA_RANGE),
            seed=seed,
            n_samples=n_samples,
            reparameterised=reparameterised,
            title=str(title),
        )

    @traitlets.validate("mu")
    def _check_mu(self, proposal: Any) -> float:
        return _within("mu", proposal["value"], *MU_RANGE)

    @traitlets.validate("sigma")
    def _check_sigma(self, proposal: Any) -> float:
        return _within("sigma", proposal["value"], *SIGMA_RANGE)

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        seed: int = proposal["value"]
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be an integer from 0 to 2³² − 1, not {seed}")
        return seed

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
        mu, sigma = _shown(self.mu), _shown(self.sigma)
        return f"PosteriorVsPrior: q = N({mu}, {sigma}²), p = N(0, 1), KL {_shown(self.kl, 3)} nats"

    def preview(self) -> str:
        """The densities and the integrand of KL at the present μ and σ, as HTML."""
        mu, sigma = _shown(self.mu), _shown(self.sigma)
        half = max(5.0, abs(self.mu) + 3.2 * self.sigma)
        z = torch.linspace(-half, half, 301, dtype=torch.float64)
        q, p, integrand = _curves(z, *self._parameters())
        above, below = self.integrand_areas
        densities = _chart(
            f"Density of q, a bell of mean {mu} and standard deviation {sigma}, over that of the "
            "prior, a bell of mean 0 and standard deviation 1",
            190,
            z,
            (0.0, max(0.45, 0.44 / self.sigma)),
            [(q, "data-1", True), (p, "data-6", False)],
        )
        adds = _chart(
            f"The integrand q times log q over p along z: its positive area is {_shown(above, 3)}, "
            f"its negative area {_shown(below, 3)}",
            180,
            z,
            (min(-0.12, 1.15 * float(integrand.min())), max(0.3, 1.1 * float(integrand.max()))),
            [(integrand.clamp(min=0), "plus", True), (integrand.clamp(max=0), "minus", True)],
        )
        return (
            '<div class="companion posterior-preview"><div class="companion-body">'
            f'<p class="companion-title">{escape(self.title)}</p>'
            '<p class="companion-lead">The encoder’s answer for one latent unit, and the '
            "prior that KL pulls it towards.</p>"
            '<div class="companion-panel companion-pair">'
            f"{_still_slider('μ', mu, 0.5, (self.mu - MU_RANGE[0]) / (MU_RANGE[1] - MU_RANGE[0]))}"
            f"{_still_slider('σ', sigma, _on_sigma_track(1.0), _on_sigma_track(self.sigma))}"
            '<p class="posterior-total companion-maths">KL = '
            f"{_shown(self.kl, 3)}</p></div>"
            + _plate(
                "Posterior and prior",
                densities,
                _key("data-1", f"<i>q</i>(<i>z</i>|<i>x</i>) = N({mu}, {sigma}<sup>2</sup>)")
                + _key("data-6", "<i>p</i>(<i>z</i>) = N(0, 1)", "dashed"),
            )
            + _plate(
                "What KL adds up",
                adds,
                _key("plus", f"where <i>q</i> &gt; <i>p</i> adds {_shown(above, 3)}")
                + _key("minus", f"where <i>q</i> &lt; <i>p</i> takes off {_shown(below, 3)}"),
                f'<p class="companion-result companion-maths">KL = {_shown(self.kl, 3)} nats</p>',
            )
            + "</div></div>"
        )

    def _parameters(self) -> tuple[Tensor, Tensor]:
        return (
            torch.tensor(self.mu, dtype=torch.float64),
            torch.tensor(self.sigma, dtype=torch.float64),
        )


def _within(name: str, value: Any, low: float, high: float) -> float:
    if not isinstance(value, Real) or not low <= float(value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _curves(z: Tensor, mu: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q(z), p(z) and q·log(q/p) at the places z."""
    log_q = log_density(z, mu, sigma)
    log_p = log_density(z, torch.zeros_like(mu), torch.ones_like(sigma))
    return log_q.exp(), log_p.exp(), log_q.exp() * (log_q - log_p)


# ------------------------------------------------- the preview, laid out like posterior.js


def _shown(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def _on_sigma_track(sigma: float) -> float:
    low, high = SIGMA_RANGE
    return math.log(sigma / low) / math.log(high / low)


def _still_slider(name: str, value: str, origin: float, share: float) -> str:
    return (
        f'<div class="companion-slider" data-neutral><span class="companion-label companion-maths">'
        f'<i>{name}</i></span><span class="companion-range" '
        f'style="--origin:{origin:.4f};--share:{share:.4f}"></span>'
        f'<span class="companion-readout">{value}</span>'
        '<div class="companion-annotation posterior-lane"></div></div>'
    )


def _key(tint: str, label: str, mark: str = "area") -> str:
    return (
        f'<li><span class="companion-key companion-key-{mark}" data-tint="{tint}"></span>'
        f'<span class="companion-maths">{label}</span></li>'
    )


def _plate(title: str, chart: str, legend: str, more: str = "") -> str:
    return (
        f'<div class="companion-plate"><p class="companion-heading">{title}</p>'
        f'<div class="companion-split"><div class="companion-stack">{chart}</div>'
        f'<div class="companion-stack"><ul class="companion-legend">{legend}</ul>{more}</div>'
        "</div></div>"
    )


def _chart(
    label: str,
    height: int,
    z: Tensor,
    y_range: tuple[float, float],
    curves: list[tuple[Tensor, str, bool]],
) -> str:
    """Curves over z (values, tint, filled): they stretch with the page, lines and text do not."""
    low, high = y_range
    bottom = height - 24
    xs = torch.linspace(0, 1000, len(z))

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - 8)

    shapes = []
    for values, tint, filled in curves:
        points = "L".join(
            f"{x:.0f} {y(v):.1f}" for x, v in zip(xs.tolist(), values.tolist(), strict=True)
        )
        if filled:
            area = f"M0 {y(0):.1f}L{points}L1000 {y(0):.1f}Z"
            shapes.append(f'<path class="companion-fill" data-tint="{tint}" d="{area}"/>')
        style = "companion-curve" if filled else "companion-curve companion-dashed"
        shapes.append(
            f'<path class="{style}" data-tint="{tint}" vector-effect="non-scaling-stroke" '
            f'fill="none" stroke="currentColor" d="M{points}"/>'
        )
    half = float(z[-1])
    step = 2 if half <= 7 else 5
    numbers = range(-step * int(half // step), int(half) + 1, step)
    ticks = "".join(
        f'<text x="{50 + 50 * n / half:.2f}%" y="{bottom + 19}" text-anchor="middle">'
        f"{_shown(n, 0)}</text>"
        for n in numbers
    )
    return (
        '<div class="companion-chart posterior-still-chart">'
        f'<svg width="100%" height="{height}" role="img" aria-label="{escape(label)}">'
        f'<svg viewBox="0 0 1000 {height}" preserveAspectRatio="none" height="{height}">'
        f'{"".join(shapes)}</svg><line class="companion-baseline" x2="100%" '
        f'y1="{y(0):.1f}" y2="{y(0):.1f}"/>{ticks}</svg></div>'
    )
