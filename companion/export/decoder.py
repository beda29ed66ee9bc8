"""A decoder as an ONNX file: z in, images out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from companion.export.model import ExportedModel, call, export_frozen, frozen_copy


@dataclass(frozen=True)
class ExportedDecoder:
    """A decoder as an ONNX file: input `z` (float32 N×latent_dim), output `image` (N×C×H×W).

    Attributes:
        model: the exported module.
        latent_dim: length of a latent vector.
        image_shape: (C, H, W) with C 1 or 3.
    """

    model: ExportedModel
    latent_dim: int
    image_shape: tuple[int, int, int]

    @property
    def sha256(self) -> str:
        """Of the file's bytes, and its name."""
        return self.model.sha256

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.model.path

    def decode(self, z: Tensor) -> Tensor:
        """What torch makes of z (N×latent_dim): images N×C×H×W in [0, 1], as at the export."""
        return self.model(z)["image"]


def export_decoder(decoder: nn.Module, latent_dim: int) -> ExportedDecoder:
    """Export a module that maps z (N×latent_dim) to images in [0, 1] (N×1×H×W or N×3×H×W).

    See `companion.export.model.export_model`, also for what it costs.

    Raises:
        ValueError: latent_dim < 1, or the module fails on a latent vector, returns something else
            than such images for the prior's mean, or another image for a vector beside others than
            for it alone (a page decodes one at a time), or can't be exported.
    """
    if isinstance(latent_dim, bool) or not isinstance(latent_dim, int) or latent_dim < 1:
        raise ValueError(f"latent_dim must be a whole number of at least 1, not {latent_dim!r}")
    twin = frozen_copy(decoder, "decoder")
    z = _probe_points(latent_dim)
    images = call(twin, {"z": z}, ["image"], "decoder")["image"]
    _check_images(images, len(z), latent_dim)
    _check_independence(images, call(twin, {"z": z[1:2]}, ["image"], "decoder")["image"])
    exported = export_frozen(twin, {"z": z}, ["image"], what="decoder")
    return ExportedDecoder(
        exported, latent_dim, (images.shape[1], images.shape[2], images.shape[3])
    )


def _probe_points(latent_dim: int) -> Tensor:
    """The prior's mean and seven draws from the prior, always the same."""
    draws = np.random.default_rng(0).standard_normal((7, latent_dim))
    return torch.from_numpy(np.vstack([np.zeros((1, latent_dim)), draws]).astype(np.float32))


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
        advice = "end the decoder with a sigmoid, for example"
        if -1 - 1e-6 <= low < 0 and high <= 1 + 1e-6:
            advice = "if it ends with a tanh, give a module that returns (decoder(z) + 1) / 2"
        raise ValueError(
            f"expected images with values in [0, 1], but the prior's mean z = 0 decodes to values "
            f"from {low:.3g} to {high:.3g}; {advice}"
        )


def _check_independence(images: Tensor, alone: Tensor) -> None:
    if alone.shape[1:] != images.shape[1:]:
        return  # the export says what is wrong with one that depends on the batch size
    difference = float((images[1] - alone[0]).abs().max())
    if not difference <= 1e-3:
        raise ValueError(
            "the decoder gives another image for a latent vector beside others than for it alone "
            f"(a pixel differs by {difference:.2g}): a page decodes one at a time, so it may not "
            "compute across the batch, as batch norm without running statistics does"
        )
