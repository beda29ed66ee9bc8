"""`fit` against hand-written loops, and what it promises about seeds, layouts and early stop."""

import copy
import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate, cycle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.jupyter import code_of
from companion.models import ConvAutoencoder, ConvVAE
from companion.training import fit, loop, negative_elbo
from companion.training.augmentation import crop_and_flip
from companion.training.batches import InMemory
from companion.training.loop import train_epoch
from companion.training.schedules import cosine
from support.runs import images, network, weights

quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=False)


def classifier(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(64, 2))


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def with_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    logits = model(images)
    right = (logits.argmax(1) == labels).float().mean()
    return {"accuracy": right, "loss": F.cross_entropy(logits, labels)}


def noisy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images + 0.3 * torch.randn_like(images)), labels)


# ---- what it computes


def test_learns_and_records() -> None:
    model = classifier()
    history = quick(model, images(200), with_accuracy, epochs=8, lr=0.02, validation=images(50, 1))
    assert history.last["loss"] < 0.3 * history.epochs["loss"][0]
    assert history.last["validation_accuracy"] == 1.0
    names = ["accuracy", "loss", "validation_accuracy", "validation_loss"]
    assert list(history.epochs) == names
    assert all(len(values) == 8 for values in history.epochs.values())
    assert len(history.seconds) == 8
    assert min(history.seconds) > 0
    assert "8 epochs" in str(history)
    assert not model.training


