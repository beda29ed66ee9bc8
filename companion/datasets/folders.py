"""Any folder of images as a data set: mixed sizes, grey, transparent, rotated, some of them broken.

A folder holds images directly, or one sub-folder for each class (whatever lies deeper belongs to
that class). If two of its sub-folders are named as `train` and `test` are (`Training` and
`Testing`, `seg_train` and `seg_test`, `train` and `val` …), they are the splits, and each of them
is such a folder. Otherwise the split follows from a hash of each file's path relative to the
folder, about one image in five for testing: a file stays in its split when others are added, when
the folder is moved, and on any operating system. A folder around all of this, as a ZIP file leaves
one, is looked through. Links are followed. Hidden files and documents are passed over; other files
that are no images that Pillow reads are counted in a warning.
"""

import contextlib
import hashlib
import io
import os
import re
import struct
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from companion.datasets.pixels import pixels_of

#: Height and width unless others are asked for, in pixels.
IMAGE_SIZE = 64
#: Endings of the files that are taken for images, where Pillow (or a plug-in of it) reads them.
SUFFIXES = frozenset(
    (
        ".apng", ".avif", ".bmp", ".dds", ".dib", ".gif", ".heic", ".heif", ".j2c", ".j2k",
        ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".jxl", ".pbm", ".pcx",
        ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
    )
)  # fmt: skip

