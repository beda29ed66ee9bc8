"""`python -m benchmarks.gpu`: everything that needs a CUDA GPU, once, in under six minutes.

For a rented GPU. It prints one JSON object a line, as soon as each is known:

1. what the machine is, and which packages are missing;
2. the tests marked `cuda` (they need pytest);
3. the loop bench: `fit`, its limit, launched from Python, compiled, a tutorial's loop;
4. with CIFAR-10 (`--data FOLDER` of images in train/ and test/, or the one that was downloaded),
   the time to 94 % and to 91 %;
5. with `--plain`, the wide net in plain PyTorch; with `--recipes NAME …`, those recipes, whose
   cards go to `--out`. These two take the time that is left: give them a larger `--budget`.

Each part is a process of its own with its share of the time. A part that fails, or takes longer, is
ended and says so in a line with `failed`, and the others go on. `--dry` tries all of it on a CPU
with a few steps. `--only NAME …` takes some of the parts.
"""

import argparse
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Line = dict[str, Any]
# The largest share of each part, in seconds; together under six minutes with the starts.
SHARES = {"machine": 20.0, "tests": 75.0, "loops": 130.0, "cifar": 150.0}
LEAST = 5.0  # a part with less time left is not begun


def machine(options: argparse.Namespace) -> Iterator[Line]:
    """Versions, device, and which packages are missing."""
    line: Line = {"name": "machine", "python": sys.version.split()[0], "missing": missing()}
    try:
        import torch

        line |= {"torch": torch.__version__, "cuda": torch.version.cuda}
        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            line |= {
                "device": properties.name,
                "capability": f"{properties.major}.{properties.minor}",
                "memory_GB": round(properties.total_memory / 1e9, 1),
                "cudnn": torch.backends.cudnn.version(),
            }
        else:
            line["device"] = None
    except Exception as error:  # a broken installation is a finding, too
        line["torch_fails"] = f"{type(error).__name__}: {error}"
    yield line | {"processors": os.cpu_count()}


def missing() -> list[str]:
    """The package's own dependencies that are not installed, and pytest, as in pyproject.toml."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    absent = []
    for requirement in [*project["dependencies"], "pytest"]:
        name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    return absent


def tests(options: argparse.Namespace) -> Iterator[Line]:
    """The tests marked `cuda`: one line each, and one for all."""
    import pytest

    class Report:
        counts: dict[str, int] = {}  # noqa: RUF012
        lines: list[Line] = []  # noqa: RUF012

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when != "call" and report.outcome == "passed":
                return
            self.counts[report.outcome] = self.counts.get(report.outcome, 0) + 1
            line: Line = {
                "name": f"test {report.nodeid.rpartition('::')[2]}", "outcome": report.outcome,
                "s": round(report.duration, 1),
            } | dict(report.user_properties)  # fmt: skip
            if report.outcome == "failed":
                line["tail"] = str(report.longrepr)[-1500:]
            if report.outcome != "skipped":
                print(json.dumps(line, ensure_ascii=False), file=out, flush=True)

    out, report = sys.stdout, Report()
    # The conftest needs what only the browser tests need; pytest's own words go to stderr.
    sys.stdout = sys.stderr
    try:
        code = pytest.main(
            ["tests/training", "-m", "cuda", "--noconftest", "-q", "-p", "no:cacheprovider",
             "-p", "no:xdist", "-o", "addopts=--strict-markers --import-mode=importlib"],
            plugins=[report],
        )  # fmt: skip
    finally:
        sys.stdout = out
    yield {"name": "tests", "exit_code": int(code), **report.counts}


def loops(options: argparse.Namespace) -> Iterator[Line]:
    """A step of the loop, measured."""
    from benchmarks import gpu_loops

    yield from gpu_loops.measure(
        ("cnn",) if options.dry else tuple(gpu_loops.CASES), few=options.dry
    )


def cifar(options: argparse.Namespace) -> Iterator[Line]:
    """How long to 94 % and to 91 %."""
    from benchmarks import cifar as goals

    started = time.perf_counter()
    train, test, line = pictures(options)
    if train is None:
        yield line
        return
    yield {
        "name": "cifar_read",
        "what": f"{line['from']} read",
        "s": _since(started),
        "against": "—",
    }
    yield from goals.measure(train, test, options.share - _since(started) - 5, few=options.dry)


def plain(options: argparse.Namespace) -> Iterator[Line]:
    """The wide net in plain PyTorch, on the images given, and on the original ones if here."""
    from benchmarks import cifar as goals
    from companion.datasets import is_here, load_images

    train, test, line = pictures(options)
    if train is None:
        yield line
        return
    few = {"epochs": 2, "batch": 32, "depth": 8, "width": 0.25} if options.dry else {}
    yield goals.plain(train, test, **few)
    if options.data and is_here("cifar10"):
        yield goals.plain(load_images("cifar10", "train"), load_images("cifar10", "test"))


def train(options: argparse.Namespace) -> Iterator[Line]:
    """The recipes that were asked for."""
    from companion import recipes

    for name in options.recipes:
        started = time.perf_counter()
        _, card = recipes.train(name, data=options.data, out=options.out, progress=False)
        figures = {k: v for k, v in card.figures.items() if isinstance(v, int | float)}
        yield {"name": f"recipe_{name}", "hardware": card.hardware, "s": _since(started), **figures}


def pictures(options: argparse.Namespace) -> tuple[Any, Any, Line]:
    """CIFAR-10's training and test images, or None twice, and what to say."""
    import torch

    from companion.datasets import ImageSet, is_here, load_images

    if options.dry:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(256, (192, 3, 32, 32), dtype=torch.uint8, generator=generator)
        labels = torch.arange(192) % 10
        names = tuple("abcdefghij")
        return (
            ImageSet("noise", "train", images[:128], labels[:128], names),
            ImageSet("noise", "test", images[128:], labels[128:], names),
            {"from": "noise"},
        )
    if options.data:
        sets = [load_images(options.data, split, image_size=32) for split in ("train", "test")]
        return sets[0], sets[1], {"from": Path(options.data).name}
    if is_here("cifar10"):
        return load_images("cifar10", "train"), load_images("cifar10", "test"), {"from": "cifar10"}
    return None, None, {"name": "cifar", "skipped": "no CIFAR-10 here: give --data FOLDER"}


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Line]]] = {
    "machine": machine, "tests": tests, "loops": loops, "cifar": cifar, "plain": plain,
    "recipes": train,
}  # fmt: skip


