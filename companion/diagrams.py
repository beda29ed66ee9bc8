"""Drawings of networks, computed from their layer tables."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from companion.figures import COLOURS

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
