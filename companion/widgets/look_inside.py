"""What a network makes of an image, layer by layer and channel by channel, live in the page."""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.datasets import ImageSet, load_images
from companion.datasets.digits import as_mnist
from companion.explain.activations import channel_filters
from companion.explain.passes import hooked, named_layers
from companion.explain.patches import map_fields, patches_by_channel
from companion.export.model import TOLERANCE, export_model, unwrap
from companion.figures import data_url, encode_image, to_uint8
from companion.models.classifier import check_choice
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import whole_number

INPUTS = ("digit", "photograph")
EXAMPLES = 8  # images to choose among
CHANNELS = 64  # of a layer on show; as many columns as look_inside.js has: eight
PLACES = 5  # classes listed


class LookInside(LiveWidget):
    """Draw a digit or take a photograph: its classes, and what each layer's channels answer to.

    The channel that is chosen shows its map over the image, its filter where that sees the image
    itself, and the parts of `images` at which it is strongest, each cut out by its receptive field.

    Args:
        model: from images N×C×H×W in [0, 1] to logits N×K. It is exported as it is now.
        layers: names of `model.named_modules()` (what leads to a layer may be left out); or a
            mapping from what a layer is called in the widget to its name.
        images: those to choose among and to find strong parts in: uint8 or floats in [0, 1],
            N×C×H×W, or an ImageSet. If not given, scikit-learn's digits, enlarged to 28×28 as
            MNIST has its own.
        class_names: K names; "0", "1", … if not given.
        input: what the reader brings: a "digit", drawn, or a "photograph", chosen or dropped.
        examples: indices of the images to choose among, the first of them on show; the first of
            each label, or the first 8, if not given.
        captions: a name for each of the examples.
        patches: how many parts are shown for a channel.
        channels: how many channels of a layer are on show at most, the first ones.
        tolerance: how much an output may change by keeping weights in 16 bits, relative to the
            largest (`companion.export.export_model`).
        layer, channel: those on show at first, numbers from 0.
        title: heading of the widget.

    `layer` and `channel` may be set and observed from Python.

    Raises:
        ValueError: an argument does not fit, or the model can't be exported; the message says why.
        TypeError: it is not known what a layer's units see.

    Source: chapter 9; Springenberg et al. (2015) for the patches.
    """

    module = "look_inside"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    input = traitlets.Unicode().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    atlas = traitlets.Dict().tag(sync=True)
    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    layers = traitlets.List(traitlets.Dict()).tag(sync=True)
    probabilities = traitlets.List(traitlets.Float()).tag(sync=True)
    layer = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, len(w.layers) - 1))
    channel = traitlets.Int().tag(
        sync=True,
        setting=lambda w: settings.whole(0, max(layer["shape"][0] for layer in w.layers) - 1),
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str] | Mapping[str, str],
        images: Any = None,
        class_names: Sequence[str] | None = None,
        *,
        input: str = "digit",
        examples: Sequence[int] | None = None,
        captions: Sequence[str] | None = None,
        patches: int = 6,
        channels: int = CHANNELS,
        tolerance: float = TOLERANCE,
        layer: int = 0,
        channel: int = 0,
        title: str = "Look inside",
    ) -> None:
        check_choice("input", input, INPUTS)
        whole_number("patches", patches, 1, 12)
        whole_number("channels", channels, 1, 256)
        model = unwrap(model)
        names = dict(layers) if isinstance(layers, Mapping) else {name: name for name in layers}
        if not names:
            raise ValueError("layers must name at least one layer, got none.")
        pixels, labels, known = _images(_enlarged_digits() if images is None else images)
        chosen = _examples(examples, labels, len(pixels))
        titles = _captions(captions, chosen, labels, known)
        probe = _Probe(model, list(names.values()), channels)
        exported = export_model(probe, pixels[:1], tolerance=tolerance)
        shapes = [tuple(map(int, exported.outputs[f"layer{k}"][1:])) for k in range(len(names))]
        strong = [
            patches_by_channel(model, pixels, name, patches, channels=range(shape[0]))
            for name, shape in zip(names.values(), shapes, strict=True)
        ]
        used = dict.fromkeys(chosen)  # in order, each once
        used.update({patch.image: None for rows in strong for row in rows for patch in row})
        place = {number: k for k, number in enumerate(used)}
        atlas, kept = _atlas(pixels[list(used)])
        self._exported, self._first = exported, kept[:1]
        seen = exported(self._first)
        p = seen["logits"][0].softmax(0)
        classes = list(map(str, range(len(p)) if class_names is None else class_names))
        if len(classes) != len(p):
            raise ValueError(f"expected {len(p)} class_names, one a logit, but got {len(classes)}")
        super().__init__(
            models=[exported.path],
            network={
                "model": exported.sha256,
                # What a page loads: the same as companion.site.frontend.model_scripts packs.
                "bytes": len(gzip.compress(exported.path.read_bytes(), 9, mtime=0)),
            },
            image_shape=list(pixels.shape[1:]),
            input=input,
            class_names=classes,
            atlas=atlas,
            examples=[
                {"image": place[number], "caption": caption}
                for number, caption in zip(chosen, titles, strict=True)
            ],
            layers=[
                {
                    "title": str(title),
                    **_layer(model, name, seen[f"layer{k}"][0], pixels.shape[1:]),
                    "patches": [
                        [[round(p.value, 4), place[p.image], *p.position] for p in row]
                        for row in strong[k]
                    ],
                }
                for k, (title, name) in enumerate(names.items())
            ],
            probabilities=[round(v, 6) for v in p.tolist()],
            layer=layer,
            channel=channel,
            title=str(title),
        )

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return whole_number("layer", proposal["value"], 0, len(self.layers) - 1)

    @traitlets.validate("channel")
    def _check_channel(self, proposal: Any) -> int:
        count = self.layers[self.layer]["shape"][0]
        return whole_number("channel", proposal["value"], 0, count - 1)

    @traitlets.observe("layer")
    def _limit_channel(self, _: Any) -> None:
        """A layer may have fewer channels than the one before."""
        self.channel = min(self.channel, self.layers[self.layer]["shape"][0] - 1)

    def maps(self, image: Tensor | None = None) -> Tensor:
        """The maps of the present layer for an image C×H×W in [0, 1] (if not given, the first)."""
        x = self._first if image is None else image[None].float()
        return self._exported(x)[f"layer{self.layer}"][0]

    def top(self, image: Tensor | None = None) -> list[tuple[str, float]]:
        """The most probable classes of an image (if not given, the first), with probabilities."""
        x = self._first if image is None else image[None].float()
        p = self._exported(x)["logits"][0].softmax(0)
        order = p.argsort(descending=True, stable=True)[:PLACES].tolist()
        return [(self.class_names[k], p[k].item()) for k in order]

    def describe(self) -> str:
        """One line: the most probable class of the first image, and the layers."""
        name, p = self.top()[0]
        layers = ", ".join(layer["title"] for layer in self.layers)
        return f"LookInside: {name} ({p:.1%}); layers {layers}"


