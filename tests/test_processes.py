"""`fit` in two processes: torchrun and gloo, as several GPUs would do it."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import History, fit
from test_resume import images, network

SCRIPT = """
import os, sys, torch
from test_processes import train
model, history = train(sys.argv[1])
torch.save([model.state_dict(), history.epochs], f"{sys.argv[1]}-{os.environ['RANK']}")
"""


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def train(checkpoint: str | None = None) -> tuple[nn.Module, History]:
    # Without batch norm and dropout, which treat half a batch unlike a whole one by design.
    model = nn.Sequential(*(m for m in network() if not isinstance(m, nn.BatchNorm2d | nn.Dropout)))
    history = fit(
        model, images(), cross_entropy, epochs=4, batch_size=20, lr=0.02, device="cpu",
        validation=images(50, 1), checkpoint=checkpoint, channels_last=False, progress=False,
    )  # fmt: skip
    return model, history


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    launcher.append("--standalone")
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path / "run")], env=environment, check=False,
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone, history = train()
    results = [torch.load(tmp_path / f"run-{rank}", weights_only=True) for rank in (0, 1)]
    for state, epochs in results:
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-6)
        for name, values in history.epochs.items():
            torch.testing.assert_close(epochs[name], values, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(results[0][0][name], results[1][0][name]) for name in results[0][0])
    assert (tmp_path / "run").is_file()  # the checkpoint of the first process
