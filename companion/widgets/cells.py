"""What the previews of the convolution widgets draw: grids of numbers, as js/ui/cells.js does."""

from html import escape

import numpy as np


def short(value: float) -> str:
    """A number in few characters: whole ones in full, others with three digits that count."""
    if value == int(value):
        return str(int(value)).replace("-", "−")
    rounded = float(f"{value:.3g}")
    text = "0" if abs(rounded) < 5e-4 else f"{round(rounded, 3):g}"
    return text.replace("-", "−")


def factor(value: float) -> str:
    """The same with brackets around what is negative."""
    return f"({short(value)})" if value < 0 else short(value)


def magnitude(matrix: np.ndarray) -> float:
    """The largest magnitude, or 1 where all is 0."""
    return float(np.abs(matrix).max()) or 1.0


def tint(value: float, limit: float) -> str:
    """Attributes that colour an element by value, full at ±limit."""
    sign = "minus" if value < 0 else "plus"
    share = min(1.0, abs(value) / limit) if limit else 0.0
    return f'data-sign="{sign}" style="--t:{share:.3f}'


def grid(
    texts: list[list[str]],
    values: np.ndarray,
    label: str,
    *,
    classes: "np.ndarray | None" = None,
    extras: "list[list[str]] | None" = None,
    window: tuple[int, int, int, int] | None = None,
    limit: float | None = None,
) -> str:
    """A grid of cells, full in colour at ±limit; `window` = (row, column, rows, columns)."""
    limit = magnitude(values) if limit is None else limit
    cells = []
    for r, line in enumerate(texts):
        for c, text in enumerate(line):
            kind = "" if classes is None else str(classes[r, c])
            extra = "" if extras is None else extras[r][c]
            cells.append(
                f'<div class="cell {kind}" {tint(float(values[r, c]), limit)};'
                f'grid-area:{r + 1}/{c + 1}"><span class="cell-number">{escape(text)}</span>'
                f"{extra}</div>"
            )
    if window is not None:
        r, c, rows, columns = window
        cells.append(
            '<div class="cell-window" style="grid-area:'
            f'{r + 1}/{c + 1}/span {rows}/span {columns}"></div>'
        )
    return (
        f'<div class="cells" role="img" aria-label="{escape(label)}" '
        f'style="--columns:{len(texts[0])}">{"".join(cells)}</div>'
    )
