"""A denoising autoencoder with a code of one number, trained in the page on points in the plane."""

import math
from collections.abc import Callable
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.score import mixture_score
from companion.export.tensors import keep_tensors
from companion.export.training import export_training
from companion.widgets import page_training, settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import noise as standard_normal
from companion.widgets.plane_points import OWN, pairs, shape_name
from companion.widgets.traits import Bounded, Seed, whole_number

POINTS = 256
REACH = 1.2  # the field's arrows stand from −1.2 to 1.2 in both directions
SIDE = 17  # as many along a side
CURVE = 128  # points of the decoded curve
MOST_NOISE = 0.5
RATE = 0.01
REST = 1500  # steps, of the picture at rest
EVERY = 30  # steps between two points of its curve
GAIN = 5 / 3  # of tanh


class ManifoldField(LiveWidget):
    """The manifold hypothesis in the plane: an autoencoder learns a curve, and points back to it.

    An autoencoder 2–hidden–hidden–1–hidden–hidden–2 learns, by Adam, to take noise of standard
    deviation σ off points: it minimises ‖r(x + σε) − x‖², averaged over them. Shown are the points
    in the colour of their code, each linked to its reconstruction; the curve that the decoder
    draws; and the field r(x) − x. Beside it, on request, stands σ²·∇ log p_σ(x) of the points
    blurred with that noise (`companion.by_hand.score`): exactly where the best of all denoisers
    points, which a code of one number can follow near the curve only. Alain & Bengio (2014) show
    that (r(x) − x)/σ² tends to the score as σ goes to 0.

    Args:
        data: a shape to begin with ("ring", "spiral", "moons", "line", "wave"), or points, N×2
            floats from −1 to 1, at most 1,000.
        noise: σ, 0 to 0.5; 0 is an autoencoder that denoises nothing.
        hidden: width of the hidden layers.
        score: whether the score's arrows are shown.
        seed: of weights and noise, 0 to 2³² − 1.
        title: heading of the widget.

    Attributes:
        shape: what it learns; "own" are the points given or drawn.
        own: those, a list of N pairs; empty as long as there are none.
        noise, score, seed: as above.
        selected: the point that is linked, 0 to N − 1.

    All may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; one sentence says what was expected.
    """

    module = "manifold_field"
    lazy = True

    training = traitlets.Dict().tag(sync=True)
    shapes = traitlets.Dict().tag(sync=True)
    shape = traitlets.Unicode("ring").tag(
        sync=True, setting=lambda w: settings.words([*w.shapes, OWN], needs={OWN: "own"})
    )
    own: Any = traitlets.List().tag(
        sync=True, setting=lambda w: settings.pairs(-REACH, REACH, w._count, or_none=True)
    )
    noise = Bounded(0, MOST_NOISE, default=0.1).tag(sync=True)
    score = traitlets.Bool(False).tag(sync=True)
    selected = traitlets.Any(0).tag(sync=True, setting=lambda w: settings.whole(0, w._count - 1))
    seed = Seed().tag(sync=True)
    plane = traitlets.Dict({"reach": REACH, "side": SIDE}).tag(sync=True)
    rest = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: Any = "ring",
        *,
        noise: float = 0.1,
        hidden: int = 32,
        score: bool = False,
        seed: int = 0,
        title: str = "The manifold, learnt live",
    ) -> None:
        own = None if isinstance(data, str) else _points(data)
        self._count = POINTS if own is None else len(own)
        self._shapes = {name: make(self._count).round(decimals=3) for name, make in SHAPES.items()}
        shape = data if own is None else OWN
        if own is None and shape not in self._shapes:
            raise ValueError(f"data must be one of {', '.join(SHAPES)} or points, not {shape!r}")
        self.set_trait("noise", noise)
        self.set_trait("seed", seed)
        sigma = self.noise
        start = self._shapes[shape] if own is None else own
        self._model = PlaneAutoencoder(whole_number("hidden", hidden, 2, 128))
        drawn = page_training.draw_weights(self._model, seed, GAIN)
        ends = torch.linspace(-REACH, REACH, SIDE)
        down, across = torch.meshgrid(ends.flip(0), ends, indexing="ij")
        self._grid = torch.stack([across, down], 2).reshape(-1, 2)
        files = keep_tensors({"images": start}), keep_tensors({"grid": self._grid})
        exported = export_training(
            self._model, _loss, start, inputs={"sigma": sigma}, lr=RATE,
            functions={"view": (_view, start, self._grid)},
        )  # fmt: skip
        given = {"view": {"grid": ["grid", len(self._grid)]}}
        training = page_training.describe([exported], files[0], files[1], given)
        training["drawn"] = page_training.places(drawn, exported)
        self._exported = exported
        super().__init__(
            [*exported.files, *(file.path for file in files)],
            training=training,
            shapes={name: _thousandths(points) for name, points in self._shapes.items()},
            own=[] if own is None else own.tolist(),
            shape=shape,
            noise=sigma,
            score=score,
            selected=self._count // 8,
            seed=seed,
            rest={"shape": shape, "noise": sigma, "seed": seed, **self._rest(start, sigma, seed)},
            title=str(title),
        )

    @traitlets.validate("shape")
    def _check_shape(self, proposal: Any) -> str:
        return shape_name(proposal["value"], self._shapes, self.own)

    @traitlets.validate("own")
    def _check_own(self, proposal: Any) -> list[list[float]]:
        if not proposal["value"]:
            return []
        points = _points(pairs(proposal["value"], torch.float32))
        if len(points) != self._count:
            raise ValueError(
                f"own must be {self._count} points, as the other shapes are, not {len(points)}"
            )
        return [[float(v) for v in point] for point in points]

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        return whole_number("selected", proposal["value"], 0, self._count - 1)

    @property
    def points(self) -> Tensor:
        """What it learns now, N×2."""
        return torch.tensor(self.own) if self.shape == OWN else self._shapes[self.shape]

    @property
    def step(self) -> Any:
        """The step that the page takes, as an exported graph."""
        return self._exported.step

    @property
    def best_loss(self) -> float:
        """The loss of the best of all denoisers, on one draw of noise for each point."""
        if not self.noise:
            return 0.0
        epsilon = standard_normal(0, 2 * self._count).float().view(-1, 2)
        noisy = self.points + self.noise * epsilon
        best = noisy + self.noise**2 * mixture_score(noisy, self.points, self.noise)
        return float((best - self.points).square().sum(1).mean())

    def describe(self) -> str:
        """One line: what is learnt, with how much noise."""
        return f"ManifoldField: {self._count} points ({self.shape}), noise σ = {self.noise:g}"

    def _rest(self, points: Tensor, sigma: float, seed: int) -> dict[str, Any]:
        model = self._model
        run = page_training.train(
            model, _loss, points, self._exported.step, REST,
            optimizer=torch.optim.Adam(model.parameters(), lr=RATE), batch_size=len(points),
            seed=seed, inputs={"sigma": sigma},
        )  # fmt: skip
        curve = [(done, loss) for done, loss in run if done % EVERY == 0]
        with torch.no_grad():
            seen = _view(model, points, self._grid)
        return {
            "steps": REST,
            "losses": curve,
            **{name: _thousandths(tensor) for name, tensor in seen.items()},
        }


