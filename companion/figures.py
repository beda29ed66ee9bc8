"""Figures for chapters: Plotly plots and image grids, each with the alt text that it must have.

Computing and drawing are apart: these functions take numbers that a chapter already has. Colours
that carry meaning are set here; text, grid and background follow the page's light or dark theme.
"""

import base64
import functools
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from torch import Tensor

# Distinguishable for colour-blind readers and on white as on black (ten classes need ten).
COLOURS = (
    "#3b7dd8", "#e07b28", "#2a9d6f", "#c2508a", "#8a6fd1",
    "#a08a2a", "#d0504a", "#3fa3b5", "#7d8590", "#b57edc",
)  # fmt: skip
SYMBOLS = (
    "circle", "square", "diamond", "cross", "x",
    "triangle-up", "triangle-down", "star", "hexagon", "pentagon",
)  # fmt: skip
# Text that is readable on white and on black alike: outside the book no theme is known.
NEUTRAL = "#7a7a7a"


def _need_alt(alt: str) -> str:
    if not isinstance(alt, str) or len(alt.strip()) < 15:
        raise ValueError(
            "a figure needs an alt text that says what it shows (15 characters or more); "
            f"got {alt!r}"
        )
    return alt.strip()


@functools.cache
def _figure_class() -> type["go.Figure"]:
    """Plotly's figure, whose notebook output outlives an export: made when plotly is needed."""
    import plotly.graph_objects as go

    class Figure(go.Figure):
        def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            bundle: dict[str, Any] = super()._repr_mimebundle_(*args, **kwargs)
            if bundle and "PLOTLY_RENDERER" not in os.environ:
                told = (self.layout.meta or {}).get("alt", "")
                alt = escape(told)
                html = bundle.get("text/html") or self.to_html(
                    include_plotlyjs="cdn", full_html=False, default_height=self.layout.height
                )
                bundle["text/html"] = (
                    f'<figure style="margin:0"><div role="img" aria-label="{alt}">{html}</div>'
                    f'<figcaption style="font-size:.85em">{alt}</figcaption></figure>'
                )
                bundle["text/plain"] = f"Figure: {told}"
            return bundle

        def _ipython_display_(self) -> None:
            from IPython.display import display

            if bundle := self._repr_mimebundle_():
                display(bundle, raw=True)
            else:  # in a window of its own, say
                super()._ipython_display_()

    return Figure


def plot(
    traces: Sequence[Any], *, x: str, y: str, alt: str, height: int = 380, **layout: Any
) -> "go.Figure":
    """A Plotly figure with labelled axes and an alt text.

    In a notebook it is shown as Plotly's own figures are; its output has the alt text as well, and
    an HTML for exports and viewers without Plotly, which fetches Plotly's script when it is looked
    at. Where the environment variable PLOTLY_RENDERER decides, as in the book's build, it does.

    Args:
        traces: Plotly traces.
        x: label of the horizontal axis, with its unit.
        y: label of the vertical axis, with its unit.
        alt: what the figure shows, for those who can't see it.
        height: pixels.
        **layout: anything else that Plotly's layout takes.

    Raises:
        ValueError: the alt text is missing or says nothing.
    """
    figure: go.Figure = _figure_class()(list(traces))
    figure.update_layout(
        template=None,
        meta={"alt": _need_alt(alt)},
        height=height,
        margin={"l": 64, "r": 24, "t": 24, "b": 56},
        font={"size": 14, "color": NEUTRAL},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(COLOURS),
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    )
    axis = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.45)"}
    figure.update_xaxes(title=x, automargin=True, **axis)
    figure.update_yaxes(title=y, automargin=True, **axis)
    figure.update_layout(**layout)
    return figure


def lines(
    series: Mapping[str, ArrayLike], *, x: str, y: str, alt: str, at: ArrayLike | None = None,
    markers: bool = False, **layout: Any,
) -> "go.Figure":  # fmt: skip
    """Curves over one axis: `series` maps a name to N values, `at` gives their N places."""
    import plotly.graph_objects as go

    dashes = ("solid", "dash", "dot", "dashdot")
    traces = []
    for position, (name, values) in enumerate(series.items()):
        height = np.asarray(values, dtype=float)
        places = np.arange(1, len(height) + 1) if at is None else np.asarray(at)
        style = {"color": COLOURS[position % len(COLOURS)], "dash": dashes[position % len(dashes)]}
        mode = "lines+markers" if markers else "lines"
        traces.append(go.Scatter(x=places, y=height, name=name, mode=mode, line=style))
    return plot(traces, x=x, y=y, alt=alt, **layout)


