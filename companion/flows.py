"""Drawings of blocks and of how numbers flow through them, with the alt text computed as well.

What stands in a box comes from the modules themselves (:func:`steps`), so that a drawing can't say
another thing than the network does.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from companion.figures import COLOURS, NEUTRAL, Planes

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
