"""Which training a checkpoint belongs to: everything that decides its numbers, in words.

The words are the same in the next session. What a function does cannot be compared; its name can,
and the plain values that it was made with, such as the β of a loss.
"""

import hashlib
import inspect
import re
from collections.abc import Sequence
from functools import partial
from types import CellType
from typing import Any

import torch
from torch import Tensor, nn


def describe_function(thing: object) -> str:
    """A function's name, and the plain values that it was made with."""
    if thing is None:
        return "None"
    thing = inspect.unwrap(thing) if callable(thing) else thing  # what functools.wraps wraps
    made_with: dict[Any, object]
    if isinstance(thing, partial):
        made_with = {**dict(enumerate(thing.args)), **thing.keywords}
        thing = thing.func
    else:
        cells = getattr(thing, "__closure__", None) or ()
        free = getattr(getattr(thing, "__code__", None), "co_freevars", ())
        # A cell is empty where the variable is assigned later.
        made_with = {
            name: cell.cell_contents
            for name, cell in zip(free, cells, strict=True)
            if cell != CellType()
        }
    words = str(getattr(thing, "__qualname__", type(thing).__qualname__))
    plain = [f"{name}={value!r}" for name, value in made_with.items() if _is_plain(value)]
    return f"{words} with {', '.join(plain)}" if plain else words


def _is_plain(value: object) -> bool:
    # No lists: a loss may write down there what it sees.
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def describe_optimizer(optimizer: torch.optim.Optimizer) -> str:
    """Its class, and the settings of each of its parameter groups."""
    # How it is computed may differ from machine to machine, what is computed may not.
    ways = ("params", "initial_lr", "fused", "foreach", "capturable", "differentiable")
    groups = [
        ", ".join(f"{name}={value}" for name, value in group.items() if name not in ways)
        for group in optimizer.param_groups
    ]
    return f"{type(optimizer).__name__}({'; '.join(groups)})"


def describe_model(model: nn.Module, held: Sequence[str]) -> str:
    """Its class, size and a digest: of the layers, the tensors' shapes, and what stands still.

    `held` names the modules that stay in evaluation mode.
    """
    shapes = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor)  # and no extra state
    }
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(model))  # addresses are another session's
    still = (held,) if held else ()
    digest = hashlib.sha256(repr((shapes, frozen, layers, *still)).encode()).hexdigest()[:8]
    count = sum(p.numel() for p in model.parameters())
    return f"{type(model).__name__} with {count:,} parameters (layers {digest})"
