"""What may import what: computing, then drawing, then interacting; the build last."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

# A room imports those before it, and itself. Up to `figures` code computes, then it draws, then
# people interact with it; `site` is for the build, and nothing imports it.
ROOMS = (
    "paths", "threads", "jupyter", "library", "published", "datasets", "by_hand", "disentanglement",
    "models", "training", "recipes", "explain", "anomaly", "export", "figures", "diagrams",
    "exercises", "widgets", "doctor", "cli", "site",
)  # fmt: skip
PACKAGE = ROOT / "companion"


def room(module: str) -> str:
    """The room of a module of the package: "companion.models.vae" -> "models"."""
    return module.split(".")[1]


def imports(tree: ast.AST) -> Iterator[str]:
    """The package's modules that are imported, whatever the spelling."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith("companion."))


def when_called(tree: ast.Module) -> set[str]:
    """What functions import when they are called, and type checkers only."""
    later = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, later)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for name in imports(node)
    }


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_one_way(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    tree = ast.parse(path.read_text("utf-8"))
    found = {name for name in imports(tree) if room(name) != here}
    # Something computed may show itself: the method that draws it loads `figures` then.
    shown = {name for name in when_called(tree) if room(name) == "figures"}
    allowed = set(ROOMS[: ROOMS.index(here)])
    wrong = {name for name in found - shown if room(name) not in allowed | {"__version__"}}
    assert not wrong, f"{here} must not import {', '.join(sorted(wrong))}"


def test_every_room_is_named() -> None:
    found = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert found - {"__init__"} == set(ROOMS)