def run_part(name: str, share: float, arguments: list[str]) -> Line:
    """Run a part in a process of its own, pass its lines on, and say how it ended."""
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    command += ["--part", name, "--share", f"{share:.0f}"]
    started, lines = time.perf_counter(), 0
    # The tests' programs import the package from here, whether it is installed or not.
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile() as noise:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=noise, text=True, encoding="utf-8",
            start_new_session=True, env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        cut = threading.Event()

        def end() -> None:
            cut.set()
            _kill(process)

        timer = threading.Timer(share, end)
        timer.daemon = True
        timer.start()
        assert process.stdout is not None
        try:
            for text in process.stdout:
                if text.startswith("{"):
                    print(text.rstrip("\n"), flush=True)
                    lines += 1
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
        line: Line = {"name": f"part_{name}", "lines": lines, "s": _since(started)}
        if cut.is_set():
            line["failed"] = f"cut off after its share of {share:.0f} s"
        elif code:
            line["failed"] = f"ended with {code}"
        if "failed" in line:
            noise.seek(0)
            line["tail"] = noise.read()[-2000:].decode("utf-8", "replace")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", help="a folder with CIFAR-10's images in train/ and test/")
    parser.add_argument("--budget", type=float, default=345.0, help="seconds in all (345)")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", default=[])
    parser.add_argument("--plain", action="store_true", help="the wide net in plain PyTorch, too")
    parser.add_argument("--recipes", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--out", help="the folder for what the recipes leave")
    parser.add_argument("--dry", action="store_true", help="a few steps, on the CPU if need be")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        return _as_part(options)
    given = list(sys.argv[1:] if arguments is None else arguments)
    wanted = options.only or [
        *SHARES, *(["plain"] if options.plain else []), *(["recipes"] if options.recipes else []),
    ]  # fmt: skip
    deadline, failed = time.perf_counter() + options.budget, False
    for name in wanted:
        left = deadline - time.perf_counter() - 1
        if left < LEAST:
            line: Line = {"name": f"part_{name}", "failed": "no time was left"}
        else:
            try:
                line = run_part(name, min(left, SHARES.get(name, left)), given)
            except Exception:  # the script itself must not stop the others
                line = {"name": f"part_{name}", "failed": traceback.format_exc()[-1500:]}
        failed |= "failed" in line
        print(json.dumps(line, ensure_ascii=False), flush=True)
    return int(failed)


def _as_part(options: argparse.Namespace) -> int:
    """The process of one part: its lines, or one that says what went wrong."""
    try:
        if not (options.dry or options.part in ("machine", "recipes")):
            import torch

            if not torch.cuda.is_available():
                raise SystemExit(
                    "PyTorch finds no CUDA GPU here; --dry tries a few steps on the CPU"
                )
        for line in PARTS[options.part](options):
            print(json.dumps(line, ensure_ascii=False), flush=True)
    except Exception:
        tail = traceback.format_exc()[-2000:]
        print(json.dumps({"name": options.part, "failed": tail}, ensure_ascii=False), flush=True)
        return 1
    return 0


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a part and what it started (the workers of a DataLoader, compilers)."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)


if __name__ == "__main__":
    sys.exit(main())
