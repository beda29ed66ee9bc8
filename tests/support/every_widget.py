"""One of each widget: names that must stay text, what it must say by Python's numbers, and traits
to set. A widget that needs no arguments is found without being named here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from companion import widgets
from companion.datasets import ImageSet
from companion.models import DCGAN, ConvVAE
from companion.training.losses import classification_loss
from companion.widgets.base import LiveWidget
from companion.widgets.settings import Setting, settings
from support.front_end import HOSTILE


class Example(NamedTuple):
    """How a widget is made; texts that stand in it, from the properties of the Python class; traits
    that Python sets later (none where a widget can't draw without the engine)."""

    make: Callable[[], LiveWidget]
    says: Callable[[Any], list[str]]
    later: dict[str, Any]


def _images(count: int, channels: int = 3, side: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, channels, side, side), generator=generator).to(torch.uint8)


def _decoder(latent_dim: int) -> nn.Module:
    torch.manual_seed(latent_dim)
    return nn.Sequential(nn.Linear(latent_dim, 192), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))


def _top_k() -> widgets.TopK:
    p = torch.softmax(torch.randn(6, 7, generator=torch.Generator().manual_seed(0)), 1)
    names = [HOSTILE, *"bcdefg"]
    return widgets.TopK(_images(6), p, torch.arange(6), names, k=3, model=HOSTILE, title=HOSTILE)


def _traversal(latent_dim: int) -> widgets.LatentTraversal:
    kl = [2.5, 1.0, 0.01, 3.0][:latent_dim]
    codes = torch.linspace(-1, 1, 3 * latent_dim).view(3, latent_dim)
    return widgets.LatentTraversal(
        _decoder(latent_dim), latent_dim, kl_per_dim=kl, labels=[HOSTILE, *"bcd"][:latent_dim],
        examples=(codes, _images(3, side=8)), captions=[HOSTILE, "b", "c"], title=HOSTILE,
    )  # fmt: skip


def _lineup() -> widgets.BetaLineup:
    models = {name: ConvVAE((3, 8, 8), 3, (4,), 8) for name in (HOSTILE, "second")}
    values = {HOSTILE: torch.linspace(0, 1, 40), "b": torch.arange(40) % 3}
    images = ImageSet("toy", "test", _images(40, side=8), factors=values)
    return widgets.BetaLineup(
        models, images, _images(2, side=8).float() / 255, [HOSTILE, "b"], title=HOSTILE
    )


def _embedding(**options: Any) -> widgets.EmbeddingExplorer:
    points = torch.randn(36, 5, generator=torch.Generator().manual_seed(0))
    names = [HOSTILE, "b", "c"]
    return widgets.EmbeddingExplorer(
        points, _images(36, side=8), torch.arange(36) % 3, names, title=HOSTILE, **options
    )


def _training() -> widgets.LiveTraining:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )  # fmt: skip
    labels = torch.arange(40) % 3
    data = (_images(40, 1, 8), labels)
    return widgets.LiveTraining(
        model, classification_loss(), data, data, batch_size=(8, "all"), lr=(0.01, 1e-4, 1.0),
        show=["filters", "predictions", "feature maps"], class_names=[HOSTILE, "b", "c"],
        title=HOSTILE,
    )  # fmt: skip


def _race() -> widgets.AutoencoderRace:
    return widgets.AutoencoderRace(
        _images(40, 1, 8), _images(12, 1, 8), k=2, k_max=5, widths=(8,), title=HOSTILE
    )


def _sparse() -> widgets.SparseCode:
    return widgets.SparseCode(_images(40, 1, 8), _images(12, 1, 8), units=9, title=HOSTILE)


def _occlusion() -> widgets.OcclusionMap:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(400, 6))
    return widgets.OcclusionMap(
        model, _images(2), class_names=[HOSTILE, *"bcdef"], captions=[HOSTILE, "b"], target=0,
        patch=6, stride=3, title=HOSTILE,
    )  # fmt: skip


