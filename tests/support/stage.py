"""A page of its own for widgets, as the book has them: the host, the bundles, the models."""

from pathlib import Path
from typing import Any


def write_stage(folder: Path, *widgets: Any, before: str = "") -> Path:
    """Write a page with these widgets, and what it loads, into a folder; `before` is HTML."""
    from companion.site.extension import widget_html
    from companion.site.frontend import model_scripts
    from companion.widgets.base import MIME_TYPE, STATIC

    static = folder / "companion"
    (static / "models").mkdir(parents=True, exist_ok=True)
    scripts = dict.fromkeys(f"page-{widget.module}.js" for widget in widgets)
    for name in (*scripts, "book.js", "engine.js", "engine-wasm.js", "widgets.css"):
        if not (static / name).exists():
            (static / name).symlink_to(STATIC / name)
    html = ""
    for number, widget in enumerate(widgets):
        content = widget._repr_mimebundle_()[0][MIME_TYPE]
        html += widget_html(content, f"still-{number}") + "<p>The text goes on.</p>"
        for asset in content["assets"]:
            file = widget._models[asset].read_bytes()
            for name, script in model_scripts(asset, file):
                (static / "models" / name).write_text(script)
    eager = dict.fromkeys(f"page-{widget.module}.js" for widget in widgets if not widget.lazy)
    loads = "".join(
        f'<script defer src="companion/{name}"></script>' for name in (*eager, "book.js")
    )
    page = folder / "page.html"
    page.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Stage</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="companion/widgets.css">'
        f'<body style="margin:0"><main>{before}{html}</main>{loads}</body></html>'
    )
    return page
