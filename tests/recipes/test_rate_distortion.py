"""The recorded sweep over β: that its file is what the code would make, and that it is a curve."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from companion.datasets import load_images
from companion.paths import data_dir
from companion.recipes import rate_distortion
from companion.recipes.rate_distortion import LINES, Run


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return rate_distortion.read()


def test_the_file_has_the_settings_of_the_code(runs: list[Run], tmp_path: Path) -> None:
    path = data_dir() / "rate-distortion.json"
    rate_distortion.write(runs, tmp_path / "again.json")
    stated, now = (json.loads(p.read_text("utf-8")) for p in (path, tmp_path / "again.json"))
    for key in ("description", "command", "data", "settings", "runs"):
        assert stated[key] == now[key]
    assert len({(run.line, run.seed) for run in runs}) == len(runs)
    assert {run.line for run in runs} == set(LINES)


def test_figures_agree_with_each_other(runs: list[Run]) -> None:
    for run in runs:
        assert sum(run.kl_per_dim) == pytest.approx(run.rate, rel=1e-4)
        assert min(run.kl_per_dim) >= 0 < run.distortion
        assert all(0 <= share <= 1 for shares in run.explained.values() for share in shares)
        assert 0 <= run.separation <= 1
        assert all(0 <= score <= 1 for score in run.scores.values())


def test_the_rate_falls_and_the_distortion_grows_with_beta(runs: list[Run]) -> None:
    """As at the optimum, for each seed. (The slope may miss its bounds; the text says where.)"""
    for seed in {run.seed for run in runs}:
        constant = sorted(
            (LINES[run.line]["beta"], run.rate, run.distortion)
            for run in runs
            if run.seed == seed and set(LINES[run.line]) == {"beta"}
        )
        assert all(first[1] > second[1] for first, second in pairwise(constant))
        assert all(first[2] < second[2] for first, second in pairwise(constant))


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
    monkeypatch.setattr(rate_distortion, "FIT", {**rate_distortion.FIT, "epochs": 1})
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
