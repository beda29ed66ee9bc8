"""`python -m benchmarks.gpu` without a GPU: every line is JSON, and nothing stops it."""

import json
from typing import Any

import pytest
import torch

from benchmarks import cifar, gpu
from companion.datasets import ImageSet


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_says_what_is_there_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpu.main(["--only", "machine"]) == 0
    machine, end = lines(capsys)
    assert machine["torch"] == torch.__version__
    assert machine["missing"] == []
    assert end["name"] == "part_machine"
    assert "failed" not in end

    def version(name: str) -> str:
        if name in ("torch", "pytest"):
            raise gpu.importlib.metadata.PackageNotFoundError
        return "1"

    monkeypatch.setattr(gpu.importlib.metadata, "version", version)
    assert gpu.missing() == ["torch", "pytest"]


@pytest.mark.slow
def test_a_part_that_fails_is_a_line_and_the_next_one_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.main(["--recipes", "no-such-recipe", "--only", "loops", "recipes"]) == 1
    loops, wrong, recipes = lines(capsys)
    assert loops["failed"] == recipes["failed"] == "ended with 1"
    assert "finds no CUDA GPU" in loops["tail"]
    assert "no-such-recipe" in wrong["failed"]


def test_a_part_that_takes_too_long_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gpu.SHARES, "loops", 0.2)
    assert gpu.main(["--dry", "--only", "loops"]) == 1
    assert lines(capsys)[0]["failed"].startswith("cut off after its share")
    assert gpu.main(["--budget", "3", "--only", "loops"]) == 1
    assert lines(capsys) == [{"name": "part_loops", "failed": "no time was left"}]


def coloured(count: int, seed: int) -> ImageSet:
    """Images whose class is how red they are, on noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 80, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 10
    images[:, 0] += (17 * labels).to(torch.uint8).view(-1, 1, 1)
    return ImageSet("red", "train", images, labels, tuple("abcdefghij"))


@pytest.mark.slow
def test_the_plain_loop_learns() -> None:
    line = cifar.plain(
        coloured(640, 0), coloured(100, 1), epochs=6, batch=32, lr=0.1, depth=8, width=0.5
    )
    assert line["per_cent"] > 30
    assert line["loss"] < 1.9


@pytest.mark.slow
def test_the_wide_recipe_learns() -> None:
    """Its settings on a net as narrow as a CPU needs; the time is found within what was given."""
    settings = cifar.WIDE.settings | {"model": {"depth": 8, "width": 0.5}}
    narrow = cifar.replace(cifar.WIDE, settings=settings)
    line = cifar.to_accuracy(
        narrow, coloured(640, 0), coloured(100, 1), 20.0, 600, epochs=6, batch_size=32, lr=0.1
    )
    assert line["last"] > 20
    assert "time to 20 %" in line["what"]
    assert line["epochs"] == 6
