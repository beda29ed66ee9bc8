"""Passes through a network that leave it as it was: in evaluation mode, in batches of good size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from companion.threads import limit_threads

#: What the largest activation of a batch may take, in bytes. Below 4 MB a layer's call costs more
#: than its arithmetic; above 13 MB activations leave a processor's cache, and a pass of a large
#: network through a batch of hundreds takes two to four times as long.
LARGEST_ACTIVATION = 12 * 2**20
_ON_ACCELERATORS = 256 * 2**20


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """`model` in evaluation mode; afterwards each of its modules has the mode that it had."""
    limit_threads()
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def for_model(model: nn.Module, images: Tensor) -> Tensor:
    """N×C×H×W floats where the model's weights are, in their format; C×H×W becomes N = 1.

    Raises ValueError for what is neither, and for whole numbers, saying what was expected.
    """
    if not isinstance(images, Tensor) or images.ndim not in (3, 4) or not images.numel():
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"Expected images as a tensor C×H×W or N×C×H×W, got {shape}.")
    if not images.is_floating_point():
        raise ValueError(
            f"Expected images as floating-point numbers, got {images.dtype}: convert them with "
            "images.float() / 255."
        )
    images = images.detach() if images.ndim == 4 else images.detach()[None]
    weight = next((p for p in model.parameters() if p.is_floating_point()), images)
    return images.to(weight.device, weight.dtype)


def one_image(model: nn.Module, image: Tensor) -> Tensor:
    """:func:`for_model` of a single image, 1×C×H×W. Raises ValueError also for several."""
    images = for_model(model, image)
    if len(images) != 1:
        raise ValueError(f"Expected one image C×H×W, got {len(images)}: take images[0].")
    return images


@torch.no_grad()
def first_pass(model: nn.Module, image: Tensor) -> tuple[Any, int]:
    """What the model gives for a batch of one image, and how many images a batch best has.

    Hooks measure the largest output of any module on the way; as many images belong into a batch as
    keep it below :data:`LARGEST_ACTIVATION`. The model is in evaluation mode already.
    """
    largest = image.numel() * image.element_size()

    def measure(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * output.element_size())

    with hooked(model.modules(), measure):
        output = model(image)
    budget = LARGEST_ACTIVATION if image.device.type == "cpu" else _ON_ACCELERATORS
    return output, max(1, budget // largest)


@contextmanager
def hooked(modules: Any, hook: Any) -> Iterator[None]:
    """Forward hooks on these modules, which are gone afterwards, whatever happens."""
    handles = []
    try:
        for module in modules:
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def named_layers(model: nn.Module, names: Any) -> dict[str, nn.Module]:
    """Modules of a model by name, as `model.named_modules()` has them.

    A name may leave out what leads to the layer, as "conv1" for ``model.layers.conv1``, if no other
    ends so. Raises ValueError for an unknown name, with those that there are.
    """
    modules = dict(model.named_modules())
    modules.pop("")
    found = {}
    for name in names:
        layer = modules.get(name)
        if layer is None:
            ending = [module for path, module in modules.items() if path.endswith(f".{name}")]
            layer = ending[0] if len(ending) == 1 else None
        if layer is None:
            known = ", ".join(modules) or "none"
            raise ValueError(f"There is no layer {name!r}; this model has {known}.")
        found[name] = layer
    return found


def score_of(logits: Tensor, target: int, output: str = "probability") -> Tensor:
    """One number an image, of N×K logits: the probability of class `target`, or its logit.

    Raises ValueError for another `output`, for what is no N×K, and for a class that is not there.
    """
    if output not in ("probability", "logit"):
        raise ValueError(f"output must be 'probability' or 'logit', got {output!r}.")
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"Expected a model from images to logits N×K, this one gives {what}.")
    if isinstance(target, bool) or not isinstance(target, int) or not 0 <= target < logits.shape[1]:
        raise ValueError(
            f"target must be the number of a class, 0 to {logits.shape[1] - 1}, got {target!r}."
        )
    return (logits.softmax(1) if output == "probability" else logits)[:, target]


def check_whole(low: int, high: int | None = None, **values: Any) -> None:
    """Raise a ValueError for values that are no whole numbers from `low` to `high`."""
    for name, value in values.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            span = f"from {low}" + ("" if high is None else f" to {high}")
            raise ValueError(f"{name} must be a whole number {span}, got {value!r}.")
