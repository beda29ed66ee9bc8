"""What a live widget shows before any script runs: its own JavaScript, run while the book is built.

The HTML comes from the widget's render() on its state (prerender.mjs), so its numbers, words and
pictures are those of the live widget at rest. Controls in it are inert.
"""

import re
from typing import Any

from companion.site.frontend import STATIC
from companion.site.node import NodeProgram

_PROGRAM = NodeProgram("the program that draws widgets", "companion/site/prerender.mjs")


def still_html(content: dict[str, Any], mark: str) -> str:
    """The still picture of a widget.

    Args:
        content: what the widget's mime bundle holds (`LiveWidget._repr_mimebundle_`).
        mark: what the ids in it begin with; no other picture in the page may have it.

    Raises:
        ValueError: the widget's JavaScript fails on this state; the message says how.
    """
    request = {
        "module": (STATIC / f"{content['widget']}.js").as_uri(),
        "state": content["state"],
        "stills": content["stills"],
        "mark": mark,
    }
    try:
        html: str = _PROGRAM.ask(request)["html"]
    except ValueError as error:
        raise ValueError(f"the widget {content['widget']} could not be drawn: {error}") from None
    return html


def without_repeats(state: dict[str, Any], html: str) -> dict[str, Any]:
    """The state with {"$img": k} for each picture that the k-th <img> of `html` holds already.

    The page has each picture once; js/runtime/host.js puts them back.
    """
    # prerender.mjs writes src first, and a quote in any other text would be escaped.
    places: dict[str, int] = {}
    for place, source in enumerate(re.findall(r'<img src="([^"]*)"', html)):
        places.setdefault(source, place)

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: replaced(entry) for name, entry in value.items()}
        if isinstance(value, list | tuple):
            return [replaced(entry) for entry in value]
        if isinstance(value, str) and value.startswith("data:") and value in places:
            return {"$img": places[value]}
        return value

    result: dict[str, Any] = replaced(state)
    return result
