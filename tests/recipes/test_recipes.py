"""The registry, load-or-train, and the figures by which a recipe is judged."""

import functools
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from companion import recipes
from companion.cli import main
from companion.datasets import ImageSet, is_here, load_images
from companion.disentanglement.explained import explained
from companion.models import ConvVAE
from companion.paths import cache_dir, data_dir
from companion.recipes import Goal, base, weights
from companion.recipes.vaes import evaluate_vae
from companion.recipes.weights import WeightsError
from companion.training import negative_elbo
from companion.training.augmentation import crop_and_flip, cutout


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for what ships and for what the reader trains."""
    monkeypatch.setenv("COMPANION_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest recipe, trained from nothing as the command line does it."""
    folder = tmp_path_factory.mktemp("digits")
    assert main(["train", "vae-digits", "--device", "cpu", "--out", str(folder)]) == 0
    return folder


# ---- from nothing


@pytest.mark.slow
def test_the_smallest_recipe_reaches_its_figure(digits_folder: Path) -> None:
    model, card = recipes.load("vae-digits", folder=digits_folder)
    recipe = recipes.get("vae-digits")
    assert recipe.missed(card.figures) == []
    # Not the card's word: measured again, by another way than `evaluate`.
    images = recipe.test_data()
    x = images.pixels()
    with torch.no_grad():
        mu, log_var = model.encode(x)
        sigma = torch.exp(log_var / 2)
        posterior = torch.distributions.Normal(mu, sigma)
        kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
        errors = [(x - model.decode(posterior.sample())).square().sum() for _ in range(5)]
    C = card.settings["loss"]["C"]
    by_hand = (C * torch.stack(errors).mean() + kl.sum()).item() / len(x)
    assert by_hand == pytest.approx(card.figures["negative_elbo"], rel=0.03)
    assert card.figures["kl_per_dim"] == pytest.approx(kl.mean(0).tolist(), rel=1e-4)
    assert recipe.must_reach[0].bound > by_hand
    assert not model.training


@pytest.mark.slow
def test_the_card_records_how_it_was_made(digits_folder: Path) -> None:
    card = recipes.load("vae-digits", folder=digits_folder).card
    assert card.command == "companion train vae-digits --device cpu"
    assert card.settings["fit"]["epochs"] == len(card.history["loss"])
    assert card.history["validation_loss"][-1] < card.history["validation_loss"][0]
    assert card.seconds > 0
    raw = json.loads((digits_folder / "vae-digits.json").read_text(encoding="utf-8"))
    assert raw["sha256"] == card.sha256
    assert str(Path.home()) not in json.dumps(raw)


def test_short_training_twice_gives_the_same_file(folders: Path) -> None:
    hashes = {
        recipes.train("vae-digits", epochs=1, progress=False, device="cpu", out=folder).card.sha256
        for folder in (folders / "a", folders / "b")
    }
    assert len(hashes) == 1


def test_epochs_are_whole_numbers_of_any_kind(folders: Path) -> None:
    options: dict[str, Any] = {"progress": False, "device": torch.device("cpu")}
    card = recipes.train("vae-digits", epochs=np.int64(1), **options).card
    assert card.command == "companion train vae-digits --device cpu --epochs 1"
    for epochs in (2.5, "3"):
        with pytest.raises(ValueError, match="epochs must be a whole number"):
            recipes.train("vae-digits", epochs=epochs, **options)