class PlaneAutoencoder(nn.Module):
    """2 – hidden – hidden – 1 – hidden – hidden – 2, tanh between; the code is linear."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(),
            nn.Linear(hidden, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(),
            nn.Linear(hidden, 2),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Places in the plane, N×2, → r(x), N×2."""
        rebuilt: Tensor = self.decoder(self.encoder(x))
        return rebuilt


def _loss(model: Any, images: Tensor, labels: Tensor | None, sigma: Tensor) -> Tensor:
    noisy = images + sigma * torch.randn_like(images)
    loss: Tensor = (model(noisy) - images).square().sum(1).mean()
    return loss


def _view(model: Any, points: Tensor, grid: Tensor) -> dict[str, Tensor]:
    codes = model.encoder(points)
    low, high = codes.min(), codes.max()
    along = low + (high - low) * torch.linspace(0, 1, CURVE)[:, None]
    return {
        "codes": codes[:, 0],
        "rebuilt": model.decoder(codes),
        "curve": model.decoder(along),
        "field": model(grid) - grid,
    }


def _ring(count: int) -> Tensor:
    t = 2 * math.pi * torch.arange(count) / count
    return 0.75 * torch.stack([t.cos(), t.sin()], 1)


def _spiral(count: int) -> Tensor:
    t = 2 * math.pi * (0.35 + 1.2 * torch.linspace(0, 1, count).sqrt())
    return (0.85 * t / t.max())[:, None] * torch.stack([t.cos(), t.sin()], 1)


def _moons(count: int) -> Tensor:
    first, second = (torch.linspace(0, math.pi, n) for n in (count - count // 2, count // 2))
    upper = torch.stack([first.cos() - 0.5, first.sin() - 0.25], 1)
    lower = torch.stack([0.5 - second.cos(), 0.25 - second.sin()], 1)
    return 0.55 * torch.cat([upper, lower])


def _line(count: int) -> Tensor:
    t = torch.linspace(-0.75, 0.75, count)
    return torch.stack([t, t / 2], 1)


def _wave(count: int) -> Tensor:
    t = torch.linspace(-0.85, 0.85, count)
    return torch.stack([t, 0.45 * (t * math.pi / 0.85).sin()], 1)


SHAPES: dict[str, Callable[[int], Tensor]] = {
    "ring": _ring, "spiral": _spiral, "moons": _moons, "line": _line, "wave": _wave,
}  # fmt: skip


def _thousandths(tensor: Tensor) -> str:
    return page_training.packed((1000 * tensor).round().to(torch.int16))


def _points(data: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise TypeError(
            f"data must be the name of a shape or a tensor of points N×2, not {type(data).__name__}"
        )
    points = data.detach().float()
    if points.ndim != 2 or points.shape[1] != 2 or not 8 <= len(points) <= 1000:
        raise ValueError(f"points must be N×2 with N from 8 to 1000, not {tuple(points.shape)}")
    if not points.abs().max() <= 1:
        raise ValueError("points must be numbers from −1 to 1 in both directions")
    return points
