"""`python -m companion.site.notebooks [--check] [book]`: notebooks for Colab, Binder, JupyterLab.

Beside every chapter (a MyST Markdown notebook with a kernelspec) an .ipynb is written without
outputs, in which what only the book can show (admonitions, exercises, citations, references …) is
plain Markdown, and whose first code cell sees to it that `companion` can be imported. The same
chapter always gives the same bytes. `--check` names the notebooks that are out of step.
"""

import argparse
import hashlib
import re
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import nbformat
import yaml
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbformat import NotebookNode
from packaging.version import Version

from companion.site.plain_markdown import EXTENSIONS, Converter, Page, Pages

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
{when_slow}

set_up()"""

# For chapters that train.
HINT = """\
    if "google.colab" in sys.modules and not gpu:
        print("Faster with a GPU: Runtime → Change runtime type, then run all cells again.")
"""

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


def bootstrap(repository: "Repository", *, wants_gpu: bool) -> str:
    """The first code cell: makes `companion` importable, says which device there is.

    With an address it installs what is missing from there, holding torch, torchvision, NumPy and
    protobuf at the installed versions; without one it says how to install from a local copy. Where
    a GPU is wanted and Colab gave none, it says how to get one.
    """
    address = f"git+{repository.url}@{repository.tag or repository.branch}"
    missing = INSTALL.format(address=address) if repository.url else EXPLAIN
    return SET_UP.format(
        when_missing=textwrap.indent(missing, " " * 8), when_slow=HINT if wants_gpu else ""
    )


@dataclass(frozen=True)
class Repository:
    """Where the book lives, from `_config.yml`; `url` is empty while it has no address.

    Attributes:
        url: address of the repository's page, which is what git clones too.
        branch: the branch that readers see.
        folder: the book's folder inside the repository.
        tag: the release whose package the set-up cell installs; empty: the branch's.
        services: addresses of those that run notebooks, as `launch_buttons` in `_config.yml` has
            them: `colab_url`, `kaggle_url`, `binderhub_url`.
    """

    url: str
    branch: str
    folder: str
    tag: str = ""
    services: Mapping[str, str] = field(default_factory=dict)

    def source_link(self, name: str) -> str:
        """Address of a file of the book for people to read."""
        host = urlsplit(self.url).hostname or ""
        middle = "/-/blob/" if "gitlab" in host else "/blob/"
        return f"{self.url}{middle}{self.branch}/{self.folder}/{name}"

    def launch_links(self, name: str, cell: str = "") -> dict[str, str]:
        """Addresses that open a notebook, by service, the quickest first.

        Args:
            name: the notebook's file name.
            cell: id of the cell to show, for Colab. (JupyterLab 4.6, which Binder opens, drops it
                from an address when it starts with an empty workspace.)
        """
        parts = urlsplit(self.url)
        project, file = parts.path.strip("/"), f"{self.folder}/{name}"
        links = {}
        if parts.hostname == "github.com":  # Colab and Kaggle know no other
            if colab := self.services.get("colab_url"):
                links["Colab"] = f"{colab.rstrip('/')}/github/{project}/blob/{self.branch}/{file}"
                links["Colab"] += f"#scrollTo={cell}" * bool(cell)
            if kaggle := self.services.get("kaggle_url"):
                source = f"{self.url}/blob/{self.branch}/{file}"
                links["Kaggle"] = f"{kaggle.rstrip('/')}/kernels/welcome?src={source}"
        if self.url and (binder := self.services.get("binderhub_url")):
            known = {"github.com": f"gh/{project}", "gitlab.com": f"gl/{quote(project, '')}"}
            where = known.get(parts.hostname or "", f"git/{quote(self.url, '')}")
            place = quote(f"lab/tree/{file}")
            links["Binder"] = f"{binder.rstrip('/')}/v2/{where}/{self.branch}?urlpath={place}"
        return links


class Book:
    """The chapters of a folder, and the notebooks made of them.

    Args:
        folder: holds the chapters, `references.bib`, and `_config.yml` (or the folder above does).

    Raises:
        ValueError: no such folder or `_config.yml`, or the book is built with MyST extensions that
            the notebooks do not know.
    """

    def __init__(self, folder: Path) -> None:
        candidates = [folder / "_config.yml", folder.resolve().parent / "_config.yml"]
        config = next((path for path in candidates if path.is_file()), None)
        if config is None:
            raise ValueError(f"{folder}: expected a book's folder, with _config.yml in or above it")
        settings = yaml.safe_load(config.read_text("utf-8")) or {}
        self.title = str(settings.get("title") or "this book")
        self.repository = _repository(settings, config, folder)
        enabled = set((settings.get("parse") or {}).get("myst_enable_extensions", []))
        if enabled != EXTENSIONS:
            raise ValueError(
                f"{config}: expected myst_enable_extensions {sorted(EXTENSIONS)}, which is what "
                f"the notebooks know, got {sorted(enabled)}"
            )
        self.pages = Pages(folder)

    def notebooks(self) -> dict[Path, str]:
        """The text of every notebook, by the path where it belongs.

        Raises:
            ValueError: a chapter holds something that has no form in a notebook (the message says
                where: file, line, what).
        """
        self.pages.collect_labels(_cells)
        return {
            page.path.with_suffix(".ipynb"): self._notebook(page) for page in self.pages.notebooks
        }

    def _notebook(self, page: Page) -> str:
        cells = self._opening(page, _cells(Converter(self.pages, page)))
        seen: Counter[str] = Counter()
        for cell in cells:
            if "id" in cell:  # an exercise: pages link to it by its label
                continue
            content = f"{cell['cell_type']}\0{cell['source']}"
            seen[content] += 1
            cell["id"] = hashlib.sha256(f"{seen[content]}\0{content}".encode()).hexdigest()[:12]
        metadata: dict[str, Any] = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        if _wants_gpu(page):
            metadata["accelerator"] = "GPU"
        notebook = nbformat.from_dict(
            {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
        )
        nbformat.validate(notebook)
        return str(nbformat.writes(notebook)).rstrip("\n") + "\n"

    def _opening(self, page: Page, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Title, where the notebook comes from, set-up, then the chapter."""
        title = f"# {page.title}"
        if cells and cells[0]["source"].split("\n\n", 1)[0] == title:
            cells[0]["source"] = cells[0]["source"].removeprefix(title).lstrip("\n")
            cells = cells if cells[0]["source"] else cells[1:]
        path = f"`{self.repository.folder}/{page.path.name}`"
        if self.repository.url:
            path = f"[{path}]({self.repository.source_link(page.path.name)})"
        note = (
            f"This notebook is generated from {path} of *{self.title}*; changes belong there. Its "
            "first code cell sees to it that `companion`, the library of the book, is at hand."
        )
        if colab := self.repository.launch_links(f"{page.name}.ipynb").get("Colab"):
            note += f" [Open it in Colab]({colab})."
        set_up = _code_cell(bootstrap(self.repository, wants_gpu=_wants_gpu(page)), folded=True)
        return [_markdown_cell(f"{title}\n\n{note}"), set_up, *cells]


