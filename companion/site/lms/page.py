"""`{question-bank}`: links to the two files, and that the built site has them."""

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.site.lms import FOLDER, MOODLE, QTI, write

_FILES = {
    MOODLE: "Moodle XML, for Moodle's question bank",
    QTI: "an IMS QTI 2.1 package, for other systems",
}


class QuestionBankDirective(SphinxDirective):
    """The links; the files are written when all pages are."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Build the list of links."""
        self.env.metadata[self.env.docname].setdefault("companion", {})["questions"] = ["yes"]
        items = nodes.bullet_list()
        for name, what in _FILES.items():
            link = f'<a href="{FOLDER}/{name}" download>{name}</a>'
            line = nodes.paragraph(
                "", "", nodes.raw("", link, format="html"), nodes.Text(f": {what}")
            )
            items += nodes.list_item("", line)
        return [items]


def provide(app: Sphinx) -> None:
    """Write the files beside the pages, if a page links to them and they are not up to date."""
    metadata = app.env.metadata.values()
    if not any(meta.get("companion", {}).get("questions") for meta in metadata):
        return
    book, built = Path(app.srcdir), Path(app.outdir)
    pages = [built / f"{name}.html" for name in app.env.found_docs]
    sources = [*book.glob("*.md"), *pages, *Path(__file__).parent.glob("*.py")]
    newest = max(path.stat().st_mtime for path in sources if path.exists())
    targets = [built / FOLDER / name for name in _FILES]
    if all(path.exists() and path.stat().st_mtime >= newest for path in targets):
        return
    write(book, built, built / FOLDER)


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("question-bank", QuestionBankDirective)