def scatter(
    points: ArrayLike, labels: ArrayLike, class_names: Sequence[str], *, x: str, y: str, alt: str,
    limits: tuple[float, float] | None = None, **layout: Any,
) -> "go.Figure":  # fmt: skip
    """N×2 points, coloured and shaped by class; a click in the legend hides a class.

    Both axes have one scale; `limits` are the ends of both.

    Raises:
        ValueError: points are not N×2, or labels are not N numbers.
    """
    import plotly.graph_objects as go

    place, kind = np.asarray(points, dtype=float), np.asarray(labels)
    if place.ndim != 2 or place.shape[1] != 2 or kind.shape != place.shape[:1]:
        raise ValueError(
            f"expected points N×2 and labels of length N; got {place.shape} and {kind.shape}"
        )
    traces = []
    for number, name in enumerate(class_names):
        chosen = place[kind == number].round(4)
        marker = {
            "color": COLOURS[number % len(COLOURS)],
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "size": 6,
            "opacity": 0.75,
        }
        traces.append(
            go.Scatter(x=chosen[:, 0], y=chosen[:, 1], mode="markers", name=name, marker=marker)
        )
    options: dict[str, Any] = {"height": 560} | layout
    figure = plot(traces, x=x, y=y, alt=alt, **options)
    figure.update_xaxes(range=limits, constrain="domain")
    return figure.update_yaxes(range=limits, scaleanchor="x", constrain="domain")


def heatmap(
    values: ArrayLike, *, rows: Sequence[str], columns: Sequence[str], x: str, y: str, alt: str,
    unit: str = "", **layout: Any,
) -> "go.Figure":  # fmt: skip
    """A labelled table of numbers in colour, the numbers written into the cells."""
    import plotly.graph_objects as go

    table = np.asarray(values, dtype=float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(f"expected a {len(rows)}×{len(columns)} table; got {table.shape}")
    trace = go.Heatmap(
        z=table.round(3), x=list(columns), y=list(rows), colorscale="Blues", zmin=0,
        texttemplate="%{z:.2f}", colorbar={"title": {"text": unit}}, xgap=2, ygap=2,
    )  # fmt: skip
    order = {"autorange": "reversed"}
    options: dict[str, Any] = {
        "xaxis": {"type": "category"},
        "yaxis": order,
        "height": 110 + 44 * len(rows),
    } | layout
    return plot([trace], x=x, y=y, alt=alt, **options)


@dataclass(frozen=True)
class Planes:
    """Small drawings beside each other, with one alt text; made by `planes`."""

    drawings: Mapping[str, str]  # what is written above it, and the SVG
    alt: str

    def _repr_html_(self) -> str:
        panels = "".join(
            f'<div><div style="font-size:.85em">{escape(name)}</div>{svg}</div>'
            for name, svg in self.drawings.items()
        )
        return (
            '<figure class="companion-picture" style="margin:0;max-width:680px">'
            f'<div role="img" aria-label="{escape(self.alt)}" style="display:grid;'
            'grid-template-columns:repeat(auto-fit,minmax(min(100%,230px),1fr));gap:8px 16px">'
            f"{panels}</div></figure>"
        )

    def __repr__(self) -> str:
        return f"<Planes: {self.alt}>"


def planes(
    points: Mapping[str, ArrayLike], labels: ArrayLike, class_names: Sequence[str], *, alt: str,
    limits: Mapping[str, float] | None = None, filled: "Mapping[str, Any] | None" = None,
) -> Planes:  # fmt: skip
    """N points in several planes, two in a row where there is room: `points` maps a name to N×2.

    Each class has its colour, and its name at its median. Both axes have one scale, and no numbers:
    the unit of a projection means nothing. Where it does, `limits` gives a plane's ends, ±limit on
    both axes, written at its corners. `filled` maps more names to n·n images, a plane of their own:
    row after row from the upper left, as a decoder fills it.

    Raises:
        ValueError: points are not N×2, labels are not N numbers, the images fill no square, or the
            alt text says nothing.
    """
    kind, size, drawings = np.asarray(labels), 340, {}
    for name, plane in points.items():
        place = np.asarray(plane, dtype=float)
        if place.ndim != 2 or place.shape[1] != 2 or kind.shape != place.shape[:1]:
            raise ValueError(
                f"expected points N×2 and labels of length N; got {place.shape} and {kind.shape}"
            )
        low, high = place.min(0), place.max(0)
        limit = (limits or {}).get(name)
        if limit is not None:
            low, high = np.full(2, -limit), np.full(2, limit)
        scale = (size - 24) / max(float((high - low).max()), 1e-9)
        x, y = (size / 2 + (place - (low + high) / 2) * scale * (1, -1)).T
        dots, names = [], []
        for number, title in enumerate(class_names):
            of = kind == number
            if not of.any():
                continue
            colour = COLOURS[number % len(COLOURS)]
            path = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in zip(x[of], y[of], strict=True))
            dots.append(f'<path d="{path}" stroke="{colour}"/>')
            names.append(
                f'<text x="{np.median(x[of]):.0f}" y="{np.median(y[of]):.0f}" fill="{colour}">'
                f"{escape(title)}</text>"
            )
        drawings[name] = (
            f'<svg viewBox="0 0 {size} {size}" style="display:block;width:100%;height:auto" '
            'fill="none" stroke-width="6" stroke-linecap="round">'
            f'<g stroke-opacity=".7">{"".join(dots)}</g><g font-size="30" font-weight="700" '
            'text-anchor="middle" dominant-baseline="central" paint-order="stroke" '
            f'style="stroke:var(--pst-color-background,#fff)">{"".join(names)}</g>'
            f"{'' if limit is None else _corners(limit, size)}</svg>"
        )
    for name, images in (filled or {}).items():
        side = round(len(images) ** 0.5)
        if side**2 != len(images):
            raise ValueError(f"expected n·n images that fill a square; got {len(images)}")
        (png,) = _files(image_grid(images, alt=alt, columns=side, gap=1).rows[""])
        drawings[name] = (
            f'<img src="{data_url(png)}" alt="" '
            'style="display:block;width:100%;image-rendering:pixelated">'
        )
    return Planes(drawings, _need_alt(alt))


