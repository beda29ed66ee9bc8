"""A trained convolutional network on the reader's drawing, unit by unit, live in the page."""

import base64
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.datasets import ImageSet, load_images
from companion.datasets.digits import as_mnist
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import whole_number

MOST_EXAMPLES = 10


class NetworkByHand(LiveWidget):
    """Draw a digit: the maps of each stage of a network, and any unit of them written out, from its
    window in all channels over the sums, the bias and ReLU to the pooling.

    The page computes the network itself, without the engine, with the sums that it shows.

    Args:
        model: from grey images N×1×S×S in [0, 1] to logits N×K: stages of `Conv2d` (square, without
            groups or dilation), `BatchNorm2d` or none, `ReLU`, `MaxPool2d` (as long as its stride);
            then `Flatten`, and `Linear`, `BatchNorm1d` or none, `ReLU` … up to a last `Linear`, in
            this order. Dropout is left out. It is taken as it is now, in evaluation mode.
        images: those to choose among, N×1×S×S, uint8 or floats in [0, 1], or an ImageSet; the first
            10 count, the first is on show. One of each class of scikit-learn's digits, enlarged to
            28×28, if not given.
        class_names: K names; "0", "1", … if not given.
        stage, filter: on show at first, numbers from 0.
        position: (row, column) of the unit that is written out.
        channel: of the stage's input, the one that is written out term by term.
        title: heading of the widget.

    `stage`, `filter`, `position` and `channel` may be set and observed from Python. A drawing stays
    in the page.

    Raises:
        ValueError: an argument does not fit, or the model is built in another way.

    Source: chapter 4.
    """

    module = "network_by_hand"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    side = traitlets.Int().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    images = traitlets.Unicode().tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    # Of a filter, place or channel that a stage does not have, the page takes the last.
    stage = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, len(w._stages) - 1))
    filter = traitlets.Int().tag(sync=True, setting=lambda w: w._last(0))
    position = traitlets.List(traitlets.Int()).tag(
        sync=True, setting=lambda w: settings.several(settings.whole(0, w.side - 1), 2)
    )
    channel = traitlets.Int().tag(sync=True, setting=lambda w: w._last(1))
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        images: Any = None,
        class_names: Sequence[str] | None = None,
        *,
        stage: int = 0,
        filter: int = 0,
        position: tuple[int, int] = (0, 0),
        channel: int = 0,
        title: str = "A trained network, unit by unit",
    ) -> None:
        pixels, captions = _examples(_enlarged_digits() if images is None else images)
        self._stages, self._dense = _parts(model)
        self._first = pixels[:1, None].float() / 255
        try:
            logits = self.logits(self._first[0])
        except RuntimeError as error:
            raise ValueError(f"the model does not take these images: {error}") from error
        names = list(map(str, range(len(logits)) if class_names is None else class_names))
        if len(names) != len(logits):
            raise ValueError(f"expected {len(logits)} class_names, one a logit, not {len(names)}")
        weights: list[Tensor] = []
        network = {
            "stages": [part.describe(weights) for part in self._stages],
            "dense": [part.describe(weights) for part in self._dense],
        }
        super().__init__(
            network=network | _packed(weights),
            side=pixels.shape[-1],
            class_names=names,
            images=base64.b64encode(pixels.numpy().tobytes()).decode(),
            captions=captions,
            stage=whole_number("stage", stage, 0, len(self._stages) - 1),
            filter=filter,
            channel=channel,
            title=str(title),
        )
        self.position = list(position)

    def _last(self, axis: int) -> settings.Setting:
        """Numbers along an axis of the weights, of any stage."""
        return settings.whole(0, max(stage.weight.shape[axis] for stage in self._stages) - 1)

    @traitlets.validate("stage")
    def _check_stage(self, proposal: Any) -> int:
        return whole_number("stage", proposal["value"], 0, len(self._stages) - 1)

    @traitlets.validate("filter")
    def _check_filter(self, proposal: Any) -> int:
        last = self._stages[self.stage].weight.shape[0] - 1
        return whole_number("filter", proposal["value"], 0, last)

    @traitlets.validate("channel")
    def _check_channel(self, proposal: Any) -> int:
        last = self._stages[self.stage].weight.shape[1] - 1
        return whole_number("channel", proposal["value"], 0, last)

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> list[int]:
        row, column = proposal["value"]
        ends = self.sums().shape[1:]
        return [
            whole_number("position", value, 0, n - 1)
            for value, n in zip((row, column), ends, strict=True)
        ]

    @traitlets.observe("stage")
    def _limit_to_stage(self, _: Any) -> None:
        """A stage may have fewer filters, channels and places than the one before."""
        if not self.position:
            return
        filters, channels = self._stages[self.stage].weight.shape[:2]
        self.filter = min(self.filter, filters - 1)
        self.channel = min(self.channel, channels - 1)
        ends = self.sums().shape[1:]
        self.position = [min(v, n - 1) for v, n in zip(self.position, ends, strict=True)]

    def sums(self, image: Tensor | None = None) -> Tensor:
        """Sums and bias of the present stage, K×H×W float64, for an image 1×S×S in [0, 1] (if not
        given, the first)."""
        x = (self._first if image is None else image[None]).double()
        for part in self._stages[: self.stage]:
            x = part(x)
        return self._stages[self.stage].sums(x)[0]

    def logits(self, image: Tensor | None = None) -> Tensor:
        """What the network says of an image 1×S×S in [0, 1] (if not given, the first), float64."""
        x = (self._first if image is None else image[None]).double()
        for stage in self._stages:
            x = stage(x)
        x = x.flatten(1)
        for dense in self._dense:
            x = dense(x)
        return x[0]

    def describe(self) -> str:
        """One line: what it says of the first image, and the stages."""
        p = self.logits().softmax(0)
        name = self.class_names[int(p.argmax())]
        return f"NetworkByHand: {name} ({p.max().item():.1%}); {len(self._stages)} stages"


