"""What `fit` offers beyond the plain loop: streams, schedules, early stop, layouts, compilation."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from companion.training import fit
from companion.training import loop as training
from companion.training.augmentation import crop_and_flip
from companion.training.schedules import Plateau, steps
from support.runs import images, network, weights

quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=False)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def test_each_epoch_draws_anew() -> None:
    drawn: list[Tensor] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        drawn.append(torch.randn(4))
        return F.cross_entropy(model(images), labels)

    quick(network(), images(), loss, channels_last=False)
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == len(drawn) == 45


# ---- a Dataset instead of a tensor


class Pictures(Dataset[Any]):
    """The images of a resident set, one by one, as files would give them."""

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


@pytest.mark.parametrize("form", ["uint8", "float", "pil"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_gives_what_the_resident_tensor_gives(form: str, workers: int) -> None:
    resident, streamed = network(), network()
    options: dict[str, Any] = {"augment": crop_and_flip(1), "validation": images(30, 1)}
    one = quick(resident, images(), cross_entropy, **options)
    other = quick(streamed, Pictures(form), cross_entropy, workers=workers, **options)
    torch.testing.assert_close(weights(streamed), weights(resident), rtol=1e-6, atol=1e-7)
    assert one.epochs.keys() == other.epochs.keys()


def test_a_dataset_without_labels_and_in_colour() -> None:
    colour = [Image.fromarray(np.full((6, 5, 3), (10 * i, 20, 30), np.uint8)) for i in range(6)]
    seen = []

    class Colour(Dataset[Any]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> Any:
            return colour[index]

    def loss(model: nn.Module, images: Tensor, labels: None) -> Tensor:
        assert labels is None
        assert images.shape[1:] == (3, 6, 5)
        seen.extend((images[:, 0, 0, 0] * 255).round().int().tolist())
        return model(images).square().mean()

    quick(nn.Sequential(nn.Flatten(), nn.Linear(90, 1)), Colour(), loss, epochs=1, batch_size=3)
    assert sorted(seen) == [0, 10, 20, 30, 40, 50]


class Endless(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        raise RuntimeError


class Arrays(Dataset[Any]):
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)  # not what it gives

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.zeros((8, 8, 1))


def test_items_may_be_tuples_without_label_and_labels_vectors() -> None:
    seen = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(None if labels is None else labels.shape)
        return model(images).square().mean()

    pixels = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    quick(model, TensorDataset(pixels), loss, epochs=1)
    quick(model, TensorDataset(pixels, torch.eye(4)), loss, epochs=1)
    assert seen == [None, (4, 4)]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (DataLoader(TensorDataset(torch.zeros(3, 1, 8, 8))), TypeError, "the DataLoader's dataset"),
        (Endless(), TypeError, "only be iterated"),
        (TensorDataset(torch.zeros(0, 1, 8, 8)), ValueError, "is an empty Dataset"),
        (TensorDataset(torch.zeros(4, 8, 8), torch.zeros(4)), ValueError, r"C×H×W.*\(8, 8\)"),
        (TensorDataset(torch.zeros(4, 1, 8, 8).int(), torch.zeros(4)), ValueError, "int32"),
        (TensorDataset(255 * torch.ones(4, 1, 8, 8)), ValueError, r"in \[0, 1\], got .* to 255"),
        (Arrays(), TypeError, "tensors C×H×W or PIL images, got ndarray"),
    ],
)
def test_datasets_that_cannot_be_trained_on(data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        quick(network(), data, cross_entropy)


# ---- augmentation


def test_only_training_images_are_augmented() -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen[torch.is_grad_enabled()].append(images)
        return cross_entropy(model, images, labels)

    held_out = images(16, 1)
    quick(
        network(), images(), loss, epochs=1, validation=held_out,
        augment=lambda x: torch.full_like(x, 0.5),
    )  # fmt: skip
    assert all((batch == 0.5).all() for batch in seen[True])
    assert torch.equal(torch.cat(seen[False]), held_out.images / 255)


def test_an_augmentation_that_loses_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"as many images as it takes, \(8, 1, 8, 8\), got \(4"):
        quick(network(), images(), cross_entropy, augment=lambda x: x[:4])


# ---- schedules


def test_steps() -> None:
    schedule = steps(0.5, 0.75)
    assert [schedule(p) for p in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    with pytest.raises(ValueError, match="from 0 to 1"):
        steps(2.0)


@pytest.mark.parametrize("held_out", [True, False])
def test_plateau_is_torchs(held_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5, 2.5])
    rates: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            rates.append(self.param_groups[0]["lr"])

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        counts = not held_out or not torch.is_grad_enabled()
        return value * 0 + next(losses) if counts else value

    data = images(8)  # one batch an epoch
    quick(
        network(), data, loss, epochs=12, lr=0.4, optimizer=Watched, channels_last=False,
        schedule=Plateau(factor=0.5, patience=1), validation=data if held_out else None,
    )  # fmt: skip
    oracle_optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(oracle_optimizer, factor=0.5, patience=1)
    expected = []
    for value in (5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.5, 2.5):
        expected.append(oracle_optimizer.param_groups[0]["lr"])
        oracle.step(value)
    assert rates == pytest.approx(expected)
    assert len(set(expected)) == 4


def test_the_recipe_of_the_slide_is_one_call() -> None:
    model = network()
    history = quick(
        model, images(), cross_entropy, epochs=6, batch_size=40, lr=0.1, validation=images(40, 1),
        optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),
        schedule="plateau", augment=crop_and_flip(1, flip=False),
    )  # fmt: skip
    assert history.last["validation_loss"] < 0.4


# ---- early stop


def test_patience_stops_and_keeps_the_best_weights() -> None:
    values = iter([3.0, 2.0, 1.0, 1.5, 1.0, 4.0, 0.1])
    after: list[Tensor] = []
    model = network()

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        if torch.is_grad_enabled():
            return value
        after.append(weights(model))
        return value * 0 + next(values)

    history = quick(model, images(), loss, epochs=20, patience=3, validation=images(8, 1), lr=0.05)
    assert history.epochs["validation_loss"] == pytest.approx([3.0, 2.0, 1.0, 1.5, 1.0, 4.0])
    assert history.best == 3
    assert torch.equal(weights(model), after[2])
    assert not torch.equal(after[2], after[5])
    assert "The weights are those of epoch 3" in str(history)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"optimizer": torch.optim.Adam([torch.zeros(1)])},
            TypeError,
            "which `fit` calls with the parameters; got an Adam that is made already",
        ),
        ({"lr": "0.1"}, ValueError, "lr must be a finite positive number, got '0.1'"),
        ({"lr": None}, ValueError, "lr must be a finite positive number, got None"),
        ({"schedule": None}, ValueError, "a function from progress"),
        ({"schedule": Plateau}, ValueError, r"a Plateau\(\)"),
        ({"augment": "flip"}, TypeError, "augment must be a function, got 'flip'"),
        ({"seed": 1.5}, ValueError, "seed must be a whole number, got 1.5"),
        ({"workers": "2"}, ValueError, "workers must be a whole number, at least 0, got '2'"),
        ({"validation": 0.2}, TypeError, "validation must be a tensor of images"),
        ({"loss": nn.CrossEntropyLoss()}, TypeError, "takes other arguments; wrap it"),
        ({"loss": lambda model, images: images.sum()}, TypeError, "takes other arguments"),
        ({"model": nn.Linear(2, 2).double()}, ValueError, "must be float32, got torch.float64"),
        ({"model": nn.LazyLinear(2)}, ValueError, "call it once on a batch"),
    ],
)
def test_more_bad_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    settings = {"model": network(), "data": images(), "loss": cross_entropy} | change
    with pytest.raises(error, match=words):
        quick(**settings)


def test_numpys_whole_numbers_will_do() -> None:
    assert len(quick(network(), images(), cross_entropy, epochs=np.int64(2)).seconds) == 2


def test_patience_needs_a_validation_set() -> None:
    with pytest.raises(ValueError, match="patience needs a validation set"):
        quick(network(), images(), cross_entropy, patience=2)
    with pytest.raises(ValueError, match="patience must be a whole number, at least 1, got 0"):
        quick(network(), images(), cross_entropy, patience=0, validation=images())


# ---- memory layout, compilation


@pytest.mark.parametrize("faster", [True, False])
def test_auto_takes_the_faster_layout(faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is made up: steps in one layout take 1 s, in the other 2 s."""
    clock = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: clock[0])
    layouts = []

    class Timed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            last = x.is_contiguous(memory_format=torch.channels_last)
            layouts.append(last)
            clock[0] += 1.0 if last == faster else 2.0
            return self.conv(x)

    def loss(model: nn.Module, images: Tensor, labels: None) -> Tensor:
        return model(images).square().mean()

    model = Timed()
    before = copy.deepcopy(model.state_dict())
    pixels = torch.randint(0, 256, (800, 3, 6, 6), dtype=torch.uint8)
    quick(model, pixels, loss, epochs=3, lr=0.0)
    probed = len(layouts) - 300
    assert probed == 14
    assert layouts[probed:] == [faster] * 300
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    layouts.clear()
    quick(model, pixels[:80], loss, lr=0.0)  # too short to be worth a probe
    assert layouts == [False] * 30


