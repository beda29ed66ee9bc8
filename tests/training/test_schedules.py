"""How the learning rate changes: values of the schedules, and the plateau against torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import fit
from companion.training.schedules import Plateau, cosine, steps
from support.runs import images, network


def test_cosine_warms_up_and_ends_at_zero() -> None:
    assert cosine(0.0) == 0
    assert cosine(0.025) == pytest.approx(0.5)
    assert cosine(0.05) == pytest.approx(1)
    assert cosine(0.525) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0, abs=1e-12)


def test_steps() -> None:
    schedule = steps(0.5, 0.75)
    assert [schedule(p) for p in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    with pytest.raises(ValueError, match="from 0 to 1"):
        steps(2.0)


@pytest.mark.parametrize("held_out", [True, False])
def test_plateau_is_torchs(held_out: bool) -> None:
    losses = iter([5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5, 2.5])
    rates: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            rates.append(self.param_groups[0]["lr"])

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = F.cross_entropy(model(images), labels)
        counts = not held_out or not torch.is_grad_enabled()
        return value * 0 + next(losses) if counts else value

    data = images(8)  # one batch an epoch
    fit(
        network(), data, loss, epochs=12, batch_size=8, lr=0.4, optimizer=Watched,
        schedule=Plateau(factor=0.5, patience=1), validation=data if held_out else None,
        device="cpu", progress=False,
    )  # fmt: skip
    oracle_optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(oracle_optimizer, factor=0.5, patience=1)
    expected = []
    for value in (5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5, 2.5):
        expected.append(oracle_optimizer.param_groups[0]["lr"])
        oracle.step(value)
    assert rates == pytest.approx(expected)
    assert len(set(expected)) == 4