@pytest.mark.parametrize("schedule", ["constant", "cosine", lambda progress: 1 - progress])
def test_equals_gradient_descent_by_hand(schedule: object) -> None:
    data, model = images(40), classifier()
    by_hand = copy.deepcopy(model)
    factor = {"constant": lambda p: 1.0, "cosine": cosine}.get(schedule, schedule)  # type: ignore[call-overload]
    for epoch in range(10):
        value = cross_entropy(by_hand, data.images / 255, data.labels)
        gradients = torch.autograd.grad(value, list(by_hand.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= 0.5 * factor((epoch + 0.5) / 10) * gradient
    quick(
        model, data, cross_entropy, epochs=10, batch_size=40, lr=0.5, schedule=schedule,
        optimizer=torch.optim.SGD,
    )  # fmt: skip
    torch.testing.assert_close(weights(model), weights(by_hand), rtol=1e-5, atol=1e-6)


def test_the_loop_can_be_shown() -> None:
    """Chapters print it: forward, backward and step in a dozen lines."""
    signature, body = code_of(train_epoch).split("-> None:\n")
    assert "objective" in signature
    lines = [line.strip() for line in body.splitlines()]
    places = [
        next(i for i, line in enumerate(lines) if part in line)
        for part in ("objective(images", "zero_grad", "backward(", "optimizer.step()")
    ]
    assert places == sorted(places)
    assert len(lines) <= 12


def test_each_epoch_is_a_new_order_of_different_images() -> None:
    seen: list[Tensor] = []

    def remember(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        # Image i has the grey value i everywhere: images and labels must arrive together.
        torch.testing.assert_close(images[:, 0, 0, 0] * 255, labels.float())
        seen.append(labels)
        return model(images).square().mean()

    numbers = torch.arange(30)
    pixels = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    quick(classifier(), InMemory(pixels, numbers, torch.device("cpu")), remember)
    epochs = torch.stack(seen).view(3, -1)  # 3 batches of 8 an epoch: 6 images are dropped
    assert epochs.shape == (3, 24)
    assert all(len(set(epoch.tolist())) == 24 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    assert len(set(epochs.flatten().tolist())) > 24  # not the same 6 each time


def test_a_small_set_is_one_batch() -> None:
    shapes = []

    def remember(model: nn.Module, images: Tensor, labels: None) -> Tensor:
        assert labels is None
        shapes.append(len(images))
        return model(images).square().mean()

    quick(classifier(), images(5).images, remember, batch_size=128)
    assert shapes == [5, 5, 5]


def test_averages_are_those_of_all_images() -> None:
    data, model = images(40), classifier()
    held_out = images(21, 1)  # no multiple of the batch size
    before = copy.deepcopy(model)
    history = quick(model, data, cross_entropy, lr=0.0, validation=held_out)
    for name, each in (("loss", data), ("validation_loss", held_out)):
        assert each.labels is not None
        expected = cross_entropy(before, each.images / 255, each.labels).item()
        assert history.epochs[name] == pytest.approx([expected] * 3, rel=1e-5)


def test_clip_bounds_the_gradient() -> None:
    model = classifier()
    before = weights(model)
    settings = {"epochs": 1, "batch_size": 40, "lr": 1.0, "optimizer": torch.optim.SGD}
    quick(model, images(40), lambda *a: 1e4 * cross_entropy(*a), clip=0.01, **settings)
    assert (weights(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_parameter_groups_keep_their_own_rates() -> None:
    model = classifier()
    frozen = model[2].bias.detach().clone()

    def groups(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.0}], lr=lr)

    quick(model, images(40), cross_entropy, optimizer=groups, lr=0.5)
    assert torch.equal(model[2].bias, frozen)


def test_the_recipe_of_the_slide_is_one_call() -> None:
    history = quick(
        network(), images(), cross_entropy, epochs=6, batch_size=40, lr=0.1,
        validation=images(40, 1), schedule="plateau", augment=crop_and_flip(1, flip=False),
        optimizer=partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),
    )  # fmt: skip
    assert history.last["validation_loss"] < 0.4


# ---- progress as the loss sees it, and data drawn anew


def test_loss_is_told_the_progress() -> None:
    told: list[tuple[bool, float]] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor, *, progress: float) -> Tensor:
        told.append((torch.is_grad_enabled(), progress))
        return cross_entropy(model, images, labels)

    quick(classifier(), images(16), loss, epochs=2, validation=images(8))
    assert [p for training, p in told if training] == [1 / 8, 3 / 8, 5 / 8, 7 / 8]
    assert [p for training, p in told if not training] == [1.0, 1.0]


def test_data_may_be_drawn_anew_each_epoch() -> None:
    asked: list[int] = []

    def draw(epoch: int) -> InMemory:
        asked.append(epoch)
        return images(16 + 8 * epoch, seed=epoch)

    batches: list[Tensor] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        batches.append(images)
        return cross_entropy(model, images, labels)

    quick(classifier(), draw, loss)
    assert asked == [0, 1, 2]
    assert len(batches) == 2 + 3 + 4
    last = torch.cat(batches[5:]).sum().item()
    assert last == pytest.approx((images(32, seed=2).images / 255).sum().item(), rel=1e-5)


# ---- seeds


def test_same_seed_gives_the_same_bits() -> None:
    runs = []
    for seed in (3, 3, 4):
        model = classifier(dropout=0.3)
        torch.rand(7)  # what the caller drew before must not matter
        history = quick(model, images(40), noisy, seed=seed)
        runs.append((weights(model), history.epochs["loss"]))
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not torch.equal(runs[0][0], runs[2][0])


@pytest.mark.parametrize(
    ("build", "loss"),
    [
        (lambda: ConvAutoencoder((1, 8, 8), 2, (4, 8), 16), "squared error"),
        (lambda: ConvVAE((1, 8, 8), 2, (4, 8), 16), "ELBO"),
    ],
    ids=["autoencoder", "VAE"],
)
def test_the_same_call_gives_the_same_bits_whatever_time_it_takes(
    build: Callable[[], nn.Module], loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chapter 12's models, in a training long enough that what is faster might be tried out."""

    def squared_error(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return (images - model(images)).square().sum(dim=(1, 2, 3)).mean()

    found = []
    for pauses in ([1.0, 9.0, 1.0, 1.0], [1.0, 1.0, 1.0, 9.0]):  # time is made up
        clock = accumulate(cycle(pauses))
        monkeypatch.setattr(loop.time, "perf_counter", partial(next, clock))
        torch.manual_seed(0)
        model = build()
        objective = squared_error if loss == "squared error" else negative_elbo(C=10)
        fit(model, images(160), objective, epochs=20, batch_size=10, device="cpu", progress=False)
        found.append(weights(model))
    assert torch.equal(*found)


def test_each_epoch_draws_anew() -> None:
    drawn: list[Tensor] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        drawn.append(torch.randn(4))
        return F.cross_entropy(model(images), labels)

    quick(network(), images(), loss)
    assert len({tuple(numbers.tolist()) for numbers in drawn}) == len(drawn) == 45


def test_global_random_state_is_put_back() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 2))
    torch.manual_seed(5)
    quick(model, images(40), noisy, validation=images(10))
    assert torch.equal(torch.rand(3), expected)


def test_validation_changes_nothing_and_draws_the_same_noise() -> None:
    alone, watched = classifier(dropout=0.3), classifier(dropout=0.3)
    quick(alone, images(40), noisy)
    quick(watched, images(40), noisy, validation=images(10))
    assert torch.equal(weights(alone), weights(watched))
    history = quick(classifier(), images(40), noisy, lr=0.0, validation=images(10))
    assert len(set(history.epochs["validation_loss"])) == 1


# ---- memory layout, number format, compilation


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_reaches_the_network_and_goes_again(channels: int) -> None:
    """With one channel both layouts are the same in memory: only the strides say which it is."""
    layouts = []

    def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        layouts.append(output.is_contiguous(memory_format=torch.channels_last))

    data = images(40).images.expand(-1, channels, -1, -1).contiguous()
    found = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(144, 1))
        model[0].register_forward_hook(note)
        quick(model, data, lambda m, x, y: m(x).square().mean(), channels_last=channels_last)
        found.append(weights(model))
    assert layouts == [False] * 15 + [True] * 15
    assert model[0].weight.stride() == (9 * channels, 9, 3, 1)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:this processor only imitates bf16")
def test_bf16_on_request() -> None:
    dtypes = set()

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits = model(images)
        dtypes.add(logits.dtype)
        return F.cross_entropy(logits.float(), labels)

    exact, rough = classifier(), classifier()
    quick(exact, images(40), loss)
    assert dtypes == {torch.float32}
    history = quick(rough, images(40), loss, precision="bf16")
    assert history.device.endswith(", bf16")
    assert torch.bfloat16 in dtypes
    assert all(p.dtype == torch.float32 for p in rough.parameters())
    torch.testing.assert_close(weights(exact), weights(rough), rtol=0.1, atol=0.01)
    assert not torch.equal(weights(exact), weights(rough))


def test_compiled_learns_the_same() -> None:
    plain, compiled = classifier(), classifier()
    quick(plain, images(), cross_entropy, epochs=1)
    start = weights(classifier())
    quick(compiled, images(), cross_entropy, epochs=1, compile=True)
    moved = (weights(plain) - start).abs().max()
    assert (weights(compiled) - weights(plain)).abs().max() < 0.01 * moved
    assert compiled._compiled_call_impl is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu() -> None:
    model = classifier()
    torch.cuda.manual_seed(1)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(1)
    history = quick(
        model, images(200), noisy, epochs=8, lr=0.02, device="cuda", validation=images(40)
    )
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert history.last["validation_loss"] < 0.5
    assert next(model.parameters()).device.type == "cpu"


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


class Counting(nn.Module):
    """A network whose state is more than tensors: how often it was called."""

    def __init__(self, counts: Any) -> None:
        super().__init__()
        self.layers, self.counts = classifier(), counts

    def forward(self, x: Tensor) -> Tensor:
        self.counts["calls"] += 1
        return self.layers(x)

    def get_extra_state(self) -> Any:
        return self.counts

    def set_extra_state(self, state: Any) -> None:
        self.counts = state


def test_a_model_with_extra_state() -> None:
    values = iter([1.0, 2.0, 2.0])

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        return value if torch.is_grad_enabled() else value * 0 + next(values)

    model = Counting({"calls": 0})
    history = quick(
        model, images(16), loss, epochs=9, patience=2, validation=images(8), batch_size=8
    )
    assert history.best == 1
    assert model.counts == {"calls": 3}  # as after that epoch: two batches, and the validation set


# ---- losses that are lost


def test_nan_stops_with_step_and_learning_rate() -> None:
    calls = iter(range(1000))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        value = cross_entropy(model, images, labels)
        return {"loss": value, "extra": value * (math.nan if next(calls) >= 6 else 1)}

    with pytest.raises(
        FloatingPointError, match=r"'extra' became nan in step 2 of epoch 2, .* was 0\.025"
    ):
        quick(classifier(), images(40), loss, lr=0.05, schedule=lambda progress: 0.5)


def test_divergence_is_noticed() -> None:
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        quick(
            classifier(), images(40), lambda m, x, y: (m(x) - 1).pow(2).mean(),
            lr=1e6, epochs=30, optimizer=torch.optim.SGD,
        )  # fmt: skip


def test_nan_on_the_validation_set() -> None:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        return value if torch.is_grad_enabled() else value * math.inf

    with pytest.raises(FloatingPointError, match="validation set: start again"):
        quick(classifier(), images(40), loss, validation=images(40))


def test_weights_lost_in_the_last_step_are_noticed() -> None:
    with pytest.raises(FloatingPointError, match=r"2\.weight is no longer finite after epoch 1"):
        quick(classifier(), images(8), lambda *batch: 1e6 * noisy(*batch), epochs=1, lr=1e38,
              optimizer=torch.optim.SGD)  # fmt: skip
