"""What widgets with a training of their own share: its description for the page, first weights that
depend on a seed, and the same training in torch, for the picture that a page shows at rest."""

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from companion.export.graph import Graph, replayed
from companion.export.tensors import TensorFile
from companion.export.training import ExportedTraining
from companion.training.objective import entries_of
from companion.widgets.noise import batch_rows, branch, noise, step_noise

Given = Mapping[str, Mapping[str, Sequence[Any]]]
"""By function and input: the name of a tensor in a file, and how many of its rows."""


def describe(
    exports: Sequence[ExportedTraining],
    data: TensorFile,
    test: TensorFile | None,
    given: Given,
) -> dict[str, Any]:
    """A training as js/runtime/trainer.js takes it. The first of the exports has the functions, all
    the same weights and state."""
    first = exports[0].describe()
    return {
        **{name: part for name, part in first.items() if name not in ("layout", "step")},
        "steps": [export.step.describe() for export in exports],
        "data": data.describe(),
        "test": None if test is None else test.describe(),
        "given": {name: dict(inputs) for name, inputs in given.items()},
    }


def draw_weights(model: nn.Module, seed: int, gain: float = 1.0) -> list[dict[str, Any]]:
    """Draw a model's matrices from N(0, gain²·2/(fan_in + fan_out)), in place.

    Source: Glorot & Bengio (2010). They depend on nothing but `seed`, and js/training/bench.js
    draws the same. All else stays as it is. The answer says which parameters were drawn: name and
    standard deviation.
    """
    drawn: list[dict[str, Any]] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        std = gain * math.sqrt(2 / (parameter.shape[0] + parameter[0].numel()))
        values = std * noise(branch(seed, 2, len(drawn)), parameter.numel())
        with torch.no_grad():
            parameter.copy_(values.view(parameter.shape))
        drawn.append({"name": name, "std": std})
    return drawn


def places(drawn: Sequence[Mapping[str, Any]], exported: ExportedTraining) -> list[dict[str, Any]]:
    """Where in the vector of weights the drawn ones lie, as js/training/bench.js takes it."""
    layout = {piece.name: piece for piece in exported.layout}
    pieces = [layout[each["name"]] for each in drawn]
    return [
        {"offset": piece.offset, "size": piece.size, "std": each["std"]}
        for piece, each in zip(pieces, drawn, strict=True)
    ]


def train(
    model: nn.Module,
    loss: Callable[..., Any],
    images: Tensor,
    step: Graph,
    steps: int,
    *,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    seed: int,
    inputs: Mapping[str, float],
) -> Iterator[tuple[int, float]]:
    """Train in place as the page would: its batches, its noise (`step` says which). After each step
    yields how many are done, from 1 to `steps`, and the loss that this one began with."""
    pixels = floats(images)
    extra = {name: torch.tensor(value) for name, value in inputs.items()}
    for done in range(steps):
        rows = batch_rows(seed, done, len(pixels), batch_size)
        draws = {
            each.name: step_noise(seed, done, place, each.distribution, each.shape)
            for place, each in enumerate(step.noise)
        }
        batch = pixels if batch_size == len(pixels) else pixels[rows]
        with replayed(step.noise, draws):
            value = entries_of(loss(model, batch, None, **extra))["loss"]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield done + 1, float(value.detach())


def packed(tensor: Tensor) -> str:
    """A tensor's bytes, row by row, in base64: whole numbers as they are, the rest float32."""
    kept = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
    return base64.b64encode(kept.contiguous().numpy().tobytes()).decode()


def grey(images: Tensor) -> Tensor:
    """Images in [0, 1], or what comes close, as uint8."""
    if images.dtype == torch.uint8:
        return images
    return (255 * images.clamp(0, 1)).round().to(torch.uint8)


def floats(images: Tensor) -> Tensor:
    """Images as floats in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def images_of(data: Any, what: str) -> Tensor:
    """The images of an ImageSet, or a tensor of them: N×1×H×W, uint8 or floats in [0, 1].

    Raises:
        TypeError, ValueError: it is something else; the message calls it `what`.
    """
    images = getattr(data, "images", data)
    if not isinstance(images, Tensor):
        raise TypeError(
            f"{what} must be an ImageSet or a tensor of images N×1×H×W, not {type(data).__name__}"
        )
    if (
        images.ndim != 4
        or images.shape[1] != 1
        or len(images) < 2
        or images.shape[2:].numel() > 784
    ):
        raise ValueError(
            f"{what} must be at least two images N×1×H×W of at most 784 pixels, "
            f"not {tuple(images.shape)}"
        )
    if images.dtype != torch.uint8 and not (
        images.is_floating_point() and images.min() >= 0 and images.max() <= 1
    ):
        raise ValueError(f"{what} must be uint8 or floats from 0 to 1")
    return images
