"""The Sphinx extension behind the book: live widgets, Plotly, KaTeX, activities, no other host.

Order of things in a build: fingerprint → executed notebooks from a cache that the fingerprint
names, several kernels at a time → pages → the files those pages need, copied last.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

from companion.exercises import TRUTH
from companion.site import (
    execution,
    katex,
    launch,
    notices,
    objectives,
    offline,
    pdf,
    prerender,
    reading_time,
)
from companion.site.activities import order, predict, quiz, recall, task
from companion.site.frontend import ROOT, STATIC, model_scripts, widget_names
from companion.site.lms import page as question_bank
from companion.site.runs import digest, kernel_fingerprint

logger = logging.getLogger(__name__)

WIDGET = "application/vnd.companion.widget+json"
PLOTLY = "application/vnd.plotly.v1+json"

# The text face; book.css says which characters each file is for.
FONTS = [f"inter-{part}-wght-normal.woff2" for part in ("latin", "latin-ext", "greek")]

# A font that is asked for at once is there before the first paint, and nothing jumps. From a folder
# it needs no hurry, and a browser would complain.
PRELOAD = (
    '<script>if(location.protocol!=="file:")document.head.append(Object.assign('
    'document.createElement("link"),{rel:"preload",as:"font",type:"font/woff2",crossOrigin:"",'
    "href:FONT}))</script>"
)

# What any page may load beside the scripts of its own widgets.
PAGE_FILES = (
    "book.js",
    "engine.js",
    "engine-wasm.js",
    "site.js",
    "activities.js",
    "plotly.js",
    "widgets.css",
)

# What other extensions write and screen readers stumble on: a name that differs from the visible
# text, a list role without list items.
FAULTS = {
    '<summary aria-label="Toggle hidden content">': "<summary>",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}

# What the pages may load. `file:` lets a copy opened from a folder work, where 'self' has no
# meaning for some browsers; a page on a web server can't load file: addresses anyway.
SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' file: 'unsafe-inline' 'wasm-unsafe-eval'",
        "style-src 'self' file: 'unsafe-inline'",
        "img-src 'self' file: data: blob:",
        "font-src 'self' file: data:",
        "media-src 'self' file:",
        "connect-src 'self' file: data: blob:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "form-action 'self' file:",
        "base-uri 'self'",
    ]
)


class BookRenderer(NbElementRenderer):
    """Renders notebook outputs, the book's widgets and Plotly figures among them."""

    def render_nb_finalise(self, metadata: dict[str, Any]) -> None:
        """Leave out ipywidgets' own state: the book's widgets carry theirs in their output."""

    def render_mime_type(self, data: MimeData) -> list[nodes.Element]:
        """Render one entry of a mime bundle."""
        if data.mime_type == WIDGET:
            return self._widget(data)
        if data.mime_type == PLOTLY:
            return self._plotly(data)
        if data.mime_type == TRUTH:
            return self._truth(data)
        if data.mime_type == "application/vnd.jupyter.widget-view+json":
            return []  # without a kernel it would be dead; the bundle's plain text stands in
        return list(super().render_mime_type(data))

    @property
    def _env(self) -> BuildEnvironment:
        if self.renderer.sphinx_env is None:
            raise ExtensionError("the book is built with Sphinx only")
        return self.renderer.sphinx_env

    def _note(self, key: str, values: Iterable[str]) -> None:
        needs = self._env.metadata[self._env.docname].setdefault("companion", {})
        needs[key] = sorted({*needs.get(key, ()), *values})

    def _widget(self, data: MimeData) -> list[nodes.Element]:
        content = data.content
        # The page shows what the module draws: it is made anew when the module changes.
        self._env.note_dependency(str(STATIC / f"{content['widget']}.js"))
        self._note("lazy" if content["lazy"] else "widgets", [content["widget"]])
        self._note("models", content["assets"])
        needs = self._env.metadata[self._env.docname]["companion"]
        needs["stills"] = needs.get("stills", 0) + 1
        try:
            html = widget_html(content, f"still-{needs['stills']}")
        except ValueError as error:
            self.logger.warning(str(error), line=data.line, subtype="widget")
            return []
        return [nodes.raw("", html, format="html")]

    def _truth(self, data: MimeData) -> list[nodes.Element]:
        """Keep what a cell tells to a prediction, which shows it when the reader asks."""
        told = self._env.metadata[self._env.docname].setdefault("companion", {})
        told.setdefault("truths", {})[data.content["name"]] = data.content["value"]
        return [nodes.raw("", "", format="html")]

    def _plotly(self, data: MimeData) -> list[nodes.Element]:
        figure = {"data": data.content["data"], "layout": dict(data.content["layout"])}
        alt = (figure["layout"].get("meta") or {}).get("alt")
        if not alt:
            self.logger.warning(
                "a Plotly figure has no alt text (layout.meta['alt']): make it with "
                "companion.figures, which asks for one",
                line=data.line,
                subtype="alt",
            )
        self._note("plotly", ["yes"])
        height = int(figure["layout"].get("height") or 420)
        html = (
            f'<div class="companion-plotly" role="img" aria-label="{escape(str(alt))}" '
            f'style="height:{height}px">'
            f'<script type="application/json">{script_json(figure)}</script></div>'
        )
        return [nodes.raw("", html, format="html")]