def _corners(limit: float, size: int) -> str:
    """The frame of a plane that goes from −limit to limit, and its ends."""
    text = f'font-size="15" fill="{NEUTRAL}"'
    return (
        f'<rect x="12" y="12" width="{size - 24}" height="{size - 24}" stroke="{NEUTRAL}" '
        f'stroke-opacity=".5" stroke-width="1"/><text x="16" y="{size - 18}" {text}>'
        f'(−{limit:g}, −{limit:g})</text><text x="{size - 16}" y="28" text-anchor="end" {text}>'
        f"({limit:g}, {limit:g})</text>"
    )


@dataclass(frozen=True)
class Picture:
    """One image, or labelled images, with alt text, for every notebook front end.

    `rows` maps a label ("" for none) to a file of :func:`encode_image`, or to several that go below
    each other where the screen is narrow; `width` is the largest on the screen, in CSS pixels. With
    `columns` the labels stand above their images, so many beside each other; without, at the left
    of theirs, one row for each.
    """

    rows: Mapping[str, bytes | Sequence[bytes]]
    alt: str
    width: int
    caption: str = ""
    columns: int = 0

    def _repr_html_(self) -> str:
        labelled = any(self.rows)
        columns = "max-content minmax(0,1fr)" if labelled else "minmax(0,1fr)"
        gap, align = "2px 10px", "center"
        if self.columns:  # images stay in line where a label takes two
            columns, gap, align = f"repeat({self.columns},minmax(0,1fr))", "8px", "end"
        cells = []
        # The alt text tells of the whole; a row of its own has nothing to add.
        alts = chain([escape(self.alt)], repeat(""))
        for label, row in self.rows.items():
            if labelled and not self.columns:
                cells.append(f'<span style="font-size:.85em">{escape(label)}</span>')
            images = [
                f'<img src="{data_url(file)}" alt="{next(alts)}" '
                'style="width:100%;image-rendering:pixelated">'
                for file in _files(row)
            ]
            if self.columns:
                cells.append(
                    f'<div><div style="font-size:.85em">{escape(label)}</div>{images[0]}</div>'
                )
                continue
            cells.append(
                images[0]
                if len(images) == 1
                else '<div style="display:grid;gap:2px;grid-template-columns:'
                f'repeat(auto-fit,minmax(150px,1fr))">{"".join(images)}</div>'
            )
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            f'<figure class="companion-picture" style="margin:0;max-width:{self.width}px">'
            f'<div style="display:grid;grid-template-columns:{columns};gap:{gap};'
            f'align-items:{align}">{"".join(cells)}</div>{caption}</figure>'
        )

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"


