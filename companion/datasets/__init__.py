"""Every data set of the book through one function: :func:`load_images`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from companion.datasets import digits, sprites

__all__ = ["DATASETS", "SPLITS", "ImageSet", "load_images"]

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
    seed)`` returns so many.
    """

    load: Callable[[str, int, int], ImageSet]
    largest: dict[str, int]
    default: dict[str, int]


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


def _load_digits(split: str, size: int, seed: int) -> ImageSet:
    images, labels = digits.read(split)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:size]
    return ImageSet(
        name="digits",
        split=split,
        images=images[chosen],
        labels=labels[chosen],
        class_names=digits.CLASS_NAMES,
    )


DATASETS = {
    "digits": _Source(_load_digits, largest=digits.SIZES, default=digits.SIZES),
    # Sprites are drawn, not read: the limit keeps a slip of the keyboard from filling the memory.
    "sprites": _Source(
        _load_sprites,
        largest={"train": 100_000, "test": 100_000},
        default={"train": 10_000, "test": 2_000},
    ),
}


def load_images(
    name: str, split: str = "train", size: int | None = None, seed: int = 0
) -> ImageSet:
    """Load a data set by name: "digits" or "sprites". Nothing is downloaded.

    - "digits": scikit-learn's 1,797 handwritten digits, grey, 8×8. The split is fixed, one image in
      five of every class for testing; ``seed`` sets the order.
    - "sprites": squares, ellipses and hearts in colour, 64×64, with their true factors, generated
      from ``seed`` (:mod:`companion.datasets.sprites`).

    ``split`` is "train" or "test", which share no image. ``size`` is the number of images wanted
    (None: all digits, or 10,000 and 2,000 sprites); a smaller set is the beginning of a larger one
    with the same seed. Raises ValueError for a name, split or size that does not exist.
    """
    if name not in DATASETS:
        raise ValueError(f"There is no data set {name!r}; there are {_quoted(DATASETS)}.")
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r} of {name}; there are {_quoted(SPLITS)}.")
    source = DATASETS[name]
    size = source.default[split] if size is None else size
    if not 1 <= size <= source.largest[split]:
        raise ValueError(
            f"The {split} split of {name} has 1 to {source.largest[split]:,} images, "
            f"size={size:,} was asked for."
        )
    return source.load(split, size, seed)


def _quoted(names: "dict[str, _Source] | tuple[str, ...]") -> str:
    return ", ".join(repr(name) for name in sorted(names))