def widget_html(content: dict[str, Any], mark: str) -> str:
    """The place of a live widget in a page: its state, and what is shown until it lives.

    `mark` is what this place's ids begin with. Raises ValueError where the widget can't be drawn.
    """
    still = prerender.still_html(content, mark)
    state = script_json(prerender.without_repeats(content["state"], still))
    lazy = f' data-lazy="{_version(content["widget"])}"' if content["lazy"] else ""
    settings = escape(json.dumps(content["settings"], separators=(",", ":")))
    return (
        f'<div class="companion-widget" data-widget="{escape(content["widget"])}"{lazy} '
        f'data-settings="{settings}">'
        f'<script type="application/json">{state}</script>'
        f'<div class="companion-preview">{still}</div></div>'
    )


def _version(widget: str) -> str:
    """Of a widget's script: what its address ends with, so that no browser keeps an old one."""
    return hashlib.sha256((STATIC / f"page-{widget}.js").read_bytes()).hexdigest()[:12]


def script_json(value: object) -> str:
    """JSON that can stand inside a <script> element whatever text it holds."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def configure(app: Sphinx, config: Config) -> None:
    """Set what _config.yml can't: the cache's name, the kernels' surroundings, buttons."""
    cache = Path(app.outdir).parent / ".cache" / kernel_fingerprint()[:16]
    config["nb_execution_cache_path"] = str(cache / "notebooks")
    # A change of the site's own code or of what it bundles makes every page anew.
    config["companion_pages"] = digest([ROOT / "companion" / "site"]) + cache.name
    os.environ["COMPANION_CACHE_DIR"] = str(cache)
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    # Threads that spin for long while they wait make training many times slower on a busy machine;
    # threads that never do, up to three times slower on a quiet one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    launch.configure(config)
    theme = config["html_theme_options"]
    if not theme.get("repository_url"):
        # A button without an address would point at somebody else's repository.
        for key in ("repository_url", "path_to_docs", "repository_branch"):
            theme.pop(key, None)
        for key in [key for key in theme if key.startswith("use_") and key.endswith("_button")]:
            theme[key] = False


# What the theme brings and no page asks for, below _static.
SURPLUS = ("**/*.map", "locales/*/*/*", "*webpack-macros.html", "vendor/**/*.ttf")


def check_execution(app: Sphinx, env: BuildEnvironment) -> None:
    """Fail the build when a chapter, or a cell of it, did not run."""
    for docname in sorted(env.found_docs):
        if "kernelspec" not in env.metadata[docname]:
            continue
        done = NbMetadataCollector.get_exec_data(env, docname)
        if not done or not done["succeeded"] or not done["runtime"]:
            logger.warning("the chapter did not run as a notebook", location=docname)
            continue
        executed = Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"
        cells = json.loads(executed.read_text("utf-8"))["cells"]
        idle = [
            number
            for number, cell in enumerate(cells, start=1)
            if "skip-execution" in cell["metadata"].get("tags", ())
        ]
        if idle:
            logger.warning("cells %s are marked to be skipped", idle, location=docname)


SEARCH_SCRIPTS = re.compile(
    r' *<script src="(_static/searchtools|_static/language_data|searchindex)\.js[^>]*></script>\n'
)


