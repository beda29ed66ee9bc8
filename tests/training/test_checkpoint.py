"""The file of a checkpoint: whole or refused, and only where it can be written."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from companion.training import checkpoint as checkpoints
from companion.training.checkpoint import CheckpointError, check_place, restore
from support.runs import network, train, weights


def test_a_state_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    checkpoints.save(path, {"epoch": 1})
    with pytest.raises(TypeError, match="tensors, numbers and strings only"):
        checkpoints.save(path, {"epoch": np.float64(2.0)})
    assert checkpoints.load(path) == {"epoch": 1}


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    checkpoints.save(path, {"epoch": 1, "model": network().state_dict()})
    content = path.read_bytes()
    generator = random.Random(0)
    for _ in range(100):
        place = generator.randrange(len(content))
        flipped = bytes([content[place] ^ 1 << generator.randrange(8)])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoints.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="delete this one"):
        train(path, epochs=2)


def test_restore(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    trained, _ = train(path, epochs=1)
    model = network()
    assert restore(model, path) == 1
    assert torch.equal(weights(model), weights(trained))
    with pytest.raises(CheckpointError, match="another model's weights"):
        restore(nn.Linear(3, 4), path)


def test_home_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train("~/runs/run.checkpoint", epochs=1)
    assert (tmp_path / "runs" / "run.checkpoint").is_file()
    assert restore(network(), "~/runs/run.checkpoint") == 1
    assert checkpoints.load("~/runs/run.checkpoint")["epoch"] == 1
    checkpoints.save("~/other", {"epoch": 2})
    assert (tmp_path / "other").is_file()


def test_where_a_checkpoint_can_be_is_found_out_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").write_bytes(b"of an earlier run")
    with pytest.raises(ValueError, match=r"checkpoint must be a file, but '.*' is a folder"):
        check_place(tmp_path)
    with pytest.raises(ValueError, match="cannot be written: "):
        check_place(tmp_path / "file" / "run.checkpoint")
    for length in (250, 255):  # what is written aside has a longer name
        path = tmp_path / ("x" * length)
        try:
            checkpoints.save(path, {"epoch": 1})
        except OSError:
            with pytest.raises(ValueError, match="cannot be written: "):
                check_place(path)
        else:
            path.unlink()
            check_place(path)
    check_place(tmp_path / "new" / "run.checkpoint")
    check_place(tmp_path / "full")
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "full", "new"}
    assert (tmp_path / "full").read_bytes() == b"of an earlier run"
