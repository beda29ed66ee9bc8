"""The named models of the book: data set, model, settings and the figure that each must reach.

`load` gives a trained model, `train` makes one again from nothing, `verify` checks that what
ships is intact and as good as its card says. On the command line: `companion train NAME`,
`companion models --verify`.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from companion import weights
from companion.datasets import ImageSet, load_images
from companion.models import ConvVAE, VAEOutput, gaussian_constant, vae_loss
from companion.paths import cache_dir, data_dir
from companion.training import Data, Loss, fit
from companion.weights import Card, WeightsError


@dataclass(frozen=True)
class Goal:
    """A figure and the bound that it must keep: "lower" is better, or "higher"."""

    figure: str
    bound: float
    better: Literal["lower", "higher"] = "lower"

    def reached(self, figures: Mapping[str, Any]) -> bool:
        """Whether the figures keep the bound."""
        value = figures[self.figure]
        return bool(value <= self.bound if self.better == "lower" else value >= self.bound)

    @property
    def limit(self) -> str:
        """The bound in symbols, such as '≤ 27'."""
        return f"{'≤' if self.better == 'lower' else '≥'} {self.bound:g}"


@dataclass(frozen=True)
class Recipe:
    """How a model that has a name is made.

    `settings` has one mapping of keyword arguments for each of "model", "loss" and "fit"; they are
    what the card records. `train_data` gives what `fit` takes as data, `test_data` images that it
    never sees. `evaluate(model, images)` gives the figures, `must_reach` says which of them count.
    """

    name: str
    description: str
    data: str
    settings: Mapping[str, Mapping[str, Any]]
    model: Callable[..., nn.Module]
    loss: Callable[..., Loss]
    train_data: Callable[[], Data | Callable[[int], Data]]
    test_data: Callable[[], ImageSet]
    evaluate: Callable[[nn.Module, ImageSet], dict[str, Any]]
    must_reach: tuple[Goal, ...]
    seed: int = 0
    dtype: str = "float16"

    def build(self) -> nn.Module:
        """The untrained model, the same weights every time."""
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(self.seed)
            return self.model(**self.settings["model"])

    def missed(self, figures: Mapping[str, Any]) -> list[str]:
        """What the figures fail to reach, one phrase for each goal; empty if all is well."""
        return [
            f"{goal.figure} is {figures[goal.figure]:.4g}, and must be {goal.limit}"
            for goal in self.must_reach
            if not goal.reached(figures)
        ]


class Loaded(NamedTuple):
    """A trained model, on the CPU in evaluation mode, and the card that says where it is from."""

    model: Any
    card: Card


_RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> Recipe:
    """Add a recipe under its name."""
    _RECIPES[recipe.name] = recipe
    return recipe


def names() -> list[str]:
    """The names of all recipes."""
    return sorted(_RECIPES)


def get(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError if there is none."""
    if name not in _RECIPES:
        close = get_close_matches(name, _RECIPES, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"there is no recipe {name!r}{hint}; there are {', '.join(names())}")
    return _RECIPES[name]


def stored_at(name: str, folder: str | Path | None = None) -> Path:
    """Where `train` stores the weights of a recipe: in `folder`, by default the reader's own."""
    folder = cache_dir() / "weights" if folder is None else Path(folder)
    return folder / f"{get(name).name}.safetensors"


def find(name: str) -> Path | None:
    """Where the weights of a recipe lie: those that ship, else those trained here, else None."""
    paths = (stored_at(name, data_dir()), stored_at(name))
    return next((path for path in paths if path.exists()), None)


def load(name: str, *, folder: str | Path | None = None, or_train: bool = False) -> Loaded:
    """The trained model of that name.

    Looks for the weights that ship with the book, then for those that `train` made on this
    machine; `folder` names the only place to look. Where there are none, `or_train` trains the
    model now, and the next call finds it.

    Raises ValueError for an unknown name, WeightsError if the weights are missing or damaged.
    """
    recipe = get(name)
    path = find(name) if folder is None else stored_at(name, folder)
    if path is None and or_train:
        return train(name)
    if path is None:
        raise WeightsError(
            f"there are no weights of {name!r}, neither {stored_at(name, data_dir())} nor "
            f"{stored_at(name)}; make them with `companion train {name}`"
        )
    model = recipe.build()
    card = weights.load(model, path)
    return Loaded(model.eval(), card)