def test_the_probe_knows_augmentations_and_gives_up_on_models_that_cannot_be_copied() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))

        def forward(self, x: Tensor) -> Tensor:
            self.kept = self.layers(x)  # as for Grad-CAM: no deepcopy of this
            return self.kept

    large = torch.randint(0, 256, (800, 1, 12, 12), dtype=torch.uint8)
    model = Keeps()
    model(torch.rand(1, 1, 8, 8))
    history = quick(
        model, large, lambda m, x, y: m(x).square().mean(), augment=lambda x: x[..., 2:10, 2:10]
    )
    assert history.last["loss"] < history.epochs["loss"][0]


def test_a_loss_that_is_a_network_stays_as_it_is() -> None:
    class Perceptual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.BatchNorm2d(1).eval().requires_grad_(False)

        def forward(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            return self.features(images).mean() + cross_entropy(model, images, labels)

    loss = Perceptual()
    quick(network(), images(), loss)
    assert loss.features.running_mean is not None
    assert torch.equal(loss.features.running_mean, torch.zeros(1))
    assert not loss.features.training


def test_the_probe_leaves_no_trace() -> None:
    """The same bits with the probe as with what it chose."""
    data = images(800)
    chosen, named = network(), network()
    quick(chosen, data, cross_entropy)
    results = []
    for layout in (False, True):
        named = network()
        quick(named, data, cross_entropy, channels_last=layout)
        results.append(weights(named))
    assert any(torch.equal(weights(chosen), result) for result in results)


def test_compiled_learns_the_same() -> None:
    plain, compiled = network(), network()
    for model in (plain, compiled):
        model[3].p = 0.0  # compiled, dropout draws other numbers
    quick(plain, images(), cross_entropy, epochs=1)
    start = weights(network())
    quick(compiled, images(), cross_entropy, epochs=1, compile=True)
    moved = (weights(plain) - start).abs().max()
    assert (weights(compiled) - weights(plain)).abs().max() < 0.01 * moved
    assert compiled._compiled_call_impl is None
