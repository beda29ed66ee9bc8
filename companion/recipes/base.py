"""What a recipe is, and what is done with one: train, load, verify."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from companion.datasets import ImageSet, is_here, load_images
from companion.paths import cache_dir, data_dir, expanded
from companion.recipes import weights
from companion.recipes.weights import Card, WeightsError
from companion.threads import limit_threads
from companion.training import History, Loss, fit
from companion.training.augmentation import (
    Augmentation,
    coarsen,
    compose,
    crop_and_flip,
    cutout,
    mix_digits,
)
from companion.training.batches import Data

# What a recipe's settings may do to training images, in this order.
_CHANGES: dict[str, Callable[..., Augmentation]] = {
    "augment": crop_and_flip,
    "cutout": cutout,
    "coarsen": coarsen,
    "mix_digits": mix_digits,
}


@dataclass(frozen=True)
class Goal:
    """A figure and the bound that it must keep: "lower" is better, or "higher"."""

    figure: str
    bound: float
    better: Literal["lower", "higher"] = "lower"

    def rank(self, figures: Mapping[str, Any]) -> float:
        """The figure, turned so that the greater is the better."""
        value = float(figures[self.figure])
        return -value if self.better == "lower" else value

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
    """How a model that has a name is made: data set + model + settings + the figure it must reach.

    `dataset` is a name that `load_images` knows, `data` says for people what is used of it. `drawn`
    is for generated data: so many images are drawn anew for each epoch. `settings` has one mapping
    of keyword arguments for each of "model", "loss" and "fit", and perhaps "optimizer" (with the
    `name` of a class of torch.optim), "augment" (for `crop_and_flip`), "cutout", "coarsen" and
    "mix_digits" (for the functions of these names, in this order); they are what the card records.
    `evaluate(model, images)` gives the figures on images that the training never sees, `must_reach`
    says which of them count. With several `seeds` it is trained once with each; the run that is
    best by the first of `must_reach` is kept, and the card tells of all. A recipe that does not
    `ship` leaves only its card: a recorded run. `needs` are the recipes whose models its figures
    need. With `halves`, its test images are split: the second of every two are there to choose by
    (epochs, seeds, settings), the first for the card's figures alone.
    """

    name: str
    description: str
    dataset: str
    data: str
    settings: Mapping[str, Mapping[str, Any]]
    model: Callable[..., nn.Module]
    loss: Callable[..., Loss]
    evaluate: Callable[[Any, ImageSet], dict[str, Any]]
    must_reach: tuple[Goal, ...]
    drawn: int | None = None
    seeds: tuple[int, ...] = (0,)
    dtype: str = "float16"
    ships: bool = True
    needs: tuple[str, ...] = ()
    halves: bool = False

    def build(self, seed: int | None = None) -> nn.Module:
        """The untrained model for a seed, by default the first: the same weights every time."""
        with torch.random.fork_rng([]), torch.device("cpu"):
            torch.default_generator.manual_seed(self.seeds[0] if seed is None else seed)
            return self.model(**self.settings["model"])

    def objects(self) -> dict[str, Any]:
        """What `fit` takes as objects, `optimizer` and `augment`, as the settings describe them."""
        objects: dict[str, Any] = {}
        if "optimizer" in self.settings:
            arguments = dict(self.settings["optimizer"])
            name = arguments.pop("name")
            objects["optimizer"] = partial(getattr(torch.optim, name), **arguments)
        changes = [
            make(**self.settings[key]) for key, make in _CHANGES.items() if key in self.settings
        ]
        if changes:
            objects["augment"] = compose(*changes)
        return objects

    def train_data(self, data: str | Path | None = None) -> Data | Callable[[int], Data]:
        """What `fit` takes as data: from `data` (a name, or a folder of images) or the recipe's."""
        if self.drawn is not None and data is None:
            return lambda epoch: load_images(self.dataset, "train", size=self.drawn, seed=epoch)
        return self._load("train", data)

    def test_data(self, data: str | Path | None = None) -> ImageSet:
        """The images for `evaluate`."""
        return self.held_out(data)[1]

    def held_out(self, data: str | Path | None = None) -> tuple[ImageSet, ImageSet]:
        """The images to choose by, and those for `evaluate`: the same ones without `halves`."""
        images = self._load("test", data)
        return (images[1::2], images[::2]) if self.halves else (images, images)

    def _load(self, split: str, data: str | Path | None) -> ImageSet:
        if data is None or str(data) == self.dataset:
            return load_images(self.dataset, split)
        model: Any = self.build()
        wanted = model.image_shape
        own = expanded(data).is_dir()
        images = load_images(data, split, image_size=wanted[1] if own else None)
        if images.image_shape != wanted:
            came, shape = ("×".join(map(str, s)) for s in (images.image_shape, wanted))
            raise ValueError(f"{self.name} takes images of {shape}, but those of {data} are {came}")
        classes = getattr(model, "num_classes", None)
        if classes and len(images.class_names) != classes:
            raise ValueError(
                f"{self.name} tells {classes} classes apart, but {data} has "
                f"{len(images.class_names)}"
            )
        return images

    def takes(self, data: str | Path) -> bool:
        """Whether these images have this model's shape and, for a classifier, its classes."""
        try:
            self._load("test", data)
        except ValueError:
            return False
        return True

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


