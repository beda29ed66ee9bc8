"""Files that a page loads: named by what they hold, found again by what they were made from.

`cache_dir()/models/<sha256>.<kind>` holds the bytes, `cache_dir()/models/exports/<key>.json` says
which file was made from what has that key. Where the cache can't be written, the files lie in a
temporary folder until the process ends.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from companion.paths import cache_dir, write_atomically


class Kept(NamedTuple):
    """A file in the store: the SHA-256 of its bytes, where it lies, what was noted about it."""

    sha256: str
    path: Path
    record: dict[str, Any]


def fingerprint(*parts: str | bytes | Tensor | nn.Module | Mapping[str, Tensor]) -> str:
    """SHA-256 over texts, bytes, tensors and modules (their text and state): a key of the store.

    What a module's `forward` does is not part of it: note some of its results in the record, and
    compare them.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            total.update(f"\0{part}".encode())
            part = part.state_dict()
        if isinstance(part, Tensor):
            part = {"": part}
        if isinstance(part, Mapping):
            for name, tensor in part.items():
                total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
                total.update(_bytes(tensor))
        else:
            total.update(b"\0" + (part.encode() if isinstance(part, str) else part))
    return total.hexdigest()


def recall(key: str, kind: str = "onnx") -> Kept | None:
    """What was kept under this key; None if nothing was, or if the file is not what it was."""
    for folder in _folders():
        try:
            record = json.loads((folder / "exports" / f"{key}.json").read_text("utf-8"))
            path = folder / f"{record['file']}.{kind}"
            if hashlib.sha256(path.read_bytes()).hexdigest() == record["file"]:
                return Kept(record["file"], path, record)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def keep(
    data: bytes, kind: str = "onnx", *, key: str | None = None, record: Mapping[str, Any] = {}
) -> Kept:
    """Write a file, named by its content, and (with a key) a record that `recall` finds.

    A cache folder that can't be written gives way to a temporary one, with one warning a process.

    Raises:
        OSError: the temporary folder can't be written either.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    entry = {**record, "file": sha256}

    def write(folder: Path) -> Kept:
        path = folder / f"{sha256}.{kind}"
        write_atomically(path, data)
        if key is not None:
            write_atomically(folder / "exports" / f"{key}.json", json.dumps(entry).encode())
        return Kept(sha256, path, entry)

    chosen = cache_dir() / "models"
    try:
        return write(chosen)
    except OSError as error:
        reason = f"{chosen} can't be written ({error.strerror or error})"
    advice = "set COMPANION_CACHE_DIR to a folder that can be"
    try:
        kept = write(_temporary())
    except OSError as error:
        raise OSError(
            f"{reason}, nor can a temporary folder ({error.strerror or error}); {advice}"
        ) from error
    _warn(f"{reason}: exported models are kept until this process ends; {advice}")
    return kept


def _folders() -> list[Path]:
    made = [_temporary()] if _temporary.cache_info().currsize else []
    return [cache_dir() / "models", *made]


@cache
def _temporary() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="companion-models-")
    _alive.append(folder)
    return Path(folder.name)


_alive: list[tempfile.TemporaryDirectory[str]] = []  # a folder goes when its object does


@cache
def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def _bytes(tensor: Tensor) -> bytes:
    from torch import uint8

    return bytes(tensor.detach().cpu().contiguous().flatten().view(uint8).numpy())
