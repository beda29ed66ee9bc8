"""Where `fit` gets its batches from: a set that lies on the device, or one too large for that."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = tuple[Tensor, Tensor | None]


class LabelledImages(Protocol):
    """What `fit` reads of a data set; `companion.datasets.ImageSet` is one."""

    @property
    def images(self) -> Tensor:
        """uint8, N×C×H×W."""

    @property
    def labels(self) -> Tensor | None:
        """N of them, or None."""


Data = Tensor | LabelledImages | Dataset[Any]


class Resident:
    """Images that stay on the device as uint8: a batch is one indexing away."""

    def __init__(self, images: Tensor, labels: Tensor | None, device: torch.device) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or not images.numel():
            raise ValueError(
                "images must be a uint8 tensor N×C×H×W with values 0 to 255, got "
                f"{images.dtype} of shape {tuple(images.shape)}"
            )
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"got {len(images)} images, but {len(labels)} labels")
        self.images = images.to(device)
        self.labels = None if labels is None else labels.to(device)
        self.device = device

    def __len__(self) -> int:
        return len(self.images)

    def read(self, rows: Tensor) -> Iterator[Batch]:
        """The images of each row of `rows`, batches×size."""
        for chosen in rows.to(self.device):
            yield self.images[chosen], None if self.labels is None else self.labels[chosen]


class Streamed:
    """A torch `Dataset` that is read while the device computes, by a `DataLoader`'s processes.

    Its items are images, or (image, label): tensors C×H×W (uint8, or floats in [0, 1]) or PIL
    images, all of one size.
    """

    def __init__(self, dataset: Dataset[Any], device: torch.device, workers: int | None) -> None:
        try:
            self.size = len(dataset)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(
                f"data must be a Dataset with a length and an index, got {type(dataset).__name__}, "
                "which can only be iterated"
            ) from None
        if not self.size:
            raise ValueError("the Dataset is empty")
        self.device = device
        self.rows: list[list[int]] = []
        if workers is None:  # processes of their own pay where the CPU has nothing else to do
            workers = 4 if device.type == "cuda" else 0
        self.generator = torch.Generator()
        self.loader: DataLoader[Batch] = DataLoader(
            dataset,
            batch_sampler=_Rows(self),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            generator=self.generator,
        )

    def __len__(self) -> int:
        return self.size

    def read(self, rows: Tensor) -> Iterator[Batch]:
        """The images of each row of `rows`, batches×size."""
        self.rows = rows.tolist()
        # What the workers draw is the epoch's, like everything that is drawn.
        self.generator.manual_seed(torch.initial_seed())
        for images, labels in self.loader:
            yield (
                images.to(self.device, non_blocking=True),
                None if labels is None else labels.to(self.device, non_blocking=True),
            )


class _Rows:
    """The loader's batch sampler: whatever rows are asked for at the moment."""

    def __init__(self, owner: Streamed) -> None:
        self.owner = owner

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.owner.rows)

    def __len__(self) -> int:
        return len(self.owner.rows)


Source = Resident | Streamed


def open_source(data: Data, device: torch.device, workers: int | None = None) -> Source:
    """What `fit` draws batches from. Raises TypeError or ValueError for what cannot be trained on.

    A tensor, or anything with `images` and perhaps `labels`, becomes resident on the device; a
    torch `Dataset` is streamed.
    """
    if isinstance(data, Tensor):
        return Resident(data, None, device)
    images = getattr(data, "images", None)
    if isinstance(images, Tensor):
        return Resident(images, getattr(data, "labels", None), device)
    if isinstance(data, DataLoader):
        raise TypeError("data must be the DataLoader's dataset: `fit` makes the batches itself")
    if isinstance(data, Dataset):
        return Streamed(data, device, workers)
    raise TypeError(
        "data must be a tensor of images, an ImageSet, a torch Dataset, or a function from the "
        f"epoch to one of these, got {type(data).__name__}"
    )


def shuffled(count: int, size: int, seed: int, epoch: int) -> Tensor:
    """Rows of `size` image numbers, in the order of that epoch; a rest that fills no row is left.

    The order depends on nothing but the arguments, so a resumed run has it again.
    """
    generator = torch.Generator().manual_seed(mixed(seed, epoch))
    steps = count // size
    return torch.randperm(count, generator=generator)[: steps * size].view(steps, size)


def in_order(count: int, size: int) -> Iterator[Tensor]:
    """Rows of `size` image numbers in their order, and a shorter one at the end: 1×n tensors."""
    for start in range(0, count, size):
        yield torch.arange(start, min(start + size, count))[None]


def mixed(*numbers: int) -> int:
    """A seed for a random generator that differs wherever one of the numbers does."""
    words = np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def _collate(items: list[Any]) -> Batch:
    labelled = isinstance(items[0], tuple | list)
    images = torch.stack([_as_tensor(item[0] if labelled else item) for item in items])
    return images, torch.as_tensor([item[1] for item in items]) if labelled else None


def _as_tensor(image: Any) -> Tensor:
    if not isinstance(image, Tensor):
        array = np.array(image)  # a PIL image: H×W or H×W×C
        image = torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    if image.ndim != 3 or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(
            "a Dataset's images must be C×H×W, uint8 or floats in [0, 1], got "
            f"{image.dtype} of shape {tuple(image.shape)}"
        )
    return image
