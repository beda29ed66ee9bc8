"""How large signals and gradients stay through a deep network, live in the page (chapter 7)."""

import math
from typing import Any

import traitlets
from torch import Tensor

from companion.by_hand.propagation import ACTIVATIONS, GAINS, Propagation, propagate
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise
from companion.widgets.traits import Bounded, BoundedInt, Seed

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

    depth = BoundedInt(*DEPTH_RANGE).tag(sync=True)
    gain = Bounded(*GAIN_RANGE, called="n·Var(w)").tag(sync=True)
    activation = traitlets.Unicode().tag(sync=True, setting=settings.words(list(ACTIVATIONS)))
    shortcuts = traitlets.Bool().tag(sync=True)
    batch_norm = traitlets.Bool().tag(sync=True)
    seed = Seed().tag(sync=True)
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
            depth=depth,
            gain=GAINS[init] if isinstance(init, str) else init,
            activation=activation,
            shortcuts=shortcuts,
            batch_norm=batch_norm,
            seed=seed,
            title=str(title),
        )

    @traitlets.validate("activation")
    def _check_activation(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in ACTIVATIONS:
            known = ", ".join(map(repr, ACTIVATIONS))
            raise ValueError(f"activation must be one of {known}, got {name!r}")
        return name

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
            f"SignalThroughDepth: {self._network()}; signal at the end {sizes.signal[-1]:.3g}, "
            f"gradient at the start {sizes.gradient[0]:.3g}"
        )

    def _network(self) -> str:
        near = (k for k, gain in GAINS.items() if math.isclose(gain, self.gain, rel_tol=5e-3))
        name = next(near, None)
        start = f"n·Var(w) = {self.gain:.3g}" if name is None else f"{_NAMES[name]} weights"
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
