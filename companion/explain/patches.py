"""What makes a channel fire: the parts of many images at which it is strongest (chapter 9).

Each part is cut out by the unit's receptive field, followed through the network's own computation
(:mod:`companion.explain.dependence`), so it holds every pixel that the unit depends on.
Source: Springenberg et al. (2015), "Striving for simplicity: the all convolutional net", §4.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from companion.explain.activations import activations
from companion.explain.dependence import followed
from companion.explain.layers import Pair
from companion.explain.passes import check_whole, for_model, named_layers

Box = tuple[int, int, int, int]


class Patch(NamedTuple):
    """Where a channel is strong, and what it sees there.

    `value` is the unit's activation, `image` the number of the image, `position` row and column of
    the unit in its map. `box` is what the unit sees, in pixels: top, left, bottom, right, the last
    two not included; where the receptive field reaches beyond the image, it ends with the image.
    `pixels` is that part of the image, C×h×w.
    """

    value: float
    image: int
    position: Pair
    box: Box
    pixels: Tensor


def maximally_activating_patches(
    model: nn.Module,
    images: Tensor,
    layer: str,
    channel: int,
    count: int = 9,
    *,
    per_image: int = 1,
) -> list[Patch]:
    """The `count` parts of the images at which a channel of a layer is strongest, strongest first.

    A unit of a dense layer sees the whole image. The model is left as it was.

    Args:
        images: N×C×H×W floats in [0, 1].
        layer: a name of `model.named_modules()`; what leads to it may be left out.
        count: how many at most; fewer if there are not so many.
        per_image: how many may come from one image.

    Raises:
        ValueError: a layer, channel or count that there is not, or images that are none.
        TypeError: a network in which it is not known what the layer's units see
            (:func:`companion.explain.receptive_field.equal_gradient`).
    """
    return patches_by_channel(model, images, layer, count, per_image=per_image, channels=[channel])[
        0
    ]


def patches_by_channel(
    model: nn.Module,
    images: Tensor,
    layer: str,
    count: int = 9,
    *,
    per_image: int = 1,
    channels: Iterable[int] | None = None,
) -> list[list[Patch]]:
    """:func:`maximally_activating_patches` of several channels (if not given, all) in one go."""
    check_whole(1, count=count, per_image=per_image)
    images = images.detach()
    size: Pair = (images.shape[-2], images.shape[-1])
    for_model(model, images[:1])  # says what is wrong with them
    shape: list[int] = []

    def strongest(maps: Tensor) -> Tensor:
        """N×2×channels×per_image: values, and their positions in the flattened map."""
        shape[:] = maps.shape[1:]
        flat = maps.flatten(2) if maps.ndim > 2 else maps[:, :, None]
        values, where = flat.float().topk(min(per_image, flat.shape[2]))
        return torch.stack([values, where.to(values.dtype)], 1)

    found = activations(model, images, [layer], keep=strongest)[layer]
    if len(shape) not in (1, 3):
        raise ValueError(
            f"Layer {layer!r} gives N×{'×'.join(map(str, shape))}: only maps N×C×H×W and vectors "
            "N×C have channels here."
        )
    wanted = list(range(shape[0])) if channels is None else list(channels)
    for channel in wanted:
        check_whole(0, shape[0] - 1, channel=channel)
    width = shape[2] if len(shape) == 3 else 1
    chosen = []
    for channel in wanted:
        values, where = found[:, :, channel].unbind(1)  # each N×per_image
        best = values.flatten().argsort(descending=True, stable=True)[:count]
        chosen.append([
            (values.flatten()[b].item(), int(b) // values.shape[1], int(where.flatten()[b]))
            for b in best.tolist()
        ])  # fmt: skip
    at = {divmod(place, width) for rows in chosen for _, _, place in rows}
    boxes = _boxes(model, layer, size, at, images.shape[1]) if len(shape) == 3 else {}
    return [
        [
            _cut(images[number], value, number, divmod(place, width), boxes)
            for value, number, place in rows
        ]
        for rows in chosen
    ]


def map_fields(
    model: nn.Module, image_shape: Sequence[int], layer: str, map_size: Pair
) -> tuple[list[Pair], list[Pair]]:
    """What the units of each row, and of each column, of a layer's maps see of an image.

    For every row its first pixel row and the one after its last, as slices have it; then the same
    for columns. What a unit sees is the one by the other.

    Args:
        image_shape: (C, H, W) of the images.
        map_size: height and width of the layer's maps.

    Raises TypeError as :func:`maximally_activating_patches` does, and ValueError for a unit that
    looks at padding alone.
    """
    channels, height, width = image_shape
    rows, columns = ([(r, 0) for r in range(map_size[0])], [(0, c) for c in range(map_size[1])])
    boxes = _boxes(model, layer, (height, width), {*rows, *columns}, channels)
    return (
        [(boxes[at][0], boxes[at][2]) for at in rows],
        [(boxes[at][1], boxes[at][3]) for at in columns],
    )


def _cut(image: Tensor, value: float, number: int, position: Pair, boxes: dict[Pair, Box]) -> Patch:
    box = boxes.get(position, (0, 0, image.shape[1], image.shape[2]))
    top, left, bottom, right = box
    return Patch(value, number, position, box, image[:, top:bottom, left:right])


@torch.enable_grad()
def _boxes(
    model: nn.Module, layer: str, size: Pair, positions: Iterable[Pair], channels: int
) -> dict[Pair, Box]:
    """What the units at these positions of a layer's map see: one pass, and one back for each."""
    image, maps = followed(_UpTo(model, layer), size, channels)
    boxes = {}
    for row, column in positions:
        unit = maps.mean((0, 1))[row, column]
        (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
        rows, columns = (gradient[0, 0].sum(axis).nonzero().flatten() for axis in (1, 0))
        if not len(rows):
            raise ValueError(
                f"Unit {(row, column)} of layer {layer!r} depends on no pixel: it looks at padding "
                "alone."
            )
        boxes[row, column] = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    return boxes


class _Reached(Exception):
    """Ends a pass at the layer that was asked for."""


class _UpTo(nn.Module):
    """A network up to one of its layers, wherever that is."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        self.model = model
        (found,) = named_layers(model, [layer]).values()
        self.layer = next(path for path, module in model.named_modules() if module is found)

    def forward(self, x: Tensor) -> Any:
        """What the layer puts out; nothing after it computes."""
        reached: list[Any] = []

        def stop(module: nn.Module, inputs: Any, output: Any) -> None:
            reached.append(output)
            raise _Reached

        handle = self.model.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.model(x)
        except _Reached:
            return reached[0]
        finally:
            handle.remove()
        raise ValueError(f"layer {self.layer} does not compute")
