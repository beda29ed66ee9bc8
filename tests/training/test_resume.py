"""Checkpoints: a killed training goes on and ends as an uninterrupted one, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from companion.training import History, devices, fit
from companion.training import checkpoint as checkpoints
from companion.training import loop as training, resume
from companion.training.augmentation import crop_and_flip
from companion.training.batches import InMemory
from companion.training.checkpoint import CheckpointError, restore
from companion.training.schedules import steps
from support.runs import images, network, noisy, train, weights

SCRIPT = """
import sys, torch
from support.runs import train
model, history = train(sys.argv[1])
torch.save([model.state_dict(), history.epochs], sys.argv[2])
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(resume, "_SAVE_EVERY", 0.0)


class Stopped(Exception):
    pass


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    shuffled = training.shuffled

    def stop(count: int, size: int, seed: int, number: int) -> Tensor:
        if number == epoch:
            raise Stopped
        return shuffled(count, size, seed, number)

    monkeypatch.setattr(training, "shuffled", stop)


@pytest.mark.parametrize("epoch", [1, 7, 20])
@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), None])
def test_resumed_equals_uninterrupted(
    epoch: int, optimizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, history = train(None, optimizer=optimizer)
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(Stopped):
            train(path, optimizer=optimizer)
    model, resumed = train(path, optimizer=optimizer)
    assert torch.equal(weights(model), weights(whole))
    assert resumed.epochs == history.epochs
    assert resumed.best == history.best
    assert len(resumed.seconds) == len(history.seconds)


def test_a_finished_training_returns_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    first, history = train(path)
    written = path.stat().st_mtime_ns
    again, same = train(path)
    assert torch.equal(weights(first), weights(again))
    assert same.epochs == history.epochs
    assert path.stat().st_mtime_ns == written


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """SIGKILL, three times at random moments; then the run is left to end."""
    path, result = tmp_path / "run.checkpoint", tmp_path / "result.pt"
    # The children save after each epoch, too: the fixture is not theirs.
    start = "from companion.training import resume; resume._SAVE_EVERY = 0.0\n" + SCRIPT
    command = [sys.executable, "-c", start, str(path), str(result)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    moments = random.Random(0)
    kills = 0
    for _ in range(3):
        child = subprocess.Popen(command, env=environment, cwd=tmp_path)
        before = path.stat().st_mtime_ns if path.exists() else 0
        while child.poll() is None and (path.stat().st_mtime_ns if path.exists() else 0) == before:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    assert kills  # whatever a kill left beside the checkpoint, it was not taken for one
    assert not [
        p for p in tmp_path.iterdir() if p.name.startswith(".run") and p.stat().st_size == 0
    ]
    state, epochs = torch.load(result, weights_only=True)
    whole, history = train(None)
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in state.items())
    assert epochs == history.epochs


def test_settings_must_be_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(path)
    for change, words in (
        ({"epochs": 31}, "epochs was 30 there, and is 31 now"),
        ({"lr": 0.01}, "lr=0.05"),
        ({"seed": 4}, "seed was 0"),
        ({"optimizer": partial(torch.optim.SGD, momentum=0.5)}, "optimizer was SGD"),
        ({"schedule": "cosine"}, "schedule was Plateau"),
        ({"augment": None}, "augment was crop_and_flip"),
        ({"optimizer": partial(torch.optim.SGD, momentum=0.9, maximize=True)}, "maximize=False"),
        ({"augment": crop_and_flip(2)}, "augment was crop_and_flip.*padding=1"),
        ({"validation": images(41, 1)}, r"validation was 40 .* there, and is 41 "),
        ({"validation": images(40, 2)}, r"validation was 40 "),
    ):
        with pytest.raises(CheckpointError, match=words):
            train(path, **change)
    with pytest.raises(CheckpointError, match="model was Sequential with"):
        fit(nn.Linear(2, 2), images(), noisy, epochs=30, batch_size=8, lr=0.05, patience=25,
            validation=images(40, 1), optimizer=partial(torch.optim.SGD, momentum=0.9),
            checkpoint=path, device="cpu", progress=False)  # fmt: skip


class Weighted:
    """What a recipe's loss is: a function made with numbers."""

    def __new__(cls, weight: float) -> Any:  # type: ignore[misc]
        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            return weight * noisy(model, images, labels)

        return loss


def flipped(data: InMemory) -> InMemory:
    assert data.labels is not None
    return InMemory(data.images, 1 - data.labels, data.device)


def activated(kind: type[nn.Module]) -> nn.Sequential:
    model = network()
    model[2] = kind()
    return model


def frozen() -> nn.Sequential:
    model = network()
    model[0].requires_grad_(False)
    return model


def test_what_looks_alike_is_another_training(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    options: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False, "checkpoint": path}
    ordinary = {"schedule": steps(0.5, 0.75), **options}
    fit(network(), images(), Weighted(1.0), **ordinary)
    again = fit(network(), images(), Weighted(1.0), **ordinary)
    assert again.resumed == 2
    for model, data, loss, settings, words in (
        (network(), images(), Weighted(2.0), ordinary, "loss was .* with weight=1.0 there"),
        (network(), images(), partial(noisy), ordinary, "loss was "),
        (network(), flipped(images()), Weighted(1.0), ordinary, "images was 120 "),
        (activated(nn.Sigmoid), images(), Weighted(1.0), ordinary, "model was "),
        (frozen(), images(), Weighted(1.0), ordinary, "model was "),
        (network(), images(), Weighted(1.0), options | {"schedule": steps(0.5, 0.8)}, "schedule"),
    ):
        with pytest.raises(CheckpointError, match=words):
            fit(model, data, loss, **settings)


def test_numbers_of_numpy_make_readable_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    options: dict[str, Any] = {
        "epochs": np.int64(2), "batch_size": np.int32(8), "lr": np.float64(0.01),
        "schedule": lambda progress: 0.5 * (1 + np.cos(np.pi * progress)), "device": "cpu",
        "progress": False, "checkpoint": path,
    }  # fmt: skip
    fit(network(), images(), noisy, **options)
    assert restore(network(), path) == 2
    assert fit(network(), images(), noisy, **options).resumed == 2


def test_a_state_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    checkpoints.save(path, {"epoch": 1})
    with pytest.raises(TypeError, match="tensors, numbers and strings only"):
        checkpoints.save(path, {"epoch": np.float64(2.0)})
    assert checkpoints.load(path) == {"epoch": 1}


def test_a_finished_training_asks_for_no_further_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its epochs were shorter than what passes between two checkpoints."""
    monkeypatch.setattr(resume, "_SAVE_EVERY", 10.0)
    sets = [images(seed=0), images(seed=1), images(seed=2)]
    options: dict[str, Any] = {"epochs": 3, "device": "cpu", "progress": False}
    options["checkpoint"] = tmp_path / "run.checkpoint"
    fit(network(), lambda epoch: sets[epoch], noisy, **options)
    assert fit(network(), lambda epoch: sets[epoch], noisy, **options).resumed == 3


def test_other_images_are_another_training(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    options: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False, "checkpoint": path}
    fit(network(), images(seed=3), noisy, **options)
    with pytest.raises(CheckpointError, match="images was 120 "):
        fit(network(), images(seed=4), noisy, **options)


@pytest.mark.filterwarnings("ignore:this processor only imitates bf16")
def test_another_machine_may_choose_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Colab: a T4 trains in fp16, the next session has another GPU, or none."""
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(devices, "best_precision", lambda *device: "bf16")
        stop_in_epoch(patch, 3)
        with pytest.raises(Stopped):
            train(path)
    _, history = train(path)
    assert history.device.endswith("fp32")
    assert history.resumed == 3
    assert "(3 of them before, from the checkpoint)" in str(history)


class Noisy(Dataset[Any]):
    """Images that are another crop and noise each time they are asked for."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        source = images(24)
        assert source.labels is not None
        noise = torch.randint(0, 50, (1, 8, 8), dtype=torch.uint8)
        return source.images[index] // 2 + noise, source.labels[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_dataset_draws_is_the_epochs(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(path: Path | None) -> History:
        torch.manual_seed(0)
        still = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))  # no batch norm, whose averages move
        return fit(
            still, Noisy(), noisy, epochs=4, batch_size=8, lr=0.0, validation=Noisy(),
            workers=workers, checkpoint=path, device="cpu", progress=False,
        )  # fmt: skip

    whole = run(None)
    assert len(set(whole.epochs["validation_loss"])) == 1  # the same draws each time
    assert len(set(whole.epochs["loss"])) == 4
    path = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        with pytest.raises(Stopped):
            run(path)
    assert run(path).epochs == whole.epochs


@pytest.mark.parametrize("clip", [None, 0.1])
def test_resumed_with_drawn_data_and_clipped_gradients(
    clip: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(path: Path | None) -> nn.Module:
        model = network()
        fit(model, lambda epoch: images(40, epoch), noisy, epochs=5, batch_size=8, clip=clip,
            checkpoint=path, device="cpu", progress=False)  # fmt: skip
        return model

    whole, path = run(None), tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 3)
        with pytest.raises(Stopped):
            run(path)
    assert torch.equal(weights(run(path)), weights(whole))


def test_an_infinite_buffer_is_no_reason_not_to_save(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    model = network()
    model.register_buffer("mask", torch.tensor([-torch.inf]))
    fit(model, images(), noisy, epochs=1, checkpoint=path, device="cpu", progress=False)
    assert path.is_file()


def test_weights_lost_in_the_last_step_are_noticed() -> None:
    with pytest.raises(FloatingPointError, match=r"0\.weight is no longer finite after epoch 1"):
        fit(network(), images(8), lambda *batch: 1e6 * noisy(*batch), epochs=1, lr=1e38,
            optimizer=torch.optim.SGD, device="cpu", progress=False)  # fmt: skip


@pytest.mark.parametrize("place", ["", ".", "folder"])
def test_where_no_checkpoint_can_be(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"checkpoint must be a file, but '.*' is a folder"):
        train(tmp_path / place if place == "folder" else place, epochs=1)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        train(tmp_path / "file" / "run.checkpoint", epochs=1)


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(path, epochs=2)
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


def test_nan_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    model = network()

    def breaks(model: nn.Module, images: Tensor, labels: Tensor, progress: float) -> Tensor:
        return noisy(model, images, labels) * (float("nan") if progress > 0.6 else 1)

    def run() -> None:
        fit(model, images(), breaks, epochs=10, batch_size=8, checkpoint=path, device="cpu",
            progress=False)  # fmt: skip

    with pytest.raises(FloatingPointError, match=r"after epoch 6, is .*run\.checkpoint"):
        run()
    assert not weights(model).isfinite().all()
    assert restore(model, path) == 6
    assert weights(model).isfinite().all()


def test_restore_refuses_another_model(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    train(path, epochs=1)
    with pytest.raises(CheckpointError, match="another model's weights"):
        restore(nn.Linear(3, 4), path)