def _files(row: bytes | Sequence[bytes]) -> Sequence[bytes]:
    return [row] if isinstance(row, bytes) else row


@dataclass(frozen=True)
class Table:
    """A table that a notebook shows as HTML and a terminal as text.

    Columns of numbers are aligned at their end, columns of words at their start.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def _repr_html_(self) -> str:
        aligned = [
            ' style="text-align:start"' if _are_words(column) else ""
            for column in zip(*self.rows, strict=True)
        ] or [""] * len(self.columns)
        head = "".join(
            f'<th scope="col"{style}>{escape(name)}</th>'
            for name, style in zip(self.columns, aligned, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{style}>{escape(str(value))}</td>"
                for value, style in zip(row, aligned, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        return (
            f'<table class="companion-table"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def __repr__(self) -> str:
        return "\n".join("  ".join(map(str, row)) for row in (self.columns, *self.rows))


def _are_words(column: Sequence[Any]) -> bool:
    """Whether most entries of a column begin with no number; empty ones don't count."""
    entries = [text for value in column if (text := str(value).strip())]
    words = [text for text in entries if not re.match(r"[-−+±≈<>≤≥~]?\s*[.\d]", text)]
    return 2 * len(words) > len(entries)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table with a heading for each column.

    Raises:
        ValueError: a row has more or fewer entries than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"expected {len(columns)} entries in each row; got {len(row)}")
    return Table(tuple(columns), tuple(tuple(row) for row in rows))


def to_uint8(images: "Tensor | ArrayLike") -> np.ndarray:
    """N×C×H×W images, uint8 or floats in [0, 1], as uint8 N×H×W×3.

    Floats a little outside, as a network or noise makes them, are cut off.

    Raises:
        ValueError: not four axes, neither one nor three channels, nothing to see; other numbers
            than these, NaN, or floats that are not meant to be in [0, 1].
    """
    array = _numbers(images)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise ValueError(f"expected images N×1×H×W or N×3×H×W; got an array of shape {array.shape}")
    if not array.size:
        raise ValueError(f"expected at least one image; got an array of shape {array.shape}")
    if array.dtype != np.uint8:
        if array.dtype.kind not in "fb":
            raise ValueError(
                f"expected uint8 or floats in [0, 1]; got {array.dtype}: convert whole numbers "
                "from 0 to 255 with .to(torch.uint8), or with .astype('uint8')"
            )
        least, most = float(array.min()), float(array.max())
        if not -_FAR < least <= most < _FAR:  # NaN is in no order
            raise ValueError(
                f"expected floats in [0, 1]; got values from {least:.4g} to {most:.4g}: divide "
                "pixels from 0 to 255 by 255"
            )
        array = (np.clip(array, 0, 1) * 255).round().astype(np.uint8)
    array = array.transpose(0, 2, 3, 1)
    return np.repeat(array, 3, axis=3) if array.shape[3] == 1 else array


_FAR = 10.0  # no image in [0, 1] has such values, whatever noise is added to it


def _numbers(images: "Tensor | ArrayLike") -> np.ndarray:
    if not hasattr(images, "detach"):
        return np.asarray(images)
    tensor = images.detach().cpu()
    # NumPy has no bfloat16.
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)


# Minus blue, zero paper, plus orange, as js/ui/colours.js has them for the light paper.
_DIVERGING = ("#0b4a8f", "#5f9fd6", "#f4f3f0", "#e58d5f", "#9a3208")


