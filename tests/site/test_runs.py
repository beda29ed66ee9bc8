"""What a chapter's run depends on, and which runs a new state of the package takes over."""

import ast
import re
import shutil

import nbformat.v4 as nbf
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

from companion.site import runs
from conftest import ROOT, book_pages

PACKAGE = {
    "companion/__init__.py": "",
    "companion/site/x.py": "1",
    "companion/models/__init__.py": "from companion.models.vae import VAE",
    "companion/models/vae.py": "def load():\n    import companion.paths",
    "companion/paths.py": "",
    "companion/widgets/__init__.py": (
        "from companion.widgets.one import One\nfrom companion.widgets.two import Two"
    ),
    "companion/widgets/base.py": "",
    "companion/widgets/one.py": "from companion.widgets.base import Base",
    "companion/widgets/two.py": "from companion.models import VAE",
    "companion/exercises/__init__.py": "from importlib import import_module",
    "companion/exercises/vae.py": "",
    "companion/exercises/gan.py": "",
    "data/w": "1",
    "requirements.lock": "1",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in a folder of its own."""
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_fingerprint_follows_package_and_data(package):
    first = runs.kernel_fingerprint()
    (package / "companion/site/x.py").write_text("2")
    (package / "data/downloads").mkdir()
    (package / "data/downloads/mnist").write_text("2")
    assert runs.kernel_fingerprint() == first, "the site's code does not run in kernels"
    seen = {first}
    for name in ("companion/paths.py", "data/w", "requirements.lock"):
        (package / name).write_text("2")
        seen.add(runs.kernel_fingerprint())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import math", []),
        ("from companion.widgets import One", ["", "widgets/base", "widgets/one"]),
        ("def f():\n    from companion import paths", ["", "paths"]),
        ("import companion.models.vae", ["", "models/", "models/vae", "paths"]),
        (
            "from companion.widgets import Two",
            ["", "models/", "models/vae", "paths", "widgets/two"],
        ),
        (
            "from companion.exercises import check\ncheck('vae.kl', 1)",
            ["", "exercises/", "exercises/vae"],
        ),
    ],
)
def test_a_chapter_reaches_what_it_imports_and_what_that_does(package, code, files):
    found = {str(p.relative_to(package / "companion"))[:-3] for p in runs.reached(code)}
    assert found == {re.sub(r"(^|/)$", r"\1__init__", name) for name in files}


@pytest.mark.parametrize(
    "code", ["%matplotlib inline", "import companion.widgets", "from companion.widgets import *"]
)
def test_what_can_not_be_told_apart_reaches_all_widgets(package, code):
    names = {path.name for path in runs.reached(code)}
    assert {"one.py", "two.py", "base.py", "vae.py"} <= names


def test_only_what_is_reached_changes_a_runs_fingerprint(package):
    chapters = ["from companion.widgets import One", "from companion.widgets import Two"]
    one, two = runs.run_fingerprints(chapters)
    (package / "companion/widgets/three.py").write_text("")
    (package / "companion/widgets/__init__.py").write_text(
        PACKAGE["companion/widgets/__init__.py"] + "\nfrom companion.widgets.three import Three"
    )
    assert runs.run_fingerprints(chapters) == [one, two], "a new widget concerns no other chapter"
    (package / "companion/models/vae.py").write_text("")
    same, other = runs.run_fingerprints(chapters)
    assert (same == one, other == two) == (True, False)
    (package / "data/w").write_text("2")
    assert runs.run_fingerprints(chapters)[0] != one


def test_runs_are_taken_over_with_their_models(tmp_path):
    first, second = (
        nbf.new_notebook(cells=[nbf.new_code_cell(code)]) for code in ("6 * 7", "6 * 8")
    )
    data = {"execution_seconds": 3}
    old = get_cache(tmp_path / "old" / "notebooks")
    runs.take_over(old, {"a.md": ("print-a", first), "b.md": ("print-b", second)})
    for path, notebook in (("a.md", first), ("b.md", second)):
        old.cache_notebook_bundle(CacheBundleIn(notebook, path, data=data), check_validity=False)
    (tmp_path / "old" / "models").mkdir()
    (tmp_path / "old" / "models" / "m.onnx").write_text("m")
    (tmp_path / "stranger").mkdir()  # of a state that noted nothing

    new = get_cache(tmp_path / "new" / "notebooks")
    chapters = {"a.md": ("print-a", first), "b.md": ("changed", second)}
    assert runs.take_over(new, chapters) == ["a.md"]
    assert runs.has_run(new, first)
    assert not runs.has_run(new, second)
    assert new.match_cache_notebook(first).data == data
    assert (tmp_path / "new" / "models" / "m.onnx").read_text() == "m"
    assert runs.take_over(new, chapters) == [], "what is there needs no other's"

    # A state of which nothing is left but its notes has no runs.
    for name in ("old", "new"):
        shutil.rmtree(tmp_path / name / "notebooks")
    newest = get_cache(tmp_path / "newest" / "notebooks")
    assert runs.take_over(newest, chapters) == []


class TestTheRealPackage:
    def test_modules_are_imported_by_name_in_known_places_only(self):
        """What `reached` can't see: `check` imports exercises, `library` torchvision."""
        dynamic = re.compile(r"\bimport_module\b|\b__import__\b|\brunpy\b|\bexec_module\b")
        files = (ROOT / "companion").rglob("*.py")
        found = {
            str(path.relative_to(ROOT / "companion"))
            for path in files
            if "site" not in path.parts and dynamic.search(path.read_text("utf-8"))
        }
        assert found == {"exercises/__init__.py", "library.py"}

    def test_the_package_of_widgets_only_hands_them_on(self):
        tree = ast.parse((ROOT / "companion" / "widgets" / "__init__.py").read_text("utf-8"))
        doc, *rest, names = tree.body
        assert isinstance(doc, ast.Expr)
        assert all(isinstance(node, ast.ImportFrom) for node in rest)
        assert isinstance(names, ast.Assign)

    def test_each_chapter_is_plain_python_and_reaches_its_exercises(self):
        for name in (name for name in book_pages() if re.match(r"\d", name)):
            text = (ROOT / "book" / f"{name}.md").read_text("utf-8")
            cells = re.findall(r"^```\{code-cell\}.*\n(?:^:.*\n)*((?s:.*?))^```$", text, re.M)
            found = {str(p.relative_to(ROOT / "companion")) for p in runs.reached("\n".join(cells))}
            own = {f"exercises/{kind}.py" for kind in re.findall(r'check\("(\w+)\.', text)}
            assert own <= found, name
            assert len(found) < len(runs.reached("%magic")), name
