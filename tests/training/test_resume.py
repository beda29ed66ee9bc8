"""Checkpoints: a killed training goes on and ends as an uninterrupted one, bit for bit."""

import errno
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from companion.training import History, devices, fit, resume
from companion.training import loop as training
from companion.training.checkpoint import restore
from support.runs import images, network, noisy, train, weights

# Trainings that are killed after they have saved, and one that is left to end. They are forked
# before PyTorch has threads: to import it takes seconds.
KILLED = """
import os, random, signal, sys, time, torch
from companion.training import resume
from support.runs import train

path, result = sys.argv[1:]
resume._SAVE_EVERY = 0.0
saved = lambda: os.stat(path).st_mtime_ns if os.path.exists(path) else 0
moments, kills = random.Random(0), 0
for _ in range(4):
    before = saved()
    child = os.fork()
    if not child:
        train(path, epochs=30)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if saved() != before:
            time.sleep(moments.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            break
        time.sleep(0.001)
model, history = train(path, epochs=30)
torch.save([model.state_dict(), history.epochs, kills, history.resumed], result)
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


@pytest.mark.parametrize("epoch", [1, 5, 11])
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="another system")
@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    path, result = tmp_path / "run.checkpoint", tmp_path / "result.pt"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(path), str(result)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    state, epochs, kills, resumed = torch.load(result, weights_only=True)
    assert kills  # whatever a kill left beside the checkpoint, it was not taken for one
    assert resumed
    whole, history = train(None, epochs=30)
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in state.items())
    assert epochs == history.epochs


def test_interrupted_within_an_epoch_and_called_again_with_the_same_model(tmp_path: Path) -> None:
    """As in a notebook: the model is as the interrupted call has left it."""
    path = tmp_path / "run.checkpoint"

    steps = []

    def run(model: nn.Module, path: Path | None) -> History:
        def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            steps.append(1)
            if len(steps) == 4 * 15 + 37:
                raise KeyboardInterrupt
            return noisy(model, images, labels)

        return fit(model, images(), loss, epochs=4, batch_size=8, checkpoint=path, device="cpu",
                   progress=False)  # fmt: skip

    def held() -> nn.Sequential:
        model = network()
        model[3].eval()  # dropout
        return model

    whole, model = held(), held()
    history = run(whole, None)
    with pytest.raises(KeyboardInterrupt):
        run(model, path)
    assert not any(module.training for module in model.modules())
    again = run(model, path)
    assert again.resumed == 2
    assert again.epochs == history.epochs
    assert torch.equal(weights(model), weights(whole))
    assert run(model, path).resumed == 4


def test_a_full_disk_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = train(None)
    path = tmp_path / "run.checkpoint"
    sync, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.checkpoint"]
    model, history = train(path)
    assert history.resumed == 3
    assert torch.equal(weights(model), weights(whole))


class Extra(nn.Module):
    """A network with extra state."""

    def __init__(self, extra: Any) -> None:
        super().__init__()
        self.layers, self.extra = network(), extra

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.extra["steps"] += 1
        return self.layers(x)

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


def test_extra_state_is_kept_or_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"epochs": 3, "batch_size": 40, "device": "cpu", "progress": False}
    options["checkpoint"] = tmp_path / "run.checkpoint"
    with monkeypatch.context() as patch:
        stop_in_epoch(patch, 2)
        with pytest.raises(Stopped):
            fit(Extra({"steps": 0}), images(), noisy, **options)
    model = Extra({"steps": 0})
    fit(model, images(), noisy, **options)
    assert model.extra == {"steps": 9}
    model = Extra({"steps": 0, "by": object})
    options["checkpoint"] = tmp_path / "other.checkpoint"
    with pytest.raises(TypeError, match="tensors, numbers and strings only"):
        fit(model, images(), noisy, **options)
    assert model.extra["steps"] == 0


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