def _wants_gpu(page: Page) -> bool:
    """Whether the chapter trains long enough to ask for a GPU: `colab: {gpu: true}` on top."""
    return bool((page.metadata.get("colab") or {}).get("gpu"))


def source_cells(page: Page) -> Iterator[tuple[NotebookNode, int]]:
    """The cells that the book runs or shows, each with the number of its first line in the file."""
    config = MdParserConfig(enable_extensions=EXTENSIONS)
    source = read_myst_markdown_notebook(page.text, config, add_source_map=True)
    lines = page.text.split("\n")
    for cell, line in zip(source.cells, source.metadata["source_map"], strict=True):
        if cell.cell_type == "markdown":
            line += next(i for i, row in enumerate(lines[line:]) if row) + 1
        yield cell, line


def _cells(converter: Converter) -> list[dict[str, Any]]:
    """The cells of a chapter's notebook."""
    cells: list[dict[str, Any]] = []
    for cell, line in source_cells(converter.page):
        if cell.cell_type == "markdown":
            if plain := converter.cell(cell.source.split("\n"), line):
                cells += _cells_of_text(plain, converter.exercises)
        elif cell.cell_type == "code" and cell.metadata in ({}, {"tags": ["hide-input"]}):
            solution = converter.solution
            folded = solution is not None or "tags" in cell.metadata
            cells.append(_code_cell(_headed(cell.source, solution), folded=folded))
        else:
            what = f"a cell of code with {dict(cell.metadata)}"
            if cell.cell_type != "code":
                what = f"a {{{cell.cell_type}-cell}}"
            raise converter.error(line, f"{what} has no form in a notebook")
    if end := converter.finish():
        cells.append(_markdown_cell(end))
    return cells


def _cells_of_text(text: str, exercises: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Markdown as cells: each exercise begins one of its own, which has its label as id."""
    lines: list[str] = []
    label = ""

    def finished() -> Iterator[dict[str, Any]]:
        if source := "\n".join(lines).strip("\n"):
            cell = _markdown_cell(source)
            # Colab has its own place for ids.
            yield {**cell, "id": label, "metadata": {"id": label}} if label else cell

    for line in text.split("\n"):
        if line in exercises:
            yield from finished()
            lines, label = [], exercises[line]
        lines.append(line)
    yield from finished()


def _headed(code: str, solution: str | None) -> str:
    """Code of a solution, under a title that stays when Colab folds it away."""
    if not solution or code.startswith("%%"):  # a cell magic has to stay the first line
        return code
    return f"# @title {solution}\n{code}"


def _code_cell(source: str, *, folded: bool) -> dict[str, Any]:
    """A cell of code, which JupyterLab and Colab fold away if asked."""
    metadata = {"cellView": "form", "jupyter": {"source_hidden": True}} if folded else {}
    cell = {"cell_type": "code", "source": source, "metadata": metadata}
    return {**cell, "execution_count": None, "outputs": []}


def _markdown_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def _repository(settings: dict[str, Any], config: Path, folder: Path) -> Repository:
    entry = settings.get("repository") or {}
    url = str(entry.get("url") or "").rstrip("/")
    branch = str(entry.get("branch") or "")
    if url and not branch:
        raise ValueError(f"{config}: expected repository.branch beside repository.url, got none")
    inside = str(entry.get("path_to_book") or "").strip("/") or folder.resolve().name
    services = settings.get("launch_buttons") or {}
    return Repository(
        url, branch, inside, release_tag(config.with_name("pyproject.toml")), services
    )


def release_tag(project: Path) -> str:
    """The git tag of the version in a pyproject.toml, its only place; "" between two releases.

    Version 1.2.0 is released as v1.2.0; while it is in the making, the version is 1.2.0.dev0.
    """
    version = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
    return "" if Version(version).is_devrelease else f"v{version}"


def exercise_cells(notebook: Path) -> dict[str, str]:
    """The exercises of a notebook: id of the cell by name, such as "Exercise 12.1"."""
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if title := re.match(r"#+ (Exercise [\d.]+)", cell.source):
            found[title[1]] = cell.get("id", "")
    return found


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
