"""What makes the book installable and readable offline: manifest, icons, list of files, worker.

All of it is written when the site is finished, from the site as it is. js/worker.js says how kept
pages stay fresh.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw
from sphinx.application import Sphinx

from companion.site.frontend import STATIC

COLOUR = "#123c69"

#: For every page's head. iOS looks here for its icon; other browsers find theirs in the manifest.
HEAD = '<meta name="theme-color" content="{colour}"><link rel="apple-touch-icon" href="{icon}">'
ICON = "_static/icons/icon-180.png"

#: For every page's foot; it stays hidden where there is no worker (js/offline/register.js).
BOX = (
    '<details class="book-offline" hidden><summary>Read offline</summary>'
    "<p>Pages that you have read stay on this device and need no network. The others can be "
    "fetched now.</p><p><button type='button' hidden></button> "
    "<progress hidden max='1' aria-label='Fetching the book'></progress> "
    "<span role='status'></span></p></details>"
)

# Not for reading: how Sphinx remembers a build, PDFs, what the worker itself consists of.
_LEFT_OUT = {".buildinfo", "objects.inv", "sw.js", "offline.json"}
_SOURCES = "_sources/"


def draw_icon(size: int, *, maskable: bool = False) -> Image.Image:
    """The book's sign, as in favicon.svg: two halves of an hourglass, laid on their sides.

    A maskable one has no corners of its own, and all of the sign lies in the middle, because a
    phone cuts its own shape out of it.
    """
    scale = 4 * size / 64  # four times too large, so that scaling down smooths the edges
    image = Image.new("RGBA", (4 * size, 4 * size))
    draw = ImageDraw.Draw(image)
    radius = 0 if maskable else 14 * scale
    draw.rounded_rectangle((0, 0, 4 * size - 1, 4 * size - 1), radius, fill=COLOUR)

    def at(x: float, y: float) -> tuple[float, float]:
        shrunk = 0.75 if maskable else 1
        return (32 + shrunk * (x - 32)) * scale, (32 + shrunk * (y - 32)) * scale

    line = round((3 if maskable else 4) * scale)
    for corners, fill in (
        (((10, 12), (28, 26), (28, 38), (10, 52)), "#3b7dd8"),
        (((54, 12), (36, 26), (36, 38), (54, 52)), "#e07b28"),
    ):
        points = [at(*corner) for corner in corners]
        draw.polygon(points, fill=fill)
        draw.line([*points, points[0], points[1]], fill="#ffffff", width=line, joint="curve")
    draw.ellipse((*at(28.5, 28.5), *at(35.5, 35.5)), fill="#ffffff")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _files(site: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site).as_posix()
        source_of_page = name.startswith(_SOURCES) and path.suffix != ".ipynb"
        if (
            path.is_file()
            and name not in _LEFT_OUT
            and path.suffix != ".pdf"
            and not source_of_page
        ):
            yield name, path


def write_list(site: Path) -> str:
    """Write the list of the site's files, with hash and size of each, and the worker of this list.

    Returns the version: the same files have the same.
    """
    files = {}
    for name, path in _files(site):
        content = path.read_bytes()
        files[name] = [hashlib.sha256(content).hexdigest()[:16], len(content)]
    code = (STATIC / "worker.js").read_text("utf-8")
    text = json.dumps(files, separators=(",", ":"))
    version = hashlib.sha256((code + text).encode()).hexdigest()[:16]
    (site / "offline.json").write_text(f'{{"version":"{version}","files":{text}}}\n', "utf-8")
    (site / "sw.js").write_text(f'self.BOOK_VERSION="{version}";\n{code}', "utf-8")
    return version


def write(app: Sphinx) -> None:
    """Write everything into the finished site."""
    site = Path(app.outdir)
    icons = site / "_static" / "icons"
    icons.mkdir(exist_ok=True)
    for size in (180, 192, 512):
        draw_icon(size).save(icons / f"icon-{size}.png", optimize=True)
    draw_icon(512, maskable=True).save(icons / "maskable-512.png", optimize=True)
    manifest = {
        "id": "./",
        "name": app.config["html_title"],
        "short_name": "CNNs & autoencoders",
        "start_url": f"./{app.config['root_doc']}.html",
        "scope": "./",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": COLOUR,
        "lang": app.config["language"],
        "icons": [
            {"src": f"_static/icons/{name}.png", "sizes": size, "type": "image/png"} | purpose
            for name, size, purpose in (
                ("icon-192", "192x192", {}),
                ("icon-512", "512x512", {}),
                ("maskable-512", "512x512", {"purpose": "maskable"}),
            )
        ],
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (site / "manifest.webmanifest").write_text(text + "\n", "utf-8")
    write_list(site)
