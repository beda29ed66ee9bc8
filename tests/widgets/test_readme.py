"""The page about widgets: its smallest widget and its examples, run as they are written there."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

from companion.site.frontend import NODE
from conftest import ROOT
from support.every_widget import as_it_comes
from support.front_end import JS, module_page, settle, shown_numbers, small_text, widget_page

README = (ROOT / "companion" / "widgets" / "README.md").read_text("utf-8")
PYTHON, SMALLEST, *EXAMPLES = re.findall(r"^```(?:python|js)\n(.*?)^```$", README, re.S | re.M)
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Example</title>
<link rel="icon" href="data:,"></head><body><main></main>
<script>globalThis.el = document.querySelector("main");</script></body></html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the modules with the page's code among them."""
    copy = tmp_path_factory.mktemp("clone") / "companion" / "widgets" / "js"
    shutil.copytree(JS, copy)
    (copy / "logistic.js").write_text(SMALLEST, "utf-8")
    for k, example in enumerate(EXAMPLES):
        (copy / f"example_{k}.js").write_text(example, "utf-8")
    return copy


@pytest.fixture
def logistic(tmp_path):
    path = tmp_path / "logistic.py"
    path.write_text(PYTHON, "utf-8")
    spec = importlib.util.spec_from_file_location("logistic", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Logistic()


def test_the_smallest_widget_is_small():
    assert len((PYTHON + SMALLEST).splitlines()) <= 40
    assert "class Logistic" in PYTHON
    assert "export default" in SMALLEST


def test_the_tests_of_all_widgets_find_the_smallest_by_themselves(logistic):
    make, _, later = as_it_comes(type(logistic))
    assert make().x == 1
    assert later == {"x": 6}


def test_every_part_has_an_example():
    parts = {path.name for path in (JS / "ui").glob("*.js")}
    imported = {name for code in EXAMPLES for name in re.findall(r'"\./ui/(\w+\.js)"', code)}
    assert parts == imported


def test_the_code_passes_the_checks(folder):
    clone = folder.parents[2]
    for name in ("package.json", "biome.json", "tsconfig.json"):
        shutil.copyfile(ROOT / name, clone / name)
    (clone / "node_modules").symlink_to(ROOT / "node_modules")
    (clone / "companion" / "site" / "js").mkdir(parents=True)
    (folder / "example.d.ts").write_text("declare const el: HTMLElement;\n")
    (folder.parent / "logistic.py").write_text(PYTHON, "utf-8")
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml")]
        done = subprocess.run([*ruff, str(clone)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    style = ["@biomejs/biome/bin/biome", "check", "--vcs-enabled=false", "--error-on-warnings"]
    for program, *arguments in (style, ["typescript/bin/tsc"]):
        command = [str(NODE), f"node_modules/{program}", *arguments]
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.browser
class TestInABrowser:
    def test_the_smallest_widget(self, browser, folder, logistic):
        with widget_page(browser, folder=folder) as page:
            logistic.x = 2
            tab = page(logistic)
            assert shown_numbers(tab) == {"x": 2, "y": pytest.approx(logistic.y)}
            slider = tab.get_by_role("slider", name="x")
            slider.press("ArrowLeft")
            logistic.x = tab.evaluate("model.get('x')")
            assert logistic.x == pytest.approx(1.9)
            assert shown_numbers(tab) == {"x": logistic.x, "y": pytest.approx(logistic.y)}
            assert tab.evaluate("model.saved") == 1
            tab.evaluate("model.set('x', -3)")  # as Python would
            logistic.x = -3
            assert shown_numbers(tab)["y"] == pytest.approx(logistic.y)
            assert repr(logistic) == "Logistic: σ(-3) = 0.047"
            assert small_text(tab) == []
            tab.evaluate("stop()")
            assert tab.evaluate("model.listening()") == 0

    @pytest.mark.parametrize("k", range(len(EXAMPLES)))
    def test_example(self, browser, folder, k):
        with module_page(browser, HTML, folder) as open_page:
            tab = open_page()
            tab.evaluate(f"() => import('/example_{k}.js')")
            settle(tab)
            assert tab.inner_html("main") != ""
