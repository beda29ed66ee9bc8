"""The front-end build: what it makes, when it works, and what it says when it can't."""

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import widgets
from companion.site import frontend
from companion.site.frontend import STATIC, FrontendError, build_frontend
from conftest import ROOT

JS = ROOT / "companion" / "widgets" / "js"


@pytest.fixture(scope="module", autouse=True)
def _built():
    build_frontend(quiet=True)


@pytest.fixture
def clone(tmp_path):
    """A copy of what the build reads, with the installed packages of this clone."""
    for folder in ("companion/widgets/js", "companion/site/js"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def forbid_programs(monkeypatch):
    def run(*arguments, **options):
        raise AssertionError(f"ran {arguments[0]}")

    monkeypatch.setattr(frontend.subprocess, "run", run)


def times(static):
    return {path.name: path.stat().st_mtime_ns for path in static.iterdir()}


def test_lock_file_pins_exactly_and_names_no_server():
    text = (ROOT / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in text
    assert "registry" not in text
    packages = json.loads(text)["packages"]
    named = json.loads((ROOT / "package.json").read_text("utf-8"))
    for name, version in (named["dependencies"] | named["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert packages[f"node_modules/{name}"]["version"] == version
    missing = [name for name, entry in packages.items() if name and "integrity" not in entry]
    assert missing == []


def test_every_widget_has_a_module_for_notebooks_and_a_script_for_pages():
    names = frontend.widget_names()
    assert {"latent_traversal", "posterior"} <= set(names)
    for name in names:
        assert re.search(r"export\s*\{.*default", (STATIC / f"{name}.js").read_text("utf-8"))
    scripts = [f"page-{name}.js" for name in names]
    for script in (*scripts, "book.js", "site.js", "activities.js", "icons.js"):
        assert not re.search(r"^(import|export)\b", (STATIC / script).read_text("utf-8"))


@pytest.mark.parametrize("name", frontend.widget_names())
def test_a_widget_stays_small(name):
    """What a notebook, or a page, loads for one widget, engine apart; more if the reader asks."""
    lazy = {widget.module for widget in vars(widgets).values() if getattr(widget, "lazy", False)}
    for script in (f"{name}.js", f"page-{name}.js"):
        size = len(gzip.compress((STATIC / script).read_bytes(), 9))
        assert size <= (20_000 if name in lazy else 13_500)


def test_what_pages_load_beside_widgets_stays_small():
    for script, most in {"site.js": 3_500, "activities.js": 6_000}.items():
        assert len(gzip.compress((STATIC / script).read_bytes(), 9)) <= most


def asset(script):
    """Name, bytes, number of parts and size of an asset script."""
    found = re.fullmatch(r'companionAsset\("([^"]+)","([^"]*)"(?:,(\d+),(\d+))?\);', script)
    assert found
    name, code, parts, size = found.groups()
    return name, base64.b64decode(code), parts and int(parts), size and int(size)


def test_engine_wasm_is_the_locked_package_s():
    name, data, parts, size = asset((STATIC / "engine-wasm.js").read_text("utf-8"))
    assert (name, parts, size) == ("engine-wasm", 1, len(data))
    wasm = ROOT / "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"
    assert gzip.decompress(data) == wasm.read_bytes()


@given(data=st.binary(min_size=1, max_size=60), part=st.integers(1, 70))
def test_scripts_of_an_asset_hold_its_bytes_in_equal_parts(data, part):
    scripts = dict(frontend.asset_scripts("x", data, part))
    pieces = [asset(script) for script in scripts.values()]
    assert b"".join(piece[1] for piece in pieces) == data
    assert list(scripts) == ["x.js", *(f"x.{k}.js" for k in range(1, len(pieces)))]
    assert [f"{piece[0]}.js" for piece in pieces] == list(scripts)
    assert pieces[0][2:] == (len(pieces), len(data))
    assert {len(piece[1]) for piece in pieces[:-1]} <= {part}


def test_nothing_runs_when_nothing_changed(monkeypatch):
    forbid_programs(monkeypatch)
    before = times(STATIC)
    start = time.perf_counter()
    build_frontend()
    assert time.perf_counter() - start < 0.3
    assert times(STATIC) == before


@pytest.mark.slow
def test_a_changed_source_is_built_and_the_engine_kept(clone):
    static = build_frontend(clone, quiet=True)
    before = times(static)
    style = clone / "companion/widgets/js/runtime/host.css"
    style.write_text(style.read_text() + ".companion-new-rule{color:red}")
    build_frontend(clone, quiet=True)
    after = times(static)
    assert "companion-new-rule" in (static / "widgets.css").read_text()
    assert after["widgets.css"] > before["widgets.css"]
    assert after["engine-wasm.js"] == before["engine-wasm.js"]

    (clone / "companion/widgets/js/posterior.js").unlink()
    (clone / "companion/widgets/js/blink.js").write_text("export default { render() {} };")
    build_frontend(clone, quiet=True)
    assert (static / "blink.js").exists()
    assert not (static / "posterior.js").exists()


@pytest.mark.slow
def test_a_lost_file_is_built_again(clone):
    static = build_frontend(clone, quiet=True)
    (static / "engine.js").unlink()
    build_frontend(clone, quiet=True)
    assert (static / "engine.js").read_bytes() == (STATIC / "engine.js").read_bytes()


@pytest.mark.slow
def test_a_broken_source_is_one_sentence_and_leaves_the_last_build(clone):
    static = build_frontend(clone, quiet=True)
    before = times(static)
    (clone / "companion/widgets/js/ui/canvas.js").write_text("export function imageGrid( {")
    sentence = r"esbuild could not bundle the front end \(.*canvas\.js.*\); mend"
    with pytest.raises(FrontendError, match=sentence) as error:
        build_frontend(clone, quiet=True)
    assert "\n" not in str(error.value)
    assert times(static) == before
    assert [path.name for path in static.parent.iterdir() if path.name.startswith(".static")] == []


def test_no_network_is_one_sentence(clone, monkeypatch):
    (clone / "node_modules").unlink()
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(clone / "empty-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    sentence = r"npm could not install the packages of .*; check the network"
    with pytest.raises(FrontendError, match=sentence) as error:
        build_frontend(clone, quiet=True)
    assert "\n" not in str(error.value)
    assert not (clone / "companion/widgets/static").exists()


@pytest.mark.slow
def test_a_wheel_needs_only_what_is_bundled(clone, monkeypatch):
    """One that finds all asks for nothing; a wheel asks for the packages that are bundled."""
    asked = []
    run = subprocess.run

    def spy(command, **options):
        if "ci" in command:
            asked.append(command[-1])
            return subprocess.CompletedProcess(command, 0, "", "")
        return run(command, **options)

    monkeypatch.setattr(frontend.subprocess, "run", spy)
    build_frontend(clone, tools=False, quiet=True)
    assert asked == []

    (clone / "node_modules").unlink()
    (clone / "node_modules").mkdir()
    build_frontend(clone, tools=False, quiet=True)
    assert asked == []  # what is built stays
    frontend.install_packages(clone, tools=False, quiet=True)
    frontend.install_packages(clone, tools=False, quiet=True)
    assert asked == ["--omit=dev"]
    build_frontend(clone, quiet=True)
    build_frontend(clone, quiet=True)
    frontend.install_packages(clone, tools=False, quiet=True)
    assert asked == ["--omit=dev", "--include=dev"]


def test_no_node_is_one_sentence(clone, monkeypatch):
    monkeypatch.setattr(frontend, "NODE", clone / "no-such-node")
    with pytest.raises(FrontendError, match=r"was not found; install it with `pip install nodejs"):
        build_frontend(clone, quiet=True)


def test_outside_a_clone_is_one_sentence(tmp_path):
    with pytest.raises(FrontendError, match=r"has no package-lock\.json"):
        build_frontend(tmp_path)


def test_the_build_hook_needs_no_torch():
    """The hook of a wheel's build loads the file on its own, in an environment without torch."""
    code = (
        "import importlib.util, sys; "
        f"spec = importlib.util.spec_from_file_location('alone', {frontend.__file__!r}); "
        "spec.loader.exec_module(importlib.util.module_from_spec(spec)); "
        "print([m for m in ('torch', 'companion', 'numpy', 'anywidget') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