class _Probe(nn.Module):
    """A classifier that also gives the first channels of some of its layers."""

    def __init__(self, model: nn.Module, layers: Sequence[str], channels: int) -> None:
        super().__init__()
        self.model = model
        self.layers = list(layers)
        self.channels = channels

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """N×C×H×W → "logits" N×K, and "layer0", "layer1", … N×channels×h×w (1×1 if dense)."""
        found = named_layers(self.model, self.layers)
        seen: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            maps = output if output.ndim == 4 else output[:, :, None, None]
            seen[module] = maps[:, : self.channels].clone()

        with hooked(set(found.values()), keep):
            logits = self.model(image)
        maps = {f"layer{k}": seen[module] for k, module in enumerate(found.values())}
        return {"logits": logits, **maps}


def _layer(model: nn.Module, name: str, maps: Tensor, image_shape: Sequence[int]) -> dict[str, Any]:
    """What the page needs of a layer: its shape, fields, filters, and its maps of the first image.

    The maps are a grey picture, one below the other, from `low` (0) to `high` (255).
    """
    channels, height, width = maps.shape
    if height * width > 1:
        rows, columns = map_fields(model, image_shape, name, (height, width))
    else:
        rows, columns = [(0, image_shape[1])], [(0, image_shape[2])]
    low, high = min(0.0, maps.min().item()), max(maps.max().item(), 1e-6)
    grey = (255 * (maps - low) / (high - low)).round().to(torch.uint8)
    return {
        "shape": [channels, height, width],
        "low": low,
        "high": high,
        "maps": data_url(encode_image(grey.view(channels * height, width).numpy())),
        "rows": [list(pair) for pair in rows],
        "columns": [list(pair) for pair in columns],
        "filters": _filters(model, name, channels),
    }


