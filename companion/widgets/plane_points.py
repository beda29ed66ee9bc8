"""Points in the plane that a widget learns: a shape by name, or the reader's own."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

OWN = "own"  # the name of the reader's points


def shape_name(value: Any, names: Iterable[str], own: Sequence[Any]) -> str:
    """The name of a shape, :data:`OWN` among them.

    Raises:
        ValueError: no such shape, or `OWN` before there are points in `own`.
    """
    shape, known = str(value), [*names, OWN]
    if shape not in known:
        raise ValueError(f"shape must be one of {', '.join(known[:-1])} or {OWN}, not {shape!r}")
    if shape == OWN and not own:
        raise ValueError(f"shape can't be {OWN!r} before there are points in `own`")
    return shape


def pairs(value: Any, dtype: torch.dtype) -> Tensor:
    """What the page sent as the reader's points, as a tensor.

    Raises:
        ValueError: it holds something else than numbers.
    """
    try:
        return torch.tensor(value, dtype=dtype)
    except (TypeError, ValueError):
        raise ValueError("own must be a list of pairs of numbers") from None
