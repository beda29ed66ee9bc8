"""A GAN on points in the plane, trained in the page, beside the best of all discriminators."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.adversarial import (
    jensen_shannon,
    minimax_loss,
    non_saturating_loss,
    optimal_discriminator,
)
from companion.widgets import page_training, settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import branch, noise, uniform
from companion.widgets.plane_points import OWN, pairs, shape_name
from companion.widgets.traits import Bounded, BoundedInt, Choice, Seed, whole_number

SIGMA = 0.05  # of each Gaussian of the data
BLUR = 0.1  # of both densities before they are compared
REACH, SIDE = 1.5, 40  # of the plane, and of the grid on it
SAMPLES = 512  # generated points that the estimates are made from
HIDDEN, BATCH = 32, 64
SLOPE = 0.2  # of the leaky ReLU
BETAS = 0.5, 0.999
EVERY = 30  # rounds between two points of the curves
LOSSES = "non-saturating", "minimax"
PLAYERS = "both", "D alone", "G alone"
MOST_OWN = 256


class PlaneGAN(LiveWidget):
    """Generator and discriminator play in the plane; the best of all discriminators stands beside.

    The data are a mixture of Gaussians, so their density is known. Both networks are 2–32–32–out
    with leaky ReLU; z is N(0, I) in two dimensions; both learn by Adam (β₁ = 0.5) from fresh
    batches of 64. A round is `d_steps` steps of the discriminator and one of the generator. Shown
    are real and generated points, the discriminator's field D, the pull −∂L/∂x on generated points,
    and beside them D* = p_data/(p_data + p_model) for both densities blurred by Gaussian noise of
    standard deviation 0.1: p_data exactly, p_model from 512 generated points. So are the
    Jensen–Shannon divergence of the blurred densities and what the learned D makes of the
    divergence, log 2 − L_D/2 (of the unblurred densities neither is more, but for the error of
    512 points), and how many modes are covered: by at least a quarter of their fair share of the
    points, within three standard deviations.

    Args:
        data: "ring" (8 Gaussians), "grid" (25), "line", "moons", or the middles of Gaussians, N×2
            floats from −1.4 to 1.4, N from 1 to 256.
        loss: the generator's, "non-saturating" or "minimax".
        rate_d, rate_g: learning rates, 10⁻⁵ to 0.1.
        d_steps: steps of the discriminator in a round, 1 to 10.
        seed: of first weights and batches, 0 to 2³² − 1.
        rounds: how many PyTorch plays for the picture at rest, 0 to 5,000.
        title: heading of the widget.

    Attributes:
        shape: what the data are; "own" are the middles given or drawn.
        own: those, a list of pairs.
        players: who learns: "both", "D alone" or "G alone".
        loss, rate_d, rate_g, d_steps, seed: as above.

    All may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; one sentence says what was expected.

    Source: chapter 14; Goodfellow et al. (2014).
    """

    module = "plane_gan"
    lazy = True

    shapes = traitlets.Dict().tag(sync=True)
    shape = traitlets.Unicode("ring").tag(
        sync=True, setting=lambda w: settings.words([*w.shapes, OWN], needs={OWN: "own"})
    )
    own: Any = traitlets.List().tag(sync=True, setting=settings.pairs(-REACH, REACH, 0, 100))
    loss = Choice(LOSSES).tag(sync=True)
    players = Choice(PLAYERS).tag(sync=True)
    rate_d = Bounded(1e-5, 0.1, default=2e-3).tag(sync=True)
    rate_g = Bounded(1e-5, 0.1, default=1e-3).tag(sync=True)
    d_steps = BoundedInt(1, 10, default=1).tag(sync=True)
    seed = Seed().tag(sync=True)
    rest = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: Any = "ring",
        *,
        loss: str = LOSSES[0],
        rate_d: float = 2e-3,
        rate_g: float = 1e-3,
        d_steps: int = 1,
        seed: int = 0,
        rounds: int = 1000,
        title: str = "Two players in the plane",
    ) -> None:
        own = [] if isinstance(data, str) else _middles(data).tolist()
        shape = OWN if own else data
        if shape != OWN and shape not in SHAPES:
            raise ValueError(f"data must be one of {', '.join(SHAPES)} or points, not {data!r}")
        rounds = whole_number("rounds", rounds, 0, 5000)
        given: dict[str, Any] = {"loss": loss, "rate_d": rate_d, "rate_g": rate_g}
        given |= {"d_steps": d_steps, "seed": seed}
        for name, value in given.items():
            self.set_trait(name, value)
        self._game = Game(torch.tensor(own).double() if own else SHAPES[shape](), seed)
        curves = []
        for done in range(rounds + 1):
            if done % EVERY == 0 or done == rounds:
                found = self._game.measures()
                row = [found[name] for name in ("js", "loss_d", "loss_g")]
                curves.append([done, *(round(value, 4) for value in row)])
            if done < rounds:
                self._game.round(self.loss, self.rate_d, self.rate_g, self.d_steps)
        super().__init__(
            shapes={name: _thousandths(make()) for name, make in SHAPES.items()},
            own=own,
            shape=shape,
            rest={
                "shape": shape,
                "players": PLAYERS[0],
                **given,
                "rounds": rounds,
                "weights": {
                    name: page_training.packed(weights)
                    for name, weights in self._game.weights().items()
                },
                "curves": curves,
            },
            title=str(title),
            **given,
        )

    @traitlets.validate("shape")
    def _check_shape(self, proposal: Any) -> str:
        return shape_name(proposal["value"], SHAPES, self.own)

    @traitlets.validate("own")
    def _check_own(self, proposal: Any) -> list[list[float]]:
        if not proposal["value"]:
            return []
        own: list[list[float]] = _middles(pairs(proposal["value"], torch.float64)).tolist()
        return own

    @property
    def measures(self) -> dict[str, float]:
        """What the picture at rest reached.

        "js": the Jensen–Shannon divergence of the blurred densities in nats, 0 to log 2. "covered",
        "near": how many modes, and which share of the points lies within three standard deviations
        of one. "loss_d", "loss_g": both players' losses on 512 points of each kind (the generator's
        is the non-saturating one).
        """
        return self._game.measures()

    @property
    def game(self) -> "Game":
        """The game in torch, after the rounds of the picture at rest: `round` goes on."""
        return self._game

    def describe(self) -> str:
        """One line: the data, and what the picture at rest reached."""
        found = self.measures
        return (
            f"PlaneGAN: {self.rest['shape']} after {self.rest['rounds']} rounds: "
            f"{found['covered']:.0f} of {self._game.modes} modes, JS = {found['js']:.3f} nats"
        )


class Game:
    """The game that the page plays, in torch and float64; js/maths/plane_gan.js is its twin.

    Args:
        centres: the middles of the data's Gaussians, N×2.
        seed: of first weights and batches.
    """

    def __init__(self, centres: Tensor, seed: int) -> None:
        self.centres, self.seed = centres.double(), seed
        self.modes = len(centres)
        self.generator = _network([2, HIDDEN, HIDDEN, 2], branch(seed, 0))
        self.discriminator = _network([2, HIDDEN, HIDDEN, 1], branch(seed, 1))
        self._players = {
            player: torch.optim.Adam(network.parameters(), betas=BETAS, fused=True)
            for player, network in (("d", self.discriminator), ("g", self.generator))
        }
        self._moves = {"d": 0, "g": 0}

    def step_discriminator(self, rate: float) -> float:
        """One step; its loss before it."""
        move = self._moves["d"]
        real = _drawn(self.centres, SIGMA, BATCH, branch(self.seed, 3, move))
        with torch.no_grad():
            fake = self.generator(self._codes(0, move))
        logits = self.discriminator(torch.cat([real, fake]))[:, 0]
        real, fake = logits.chunk(2)
        return self._move("d", _discriminator_loss(real, fake), rate)

    def step_generator(self, rate: float, loss: str = LOSSES[0]) -> float:
        """One step; its loss before it."""
        logits = self.discriminator(self.generator(self._codes(1, self._moves["g"])))[:, 0]
        rule = minimax_loss if loss == "minimax" else non_saturating_loss
        return self._move("g", rule(logits).mean(), rate)

    def round(self, loss: str, rate_d: float, rate_g: float, d_steps: int = 1) -> None:
        """`d_steps` steps of the discriminator and one of the generator."""
        for _ in range(d_steps):
            self.step_discriminator(rate_d)
        self.step_generator(rate_g, loss)

    def weights(self) -> dict[str, Tensor]:
        """Both networks' weights, layer by layer: matrix (out×in), then biases."""
        return {
            "g": nn.utils.parameters_to_vector(self.generator.parameters()).detach(),
            "d": nn.utils.parameters_to_vector(self.discriminator.parameters()).detach(),
        }

    def samples(self) -> Tensor:
        """The generated points that are measured and shown, 512×2."""
        with torch.no_grad():
            points: Tensor = self.generator(noise(branch(0, 9), 2 * SAMPLES).view(-1, 2))
        return points

    @torch.no_grad()
    def measures(self) -> dict[str, float]:
        """See `PlaneGAN.measures`."""
        points, area = self.samples(), (2 * REACH / SIDE) ** 2
        p_data = _density(self.centres, math.hypot(SIGMA, BLUR))
        p_model = _density(points, BLUR)
        inside = float((p_data + p_model).sum()) * area
        real = self.discriminator(_drawn(self.centres, SIGMA, SAMPLES, branch(0, 8)))[:, 0]
        fake = self.discriminator(points)[:, 0]
        return {
            # All that lies outside of the grid is told apart.
            "js": jensen_shannon(p_data, p_model, area) + math.log(2) * (1 - inside / 2),
            "loss_d": float(_discriminator_loss(real, fake)),
            "loss_g": float(non_saturating_loss(fake).mean()),
            **_coverage(points, self.centres),
        }

    def best(self) -> Tensor:
        """D* of the blurred densities in the middles of all cells, SIDE×SIDE, from the top."""
        p_data = _density(self.centres, math.hypot(SIGMA, BLUR))
        return optimal_discriminator(p_data, _density(self.samples(), BLUR)).view(SIDE, SIDE)

    def _codes(self, player: int, move: int) -> Tensor:
        return noise(branch(self.seed, 2, player, move), 2 * BATCH).view(BATCH, 2)

    def _move(self, player: str, loss: Tensor, rate: float) -> float:
        optimizer = self._players[player]
        optimizer.param_groups[0]["lr"] = rate
        parameters = optimizer.param_groups[0]["params"]
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            parameter.grad = gradient
        optimizer.step()
        self._moves[player] += 1
        return float(loss.detach())