def _filters(model: nn.Module, name: str, channels: int) -> list[str]:
    """The filters of a layer as pictures, if the image itself is all that they see; else none."""
    (layer,) = named_layers(model, [name]).values()
    inside, reached = set(layer.modules()), False
    weighted: list[tuple[str, nn.Module]] = []  # up to the end of the layer, as models define them
    for path, module in model.named_modules():
        if reached and module not in inside:
            break
        reached = reached or module is layer
        if isinstance(module, nn.Conv2d | nn.Linear):
            weighted.append((path, module))
    first = weighted[0][1] if len(weighted) == 1 else None
    if not isinstance(first, nn.Conv2d) or first.out_channels < channels:
        return []
    if first.in_channels not in (1, 3) or first.groups > 1:
        return []
    pictures = channel_filters(model, weighted[0][0])[:channels]
    return [data_url(encode_image(picture)) for picture in to_uint8(pictures)]


def _images(images: Any) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Images as floats in [0, 1], N×C×H×W, with labels and names of classes if they have any."""
    pixels = torch.from_numpy(to_uint8(getattr(images, "images", images))).permute(0, 3, 1, 2)
    channels = torch.as_tensor(getattr(images, "images", images)).shape[1]
    labels = getattr(images, "labels", None)
    return pixels[:, :channels].float() / 255, labels, tuple(getattr(images, "class_names", ()))


def _examples(examples: Sequence[int] | None, labels: Tensor | None, count: int) -> list[int]:
    if examples is not None:
        chosen = [whole_number("examples", index, 0, count - 1) for index in examples]
        if not 1 <= len(chosen) <= 16:
            raise ValueError(f"examples must be 1 to 16 images, got {len(chosen)}")
        return chosen
    if labels is None or len(labels.unique()) == count:
        return list(range(min(EXAMPLES, count)))
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()]
    return first[:10]


def _captions(
    captions: Sequence[str] | None, chosen: list[int], labels: Tensor | None, known: tuple[str, ...]
) -> list[str]:
    if captions is None and labels is not None and known:
        return [known[int(labels[index])] for index in chosen]
    names = [f"image {k + 1}" for k in range(len(chosen))] if captions is None else list(captions)
    if len(names) != len(chosen):
        raise ValueError(f"expected {len(chosen)} captions, one an example, but got {len(names)}")
    return list(map(str, names))


def _atlas(pixels: Tensor) -> tuple[dict[str, Any], Tensor]:
    """Images in one picture, some in a row, and the images as it holds them, 8 bits a channel.

    Without loss: a network's probabilities can double by what JPEG changes.
    """
    count, channels, height, width = pixels.shape
    small = height * width <= 64 * 64
    columns = min(count, 16 if small else 4)
    rows = -(-count // columns)
    tiles = torch.zeros(rows * columns, channels, height, width)
    tiles[:count] = pixels
    grid = tiles.view(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    array = (255 * grid).round().to(torch.uint8).reshape(rows * height, columns * width, channels)
    address = data_url(encode_image(array.squeeze(2).numpy() if channels == 1 else array.numpy()))
    kept = (array.float() / 255).view(rows, height, columns, width, channels)
    kept = kept.permute(0, 2, 4, 1, 3)
    kept = kept.reshape(rows * columns, channels, height, width)[:count]
    return {"picture": address, "columns": columns}, kept


def _enlarged_digits() -> ImageSet:
    """scikit-learn's 8×8 digits as MNIST has its own: 20 pixels high, in the middle of 28×28."""
    data = load_images("digits", "train")
    pixels = as_mnist(data.pixels())
    return ImageSet(
        data.name, data.split, (255 * pixels).round().to(torch.uint8), data.labels, data.class_names
    )
