"""`python -m companion.site.notebooks [--check] [book]`: notebooks for Colab, Binder, JupyterLab.

Beside every chapter (a MyST Markdown notebook with a kernelspec) an .ipynb is written without
outputs, in which what only the book can show (admonitions, exercises, citations, references …) is
plain Markdown, and whose first code cell sees to it that `companion` can be imported. The same
chapter always gives the same bytes. `--check` names the notebooks that are out of step.
"""

import argparse
import hashlib
import json
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import yaml
from myst_nb.core.read import read_myst_markdown_notebook

from companion.site.plain_markdown import Converter, Page, Pages

HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}

SET_UP = """\
# @title Set-up: run this cell first
def set_up():
    import importlib.util
    import sys

    if importlib.util.find_spec("companion") is None:
{when_missing}

    import companion
    import torch

    gpu = torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator().type if gpu else "cpu"
    print(f"companion {{companion.__version__}}, torch {{torch.__version__}}, device: {{device}}")
    if "google.colab" in sys.modules and not gpu:
        print("Faster with a GPU: Runtime → Change runtime type, then run all cells again.")


set_up()"""

INSTALL = """\
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

print("Installing companion, the library of this book …")
kept = []  # Colab keeps the torch that fits its GPU, and what its own packages need
for name in ("torch", "torchvision", "numpy", "protobuf"):
    try:
        kept.append(f"{{name}}=={{metadata.version(name)}}")
    except metadata.PackageNotFoundError:
        pass
with tempfile.TemporaryDirectory() as folder:
    constraints = Path(folder, "constraints.txt")
    constraints.write_text("\\n".join(kept))
    command = [sys.executable, "-m", "pip", "install", {address!r}]
    command += ["--constraint", str(constraints), "--progress-bar", "off"]
    pip = subprocess.run(command, capture_output=True, text=True)
if pip.returncode:
    raise RuntimeError(f"pip could not install companion:\\n{{pip.stdout}}\\n{{pip.stderr}}")
importlib.invalidate_caches()"""

EXPLAIN = """\
raise ModuleNotFoundError(
    "companion, the library of this book, is missing here. Install it from your copy of the "
    "project (pip install path/to/the/project), restart the kernel and run this cell again."
)"""


def bootstrap(repository: "Repository") -> str:
    """The first code cell: makes `companion` importable, says which device there is.

    With an address it installs what is missing from there, holding torch, torchvision, NumPy and
    protobuf at the installed versions; without one it says how to install from a local copy.
    """
    address = f"git+{repository.url}@{repository.branch}"
    missing = INSTALL.format(address=address) if repository.url else EXPLAIN
    return SET_UP.format(when_missing=textwrap.indent(missing, " " * 8))


@dataclass(frozen=True)
class Repository:
    """Where the book lives, from `_config.yml`; `url` is empty while it has no address.

    Attributes:
        url: address of the repository's page, which is what git clones too.
        branch: the branch that readers get.
        folder: the book's folder inside the repository.
    """

    url: str
    branch: str
    folder: str

    def source_link(self, name: str) -> str:
        """Address of a file of the book for people to read."""
        host = urlsplit(self.url).hostname or ""
        middle = "/-/blob/" if "gitlab" in host else "/blob/"
        return f"{self.url}{middle}{self.branch}/{self.folder}/{name}"

    def colab_link(self, name: str) -> str | None:
        """Address that opens a notebook in Colab, which knows GitHub only."""
        parts = urlsplit(self.url)
        if parts.hostname != "github.com":
            return None
        path = f"{parts.path.strip('/')}/blob/{self.branch}/{self.folder}/{name}"
        return f"https://colab.research.google.com/github/{path}"


