"""How large signals and gradients stay through a deep network, live in the page (chapter 7)."""

import math
from html import escape
from numbers import Integral, Real
from typing import Any

import traitlets
from torch import Tensor

from companion.by_hand.propagation import ACTIVATIONS, GAINS, Propagation, propagate
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise

WIDTH = 64
BATCH = 32
DEPTH_RANGE = (2, 50)
GAIN_RANGE = (0.1, 10.0)
_NAMES = {"he": "He", "xavier": "Xavier", "pytorch": "PyTorch default"}


class SignalThroughDepth(LiveWidget):
    """A random dense network, forward and back: the size of signal and gradient in each layer.

    Layers of 64 units without biases, a batch of 32 inputs from N(0, 1), and a gradient from
    N(0, 1) that arrives at the last layer (`companion.by_hand.propagation.propagate`). The weights
    are N(0, 1) draws times √(gain/64); all settings use the same draws.

    Args:
        depth: number of layers, 2 to 50.
        init: "he" (n·Var(w) = 2), "xavier" (1; fan-in and fan-out are the same here), "pytorch"
            (1/3, the variance of `nn.Linear`'s uniform default), or n·Var(w) itself, 0.1 to 10.
        activation: "relu", "tanh" or "none".
        shortcuts: two layers form a residual block, h_l = φ(F(h_{l−2}) + h_{l−2}).
        batch_norm: after every layer, before shortcut and activation.
        seed: of all draws, 0 … 2³² − 1; "Redraw weights" adds 1.
        title: heading of the widget.

    `depth`, `gain` (= n·Var(w)), `activation`, `shortcuts`, `batch_norm` and `seed` may be set and
    observed while the widget is on show; `sizes` has the numbers.

    Raises:
        ValueError: an argument is outside its range.

    Source: chapter 7; He et al. (2015), "Delving deep into rectifiers", §2.2.
    """

    module = "signal_depth"

    depth = traitlets.Int().tag(sync=True)
    gain = traitlets.Float().tag(sync=True)
    activation = traitlets.Unicode().tag(sync=True)
    shortcuts = traitlets.Bool().tag(sync=True)
    batch_norm = traitlets.Bool().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        depth: int = 30,
        init: str | float = "he",
        activation: str = "relu",
        *,
        shortcuts: bool = False,
        batch_norm: bool = False,
        seed: int = 20,  # one whose fifty layers wander little with He's weights
        title: str = "Signal through depth",
    ) -> None:
        if isinstance(init, str) and init not in GAINS:
            known = ", ".join(map(repr, GAINS))
            raise ValueError(f"init must be one of {known}, or n·Var(w) as a number, got {init!r}")
        super().__init__(
            depth=_depth(depth),
            gain=_gain(GAINS[init] if isinstance(init, str) else init),
            activation=activation,
            shortcuts=shortcuts,
            batch_norm=batch_norm,
            seed=seed,
            title=str(title),
        )

    @traitlets.validate("depth")
    def _check_depth(self, proposal: Any) -> int:
        return _depth(proposal["value"])

    @traitlets.validate("gain")
    def _check_gain(self, proposal: Any) -> float:
        return _gain(proposal["value"])

    @traitlets.validate("activation")
    def _check_activation(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in ACTIVATIONS:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise ValueError(f"activation must be one of {known}, got {name!r}")
        return name

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        seed: int = proposal["value"]
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be an integer from 0 to 2³² − 1, not {seed}")
        return seed

    @property
    def weights(self) -> list[Tensor]:
        """W_1 … W_depth, each 64×64, float64."""
        _, _, weights = self._draws()
        return [math.sqrt(self.gain / WIDTH) * weight for weight in weights]

    @property
    def sizes(self) -> Propagation:
        """What passes through each layer at the present settings."""
        x, direction, _ = self._draws()
        return propagate(
            x,
            self.weights,
            direction,
            activation=self.activation,
            shortcuts=self.shortcuts,
            batch_norm=self.batch_norm,
        )

    def describe(self) -> str:
        """One line: the network, and what is left of signal and gradient at its two ends."""
        sizes = self.sizes
        return (
            f"SignalThroughDepth: {self._network()}; signal at the end {_shown(sizes.signal[-1])}, "
            f"gradient at the start {_shown(sizes.gradient[0])}"
        )

    def preview(self) -> str:
        """Both curves at the present settings, as HTML."""
        sizes = self.sizes
        low, high = GAIN_RANGE
        share = math.log(self.gain / low) / math.log(high / low)
        origin = math.log(GAINS["he"] / low) / math.log(high / low)
        first, last = DEPTH_RANGE
        depth = _still_slider(
            "Depth", f"{self.depth} layers", 0, (self.depth - first) / (last - first)
        )
        gain = _still_slider(
            "<i>n</i>·Var(<i>w</i>)", _plain(self.gain), origin, share, " data-neutral"
        )
        return (
            '<div class="companion signal-preview"><div class="companion-body">'
            f'<p class="companion-title">{escape(self.title)}</p>'
            f'<p class="companion-lead">{escape(self._network())}: what arrives where?</p>'
            f'<div class="companion-panel companion-pair">{depth}{gain}</div>'
            '<div class="companion-plate"><p class="companion-heading">Size in each layer</p>'
            f'<div class="companion-split"><div class="companion-stack">{_chart(sizes)}</div>'
            '<div class="companion-stack"><ul class="companion-legend">'
            f"{_key('data-1', 'signal: RMS of the outputs')}"
            f"{_key('data-4', 'gradient: RMS of ∂L/∂h')}</ul>"
            f"<p>Signal at the last layer: <strong>{_shown(sizes.signal[-1])}</strong></p>"
            f"<p>Gradient at the input: <strong>{_shown(sizes.gradient[0])}</strong></p>"
            "</div></div></div></div></div>"
        )

    def _network(self) -> str:
        near = (k for k, gain in GAINS.items() if math.isclose(gain, self.gain, rel_tol=5e-3))
        name = next(near, None)
        start = f"n·Var(w) = {_plain(self.gain)}" if name is None else f"{_NAMES[name]} weights"
        phi = {"relu": "ReLU", "tanh": "tanh", "none": "no activation"}[self.activation]
        kind = "with shortcuts" if self.shortcuts else "plain"
        norm = "batch norm" if self.batch_norm else "no batch norm"
        return f"{self.depth} layers, {start}, {phi}, {kind}, {norm}"

    def _draws(self) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Inputs, gradient at the end and unscaled weights, as the page draws them."""
        ends, square = 2 * BATCH * WIDTH, WIDTH * WIDTH
        all_draws = noise(self.seed, ends + self.depth * square)
        x, direction = all_draws[:ends].view(2, BATCH, WIDTH)
        return x, direction, list(all_draws[ends:].view(self.depth, WIDTH, WIDTH))


def _depth(value: Any) -> int:
    low, high = DEPTH_RANGE
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise ValueError(f"depth must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def _gain(value: Any) -> float:
    low, high = GAIN_RANGE
    if not isinstance(value, Real) or not low <= float(value) <= high:
        raise ValueError(f"n·Var(w) must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


# ------------------------------------------------- the preview, laid out like signal_depth.js

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LEFT, _RIGHT, _HEIGHT = 52, 12, 260


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _shown(value: float | Tensor) -> str:
    """Three digits, beyond a hundredth and a thousand as a power of ten."""
    number = float(value)
    if number == 0 or 0.01 <= number < 1000:
        return f"{number:.3g}"
    mantissa, _, power = f"{number:.2e}".partition("e")
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPTS)}"


def _still_slider(label: str, value: str, origin: float, share: float, more: str = "") -> str:
    return (
        f'<div class="companion-slider"{more}><span class="companion-label companion-maths">'
        f'{label}</span><span class="companion-range" '
        f'style="--origin:{origin:.4f};--share:{share:.4f}"></span>'
        f'<span class="companion-readout">{value}</span></div>'
    )


def _key(tint: str, label: str) -> str:
    return (
        f'<li><span class="companion-key companion-key-line" data-tint="{tint}"></span>'
        f"<span>{label}</span></li>"
    )


def _chart(sizes: Propagation) -> str:
    """Both curves over the layers; they stretch with the page, lines and text do not."""
    curves = [
        [math.log10(max(v, 1e-300)) for v in values.tolist()]
        for values in (sizes.signal, sizes.gradient)
    ]
    low = min(-3, math.floor(min(map(min, curves))))
    high = max(3, math.ceil(max(map(max, curves))))
    bottom = _HEIGHT - 24

    def y(power: float) -> float:
        return bottom - (power - low) / (high - low) * (bottom - 10)

    depth = len(curves[0]) - 1
    paths = "".join(
        f'<path class="companion-curve" data-tint="{tint}" vector-effect="non-scaling-stroke" '
        'fill="none" stroke="currentColor" d="M'
        + "L".join(f"{1000 * k / depth:.0f} {y(v):.1f}" for k, v in enumerate(values))
        + '"/>'
        for values, tint in zip(curves, ("data-1", "data-4"), strict=True)
    )
    label = (
        f"Signal and gradient in each of {depth} layers, on a logarithmic scale: the signal goes "
        f"from {_shown(sizes.signal[0])} at the input to {_shown(sizes.signal[-1])} at the end, "
        f"the gradient from {_shown(sizes.gradient[-1])} at the end to "
        f"{_shown(sizes.gradient[0])} at the input"
    )
    return (
        '<div class="companion-chart signal-still-chart">'
        f'<svg width="100%" height="{_HEIGHT}" role="img" aria-label="{label}">'
        f'<svg viewBox="0 0 1000 {_HEIGHT}" preserveAspectRatio="none" height="{_HEIGHT}">{paths}'
        f'</svg><line class="companion-baseline" x2="100%" y1="{bottom}" y2="{bottom}"/>'
        f'<text x="0" y="{bottom + 19}">0</text>'
        f'<text x="100%" y="{bottom + 19}" text-anchor="end">{depth}</text></svg></div>'
    )
