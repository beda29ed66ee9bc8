"""What a chapter's run depends on, and runs that stay valid when something else changes.

A state of the package, the weights and the locked libraries has a folder of its own for executed
notebooks and the models that they export. Most changes touch few chapters: a new widget none but
the one that shows it. So each folder notes what its runs depend on, and a new state takes over
those runs for which all of that is as it was.
"""

import ast
import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import JupyterCacheBase
from nbformat import NotebookNode

from companion.site.frontend import ROOT

_NOTES = "runs.json"

# A package that only hands names on: to import one of them depends on that one's module alone.
_HANDS_ON = ("companion.widgets",)


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, and of all files in folders."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" not in file.parts:
                total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


def kernel_fingerprint() -> str:
    """What executed notebooks depend on beside their own cells: package, weights, lock file."""
    return digest([*_package(), *_beside_the_package()])


def run_fingerprints(cells: Iterable[str]) -> list[str]:
    """Of chapters' code: what their runs depend on, of the package only what they can reach."""
    beside = digest(_beside_the_package())
    return [digest(sorted(reached(code))) + beside for code in cells]


def reached(code: str) -> set[Path]:
    """The package's files that a chapter's code can come to: what it imports, and what that does.

    And the exercises whose name it has in quotes, for `check` imports those by name. All files,
    if it is no plain Python.
    """
    try:
        waiting = list(_imports(code))
    except SyntaxError:
        return set(_package())
    chapters = re.findall(r"""["'](\w+)\.\w+["']""", code)
    waiting += [("companion.exercises", chapter) for chapter in chapters]
    files: set[Path] = set()
    done: set[tuple[str, str]] = set()
    while waiting:
        module, name = waiting.pop()
        if module.partition(".")[0] != "companion" or (module, name) in done:
            continue
        done.add((module, name))
        if name and _file(f"{module}.{name}"):
            waiting.append((f"{module}.{name}", ""))
            continue
        file = _file(module)
        if file is None:
            continue
        inside = _imports(file.read_text("utf-8"))
        if module in _HANDS_ON:
            handed = [(source, given) for source, given in inside if given == name]
            if handed:
                waiting += handed
                continue
        files.add(file)
        waiting += inside
        above = module.rpartition(".")[0]
        while above in _HANDS_ON:
            above = above.rpartition(".")[0]
        if above:
            waiting.append((above, ""))
    return files


def take_over(
    present: JupyterCacheBase, chapters: dict[str, tuple[str, NotebookNode]]
) -> list[str]:
    """Fill a cache with what earlier states have run and what is still valid.

    Args:
        present: the cache of the present state, in the state's folder.
        chapters: by the chapter's path, its run's fingerprint and its notebook.

    Returns:
        The chapters that were taken over. What all chapters depend on is noted for later states.
    """
    here = present.path.parent
    notes = _notes(here)
    taken = []
    others = [p.parent for p in here.parent.glob(f"*/{_NOTES}") if p.parent != here]
    others.sort(key=lambda folder: (folder / _NOTES).stat().st_mtime, reverse=True)
    for path, (fingerprint, notebook) in chapters.items():
        key = present.create_hashed_notebook(notebook)[1]
        notes[key] = fingerprint
        if has_run(present, notebook):
            continue
        for folder in others:
            if _notes(folder).get(key) != fingerprint:
                continue
            other = JupyterCacheBase(folder / present.path.name)
            if not has_run(other, notebook):
                continue
            bundle = other.get_cache_bundle(other.match_cache_notebook(notebook).pk)
            models = folder / "models"
            if models.is_dir():
                shutil.copytree(models, here / "models", dirs_exist_ok=True)
            run = CacheBundleIn(bundle.nb, path, data=bundle.record.data)
            present.cache_notebook_bundle(run, check_validity=False, overwrite=True)
            taken.append(path)
            break
    (here / _NOTES).write_text(json.dumps(notes, indent=1), "utf-8")
    return taken


def _package() -> list[Path]:
    files = (ROOT / "companion").rglob("*.py")
    return sorted(p for p in files if "site" not in p.relative_to(ROOT).parts)


def _beside_the_package() -> list[Path]:
    # Not what `companion data` has fetched: no chapter's cells read it as they stand.
    weights = sorted(p for p in (ROOT / "data").iterdir() if p.name != "downloads")
    return [*weights, ROOT / "requirements.lock"]


@cache
def _imports(code: str) -> tuple[tuple[str, str], ...]:
    """(module, name that is taken from it, or "") for each import, inside of functions, too."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += ((each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += ((node.module, each.name) for each in node.names)
    return tuple(found)


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _notes(folder: Path) -> dict[str, str]:
    try:
        notes = json.loads((folder / _NOTES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def has_run(runs: JupyterCacheBase, notebook: NotebookNode) -> bool:
    """Whether a notebook with these cells is in a cache."""
    try:
        runs.match_cache_notebook(notebook)
    except KeyError:
        return False
    return True
