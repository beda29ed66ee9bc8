"""From a page to its notebook: the launch buttons, and a line in each exercise that leads there."""

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx_exercise.nodes import exercise_enumerable_node

from companion.site.notebooks import Repository, exercise_cells

#: Of each service: its logo in the theme, and what is worth knowing before one presses its button.
_SERVICES = {
    "Colab": (
        "_static/images/logo_colab.png",
        "Open in Colab: starts at once, needs a Google account",
    ),
    "Kaggle": (
        "fas fa-play",
        "Open in Kaggle: needs an account there, and the Internet switched on in its settings",
    ),
    "Binder": (
        "_static/images/logo_binder.svg",
        "Open on Binder: no account, but wait some minutes until it has started",
    ),
}
#: Where a name alone has to say it.
_NAMES = {"Binder": "Binder (wait some minutes)"}


def configure(config: Config) -> None:
    """Take the services out of the theme's options: its own buttons put Binder first."""
    config["companion_services"] = config["html_theme_options"].pop("launch_buttons", None) or {}


def _repository(app: Sphinx) -> Repository:
    theme = app.config["html_theme_options"]
    return Repository(
        url=str(theme.get("repository_url") or "").rstrip("/"),
        branch=str(theme.get("repository_branch") or ""),
        folder=str(theme.get("path_to_docs") or "").strip("/"),
        services=app.config["companion_services"],
    )


def add_buttons(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Give a chapter a button for each service that can run its notebook."""
    notebook = f"{pagename}.ipynb"
    if not (Path(app.srcdir) / notebook).exists():
        return
    buttons = [
        {
            "type": "link",
            "text": _NAMES.get(name, name),
            "tooltip": _SERVICES[name][1],
            "icon": _SERVICES[name][0],
            "url": url,
        }
        for name, url in _repository(app).launch_links(notebook).items()
    ]
    if buttons:
        group = {"type": "group", "tooltip": "Run this chapter", "icon": "fas fa-rocket"}
        context["header_buttons"].append({**group, "buttons": buttons, "label": "launch-buttons"})


def lead_to_notebook(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """End each exercise of a page with where it is in the notebook."""
    notebook = Path(app.srcdir) / f"{docname}.ipynb"
    exercises = list(doctree.findall(exercise_enumerable_node))
    if app.builder.format != "html" or not exercises or not notebook.exists():
        return
    cells = exercise_cells(notebook)
    numbers = app.env.toc_fignumbers.get(docname, {}).get("exercise", {})
    for exercise in exercises:
        number = next((numbers[name] for name in exercise["ids"] if name in numbers), ())
        name = f"Exercise {'.'.join(map(str, number))}"
        if name in cells:
            links = _repository(app).launch_links(notebook.name, cells[name])
            links.pop("Kaggle", None)  # which can't be told where to open
            text = next(exercise.findall(nodes.section), exercise)
            text += nodes.raw("", _line(name, notebook.name, links), format="html")


def _line(exercise: str, notebook: str, links: dict[str, str]) -> str:
    ways = [
        f'<a href="{escape(url)}">{escape(_NAMES.get(name, name))}</a>'
        for name, url in links.items()
    ]
    ways.append(f'<a href="_sources/{escape(notebook)}" download>download</a>')
    text = f"In the notebook, under “{exercise}”: {' · '.join(ways)}"
    return f'<p class="in-notebook">{text}</p>'


def setup(app: Sphinx) -> None:
    """Register the buttons and the exercises' lines."""
    app.add_config_value("companion_services", {}, "html", dict)
    app.connect("doctree-resolved", lead_to_notebook)
    # Behind the theme's own buttons, which make the list that these join.
    app.connect("html-page-context", add_buttons, priority=502)
