"""Trained weights on disk: a safetensors file, and beside it a card that says where it comes from.

The card holds the SHA-256 of the weights and one of itself, so nothing that was cut short,
flipped or edited is ever loaded: corruption is a `WeightsError`, not a model that is a little off.
"""

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from errno import EISDIR
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from companion.paths import expanded, write_atomically
from companion.training.progress import duration

_DTYPES = {"float32": torch.float32, "float16": torch.float16}


class WeightsError(ValueError):
    """Weights or their card are missing, damaged, or made for another model."""


@dataclass(frozen=True)
class Card:
    """Where weights come from and what they reach; stored as JSON beside them.

    `settings` are keyword arguments, `figures` numbers by name, or tables of numbers; `seconds` is
    the training's duration and `history` its record by epoch. Where several seeds were tried,
    `seed` is the best of them, `seconds` counts all, and `seeds` has each figure that counts by
    seed. `save` fills in `versions`, `parameters`, `dtype` and `sha256`.
    """

    recipe: str
    description: str
    command: str
    data: str
    seed: int
    settings: Mapping[str, Any]
    hardware: str
    seconds: float
    figures: Mapping[str, Any]
    history: Mapping[str, list[float]] = field(default_factory=dict)
    seeds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    parameters: int = 0
    dtype: str = ""
    sha256: str = ""

    def summary(self) -> str:
        """The card in a few lines."""
        figures = (f"{k} {v:.4g}" for k, v in self.figures.items() if isinstance(v, int | float))
        return "\n".join(
            (
                f"{self.recipe}: {self.description}",
                f"data: {self.data}",
                f"made by: {self.command} (seed {self.seed}) in {duration(self.seconds)} "
                f"on {self.hardware}",
                f"parameters: {self.parameters:,}, "
                + (f"stored as {self.dtype}" if self.dtype else "not stored: a recorded run"),
                f"reaches: {', '.join(figures)}",
                *(
                    f"{name} by seed: " + ", ".join(f"{k}: {v:.4g}" for k, v in values.items())
                    for name, values in self.seeds.items()
                ),
            )
        )


def round_to(model: nn.Module, dtype: str) -> None:
    """Round the model's weights, in place, to what `save` with this `dtype` keeps of them."""
    with torch.no_grad():
        for tensor in _tensors_of(model).values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(_DTYPES[dtype]))


