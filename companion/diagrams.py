"""Drawings of networks, computed from their layer tables and modules."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from torch import nn

from companion.figures import COLOURS, NEUTRAL, Planes

if TYPE_CHECKING:
    from companion.explain.layer_table import Layer

#: What a kind of layer begins with, in words and as a colour.
_KINDS = {"conv": COLOURS[0], "max-pool": COLOURS[1], "dense": COLOURS[4]}
_OTHER = "#808080"
_ROOM = (64, 84)  # of a block's drawing, in CSS pixels


@dataclass(frozen=True)
class Blocks:
    """Layers as blocks, one after another, with one alt text; made by `blocks`.

    `layers` holds, for each, its name, its output in words, and the SVG.
    """

    layers: tuple[tuple[str, str, str], ...]
    alt: str
    caption: str

    def _repr_html_(self) -> str:
        parts = "".join(
            '<div style="text-align:center;font-size:.8rem;line-height:1.25">'
            f"{svg}<div><strong>{escape(name)}</strong><br>{escape(words)}</div></div>"
            for name, words, svg in self.layers
        )
        return (
            '<figure class="companion-picture" style="margin:0">'
            f'<div role="img" aria-label="{escape(self.alt)}" style="display:grid;'
            "grid-template-columns:repeat(auto-fill,minmax(5.6rem,1fr));gap:12px 4px;"
            f'align-items:end">{parts}</div><figcaption>{escape(self.caption)}</figcaption></figure>'
        )

    def __repr__(self) -> str:
        return f"<Blocks: {self.alt}>"


def blocks(image_shape: tuple[int, int, int], layers: "Iterable[Layer]", *, name: str) -> Blocks:
    """A network as blocks: as high as its map is wide (C×H×W), as wide as it has channels (log₂).

    `layers` are rows of a layer table, without those that should not be drawn; `name` is what the
    network is called. The alt text says what is drawn. Raises ValueError if there is nothing to
    draw.
    """
    rows = list(layers)
    if not rows:
        raise ValueError("expected at least one layer to draw, got none")
    shapes = [image_shape, *(row.output_shape for row in rows)]
    colours = [_OTHER, *(_colour(row.kind) for row in rows)]
    side = max(shape[-1] for shape in shapes if len(shape) == 3)
    drawn = []
    for title, shape, colour in zip(
        ["input", *(row.name for row in rows)], shapes, colours, strict=True
    ):
        words = "×".join(map(str, (*shape[1:], shape[0]))) if len(shape) == 3 else f"{shape[0]:,}"
        height = max(3.0, (_ROOM[1] - 4) * (shape[-1] / side) ** 0.5) if len(shape) == 3 else 3.0
        width = 4 + 4.4 * math.log2(shape[0])
        drawn.append((title, words, _block(width, height, colour)))
    alt = f"{name} as a row of blocks: " + ", ".join(f"{t} {w}" for t, w, _ in drawn) + "."
    caption = (
        "Height: the side of the map (its square root). Width: the number of channels (its "
        "logarithm). Blue are convolutions, orange poolings, violet dense layers."
    )
    return Blocks(tuple(drawn), alt, caption)


def _colour(kind: str) -> str:
    return next((colour for start, colour in _KINDS.items() if kind.startswith(start)), _OTHER)


def _block(width: float, height: float, colour: str) -> str:
    room, tall = _ROOM[0], math.ceil(height) + 4
    return (
        f'<svg viewBox="0 0 {room} {tall}" width="{room}" height="{tall}" aria-hidden="true">'
        f'<rect x="{(room - width) / 2:.1f}" y="{tall - 2 - height:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="2" fill="{colour}" fill-opacity=".75" stroke="{colour}"/></svg>'
    )


# --- blocks and the ways through them, what stands in them said by the modules --------------------

_WIDTH, _ROW, _BOX, _GAP = 340, 62, 44, 12  # of a drawing, in its own pixels


class Box(NamedTuple):
    """A box: its name, and a second line (a shape, a count) or ""."""

    name: str
    words: str = ""


class Flow(NamedTuple):
    """Rows of boxes from the top down, and arrows (by the boxes' names).

    An arrow to the next row is a line; one that leaves rows out goes round them, at the right.
    """

    rows: Sequence[Sequence[Box]]
    arrows: Sequence[tuple[str, str]]


def steps(module: nn.Module) -> list[str]:
    """The parts of a module in words, each convolution with what follows it: "3×3, 64 → 64, ReLU".

    Raises ValueError for a module without convolutions or dense layers.
    """
    found: list[str] = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            depthwise = part.groups == part.in_channels > 1
            kind = "depthwise " if depthwise else ""
            kind = "transposed " if isinstance(part, nn.ConvTranspose2d) else kind
            channels = f"{part.in_channels} → {part.out_channels}"
            channels = f"{part.in_channels} channels" if depthwise else channels
            stride = f", stride {part.stride[0]}" if part.stride[0] > 1 else ""
            found.append(f"{kind}{part.kernel_size[0]}×{part.kernel_size[1]}, {channels}{stride}")
        elif isinstance(part, nn.Linear):
            found.append(f"dense, {part.in_features} → {part.out_features}")
        elif found and isinstance(part, nn.ReLU | nn.SiLU | nn.ELU):
            found[-1] += f", {type(part).__name__}"
    if not found:
        raise ValueError(f"expected convolutions or dense layers, got {type(module).__name__}")
    return found


def chain(*boxes: Box | str, around: tuple[str, str] | None = None) -> Flow:
    """Boxes below each other, and perhaps a way round from one to another."""
    made = [box if isinstance(box, Box) else Box(box) for box in boxes]
    arrows = [(a.name, b.name) for a, b in pairwise(made)]
    return Flow([[box] for box in made], [*arrows, *([around] if around else [])])


def flows(drawings: Mapping[str, Flow]) -> Planes:
    """Flows beside each other. Raises ValueError for an arrow from or to a box that is missing."""
    svgs = {name: _svg(flow) for name, flow in drawings.items()}
    alt = " ".join(f"{name}: {_said(flow)}" for name, flow in drawings.items())
    return Planes(svgs, alt)


def _said(flow: Flow) -> str:
    """What a drawing shows, in a sentence."""
    rows = [
        " beside ".join(f"{box.name} ({box.words})" if box.words else box.name for box in row)
        for row in flow.rows
    ]
    level = _levels(flow)
    around = [f"{a} to {b}" for a, b in flow.arrows if level[b] - level[a] > 1]
    ways = f"; a way round from {', and one from '.join(around)}" if around else ""
    return f"from top to bottom {'; '.join(rows)}{ways}."


def _levels(flow: Flow) -> dict[str, int]:
    level = {box.name: k for k, row in enumerate(flow.rows) for box in row}
    if missing := {end for arrow in flow.arrows for end in arrow} - set(level):
        raise ValueError(f"there is no box {sorted(missing)[0]!r}; there are {', '.join(level)}")
    return level


def _svg(flow: Flow) -> str:
    level = _levels(flow)
    margin = 40 if any(level[b] - level[a] > 1 for a, b in flow.arrows) else 4
    room = _WIDTH - 2 * margin
    boxes: list[str] = []
    places: dict[str, tuple[float, float, float]] = {}
    for k, row in enumerate(flow.rows):
        wide = (room - (len(row) - 1) * _GAP) / len(row)
        for column, (name, words) in enumerate(row):
            x, y = margin + column * (wide + _GAP), k * _ROW + 4
            places[name] = (x + wide / 2, y, x + wide)
            middle = y + _BOX / 2
            lines = [(name, middle - 9 if words else middle, 15, 600)]
            lines += [(words, middle + 10, 13, 400)] if words else []
            boxes.append(
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_BOX}" rx="6" '
                f'fill="{COLOURS[0]}" fill-opacity=".12" stroke="{COLOURS[0]}"/>'
            )
            boxes += [
                f'<text x="{x + wide / 2:.1f}" y="{at:.1f}" font-size="{size}" '
                f'font-weight="{weight}">{escape(line)}</text>'
                for line, at, size, weight in lines
            ]
    ways: list[str] = []
    heads: list[str] = []
    for a, b in flow.arrows:
        (x0, y0, right0), (x1, y1, right1) = places[a], places[b]
        if level[b] - level[a] == 1:
            ways.append(f"M{x0:.1f} {y0 + _BOX}L{x1:.1f} {y1 - 6}")
            heads.append(f"M{x1:.1f} {y1}l-4 -8h8z")
        else:
            out, y2 = max(right0, right1) + 30, y1 + _BOX / 2
            ways.append(
                f"M{right0:.1f} {y0 + _BOX / 2}C{out:.1f} {y0 + _BOX / 2} {out:.1f} {y2} "
                f"{right1 + 6:.1f} {y2}"
            )
            heads.append(f"M{right1:.1f} {y2}l8 -4v8z")
    height = len(flow.rows) * _ROW - (_ROW - _BOX) + 8
    rects, texts = ("".join(b for b in boxes if b.startswith(tag)) for tag in ("<rect", "<text"))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" style="display:block;width:100%;'
        f'max-width:{_WIDTH}px;height:auto" aria-hidden="true" fill="none" stroke="{NEUTRAL}" '
        f'stroke-width="1.5">'
        f'<path d="{"".join(ways)}"/><path d="{"".join(heads)}" fill="{NEUTRAL}" stroke="none"/>'
        f'{rects}<g fill="currentColor" stroke="none" text-anchor="middle" '
        f'dominant-baseline="central">{texts}</g></svg>'
    )
