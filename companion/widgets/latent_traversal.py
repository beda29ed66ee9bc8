"""A walk through a decoder's latent space, live in the page (chapter 12)."""

import base64
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.gaussian import kl_to_standard_normal
from companion.export.decoder import ExportedDecoder, export_decoder
from companion.figures import encode_png, to_uint8
from companion.widgets.base import LiveWidget, image_tag

UNUSED = 0.05
"""Nats of KL below which a latent counts as unused by the model: it tells next to nothing of x."""

EXAMPLES = 8  # images to choose from, when a data set gives them
# As in latent_traversal.js, which draws the same pictures.
_FRAMES = 9
_MAP = 7
_CRISP = 32


class LatentTraversal(LiveWidget):
    """Sliders, a two-dimensional pad, samples and interpolation on a decoder that runs in the page.

    Args:
        model: a model with `decode(z)` (such as ConvVAE or ConvAutoencoder), or a decoder itself:
            a torch.nn.Module from z (N×latent_dim) to images in [0, 1], N×1×H×W or N×3×H×W.
            It is exported as it is now; training it further changes nothing here.
        latent_dim: length of z; `model.latent_dim` if not given.
        images: N×C×H×W, uint8 or floats in [0, 1], for `model.encode`: they give each latent's KL
            (if `encode` returns mu and log_var) and the first 8 are the images to interpolate
            between. An ImageSet serves too.
        kl_per_dim: nats for each latent, instead of what `images` give. The sliders are ordered by
            it, largest first; below 0.05 nats a latent is marked as unused by the model.
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
    z = traitlets.List(traitlets.Float()).tag(sync=True)
    kl_per_dim = traitlets.List(traitlets.Float(), allow_none=True).tag(sync=True)
    order = traitlets.List(traitlets.Int()).tag(sync=True)
    unused = traitlets.List(traitlets.Int()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    value_range = traitlets.List(traitlets.Float()).tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
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
            codes, measured = _encode(model, pixels, latent_dim)
            kl_per_dim = measured if kl_per_dim is None else kl_per_dim
            if examples is None:
                examples = codes[:EXAMPLES], pixels[:EXAMPLES]
        kl = None if kl_per_dim is None else _numbers(kl_per_dim, latent_dim, "kl_per_dim")
        order = list(range(latent_dim))
        if kl is not None:
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
            examples=_examples(examples, captions, exported),
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

    def preview(self) -> str:
        """The picture for the present z, and what the first slider does, as HTML alone."""
        first = self.order[0]
        low, high = self.value_range
        points = torch.tensor([self.z] * (_FRAMES + 1), dtype=torch.float32)
        points[1:, first] = torch.linspace(low, high, _FRAMES)
        hero, *frames = to_uint8(self._exported.decode(points))
        z = ", ".join(f"{value:.1f}" for value in self.z)
        alt = f"The decoder's image for z = {f'({z})' if any(self.z) else '0, the prior mean'}."
        left, right = (f"{end:.0f}".replace("-", "−") for end in (low, high))
        film_alt = (
            f"{_FRAMES} images decoded while {self.labels[first]} goes from {left} to {right} "
            "and the other latents stay."
        )
        panels = self._sliders() + self._plane()
        if len(self.examples) > 1:
            panels += _between(len(self.examples), self.image_shape)
        ways = '<div class="companion-segmented"></div>' if "latent-pad" in panels else ""
        return (
            f'<section class="companion"><div class="companion-body">'
            f'<p class="companion-title">{escape(self.title)}</p><div class="traversal">'
            f'<div class="traversal-hero"><div class="traversal-picture">'
            f"{_picture(hero, alt, crisp=True, kind='companion-image')}</div>"
            f'<div class="traversal-actions"></div></div>'
            f'<div class="traversal-side">{ways}<div class="traversal-panels">{panels}</div></div>'
            f'<figure class="film-strip"><div class="film">'
            f"{_picture(np.hstack(frames), film_alt, crisp=self._crisp)}</div>"
            f'<figcaption class="companion-caption"><span>{left}</span>'
            f"<span>{escape(self.labels[first])} moves, the others stay</span>"
            f"<span>{right}</span></figcaption></figure></div></div></section>"
        )

    @property
    def _crisp(self) -> bool:
        return self.image_shape[2] <= _CRISP

    def _sliders(self) -> str:
        used = [i for i in self.order if i not in self.unused]
        rack = self._rows(used) if used else ""
        if self.unused:
            rack += f'<p class="traversal-unused">unused by the model</p>{self._rows(self.unused)}'
        aside = " inert" if self.latent_dim == 2 else ""
        return f'<div class="traversal-sliders"{aside}>{rack}</div>'

    def _plane(self) -> str:
        """The pad: with its map where it is what the widget opens with, else only its place."""
        if self.latent_dim < 2:
            return ""
        picture = ""
        if self.latent_dim == 2:
            low, high = self.value_range
            steps = torch.linspace(low, high, _MAP)
            across, up = self.order
            points = torch.zeros(_MAP**2, 2)
            points[:, across] = steps.repeat(_MAP)
            points[:, up] = steps.flip(0).repeat_interleave(_MAP)
            rows = np.split(to_uint8(self._exported.decode(points)), _MAP)
            alt = (
                f"Map of the latent plane: {_MAP}×{_MAP} decoded images, {self.labels[across]} "
                f"from left to right, {self.labels[up]} from bottom to top."
            )
            picture = _picture(
                np.concatenate([np.concatenate(list(row), axis=1) for row in rows]),
                alt,
                crisp=self._crisp,
            )
        return (
            f'<div class="latent-pad"{"" if picture else " inert"}>'
            f'<div class="companion-pad">{picture}</div>'
            '<div class="latent-pad-axes"></div></div>'
        )

    def _rows(self, latents: Iterable[int]) -> str:
        return f'<div class="companion-sliders">{"".join(map(self._row, latents))}</div>'

    def _row(self, i: int) -> str:
        low, high = self.value_range
        value = min(high, max(low, self.z[i]))
        share = (value - low) / (high - low)
        origin = (min(high, max(low, 0.0)) - low) / (high - low)
        readout = f"{self.z[i]:.2f}".replace("-", "−")
        annotation = ""
        if self.kl_per_dim is not None:
            kl = self.kl_per_dim[i]
            annotation = (
                f'<div class="companion-annotation"><span class="traversal-kl">{kl:.1f} nats'
                f'<span class="companion-bar" style="--key:var(--companion-data-3);'
                f'--share:{kl / max(0.5, *self.kl_per_dim):.4f}"></span></span></div>'
            )
        return (
            f'<div class="companion-slider" data-neutral>'
            f'<span class="companion-label">{escape(self.labels[i])}</span>'
            f'<span class="companion-range" style="--origin:{origin:.4f};--share:{share:.4f}">'
            f"</span>"
            f'<span class="companion-readout">{readout}</span>{annotation}</div>'
        )


def _picture(pixels: np.ndarray, alt: str, *, crisp: bool, kind: str = "") -> str:
    """An <img> whose place a browser knows before it has decoded it."""
    height, width, _ = pixels.shape
    rendering = "pixelated" if crisp else "auto"
    size = f'class="{kind}" width="{width}" height="{height}"'
    return image_tag(encode_png(pixels), alt, f'{size} style="image-rendering:{rendering}"')


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


def _encode(model: nn.Module, images: Tensor, latent_dim: int) -> tuple[Tensor, list[float] | None]:
    """Codes (μ, N×latent_dim) of images; the mean KL of each latent if the encoder gives one."""
    encode = getattr(model, "encode", None)
    if not callable(encode):
        raise ValueError(
            "images need a model with encode(x); for a decoder alone give kl_per_dim and examples"
        )
    weight = next(model.parameters(), images)
    mus, kls = [], []
    with _evaluating(model):
        for batch in images.split(256):
            code = encode(batch.to(weight.device, weight.dtype))
            mu, *rest = code if isinstance(code, tuple) else (code,)
            mus.append(mu.float().cpu())
            if rest:
                sigma = torch.exp(0.5 * rest[0].cpu().double())
                kls.append(kl_to_standard_normal(mu.cpu().double(), sigma))
    codes = torch.cat(mus)
    if codes.shape != (len(images), latent_dim):
        raise ValueError(
            f"expected encode to return codes of shape {(len(images), latent_dim)}, "
            f"but it returned {tuple(codes.shape)}"
        )
    return codes, torch.cat(kls).mean(0).tolist() if kls else None


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
    examples: tuple[Any, Any] | None, captions: Sequence[str] | None, exported: ExportedDecoder
) -> list[dict[str, Any]]:
    """What the page needs of each image to interpolate between: code, thumbnail, name."""
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
    return [
        {
            "code": [round(value, 4) for value in code],
            "picture": f"data:image/png;base64,{base64.b64encode(encode_png(picture)).decode()}",
            "caption": str(name),
        }
        for code, picture, name in zip(codes.tolist(), to_uint8(pixels), names, strict=False)
    ]


def _between(count: int, image_shape: Sequence[int]) -> str:
    _, height, width = image_shape
    tile = f'<span class="companion-tile" style="aspect-ratio:{width}/{height}"></span>'
    pick = (
        '<div class="traversal-pick"><span class="traversal-end"></span>'
        f'<div class="companion-picker">{tile * count}</div></div>'
    )
    slider = (
        '<div class="companion-slider"><span class="companion-label">A to B</span>'
        '<span class="companion-range"></span><span class="companion-readout">0.00</span></div>'
    )
    return f'<div class="traversal-between" inert>{pick * 2}{slider}</div>'