class _Part:
    """Weights N×…, in float64, with what batch normalisation multiplies them by, and adds."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, norm: Any, rectified: bool, pool: int) -> None:
        self.layer, self.rectified, self.pool = layer, rectified, pool
        self.raw = layer.weight.detach().cpu()
        count = len(self.raw)
        self.scale, self.bias = torch.ones(count).double(), torch.zeros(count).double()
        if layer.bias is not None:
            self.bias = layer.bias.detach().cpu().double()
        if norm is not None:
            mean, var = (t.cpu().double() for t in (norm.running_mean, norm.running_var))
            gamma, beta = (
                (norm.weight.detach().cpu().double(), norm.bias.detach().cpu().double())
                if norm.affine
                else (torch.ones(count).double(), torch.zeros(count).double())
            )
            self.scale = gamma / (var + norm.eps).sqrt()
            self.bias = (self.bias - mean) * self.scale + beta
        self.weight = self.raw.double() * self.scale.view(-1, *[1] * (self.raw.ndim - 1))

    def sums(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, nn.Linear):
            return nn.functional.linear(x, self.weight, self.bias)
        return nn.functional.conv2d(
            x, self.weight, self.bias, self.layer.stride, self.layer.padding
        )

    def __call__(self, x: Tensor) -> Tensor:
        x = self.sums(x).relu() if self.rectified else self.sums(x)
        return nn.functional.max_pool2d(x, self.pool) if self.pool > 1 else x

    def describe(self, weights: list[Tensor]) -> dict[str, Any]:
        """Shape and settings, as JSON can hold them; the weights are appended."""
        weights += [self.raw, self.scale, self.bias]
        found: dict[str, Any] = {"shape": list(self.raw.shape[:3]), "rectified": self.rectified}
        if isinstance(self.layer, nn.Conv2d):
            steps = {"padding": self.layer.padding[0], "stride": self.layer.stride[0]}
            found |= steps | {"pool": self.pool}
        return found


def _parts(model: nn.Module) -> tuple[list[_Part], list[_Part]]:
    """The stages and the dense layers of a model.

    Raises:
        ValueError: it is not built of them; the message names the layer.
    """
    leaves = [
        (name, module)
        for name, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Dropout | nn.Identity)
    ]
    stages: list[_Part] = []
    dense: list[_Part] = []
    order = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    flattened = False
    while leaves:
        name, layer = leaves.pop(0)
        if isinstance(layer, nn.Flatten) and stages and not flattened:
            flattened, order = True, [nn.Linear, nn.BatchNorm1d, nn.ReLU]
            continue
        if not isinstance(layer, nn.Conv2d | nn.Linear) or not isinstance(layer, order[0]):
            raise ValueError(_expected(name, layer))
        if isinstance(layer, nn.Conv2d) and not _is_plain(layer):
            raise ValueError(_expected(name, layer))
        norm, rectified, pool = None, False, 1
        if leaves and isinstance(leaves[0][1], order[1]):
            norm = leaves.pop(0)[1]
        if leaves and isinstance(leaves[0][1], nn.ReLU):
            rectified = bool(leaves.pop(0))
        if not flattened:
            pooling = leaves.pop(0)[1] if leaves else None
            if not rectified or not isinstance(pooling, nn.MaxPool2d) or not _is_square(pooling):
                raise ValueError(_expected(name, layer))
            pool = int(pooling.kernel_size)  # type: ignore[arg-type]
        (dense if flattened else stages).append(_Part(layer, norm, rectified, pool))
    if not dense or dense[-1].rectified or stages[0].raw.shape[1] != 1:
        raise ValueError(_expected("the model", model))
    return stages, dense


def _is_plain(layer: nn.Conv2d) -> bool:
    sides = [*zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)]
    if isinstance(layer.padding, str) or layer.padding[0] != layer.padding[1]:
        return False
    plain = layer.groups == 1 and layer.padding_mode == "zeros" and layer.dilation == (1, 1)
    return plain and sides[0] == sides[1]


def _is_square(pooling: nn.MaxPool2d) -> bool:
    size = pooling.kernel_size
    plain = pooling.padding == 0 and pooling.dilation == 1 and not pooling.ceil_mode
    return isinstance(size, int) and size > 1 and pooling.stride == size and plain


def _expected(name: str, layer: nn.Module) -> str:
    return (
        "expected stages of Conv2d (square, no groups, no dilation), BatchNorm2d or none, ReLU and "
        "MaxPool2d on images of one channel, then Flatten and layers of Linear; "
        f"{type(layer).__name__} ({name}) does not fit"
    )


def _packed(weights: list[Tensor]) -> dict[str, str]:
    """All weights as base64, one tensor after the other; half the bytes where that loses nothing.

    Scales and biases, which are few, are float64.
    """
    raw = [w for w in weights if w.ndim > 1]
    few = torch.cat([w for w in weights if w.ndim == 1]).numpy()
    flat = torch.cat([w.flatten().float() for w in raw])
    is_half = bool((flat.half().float() == flat).all())
    data = (flat.half() if is_half else flat).numpy()
    return {
        "format": "float16" if is_half else "float32",
        "weights": base64.b64encode(data.tobytes()).decode(),
        "numbers": base64.b64encode(few.astype("<f8").tobytes()).decode(),
    }


def _examples(images: Any) -> tuple[Tensor, list[str]]:
    """The first images as uint8 N×S×S, with names."""
    raw = torch.as_tensor(getattr(images, "images", images))[:MOST_EXAMPLES]
    if raw.ndim != 4 or raw.shape[1] != 1 or raw.shape[2] != raw.shape[3] or not len(raw):
        raise ValueError(f"images must be N×1×S×S, not {tuple(raw.shape)}")
    pixels = raw if raw.dtype == torch.uint8 else (255 * raw.float()).round().to(torch.uint8)
    labels, known = getattr(images, "labels", None), getattr(images, "class_names", ())
    if labels is not None and known:
        return pixels[:, 0].contiguous(), [str(known[int(k)]) for k in labels[:MOST_EXAMPLES]]
    return pixels[:, 0].contiguous(), [f"image {k + 1}" for k in range(len(pixels))]


def _enlarged_digits() -> ImageSet:
    """The first of each of scikit-learn's digits as MNIST has its own, 28×28."""
    data = load_images("digits", "train")
    labels = torch.as_tensor(data.labels)
    first = [int((labels == k).nonzero()[0]) for k in range(10)]
    pixels = as_mnist(data.pixels()[first])
    return ImageSet(
        data.name, data.split, (255 * pixels).round().to(torch.uint8), labels[first],
        data.class_names,
    )  # fmt: skip