def train(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    epochs: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
) -> Loaded:
    """Train the model of that name from nothing; store and return it, with its card.

    Stores into the folder `out`, by default the reader's own (`weights` in the cache folder): what
    ships with the book is replaced only by `out="data"`, in the repository. `device`, `precision`
    and `epochs` are those of `fit`, where the recipe should not decide. The figures on the card
    are those of the stored weights on images that the training never saw; whether they are good
    enough, `get(name).missed(card.figures)` tells.
    """
    recipe = get(name)
    model, test_data = recipe.build(), recipe.test_data()
    settings = dict(recipe.settings["fit"])
    command = ["companion", "train", name]
    for option, value in (("device", device), ("precision", precision), ("epochs", epochs)):
        if value not in ("auto", None):
            settings[option] = value
            command += [f"--{option}", str(value)]
    history = fit(
        model,
        recipe.train_data(),
        recipe.loss(**recipe.settings["loss"]),
        seed=recipe.seed,
        validation=test_data,
        progress=progress,
        **settings,
    )
    weights.round_to(model, recipe.dtype)
    card = Card(
        recipe=name,
        description=recipe.description,
        command=shlex.join(command),
        data=recipe.data,
        seed=recipe.seed,
        settings={**recipe.settings, "fit": settings},
        hardware=history.device,
        seconds=round(sum(history.seconds), 1),
        figures=_rounded(recipe.evaluate(model, test_data)),
        history=_rounded(history.epochs),
    )
    card = weights.save(model, stored_at(name, out), card, dtype=recipe.dtype)
    return Loaded(model, card)


def verify(name: str) -> Card:
    """Check the weights that `load` finds: intact, as good as their card says, and good enough.

    Returns the card. Raises WeightsError, saying what is wrong.
    """
    recipe = get(name)
    model, card = load(name)
    figures = recipe.evaluate(model, recipe.test_data())
    if missed := recipe.missed(figures):
        raise WeightsError(f"{name} does not reach its goal: {'; '.join(missed)}")
    for goal in recipe.must_reach:
        stated, came = card.figures[goal.figure], figures[goal.figure]
        if abs(stated - came) > 1e-3 * abs(stated):
            raise WeightsError(
                f"{name} does not do what its card says: {goal.figure} {stated:.5g} is stated, "
                f"{came:.5g} came; train it again with `{card.command}`"
            )
    return card