def diverging(images: "Tensor | ArrayLike", limit: float | None = None) -> np.ndarray:
    """N×1×H×W signed numbers as uint8 N×3×H×W colours: blue below 0, white at 0, orange above.

    Colours are full at ±limit; without it, at the largest magnitude of each image.

    Raises:
        ValueError: not N×1×H×W, or a limit that is not positive.
    """
    array = _numbers(images).astype(float)
    if array.ndim != 4 or array.shape[1] != 1 or not array.size:
        raise ValueError(f"expected images N×1×H×W; got an array of shape {array.shape}")
    if limit is not None and not limit > 0:
        raise ValueError(f"limit must be positive, not {limit!r}")
    most = np.abs(array).max(axis=(1, 2, 3), keepdims=True)
    scaled = np.clip(array / (np.where(most > 0, most, 1) if limit is None else limit), -1, 1)
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _DIVERGING], dtype=float)
    places = np.linspace(-1, 1, len(stops))
    channels = [np.interp(scaled[:, 0], places, stops[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def encode_image(pixels: np.ndarray, *, lossless: bool = True) -> bytes:
    """H×W×3 (or H×W) uint8 pixels as a PNG or WebP file, whichever is smallest.

    With `lossless=False` a WebP file that changes some colours a little may be it, too.
    """
    from PIL import Image

    picture, files = Image.fromarray(pixels), [io.BytesIO()]
    picture.save(files[0], "PNG", optimize=True)
    if max(picture.size) < 2**14:  # the most that WebP can hold
        for options in ({"lossless": True}, {"quality": 95})[: 1 if lossless else 2]:
            files.append(io.BytesIO())
            picture.save(files[-1], "WEBP", method=6, **options)
    return min((file.getvalue() for file in files), key=len)


def _shown(pixels: np.ndarray) -> bytes:
    """`encode_image` for the eye: of many colours, as in a photograph, some may be lost."""
    red, green, blue = pixels.reshape(-1, 3).T.astype(int)
    colours = np.unique((red << 16) + (green << 8) + blue)
    return encode_image(pixels, lossless=len(colours) <= 8192)


def data_url(file: bytes) -> str:
    """A file of :func:`encode_image` as the address of itself."""
    kind = "png" if file.startswith(b"\x89PNG") else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def image_grid(
    images: "Tensor | ArrayLike", *, alt: str, columns: int = 10, zoom: float = 0, gap: int = 1,
    caption: str = "", labels: Sequence[str] = (),
) -> Picture:  # fmt: skip
    """N images side by side, row after row.

    Args:
        images: N×C×H×W, uint8 or floats in [0, 1], one or three channels.
        alt: what the grid shows.
        columns: images in a row.
        zoom: screen pixels for one image pixel; 0 lets the grid fill the text's width.
        gap: pixels between images, of the images' own size.
        caption: one line below it.
        labels: what is written above each image, if anything (then `gap` has no say).

    Raises:
        ValueError: no such images (:func:`to_uint8`), an alt text that says nothing, `columns`
            below 1, or labels that are not N different ones.
    """
    if columns < 1:
        raise ValueError(f"columns must be 1 or more, got {columns!r}")
    tiles = to_uint8(images)
    count, height, width, _ = tiles.shape
    columns = min(columns, count)
    if len(labels):
        if len(set(labels)) != count or len(labels) != count:
            raise ValueError(f"expected {count} different labels, got {list(labels)}")
        files = dict(zip(labels, map(_shown, tiles), strict=True))
        shown = round(columns * width * zoom) + 8 * (columns - 1) if zoom else 720
        return Picture(files, _need_alt(alt), shown, caption, columns)
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    canvas = np.full(shape, 128, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    shown = round(canvas.shape[1] * zoom) if zoom else 720
    return Picture({"": _shown(canvas)}, _need_alt(alt), shown, caption)


_ON_A_LINE = 6  # small images that can still be judged on a phone


def image_rows(
    rows: "Mapping[str, Tensor | ArrayLike]", *, alt: str, gap: int = 1, caption: str = ""
) -> Picture:
    """Rows of images, each with its label: `rows` maps a label to N×C×H×W images.

    On a narrow screen a row of 12, 18, … images goes on below itself, six on a line. Takes and
    raises what :func:`image_grid` does.
    """
    strips: dict[str, list[Any]] = {}
    for label, images in rows.items():
        count = max(1, len(images))  # type: ignore[arg-type]
        line = _ON_A_LINE if count > _ON_A_LINE and count % _ON_A_LINE == 0 else count
        parts = (images[k : k + line] for k in range(0, count, line))  # type: ignore[index]
        strips[label] = [
            image_grid(part, alt=alt, columns=line, gap=gap).rows[""] for part in parts
        ]
    if not strips:
        raise ValueError("expected at least one row of images; got none")
    return Picture(strips, _need_alt(alt), 760, caption)
