"""From a torch decoder to the ONNX file that a page runs: exported once, named by its content.

The file stores weights as float16 where that changes next to nothing (as with the weights that
ship, which are float16 numbers), and computes in float32: half the download.
"""

import copy
import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from companion.paths import cache_dir

if TYPE_CHECKING:
    import onnx

TOLERANCE = 2e-5
"""The largest change of a pixel (images are in [0, 1]) that storing weights as float16 may make at
a few points of the latent space: low enough to keep 1e-4 everywhere."""

# Part of every fingerprint: a change here makes new exports.
_EXPORTER = f"companion 1, torch {torch.__version__}"
_SMALL = 256  # weights up to this many stay float32: nothing to gain


@dataclass(frozen=True)
class ExportedDecoder:
    """A decoder as an ONNX file: input `z` (float32 N×latent_dim), output `image` (N×C×H×W).

    Attributes:
        sha256: of the file's bytes, and its name in the cache.
        path: `cache_dir()/models/<sha256>.onnx`.
        latent_dim: length of a latent vector.
        image_shape: (C, H, W) with C 1 or 3.
    """

    sha256: str
    path: Path
    latent_dim: int
    image_shape: tuple[int, int, int]
    _twin: nn.Module = field(repr=False, compare=False)

    def decode(self, z: Tensor) -> Tensor:
        """What torch makes of z (N×latent_dim): images N×C×H×W in [0, 1], as at the export."""
        return _decode(self._twin, z)


def export_decoder(decoder: nn.Module, latent_dim: int) -> ExportedDecoder:
    """Export a module that maps z (N×latent_dim) to images in [0, 1] (N×1×H×W or N×3×H×W).

    The module stays as it is (mode, device, gradients). The first export in a process takes some
    seconds; a module that was exported before costs one small forward pass.

    Raises:
        ValueError: latent_dim < 1, or the module fails on a latent vector, returns something else
            than such images for the prior's mean, or can't be expressed in ONNX.
    """
    if isinstance(latent_dim, bool) or not isinstance(latent_dim, int) or latent_dim < 1:
        raise ValueError(f"latent_dim must be a whole number of at least 1, not {latent_dim!r}")
    twin = _twin(decoder)
    z = _probe_points(latent_dim)
    images = _decode(twin, z)
    _check_images(images, len(z), latent_dim)
    shape = (images.shape[1], images.shape[2], images.shape[3])
    probe = _samples(images)

    models = cache_dir() / "models"
    record = models / "exports" / f"{_fingerprint(twin, latent_dim)}.json"
    sha256 = _recall(record, probe)
    if sha256 is None or not (models / f"{sha256}.onnx").is_file():
        data = _to_onnx(twin, z, images)
        sha256 = hashlib.sha256(data).hexdigest()
        _write(models / f"{sha256}.onnx", data)
        _write(record, json.dumps({"onnx": sha256, "probe": probe}).encode())
    return ExportedDecoder(sha256, models / f"{sha256}.onnx", latent_dim, shape, twin)


