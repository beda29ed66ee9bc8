"""What a step minimises: images as the loss gets them, modes, and losses that cannot work."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import fit
from companion.training.objective import Objective
from support.runs import images, network, weights

quick = partial(fit, epochs=2, batch_size=8, device="cpu", progress=False)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def square(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    return model(images).square().mean()


# ---- images


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_pixels_become_float32_in_0_to_1(default: torch.dtype) -> None:
    seen = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(images)
        return square(model, images, labels)

    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 1))
    try:
        torch.set_default_dtype(default)
        quick(model, every, loss, epochs=1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0].flatten(), torch.arange(256, dtype=torch.uint8) / 255)


def test_only_training_images_are_augmented() -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen[torch.is_grad_enabled()].append(images)
        return cross_entropy(model, images, labels)

    held_out = images(16, 1)
    quick(
        network(), images(40), loss, epochs=1, validation=held_out,
        augment=lambda x: torch.full_like(x, 0.5),
    )  # fmt: skip
    assert all((batch == 0.5).all() for batch in seen[True])
    assert torch.equal(torch.cat(seen[False]), held_out.images / 255)


def test_an_augmentation_that_loses_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"as many images as it takes, \(8, 1, 8, 8\), got \(4"):
        quick(network(), images(), cross_entropy, augment=lambda x: x[:4])


# ---- modes: what stands still, and what is trained


def modes(model: nn.Module, data: Any = None, **settings: Any) -> tuple[set[str], set[str]]:
    """Names of the modules in training mode during training steps, and during validation."""
    seen: dict[bool, set[str]] = {True: set(), False: set()}

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        training = {name for name, module in model.named_modules() if module.training}
        seen[torch.is_grad_enabled()] |= training
        return cross_entropy(model, images, labels)

    quick(model, images(40), loss, validation=images(8), **settings)
    return seen[True], seen[False]


EVERY = {"", "0", "1", "2", "3", "4", "5"}  # of `network`: 1 is batch norm, 3 dropout


def test_a_new_model_is_trained_as_a_whole() -> None:
    model = network()
    assert modes(model) == (EVERY, set())
    assert not any(module.training for module in model.modules())


def test_a_norm_and_a_dropout_in_evaluation_mode_stay_so() -> None:
    model = network()
    model[1].eval()
    model[3].eval()
    mean = model[1].running_mean.clone()
    assert modes(model) == (EVERY - {"1", "3"}, set())
    assert torch.equal(model[1].running_mean, mean)


def test_a_part_in_training_mode_is_the_callers_choice() -> None:
    model = network().eval()
    model[5].train()
    assert modes(model) == ({"5"}, set())


def test_what_fit_returned_is_trained_again() -> None:
    model = network()
    quick(model, images(40), cross_entropy)
    assert modes(model) == (EVERY, set())


def test_what_is_frozen_in_a_model_in_evaluation_mode_stands_still() -> None:
    """As a trained model is taken up to give it another head."""
    model = nn.Sequential(network()[:4], nn.Flatten(), nn.Linear(144, 2)).eval()
    model[0].requires_grad_(False)
    before = {name: value.clone() for name, value in model[0].state_dict().items()}
    training, _ = modes(model)
    assert training == {"", "1", "2"}
    assert all(torch.equal(before[name], v) for name, v in model[0].state_dict().items())


def test_early_stop_and_best_weights_leave_frozen_statistics_alone() -> None:
    model = network()
    model[1].requires_grad_(False).eval()
    before = {name: value.clone() for name, value in model[1].state_dict().items()}
    history = quick(
        model, images(40), cross_entropy, epochs=6, patience=1, validation=images(8, 1), lr=0.05
    )
    assert history.best
    assert all(torch.equal(before[name], v) for name, v in model[1].state_dict().items())


def test_a_model_that_sets_its_own_modes() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self[1].eval()
            return self

    model = Frozen(*network())
    assert modes(model) == (EVERY - {"1"}, set())


def test_a_loss_that_is_a_network_stays_as_it_is() -> None:
    class Perceptual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.BatchNorm2d(1).eval().requires_grad_(False)

        def forward(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            return self.features(images).mean() + cross_entropy(model, images, labels)

    loss = Perceptual()
    quick(network(), images(40), loss)
    assert loss.features.running_mean is not None
    assert torch.equal(loss.features.running_mean, torch.zeros(1))
    assert not loss.features.training


# ---- weights that nobody would train


class Weighted(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model, images, labels) * torch.exp(-self.log_sigma) + self.log_sigma


def with_sigma(sigma: Tensor, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model, images, labels) * sigma.exp()


def closure(sigma: Tensor) -> Any:
    return lambda model, images, labels: with_sigma(sigma, model, images, labels)


def over_a_layer(layer: nn.Module) -> Any:
    return lambda model, images, labels: layer(model(images)).square().mean()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Weighted(), "its parameter log_sigma"),
        (partial(Weighted()), r"a tensor of shape \(\)"),
        (partial(with_sigma, nn.Parameter(torch.zeros(3, 1).sum())), r"a tensor of shape \(\)"),
        (closure(nn.Parameter(torch.zeros(()))), r"a tensor of shape \(\)"),
        (closure(torch.zeros((), requires_grad=True)), r"a tensor of shape \(\)"),
        (over_a_layer(nn.Linear(2, 3)), r"a tensor of shape \(3,"),
    ],
    ids=["module", "partial of it", "partial", "closure", "no Parameter", "layer"],
)
def test_weights_of_a_loss_are_refused(loss: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words}.*make it a part of the model, or call requires"):
        quick(network(), images(), loss)


def test_weights_of_the_model_that_are_not_registered_are_refused() -> None:
    class Forgotten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.scale = network(), torch.ones(2, requires_grad=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) * self.scale

    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) that requires gradients"):
        quick(Forgotten(), images(), cross_entropy)


def test_a_loss_of_the_models_own_weights_and_of_gradients_by_its_images_will_do() -> None:
    model = network()
    teacher = network()

    def loss(given: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        value = cross_entropy(given, images, labels)
        slope = torch.autograd.grad(value, images, create_graph=True)[0].square().sum()
        decay = sum(p.square().sum() for p in model.parameters())
        with torch.no_grad():
            target = teacher(images)
        return value + 0.1 * slope + 1e-4 * decay + (given(images) - target).square().mean()

    before = weights(model)
    quick(model, images(), loss)
    assert not torch.equal(weights(model), before)
    assert all(p.grad is None for p in teacher.parameters())


def test_a_loss_on_another_model_is_refused() -> None:
    other = network()
    with pytest.raises(ValueError, match="does not depend on the parameters of the model"):
        quick(network(), images(), lambda m, x, y: F.cross_entropy(other(x), y))


# ---- losses that fail


@pytest.mark.parametrize(
    ("loss", "kind", "words"),
    [
        (
            lambda model, images, labels: F.cross_entropy(model(images), labels.float()),
            ValueError,
            r"failed on its first batch, images float32 of shape \(8, 1, 8, 8\) and labels int64",
        ),
        (lambda m, x, y: F.binary_cross_entropy(m(x).sigmoid(), y.float()), ValueError, "failed"),
        (lambda m, x, y: {"a": m(x)}["b"], ValueError, "failed on its first batch.*'b'"),
        (lambda m, x, y: m(x) @ None, TypeError, "failed on its first batch"),
        (lambda m, x, y: 1.0, TypeError, "'loss' is float"),
        (lambda m, x, y: m(x), TypeError, r"\(8, 2\)"),
        (lambda m, x, y: {"total": m(x).sum()}, ValueError, r"only \['total'\]"),
        (lambda m, x, y: x.mean(), ValueError, "does not depend on the model's parameters"),
    ],
)
def test_losses_that_cannot_work(loss: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        quick(network(), images(), loss)


def test_a_batch_of_one_is_too_small_for_batch_norm() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    with pytest.raises(
        ValueError, match=r"on its first batch, images float32 of shape \(1, 1.*1 v"
    ):
        quick(model, images(), cross_entropy, batch_size=1)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (
            "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.",
            "take binary_cross_entropy_with_logits, or precision='fp32'",
        ),
        ("mat1 and mat2 must have the same dtype, but got BFloat16 and Float", r"\.float\(\)"),
    ],
)
def test_of_a_loss_that_fails_in_16_bits_the_remedy_is_told(words: str, remedy: str) -> None:
    """As on a GPU, where binary cross-entropy refuses to be computed so."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
        raise RuntimeError(f"{words}\nMany models use a sigmoid layer right before")

    objective = Objective(network(), loss, None, torch.contiguous_format)
    batch = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, 0.0
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match=remedy) as caught:
        objective(*batch)
    assert str(caught.value).endswith("precision='fp32'")
    with pytest.raises(ValueError, match="failed") as caught:
        objective(*batch)
    assert "precision" not in str(caught.value)


def test_entries_must_stay_the_same() -> None:
    calls = iter(range(100))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        value = cross_entropy(model, images, labels)
        return {"loss": value} if next(calls) else {"loss": value, "more": value}

    with pytest.raises(ValueError, match="same entries"):
        quick(network(), images(), loss)
