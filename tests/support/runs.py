"""A small training with everything that a checkpoint must keep.

Dropout, augmentation and noise draw random numbers, batch norm has buffers, SGD a momentum, the
schedule and the early stop a memory.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import History, fit
from companion.training.augmentation import crop_and_flip
from companion.training.batches import InMemory
from companion.training.schedules import Plateau


def images(n: int = 120, seed: int = 0) -> InMemory:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=generator)
    pixels = torch.randint(0, 80, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)
    pixels[:, :, :4] += (100 * labels).to(torch.uint8).view(-1, 1, 1, 1)
    return InMemory(pixels, labels, torch.device("cpu"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(144, 2),
    )  # fmt: skip


def noisy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images + 0.2 * torch.randn_like(images)), labels)


def train(path: str | Path | None, **changes: Any) -> tuple[nn.Module, History]:
    model = network()
    settings: dict[str, Any] = {
        "epochs": 12, "batch_size": 8, "lr": 0.05, "validation": images(40, 1),
        "optimizer": partial(torch.optim.SGD, momentum=0.9), "schedule": Plateau(0.5, 1),
        "augment": crop_and_flip(1), "patience": 10, "device": "cpu", "progress": False,
    } | changes  # fmt: skip
    return model, fit(model, images(), noisy, checkpoint=path, **settings)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])
