"""A walk through a decoder's latent space, live in the page (chapter 12)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.gaussian import kl_to_standard_normal
from companion.export.decoder import ExportedDecoder, export_decoder
from companion.export.model import cause, unwrap
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget

UNUSED = 0.05
"""Nats of KL below which a latent counts as unused by the model: it tells next to nothing of x."""

EXAMPLES = 8  # images to choose from, when a data set gives them
# As in latent_traversal.js, which draws the same pictures.
_FRAMES = 9
_MAP = 7


class LatentTraversal(LiveWidget):
    """Sliders, a two-dimensional pad, samples and interpolation on a decoder that runs in the page.

    Args:
        model: a model with `decode(z)` (such as ConvVAE or ConvAutoencoder), or a decoder itself:
            a torch.nn.Module from z (N×latent_dim) to images in [0, 1], N×1×H×W or N×3×H×W.
            It is exported as it is now; training it further changes nothing here.
        latent_dim: length of z; `model.latent_dim` if not given.
        images: N×C×H×W, uint8 or floats in [0, 1], for `model.encode`, which returns the codes
            (N×latent_dim) or a tuple or list of mu and log_var. They give each latent's KL (with
            a log_var), and the first 8 are the images to interpolate between, and to draw codes
            around (with a log_var). An ImageSet serves too.
        kl_per_dim: nats for each latent, instead of what `images` give. The sliders are ordered by
            it, largest first (two latents stay as they are, so that axes are those of any other
            picture of the plane); below 0.05 nats a latent is marked as unused by the model.
        examples: (codes N×latent_dim, images N×C×H×W) to interpolate between, instead of `images`.
        labels: a name for each latent; "latent 0", … if not given.
        captions: a name for each image to interpolate between.
        value_range: ends of the sliders.
        seed: of the sequence of random samples.
        title: heading of the widget.

    Attributes:
        z: list of latent_dim floats, the point shown; set it from Python, or observe it.

    Raises:
        ValueError: an argument does not fit (the message says which), or the model can't be shown;
            see `companion.export.decoder.export_decoder`.

    Source: chapter 12; the KL is the mean over `images` of the closed form in Kingma & Welling
    (2014), appendix B.
    """

    module = "latent_traversal"

    latent_dim = traitlets.Int().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    decoder = traitlets.Unicode().tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(
        sync=True, setting=lambda w: settings.several(settings.number(*w.value_range), w.latent_dim)
    )
    kl_per_dim = traitlets.List(traitlets.Float(), allow_none=True).tag(sync=True)
    order = traitlets.List(traitlets.Int()).tag(sync=True)
    unused = traitlets.List(traitlets.Int()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    value_range = traitlets.List(traitlets.Float()).tag(sync=True)
    seed = traitlets.Int().tag(sync=True, setting=settings.whole(0, 2**32 - 1))
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        latent_dim: int | None = None,
        *,
        images: Any = None,
        kl_per_dim: Sequence[float] | Tensor | None = None,
        examples: tuple[Any, Any] | None = None,
        labels: Sequence[str] | None = None,
        captions: Sequence[str] | None = None,
        value_range: tuple[float, float] = (-3.0, 3.0),
        seed: int = 0,
        title: str = "Walk through the latent space",
    ) -> None:
        model = unwrap(model)
        widths: Tensor | None = None
        if latent_dim is None:
            latent_dim = getattr(model, "latent_dim", None)
            if latent_dim is None:
                raise ValueError("latent_dim is needed: the model has no attribute latent_dim")
        low, high = (float(end) for end in value_range)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"value_range must be two increasing numbers, not {value_range}")
        exported = export_decoder(_decoder_of(model), latent_dim)
        if images is not None:
            pixels = _float_images(images, exported.image_shape)
            codes, log_vars = _encode(model, pixels, latent_dim)
            if log_vars is not None:
                sigmas = torch.exp(0.5 * log_vars)
                if kl_per_dim is None:
                    kl_per_dim = kl_to_standard_normal(codes, sigmas).mean(0)
            if examples is None:
                examples = codes[:EXAMPLES], pixels[:EXAMPLES]
                widths = None if log_vars is None else sigmas[:EXAMPLES]
        kl = None if kl_per_dim is None else _numbers(kl_per_dim, latent_dim, "kl_per_dim")
        order = list(range(latent_dim))
        if kl is not None and latent_dim > 2:
            order.sort(key=lambda i: -kl[i])
        names = [f"latent {i}" for i in range(latent_dim)] if labels is None else list(labels)
        if len(names) != latent_dim:
            raise ValueError(f"expected {latent_dim} labels, one a latent, but got {len(names)}")
        self._exported = exported
        super().__init__(
            models=[exported.path],
            latent_dim=latent_dim,
            image_shape=list(exported.image_shape),
            decoder=exported.sha256,
            z=[0.0] * latent_dim,
            kl_per_dim=None if kl is None else [round(value, 4) for value in kl],
            order=order,
            unused=[i for i in order if kl is not None and kl[i] < UNUSED],
            labels=[str(name) for name in names],
            examples=_examples(examples, captions, exported, widths),
            value_range=[low, high],
            seed=seed,
            title=str(title),
        )

    @traitlets.validate("z")
    def _check_z(self, proposal: Any) -> list[float]:
        value: list[float] = proposal["value"]
        if len(value) != self.latent_dim or not all(math.isfinite(v) for v in value):
            raise ValueError(f"z must be {self.latent_dim} finite numbers, not {value}")
        return value

    def describe(self) -> str:
        """One line: what is shown, and the most informative latent."""
        channels, height, width = self.image_shape
        text = f"LatentTraversal: {self.latent_dim} latents, {channels}×{height}×{width} images"
        if self.kl_per_dim is None:
            return text
        first = self.order[0]
        nats = f"{self.kl_per_dim[first]:.1f} nats"
        return f"{text}; most informative is {self.labels[first]} ({nats})"

    def stills(self) -> dict[str, bytes]:
        """What the decoder makes of z, of the first latent's whole range, and of a plane."""
        first = self.order[0]
        pictures = {"hero": self._decode(), "film": self._decode({first: self._range(_FRAMES)})}
        if self.latent_dim == 2:  # only then the plane is what the widget opens with
            across, up = self.order
            along = self._range(_MAP)
            plane = self._decode(
                {across: along.repeat(_MAP), up: along.flip(0).repeat_interleave(_MAP)}
            )
            pictures["map"] = np.concatenate(np.split(plane, _MAP, axis=1))
        return {slot: encode_image(pixels) for slot, pixels in pictures.items()}

    def _range(self, count: int) -> Tensor:
        low, high = self.value_range
        return torch.linspace(low, high, count)

    def _decode(self, moved: Mapping[int, Tensor] | None = None) -> np.ndarray:
        """Images side by side, H×(N·W)×3 uint8, for z with some latents moved to N places each."""
        count = max((len(places) for places in (moved or {}).values()), default=1)
        points = torch.tensor([self.z] * count, dtype=torch.float32)
        for latent, places in (moved or {}).items():
            points[:, latent] = places
        return np.hstack(list(to_uint8(self._exported.decode(points))))