def dress_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Give a page its security policy, the scripts it needs, and its notebook to download."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{SECURITY_POLICY}">'
    font = json.dumps(context["pathto"](f"_static/fonts/{FONTS[0]}", resource=True))
    link = context["pathto"](notices.PAGE)
    licences = f'<a href="{escape(link)}">Licences of what others made</a>'
    context["theme_extra_footer"] = f"<p>{licences}{pdf.PLACE}</p>{offline.BOX}"
    icon = escape(context["pathto"](offline.ICON, resource=True))
    head = (
        policy
        + PRELOAD.replace("FONT", font)
        + offline.HEAD.format(colour=offline.COLOUR, icon=icon)
    )
    context["metatags"] = head + context.get("metatags", "")
    needs = app.env.metadata[pagename].get("companion", {}) if pagename in app.env.metadata else {}
    if needs.get("widgets") or needs.get("lazy"):
        app.add_css_file("companion/widgets.css")
        for name in needs.get("widgets", ()):  # before the host, which looks for them
            app.add_js_file(f"companion/page-{name}.js", loading_method="defer")
        app.add_js_file("companion/book.js", loading_method="defer")
    app.add_js_file("companion/site.js", loading_method="defer")
    if needs.get("activities"):
        app.add_css_file("activities.css")
        app.add_js_file("companion/activities.js", loading_method="defer")
    if "body" in context:
        for fault, mended in FAULTS.items():
            context["body"] = context["body"].replace(fault, mended)
    if (Path(app.srcdir) / f"{pagename}.ipynb").exists():
        context["ipynb_source"] = f"{pagename}.ipynb"


def static_files() -> Iterator[tuple[str, Path]]:
    """Every file that the build adds to _static: (path below _static, source)."""
    yield from katex.katex_files().items()
    inter = ROOT / "node_modules" / "@fontsource-variable" / "inter" / "files"
    for name in FONTS:
        yield f"fonts/{name}", inter / name
    widgets = (f"page-{name}.js" for name in widget_names())
    for name in (*widgets, *PAGE_FILES):
        yield f"companion/{name}", STATIC / name
    yield "scripts/fontawesome.js", STATIC / "icons.js"


def provide_static_files(app: Sphinx) -> None:
    """Copy our files before pages are written, so that Sphinx can stamp their addresses."""
    static = Path(app.outdir) / "_static"
    for name, source in static_files():
        if not name.startswith("scripts/"):  # the theme writes its own there later
            target = static / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Copy what the pages need and what the theme would bring too much of."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    remove_left_out(out, app.env.found_docs)
    for name, source in static_files():
        (out / "_static" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, out / "_static" / name)
    for pattern in SURPLUS:
        for surplus in (out / "_static").glob(pattern):
            surplus.unlink()
    for page in out.glob("*.html"):
        # The theme loads the whole search index on every page, for a search while one types that
        # this book does not have.
        text = page.read_text(encoding="utf-8")
        if page.name != "search.html" and SEARCH_SCRIPTS.search(text):
            page.write_text(SEARCH_SCRIPTS.sub("", text), encoding="utf-8")
    models = {
        m for meta in app.env.metadata.values() for m in meta.get("companion", {}).get("models", ())
    }
    copy_models(models, out / "_static" / "companion" / "models")
    question_bank.provide(app)
    for notebook in sorted(Path(app.srcdir).glob("*.ipynb")):
        if notebook.stem in app.env.found_docs:
            shutil.copyfile(notebook, out / "_sources" / notebook.name)
    pdf.remove_stale(out)
    offline.write(app)


def remove_left_out(site: Path, pages: Iterable[str]) -> None:
    """Remove pages that an earlier build wrote and that the book does not have any more.

    Sphinx leaves them, and whoever publishes the folder would publish a chapter that was left out.
    """
    kept = set(pages)
    for source in (site / "_sources").glob("*.*"):
        if source.stem not in kept:
            source.unlink()
            (site / f"{source.stem}.html").unlink(missing_ok=True)


def copy_models(models: Iterable[str], target: Path) -> None:
    """Write each exported file as classic scripts, which a page opened from a folder can load.

    Raises:
        ExtensionError: a page shows a model that is no longer in the cache.
    """
    target.mkdir(parents=True, exist_ok=True)
    source = Path(os.environ["COMPANION_CACHE_DIR"]) / "models"
    written = set()
    for model in sorted(models):
        file = next(source.glob(f"{model}.*"), None)
        if file is None:
            raise ExtensionError(
                f"the model {model[:12]}… that a page shows is missing from {source}; "
                "run `make clean book` to execute the chapters anew"
            )
        for name, script in model_scripts(model, file.read_bytes()):
            (target / name).write_text(script)
            written.add(name)
    for stale in target.glob("*.js"):
        if stale.name not in written:
            stale.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_config_value("companion_pages", "", "env", str)
    katex.setup(app)
    launch.setup(app)
    for part in (quiz, predict, task, recall, order, objectives, reading_time, question_bank):
        part.setup(app)
    app.connect("config-inited", configure, priority=10)
    app.connect("env-before-read-docs", execution.execute_chapters)
    app.connect("env-updated", check_execution)
    app.connect("html-collect-pages", notices.pages)
    app.connect("html-page-context", dress_page, priority=10)
    app.connect("build-finished", finish, priority=900)
    app.connect("builder-inited", provide_static_files)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