def in_order() -> list[str]:
    """The names of all recipes, each after those whose models it needs for its figures."""
    return list(_RECIPES)


def get(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError if there is none."""
    if name not in _RECIPES:
        close = get_close_matches(name, _RECIPES, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"there is no recipe {name!r}{hint}; there are {', '.join(names())}")
    return _RECIPES[name]


def stored_at(name: str, folder: str | Path | None = None) -> Path:
    """Where `train` stores a recipe's result: in `folder`, by default the reader's own.

    It is the file of the weights, or, of a recorded run, the card.
    """
    folder = cache_dir() / "weights" if folder is None else expanded(folder)
    return folder / f"{name}.{'safetensors' if get(name).ships else 'json'}"


def find(name: str) -> Path | None:
    """Where a recipe's result lies: what ships, else what was trained here, else None."""
    paths = (stored_at(name, data_dir()), stored_at(name))
    return next((path for path in paths if path.exists()), None)


def load(name: str, *, folder: str | Path | None = None, or_train: bool = False) -> Loaded:
    """The trained model of that name.

    Looks for the weights that ship with the book, then for those that `train` made on this
    machine; `folder` names the only place to look. Where there are none, `or_train` trains the
    model now, and the next call finds it.

    Raises ValueError for an unknown name and for a recorded run, which has no weights;
    WeightsError if the weights are missing or damaged.
    """
    limit_threads()
    recipe = get(name)
    if not recipe.ships:
        raise ValueError(f"{name} is a recorded run without weights: recipes.record gives its card")
    path = find(name) if folder is None else stored_at(name, folder)
    if or_train and (path is None or not path.exists()):
        return train(name, out=folder)
    model = recipe.build()
    card = weights.load(model, _present(name, path))
    return Loaded(model.eval(), card)


def record(name: str, *, folder: str | Path | None = None) -> Card:
    """The card of a recipe: its figures, and its training epoch by epoch (`history`).

    Looks where `load` looks. Raises WeightsError if there is none, or it is damaged.
    """
    path = find(name) if folder is None else stored_at(name, folder)
    return weights.read_card(_present(name, path).with_suffix(".json"))


def _present(name: str, path: Path | None) -> Path:
    if path is None:
        raise WeightsError(
            f"there are no weights of {name!r}, neither {stored_at(name, data_dir())} nor "
            f"{stored_at(name)}; make them with `companion train {name}`"
        )
    return path


def train(
    name: str,
    *,
    data: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    epochs: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
) -> Loaded:
    """Train the model of that name from nothing; store and return it, with its card.

    Stores into the folder `out`, by default the reader's own (`weights` in the cache folder): what
    ships with the book is replaced only by `out="data"`, in the repository. `data` is another data
    set of the same kind, by name or as a folder of images; `device`, `precision` and `epochs` are
    those of `fit`, where the recipe should not decide. What would fail once it is trained fails
    before: a place that cannot be written, a model that the figures need, images that cannot be
    measured on. Killed and called again, it goes on from its
    last checkpoint, which lies in the cache folder until it is done. The figures on the card
    are those of the stored weights on images that the training never saw; whether they are good
    enough for the recipe's own data, `get(name).missed(card.figures)` tells.
    """
    recipe, device = get(name), str(device)
    path = stored_at(name, out)
    weights.check_place(path)
    for needed in recipe.needs:
        load(needed)
    if data is not None and str(data) == recipe.dataset:
        data = None
    if isinstance(epochs, Integral):  # the card cannot hold NumPy's numbers; `fit` checks the rest
        epochs = int(epochs)
    train_data, (choosing_data, test_data) = recipe.train_data(data), recipe.held_out(data)
    if data is not None:
        recipe.evaluate(recipe.build().eval(), test_data)
    settings = dict(recipe.settings["fit"])
    command = ["companion", "train", name]
    source = data
    if data is not None and expanded(data).is_dir():
        source = expanded(data).name or expanded(data).resolve().name
        source = source.encode(errors="replace").decode()  # a name need not be Unicode, a card is
    for option, value in (
        ("data", source), ("device", device), ("precision", precision), ("epochs", epochs)
    ):  # fmt: skip
        if value not in ("auto", None):
            if option != "data":
                settings[option] = value
            command += [f"--{option}", str(value)]
    all_settings = {**recipe.settings, "fit": settings}
    runs = []
    for seed in recipe.seeds:
        model = recipe.build(seed)
        # A run that is complete is not trained again if a later seed's is broken off.
        checkpoint = _checkpoint(name, str(data), all_settings, seed)
        history = fit(
            model,
            train_data,
            recipe.loss(**recipe.settings["loss"]),
            seed=seed,
            validation=choosing_data,
            checkpoint=checkpoint,
            progress=progress,
            **recipe.objects(),
            **settings,
        )
        weights.round_to(model, recipe.dtype)
        figures = recipe.evaluate(model, test_data)
        chosen_by = recipe.evaluate(model, choosing_data) if recipe.halves else figures
        runs.append(_Run(seed, model, history, figures, chosen_by, checkpoint))
    best = max(runs, key=lambda run: recipe.must_reach[0].rank(run.chosen_by))
    card = Card(
        recipe=name,
        description=recipe.description,
        command=shlex.join(command),
        data=recipe.data if data is None else f"{source}, in place of: {recipe.data}",
        seed=best.seed,
        settings=all_settings,
        hardware=best.history.device,
        seconds=round(sum(sum(run.history.seconds) for run in runs), 1),
        figures=rounded(best.figures),
        history=rounded(best.history.epochs),
        seeds=rounded(_spread(recipe, runs)),
    )
    try:
        if recipe.ships:
            card = weights.save(best.model, path, card, dtype=recipe.dtype)
        else:
            card = weights.save_card(best.model, path, card)
    except OSError as error:
        raise OSError(
            f"{name} is trained, but {path} cannot be written: {error.strerror}. Make room, or "
            "give another folder: the training is kept, and the same command stores it at once"
        ) from error
    for run in runs:
        run.checkpoint.unlink(missing_ok=True)
    return Loaded(best.model, card)


class _Run(NamedTuple):
    seed: int
    model: nn.Module
    history: History
    figures: dict[str, Any]
    chosen_by: dict[str, Any]
    checkpoint: Path


def _spread(recipe: Recipe, runs: list[_Run]) -> dict[str, dict[str, Any]]:
    """What each seed reached, where there are several: {figure: {seed: value}}."""
    if len(runs) == 1:
        return {}
    return {
        goal.figure: {str(run.seed): run.figures[goal.figure] for run in runs}
        for goal in recipe.must_reach
    }


def _checkpoint(name: str, data: str, settings: Mapping[str, Any], seed: int) -> Path:
    """The file for a training with these settings, and for no other."""
    digest = hashlib.sha256(json.dumps([data, settings, seed], sort_keys=True).encode()).hexdigest()
    return cache_dir() / "training" / f"{name}-{digest[:12]}.checkpoint"


class Verified(NamedTuple):
    """A card that was checked.

    `on` says on which images its figures were measured, None if on none; `figures` are what came,
    or the card's.
    """

    card: Card
    on: str | None
    figures: Mapping[str, Any]


def verify(name: str, data: str | Path | None = None) -> Verified:
    """Check the weights that `load` finds: intact, as good as their card says, and good enough.

    The figures are measured on the recipe's images or on those of `data`. Nothing is downloaded for
    that: where the images are not here, and for a recorded run, the card's own figures have to
    reach the goal. The goal is for the recipe's own data: a model that was trained or is measured
    on others need not reach it. Raises WeightsError, saying what is wrong.
    """
    recipe = get(name)
    if data is not None and str(data) == recipe.dataset:
        data = None
    if not recipe.ships:
        card, figures, on = record(name), None, None
    else:
        model, card = load(name)
        on = recipe.dataset if data is None else str(data)
        here = data is not None or is_here(recipe.dataset)
        figures = recipe.evaluate(model, recipe.test_data(data)) if here else None
        on = on if here else None
    trained_on_others = "--data" in card.command
    came = card.figures if figures is None else figures
    if data is None and not trained_on_others and (missed := recipe.missed(came)):
        raise WeightsError(f"{name} does not reach its goal: {'; '.join(missed)}")
    # On other images than the card's, figures may well differ a little from the card's.
    own = trained_on_others == (data is not None)
    for goal in recipe.must_reach if figures and own else ():
        stated, measured = card.figures[goal.figure], came[goal.figure]
        if abs(stated - measured) > 1e-3 * abs(stated):
            raise WeightsError(
                f"{name} does not do what its card says: {goal.figure} {stated:.5g} is stated, "
                f"{measured:.5g} came; train it again with `{card.command}`"
            )
    return Verified(card, on, came)


def rounded(value: Any) -> Any:
    """Numbers to six digits, in any nesting of dicts and lists: a card is to be read."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value