def _discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """`companion.models.gan.discriminator_loss`, which takes logits down to float32, in float64."""
    return non_saturating_loss(real).mean() - minimax_loss(fake).mean()


def _network(sizes: list[int], seed: int) -> nn.Sequential:
    """Dense layers with leaky ReLU between; matrices N(0, 2/in), the last N(0, 1/in), biases 0."""
    layers: list[nn.Module] = []
    for k, (inward, outward) in enumerate(pairwise(sizes)):
        last = k == len(sizes) - 2
        layer = nn.Linear(inward, outward, dtype=torch.float64)
        drawn = noise(branch(seed, k), inward * outward).view(outward, inward)
        with torch.no_grad():
            layer.weight.copy_(drawn * math.sqrt((1 if last else 2) / inward))
            layer.bias.zero_()
        layers += [layer] if last else [layer, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def _drawn(centres: Tensor, sigma: float, count: int, seed: int) -> Tensor:
    """Points from a mixture of Gaussians of equal weight, count×2."""
    which = (len(centres) * uniform(branch(seed, 0), count)).long()
    return centres[which] + sigma * noise(branch(seed, 1), 2 * count).view(count, 2)


def _cells() -> Tensor:
    """The middles of the grid's cells, row by row from the top, SIDE²×2."""
    ends = (2 * torch.arange(SIDE, dtype=torch.float64) + 1) / SIDE * REACH - REACH
    down, across = torch.meshgrid(ends.flip(0), ends, indexing="ij")
    return torch.stack([across, down], 2).reshape(-1, 2)


def _density(centres: Tensor, sigma: float) -> Tensor:
    """The density of a mixture of Gaussians of equal weight in the middles of the cells, SIDE²."""
    squared = torch.cdist(_cells(), centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    bells = torch.exp(-squared / (2 * sigma**2)) / (2 * math.pi * sigma**2)
    # Five standard deviations away js/maths/densities.js has none left, in either direction.
    away = (_cells()[:, None] - centres[None]).abs().amax(2) > 5 * sigma
    return bells.masked_fill(away, 0).mean(1)


def _coverage(points: Tensor, centres: Tensor) -> dict[str, float]:
    distances, nearest = torch.cdist(points, centres).min(1)
    near = distances <= 3 * SIGMA
    hits = torch.bincount(nearest[near], minlength=len(centres))
    covered = hits >= len(points) / (4 * len(centres))
    return {"covered": float(covered.sum()), "near": float(near.double().mean())}


def _ring() -> Tensor:
    t = 2 * math.pi * torch.arange(8, dtype=torch.float64) / 8
    return _rounded(torch.stack([t.cos(), t.sin()], 1))


def _grid() -> Tensor:
    ends = torch.linspace(-1, 1, 5, dtype=torch.float64)
    return torch.cartesian_prod(ends, ends)


def _line() -> Tensor:
    t = torch.linspace(-1, 1, 64, dtype=torch.float64)
    return _rounded(torch.stack([t, t / 2], 1))


def _moons() -> Tensor:
    t = torch.linspace(0, math.pi, 32, dtype=torch.float64)
    upper = torch.stack([t.cos() - 0.5, t.sin() - 0.25], 1)
    return _rounded(0.75 * torch.cat([upper, -upper]))


SHAPES: dict[str, Callable[[], Tensor]] = {
    "ring": _ring, "grid": _grid, "line": _line, "moons": _moons,
}  # fmt: skip


def _rounded(points: Tensor) -> Tensor:
    """To thousandths: as the page has them."""
    return (1000 * points).round() / 1000


def _thousandths(points: Tensor) -> list[int]:
    whole: list[int] = (1000 * points).round().int().flatten().tolist()
    return whole


def _middles(data: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise TypeError(
            f"data must be the name of a shape or a tensor of points N×2, not {type(data).__name__}"
        )
    points = data.detach().double()
    if points.ndim != 2 or points.shape[1] != 2 or not 1 <= len(points) <= MOST_OWN:
        raise ValueError(
            f"points must be N×2 with N from 1 to {MOST_OWN}, not {tuple(points.shape)}"
        )
    if not points.abs().max() <= 1.4:
        raise ValueError("points must be numbers from −1.4 to 1.4 in both directions")
    return points