def _decoder_of(model: nn.Module) -> nn.Module:
    """The module that turns z into images: what `model.decode` does, else the model itself."""
    return _Decode(model) if callable(getattr(model, "decode", None)) else model


class _Decode(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        decode: Any = self.model.decode  # a method, which nn.Module's types don't know
        images: Tensor = decode(z)
        return images


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, each module's own mode restored afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _encode(model: nn.Module, images: Tensor, latent_dim: int) -> tuple[Tensor, Tensor | None]:
    """Codes (μ, N×latent_dim) of images, float64; log σ² as well if the encoder gives it."""
    encode = getattr(model, "encode", None)
    if not callable(encode):
        raise ValueError(
            "images need a model with encode(x); for a decoder alone give kl_per_dim and examples"
        )
    weight = next(model.parameters(), images)
    mus, log_vars = [], []
    with _evaluating(model):
        for batch in images.split(256):
            try:
                code = encode(batch.to(weight.device, weight.dtype))
            except Exception as error:
                raise ValueError(
                    f"encode fails on images of shape {tuple(batch.shape)}: {cause(error)}"
                ) from error
            mu, *rest = _codes(code, (len(batch), latent_dim))
            mus.append(mu)
            log_vars += rest
    return torch.cat(mus), torch.cat(log_vars) if log_vars else None


def _codes(code: Any, shape: tuple[int, int]) -> list[Tensor]:
    """What encode returned, checked: mu, or mu and log_var, in float64 on the CPU."""
    parts = list(code) if isinstance(code, tuple | list) else [code]
    if not all(isinstance(part, Tensor) for part in parts) or len(parts) not in (1, 2):
        kinds = [type(part).__name__ for part in parts]
        came = (
            kinds[0]
            if parts and parts[0] is code
            else f"{type(code).__name__} of {', '.join(kinds)}"
        )
        raise ValueError(
            "expected encode to return the codes as a tensor, or mu and log_var as a tuple or "
            f"list of two, not {came}"
        )
    for part in parts:
        if tuple(part.shape) != shape:
            raise ValueError(
                f"expected encode to return codes of shape {shape}, but it returned "
                f"{' and '.join(str(tuple(p.shape)) for p in parts)}"
            )
        if not part.isfinite().all():
            raise ValueError("expected encode to return finite codes, but some are nan or infinite")
    return [part.cpu().double() for part in parts]  # some devices have no float64


def _float_images(images: Any, image_shape: tuple[int, int, int]) -> Tensor:
    """Images of a data set, a tensor or an array as floats in [0, 1], of the decoder's shape."""
    pixels = torch.as_tensor(getattr(images, "images", images))
    if pixels.ndim != 4 or not len(pixels) or tuple(pixels.shape[1:]) != image_shape:
        raise ValueError(
            f"expected images of shape N×{'×'.join(map(str, image_shape))}, as the decoder makes "
            f"them, but got {tuple(pixels.shape)}"
        )
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()


def _numbers(values: Sequence[float] | Tensor, count: int, name: str) -> list[float]:
    numbers = [float(value) for value in values]
    if len(numbers) != count or not all(math.isfinite(v) and v >= 0 for v in numbers):
        raise ValueError(f"{name} must be {count} finite numbers of at least 0, not {numbers}")
    return numbers


def _examples(
    examples: tuple[Any, Any] | None,
    captions: Sequence[str] | None,
    exported: ExportedDecoder,
    widths: Tensor | None,
) -> list[dict[str, Any]]:
    """What the page needs of each image: code, σ if the encoder gives it, thumbnail, name."""
    if examples is None:
        return []
    codes, images = torch.as_tensor(examples[0]).float(), examples[1]
    pixels = _float_images(images, exported.image_shape)
    if codes.shape != (len(pixels), exported.latent_dim):
        raise ValueError(
            f"expected codes of shape {(len(pixels), exported.latent_dim)}, one for each of "
            f"{len(pixels)} images, but got {tuple(codes.shape)}"
        )
    names = [f"image {k + 1}" for k in range(len(pixels))] if captions is None else list(captions)
    if len(names) < len(pixels):
        raise ValueError(f"expected {len(pixels)} captions, one an image, but got {len(names)}")
    sigmas = None if widths is None else [[round(v, 4) for v in row] for row in widths.tolist()]
    return [
        {
            "code": [round(value, 4) for value in code],
            "picture": data_url(encode_image(picture)),
            "caption": str(name),
            **({} if sigmas is None else {"sigma": sigmas[k]}),
        }
        for k, (code, picture, name) in enumerate(
            zip(codes.tolist(), to_uint8(pixels), names, strict=False)
        )
    ]
