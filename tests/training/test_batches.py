"""Where batches come from: memory or a torch Dataset; and what tells one set from another."""

import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from companion.datasets import load_images
from companion.training import batches, fit
from companion.training.augmentation import crop_and_flip
from companion.training.batches import InMemory, open_source, shared_size, shuffled
from support.runs import images, network, weights

quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=False)
CPU = torch.device("cpu")


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


# ---- a Dataset instead of a tensor


class Pictures(Dataset[Any]):
    """The images of a set in memory, one by one, as files would give them."""

    def __init__(self, form: str) -> None:
        self.form, self.source = form, images()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        pixels = self.source.images[index]
        image: Any = {
            "uint8": pixels,
            "float": pixels / 255,
            "pil": Image.fromarray(pixels[0].numpy()),
        }[self.form]
        assert self.source.labels is not None
        return image, int(self.source.labels[index])


@pytest.mark.parametrize(("form", "workers"), [("uint8", 0), ("float", 2), ("pil", 0)])
def test_a_dataset_gives_what_the_tensor_gives(form: str, workers: int) -> None:
    in_memory, streamed = network(), network()
    options: dict[str, Any] = {"augment": crop_and_flip(1), "validation": images(30, 1)}
    one = quick(in_memory, images(), cross_entropy, **options)
    other = quick(streamed, Pictures(form), cross_entropy, workers=workers, **options)
    torch.testing.assert_close(weights(streamed), weights(in_memory), rtol=1e-6, atol=1e-7)
    assert one.epochs.keys() == other.epochs.keys()


class Listed(Dataset[Any]):
    """These items."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def read(dataset: Dataset[Any]) -> tuple[Tensor, Tensor | None]:
    """All of it as one batch."""
    source = open_source(dataset, CPU)
    (batch,) = source.read([torch.arange(len(source))])
    return batch


def test_a_dataset_in_colour_without_labels() -> None:
    colour = [Image.fromarray(np.full((6, 5, 3), (10 * i, 20, 30), np.uint8)) for i in range(6)]
    pixels, labels = read(Listed(*colour))
    assert labels is None
    assert pixels.shape == (6, 3, 6, 5)
    assert pixels[:, :, 0, 0].tolist() == [[10 * i, 20, 30] for i in range(6)]


RED = [255, 0, 0]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (3, 2), "red"), RED),
        (Image.new("RGB", (3, 2), "red").quantize(4), RED),
        (Image.new("RGB", (3, 2), "red").quantize(4).convert("PA"), RED),
        (Image.new("RGBA", (3, 2), (255, 0, 0, 255)), RED),
        (Image.new("RGBA", (3, 2), (255, 0, 0, 0)), [255, 255, 255]),
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), RED),
        (Image.new("1", (3, 2), 1), [255]),
        (Image.new("L", (3, 2), 7), [7]),
        (Image.new("LA", (3, 2), (7, 255)), [7]),
        (Image.new("I;16", (3, 2), 257 * 7), [7]),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_pil_images_of_every_mode(image: Image.Image, expected: list[int]) -> None:
    pixels, _ = read(Listed(image))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (1, len(expected), 2, 3)
    assert (pixels[0] == torch.tensor(expected).view(-1, 1, 1)).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_images_of_unknown_range_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=f"an image of the Dataset cannot be used: .*'{mode}'"):
        read(Listed(Image.new(mode, (3, 2))))


def test_items_may_be_tuples_without_label_and_labels_vectors() -> None:
    floats = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    pixels, labels = read(TensorDataset(floats))
    assert labels is None
    torch.testing.assert_close(pixels, floats.float())
    _, labels = read(TensorDataset(floats, torch.eye(4)))
    assert labels is not None
    assert torch.equal(labels, torch.eye(4))


class Endless(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        raise RuntimeError


class WithImages(Listed):
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)  # not what it gives


PIXELS = torch.zeros(1, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (DataLoader(TensorDataset(torch.zeros(3, 1, 8, 8))), TypeError, "the DataLoader's dataset"),
        (Endless(), TypeError, "only be iterated"),
        (Listed(), ValueError, "is an empty Dataset"),
        (Listed(PIXELS[0]), ValueError, r"C×H×W.*\(8, 8\)"),
        (Listed(PIXELS.int()), ValueError, "int32"),
        (Listed(255.0 * torch.ones(1, 8, 8)), ValueError, r"in \[0, 1\], got .* to 255"),
        (WithImages(np.zeros((8, 8, 1))), TypeError, "tensors C×H×W or PIL images, got ndarray"),
        (
            Listed(*(Image.new("RGB", (8, height)) for height in (8, 8, 6))),
            ValueError,
            r"the same C×H×W, got \(3, 8, 8\) and \(3, 6, 8\): resize or crop",
        ),
        (
            Listed(Image.new("L", (8, 8)), Image.new("RGB", (8, 8))),
            ValueError,
            r"\(1, 8, 8\) and \(3, 8, 8\).*grey or RGB",
        ),
        (Listed((PIXELS, "cat"), (PIXELS, "dog")), TypeError, "numbers.* got 'cat' and 'dog'"),
        (Listed((PIXELS, 1), (PIXELS, None)), TypeError, "got 1 and None"),
        (Listed((PIXELS, None), (PIXELS, 1)), TypeError, "got None and 1"),
        (Listed((PIXELS, torch.zeros(2)), (PIXELS, torch.zeros(3))), TypeError, "of one shape"),
    ],
)
def test_datasets_that_cannot_be_trained_on(data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read(data)


# ---- workers that are no copies of this process


def start_method(name: str) -> Callable[..., str]:
    return lambda allow_none=False: name


def test_workers_are_asked_for_where_they_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "allowed_processors", lambda: 3)
    asked = {}
    for method in ("fork", "spawn", "forkserver"):
        monkeypatch.setattr("multiprocessing.get_start_method", start_method(method))
        source = batches.FromDataset(Pictures("pil"), torch.device("cuda"), None)
        asked[method] = source.loader.num_workers
    assert asked == {"fork": 3, "spawn": 0, "forkserver": 0}
    assert batches.FromDataset(Pictures("pil"), CPU, None).loader.num_workers == 0


IN_A_NOTEBOOK = """
import torch
from multiprocessing import set_start_method
from companion.training.batches import open_source