def _twin(decoder: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, in float32: the original is never touched."""
    if not isinstance(decoder, nn.Module):
        raise ValueError(f"expected a torch.nn.Module as decoder, not {type(decoder).__name__}")
    try:
        twin = copy.deepcopy(decoder)
    except Exception as error:
        raise ValueError(f"the decoder can't be copied for the export: {_first(error)}") from error
    return twin.cpu().float().eval().requires_grad_(False)


def _probe_points(latent_dim: int) -> Tensor:
    """The prior's mean and seven draws from the prior, always the same."""
    draws = np.random.default_rng(0).standard_normal((7, latent_dim))
    return torch.from_numpy(np.vstack([np.zeros((1, latent_dim)), draws]).astype(np.float32))


def _decode(decoder: nn.Module, z: Tensor) -> Tensor:
    try:
        with torch.no_grad():
            images = decoder(z)
    except Exception as error:
        raise ValueError(
            f"the decoder fails on latent vectors of shape {tuple(z.shape)}: {_first(error)}"
        ) from error
    if not isinstance(images, Tensor):
        raise ValueError(
            f"expected the decoder to return images as a tensor, not {type(images).__name__}"
        )
    return images


def _check_images(images: Tensor, count: int, latent_dim: int) -> None:
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[0] != count or shape[1] not in (1, 3) or 0 in shape:
        raise ValueError(
            f"expected the decoder to return images of shape N×1×H×W or N×3×H×W, but for z of "
            f"shape {(count, latent_dim)} it returned {shape}"
        )
    low, high = float(images[0].min()), float(images[0].max())
    # Written so that NaN fails too.
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise ValueError(
            f"expected images with values in [0, 1], but the prior's mean z = 0 decodes to values "
            f"from {low:.3g} to {high:.3g}; end the decoder with a sigmoid, for example"
        )


def _samples(images: Tensor) -> list[float]:
    """Some hundred values of the images, to recognise a decoder by what it does."""
    flat = images.reshape(-1).double()
    return flat[:: max(1, len(flat) // 256)].tolist()


def _fingerprint(decoder: nn.Module, latent_dim: int) -> str:
    """SHA-256 over architecture, weights and exporter: what the ONNX file depends on."""
    total = hashlib.sha256(f"{_EXPORTER}\0{latent_dim}\0{decoder}".encode())
    for name, tensor in decoder.state_dict().items():
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def _recall(record: Path, probe: list[float]) -> str | None:
    """The SHA-256 of an earlier export, if that decoder decoded the same images.

    The architecture's text does not show what a `forward` does, so what it returns is compared.
    """
    try:
        entry = json.loads(record.read_text("utf-8"))
        if np.allclose(entry["probe"], probe, rtol=0, atol=1e-5):
            return str(entry["onnx"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _to_onnx(decoder: nn.Module, z: Tensor, images: Tensor) -> bytes:
    import onnx

    try:
        with _quiet():
            program = torch.onnx.export(
                decoder,
                (z,),
                input_names=["z"],
                output_names=["image"],
                dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:
        raise ValueError(f"the decoder can't be exported to ONNX: {_first(error)}") from error
    sizes = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim][1:]
    if sizes != list(images.shape[1:]):
        raise ValueError(
            f"the exported decoder returns images of shape {sizes}, torch {list(images.shape[1:])}"
        )
    _anonymise(model)
    if _float16_error(decoder, z, images) <= TOLERANCE:
        _store_as_float16(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _float16_error(decoder: nn.Module, z: Tensor, images: Tensor) -> float:
    """The largest change of a pixel when large weights are rounded to float16.

    Rounds the weights of `decoder` in place and puts them back.
    """
    weights = [
        tensor
        for tensor in decoder.state_dict().values()
        if tensor.dtype == torch.float32 and tensor.numel() > _SMALL
    ]
    exact = [tensor.clone() for tensor in weights]
    for tensor in weights:
        tensor.copy_(tensor.half())
    error = float((_decode(decoder, z) - images).abs().max())
    for tensor, original in zip(weights, exact, strict=True):
        tensor.copy_(original)
    return error if error == error else float("inf")


def _store_as_float16(model: "onnx.ModelProto") -> None:
    """Keep large weights as float16; a runtime casts them once, when it loads the file."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size <= _SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def _anonymise(model: "onnx.ModelProto") -> None:
    """Drop what does not compute: paths and sources of this machine, names of parameters.

    So the same computation has the same bytes wherever, and inside whatever, it was exported.
    """
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    unused = [tensor for tensor in graph.initializer if tensor.name not in used]
    for tensor in unused:
        graph.initializer.remove(tensor)
    names = {"": "", "z": "z", "image": "image"}
    for index, tensor in enumerate(graph.initializer):
        tensor.name = names.setdefault(tensor.name, f"w{index}")
        tensor.ClearField("doc_string")
        del tensor.metadata_props[:]
    for index, node in enumerate(graph.node):
        node.name = f"n{index}"
        node.ClearField("doc_string")
        del node.metadata_props[:]
        for k, name in enumerate(node.input):
            node.input[k] = names[name]
        for k, name in enumerate(node.output):
            node.output[k] = names.setdefault(name, f"n{index}_{k}")
    for value in (*graph.input, *graph.output):
        value.ClearField("doc_string")
        del value.metadata_props[:]
    del graph.value_info[:]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    graph.name = "decoder"
    graph.ClearField("doc_string")
    model.ClearField("doc_string")
    model.ClearField("producer_version")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes on how it exports, which mean nothing to a reader of a notebook."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _write(path: Path, data: bytes) -> None:
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:12]}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
