"""What `fit` refuses before it starts, each in one sentence that names the argument."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import fit
from companion.training.batches import InMemory
from companion.training.schedules import Plateau
from support.runs import images, network

quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=False)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


class Labelled:
    images, labels = images(8).images, torch.zeros(7)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": cross_entropy}, TypeError, "Module, got function"),
        ({"model": nn.Flatten()}, ValueError, "no parameters"),
        ({"model": nn.Linear(2, 2).double()}, ValueError, "must be float32, got torch.float64"),
        ({"model": nn.LazyLinear(2)}, ValueError, "call it once on a batch"),
        ({"data": images().images.float()}, ValueError, r"uint8.*float32"),
        ({"data": images().images[0]}, ValueError, r"\(1, 8, 8\)"),
        ({"data": images().images[:0]}, ValueError, r"\(0, 1, 8, 8\)"),
        ({"data": [1, 2]}, TypeError, "got list"),
        ({"data": Labelled()}, ValueError, "8 images, but 7"),
        ({"validation": images().images.float()}, ValueError, "the validation set's images must"),
        ({"validation": images().images}, TypeError, "the validation set's first batch, .* None"),
        ({"validation": 0.2}, TypeError, "validation must be a tensor of images"),
        ({"loss": "mse"}, TypeError, "got str"),
        ({"loss": F.cross_entropy}, TypeError, "takes other arguments; wrap it"),
        ({"loss": nn.CrossEntropyLoss}, TypeError, "got the class CrossEntropyLoss"),
        ({"loss": nn.CrossEntropyLoss()}, TypeError, "takes other arguments; wrap it"),
        ({"loss": lambda model, images: images.sum()}, TypeError, "takes other arguments"),
        ({"epochs": 0}, ValueError, r"epochs.*got 0"),
        ({"epochs": 1.5}, ValueError, r"epochs.*1\.5"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": -1.0}, ValueError, r"lr.*-1\.0"),
        ({"lr": math.nan}, ValueError, r"lr.*nan"),
        ({"lr": "0.1"}, ValueError, r"lr must be a finite positive number, got '0\.1'"),
        ({"lr": None}, ValueError, "lr must be a finite positive number, got None"),
        ({"seed": 1.5}, ValueError, r"seed must be a whole number, got 1\.5"),
        ({"augment": "flip"}, TypeError, "augment must be a function, got 'flip'"),
        (
            {"optimizer": torch.optim.Adam([torch.zeros(1)])},
            TypeError,
            "which `fit` calls with the parameters; got an Adam that is made already",
        ),
        ({"optimizer": partial(torch.optim.SGD, lr=0.5)}, ValueError, "give lr to `fit`"),
        ({"clip": 0.0}, ValueError, "clip"),
        ({"patience": 2}, ValueError, "patience needs a validation set"),
        ({"patience": 0, "validation": images()}, ValueError, "patience must be .* got 0"),
        ({"schedule": "step"}, ValueError, "'step'"),
        ({"schedule": None}, ValueError, "a function from progress"),
        ({"schedule": Plateau}, ValueError, r"a Plateau\(\)"),
        ({"channels_last": "auto"}, ValueError, "channels_last must be True or False, got 'auto'"),
        ({"workers": "2"}, ValueError, "workers must be a whole number, at least 0, got '2'"),
        ({"device": "tpu"}, ValueError, "'tpu'"),
        ({"device": "cuda:one"}, ValueError, "cuda:one"),
        ({"device": "cuda:99"}, ValueError, "none here"),
        ({"precision": "int8"}, ValueError, "'int8'"),
        ({"precision": "fp16"}, ValueError, "needs a CUDA GPU"),
        ({"checkpoint": ""}, ValueError, r"checkpoint must be a file, but '\.' is a folder"),
        ({"checkpoint": "~nobody-of-this-name/x"}, ValueError, "'~nobody.*' is no path here"),
        ({"checkpoint": "x" * 300}, ValueError, "cannot be written: File name too long"),
        ({"checkpoint": f"{__file__}/run"}, ValueError, "cannot be written: "),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], words: str) -> None:
    settings = {"model": network(), "data": images(), "loss": cross_entropy} | change
    with pytest.raises(error, match=words):
        quick(**settings)


def test_without_gradients_nothing_is_trained() -> None:
    with torch.no_grad(), pytest.raises(ValueError, match=r"within torch\.no_grad"):
        quick(network(), images(), cross_entropy)


def test_numpys_whole_numbers_will_do() -> None:
    history = quick(network(), images(16), cross_entropy, epochs=np.int64(2))
    assert len(history.seconds) == 2


def test_what_comes_back_can_be_trained_again() -> None:
    model, data = network(), InMemory(images(16).images, images(16).labels, torch.device("cpu"))
    assert quick(model, data, cross_entropy).epochs != quick(model, data, cross_entropy).epochs
