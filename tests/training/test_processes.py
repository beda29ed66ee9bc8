"""`fit` in two processes: torchrun and gloo, as several GPUs would do it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import History, fit
from support.runs import images, network

pytestmark = pytest.mark.slow  # each starts two processes with torch

SCRIPT = """
import os, sys, torch
import test_processes
model, history = getattr(test_processes, sys.argv[1])(sys.argv[2])
state = {name: value.clone() for name, value in model.state_dict().items()}
torch.save([state, history.epochs, history.best], f"{sys.argv[2]}-{os.environ['RANK']}")
"""


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def plain(checkpoint: str | None = None) -> tuple[nn.Module, History]:
    # Without batch norm and dropout, which treat half a batch unlike a whole one by design.
    model = nn.Sequential(*(m for m in network() if not isinstance(m, nn.BatchNorm2d | nn.Dropout)))
    history = fit(
        model, images(), cross_entropy, epochs=4, batch_size=20, lr=0.02, device="cpu",
        validation=images(50, 1), checkpoint=checkpoint, channels_last=False, progress=False,
    )  # fmt: skip
    return model, history


def differing(checkpoint: str | None = None) -> tuple[nn.Module, History]:
    """Batch norm, and a validation loss that every process sees otherwise: they must agree."""
    rank = int(os.environ["RANK"])
    values = iter([3.0, 2.0, 1.0, 1.5, 1.5, 1.5, 0.1, 0.1] if rank == 0 else [1.0] * 8)

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        return value if torch.is_grad_enabled() else value * 0 + next(values)

    model = network()
    history = fit(
        model, images(), loss, epochs=8, batch_size=20, device="cpu", validation=images(20, 1),
        patience=2, schedule="plateau", checkpoint=checkpoint, progress=False,
    )  # fmt: skip
    return model, history


def in_two_processes(what: str, folder: Path) -> list[list[Any]]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    script = folder / "train.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [*launcher, str(script), what, str(folder / "run")], env=environment, check=False,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"run-{rank}", weights_only=True) for rank in (0, 1)]


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    results = in_two_processes("plain", tmp_path)
    alone, history = plain()
    for state, epochs, _ in results:
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)
        for name, values in history.epochs.items():
            torch.testing.assert_close(epochs[name], values, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(results[0][0][name], results[1][0][name]) for name in results[0][0])
    assert (tmp_path / "run").is_file()  # the checkpoint of the first process


def test_processes_agree_when_to_stop_and_end_with_the_same_buffers(tmp_path: Path) -> None:
    (first, epochs, best), (second, others, other_best) = in_two_processes("differing", tmp_path)
    assert best == other_best == 3
    assert len(epochs["loss"]) == len(others["loss"]) == 5
    assert epochs == others
    assert all(torch.equal(first[name], second[name]) for name in first)
