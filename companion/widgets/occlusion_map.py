"""Occlusion, live: a patch over a picture, and what a class loses under it (chapter 9)."""

import gzip
from collections.abc import Callable, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.explain.occlusion import FILLS, Occlusion, filling, occlusion_map
from companion.export import export_model
from companion.export.model import TOLERANCE, frozen_copy
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import uniform
from companion.widgets.traits import Bounded, Seed, whole_number

SHOWN = 5
"""How many of the most probable classes are listed."""


class OcclusionMap(LiveWidget):
    """A patch that the reader moves over a picture, and the map of what each place hides.

    The network is exported and computes in the page. There it is loaded when the reader asks for
    it; until then the widget shows the map that Python made. For the reader's own classifier::

        OcclusionMap(model, image, class_names=names, preprocess=Standardise(mean, std))

    and with ImageNet weights, half the size and without a network connection::

        net = pretrained("efficientnet_lite0")
        OcclusionMap(net.on_pixels(), photo, class_names=net.class_names, tolerance=0.02)

    Args:
        model: from images N×C×H×W to logits N×K, of any K and size, C 1 or 3.
        image: C×H×W, or several of one size N×C×H×W; uint8 or floats in [0, 1].
        class_names: K of them; the classes' numbers if not given.
        preprocess: from N×C×H×W in [0, 1] to what the model takes, where it does not do that
            itself: a module or function that keeps the size (patches lie on what it is given).
        target: the number of a class; the first image's most probable one if not given.
        patch: its side in pixels; a seventh of the image's if not given.
        stride: pixels from one place of the map to the next, at most `patch`; half of it if not
            given.
        fill: what the patch shows: "grey", "mean", "blur" or "noise" (`companion.explain.occlusion`
            says what these are; the noise is `companion.widgets.noise.uniform(seed, C·H·W)`).
        captions: a name for each image.
        tolerance: how much a logit may change by keeping weights in 16 bits, relative to the
            largest (`companion.export.export_model`).
        mapped: whether the widget comes with the first image's map; without, the reader has to ask
            for it, and may guess first.
        seed: of the noise.
        title: heading of the widget.

    Attributes:
        chosen (the number of the image), target, patch, stride, fill, place (the patch's upper left
        pixel, [top, left]): what is on show; they may be set and observed.

    The reader may also open, drop or paste a photograph of their own, or take one still with the
    camera: it stays in their browser. Its middle square is scaled to the size of `image`; one that
    has this size is taken as it is.

    Raises:
        ValueError: an argument is not what it should be, or the model can't be exported.

    Source: Zeiler & Fergus (2014), "Visualizing and understanding convolutional networks", §4.2.
    """

    module = "occlusion_map"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    pictures = traitlets.List(traitlets.Dict()).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    known = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    target = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.class_names) - 1)
    )
    patch = traitlets.Int(1).tag(sync=True, setting=lambda w: settings.whole(1, min(w.shape[1:])))
    stride = traitlets.Int(1).tag(sync=True, setting=lambda w: settings.whole(1, min(w.shape[1:])))
    fill = traitlets.Unicode("grey").tag(sync=True, setting=settings.words(FILLS))
    place = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=lambda w: settings.several(settings.whole(0, min(w.shape[1:]) - 1), 0, 2)
    )
    opacity = Bounded(0, 1, default=0.8).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        image: Tensor,
        *,
        class_names: Sequence[str] | None = None,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        target: int | None = None,
        patch: int | None = None,
        stride: int | None = None,
        fill: str = "grey",
        captions: Sequence[str] | None = None,
        tolerance: float = TOLERANCE,
        mapped: bool = True,
        seed: int = 0,
        title: str = "What does the network look at?",
    ) -> None:
        images = _images(image)
        count, *shape = images.shape
        labels = [f"picture {k + 1}" for k in range(count)] if captions is None else list(captions)
        if len(labels) != count:
            raise ValueError(f"expected {count} captions, one an image, got {len(labels)}")
        module = _Network(model, preprocess)
        exported = export_model(
            module, images[:1], names=["image"], outputs=["logits"], tolerance=tolerance
        )
        self._images, self._network = images, frozen_copy(module)
        logits = exported(images)["logits"]
        if logits.ndim != 2 or len(logits) != count:
            raise ValueError(
                f"expected a model from images to logits N×K, this one gives {tuple(logits.shape)}"
            )
        classes = logits.shape[1]
        names = list(map(str, range(classes) if class_names is None else class_names))
        if len(names) != classes:
            raise ValueError(f"expected {classes} class_names, one a logit, got {len(names)}")
        side = min(shape[1:])
        patch = max(1, side // 7) if patch is None else whole_number("patch", patch, 1, side)
        stride = max(1, patch // 2) if stride is None else whole_number("stride", stride, 1, patch)
        super().__init__(
            [exported.path],
            network={
                "model": exported.sha256,
                # What a page loads: the same as companion.site.frontend.model_scripts packs.
                "bytes": len(gzip.compress(exported.path.read_bytes(), 9, mtime=0)),
            },
            shape=shape,
            pictures=[
                {"name": str(name), "picture": data_url(encode_image(picture))}
                for name, picture in zip(labels, to_uint8(images), strict=True)
            ],
            class_names=names,
            chosen=0,
            target=int(logits[0].argmax())
            if target is None
            else whole_number("target", target, 0, classes - 1),
            patch=patch,
            stride=stride,
            fill=fill,
            place=[(n - patch) // 2 for n in shape[1:]],
            seed=seed,
            title=str(title),
        )
        self.known = self._first_map(mapped)

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        # A picture of the reader's own comes after the others, in the page alone.
        return whole_number("chosen", proposal["value"], 0, len(self._images))

    @traitlets.validate("target")
    def _check_target(self, proposal: Any) -> int:
        return whole_number("target", proposal["value"], 0, len(self.class_names) - 1)

    @traitlets.validate("patch")
    def _check_patch(self, proposal: Any) -> int:
        return whole_number("patch", proposal["value"], 1, min(self.shape[1:]))

    @traitlets.validate("stride")
    def _check_stride(self, proposal: Any) -> int:
        return whole_number("stride", proposal["value"], 1, self.patch)

    @traitlets.observe("patch")
    def _limit(self, _: Any) -> None:
        """A larger stride would pass over pixels; a patch lies inside of the image."""
        self.stride = min(self.stride, self.patch)
        if self.place:
            self.place = [
                min(first, n - self.patch)
                for first, n in zip(self.place, self.shape[1:], strict=True)
            ]

    @traitlets.validate("fill")
    def _check_fill(self, proposal: Any) -> str:
        if proposal["value"] not in FILLS:
            names = ", ".join(map(repr, FILLS))
            raise ValueError(f"fill must be one of {names}, not {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("place")
    def _check_place(self, proposal: Any) -> list[int]:
        place = proposal["value"]
        if len(place) != 2:
            raise ValueError(f"place must be [top, left], not {place!r}")
        return [
            whole_number(f"place's {name}", first, 0, n - self.patch)
            for name, first, n in zip(("top", "left"), place, self.shape[1:], strict=True)
        ]

    @property
    def image(self) -> Tensor:
        """The picture on show, C×H×W in [0, 1]; the first one while it is the reader's own."""
        return self._images[self.chosen % len(self._images)]

    @property
    def fill_picture(self) -> Tensor:
        """The picture that the patch shows its part of."""
        if self.fill == "noise":
            return uniform(self.seed, self.image.numel()).float().view(self.image.shape)
        return filling(self.image, self.fill, patch=self.patch)

    @property
    def occluded(self) -> Tensor:
        """The picture with the patch where it is."""
        occluded = self.image.clone()
        top, left = self.place
        part = (..., slice(top, top + self.patch), slice(left, left + self.patch))
        occluded[part] = self.fill_picture[part]
        return occluded

    def probabilities(self, image: Tensor) -> Tensor:
        """What the network makes of an image C×H×W in [0, 1]: K numbers."""
        with torch.no_grad():
            logits: Tensor = self._network(image[None])
        return logits[0].softmax(0)

    @property
    def probability_whole(self) -> float:
        """Of the class `target` for the whole picture."""
        return float(self.probabilities(self.image)[self.target])

    @property
    def probability(self) -> float:
        """Of the class `target` under the patch."""
        return float(self.probabilities(self.occluded)[self.target])

    def map(self) -> Occlusion:
        """The map of the picture on show, with this patch, stride and fill."""
        return occlusion_map(
            self._network, self.image, self.target,
            patch=self.patch, stride=self.stride, fill=self.fill_picture,
        )  # fmt: skip

    def describe(self) -> str:
        """One line: which class of which picture, with and without the patch."""
        name = [*(entry["name"] for entry in self.pictures), "your own picture"][self.chosen]
        if self.chosen == len(self._images):
            return f"OcclusionMap: {name}"
        return (
            f"OcclusionMap: {self.class_names[self.target]} in {name} "
            f"{self.probability_whole:.3f}, under the patch {self.probability:.3f}"
        )

    def _first_map(self, mapped: bool) -> dict[str, Any]:
        """What a page shows before it has the network."""
        whole, under = self.probabilities(self.image), self.probabilities(self.occluded)
        listed = {*_top(whole), *_top(under), self.target}
        drops = self.map().drops.flatten().tolist() if mapped else []
        return {
            **{name: getattr(self, name) for name in ("target", "patch", "stride", "fill")},
            "place": list(self.place),
            "whole": [[k, float(whole[k])] for k in sorted(listed)],
            "under": [[k, float(under[k])] for k in sorted(listed)],
            "drops": [round(drop, 6) for drop in drops],
        }


class _Network(nn.Module):
    """From images in [0, 1] to logits."""

    def __init__(
        self, model: nn.Module, preprocess: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ValueError(f"expected a torch.nn.Module as model, not {type(model).__name__}")
        self.preprocess = nn.Identity() if preprocess is None else preprocess
        self.model = model

    def forward(self, image: Tensor) -> Any:
        return self.model(self.preprocess(image))


def _images(image: Any) -> Tensor:
    """N×C×H×W floats in [0, 1]."""
    images = torch.as_tensor(image)
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.numel():
        raise ValueError(
            "expected an image C×H×W or images N×C×H×W with C 1 or 3, got "
            f"{'×'.join(map(str, torch.as_tensor(image).shape))}"
        )
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"expected uint8 or floats in [0, 1], got {images.dtype}")
    if not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise ValueError(
            f"expected floats in [0, 1], got {float(images.min()):.3g} to "
            f"{float(images.max()):.3g}: give what comes before standardising, and `preprocess`"
        )
    # What a page gets is 8 bits deep, and both are to see the same.
    return (
        torch.from_numpy(to_uint8(images)).permute(0, 3, 1, 2)[:, : images.shape[1]].float() / 255
    )


def _top(probabilities: Tensor) -> list[int]:
    return probabilities.topk(min(SHOWN, len(probabilities))).indices.tolist()
