"""Tensors as a file of their own: a data set that a page loads when somebody wants to train."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion.export import store

_FORMATS = {torch.uint8: "u1", torch.int32: "<i4", torch.float32: "<f4"}


@dataclass(frozen=True)
class TensorFile:
    """Tensors, one after the other in row-major order, little-endian, gzipped.

    Attributes:
        path: where it lies; its name is the SHA-256 of its bytes.
        tensors: number format ("uint8", "int32", "float32") and shape of each, in order.
    """

    path: Path
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    def describe(self) -> dict[str, Any]:
        """All that a page needs to know to read it, as JSON can hold it."""
        return {
            "file": self.path.stem,
            "tensors": {
                name: {"type": kind, "shape": list(shape)}
                for name, (kind, shape) in self.tensors.items()
            },
        }


def keep_tensors(tensors: Mapping[str, Tensor]) -> TensorFile:
    """Write tensors as a file for pages. uint8 stays, other whole numbers become int32, the rest
    float32; ValueError if they do not fit."""
    handed = {name: as_handed(tensor, name) for name, tensor in tensors.items()}
    data = b"".join(
        tensor.contiguous().numpy().astype(_FORMATS[tensor.dtype]).tobytes()
        for tensor in handed.values()
    )
    kept = store.keep(gzip.compress(data, 9, mtime=0), "gz")
    return TensorFile(
        kept.path,
        {
            name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
            for name, tensor in handed.items()
        },
    )


def as_handed(tensor: Tensor, name: str) -> Tensor:
    """A copy in a number format that JavaScript has: float32, uint8, int32.

    Raises:
        ValueError: complex numbers, or whole numbers that int32 can't hold; the message names it.
    """
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        return tensor.float().clone()
    if tensor.is_complex():
        raise ValueError(f"{name} must be real numbers, got {tensor.dtype}")
    if tensor.dtype == torch.uint8:
        return tensor.clone()
    if not torch.equal(tensor.to(torch.int32).to(tensor.dtype), tensor):
        raise ValueError(f"{name} has whole numbers of more than 31 bits")
    return tensor.to(torch.int32)
