"""MNIST, Fashion-MNIST and CIFAR-10: fetched when first asked for, checked whenever they are read.

Files lie as torchvision lays them, so either finds what the other has fetched. Archives are never
unpacked to disk: a file's bytes are read into memory, their checksum is compared there, and those
very bytes are used. So there is no half-unpacked state, no path taken from an archive, and no
flipped bit that loads. A download is checked in memory before it is written.
"""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor

from companion.paths import cache_dir, expanded, write_atomically


class DownloadError(OSError):
    """A file is not there and could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class Archive:
    """A published file: path below :func:`downloads_dir`, SHA-256, addresses to try in turn."""

    path: str
    sha256: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A file inside an archive.

    ``path`` is its name there, and where it lies below :func:`downloads_dir` if somebody has
    unpacked it. Such a copy is used if it has the ``checksum`` ("sha256:…" or "md5:…"); without a
    known checksum (None) it never is.
    """

    archive: Archive
    path: str
    checksum: str | None = None


@dataclass(frozen=True)
class Downloadable:
    """A data set: the parts of each split, how their bytes become images and labels, its classes.

    ``instead`` is the embedded data set that comes nearest to it.
    """

    parts: Mapping[str, tuple[Part, ...]]
    decode: Callable[[Sequence[bytes]], tuple[Tensor, Tensor]]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    instead: str


def downloads_dir() -> Path:
    """The folder for downloaded data sets.

    The environment variable COMPANION_DOWNLOADS if it is set; in a clone of the repository its
    `data/downloads/`; otherwise `downloads` in the cache folder. Created when needed.
    """
    if override := os.environ.get("COMPANION_DOWNLOADS"):
        return expanded(override)
    repository = Path(__file__).resolve().parents[2]
    if (repository / "pyproject.toml").is_file():
        return repository / "data" / "downloads"
    return cache_dir() / "downloads"


def read(name: str, split: str) -> tuple[Tensor, Tensor]:
    """Images (uint8, N×C×H×W) and labels (int64, N) of a split, in the published order.

    Files that are there and undamaged are used; what is missing is fetched over https. Raises
    :class:`DownloadError` if that fails.
    """
    source = SETS[name]
    root = downloads_dir()
    contents: dict[str, bytes] = {}
    missing: dict[Archive, list[str]] = {}
    for part in source.parts[split]:
        unpacked = root / part.path
        if part.checksum and unpacked.is_file():
            content = unpacked.read_bytes()
            algorithm, _, expected = part.checksum.partition(":")
            if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == expected:
                contents[part.path] = content
                continue
        missing.setdefault(part.archive, []).append(part.path)
    for archive, paths in missing.items():
        contents |= _extract(archive, _obtain(archive, root, name), paths)
    return source.decode([contents[part.path] for part in source.parts[split]])


def is_here(name: str) -> bool:
    """Whether every file of the data set lies in :func:`downloads_dir`; they are not checked."""
    root = downloads_dir()
    return all(
        (part.checksum is not None and (root / part.path).is_file())
        or (root / part.archive.path).is_file()
        for parts in SETS[name].parts.values()
        for part in parts
    )


def _extract(archive: Archive, content: bytes, paths: list[str]) -> dict[str, bytes]:
    """The files with these paths: from a tar archive, or the only one in a gzip file."""
    if not archive.path.endswith(".tar.gz"):
        return dict.fromkeys(paths, gzip.decompress(content))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        members = {path: tar.extractfile(path) for path in paths}
        return {path: member.read() for path, member in members.items() if member}


def _obtain(archive: Archive, root: Path, name: str) -> bytes:
    """The bytes of an archive, fetched first if it is not there or damaged."""
    target = root / archive.path
    reasons = []
    if target.is_file():
        content = target.read_bytes()
        if _is_genuine(content, archive):
            return content
        reasons.append("the copy there is damaged")
    for address in archive.addresses:
        host = urlsplit(address).hostname
        try:
            content = _fetch(address)
        except OSError as error:
            reasons.append(f"{host}: {_reason(error)}")
            continue
        if not _is_genuine(content, archive):
            reasons.append(f"{host}: what arrived is not {target.name} (its SHA-256 differs)")
            continue
        try:
            write_atomically(target, content)
        except OSError as error:
            reasons.append(str(error))
            break
        return content
    raise DownloadError(
        f"{name} needs the file {target.name}, which could not be fetched ({'; '.join(reasons)}): "
        f"put it into {target.parent} by hand (it is at {archive.addresses[0]}), or use "
        f"load_images({SETS[name].instead!r}), which needs no download."
    )


