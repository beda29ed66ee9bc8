"""Where `fit` gets its batches from: a set that lies on the device, or one too large for that."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
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

    def __init__(
        self, images: Tensor, labels: Tensor | None, device: torch.device, what: str = "data"
    ) -> None:
        whose = "" if what == "data" else f"the {what} set's "
        if images.dtype != torch.uint8 or images.ndim != 4 or not images.numel():
            raise ValueError(
                f"{whose}images must be a uint8 tensor N×C×H×W with values 0 to 255, got "
                f"{images.dtype} of shape {tuple(images.shape)}"
            )
        if labels is not None and not isinstance(labels, Tensor):
            raise TypeError(f"{whose}labels must be a tensor, got {type(labels).__name__}")
        if labels is not None and len(labels) != len(images):
            raise ValueError(f"got {len(images)} images, but {len(labels)} labels")
        self.images = images.to(device)
        self.labels = None if labels is None else labels.to(device)
        self.device = device

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """A few words that another set of images would hardly have."""
        digest = hashlib.sha256()
        some = self.images[:: max(1, len(self) // 1000)]
        for part in (some,) if self.labels is None else (some, self.labels):
            digest.update(part.cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return f"{len(self)} ({digest.hexdigest()[:8]})"

    def read(self, rows: Iterable[Tensor]) -> Iterator[Batch]:
        """A batch for each of `rows`, which are numbers of images."""
        if isinstance(rows, Tensor):  # one transfer for the whole epoch
            rows = rows.to(self.device)
        for chosen in rows:
            yield self.images[chosen], None if self.labels is None else self.labels[chosen]


class Streamed:
    """A torch `Dataset` that is read while the device computes, by a `DataLoader`'s processes.

    Its items are images, or (image, label): tensors C×H×W (uint8, or floats in [0, 1]) or PIL
    images, all of one size. What it draws from PyTorch's generator is the same for the same seed
    and epoch; with workers, also what it draws from NumPy's and Python's own.
    """

    def __init__(
        self, dataset: Dataset[Any], device: torch.device, workers: int | None, what: str = "data"
    ) -> None:
        try:
            self.size = len(dataset)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(
                f"{what} must be a Dataset with a length and an index, got "
                f"{type(dataset).__name__}, which can only be iterated"
            ) from None
        if not self.size:
            raise ValueError(f"{what} is an empty Dataset")
        self.device = device
        self.rows: list[list[int]] = []
        if workers is None:  # processes of their own pay where the CPU has nothing else to do
            workers = min(4, os.cpu_count() or 1) if device.type == "cuda" else 0
        self.generator = torch.Generator()
        self.loader: DataLoader[Batch] = DataLoader(
            dataset,
            batch_sampler=_Rows(self),
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            generator=self.generator,
        )

    def __len__(self) -> int:
        return self.size

    def fingerprint(self) -> str:
        """How many images; they are not read for it."""
        return str(len(self))

    def read(self, rows: Iterable[Tensor]) -> Iterator[Batch]:
        """A batch for each of `rows`, which are numbers of images."""
        self.rows = [row.tolist() for row in rows]
        # What the workers draw is the epoch's, like everything that is drawn: so they are new ones.
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


def open_source(
    data: Data, device: torch.device, workers: int | None = None, *, what: str = "data"
) -> Source:
    """What `fit` draws batches from. Raises TypeError or ValueError for what cannot be trained on.

    A tensor, or anything with `images` and perhaps `labels`, becomes resident on the device; a
    torch `Dataset` is streamed.
    """
    if isinstance(data, Dataset):  # first: it may well have an attribute named images
        return Streamed(data, device, workers, what)
    if isinstance(data, Tensor):
        return Resident(data, None, device, what)
    images = getattr(data, "images", None)
    if isinstance(images, Tensor):
        return Resident(images, getattr(data, "labels", None), device, what)
    if isinstance(data, DataLoader):
        raise TypeError(f"{what} must be the DataLoader's dataset: `fit` makes the batches itself")
    function = ", or a function from the epoch to one of these" if what == "data" else ""
    raise TypeError(
        f"{what} must be a tensor of images, an ImageSet, or a torch Dataset{function}, "
        f"got {type(data).__name__}"
    )


def shuffled(count: int, size: int, seed: int, epoch: int) -> Tensor:
    """Rows of `size` image numbers, in the order of that epoch; a rest that fills no row is left.

    The order depends on nothing but the arguments, so a resumed run has it again.
    """
    generator = torch.Generator().manual_seed(mixed(seed, epoch))
    steps = count // size
    return torch.randperm(count, generator=generator)[: steps * size].view(steps, size)


def in_order(count: int, size: int) -> Iterator[Tensor]:
    """Rows of `size` image numbers in their order, and a shorter one at the end."""
    for start in range(0, count, size):
        yield torch.arange(start, min(start + size, count))


def mixed(*numbers: int) -> int:
    """A seed for a random generator, another one for other numbers (zeros at the end aside)."""
    words = np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def _collate(items: list[Any]) -> Batch:
    """Stack a Dataset's items: images, (image,) or (image, label), where a label may be None."""
    pairs = [tuple(item) if isinstance(item, tuple | list) else (item,) for item in items]
    images = torch.stack([_as_tensor(pair[0]) for pair in pairs])
    if images.is_floating_point() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "a Dataset's floating-point images must lie in [0, 1], got values from "
            f"{images.min().item():.4g} to {images.max().item():.4g}"
        )
    labels = [pair[1] if len(pair) > 1 else None for pair in pairs]
    if labels[0] is None:
        return images, None
    return images, torch.stack([torch.as_tensor(label) for label in labels])


def _as_tensor(image: Any) -> Tensor:
    if isinstance(image, Image.Image):
        array = np.array(image)  # H×W or H×W×C
        image = torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    if not isinstance(image, Tensor):
        raise TypeError(
            f"a Dataset's images must be tensors C×H×W or PIL images, got {type(image).__name__}"
        )
    if image.ndim != 3 or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(
            "a Dataset's images must be C×H×W, uint8 or floats in [0, 1], got "
            f"{image.dtype} of shape {tuple(image.shape)}"
        )
    return image if image.dtype == torch.uint8 else image.float()
