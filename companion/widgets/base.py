"""What every live widget shares: its bundled front end, what a page needs, files on request."""

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from companion.figures import data_url
from companion.widgets.settings import settings

STATIC = Path(__file__).resolve().parent / "static"
MIME_TYPE = "application/vnd.companion.widget+json"


@cache
def _built(name: str) -> bytes:
    """A file that the front-end build made.

    Raises:
        RuntimeError: it was not built.
    """
    try:
        return (STATIC / name).read_bytes()
    except FileNotFoundError:
        raise RuntimeError(
            f"the widgets' {name} is not built: run `python -m companion.site.frontend` in the "
            "clone of the book (an installed package brings it)"
        ) from None


def _text(name: str) -> str:
    """A built file's text, "" as long as it is not built."""
    return _built(name).decode() if (STATIC / name).is_file() else ""


class LiveWidget(anywidget.AnyWidget):
    """A widget that a kernel shows and that a page of the book shows without one.

    A subclass names its JavaScript module (`module`), declares what the module reads as traits
    tagged `sync=True`, and says in a line what there is to see (`describe`). It can be made, set
    and asked for numbers without the front end; to show it the bundle must be built.
    """

    module: ClassVar[str]
    #: A page loads its module when a reader touches it, not when it comes near the window: for one
    #: that is large, or that does nothing before a button is pressed (marked data-wakes).
    lazy: ClassVar[bool] = False

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    # In the state rather than sent on request: a kernel that runs the next cell answers nobody.
    _files = traitlets.Dict().tag(sync=True)

    def __init__(self, models: Sequence[Path] = (), **state: Any) -> None:
        """`models`: exported files named by their SHA-256; a page of the book loads them itself."""
        self._models = {path.stem: path for path in models}
        files = {name: path.read_bytes() for name, path in self._models.items()}
        super().__init__(_files=files, **state)
        self.on_msg(self._answer)

    @traitlets.default("_esm")
    def _module_source(self) -> str:
        return _text(f"{self.module}.js")

    @traitlets.default("_css")
    def _style_source(self) -> str:
        return _text("widgets.css")

    def describe(self) -> str:
        """One line for a place that shows text only."""
        raise NotImplementedError

    def stills(self) -> dict[str, bytes]:
        """Pictures (`figures.encode_image`) for canvases that take a model to draw.

        By the canvas's `data-still`.

        Everything else that a page shows before any script runs is drawn by the module itself.
        """
        return {}

    def page_state(self) -> dict[str, Any]:
        """The traits that the JavaScript module reads, as JSON can hold them."""
        own = set(self.traits(sync=True)) - set(anywidget.AnyWidget.class_traits(sync=True))
        return {name: getattr(self, name) for name in sorted(own) if not name.startswith("_")}

    def __repr__(self) -> str:
        return self.describe()

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if not self._esm:  # made before the front end was built
            self._esm = _built(f"{self.module}.js").decode()
            self._css = _built("widgets.css").decode()
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if bundle is not None else ({"text/plain": repr(self)}, {})
        data[MIME_TYPE] = {
            "widget": self.module,
            "state": self.page_state(),
            "stills": {slot: data_url(file) for slot, file in self.stills().items()},
            "assets": sorted(self._models),
            "lazy": self.lazy,
            "settings": settings(self),
        }
        return data, metadata

    def _answer(self, _: Any, message: Any, __: Any) -> None:
        """Send a file of the engine that the front end asks for, as it must on Colab or VS Code."""
        if not isinstance(message, dict) or message.get("kind") != "asset":
            return
        name = str(message.get("name"))
        try:
            data = _engine_file(name)
        except (RuntimeError, KeyError) as error:
            reason = f"no file is called {name}" if isinstance(error, KeyError) else str(error)
            self.send({"kind": "asset-missing", "name": name, "why": reason})
        else:
            self.send({"kind": "asset", "name": name}, buffers=[data])


def _engine_file(name: str) -> bytes:
    """The engine's code or wasm, gzipped, out of the script that pages load it from."""
    script = _built({"engine": "engine.js", "engine-wasm": "engine-wasm.js"}[name])
    return base64.b64decode(script.split(b'"')[3])