def _is_genuine(content: bytes, archive: Archive) -> bool:
    return hashlib.sha256(content).hexdigest() == archive.sha256


def _fetch(address: str) -> bytes:
    """The bytes that lie at an address.

    They stay in memory, where the largest archive (CIFAR-10, 170 MB) is unpacked anyway: nothing
    that is incomplete or has not been checked is ever on the disk.
    """
    import pooch

    def as_they_come(response: Any, **_: Any) -> None:
        # Some servers say of any .gz file that it was packed for the way, and it would be unpacked.
        response.raw.headers.discard("Content-Encoding")

    download = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=1 << 18,
        headers={"Accept-Encoding": "identity"},
        hooks={"response": as_they_come},
    )
    content = io.BytesIO()
    download(address, content, None)
    return content.getvalue()


def _reason(error: BaseException) -> BaseException:
    """What is behind an error: "Name or service not known", not how often it has been tried."""
    from urllib3.exceptions import HTTPError

    while isinstance(error.__context__, (OSError, HTTPError)):
        error = error.__context__
    return error


def _decode_idx(contents: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """MNIST's format: a header of big-endian 32-bit numbers (type, then each length), then bytes.

    Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits", file formats.
    """
    arrays = []
    for content in contents:
        dimensions = content[3]
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
        arrays.append(torch.from_numpy(values.reshape(shape.tolist()).copy()))
    images, labels = arrays
    return images[:, None], labels.long()


def _decode_cifar(contents: Sequence[bytes]) -> tuple[Tensor, Tensor]:
    """CIFAR's format: pickled dicts with images as rows of red, green and blue planes.

    Unpickling runs what a file says; these are, by their checksums, the published ones.
    """
    batches = [pickle.loads(content, encoding="bytes") for content in contents]
    images = np.concatenate([batch[b"data"] for batch in batches])
    labels = [label for batch in batches for label in batch[b"labels"]]
    return torch.from_numpy(images).reshape(-1, 3, 32, 32), torch.tensor(labels)


def _idx_parts(
    folder: str, mirrors: tuple[str, ...], checksums: Mapping[str, tuple[str, str | None]]
) -> dict[str, tuple[Part, ...]]:
    """Images and labels of both splits, from the SHA-256 of each .gz file and of what is in it."""

    def part(name: str) -> Part:
        packed, unpacked = checksums[name]
        path = f"{folder}/raw/{name}"
        archive = Archive(f"{path}.gz", packed, tuple(f"{mirror}{name}.gz" for mirror in mirrors))
        return Part(archive, path, unpacked and f"sha256:{unpacked}")

    return {
        split: (part(f"{prefix}-images-idx3-ubyte"), part(f"{prefix}-labels-idx1-ubyte"))
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }


_CIFAR = Archive(
    "cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)


def _cifar_part(name: str, md5: str) -> Part:
    return Part(_CIFAR, f"cifar-10-batches-py/{name}", f"md5:{md5}")


#: What can be fetched. The checksums are those of the files as their authors published them.
SETS: dict[str, Downloadable] = {
    "mnist": Downloadable(
        _idx_parts(
            "MNIST",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            {
                "train-images-idx3-ubyte": (
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                ),
                "train-labels-idx1-ubyte": (
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                ),
                "t10k-images-idx3-ubyte": (
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                ),
                "t10k-labels-idx1-ubyte": (
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
            },
        ),
        _decode_idx,
        tuple("0123456789"),
        {"train": 60_000, "test": 10_000},
        instead="digits",
    ),
    "fashion-mnist": Downloadable(
        _idx_parts(
            "FashionMNIST",
            (
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
            ),
            {
                "train-images-idx3-ubyte": (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    None,
                ),
                "train-labels-idx1-ubyte": (
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    None,
                ),
                "t10k-images-idx3-ubyte": (
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    None,
                ),
                "t10k-labels-idx1-ubyte": (
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    None,
                ),
            },
        ),
        _decode_idx,
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        {"train": 60_000, "test": 10_000},
        instead="digits",
    ),
    "cifar10": Downloadable(
        {
            "train": (
                _cifar_part("data_batch_1", "c99cafc152244af753f735de768cd75f"),
                _cifar_part("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
                _cifar_part("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
                _cifar_part("data_batch_4", "634d18415352ddfa80567beed471001a"),
                _cifar_part("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            ),
            "test": (_cifar_part("test_batch", "40351d587109b95175f43aff81a1287e"),),
        },
        _decode_cifar,
        (
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        {"train": 50_000, "test": 10_000},
        instead="sprites",
    ),
}
