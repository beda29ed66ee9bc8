"""Any folder of images as a data set: mixed sizes, grey, transparent, rotated, some of them broken.

A folder holds images directly, or one sub-folder for each class (whatever lies deeper belongs to
that class). If it has the two sub-folders `train` and `test`, they are the splits, and each of them
is such a folder. Otherwise the split follows from a hash of each file's path relative to the
folder, about one image in five for testing: a file stays in its split when others are added, when
the folder is moved, and on any operating system. Hidden files, and files that are no images by
their name, are passed over.
"""

import hashlib
import unicodedata
import warnings
from pathlib import Path, PurePath

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

#: Height and width unless others are asked for, in pixels.
IMAGE_SIZE = 64
#: Endings of the files that are taken for images.
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)

_TEST_SHARE = 0.2
# What people call the sub-folder of images that are not for training; the first there is taken.
_HELD_OUT = ("test", "val", "valid", "validation")
_NAMED = 5  # broken files named in the warning


def find(folder: Path, split: str) -> tuple[list[Path], list[int] | None, tuple[str, ...]]:
    """The image files of a split, in the order of their paths, their labels and the class names.

    Sub-folders ``train`` and ``test`` (or ``val``, ``valid``, ``validation``) are the splits; if
    there are none, a fifth of the images is held out. Labels are None, and class names empty, if
    there are no class sub-folders. Both splits have the same class names. Raises ValueError if
    there is no such folder, no image in it or in the split, or if images lie beside class
    sub-folders.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    inside = {part.name.lower(): part for part in sorted(folder.iterdir()) if part.is_dir()}
    held_out = next((inside[name] for name in _HELD_OUT if name in inside), None)
    if "train" in inside and held_out is not None:
        parts = {"train": inside["train"], "test": held_out}
        found = {name: _images(part) for name, part in parts.items()}
    else:
        every = _images(folder)
        found = {
            "train": [path for path in every if not _is_for_testing(path)],
            "test": [path for path in every if _is_for_testing(path)],
        }
        parts = {"train": folder, "test": folder}
    both = found["train"] + found["test"]
    if not both:
        raise ValueError(f"There is no image in the folder {str(folder)!r}.")
    if not found[split]:
        raise ValueError(
            f"None of the {len(both)} images in the folder {str(folder)!r} belongs to its {split} "
            f"split; add images, or make the sub-folders train and test."
        )
    files = [parts[split] / path for path in found[split]]
    loose = [path for path in both if len(path.parts) == 1]
    if len(loose) == len(both):
        return files, None, ()
    if loose:
        raise ValueError(
            f"The folder {str(folder)!r} must hold either images or class sub-folders, but "
            f"{loose[0].name} lies beside {both[-1].parts[0]}/."
        )
    class_names = tuple(sorted({path.parts[0] for path in both}))
    return files, [class_names.index(path.parts[0]) for path in found[split]], class_names


def read(files: list[Path], size: int, image_size: int = IMAGE_SIZE) -> tuple[Tensor, list[int]]:
    """The first ``size`` readable images, and which of the files they are.

    Images are uint8, N×3×H×W with H = W = ``image_size``, as :func:`square` makes them. Files that
    cannot be read are skipped; one warning says how many, and names the first of them. Raises
    ValueError if none can be read.
    """
    images: list[np.ndarray] = []
    kept: list[int] = []
    broken: list[str] = []
    for index, path in enumerate(files):
        if len(images) == size:
            break
        try:
            with warnings.catch_warnings(), Image.open(path) as image:
                # What Pillow warns of (odd metadata, a very large picture) is readable.
                warnings.simplefilter("ignore")
                images.append(square(image, image_size))
            kept.append(index)
        except Exception as error:  # Pillow reports a damaged file by errors of a dozen types.
            broken.append(f"{path.name} ({_first_line(error)})")
    if broken:
        named = ", ".join(broken[:_NAMED])
        more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        message = f"{len(broken)} of {len(images) + len(broken)} images cannot be read"
        if not images:
            raise ValueError(f"{message}: {named}{more}.")
        warnings.warn(f"{message} and were skipped: {named}{more}.", stacklevel=4)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), kept


def square(image: Image.Image, size: int) -> np.ndarray:
    """An image as H×W×3 uint8 with H = W = ``size``: turned upright, its middle cut out, resized.

    The camera's note of how it was held (EXIF) is obeyed, the largest square in the middle is kept
    and resized with Lanczos' filter. Grey becomes three equal channels (16 bits are reduced to 8),
    what is transparent lies on white, and of an animation the first picture counts. Raises
    ValueError for floating-point pixels, whose range is unknown.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    fitted = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def _images(folder: Path) -> list[PurePath]:
    """Paths of the image files, relative to the folder, sorted alike on every system."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        (
            path
            for path in paths
            if path.suffix.lower() in SUFFIXES
            and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
        ),
        key=PurePath.as_posix,
    )


def _is_for_testing(path: PurePath) -> bool:
    # macOS spells é in two characters where others use one: normalised, both hash alike.
    spelling = unicodedata.normalize("NFC", path.as_posix())
    digest = hashlib.sha256(spelling.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < _TEST_SHARE * 2**64


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
