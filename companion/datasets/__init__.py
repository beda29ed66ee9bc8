"""Every data set of the book through one function: :func:`load_images`."""

import contextlib
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from companion.datasets import chairs, digits, downloads, folders, photos, sprites
from companion.datasets.photos import read_photograph
from companion.paths import expanded
from companion.threads import limit_threads

__all__ = ["DATASETS", "SPLITS", "ImageSet", "is_here", "load_images", "read_photograph"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class ImageSet:
    """Images, and what is known about each of them.

    ``images`` is uint8, N×C×H×W, values 0–255, as a training loop wants to keep them;
    :meth:`pixels` gives floats. ``labels`` is int64, N, an index into ``class_names`` (None if
    there are no classes). ``factors`` maps the name of a generative factor to a tensor of N (None
    if they are not known). ``len(data)`` is N; ``data[3]`` is one image with its label, and
    ``data[:100]`` or ``data[index_tensor]`` a smaller ImageSet.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    factors: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> tuple[Tensor, int | None]: ...

    @overload
    def __getitem__(self, index: slice | Tensor | list[int]) -> "ImageSet": ...

    def __getitem__(
        self, index: int | slice | Tensor | list[int]
    ) -> "tuple[Tensor, int | None] | ImageSet":
        if not getattr(index, "ndim", 0):  # also NumPy's numbers and tensors without dimensions
            with contextlib.suppress(TypeError):
                index = operator.index(index)  # type: ignore[arg-type]
        if isinstance(index, int):
            label = None if self.labels is None else int(self.labels[index])
            return self.images[index], label
        return ImageSet(
            name=self.name,
            split=self.split,
            images=self.images[index],
            labels=None if self.labels is None else self.labels[index],
            class_names=self.class_names,
            factors=self.factors and {name: value[index] for name, value in self.factors.items()},
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W), which is what a model is built with."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def pixels(self) -> Tensor:
        """The images as a network takes them: float32, N×C×H×W, in [0, 1]."""
        return self.images.float() / 255

    def describe(self) -> str:
        """What is in the set, in a few lines: size, images of each class, range of each factor."""
        channels, height, width = self.image_shape
        colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
        lines = [f"{self.name}, {self.split}: {len(self):,} {colours} images of {height}×{width}"]
        if self.labels is not None:
            counts = torch.bincount(self.labels, minlength=len(self.class_names)).tolist()
            classes = zip(self.class_names, counts, strict=True)
            lines.append("classes: " + ", ".join(f"{name} ({count:,})" for name, count in classes))
        if self.factors and len(self):
            ranges = (
                f"{name} {value.min().item():.3g} to {value.max().item():.3g}"
                for name, value in self.factors.items()
            )
            lines.append("factors: " + ", ".join(ranges))
        return "\n".join(lines)


@dataclass(frozen=True)
class _Source:
    """Where a named data set comes from.

    ``largest`` and ``default`` give a number of images for each split, and ``load(split, size,
    seed)`` returns so many. Nothing is downloaded for an ``embedded`` one.
    """

    load: Callable[[str, int, int], ImageSet]
    largest: dict[str, int]
    default: dict[str, int]
    embedded: bool = True


def _load_sprites(split: str, size: int, seed: int) -> ImageSet:
    # One random stream for each pair of seed and split: no two splits share a sprite.
    factors = sprites.sample_factors(size, len(SPLITS) * seed + SPLITS.index(split))
    return ImageSet(
        name="sprites",
        split=split,
        images=sprites.draw_sprites(factors),
        labels=factors["shape"],
        class_names=sprites.SHAPES,
        factors=factors,
    )


def _load_chairs(split: str, size: int, seed: int) -> ImageSet:
    factors = chairs.sample_factors(size, len(SPLITS) * seed + SPLITS.index(split))
    return ImageSet(name="chairs", split=split, images=chairs.draw_chairs(factors), factors=factors)


def _load_digits(split: str, size: int, seed: int) -> ImageSet:
    images, labels = digits.read(split)
    chosen = _shuffled(len(images), seed)[:size]
    return ImageSet("digits", split, images[chosen], labels[chosen], digits.CLASS_NAMES)


def _downloaded(name: str) -> _Source:
    source = downloads.SETS[name]

    def load(split: str, size: int, seed: int) -> ImageSet:
        images, labels = downloads.read(name, split)
        chosen = _shuffled(len(images), seed)[:size]
        return ImageSet(name, split, images[chosen], labels[chosen], source.class_names)

    return _Source(load, largest=source.sizes, default=source.sizes, embedded=False)


def _load_photos(split: str, size: int, image_size: int = photos.IMAGE_SIZE) -> ImageSet:
    names = photos.NAMES[split][:size]
    return ImageSet(
        name="photos",
        split=split,
        images=photos.read(split, names, image_size),
        labels=torch.arange(len(names)),
        class_names=names,
    )


def _load_folder(
    folder: Path, split: str, size: int | None, seed: int, image_size: int = folders.IMAGE_SIZE
) -> ImageSet:
    files, labels, class_names, notes = folders.find(folder, split)
    size = _checked_size(str(folder), split, size, len(files), len(files))
    order = _shuffled(len(files), seed).tolist()
    images, kept, more = folders.read([files[i] for i in order], size, image_size, folder)
    for note in notes + more:
        warnings.warn(note, stacklevel=4)  # whoever called load_images
    return ImageSet(
        name=folder.resolve().name,
        split=split,
        images=images,
        labels=None if labels is None else torch.tensor([labels[order[i]] for i in kept]),
        class_names=class_names,
    )


def _shuffled(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


DATASETS = {
    # Chairs and sprites are drawn, not read: the limit keeps a slip of the keyboard from filling
    # the memory.
    "chairs": _Source(
        _load_chairs,
        largest={"train": 100_000, "test": 100_000},
        default={"train": 10_000, "test": 2_000},
    ),
    "digits": _Source(_load_digits, largest=digits.SIZES, default=digits.SIZES),
    "photos": _Source(
        lambda split, size, seed: _load_photos(split, size),
        largest={split: len(names) for split, names in photos.NAMES.items()},
        default={split: len(names) for split, names in photos.NAMES.items()},
    ),
    "sprites": _Source(
        _load_sprites,
        largest={"train": 100_000, "test": 100_000},
        default={"train": 10_000, "test": 2_000},
    ),
    **{name: _downloaded(name) for name in downloads.SETS},
}

_IMAGE_SIZES = range(8, 1025)


def load_images(
    name: str | Path,
    split: str = "train",
    size: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
) -> ImageSet:
    """Load a data set by name, or any folder of images by its path.

    Embedded, nothing is downloaded:

    - "digits": scikit-learn's 1,797 handwritten digits, grey, 8×8. The split is fixed, one image in
      five of every class for testing; ``seed`` sets the order.
    - "sprites": squares, ellipses and hearts in colour, 64×64, with their true factors, generated
      from ``seed`` (:mod:`companion.datasets.sprites`).
    - "chairs": chairs in three dimensions, 64×64, with their true factors, generated from ``seed``
      (:mod:`companion.datasets.chairs`).
    - "photos": fifteen photographs in a fixed order, 224×224, each named by its class
      (:mod:`companion.datasets.photos`).

    Fetched when first asked for, checked each time, kept in the folder of the environment variable
    COMPANION_DOWNLOADS (:mod:`companion.datasets.downloads`); ``seed`` sets the order:

    - "mnist", "fashion-mnist": 60,000 and 10,000 grey images, 28×28, of ten classes.
    - "cifar10": 50,000 and 10,000 colour images, 32×32, of ten classes.

    A path to a folder (a string counts as one if it names no data set) loads the images in it, in
    colour, cut square and resized to 64×64; sub-folders are classes, and ``seed`` sets the order
    (:mod:`companion.datasets.folders`). Warnings say which files were passed over.

    ``split`` is "train" or "test", which share no image. ``size`` is the number of images wanted
    (None: all there are, or 10,000 and 2,000 generated ones); a smaller set is the beginning of a
    larger one with the same seed. ``image_size`` is the height and width in pixels to which photos
    and images from a folder are brought, 8 to 1,024. Raises ValueError for a name, split or size
    that does not exist, and downloads.DownloadError (an OSError) for a set that cannot be fetched.
    """
    limit_threads()
    with torch.device("cpu"):  # whatever torch.set_default_device says
        return _load(name, split, size, seed, image_size)


def _load(
    name: str | Path, split: str, size: int | None, seed: int, image_size: int | None
) -> ImageSet:
    folder = _folder(name)
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r} of {name}; there are {_quoted(SPLITS)}.")
    if image_size is not None and image_size not in _IMAGE_SIZES:
        raise ValueError(f"image_size must be 8 to 1,024 pixels, got {image_size!r}.")
    scaled = {} if image_size is None else {"image_size": image_size}
    if folder is not None:
        return _load_folder(folder, split, size, seed, **scaled)
    source = DATASETS[str(name)]
    size = _checked_size(str(name), split, size, source.default[split], source.largest[split])
    if name == "photos":
        return _load_photos(split, size, **scaled)
    if scaled:
        raise ValueError(f"image_size is for photos and folders; the images of {name} have theirs.")
    return source.load(split, size, seed)


def is_here(name: str) -> bool:
    """Whether this data set can be loaded without a download. Raises ValueError if there is none.

    What is embedded or generated always can; of a downloaded set, the files lie in their folder.
    """
    if name not in DATASETS:
        raise ValueError(f"There is no data set {name!r}; there are {_quoted(DATASETS)}.")
    return DATASETS[name].embedded or downloads.is_here(name)


def _folder(name: str | Path) -> Path | None:
    """The folder that is meant, None if it is a data set. Raises ValueError if it is neither."""
    if isinstance(name, str) and name in DATASETS:
        return None
    if not str(name).strip():
        raise ValueError("The name of a data set or of a folder of images is empty.")
    path = expanded(name)
    if isinstance(name, Path) or path.is_dir() or len(path.parts) > 1:
        return path
    raise ValueError(
        f"There is no data set {name!r}; there are {_quoted(DATASETS)}, or give the path of a "
        f"folder of images."
    )


def _checked_size(name: str, split: str, size: int | None, default: int, largest: int) -> int:
    size = default if size is None else size
    try:
        size = operator.index(size)
    except TypeError:
        raise TypeError(f"size must be a whole number of images, got {size!r}") from None
    if not 1 <= size <= largest:
        raise ValueError(
            f"The {split} split of {name} has 1 to {largest:,} images, size={size:,} was asked for."
        )
    return size


def _quoted(names: "dict[str, _Source] | tuple[str, ...]") -> str:
    return ", ".join(repr(name) for name in sorted(names))
