"""What `fit` keeps of a training that is under way, so that a killed one can go on.

One file: 32 bytes of SHA-256, then what `torch.save` makes of plain values and tensors. It is
written beside its place and then moved there, so a kill at any moment leaves the last one whole.
"""

import hashlib
import io
import os
import pickle
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor, nn

from companion.paths import expanded, write_atomically

_DIGEST = hashlib.sha256().digest_size


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another training; the message says what to do."""


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Write the state, in place of what was there.

    Raises TypeError, and writes nothing, for a state that `load` would refuse: one with anything
    but tensors and plain values in it, which an optimizer of one's own may have.
    """
    content = _to_bytes(state)
    write_atomically(expanded(path), hashlib.sha256(content).digest() + content)


def check_storable(state: dict[str, Any]) -> None:
    """Raise TypeError if a model's state has something in it that `save` would refuse."""
    _to_bytes({name: value for name, value in state.items() if not isinstance(value, Tensor)})


def _to_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    try:
        _read(content)
    except pickle.UnpicklingError as error:
        kind = re.search(r"GLOBAL (\S+)", str(error))
        raise TypeError(
            "a checkpoint holds tensors, numbers and strings only, but the training's state "
            f"has {kind[1] if kind else 'something else'} in it"
        ) from error
    return content


def _read(content: bytes) -> dict[str, Any]:
    # Only values and tensors: a file that somebody else has made runs nothing.
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def check_place(path: Path) -> None:
    """Raise ValueError if no checkpoint can be written there: better now than after an epoch."""
    try:
        if not path.name or path.is_dir():
            raise ValueError(f"checkpoint must be a file, but {str(path)!r} is a folder")
        # A file with a name as long, under which nothing else can lie.
        trial = path.with_name(uuid4().hex + "x" * (len(os.fsencode(path.name)) - 32))
        write_atomically(trial, b"")
        trial.unlink()
    except OSError as error:
        raise ValueError(f"checkpoint {path} cannot be written: {error.strerror}") from error


def load(path: str | Path) -> dict[str, Any]:
    """The state at `path`. Raises CheckpointError if the file is damaged or no checkpoint."""
    content = expanded(path).read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise CheckpointError(
            f"{path} is damaged, or no checkpoint of `fit`: give another file as checkpoint, or "
            "delete this one to start the training anew"
        )
    return _read(content[_DIGEST:])


def restore(model: nn.Module, path: str | Path) -> int:
    """Give the model the weights of a checkpoint; returns the number of epochs behind them.

    For another training that starts from there, with a smaller learning rate for instance. Raises
    CheckpointError if the file is damaged or holds another model's weights.
    """
    state = load(path)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"{path} holds another model's weights: {error}") from error
    return int(state["epoch"])


def check_same(path: str | Path, saved: dict[str, str], now: dict[str, str]) -> None:
    """Raise CheckpointError, naming the first difference, if the settings are not the same."""
    for name, value in now.items():
        if saved.get(name) != value:
            raise CheckpointError(
                f"{path} belongs to another training: {name} was {saved.get(name)} there, and is "
                f"{value} now; give another file as checkpoint, or delete this one"
            )
