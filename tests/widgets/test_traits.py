"""Bounded traits, and that the widgets are declared as old traitlets takes it: Colab's kernel."""

import ast
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

from companion.site.frontend import build_frontend
from companion.widgets.traits import Bounded, BoundedInt, Seed
from conftest import ROOT


class Settings(traitlets.HasTraits):
    sigma = Bounded(0.1, 2.5)
    gain = Bounded(0.1, 10, called="n·Var(w)")
    depth = BoundedInt(2, 50, default=30)
    seed = Seed()


numbers = st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=3), st.none())


class TestBounded:
    @given(numbers)
    def test_takes_what_lies_within_and_nothing_else(self, value):
        settings = Settings(sigma=1, depth=3, seed=7)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = number and isinstance(value, int)
        for name, fits, kind in (
            ("sigma", number and 0.1 <= value <= 2.5, float),
            ("depth", whole and 2 <= value <= 50, int),
            ("seed", whole and 0 <= value < 2**32, int),
        ):
            before = getattr(settings, name)
            if fits:
                setattr(settings, name, value)
                assert getattr(settings, name) == value
            else:
                with pytest.raises(ValueError, match=f"^{name} must be .*, not "):
                    setattr(settings, name, value)
                assert getattr(settings, name) == before
            assert type(getattr(settings, name)) is kind

    def test_first_values(self):
        settings = Settings()
        assert (settings.sigma, settings.depth, settings.seed) == (0.1, 30, 0)
        # As any other value it has to fit.
        unfit = type("Unfit", (traitlets.HasTraits,), {"sigma": Bounded(0, 1, default=2)})
        with pytest.raises(ValueError, match="sigma must be a number from 0 to 1, not 2"):
            _ = unfit().sigma

    def test_takes_numpys_numbers_and_tells_who_observes(self):
        settings, seen = Settings(sigma=1.0), []
        settings.observe(lambda change: seen.append(change["new"]), ["sigma", "depth"])
        settings.sigma, settings.depth = np.float32(0.5), np.int64(9)
        assert seen == [0.5, 9]
        assert [type(value) for value in seen] == [float, int]

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"sigma": math.nan}, "sigma must be a number from 0.1 to 2.5, not nan"),
            ({"gain": 11}, "n·Var(w) must be a number from 0.1 to 10, not 11"),
            ({"depth": 2.5}, "depth must be a whole number from 2 to 50, not 2.5"),
            ({"seed": -1}, "seed must be an integer from 0 to 2³² − 1, not -1"),
        ],
    )
    def test_says_what_was_expected_and_what_came(self, values, sentence):
        with pytest.raises(ValueError, match="must") as error:
            Settings(**values)
        assert str(error.value) == sentence


# ------------------------------------------------------------------ Colab's versions


def subscripts_of_traitlets(tree: ast.AST) -> Iterator[ast.Subscript]:
    """Every traitlets.Something[…] in a module, which traitlets before 5.13 can't evaluate."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "traitlets"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            of = node.value
            if isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name):
                if of.value.id == "traitlets":
                    yield node
            elif isinstance(of, ast.Name) and of.id in imported:
                yield node


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import traitlets\nx: traitlets.List[dict[str, int]] = traitlets.List()", 1),
        ("from traitlets import List as L\nx: L[int] = L()", 1),
        ("import traitlets\nx: list[int] = traitlets.List().tag(sync=True)", 0),
    ],
)
def test_subscripts_are_found(code, count):
    assert len(list(subscripts_of_traitlets(ast.parse(code)))) == count


def test_no_class_of_traitlets_is_subscripted():
    for path in sorted((ROOT / "companion").rglob("*.py")):
        found = list(subscripts_of_traitlets(ast.parse(path.read_text("utf-8"))))
        assert not found, f"{path.name}, line {found[0].lineno}: Colab's traitlets 5.7 refuses it"


# What a Colab kernel runs, of its published list; the rest is what these need and newer ones don't.
COLAB = (
    "traitlets==5.7.1", "ipywidgets==7.7.1", "anywidget==0.9.21", "ipykernel==6.17.1",
    "ipython==7.34.0", "ipython-genutils==0.2.0", "decorator==4.4.2", "pickleshare==0.7.5",
    "backcall==0.2.0",
)  # fmt: skip

USE = """
import traitlets
import companion.widgets as widgets

assert traitlets.__version__ == "5.7.1", traitlets.__version__
w = widgets.PosteriorVsPrior()
w.mu = 2
try:
    w.sigma = 9
except ValueError as error:
    print(error)
data = w._repr_mimebundle_()[0]
print(data["text/plain"])
print("application/vnd.jupyter.widget-view+json" in data)
print(type(widgets.CompoundScaling()).__name__, type(widgets.BottleneckCounter()).__name__)
"""


@pytest.mark.slow
def test_widgets_work_with_colabs_versions(tmp_path: Path) -> None:
    build_frontend(quiet=True)
    install = ["-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), *COLAB]
    done = subprocess.run([sys.executable, *install], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip could not fetch Colab's versions: {done.stderr.strip()[-200:]}")
    paths = [str(tmp_path), str(ROOT)]
    used = subprocess.run(
        [sys.executable, "-c", USE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert used.returncode == 0, used.stderr
    assert used.stdout.splitlines() == [
        "sigma must be a number from 0.1 to 2.5, not 9",
        "PosteriorVsPrior: q = N(2.00, 0.50²), p = N(0, 1), KL 2.318 nats",
        "True",
        "CompoundScaling BottleneckCounter",
    ]