def test_training_leaves_the_random_state_alone(folders: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    recipes.train("vae-digits", epochs=1, progress=False, device="cpu")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.filterwarnings("ignore:this processor only imitates bf16")
def test_precision_may_be_the_recipes_or_the_callers(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipes.get("vae-digits")
    settings = {**recipe.settings, "fit": {**recipe.settings["fit"], "precision": "bf16"}}
    monkeypatch.setitem(base._RECIPES, "vae-digits", replace(recipe, settings=settings))
    options: dict[str, Any] = {"epochs": 1, "progress": False, "device": "cpu"}
    card = recipes.train("vae-digits", **options).card
    assert card.settings["fit"]["precision"] == "bf16"
    assert card.command == "companion train vae-digits --device cpu --epochs 1"
    other = recipes.train("vae-digits", precision="fp32", **options).card
    assert other.settings["fit"]["precision"] == "fp32"
    assert other.command == "companion train vae-digits --device cpu --precision fp32 --epochs 1"
    assert other.sha256 != card.sha256


def test_of_several_seeds_the_best_is_kept_and_all_are_told(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipes.get("vae-digits")
    options: dict[str, Any] = {"epochs": 1, "progress": False, "device": "cpu"}
    alone = {}
    for seed in (3, 1, 2):
        monkeypatch.setitem(base._RECIPES, "vae-digits", replace(recipe, seeds=(seed,)))
        alone[seed] = recipes.train("vae-digits", **options).card
        assert (alone[seed].seed, alone[seed].seeds) == (seed, {})
    monkeypatch.setitem(base._RECIPES, "vae-digits", replace(recipe, seeds=(3, 1, 2)))
    model, card = recipes.train("vae-digits", **options)
    best = min(alone, key=lambda seed: alone[seed].figures["negative_elbo"])
    assert (card.seed, card.sha256) == (best, alone[best].sha256)
    assert dict(card.seeds) == {
        "negative_elbo": {str(k): a.figures["negative_elbo"] for k, a in alone.items()}
    }
    assert "negative_elbo by seed: 3: " in card.summary()
    again, _ = recipes.load("vae-digits")
    assert torch.equal(again.decode(torch.zeros(1, 2)), model.decode(torch.zeros(1, 2)))
    assert list((cache_dir() / "training").glob("*")) == []


def test_a_broken_off_training_keeps_the_seeds_that_are_done(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipes.get("vae-digits"), seeds=(1, 2))
    monkeypatch.setitem(base._RECIPES, "vae-digits", recipe)
    options: dict[str, Any] = {"epochs": 2, "progress": False, "device": "cpu"}
    expected = recipes.train("vae-digits", **options, out=folders / "whole").card
    original, epochs = recipe.loss, []

    def loss(**settings: Any) -> Any:
        if len(epochs) == 1:
            raise KeyboardInterrupt
        epochs.append(1)
        return original(**settings)

    monkeypatch.setitem(base._RECIPES, "vae-digits", replace(recipe, loss=loss))
    with pytest.raises(KeyboardInterrupt):
        recipes.train("vae-digits", **options)
    counted = []

    def count(**settings: Any) -> Any:
        inner = original(**settings)

        @functools.wraps(inner)  # under its name, by which the checkpoint knows it
        def counting(*arguments: Any, **rest: Any) -> Any:
            counted.append(1)
            return inner(*arguments, **rest)

        return counting

    monkeypatch.setitem(base._RECIPES, "vae-digits", replace(recipe, loss=count))
    card = recipes.train("vae-digits", **options).card
    assert (card.sha256, card.seeds) == (expected.sha256, expected.seeds)
    batches = -(-len(recipe.train_data()) // recipe.settings["fit"]["batch_size"])  # type: ignore[arg-type]
    assert len(counted) < 4 * batches, "the first seed was not trained again"


# ---- load or train


def test_load_says_what_to_do_where_nothing_is(folders: Path) -> None:
    with pytest.raises(WeightsError, match="make them with `companion train vae-digits`"):
        recipes.load("vae-digits")


@pytest.mark.slow
def test_what_ships_comes_first_then_the_readers_own(folders: Path, digits_folder: Path) -> None:
    own = recipes.train("vae-digits", epochs=1, progress=False, device="cpu")
    assert recipes.find("vae-digits") == cache_dir() / "weights" / "vae-digits.safetensors"
    assert recipes.load("vae-digits").card == own.card
    data_dir().mkdir()
    for suffix in (".safetensors", ".json"):
        name = f"vae-digits{suffix}"
        (data_dir() / name).write_bytes((digits_folder / name).read_bytes())
    assert recipes.find("vae-digits") == data_dir() / "vae-digits.safetensors"
    assert recipes.load("vae-digits").card != own.card


def test_or_train_trains_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    original = recipes.train

    def train(name: str, **options: Any) -> recipes.Loaded:
        trained.append(name)
        return original(name, epochs=1, progress=False, device="cpu", **options)

    monkeypatch.setattr(base, "train", train)
    first = recipes.load("vae-digits", or_train=True)
    second = recipes.load("vae-digits", or_train=True)
    assert trained == ["vae-digits"]
    assert first.card == second.card
    z = torch.randn(4, 2)
    assert torch.equal(first.model.decode(z), second.model.decode(z))


def test_damage_is_no_reason_to_train(folders: Path) -> None:
    recipes.train("vae-digits", epochs=1, progress=False, device="cpu")
    path = recipes.stored_at("vae-digits")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is damaged"):
        recipes.load("vae-digits", or_train=True)


def test_unknown_names() -> None:
    for function in (recipes.get, recipes.load, recipes.train, recipes.verify, recipes.find):
        with pytest.raises(ValueError, match=r"'vae-sprite' \(did you mean 'vae-sprites'\?\)"):
            function("vae-sprite")


# ---- every recipe


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_are_complete(name: str) -> None:
    recipe = recipes.get(name)
    assert recipe.must_reach
    assert recipe.description.endswith(".")
    first, second = recipe.build(), recipe.build()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    json.dumps(recipe.settings)
    # What has to be downloaded may not be here, and 10,000 chairs take minutes to draw.
    if not is_here(recipe.dataset) or recipe.dataset == "chairs":
        return
    data = recipe.train_data()
    train = data(0) if callable(data) else data
    assert isinstance(train, ImageSet)
    test = recipe.test_data()
    assert (train.split, test.split) == ("train", "test")
    model: Any = first
    assert model.image_shape == test.image_shape == train.image_shape


@pytest.mark.slow
def test_sprites_are_drawn_anew_each_epoch() -> None:
    draw: Any = recipes.get("vae-sprites").train_data()
    one, two, again = draw(0), draw(1), draw(0)
    assert not torch.equal(one.images[:100], two.images[:100])
    assert torch.equal(one.images[:100], again.images[:100])


kept_images = functools.cache(load_images)  # drawing chairs takes half a minute


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.names())
def test_what_ships_is_intact_and_good(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipes.get(name)
    monkeypatch.setattr(base, "load_images", kept_images)
    if recipes.find(name) != recipes.stored_at(name, data_dir()):
        pytest.fail(f"{name} does not ship: run `companion train {name} --out data`")
    data = None
    if "COMPANION_TEST_DATA" in os.environ:
        request.getfixturevalue("real_mnist")
        if recipe.dataset == "cifar10" and recipe.ships:
            data = request.getfixturevalue("real_cifar10")
    card, on, figures = recipes.verify(name, data)
    assert not recipe.missed(figures)
    assert "--epochs" not in card.command
    assert (on is not None) == (recipe.ships and (data is not None or is_here(recipe.dataset)))
    # What ships was made with the settings that the recipe has now.
    settings = json.loads(json.dumps(recipe.settings))
    stated = json.loads(json.dumps(card.settings))
    stated["fit"].pop("precision", None)
    settings["fit"].pop("precision", None)
    assert stated == settings


def test_what_ships_is_small() -> None:
    assert sum(path.stat().st_size for path in data_dir().glob("*.*")) <= 25e6
    assert recipes.find("cnn-mnist").stat().st_size <= 300e3  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [n for n in recipes.names() if not recipes.get(n).ships])
def test_recorded_runs_tell_each_epoch(name: str) -> None:
    card = recipes.record(name)
    for entry in ("error", "validation_error"):
        assert len(card.history[entry]) == card.settings["fit"]["epochs"]
        assert all(0 <= value <= 100 for value in card.history[entry])
    assert card.sha256 == ""
    with pytest.raises(ValueError, match=r"without weights: recipes\.record"):
        recipes.load(name)


def test_verify_notices_what_misses_its_goal(folders: Path) -> None:
    recipes.train("vae-digits", epochs=1, progress=False, device="cpu")
    with pytest.raises(WeightsError, match=r"negative_elbo is .*, and must be ≤ 27"):
        recipes.verify("vae-digits")


@pytest.mark.slow
def test_verify_notices_a_card_that_boasts(folders: Path, digits_folder: Path) -> None:
    model, card = recipes.load("vae-digits", folder=digits_folder)
    boast = weights.replace(card, figures={**card.figures, "negative_elbo": 20.0})
    weights.save(model, recipes.stored_at("vae-digits"), boast, dtype="float16")
    with pytest.raises(WeightsError, match="negative_elbo 20 is stated"):
        recipes.verify("vae-digits")


# ---- goals and figures


def test_annealed_loss() -> None:
    model = ConvVAE((1, 8, 8), 2, widths=(8,), hidden=8)
    x = load_images("digits", "test", size=20).pixels()
    loss = negative_elbo(3.0, 2.0, first_beta=50.0, anneal=0.5)
    # Halfway through the annealing the weight is the geometric mean of 50 and 2.
    for progress, weight in ((0.0, 50.0), (0.25, 10.0), (0.5, 2.0), (0.9, 2.0), (1.0, 2.0)):
        entries = loss(model, x, None, progress)
        assert isinstance(entries, dict)
        expected = entries["reconstruction"] + weight * entries["kl"]
        assert entries["loss"].item() == pytest.approx(expected.item(), rel=1e-6)
    plain = negative_elbo(3.0)(model, x, None)
    assert isinstance(plain, dict)
    assert plain["loss"].item() == pytest.approx((plain["reconstruction"] + plain["kl"]).item())


def test_capacity_grows_through_the_training() -> None:
    model = ConvVAE((1, 8, 8), 2, widths=(8,), hidden=8)
    x = load_images("digits", "test", size=20).pixels()
    loss = negative_elbo(3.0, 5.0, capacity=8.0)
    for progress in (0.0, 0.5, 1.0):
        entries = loss(model, x, None, progress)
        assert isinstance(entries, dict)
        charge = 5 * (entries["kl"] - 8 * progress).abs()
        expected = (entries["reconstruction"] + charge).item()
        assert entries["loss"].item() == pytest.approx(expected, rel=1e-6)


def test_what_settings_describe_becomes_what_fit_takes() -> None:
    recipe = recipes.get("resnet20-cifar10")
    objects = recipe.objects()
    optimizer = objects["optimizer"]([torch.nn.Parameter(torch.zeros(2))], lr=0.3)
    assert isinstance(optimizer, torch.optim.SGD)
    asked = recipe.settings["optimizer"]
    assert {name: optimizer.defaults[name] for name in asked if name != "name"} == {
        name: value for name, value in asked.items() if name != "name"
    }
    # First the crop, then the square: with the same draws, the same images as by hand.
    images = torch.rand(20, 3, 32, 32)
    torch.manual_seed(1)
    changed = objects["augment"](images)
    torch.manual_seed(1)
    cropped = crop_and_flip(**recipe.settings["augment"])(images)
    assert torch.equal(changed, cutout(**recipe.settings["cutout"])(cropped))
    assert recipes.get("vae-digits").objects() == {}


def test_goals() -> None:
    lower, higher = Goal("error", 8.75), Goal("accuracy", 99.3, "higher")
    assert lower.reached({"error": 8.75})
    assert not lower.reached({"error": 8.76})
    assert not lower.reached({"error": math.nan})
    assert higher.reached({"accuracy": 99.3})
    assert not higher.reached({"accuracy": 99.2})
    assert (lower.limit, higher.limit) == ("≤ 8.75", "≥ 99.3")


def test_figures_of_a_vae_against_distributions() -> None:
    torch.manual_seed(0)
    model = ConvVAE((1, 8, 8), 3, widths=(8,), hidden=8).eval()
    images = load_images("digits", "test", size=300)
    figures = evaluate_vae(model, images, C=5.0)
    x = images.pixels()
    torch.manual_seed(1)
    with torch.no_grad():
        mu, log_var = model.encode(x)
        q = torch.distributions.Normal(mu, torch.exp(log_var / 2))
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).mean(0)
        z = q.sample((50,))
        x_hat = torch.stack([model.decode(draw) for draw in z])
        likelihood = torch.distributions.Normal(x_hat, math.sqrt(1 / 10)).log_prob(x)
    assert figures["kl_per_dim"] == pytest.approx(kl.tolist(), rel=1e-5)
    assert figures["kl"] == pytest.approx(kl.sum().item(), rel=1e-5)
    assert figures["negative_elbo"] == pytest.approx(figures["reconstruction"] + figures["kl"])
    density = -likelihood.sum((2, 3, 4)).mean().item()
    assert figures["reconstruction"] + figures["gaussian_constant"] == pytest.approx(
        density, rel=1e-2
    )
    assert figures == evaluate_vae(model, images, C=5.0)


def test_explained_variance_against_known_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 4000
    angle = torch.rand(n, generator=generator)
    kind = torch.randint(0, 3, (n,), generator=generator)
    noise = torch.randn(n, generator=generator)
    codes = torch.stack(
        [angle, noise, kind == 1, (6.28 * angle).sin(), 0 * angle, angle + noise], 1
    )
    by_angle, by_kind = explained(codes, angle), explained(codes, kind)
    assert by_angle[0] > 0.99
    assert by_angle[1] < 0.02
    assert by_angle[3] > 0.98  # not linear, yet explained
    assert by_angle[4] == 0
    # var(angle) / (var(angle) + var(noise)) = (1/12) / (1/12 + 1)
    assert by_angle[5].item() == pytest.approx(1 / 13, abs=0.02)
    assert by_kind[2].item() == pytest.approx(1.0)
    assert by_kind[0] < 0.01


def test_explained_variance_is_a_one_way_analysis_of_variance() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(60, 2, generator=generator)
    group = torch.randint(0, 4, (60,), generator=generator)
    values, groups = codes.double().numpy(), group.numpy()
    within = sum(
        ((values[groups == g] - values[groups == g].mean(0)) ** 2).sum(0) for g in range(4)
    )
    total = ((values - values.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(explained(codes, group).numpy(), 1 - within / total, rtol=1e-10)


def test_factors_become_a_table() -> None:
    torch.manual_seed(0)
    model = ConvVAE((3, 64, 64), 2, widths=(4, 4, 4, 4), hidden=8).eval()
    figures = evaluate_vae(model, load_images("sprites", "test", size=100), C=5.0)
    assert set(figures["explained"]) == {"shape", "hue", "scale", "rotation", "x", "y"}
    assert 0 <= figures["separation"] <= 1
    assert all(len(row) == 2 for row in figures["explained"].values())
    assert all(0 <= share <= 1 for row in figures["explained"].values() for share in row)
