"""Which training a checkpoint belongs to: what looks alike and is not, and what may differ."""

from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from companion.training import fit
from companion.training.augmentation import crop_and_flip
from companion.training.batches import InMemory
from companion.training.checkpoint import CheckpointError
from companion.training.identity import describe_function, describe_model
from companion.training.schedules import steps
from support.runs import images, network, noisy, train


def test_settings_must_be_the_same(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    short = partial(train, path, epochs=2)
    short()
    for change, words in (
        ({"epochs": 3}, "epochs was 2 there, and is 3 now"),
        ({"lr": 0.01}, r"lr=0\.05"),
        ({"seed": 4}, "seed was 0"),
        ({"optimizer": partial(torch.optim.SGD, momentum=0.5)}, "optimizer was SGD"),
        ({"schedule": "cosine"}, "schedule was Plateau"),
        ({"augment": None}, "augment was crop_and_flip"),
        ({"optimizer": partial(torch.optim.SGD, momentum=0.9, maximize=True)}, "maximize=False"),
        ({"augment": crop_and_flip(2)}, r"augment was crop_and_flip.*padding=1"),
        ({"validation": images(41, 1)}, r"validation was 40 .* there, and is 41 "),
        ({"validation": images(40, 2)}, r"validation was 40 "),
    ):
        with pytest.raises(CheckpointError, match=words):
            short(**change)


def weighted(weight: float) -> Any:
    """What a recipe's loss is: a function made with numbers."""

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return weight * noisy(model, images, labels)

    return loss


def flipped(data: InMemory) -> InMemory:
    assert data.labels is not None
    return InMemory(data.images, 1 - data.labels, data.device)


def streamed(data: InMemory) -> Dataset[Any]:
    assert data.labels is not None
    return TensorDataset(data.images, data.labels)


def activated(kind: type[nn.Module]) -> nn.Sequential:
    model = network()
    model[2] = kind()
    return model


def frozen() -> nn.Sequential:
    model = network()
    model[0].requires_grad_(False)
    return model


def held() -> nn.Sequential:
    model = network()
    model[1].eval()
    return model


def test_what_looks_alike_is_another_training(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    options: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False, "checkpoint": path}
    ordinary = {"schedule": steps(0.5, 0.75), **options}
    fit(network(), images(), weighted(1.0), **ordinary)
    again = fit(network(), images(), weighted(1.0), **ordinary)
    assert again.resumed == 2
    for model, data, loss, settings, words in (
        (network(), images(), weighted(2.0), ordinary, r"loss was .* with weight=1\.0 there"),
        (network(), images(), partial(noisy), ordinary, "loss was "),
        (network(), images(seed=4), weighted(1.0), ordinary, "images was 120 "),
        (network(), flipped(images()), weighted(1.0), ordinary, "images was 120 "),
        (nn.Linear(2, 2), images(), weighted(1.0), ordinary, "model was Sequential with"),
        (activated(nn.Sigmoid), images(), weighted(1.0), ordinary, "model was "),
        (frozen(), images(), weighted(1.0), ordinary, "model was "),
        (held(), images(), weighted(1.0), ordinary, "model was "),
        (network(), images(), weighted(1.0), options | {"schedule": steps(0.5, 0.8)}, "schedule"),
    ):
        with pytest.raises(CheckpointError, match=words):
            fit(model, data, loss, **settings)


def test_another_dataset_of_the_same_length_is_another_training(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False}
    options["checkpoint"] = tmp_path / "run.checkpoint"
    fit(network(), streamed(images()), noisy, **options)
    assert fit(network(), streamed(images()), noisy, **options).resumed == 2
    for other in (images(seed=4), flipped(images())):
        with pytest.raises(CheckpointError, match=r"images was 120 \(\w+\) there, and is 120"):
            fit(network(), streamed(other), noisy, **options)


def test_functions_in_words() -> None:
    @wraps(noisy)
    def wrapper(*arguments: Any) -> Tensor:
        return noisy(*arguments)

    seen: list[float] = []

    def writes_down(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        seen.append(later)
        return noisy(model, images, labels)

    assert describe_function(writes_down).endswith("writes_down")  # neither its list nor `later`
    later = 1.0
    assert describe_function(writes_down).endswith("writes_down with later=1.0")
    assert describe_function(wrapper) == describe_function(noisy) == "noisy"
    assert describe_function(partial(noisy, labels=None)) == "noisy with labels=None"
    assert describe_function(weighted(2.0)) == "weighted.<locals>.loss with weight=2.0"
    assert describe_function(None) == "None"


def test_a_models_words_are_the_next_sessions_too() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers, self.activation = network(), torch.tanh

        def extra_repr(self) -> str:
            return repr(object())  # with its address

        def get_extra_state(self) -> str:
            return "no tensor"

    assert describe_model(Named(), []) == describe_model(Named(), [])
    assert describe_model(Named(), []) != describe_model(Named(), ["layers.1"])