# Files that lie beside images and are none: nothing is lost with them.
_DOCUMENTS = frozenset(
    (
        ".cfg", ".csv", ".db", ".doc", ".docx", ".htm", ".html", ".ini", ".ipynb", ".json",
        ".jsonl", ".log", ".md", ".md5", ".pdf", ".py", ".rst", ".rtf", ".sha256", ".toml", ".tsv",
        ".txt", ".url", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
    )
)  # fmt: skip
_DOCUMENT_NAMES = frozenset(("authors", "changelog", "copying", "license", "licence", "readme"))
# Thumbnails, bins and the like, which systems hide or should.
_HIDDEN = (".", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")

#: More pixels than this are not read: a small file may unpack to more than the memory holds. A page
#: has the same limit (js/ui/pictures.js).
MOST_PIXELS = 100_000_000

_TEST_SHARE = 0.2
# What people call the folders of a split; of several that are held out, the first there is taken.
_TRAINING = ("training", "train")
_HELD_OUT = (
    "testing", "test", "validation", "valid", "val", "holdout", "evaluation", "eval", "dev",
)  # fmt: skip
_NAMED = 5  # files and folders named in a warning

# EXIF's tag for how the camera was held, and what brings the picture upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Found(NamedTuple):
    """The images of a split.

    `files` are in the order of their paths; `labels` index `class_names`, or are None where there
    are no classes. `notes` are sentences about what was passed over or is doubtful.
    """

    files: list[Path]
    labels: list[int] | None
    class_names: tuple[str, ...]
    notes: list[str]


def find(folder: Path, split: str) -> Found:
    """The image files of a split, "train" or "test"; both splits have the same class names.

    Raises ValueError if there is no such folder, no image in it or in the split, and where it is
    not clear what the sub-folders mean, saying what to do.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    paths, passed_over = _walk(folder)
    where = f"the folder {str(folder)!r}"
    if not paths:
        more = f"; passed over: {_counted(passed_over)}" if passed_over else ""
        raise ValueError(f"There is no image in {where}{more}.")
    layout = _layout(paths, where)
    notes = list(layout.notes)
    if passed_over:
        notes.append(f"In {where}, files were passed over: {_counted(passed_over)}.")
    found = layout.train if split == "train" else layout.test
    if not found:
        raise ValueError(
            f"None of the {len(layout.train) + len(layout.test)} images in {where} belongs to its "
            f"{split} split; add images, or make the sub-folders train and test."
        )
    files = [folder / root / path for root, path in found]
    if all(len(path.parts) == 1 for _, path in found):
        return Found(files, None, (), notes)
    class_names = tuple(sorted({path.parts[0] for _, path in layout.train + layout.test}))
    labels = [class_names.index(path.parts[0]) for _, path in found]
    return Found(files, labels, class_names, notes)


def read(
    files: list[Path], size: int, image_size: int = IMAGE_SIZE, folder: Path | None = None
) -> tuple[Tensor, list[int], list[str]]:
    """The first ``size`` readable images, which of the files they are, and notes on the others.

    Images are uint8, N×3×H×W with H = W = ``image_size``, as :func:`square` makes them. Files that
    cannot be read are skipped; a note says how many, and names the first of them, relative to
    ``folder``. Raises ValueError if none can be read.
    """
    # Filled in place: a list of images and their stack would take the memory twice.
    images = np.empty((min(size, len(files)), 3, image_size, image_size), np.uint8)
    kept: list[int] = []
    broken: list[str] = []
    for index, path in enumerate(files):
        if len(kept) == len(images):
            break
        try:
            images[len(kept)] = square_of(path, image_size).transpose(2, 0, 1)
            kept.append(index)
        except Exception as error:  # Pillow reports a damaged file by errors of a dozen types.
            name = path.relative_to(folder).as_posix() if folder else path.name
            broken.append(f"{name} ({_first_line(error)})")
    images.resize((len(kept), *images.shape[1:]), refcheck=False)
    notes = []
    if broken:
        message = f"{len(broken)} of {len(kept) + len(broken)} images cannot be read"
        if not kept:
            raise ValueError(f"{message}: {_some(broken)}.")
        notes.append(f"{message} and were skipped: {_some(broken)}.")
    return torch.from_numpy(images), kept, notes


def square(image: Image.Image, size: int) -> np.ndarray:
    """An image as H×W×3 uint8 with H = W = ``size``: turned upright, its middle cut out, resized.

    The camera's note of how it was held (EXIF) is obeyed, the largest square in the middle is kept
    and resized with Lanczos' filter. Grey becomes three equal channels, other pixel formats what
    :func:`companion.datasets.pixels.pixels_of` makes of them, and of an animation the first picture
    counts. Raises ValueError for pixels whose range is unknown, and for more than MOST_PIXELS.
    """
    if (count := image.width * image.height) > MOST_PIXELS:
        raise ValueError(
            f"it has {count / 1e6:,.0f} million pixels, and more than {MOST_PIXELS / 1e6:.0f} are "
            "not read"
        )
    turn = _turn(image)
    pixels = pixels_of(image).convert("RGB")
    upright = pixels if turn is None else pixels.transpose(turn)
    return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS))


def square_of(path: Path, size: int) -> np.ndarray:
    """:func:`square` of an image file; what is wrong with its metadata alone does no harm.

    Raises what Pillow raises for a file that it cannot read.
    """
    with warnings.catch_warnings():
        # What Pillow warns of (odd metadata, a large picture) is readable.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                return square(image, size)
        except Exception as error:
            if isinstance(error, Image.DecompressionBombError):
                message = f"it has more than {MOST_PIXELS / 1e6:.0f} million pixels"
                raise ValueError(message) from error
            bare = _without_metadata(path.read_bytes())
            if bare is None:
                raise
            with contextlib.suppress(Exception):  # the first error tells more
                return square(Image.open(io.BytesIO(bare)), size)
            raise


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        # Nothing else of the metadata is looked at, so nothing else can be wrong with it.
        return _TURNS.get(image.getexif().get(_ORIENTATION))  # type: ignore[arg-type]
    except Exception:
        return None


def _without_metadata(content: bytes) -> bytes | None:
    """A PNG or JPEG file without what only describes it, where that may be what is broken.

    None for other files and for those that break off before their pixels.
    """
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _bare_png(content)
        if content.startswith(b"\xff\xd8"):
            return _bare_jpeg(content)
    except (struct.error, IndexError):
        pass
    return None


def _bare_png(content: bytes) -> bytes:
    parts, at = [content[:8]], 8
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        end = at + 12 + length
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"):
            parts.append(content[at:end])
        at = end
    return b"".join(parts)


def _bare_jpeg(content: bytes) -> bytes:
    parts, at = [content[:2]], 2
    while content[at + 1] != 0xDA:  # the pixels begin
        marker = content[at + 1]
        (length,) = struct.unpack_from(">H", content, at + 2)
        end = at + 2 + max(length, 2)
        # Of what describes, EXIF tells how it was held, and Adobe's note which colours it has.
        adobe = marker == 0xEE and length >= 14
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker == 0xE1 or adobe:
            parts.append(content[at:end])
        at = end
    return b"".join([*parts, content[at:]])


# ------------------------------------------------------------------------------ what lies there


def _walk(folder: Path) -> tuple[list[PurePath], dict[str, list[PurePath]]]:
    """Paths of the image files, relative to the folder and sorted alike on every system, and of
    what else there is, by kind. Links to folders are followed, once each.
    """
    Image.init()
    readable = {end for end, form in Image.registered_extensions().items() if form in Image.OPEN}
    images: list[PurePath] = []
    others: dict[str, list[PurePath]] = {}
    folders, links, seen = [PurePath()], list[PurePath](), set[tuple[int, int]]()
    while folders or links:
        # What really lies here comes first: a link to it is no second place.
        linked = not folders
        inside = links.pop(0) if linked else folders.pop()
        try:
            status = (folder / inside).stat()
            if (status.st_dev, status.st_ino) in seen:
                others.setdefault("link to what is read already", []).append(inside)
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
        except OSError:
            others.setdefault("folder that cannot be opened", []).append(inside)
            continue
        for entry in entries:
            path = inside / entry.name
            if entry.name.startswith(_HIDDEN):
                continue
            kind = _kind(entry)
            if kind == "folder":
                (links if entry.is_symlink() else folders).append(path)
            elif path.suffix.lower() in SUFFIXES & readable and kind == "file":
                images.append(path)
            elif kind != "file" or not _is_document(path):
                ending = path.suffix.lower() or "without an ending"
                others.setdefault(ending if kind == "file" else kind, []).append(path)
    return sorted(images, key=PurePath.as_posix), others


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "broken link"
    except OSError:  # a link to itself
        return "broken link"


def _is_document(path: PurePath) -> bool:
    return path.suffix.lower() in _DOCUMENTS or path.stem.lower() in _DOCUMENT_NAMES


def _counted(passed_over: dict[str, list[PurePath]]) -> str:
    """Such as "5 .heic (in dogs/), 1 broken link (cats/a.png)"."""
    phrases = []
    for kind, paths in sorted(passed_over.items()):
        if kind.startswith((".", "without")):
            names = sorted({_folder_name(path.parent) for path in paths})
        else:
            names = [path.as_posix() for path in paths]
        phrases.append(f"{len(paths):,} {kind} ({_some(names)})")
    return ", ".join(phrases)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _folder_name(path: PurePath) -> str:
    return "directly in it" if path == PurePath() else f"in {path.as_posix()}/"


# ------------------------------------------------------------------------------ what it means

# The part of the folder that paths are relative to, and such a path.
_Place = tuple[PurePath, PurePath]


class _Layout(NamedTuple):
    train: list[_Place]
    test: list[_Place]
    notes: list[str]


class _Level:
    """What lies in one folder: its own images, and its sub-folders that hold images."""

    def __init__(self, root: PurePath, paths: Iterable[PurePath]) -> None:
        self.root = root
        self.paths = [path for path in paths if path.is_relative_to(root)]
        deep = len(root.parts)
        self.loose = [path for path in self.paths if len(path.parts) == deep + 1]
        self.folders = sorted(
            {path.parts[deep] for path in self.paths if len(path.parts) > deep + 1}
        )

    def inside(self, name: str) -> "_Level":
        return _Level(self.root / name, self.paths)

    def places(self) -> list[_Place]:
        return [(self.root, path.relative_to(self.root)) for path in self.paths]


def _layout(paths: list[PurePath], where: str) -> _Layout:
    """Which images are for training and for testing, or a ValueError that says what is unclear."""
    level, notes = _Level(PurePath(), paths), list[str]()
    while True:
        splits = _splits(level, where)
        if splits is not None:
            return _given_splits(level, *splits, where)
        if level.loose or len(level.folders) != 1:
            break
        only = level.inside(level.folders[0])
        if _sounds_like(level.folders[0], _HELD_OUT):
            raise ValueError(
                f"In {where}, {only.root.as_posix()}/ sounds like images to test on, but there are "
                "none for training beside it. Give its own path if they are all there is."
            )
        for_training = _sounds_like(level.folders[0], _TRAINING)
        if for_training:
            notes.append(
                f"In {where}, {only.root.as_posix()}/ has no test/ beside it: one image in five of "
                "it is held out for testing."
            )
        elif not only.folders:
            break  # one class
        level = only
    _check_classes(level, where, notes)
    places = level.places()
    return _Layout(
        [place for place in places if not _is_for_testing(place[1])],
        [place for place in places if _is_for_testing(place[1])],
        notes,
    )


def _given_splits(level: _Level, train: str, test: str, where: str) -> _Layout:
    notes: list[str] = []
    parts = [_unwrapped(level.inside(name), name) for name in (train, test)]
    others = [level.inside(name) for name in level.folders if name not in (train, test)]
    unused = [(other.root.as_posix() + "/", len(other.paths)) for other in others]
    unused += [("beside them", len(level.loose))] if level.loose else []
    if unused:
        told = _some([f"{place} ({count:,})" for place, count in unused])
        notes.append(
            f"In {where}, {parts[0].root.as_posix()}/ and {parts[1].root.as_posix()}/ are the "
            f"splits; other images were passed over: {told}."
        )
    for part in parts:
        _check_classes(part, where, notes)
    flat = [part for part in parts if part.loose]
    if len(flat) == 1:
        classes = parts[0] if parts[1].loose else parts[1]
        raise ValueError(
            f"In {where}, {classes.root.as_posix()}/ has class sub-folders, but "
            f"{flat[0].root.as_posix()}/ holds loose images, such as {flat[0].loose[0].as_posix()}:"
            f" sort them into the same sub-folders, or take {flat[0].root.as_posix()}/ away."
        )
    if new := sorted(set(parts[1].folders) - set(parts[0].folders)):
        notes.append(
            f"In {where}, {parts[1].root.as_posix()}/ has classes of which "
            f"{parts[0].root.as_posix()}/ has no images: {_some(new)}."
        )
    return _Layout(parts[0].places(), parts[1].places(), notes)


def _unwrapped(level: _Level, name: str) -> _Level:
    """The folder of a split without folders that are only around it (seg_train/seg_train/)."""
    while not level.loose and len(level.folders) == 1:
        only = level.inside(level.folders[0])
        again = level.folders[0].casefold() == name.casefold()
        if not again and (only.loose or not only.folders):
            break
        level = only
    return level


def _check_classes(level: _Level, where: str, notes: list[str]) -> None:
    """Raise ValueError for images beside class folders and for splits inside of classes."""
    if level.loose and level.folders:
        beside = (level.root / level.folders[0]).as_posix()
        raise ValueError(
            f"{where[0].upper()}{where[1:]} must hold either images or class sub-folders, but "
            f"{level.loose[0].as_posix()} lies beside {beside}/."
        )
    classes = [level.inside(name) for name in level.folders]
    for one in classes:
        if (splits := _splits(one, where)) is not None:
            raise ValueError(
                f"In {where}, {one.root.as_posix()}/ has splits of its own, {splits[0]}/ and "
                f"{splits[1]}/: put the splits outside, as {splits[0]}/{one.root.name}/."
            )
    alike = Counter(name for one in classes for name in one.folders)
    common = sorted(name for name, count in alike.items() if count == len(classes))
    if len(classes) > 1 and len(common) > 1 and not any(one.loose for one in classes):
        notes.append(
            f"In {where}, {_some([one.root.as_posix() + '/' for one in classes])} are taken for "
            f"the classes, though each has the same sub-folders ({_some(common)}). If they are "
            "splits, call them train/ and test/."
        )
        return
    deep = [one for one in classes if len(one.folders) > 1 and not one.loose]
    if len(classes) > 1 and deep:
        told = [f"{one.root.as_posix()}/ ({_some(one.folders)})" for one in deep]
        notes.append(
            f"In {where}, each of these is taken for one class, whose sub-folders are not told "
            f"apart: {_some(told)}. If the sub-folders are the classes, put them side by side."
        )


def _splits(level: _Level, where: str) -> tuple[str, str] | None:
    """The sub-folders for training and for testing, if there are such: names that differ in one
    word alone.
    """
    pairs = [
        (rank, training, held_out)
        for training in level.folders
        for held_out in level.folders
        for rank, word in enumerate(_HELD_OUT)
        if training != held_out
        if _frames(training, _TRAINING) & _frames(held_out, (word,))
    ]
    if len({training for _, training, _ in pairs}) > 1:
        names = ", ".join(sorted({name + "/" for pair in pairs for name in pair[1:]}))
        raise ValueError(f"In {where}, it is not clear which of {names} are the splits.")
    if pairs:
        _, training, held_out = min(pairs)
        return training, held_out
    train = [name for name in level.folders if _sounds_like(name, _TRAINING)]
    test = [name for name in level.folders if _sounds_like(name, _HELD_OUT)]
    if train and test and train != test:
        raise ValueError(
            f"In {where}, {train[0]}/ and {test[0]}/ sound like splits: call them train/ and "
            "test/, or otherwise if they are classes."
        )
    return None


def _frames(name: str, words: tuple[str, ...]) -> set[tuple[str, str]]:
    """What stands around one of the words in the name: {("seg_", "")} for seg_train."""
    spelling = re.sub(r"[\W_]+", "_", name.casefold())
    return {
        (spelling[: match.start()], spelling[match.end() :])
        for word in words
        for match in re.finditer(word, spelling)
    }


def _sounds_like(name: str, words: tuple[str, ...]) -> bool:
    return not set(re.split(r"[\W_\d]+", name.casefold())).isdisjoint(words)


def _is_for_testing(path: PurePath) -> bool:
    # macOS spells é in two characters where others use one: normalised, both hash alike.
    spelling = unicodedata.normalize("NFC", path.as_posix())
    digest = hashlib.sha256(spelling.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < _TEST_SHARE * 2**64


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