def check_place(path: Path) -> None:
    """Raise OSError if weights and card cannot be written there: better before a training."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror}") from error


def save(model: nn.Module, path: str | Path, card: Card, *, dtype: str = "float32") -> Card:
    """Write the model's parameters and buffers to `path` (`….safetensors`), the card beside it.

    `dtype` is the number format on disk of what is floating point, "float32" or "float16" (half
    the size). Both files are written under another name and then moved, so that a killed run
    leaves none that is half written. Returns the card as it can be read again.

    Raises ValueError, and writes nothing, for another `dtype` or file name, a model whose state is
    not of tensors only, and if a weight is not finite in `dtype` or a figure of the card is not.
    """
    path = _weights_path(path)
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    tensors = {}
    for name, tensor in _tensors_of(model).items():
        kind = _DTYPES[dtype] if tensor.is_floating_point() else tensor.dtype
        tensors[name] = tensor.detach().to("cpu", kind, copy=True).contiguous()
        if not tensors[name].isfinite().all():
            raise ValueError(f"{name} has values that are NaN or infinite as {dtype}: not saved")
    content = safetensors.torch.save(tensors)
    # Before anything is replaced: it may be impossible to write the card.
    text = _card_as_text(model, card, dtype, hashlib.sha256(content).hexdigest())
    write_atomically(path, content)
    write_atomically(path.with_suffix(".json"), text)
    return read_card(path)


def save_card(
    model: nn.Module, path: str | Path, card: Card, *, dtype: str = "", sha256: str = ""
) -> Card:
    """Write only the card (`….json`), as `save` does beside the weights: for a recorded run.

    Returns it as it can be read again.
    """
    path = expanded(path).with_suffix(".json")
    write_atomically(path, _card_as_text(model, card, dtype, sha256))
    return read_card(path)


def _card_as_text(model: nn.Module, card: Card, dtype: str, sha256: str) -> bytes:
    """The file of a card, completed by what is known of the model. Raises ValueError for NaN."""
    written = replace(
        card,
        versions=versions(),
        parameters=sum(p.numel() for p in model.parameters()),
        dtype=dtype,
        sha256=sha256,
    )
    entries = asdict(written)
    lines = []
    try:
        entries["card_sha256"] = _digest(entries)
        # One line for each entry: a card is to be read, and compared with its predecessor.
        for key, value in entries.items():
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            lines.append(f" {json.dumps(key)}: {text}")
    except ValueError as error:
        raise ValueError(
            f"the card of {card.recipe} has a number that is NaN or infinite: nothing was saved"
        ) from error
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def load(model: nn.Module, path: str | Path) -> Card:
    """Load the weights at `path` (`….safetensors`) into `model` and return their card.

    The file's SHA-256 is compared with the card's before anything is read from it; the model is
    left untouched unless all is well. Raises WeightsError, naming the file, what was expected, what
    came and what to do, if a file is missing or damaged or holds another model's weights.
    """
    path = _weights_path(path)
    card = read_card(path)
    content = _read(path, card.recipe)
    remedy = _remedy(card.recipe)
    came = hashlib.sha256(content).hexdigest()
    if came != card.sha256:
        raise WeightsError(
            f"{path} is damaged: its card expects SHA-256 {card.sha256[:12]}…, the file "
            f"({len(content)} bytes) has {came[:12]}…; {remedy}"
        )
    try:
        tensors = safetensors.torch.load(content)
    except Exception as error:  # the library has no common base class for what it raises
        raise WeightsError(f"{path} is no safetensors file ({error}); {remedy}") from error
    state = _tensors_of(model)
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    came_shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != came_shapes:
        raise WeightsError(
            f"{path} holds another model's weights: {_first_difference(expected, came_shapes)}; "
            f"build the model as the recipe {card.recipe!r} does"
        )
    model.load_state_dict({name: tensors[name].to(state[name].dtype) for name in state})
    return card


def read_card(path: str | Path) -> Card:
    """The card at `path`, or beside the weights there. WeightsError if missing or damaged."""
    path = expanded(path)
    if path.suffix != ".json":
        path = _weights_path(path).with_suffix(".json")
    content = _read(path, path.stem)
    remedy = _remedy(path.stem)
    try:
        entries = dict(json.loads(content))
        seal = entries.pop("card_sha256")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WeightsError(f"{path} is no card of weights ({error!r}); {remedy}") from error
    if seal != _digest(entries):
        raise WeightsError(
            f"{path} was changed after it was written: it no longer has the SHA-256 "
            f"{str(seal)[:12]}… that it states; {remedy}"
        )
    try:
        return Card(**entries)
    except TypeError as error:
        raise WeightsError(
            f"{path} was written by another version of companion ({error}); {remedy}"
        ) from error


def _tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's state. Raises ValueError if there is more in it than tensors."""
    state: dict[str, Any] = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"weights are tensors only, but the model's {name} is {type(value).__name__}: "
                "leave get_extra_state out, or give it a tensor"
            )
    return state


def _weights_path(path: str | Path) -> Path:
    path = expanded(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"weights are files named ….safetensors, got {path.name!r}")
    return path


def _read(path: Path, recipe: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); {_remedy(recipe)}"
        ) from error


def _digest(entries: Mapping[str, Any]) -> str:
    """SHA-256 of a card's entries, however they are laid out on disk."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _remedy(recipe: str) -> str:
    return f"fetch it anew from the repository, or make it with `companion train {recipe}`"


def _first_difference(
    expected: Mapping[str, tuple[int, ...]], came: Mapping[str, tuple[int, ...]]
) -> str:
    for name, shape in expected.items():
        if name not in came:
            return f"{name} of shape {shape} is expected, but missing"
        if came[name] != shape:
            return f"{name} is expected with shape {shape}, but came with {came[name]}"
    unknown = next(name for name in came if name not in expected)
    return f"{unknown} came, but is not expected"


def versions() -> dict[str, str]:
    """What a result was made with, for its card."""
    import lightning_fabric

    import companion

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning_fabric": lightning_fabric.__version__,
        "companion": companion.__version__,
    }
