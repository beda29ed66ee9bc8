"""The recorded sweep over β: that its file is what the code would make, and that it is a curve."""

import json
import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.datasets import load_images
from companion.paths import data_dir
from companion.recipes import rate_distortion
from companion.recipes.rate_distortion import FITS, LINES, SEEDS, Run


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return rate_distortion.read()


def test_the_file_has_the_settings_of_the_code(runs: list[Run], tmp_path: Path) -> None:
    path = data_dir() / "rate-distortion.json"
    rate_distortion.write(runs, tmp_path / "again.json")
    stated, now = (json.loads(p.read_text("utf-8")) for p in (path, tmp_path / "again.json"))
    for key in ("description", "command", "data", "settings", "runs"):
        assert stated[key] == now[key]
    assert {(run.line, run.fit, run.seed) for run in runs} == set(product(LINES, FITS, SEEDS))
    assert len(runs) == len(LINES) * len(FITS) * len(SEEDS)


def test_figures_agree_with_each_other(runs: list[Run]) -> None:
    for run in runs:
        assert sum(run.kl_per_dim) == pytest.approx(run.rate, rel=1e-4)
        assert min(run.kl_per_dim) >= 0 < run.distortion
        assert all(0 <= share <= 1 for shares in run.explained.values() for share in shares)
        assert 0 <= run.separation <= 1
        assert all(0 <= score <= 1 for score in run.scores.values())


def test_the_rate_falls_and_the_distortion_grows_with_beta(runs: list[Run]) -> None:
    """As at the optimum, for each seed. (The slope may miss its bounds; the text says where. So may
    the distortion where the learning rate stays high to the end.)"""
    for fit, seed in product(("5 epochs", "20 epochs"), SEEDS):
        curve = constant(runs, fit, seed)
        assert all(first.rate > second.rate for first, second in pairwise(curve))
        assert all(first.distortion < second.distortion for first, second in pairwise(curve))


def constant(runs: list[Run], fit: str, seed: int) -> list[Run]:
    """The runs of one β each, by β."""
    some = [r for r in runs if (r.fit, r.seed) == (fit, seed) and set(LINES[r.line]) == {"beta"}]
    return sorted(some, key=lambda run: LINES[run.line]["beta"])


def test_more_steps_bring_the_slopes_between_the_two_betas(runs: list[Run]) -> None:
    passed = {}
    for fit in FITS:
        pairs = [pair for seed in SEEDS for pair in pairwise(constant(runs, fit, seed))]
        passed[fit] = sum(
            LINES[low.line]["beta"]
            <= (high.distortion - low.distortion) / (low.rate - high.rate)
            <= LINES[high.line]["beta"]
            for low, high in pairs
        )
    assert passed == {"5 epochs": 13, "5 epochs, constant rate": 15, "20 epochs": 17}


def test_what_chapter_13_says_of_the_falling_beta(runs: list[Run]) -> None:
    """Ahead of the constant β of the same rate with each seed; not ahead of the heavy ones."""

    def separation(line: str, fit: str = "20 epochs") -> list[float]:
        return [r.separation for r in runs if (r.line, r.fit) == (line, fit)]

    falling = separation("β falling, 200 to 4")
    assert min(falling) > max(separation("β = 8"))
    for heavy in ("β = 32", "β = 64"):
        assert sum(separation(heavy)) > sum(falling)
    short = [separation(line, "5 epochs") for line in LINES if line.startswith("β = ")]
    assert min(separation("β falling, 200 to 4", "5 epochs")) > max(map(max, short))
    for seed in SEEDS:
        curve = sorted((r.rate, r.distortion) for r in constant(runs, "20 epochs", seed))
        by_line = {r.line: r for r in runs if (r.fit, r.seed) == ("20 epochs", seed)}
        own = by_line["β falling, 200 to 4"]
        above = own.distortion - np.interp(own.rate, *zip(*curve, strict=True))
        assert 0 < above < 16


def test_images_are_averaged_sprites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_distortion, "HELD_OUT", 5)
    small, large = rate_distortion.images("test"), load_images("sprites", "test", size=5)
    assert small.image_shape == (3, 32, 32)
    blocks = large.images.float().unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
    assert (small.images.float() - blocks).abs().max() <= 0.5
    assert small.factors is not None
    assert torch.equal(small.factors["x"], large.factors["x"])  # type: ignore[index]


@pytest.mark.slow
def test_a_training_of_the_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Short: the same call gives the same run, and it goes on where it was broken off."""
    monkeypatch.setattr(rate_distortion, "TRAINED_ON", 64)
    monkeypatch.setattr(rate_distortion, "HELD_OUT", 300)
    monkeypatch.setattr(rate_distortion, "FITS", {"short": {**FITS["5 epochs"], "epochs": 1}})
    monkeypatch.setattr(rate_distortion, "LINES", {"β = 4": {"beta": 4.0}})
    monkeypatch.setattr(rate_distortion, "SEEDS", (0, 1))
    path = tmp_path / "runs.json"
    rate_distortion.main(path)
    first = rate_distortion.read(path)
    assert [run.seed for run in first] == [0, 1]
    assert math.isfinite(first[0].rate)
    rate_distortion.write(first[:1], path)
    rate_distortion.main(path)
    again = rate_distortion.read(path)
    assert again[0] == first[0]
    assert again[1]._replace(seconds=0) == first[1]._replace(seconds=0)