def _look_inside(**options: Any) -> widgets.LookInside:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3),
        nn.Flatten(), nn.Linear(4 * 36, 6),
    )  # fmt: skip
    return widgets.LookInside(
        model, {HOSTILE: "1", "second": "3", "dense": "5"}, _images(12, 1, 16),
        [HOSTILE, *"bcdef"], captions=[HOSTILE, *"1234567"], title=HOSTILE, **options,
    )  # fmt: skip


def _network_by_hand() -> widgets.NetworkByHand:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 6),
    )  # fmt: skip
    return widgets.NetworkByHand(
        model, _images(3, 1, 16), [HOSTILE, *"bcdef"], position=(2, 3), title=HOSTILE
    )


def _texture() -> widgets.TextureDefects:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1))
    windows = _images(6, 1, 16).float() / 255
    return widgets.TextureDefects(model, windows[:2], windows, title=HOSTILE)


def _repair(**options: Any) -> widgets.ImageRepair:
    torch.manual_seed(0)
    denoiser, inpainter = (
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
        for _ in range(2)
    )
    return widgets.ImageRepair(
        denoiser, inpainter, _images(3, 1, 12), [HOSTILE, "b", "c"], title=HOSTILE, **options
    )


class TinyVAE(nn.Module):
    """A VAE on 8×8 images: brightness, that of the left half, a mixture, a collapsed latent."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        left = torch.zeros(3, 8, 8)
        left[..., :4] = 1
        mixture = torch.randn(192)
        self.register_buffer(
            "weights", torch.stack([torch.ones(192), 2 * left.flatten(), mixture, mixture])
        )
        self.decoder = _decoder(4)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale = torch.tensor([0.7, 0.5, 0.3, 1e-4])
        mu = (x.flatten(1) - 0.5) @ self.weights.T * scale
        return mu, torch.tensor([-3.0, -2.0, -1.0, 0.0]).expand(len(x), 4)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.decoder(z)
        return images


def with_factors(count: int = 120) -> ImageSet:
    images = _images(count, side=8)
    brightness = images.float().mean((1, 2, 3))
    factors = {
        HOSTILE: brightness,
        "kind": torch.arange(count) % 3,
        "left": images[..., :4].float().mean((1, 2, 3)),
    }
    return ImageSet("tiny", "test", images, factors=factors)


def _critic() -> widgets.FoolTheCritic:
    torch.manual_seed(0)
    model = DCGAN((1, 12, 12), latent_dim=3, width=4)
    return widgets.FoolTheCritic(
        model,
        _images(4, 1, 12),
        captions=[HOSTILE, "b", "c", "d"],
        real_name=HOSTILE,
        title=HOSTILE,
    )


def _grouped(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _signed(value: float, digits: int = 2) -> str:
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")  # no −0.00


EXAMPLES = {
    "AnomalySandbox": Example(
        lambda: widgets.AnomalySandbox(
            torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), k=5, title=HOSTILE
        ),
        lambda w: [f"Flagged by {sum(int(flags[0]) for flags in w.flagged().values())} of 6."],
        {"contamination": 0.35, "shown": "iforest"},
    ),
    "AugmentationViews": Example(
        lambda: widgets.AugmentationViews(_images(2, side=32), names=[HOSTILE, "b"], title=HOSTILE),
        lambda w: [f"{len(w.views())} views.", "View 1 of 10: rows 0 to 27, columns 0 to 27."],
        {"chosen": 1},
    ),
    "AugmentationViews, random": Example(
        lambda: widgets.AugmentationViews(_images(2, side=32), kind="random", title=HOSTILE),
        lambda w: [
            f"{2 * (33 - w.crop) ** 2} versions of each image.",
            f"rows {w.draws()[0].top} to {w.draws()[0].top + w.crop - 1}, ",
        ],
        {"crop": 24, "sigma": 0.5, "seed": 7},
    ),
    "AutoencoderRace": Example(
        _race, lambda w: [f"PCA, k = {w.k}", f"{w.pca_error:.3f}", "step 0"], {"k": 4, "seed": 9}
    ),
    "BetaLineup": Example(
        _lineup,
        lambda w: [f"{line['shares'][w.factor]:.2f} of the variance" for line in w.lines],
        {"factor": 1},
    ),
    "BilinearGame": Example(
        lambda: widgets.BilinearGame(0.3, y=-0.5, title=HOSTILE),
        lambda w: [
            f"{rule}× {w.growth[rule]:.4f}now at {far[-1]:.3g}" for rule, far in w.distances.items()
        ],
        {"step_size": 0.5, "x": -1.5, "steps": 7},
    ),
    "BottleneckCounter": Example(
        lambda: widgets.BottleneckCounter(title=HOSTILE),
        lambda w: [
            f"{_grouped(w.cost.multiplications)} multiplications",
            f"{_grouped(w.cost.parameters)} parameters, output depth {w.output_depth}",
        ],
        {"size": 14, "five": 3},
    ),
    "CompoundScaling": Example(
        lambda: widgets.CompoundScaling(1.7, way="width", title=HOSTILE),
        lambda w: [
            f"{w.cost.multiplications / 1e9:.2f} G multiplications",
            f"α·β2·γ2 = {w.growth:.3f}",
        ],
        {"phi": 2.5, "alpha": 1.3, "way": "compound"},
    ),
    "ConvolutionByHand": Example(
        lambda: widgets.ConvolutionByHand(flip=True, position=4, title=HOSTILE),
        lambda w: [f"= {_signed(w.output[1, 1], 0)}", "turned before use"],
        {"kernel": [[0, 1, 0], [0, 2, 0], [3, 0, -1]]},
    ),
    "ConvolutionStack": Example(
        lambda: widgets.ConvolutionStack(
            _images(2, side=9), captions=[HOSTILE, "b"], position=(1, 3), title=HOSTILE
        ),
        lambda w: [
            f"max(0, {_signed(w.sums[w.filter][tuple(w.position)], 0)}) = ",
            f"largest: {_signed(w.pooled[w.filter][w.position[0] // 2, w.position[1] // 2], 0)}",
        ],
        {"filter": 1, "position": [2, 0], "padding": 1, "selected": 1, "bias": [1, -2]},
    ),
    "DigitGAN": Example(
        lambda: widgets.DigitGAN(_images(64, 1, 8), width=4, steps=20, title=HOSTILE),
        lambda w: ["step 0", f"seed {w.seed}", f"learning rate of both{w.lr:g}"],
        {"lr": 2e-3, "seed": 9},
    ),
    "EmbeddingExplorer": Example(
        lambda: _embedding(view="pca"),
        lambda w: [
            *(f"{value:.3f}" for value in w.quality().values()),
            f"Point {w.selected + 1}: {HOSTILE}",
        ],
        {"k": 4, "selected": 6},
    ),
    "EmbeddingExplorer, t-SNE": Example(
        _embedding,
        lambda w: [f"{value:.3f}" for value in w.quality().values()],  # it starts from PCA
        {"perplexity": 3.0, "k": 3},
    ),
    "FoolTheCritic": Example(
        _critic,
        lambda w: [
            f"Digit {HOSTILE}: logit {_signed(w.examples[0]['logit'])}",
            f"G(z) of the walk: logit {_signed(w.sample_logit)}",
        ],
        {},
    ),
    "IsolationCuts": Example(
        lambda: widgets.IsolationCuts(title=HOSTILE),
        lambda w: [f"c({len(w.points)}) = {w.average_path:.3f}"],
        {"selected": 4, "guess": 3, "cuts": 7, "trees": 30},
    ),
    "ImageRepair": Example(
        _repair,
        lambda w: [f"{_signed(value, 1)} dB" for value in w.quality().values()],
        {"view": "error"},
    ),
    "KernelLab": Example(
        lambda: widgets.KernelLab(_images(2), captions=[HOSTILE, "b"], bias=0.1, title=HOSTILE),
        lambda w: [
            f"y[12, 12] = sum of the products + bias = {_signed(w.output[12, 12] - 0.1, 3)} + 0.10 "
            f"= {_signed(w.output[12, 12], 3)}",
            f"from {_signed(w.output.min())} to {_signed(w.output.max())}",
        ],
        {"kernel": [[0, 1, 0], [0, -2, 0], [0, 1, 0]]},
    ),
    "LatentTraversal": Example(
        lambda: _traversal(4), lambda w: ["d moves, the others stay", "unused by the model"], {}
    ),
    "LatentTraversal, a plane": Example(
        lambda: _traversal(2), lambda w: [f"{HOSTILE} moves, the others stay"], {}
    ),
    "LiveTraining": Example(
        _training,
        lambda w: [
            f"learning rate{w.numbers['lr']:g}",
            f"Fullest colour: ±{w.views[0]['limit']:.3f}",
            f"step 0 · epoch 0.0 · seed {w.seed}",
        ],
        {"numbers": {"lr": 0.1}},
    ),
    "LOFOpened": Example(
        lambda: widgets.LOFOpened(title=HOSTILE),
        lambda w: [f"({' + '.join(f'{row.ratio:.3f}' for row in w.table())}) / {w.k} = "
                   f"{w.lof[w.selected]:.3f}"],
        {"k": 2, "selected": 9},
    ),
    "LookInside": Example(
        _look_inside,
        lambda w: [
            f"{w.top()[0][0]}{100 * w.top()[0][1]:.1f} %",
            f"Channel {w.channel} of {w.layers[w.layer]['title']}",
            f"Strongest: {_signed(w.maps()[w.channel].max())}, in row ",
        ],
        {"layer": 1, "channel": 2},
    ),
    "LookInside, a photograph": Example(
        lambda: _look_inside(input="photograph", layer=1),
        lambda w: [f"Load the network, {w.network['bytes'] / 1e6:.2f} MB"],
        {"channel": 1},
    ),
    "ManifoldField": Example(
        lambda: widgets.ManifoldField(
            torch.linspace(-0.5, 0.5, 24).view(12, 2), hidden=3, title=HOSTILE
        ),
        lambda w: [f"best of all denoisers {w.best_loss:.3g}", "of 12", f"{w.noise:.2f}"],
        {"shape": "moons", "noise": 0.2, "score": True, "selected": 7},
    ),
    "NameTheSlider": Example(
        lambda: widgets.NameTheSlider(TinyVAE(), with_factors(), title=HOSTILE),
        lambda w: ["0 of 4 are named.", "Latent 3"],
        {},
    ),
    "NetworkByHand": Example(
        _network_by_hand,
        lambda w: [
            f"{w.class_names[int(w.logits().argmax())]} logit {_signed(w.logits().max())}",
            f"max(0, {_signed(w.sums()[w.filter][tuple(w.position)])}) = ",
        ],
        {"stage": 1, "filter": 3, "channel": 2, "position": [1, 4]},
    ),
    "NetworkExplorer": Example(
        lambda: widgets.NetworkExplorer(
            {HOSTILE: widgets.network_explorer.DigitCNN()}, title=HOSTILE
        ),
        lambda w: [f"{w.table().parameters:,} parameters, {w.table().multiplications:,} multipl"],
        {"layer": "conv2"},
    ),
    "OcclusionMap": Example(
        _occlusion,
        lambda w: [
            f"{w.probability_whole:.3f} → {w.probability:.3f}",
            f"{w.map().drops.numel()} places",
        ],
        {},
    ),
    "PlaneGAN": Example(
        lambda: widgets.PlaneGAN(rounds=3, title=HOSTILE),
        lambda w: ["Modes covered", "of 8", "round 0"],
        {"shape": "grid", "seed": 5, "loss": "minimax", "players": "D alone", "rate_g": 1e-4,
         "d_steps": 3},
    ),
    "PosteriorVsPrior": Example(
        lambda: widgets.PosteriorVsPrior(-1.0, 0.1, title=HOSTILE),
        lambda w: [
            f"KL = {w.kl:.3f} nats",
            f"adds {w.integrand_areas[0]:.3f}",
            f"{w.estimate[0]:.3f} ± {w.estimate[1]:.3f}",
        ],
        {"mu": -0.123, "sigma": 1.77},
    ),
    "PosteriorVsPrior, sampled": Example(
        lambda: widgets.PosteriorVsPrior(3.0, 2.5, reparameterised=False, title=HOSTILE),
        lambda w: [f"KL = {w.kl:.3f} nats", "A draw has no derivative"],
        {"mu": 0.5, "n_samples": 12},
    ),
    "ReceptiveField": Example(
        lambda: widgets.ReceptiveField(
            {HOSTILE: (nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.MaxPool2d(3)), (3, 64, 64))},
            network=HOSTILE, unit=(1, 2), title=HOSTILE,
        ),
        lambda w: [
            f"{w.field.size}×{w.field.size} pixels",
            f"rows {w.spans[0][0]} to {w.spans[0][1]}, columns {w.spans[1][0]} to {w.spans[1][1]}",
        ],
        {"layer": 1, "unit": [5, 0]},
    ),
    "RotateLatent": Example(
        lambda: widgets.RotateLatent(TinyVAE(), with_factors(), angle=25, title=HOSTILE),
        lambda w: [
            *(f"{value:.2f}" for value in w.scores().values()),
            f"{w.losses()['negative-elbo']:.4f} nats",
            f"{w.losses()['diagonal-loss']:.3f} nats",
        ],
        {},
    ),
    "SignalThroughDepth": Example(
        lambda: widgets.SignalThroughDepth(50, 1.7, "tanh", shortcuts=True, title=HOSTILE),
        lambda w: [f"{float(w.sizes.signal[-1]):.3g}", f"{float(w.sizes.gradient[0]):.3g}"],
        {"depth": 5, "gain": 0.5},
    ),
    "Softmax": Example(
        lambda: widgets.Softmax([2.0, -9.5, 1.0], [HOSTILE, "b", "c"], label=2, title=HOSTILE),
        lambda w: [f"L = −log {w.probabilities[2]:.3f} = {w.loss:.3f} nats"],
        {"logits": [3.0, 1.0, 2.5], "temperature": 2.0},
    ),
    "SparseCode": Example(
        _sparse, lambda w: ["of 9 units are dead", f"{w.weight:g}"], {"weight": 0.5, "selected": 3}
    ),
    "TextureDefects": Example(
        _texture,
        lambda w: [f"No alarm. Score {w.score():.4f}; the highest of the good windows"],
        {},
    ),
    "ThresholdLab": Example(
        lambda: widgets.ThresholdLab(
            [0, 0, 1, 0, 1, 0], [0.1, 0.4, 0.35, 0.8, 0.9, 0.2], cut=3, title=HOSTILE
        ),
        lambda w: [f"Cost {w.cost:.0f};", f"flaggednot flaggedanomalies{w.counts['tp']}found"],
        {"cut": 5, "miss_cost": 12.0},
    ),
    "TopK": Example(
        _top_k,
        lambda w: [f"{100 * w.error(w.k):.1f} %", f"{100 * w.shown_error(1):.1f} %"],
        {"k": 2},
    ),
    "ToyCodes": Example(
        lambda: widgets.ToyCodes(angle=20, copies=2, rows=250, title=HOSTILE),
        lambda w: [f"{value:.2f}" for value in w.scores().values()],
        {"noise": 0.5, "copies": 1, "bins": 10},
    ),
}  # fmt: skip


def _another(value: Any, allowed: Setting) -> Any:
    """Some other value that a setting may have; None where that is no number, word or switch."""
    if "flag" in allowed:
        return not value
    choices = next((allowed[kind] for kind in ("number", "whole", "words") if kind in allowed), [])
    return next((choice for choice in reversed(choices) if choice != value), None)


def as_it_comes(kind: type[LiveWidget]) -> Example:
    """A widget without arguments, and each of its settings at another value."""
    widget = kind()
    others = {
        name: _another(getattr(widget, name), allowed) for name, allowed in settings(widget).items()
    }
    return Example(kind, lambda w: [], {k: v for k, v in others.items() if v is not None})


for _name in sorted(set(widgets.__all__) - {name.partition(",")[0] for name in EXAMPLES}):
    try:
        EXAMPLES[_name] = as_it_comes(getattr(widgets, _name))
    except TypeError as error:
        raise TypeError(
            f"{_name} has no example in tests/support/every_widget.py and needs one, "
            "because it cannot be made without arguments"
        ) from error