class Mine(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return torch.zeros(1, 2, 2)

set_start_method("spawn")
try:
    open_source(Mine(), torch.device("cpu"), 1)
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_notebooks_dataset_with_workers_is_refused_where_they_could_not_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [sys.executable, "-c", IN_A_NOTEBOOK]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "its class is defined in the notebook: define its class in a file" in done.stdout
    monkeypatch.setattr("multiprocessing.get_start_method", start_method("spawn"))
    with pytest.raises(ValueError, match=r"cannot be pickled.*workers=0"):
        open_source(Listed(lambda: None), CPU, 1)
    open_source(Pictures("pil"), CPU, 1)  # of a module


# ---- one set and another


def numbered(n: int, changed: int | None = None) -> Tensor:
    values = torch.arange(n, dtype=torch.int64) % 251
    if changed is not None:
        values[changed] += 1
    return values.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()


@pytest.mark.parametrize("n", [5, 5000])
def test_one_other_image_or_label_is_another_set(n: int) -> None:
    labels = torch.zeros(n, dtype=torch.int64)
    sets = [(numbered(n), labels), (numbered(n), None), (numbered(n), labels.int())]
    for index in {0, 1, n // 2, n - 2, n - 1}:
        sets.append((numbered(n, index), labels))
        sets.append((numbered(n), labels.scatter(0, torch.tensor(index), 1)))
    sets.append((numbered(n).view(n, 4, 1, 1), labels))
    prints = [InMemory(*each, CPU).fingerprint() for each in sets]
    assert len(set(prints)) == len(prints)
    assert InMemory(numbered(n), labels, CPU).fingerprint() == prints[0]


def streamed(n: int, changed: int | None = None) -> TensorDataset:
    return TensorDataset(numbered(n, changed), torch.zeros(n))


def test_another_dataset_of_the_same_length_is_another_set() -> None:
    known = open_source(streamed(100), CPU).fingerprint()
    assert open_source(streamed(100), CPU).fingerprint() == known
    for index in range(100):
        assert open_source(streamed(100, index), CPU).fingerprint() != known
    # Of many, some are read: the first and the last, and others.
    many = open_source(streamed(5000), CPU).fingerprint()
    for index in (0, 4999):
        assert open_source(streamed(5000, index), CPU).fingerprint() != many


class Drawing(Listed):
    """Each item is drawn from one of the global generators."""

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((1, 2, 2), self.items[index]())


def number() -> float:
    return float(np.random.rand())  # noqa: NPY002


@pytest.mark.parametrize("draw", [lambda: torch.rand(()).item(), random.random, number])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_that_draws_is_known_by_its_draws(
    draw: Callable[[], float], workers: int
) -> None:
    dataset = Drawing(*[draw] * 5)
    before = draw()
    known = open_source(dataset, CPU, workers).fingerprint()
    assert draw() != before
    assert open_source(dataset, CPU, workers).fingerprint() == known
    assert "drawn" not in known


def test_a_dataset_with_a_generator_of_its_own_is_counted() -> None:
    generator = np.random.default_rng(0)
    assert open_source(Drawing(*[generator.random] * 5), CPU).fingerprint() == "5 (drawn)"


def test_a_fingerprint_leaves_the_generators_alone() -> None:
    states = [random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()]  # noqa: NPY002
    open_source(Drawing(random.random, number, lambda: torch.rand(()).item()), CPU).fingerprint()
    assert random.getstate() == states[0]
    assert pickle.dumps(np.random.get_state()) == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])


# ---- orders, sizes, devices


def test_shares_of_several_processes() -> None:
    assert shared_size(100, 8, 1) == 8
    assert shared_size(5, 128, 1) == 5
    assert shared_size(5, 128, 2) == 4
    with pytest.raises(ValueError, match="batch_size must be a multiple of the 3 processes, got 8"):
        shared_size(100, 8, 3)
    with pytest.raises(ValueError, match="1 images are too few for 2 processes"):
        shared_size(1, 8, 2)


def test_the_order_is_the_seeds_and_the_epochs() -> None:
    orders = {tuple(shuffled(20, 4, seed, epoch).flatten().tolist()) for seed, epoch in PAIRS}
    assert len(orders) == len(PAIRS)
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert torch.equal(shuffled(20, 4, 1, 2), shuffled(20, 4, 1, 2))


PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1), (-1, 0)]


@pytest.mark.parametrize("in_memory", [True, False])
def test_another_default_device_changes_nothing(in_memory: bool) -> None:
    """As after torch.set_default_device("cuda"); "meta" is a device that every machine has."""
    torch.set_default_device("meta")
    try:
        data = load_images("digits", size=40)
        given: Any = data if in_memory else TensorDataset(data.images, data.labels)
        with torch.device("cpu"):
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        history = quick(
            model, given, cross_entropy, schedule="plateau", validation=given, patience=2
        )
        sprites = load_images("sprites", size=2)
    finally:
        torch.set_default_device(None)
    assert history.last["loss"] < history.epochs["loss"][0]
    assert sprites.images.device == CPU