class Book:
    """The chapters of a folder, and the notebooks made of them.

    Args:
        folder: holds the chapters, `references.bib`, and `_config.yml` (or the folder above does).

    Raises:
        ValueError: no such folder or `_config.yml`; or a chapter holds something that has no form
            in a notebook (the message says where: file, line, what).
    """

    def __init__(self, folder: Path) -> None:
        candidates = [folder / "_config.yml", folder.resolve().parent / "_config.yml"]
        config = next((path for path in candidates if path.is_file()), None)
        if config is None:
            raise ValueError(f"{folder}: expected a book's folder, with _config.yml in or above it")
        settings = yaml.safe_load(config.read_text("utf-8")) or {}
        self.title = str(settings.get("title") or "this book")
        self.repository = _repository(settings, config, folder)
        extensions = (settings.get("parse") or {}).get("myst_enable_extensions", [])
        self.pages = Pages(folder, set(extensions))

    def notebooks(self) -> dict[Path, str]:
        """The text of every notebook, by the path where it belongs."""
        self.pages.settle(_cells)
        chapters = [page for page in self.pages.pages.values() if page.is_notebook]
        return {page.path.with_suffix(".ipynb"): self._notebook(page) for page in chapters}

    def _notebook(self, page: Page) -> str:
        cells = self._opening(page, _cells(Converter(self.pages, page, final=True)))
        seen: Counter[str] = Counter()
        for position, cell in enumerate(cells, start=1):
            if cell["cell_type"] == "markdown" and (left := self.pages.left_over(cell["source"])):
                raise ValueError(
                    f"{page.path}: syntax of the book is left in cell {position}: {left!r}"
                )
            content = f"{cell['cell_type']}\0{cell['source']}"
            seen[content] += 1
            cell["id"] = hashlib.sha256(f"{seen[content]}\0{content}".encode()).hexdigest()[:12]
        metadata: dict[str, Any] = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        if (page.metadata.get("colab") or {}).get("gpu"):
            metadata["accelerator"] = "GPU"
        notebook = nbformat.from_dict(
            {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
        )
        nbformat.validate(notebook)
        return str(nbformat.writes(notebook)).rstrip("\n") + "\n"

    def _opening(self, page: Page, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Title, where the notebook comes from, set-up, then the chapter."""
        if cells and cells[0]["cell_type"] == "markdown":
            tokens = self.pages.parser.parse(cells[0]["source"])
            if tokens and tokens[0].tag == "h1" and tokens[0].map:
                rest = cells[0]["source"].split("\n")[tokens[0].map[1] :]
                cells[0]["source"] = "\n".join(rest).strip("\n")
                cells = cells if cells[0]["source"] else cells[1:]
        path = f"`{self.repository.folder}/{page.path.name}`"
        if self.repository.url:
            path = f"[{path}]({self.repository.source_link(page.path.name)})"
        note = (
            f"This notebook is generated from {path} of *{self.title}*; changes belong there. Its "
            "first code cell sees to it that `companion`, the library of the book, is at hand."
        )
        if colab := self.repository.colab_link(f"{page.name}.ipynb"):
            note += f" [Open it in Colab]({colab})."
        set_up = _code_cell(bootstrap(self.repository), _folded({}))
        return [_markdown_cell(f"# {page.title}\n\n{note}"), set_up, *cells]


def _cells(converter: Converter) -> list[dict[str, Any]]:
    """The cells of a chapter; a page that is no notebook has none, but its labels count."""
    page = converter.page
    lines = page.text.split("\n")
    if not page.is_notebook:
        converter.convert(lines[page.start :], page.start + 1, top=True)
        return []
    # The book's own reader: the notebook has the cells which the book runs.
    source = read_myst_markdown_notebook(page.text, converter.book.config, add_source_map=True)
    cells: list[dict[str, Any]] = []
    for cell, line in zip(source.cells, source.metadata["source_map"], strict=True):
        metadata = json.loads(json.dumps(cell.metadata))
        if cell.cell_type == "markdown":
            blank = next(i for i, text in enumerate(lines[line:]) if text)
            text = converter.convert(cell.source.split("\n"), line + blank + 1, top=True)
            if any(text):
                cells.append(_markdown_cell("\n".join(text), metadata))
        elif cell.cell_type == "code":
            figure = metadata.pop("mystnb", {}).get("figure")
            cells.append(_chapter_code(cell.source, metadata, converter.solution))
            if figure:
                caption = converter.caption(figure.get("caption", ""), figure.get("name"), line)
                cells.append(_markdown_cell(caption))
        else:
            raise converter.error(line, "a {raw-cell} has no form in a notebook; use Markdown")
    if end := converter.finish():
        cells.append(_markdown_cell("\n".join(end)))
    return cells


def _chapter_code(source: str, metadata: dict[str, Any], solution: str | None) -> dict[str, Any]:
    tags = metadata.pop("tags", [])
    if HIDDEN & set(tags):
        metadata = _folded(metadata)
    if kept := [tag for tag in tags if tag not in HIDDEN]:
        metadata["tags"] = kept
    if solution:
        metadata = _folded(metadata)
        if not source.startswith("%%"):  # a cell magic has to stay the first line
            source = f"# @title {solution}\n{source}"
    return _code_cell(source, metadata)


def _code_cell(source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": source, "metadata": metadata}
    return {**cell, "execution_count": None, "outputs": []}


def _markdown_cell(source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": metadata or {}}


def _folded(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata of a code cell whose code JupyterLab and Colab fold away."""
    jupyter = {**metadata.get("jupyter", {}), "source_hidden": True}
    return {**metadata, "cellView": "form", "jupyter": jupyter}


def _repository(settings: dict[str, Any], config: Path, folder: Path) -> Repository:
    entry = settings.get("repository") or {}
    url = str(entry.get("url") or "").rstrip("/")
    branch = str(entry.get("branch") or "")
    if url and not branch:
        raise ValueError(f"{config}: expected repository.branch beside repository.url, got none")
    inside = str(entry.get("path_to_book") or "").strip("/") or folder.resolve().name
    return Repository(url, branch, inside)


def write(folder: Path) -> list[Path]:
    """Write the notebook of every chapter of a book's folder; returns those that changed.

    Raises:
        ValueError: see `Book`.
    """
    changed = []
    for path, text in Book(folder).notebooks().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def check(folder: Path) -> list[str]:
    """One sentence for each notebook that is missing, out of step, or without a chapter.

    Raises:
        ValueError: see `Book`.
    """
    notebooks = Book(folder).notebooks()
    problems = [f"{path}: missing" for path in notebooks if not path.exists()]
    problems += [
        f"{path}: out of step with {path.stem}.md"
        for path, text in notebooks.items()
        if path.exists() and path.read_text("utf-8") != text
    ]
    strays = sorted(set(folder.glob("*.ipynb")) - set(notebooks))
    return problems + [f"{path}: no chapter {path.stem}.md with a kernelspec" for path in strays]


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m companion.site.notebooks`; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if out of step"
    )
    parser.add_argument(
        "book", nargs="?", type=Path, default=Path("book"), help="the book's folder"
    )
    options = parser.parse_args(arguments)
    try:
        if not options.check:
            for path in write(options.book):
                print(f"written: {path}")
            return 0
        problems = check(options.book)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("`make notebooks` puts them in step.", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
