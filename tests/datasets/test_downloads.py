"""Data sets that are fetched: killed, cut off, flipped, forged, without a network."""

import gzip
import hashlib
import io
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor

import companion.library  # noqa: F401  (torchvision loads beside any torch)
from companion.datasets import DATASETS, downloads, load_images
from companion.datasets.downloads import Archive, Downloadable, DownloadError, Part

GENERATOR = torch.Generator().manual_seed(8)
IMAGES = torch.randint(256, (30, 28, 28), dtype=torch.uint8, generator=GENERATOR)
LABELS = torch.arange(30) % 10
COLOURS = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8, generator=GENERATOR)


def idx(array: Tensor) -> bytes:
    header = struct.pack(f">BBBB{array.dim()}I", 0, 0, 8, array.dim(), *array.shape)
    return header + array.to(torch.uint8).numpy().tobytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def cifar_batch(start: int) -> bytes:
    rows = COLOURS[start : start + 20].flatten(1).numpy()
    labels = [i % 10 for i in range(start, start + 20)]
    return pickle.dumps({b"data": rows, b"labels": labels})


PACKED = {
    "MNIST/raw/images.gz": gzip.compress(idx(IMAGES)),
    "MNIST/raw/labels.gz": gzip.compress(idx(LABELS)),
}
BATCHES = {"batches/one": cifar_batch(0), "batches/two": cifar_batch(20)}


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


PACKED["colours.tar.gz"] = tar(BATCHES)


class Server(ThreadingHTTPServer):
    """Serves PACKED; can cut an answer off, hold it back half-way, or send something else.

    Like some servers it says of each file that it was packed for the way, and packs it once more
    for everyone who can unpack.
    """

    daemon_threads = True
    requests: int = 0
    cut_at: int | None = None
    hold_at: int | None = None
    redirect: str | None = None
    forged: bytes | None = None
    status: int = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.held = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests += 1
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        content = server.forged or PACKED[self.path[1:]]
        self.send_response(server.status)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if server.hold_at is not None:
            self.wfile.write(content[: server.hold_at])
            server.held.set()
            self.rfile.read(1)  # until the other side is gone
            return
        self.wfile.write(content[: server.cut_at])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def tiny_sets(address: str) -> dict[str, Downloadable]:
    """A grey set like MNIST and a colour set like CIFAR-10, small, on the local server."""
    archives = {
        path: Archive(path, sha256(content), (address + path,)) for path, content in PACKED.items()
    }
    grey = tuple(
        Part(archive, path.removesuffix(".gz"), f"sha256:{sha256(gzip.decompress(PACKED[path]))}")
        for path, archive in archives.items()
        if path.startswith("MNIST")
    )
    colour = tuple(
        Part(archives["colours.tar.gz"], path, f"md5:{hashlib.md5(content).hexdigest()}")
        for path, content in BATCHES.items()
    )
    mnist, cifar = downloads.SETS["mnist"], downloads.SETS["cifar10"]
    return {
        "tiny-grey": replace(mnist, parts={"train": grey, "test": grey}),
        "tiny-colour": replace(cifar, parts={"train": colour, "test": colour[:1]}),
    }


@pytest.fixture
def folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, source in tiny_sets(server.address).items():
        monkeypatch.setitem(downloads.SETS, name, source)
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(tmp_path / "downloads"))
    return tmp_path / "downloads"


def check_grey() -> None:
    images, labels = downloads.read("tiny-grey", "train")
    assert torch.equal(images, IMAGES[:, None])
    assert torch.equal(labels, LABELS)


def check_colour() -> None:
    images, labels = downloads.read("tiny-colour", "train")
    assert torch.equal(images, COLOURS)
    assert torch.equal(labels, torch.arange(40) % 10)
    images, _ = downloads.read("tiny-colour", "test")
    assert torch.equal(images, COLOURS[:20])