def _rounded(value: Any) -> Any:
    """Numbers to six digits, in any nesting of dicts and lists: a card is to be read."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


# ---- variational autoencoders (chapter 12)


def negative_elbo(
    C: float, beta: float = 1.0, *, first_beta: float | None = None, anneal: float = 0.0
) -> Loss:
    """The VAE's loss as `fit` takes it: "loss" and its two parts, in nats per image.

    With `first_beta`, the weight on the KL moves geometrically from there to `beta` over the first
    `anneal` (0 to 1) of the training, and stays.
    """

    def loss(
        model: nn.Module, images: Tensor, labels: Tensor | None, progress: float = 1.0
    ) -> dict[str, Tensor]:
        weight = beta
        if first_beta is not None and progress < anneal:
            weight = beta * (first_beta / beta) ** (1 - progress / anneal)
        # Under autocast the outputs are bf16 or fp16: too few digits for sums over all pixels.
        output = VAEOutput(*(part.float() for part in model(images)))
        parts = vae_loss(images, output, C=C, beta=weight)
        return {"loss": parts.total, "reconstruction": parts.reconstruction, "kl": parts.kl}

    return loss


def evaluate_vae(model: nn.Module, images: ImageSet, *, C: float) -> dict[str, Any]:
    """A VAE's figures on a set of images, in nats per image, with one draw of z for each image.

    `negative_elbo` = `reconstruction` (C·‖x − x̂‖²) + `kl` (weight 1, whatever β the model was
    trained with). Add `gaussian_constant` to get the bound on −log p(x), a density over images in
    [0, 1]. `kl_per_dim` has one entry for each latent dimension; `explained`, where the factors of
    the images are known, the share of the variance of each latent mean that each factor explains.
    """
    sums: dict[str, Tensor] = {}
    means = []
    with torch.random.fork_rng([]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        for start in range(0, len(images), 256):
            x = images.images[start : start + 256] / 255
            output = model(x)
            parts = vae_loss(x, output, C=C)
            means.append(output.mu)
            for name in ("reconstruction", "kl", "kl_per_dim"):
                sums[name] = sums.get(name, 0) + getattr(parts, name).double() * len(x)
    averages = {name: (total / len(images)).tolist() for name, total in sums.items()}
    figures = {
        "negative_elbo": averages["reconstruction"] + averages["kl"],
        **averages,
        "gaussian_constant": gaussian_constant(C, images.images.shape[1:]),
    }
    if images.factors:
        mu = torch.cat(means)
        figures["explained"] = {k: explained(mu, v).tolist() for k, v in images.factors.items()}
    return figures


def explained(codes: Tensor, factor: Tensor, *, bins: int = 20) -> Tensor:
    """The share, 0 to 1, of the variance of each column of N×d `codes` that a factor explains.

    It is the correlation ratio η²: the variance of the group means over the variance of all, where
    images with the same factor are one group (a continuous factor is cut into `bins` groups of
    equal size). By chance alone it is about (groups − 1)/N. Of a collapsed
    dimension it says little: whatever small variance is left may be explained very well.
    """
    if factor.is_floating_point():
        order = factor.argsort().argsort()
        group = order * bins // len(factor)
    else:
        group = factor.unique(return_inverse=True)[1]
    centred = codes.double() - codes.double().mean(0)
    sizes = torch.bincount(group).clamp(min=1)
    sums = torch.zeros(len(sizes), codes.shape[1], dtype=torch.float64)
    sums.index_add_(0, group, centred)
    between = (sums.square() / sizes[:, None]).sum(0)
    total = centred.square().sum(0)
    return torch.where(total > 0, between / total.clamp(min=1e-300), 0.0)


def _vae(*, model: dict[str, Any], loss: dict[str, Any], fit: dict[str, Any], **rest: Any) -> None:
    register(
        Recipe(
            model=ConvVAE,
            loss=negative_elbo,
            evaluate=partial(evaluate_vae, C=loss["C"]),
            settings={"model": model, "loss": loss, "fit": fit},
            **rest,
        )
    )


_vae(
    name="vae-digits",
    description="A VAE with two latent dimensions on 8×8 handwritten digits: seconds to train.",
    data="scikit-learn's digits, one image in five of each class held out",
    model={"image_shape": (1, 8, 8), "latent_dim": 2, "widths": (32,), "hidden": 64},
    loss={"C": 10.0},
    fit={"epochs": 60, "batch_size": 64, "lr": 8e-3, "schedule": "cosine"},
    train_data=partial(load_images, "digits", "train"),
    test_data=partial(load_images, "digits", "test"),
    must_reach=(Goal("negative_elbo", 27.0),),
)

_vae(
    name="vae-sprites",
    description="A VAE with eight latent dimensions on coloured 64×64 sprites.",
    data="sprites: 8,192 drawn anew for each epoch, 2,000 others held out",
    model={"image_shape": (3, 64, 64), "latent_dim": 8},
    # A KL that weighs heavily at first has the latents find the factors one after the other.
    loss={"C": 4.0, "first_beta": 200.0, "anneal": 0.75},
    fit={
        "epochs": 96,
        "batch_size": 32,
        "lr": 1e-3,
        "schedule": "cosine",
        "channels_last": True,
    },
    train_data=lambda: lambda epoch: load_images("sprites", "train", size=8192, seed=epoch),
    test_data=partial(load_images, "sprites", "test"),
    must_reach=(Goal("negative_elbo", 70.0),),
)
