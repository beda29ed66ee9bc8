"""The loops that `fit` is compared with on a CPU: its limit, a student's, lightning-fabric's.

Each runs in a process of its own, as it would in a notebook of its own, and they take turns, so
that a busy machine slows all of them. Every loop has lr = 0: one that overfits its few images
changes its own speed.

Lightning's Trainer is not among them: it cannot be imported where torchvision's compiled part does
not match torch, as here (`companion.library` says more). lightning-fabric is what it stands on.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from companion import recipes
from companion.datasets import ImageSet
from companion.training import Loss, fit
from companion.training.devices import keep_freed_memory, open_fabric

BATCH = 128
CASES = {"cnn": "cnn-mnist", "vae": "vae-mnist-16d"}
STEPS = 600  # one epoch

Run = Callable[[int], None]  # a loop, for so many steps
adam = partial(torch.optim.Adam, lr=0.0, fused=True)


def case(name: str) -> tuple[nn.Module, Loss, bool]:
    """A recipe's model for 28×28 images, its loss, and whether it has the channels last."""
    recipe = recipes.get(CASES[name])
    settings = recipe.settings
    return recipe.build(), recipe.loss(**settings["loss"]), settings["fit"]["channels_last"]


def pictures(steps: int) -> ImageSet:
    """As many images as so many steps take: noise, which is no slower to learn from than digits."""
    generator = torch.Generator().manual_seed(0)
    count = BATCH * steps
    images = torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
    return ImageSet("noise", "train", images, torch.randint(10, (count,), generator=generator))


def with_fit(name: str) -> Run:
    """`fit`, with the layout that the recipe names."""
    model, loss, last = case(name)
    data = pictures(STEPS)

    def run(steps: int) -> None:
        part = data[: BATCH * steps]
        fit(model, part, loss, epochs=1, lr=0.0, channels_last=last, progress=False)

    return run


def limit(name: str) -> Run:
    """Forward, backward and step on one float batch that lies on the device; nothing else.

    What `fit` has, this has: Fabric's precision, the fused optimizer, the layout, and memory that
    stays. Without the last, freed memory went back to the system at every step and came back as
    new pages, more of them the earlier the gradients were freed: this "limit" took longer than
    `fit`, which did the same but holds the last losses a little longer (ratio 0.88).
    """
    model, loss, last = case(name)
    fabric, _ = open_fabric()
    layout = torch.channels_last if last else torch.contiguous_format
    model.to(fabric.device, memory_format=layout)
    data = pictures(1)
    images = data.pixels().to(fabric.device).contiguous(memory_format=layout)
    labels = data.labels.to(fabric.device)
    optimizer: Any = fabric.setup_optimizers(adam(model.parameters()))

    def run(steps: int) -> None:
        with keep_freed_memory():
            for _ in range(steps):
                with fabric.autocast():
                    value = loss(model, images, labels)["loss"]
                optimizer.zero_grad()
                fabric.backward(value)
                optimizer.step()

    return run


class Pictures(Dataset[Any]):
    """As torchvision's MNIST: each item becomes a PIL image and is transformed."""

    def __init__(self, data: ImageSet, transform: Callable[[Any], Tensor]) -> None:
        assert data.labels is not None
        self.images, self.labels, self.transform = data.images[:, 0], data.labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index].numpy())), int(self.labels[index])


def student(name: str) -> Run:
    """What a tutorial writes: torchvision, ToTensor, a DataLoader, `.item()` at every step."""
    from companion.library import torchvision

    model, loss, _ = case(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    data = pictures(STEPS)

    def run(steps: int) -> None:
        dataset = Pictures(data[: BATCH * steps], torchvision.transforms.ToTensor())
        total = 0.0
        for images, labels in DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=0):
            optimizer.zero_grad()
            value = loss(model, images, labels)["loss"]
            value.backward()
            optimizer.step()
            total += value.item()

    return run


def plain_fabric(name: str) -> Run:
    """A plain lightning-fabric loop: float tensors in memory, a DataLoader, no `.item()`."""
    model, loss, _ = case(name)
    fabric, _ = open_fabric()
    module, optimizer = fabric.setup(model, torch.optim.Adam(model.parameters(), lr=0.0))
    data = pictures(STEPS)

    def run(steps: int) -> None:
        part = data[: BATCH * steps]
        dataset = TensorDataset(part.pixels(), part.labels)
        loader: Any = fabric.setup_dataloaders(DataLoader(dataset, BATCH, shuffle=True))
        for images, labels in loader:
            optimizer.zero_grad()
            fabric.backward(loss(module, images, labels)["loss"])
            optimizer.step()

    return run


LOOPS: dict[str, Callable[[str], Run]] = {
    "fit": with_fit,
    "limit": limit,
    "student": student,
    "fabric": plain_fabric,
}


@cache
def prepared(loop: str, name: str) -> Run:
    """The loop, warm."""
    run = LOOPS[loop](name)
    run(10)
    return run


def seconds_per_step(loop: str, name: str, steps: int) -> float:
    """The time of one of these loops, divided by its steps; in the process that it is called in."""
    run = prepared(loop, name)
    started = time.perf_counter()
    run(steps)
    return (time.perf_counter() - started) / steps


@contextmanager
def processes(*loops: str) -> Iterator[dict[str, ProcessPoolExecutor]]:
    """A fresh process for each of the loops."""
    pools = {loop: ProcessPoolExecutor(1, mp_context=get_context("spawn")) for loop in loops}
    try:
        yield pools
    finally:
        for pool in pools.values():
            pool.shutdown()


def ratios(name: str, steps: dict[str, int], rounds: int) -> dict[str, float]:
    """Each loop's time for a step over that of the first, the median over rounds.

    `steps` says how many each loop takes in a round. A first round warms up and does not count.
    """
    with processes(*steps) as pools:
        times: list[dict[str, float]] = []
        for _ in range(rounds + 1):
            times.append({
                loop: pool.submit(seconds_per_step, loop, name, steps[loop]).result()
                for loop, pool in pools.items()
            })  # fmt: skip
    first, *others = steps
    return {
        loop: round(statistics.median(row[loop] / row[first] for row in times[1:]), 3)
        for loop in others
    }