def test_fetched_once_and_then_used(server: Server, folder: Path) -> None:
    check_grey()
    check_colour()
    assert server.requests == 3
    check_grey()
    check_colour()
    assert server.requests == 3
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == set(PACKED)
    assert all((folder / path).read_bytes() == content for path, content in PACKED.items())


def test_unpacked_files_that_are_there_are_used(server: Server, folder: Path) -> None:
    for path, content in BATCHES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "MNIST" / "raw").mkdir(parents=True)
    (folder / "MNIST/raw/images").write_bytes(idx(IMAGES))
    (folder / "MNIST/raw/labels").write_bytes(idx(LABELS))
    check_grey()
    check_colour()
    assert server.requests == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_an_answer_cut_off_anywhere_leaves_nothing_and_the_rerun_succeeds(
    server: Server, folder: Path, share: float
) -> None:
    server.cut_at = int(share * len(PACKED["MNIST/raw/images.gz"]))
    with pytest.raises(DownloadError, match=r"images\.gz"):
        check_grey()
    assert not [path for path in folder.rglob("*") if path.is_file()]
    server.cut_at = None
    check_grey()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_killed_while_downloading_the_rerun_succeeds(
    server: Server, folder: Path, share: float
) -> None:
    path = "colours.tar.gz"
    server.hold_at = int(share * len(PACKED[path]))
    script = f"""
        from companion.datasets import downloads
        downloads._fetch({server.address + path!r})
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        assert server.held.wait(120)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    server.hold_at = None
    check_colour()
    assert [file for file in folder.rglob("*") if file.is_file()] == [folder / path]


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("form", ["packed", "unpacked"])
def test_a_flipped_bit_never_loads(server: Server, folder: Path, form: str) -> None:
    check_grey()
    check_colour()
    files = {folder / path: content for path, content in PACKED.items()}
    if form == "unpacked":
        files = {folder / path: content for path, content in BATCHES.items()}
        files |= {
            folder / "MNIST/raw/images": idx(IMAGES),
            folder / "MNIST/raw/labels": idx(LABELS),
        }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    bits = torch.randint(8 * 10**5, (12,), generator=torch.Generator().manual_seed(1)).tolist()
    for bit in bits:
        for path, content in files.items():
            flip(path, bit)
            # Mended from the archive or, if that is the one, from the server.
            check_grey()
            check_colour()
            path.write_bytes(content)
    assert server.requests == 3 + (0 if form == "unpacked" else len(bits) * len(files))
    if form == "packed":
        server.forged = b"<html>Please log in to this network</html>"
        for path in files:
            flip(path, 77)
        for check in (check_grey, check_colour):
            with pytest.raises(DownloadError, match=r"the copy there is damaged; .* is not"):
                check()


def test_two_at_once_do_not_disturb_each_other(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(check_grey) for _ in range(4)]:
            done.result()
    assert {file for file in folder.rglob("*") if file.is_file()} == {
        folder / path for path in PACKED if path.startswith("MNIST")
    }


def test_a_server_may_send_us_elsewhere(server: Server, folder: Path) -> None:
    with Server() as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        server.redirect = other.address + "MNIST/raw/images.gz"
        with pytest.raises(DownloadError, match=r"the file labels\.gz, .* is not labels\.gz"):
            check_grey()  # it gets the images for both
        other.shutdown()
    assert (folder / "MNIST/raw/images.gz").read_bytes() == PACKED["MNIST/raw/images.gz"]
    assert not (folder / "MNIST/raw/labels.gz").exists()


def test_the_next_address_is_tried(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = downloads.SETS["tiny-grey"]
    parts = tuple(
        replace(
            part,
            archive=replace(
                part.archive,
                addresses=(server.address + "colours.tar.gz", *part.archive.addresses),
            ),
        )
        for part in source.parts["train"]
    )
    monkeypatch.setitem(downloads.SETS, "tiny-grey", replace(source, parts={"train": parts}))
    check_grey()
    assert server.requests == 4


def test_every_address_is_secure_and_every_path_stays_below_the_folder(tmp_path: Path) -> None:
    for source in downloads.SETS.values():
        for part in (part for parts in source.parts.values() for part in parts):
            assert all(address.startswith("https://") for address in part.archive.addresses)
            for path in (part.path, part.archive.path):
                assert (tmp_path / path).resolve().is_relative_to(tmp_path.resolve())
            assert len(part.archive.sha256) == 64
        assert DATASETS[source.instead].embedded


@pytest.mark.parametrize(
    ("name", "file", "instead"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", "digits"),
        ("fashion-mnist", "train-images-idx3-ubyte.gz", "digits"),
        ("cifar10", "cifar-10-python.tar.gz", "sprites"),
    ],
)
def test_without_a_network_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, instead: str
) -> None:
    def no_network(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(tmp_path))
    with pytest.raises(DownloadError) as raised:
        load_images(name)
    message = str(raised.value)
    assert message.startswith(f"{name} needs the file {file}, which could not be fetched")
    assert "no route to host" in message
    assert str(tmp_path) in message
    assert f"load_images('{instead}')" in message
    assert "\n" not in message
    assert "Max retries" not in message
    assert not list(tmp_path.iterdir())


def test_a_page_that_is_not_there(server: Server, folder: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match=r"images\.gz.*127\.0\.0\.1: 404 .*Not Found"):
        check_grey()
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_said_once(
    server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"images\.gz, which could not be .*Not a directory"):
        check_grey()
    assert server.requests == 1


def test_where_downloads_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COMPANION_DOWNLOADS", raising=False)
    root = Path(__file__).resolve().parents[2]
    assert downloads.downloads_dir() == root / "data" / "downloads"
    # Installed by pip there is no repository around the package.
    installed = tmp_path / "site-packages" / "companion" / "datasets" / "downloads.py"
    monkeypatch.setattr(downloads, "__file__", str(installed))
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "cache"))
    assert downloads.downloads_dir() == tmp_path / "cache" / "downloads"
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(tmp_path / "mine"))
    assert downloads.downloads_dir() == tmp_path / "mine"


def test_the_idx_format_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    (tmp_path / "images").write_bytes(idx(IMAGES))
    (tmp_path / "labels").write_bytes(idx(LABELS))
    images, labels = downloads.SETS["mnist"].decode([idx(IMAGES), idx(LABELS)])
    assert torch.equal(images[:, 0], read_image_file(str(tmp_path / "images")))
    assert torch.equal(labels, read_label_file(str(tmp_path / "labels")))


def test_the_tables_agree_with_torchvisions() -> None:
    from torchvision import datasets

    cifar = downloads.SETS["cifar10"]
    assert [part.checksum for part in (*cifar.parts["train"], *cifar.parts["test"])] == [
        f"md5:{md5}" for _, md5 in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
    ]
    names = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}
    for name, theirs in names.items():
        parts = [part for parts in downloads.SETS[name].parts.values() for part in parts]
        files = [Path(part.archive.path).name for part in parts]
        assert files == [file for file, _ in theirs.resources]
        assert parts[0].archive.path.startswith(f"{theirs.__name__}/raw/")
        ours = [name.lower() for name in downloads.SETS[name].class_names]
        assert len(ours) == len(theirs.classes) == 10
    assert ours == [name.lower() for name in datasets.FashionMNIST.classes]


@pytest.mark.usefixtures("real_mnist")
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_real_mnist_is_torchvisions(split: str) -> None:
    from torchvision.datasets import MNIST

    theirs = MNIST(downloads.downloads_dir(), train=split == "train", download=False)
    images, labels = downloads.read("mnist", split)
    assert torch.equal(images[:, 0], theirs.data)
    assert torch.equal(labels, theirs.targets)
    data = load_images("mnist", split, size=1000, seed=2)
    assert data.image_shape == (1, 28, 28)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(2))[:1000]
    assert torch.equal(data.images, images[order])
    assert data.labels is not None
    assert torch.equal(data.labels, labels[order])
    assert len(load_images("mnist", split)) == len(theirs)
