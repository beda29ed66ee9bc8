"""Where `fit` gets its batches from: a set that lies on the device, or one too large for that."""

import hashlib
import multiprocessing
import pickle
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from companion.datasets.pixels import pixels_of
from companion.threads import allowed_processors
from companion.training.devices import seeded_everywhere

_AT_ONCE = 4096  # images of which a digest is taken at a time
_READ_AT_MOST = 256  # items of a Dataset that are read to know it again

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


class InMemory:
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
        """How many images, and a digest of all of them and their labels."""
        digest = hashlib.sha256()
        for start in range(0, len(self), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            _add(digest, self.images[rows], None if self.labels is None else self.labels[rows])
        return f"{len(self)} ({digest.hexdigest()[:8]})"

    def read(self, rows: Iterable[Tensor]) -> Iterator[Batch]:
        """A batch for each of `rows`, which are numbers of images."""
        if isinstance(rows, Tensor):  # one transfer for the whole epoch
            rows = rows.to(self.device)
        for chosen in rows:
            yield self.images[chosen], None if self.labels is None else self.labels[chosen]


class FromDataset:
    """A torch `Dataset` that is read while the device computes, by a `DataLoader`'s processes.

    Its items are images, or (image, label): tensors C×H×W (uint8, or floats in [0, 1]) or PIL
    images of any mode, which become grey or RGB (`companion.datasets.pixels`); all of one size.
    What it draws from PyTorch's generator is the same for the same seed and epoch; with workers,
    also what it draws from NumPy's and Python's own.
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
        if workers is None:
            # Processes of their own pay where the CPU has nothing else to do; but where they are
            # not forked, they import the program anew, and know nothing of a notebook's classes.
            forks = multiprocessing.get_start_method() == "fork"
            workers = min(4, allowed_processors()) if device.type == "cuda" and forks else 0
        elif workers:
            _check_readable_by_workers(dataset, workers, what)
        self.generator = torch.Generator("cpu")
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
        """How many images, and a digest of up to 256, evenly spread, as they are with one seed.

        They are read twice; where that is not the same twice, they are drawn, and only counted.
        """
        rows = torch.linspace(
            0, len(self) - 1, min(len(self), _READ_AT_MOST), dtype=torch.float64, device="cpu"
        )
        digests = set()
        for _ in range(2):
            digest = hashlib.sha256()
            with seeded_everywhere(0):
                for images, labels in self.read(rows.round().long().split(_READ_AT_MOST // 8)):
                    _add(digest, images, labels)
            digests.add(digest.hexdigest()[:8])
        return f"{len(self)} ({digests.pop()})" if len(digests) == 1 else f"{len(self)} (drawn)"

    def read(self, rows: Iterable[Tensor]) -> Iterator[Batch]:
        """A batch for each of `rows`, which are numbers of images."""
        self.rows = [row.tolist() for row in rows]
        # What the workers draw is the epoch's, like everything that is drawn: so they are new ones.
        self.generator.manual_seed(torch.initial_seed())
        # Read on the CPU, whatever torch.set_default_device says.
        with torch.device("cpu"):
            batches = iter(self.loader)
        while True:
            with torch.device("cpu"):
                batch = next(batches, None)
            if batch is None:
                return
            images, labels = batch
            yield (
                images.to(self.device, non_blocking=True),
                None if labels is None else labels.to(self.device, non_blocking=True),
            )


class _Rows:
    """The loader's batch sampler: whatever rows are asked for at the moment."""

    def __init__(self, owner: FromDataset) -> None:
        self.owner = owner

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.owner.rows)

    def __len__(self) -> int:
        return len(self.owner.rows)


Source = InMemory | FromDataset


def open_source(
    data: Data, device: torch.device, workers: int | None = None, *, what: str = "data"
) -> Source:
    """What `fit` draws batches from. Raises TypeError or ValueError for what cannot be trained on.

    A tensor, or anything with `images` and perhaps `labels`, becomes resident on the device; a
    torch `Dataset` is streamed.
    """
    if isinstance(data, Dataset):  # first: it may well have an attribute named images
        return FromDataset(data, device, workers, what)
    if isinstance(data, Tensor):
        return InMemory(data, None, device, what)
    images = getattr(data, "images", None)
    if isinstance(images, Tensor):
        return InMemory(images, getattr(data, "labels", None), device, what)
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
    generator = torch.Generator("cpu").manual_seed(combine_seeds(seed, epoch))
    steps = count // size
    order = torch.randperm(count, generator=generator, device="cpu")
    return order[: steps * size].view(steps, size)


def in_order(count: int, size: int) -> Iterator[Tensor]:
    """Rows of `size` image numbers in their order, and a shorter one at the end."""
    for start in range(0, count, size):
        yield torch.arange(start, min(start + size, count), device="cpu")


def shared_size(count: int, batch_size: int, processes: int) -> int:
    """Images in a batch of all processes together; all of a set that is smaller than a batch.

    Raises ValueError for a batch that the processes cannot share evenly.
    """
    if batch_size % processes:
        raise ValueError(
            f"batch_size must be a multiple of the {processes} processes, got {batch_size}"
        )
    size = min(batch_size, count)
    if size < processes:
        raise ValueError(f"{size} images are too few for {processes} processes")
    return size - size % processes


def combine_seeds(*numbers: int) -> int:
    """A seed for a random generator, another one for other numbers (zeros at the end aside)."""
    words = np.random.SeedSequence([number % 2**64 for number in numbers]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


def _check_readable_by_workers(dataset: Dataset[Any], workers: int, what: str) -> None:
    """Raise ValueError if the workers' processes, where they are not forked, cannot read it."""
    if multiprocessing.get_start_method() == "fork":
        return
    remedy = "define its class in a file of its own and import it, or ask for workers=0"
    try:
        content = pickle.dumps(dataset)
    except Exception as error:  # pickle reports by errors of many types
        raise ValueError(
            f"{workers} worker processes cannot get this {what}, for it cannot be pickled "
            f"({error}): {remedy}"
        ) from error
    # A notebook is no file that they could import.
    main = sys.modules["__main__"]
    is_file = hasattr(main, "__file__") or getattr(main, "__spec__", None) is not None
    if b"__main__" in content and not is_file:
        raise ValueError(
            f"{workers} worker processes cannot read this {what}, for its class is defined in the "
            f"notebook: {remedy}"
        )


def _add(digest: Any, images: Tensor, labels: Tensor | None) -> None:
    """Take images and labels into a digest."""
    for part in (images,) if labels is None else (images, labels):
        digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
        digest.update(part.cpu().contiguous().view(-1).view(torch.uint8).numpy())


def _collate(items: list[Any]) -> Batch:
    """Stack a Dataset's items: images, (image,) or (image, label), where a label may be None."""
    pairs = [tuple(item) if isinstance(item, tuple | list) else (item,) for item in items]
    tensors = [_as_tensor(pair[0]) for pair in pairs]
    if shapes := {tuple(tensor.shape) for tensor in tensors} - {tuple(tensors[0].shape)}:
        raise ValueError(
            "a Dataset's images must all have the same C×H×W, got "
            f"{tuple(tensors[0].shape)} and {shapes.pop()}: resize or crop them, and make all of "
            "them grey or RGB"
        )
    images = torch.stack(tensors)
    if images.is_floating_point() and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "a Dataset's floating-point images must lie in [0, 1], got values from "
            f"{images.min().item():.4g} to {images.max().item():.4g}"
        )
    labels = [pair[1] if len(pair) > 1 else None for pair in pairs]
    if all(label is None for label in labels):
        return images, None
    try:
        return images, torch.stack([torch.as_tensor(label, device="cpu") for label in labels])
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            "a Dataset's labels must be numbers, or tensors of one shape, got "
            f"{' and '.join(repr(label) for label in labels[:2])}"
        ) from error


def _as_tensor(image: Any) -> Tensor:
    if isinstance(image, Image.Image):
        try:
            array = np.array(pixels_of(image))  # H×W or H×W×C
        except ValueError as error:
            raise ValueError(f"an image of the Dataset cannot be used: {error}") from error
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
