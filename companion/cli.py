"""The command line: `companion train | models | data | doctor`."""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# torch takes seconds to import: each command imports what it needs, `--help` nothing.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0 when all went well, 1 when something did not (weights damaged, a goal missed), 2 for a
    command that makes no sense.
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe on Windows has no "≤"
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell
            status: int = options.run(options)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"companion: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("companion: stopped", file=sys.stderr)
        return 130
    return status


def _tell(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as a line, without the place in the code that it comes from."""
    print(f"companion: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="companion", description="The models of the book: train them, list them, check them."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = commands.add_parser(
        "train",
        help="train a model of the book from nothing",
        description="Train a model of the book from nothing and store it with its card. "
        "`companion models` lists the names. A training that was stopped goes on where it was.",
    )
    train.add_argument("name", nargs="?", metavar="NAME", help="its name, such as vae-sprites")
    train.add_argument("--all", action="store_true", help="every model whose data can be had")
    train.add_argument(
        "--data", metavar="SET", help="train on this instead: a data set, or a folder of images"
    )
    train.add_argument(
        "--device", default="auto", help="auto (default: a GPU if there is one), cpu, cuda, mps"
    )
    train.add_argument(
        "--precision",
        default="auto",
        help="auto (default: fp32, on GPUs bf16 or fp16), fp32, bf16, fp16",
    )
    train.add_argument("--epochs", type=_count, metavar="N", help="other than the recipe's")
    train.add_argument(
        "--out",
        type=_folder,
        metavar="FOLDER",
        help="where to store it (default: your cache folder; `data` in a clone of the repository "
        "replaces what ships with the book)",
    )
    train.set_defaults(run=_train)

    models = commands.add_parser(
        "models",
        help="list the models of the book",
        description="List the models of the book, and which of them are here.",
    )
    models.add_argument(
        "--verify",
        action="store_true",
        help="also check each one: intact, loads, reaches its figure (where its data is here)",
    )
    models.add_argument(
        "--data", metavar="FOLDER", help="with --verify: images to measure on, for those they fit"
    )
    models.set_defaults(run=_models)

    data = commands.add_parser(
        "data",
        help="fetch a data set, and say what is in it",
        description="Make sure that a data set is here (fetched, checked, kept for later), and "
        "describe it. Without a name: list them.",
    )
    data.add_argument(
        "name", nargs="?", metavar="NAME", help="its name, or the path of a folder of images"
    )
    data.set_defaults(run=_data)

    doctor = commands.add_parser(
        "doctor",
        help="say what this machine has, and what would be faster",
        description="Look at this machine: versions, devices, data, models, speed.",
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number, at least 1, is expected, got {text!r}")
    return int(text)


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the path of a folder is expected, got nothing")
    return Path(text)


def _verified(name: str, data: str | None) -> str:
    """What the check of a model found, in a few words."""
    from companion import recipes

    recipe = recipes.get(name)
    try:
        found = recipes.verify(name, data if data and recipe.takes(data) else None)
    except OSError as error:
        return f"intact, not measured: {error}"
    if found.on is None:
        return "intact; its figure was not measured (no data here)"
    if found.on == recipe.dataset:
        return f"verified on {found.on}"
    figures = ", ".join(f"{g.figure} {found.figures[g.figure]:.4g}" for g in recipe.must_reach)
    return f"intact; on {found.on}: {figures}"


def _train(options: argparse.Namespace) -> int:
    from companion import recipes

    if (options.name is None) != options.all:
        print("companion: give either the NAME of a model or --all", file=sys.stderr)
        return 2
    if options.all:
        return _train_all(options)
    try:
        recipe = recipes.get(options.name)
    except ValueError as error:
        print(f"companion: {error}", file=sys.stderr)
        return 2
    _, card = recipes.train(
        recipe.name,
        data=options.data,
        device=options.device,
        precision=options.precision,
        epochs=options.epochs,
        out=options.out,
    )
    print(card.summary())
    print(f"stored in: {recipes.stored_at(recipe.name, options.out)}")
    # The goal is for the recipe's own data: of others nobody knows what can be reached.
    own = options.data in (None, recipe.dataset)
    missed = recipe.missed(card.figures) if own else []
    for phrase in missed:
        print(f"companion: {phrase}", file=sys.stderr)
    return 1 if missed else 0


def _train_all(options: argparse.Namespace) -> int:
    """Every recipe, each with its own fate: one that fails does not keep the others."""
    from companion import recipes

    status = 0
    for name in recipes.in_order():
        print(f"== {name}")
        one = argparse.Namespace(**{**vars(options), "name": name, "all": False})
        try:
            status = max(status, _train(one))
        except Exception as error:
            print(f"companion: {name}: {error}", file=sys.stderr)
            status = 1
    return status


def _data(options: argparse.Namespace) -> int:
    from companion.datasets import DATASETS, SPLITS, is_here, load_images

    if options.name is None:
        for name in DATASETS:
            print(f"{name:<14}{'here' if is_here(name) else f'companion data {name} fetches it'}")
        return 0
    for split in SPLITS:
        print(load_images(options.name, split).describe())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from companion import doctor

    print(doctor.report())
    return 0


def _models(options: argparse.Namespace) -> int:
    from companion import recipes
    from companion.datasets import load_images
    from companion.recipes import weights

    if options.data is not None:
        if not options.verify:
            print("companion: --data goes with --verify", file=sys.stderr)
            return 2
        load_images(options.data, "test", size=1)  # says what is wrong with it, if anything is

    rows = [("name", "data", "parameters", "size", "figures")]
    troubles = []
    for name in recipes.names():
        recipe, path = recipes.get(name), recipes.find(name)
        if path is None:
            rows.append((name, recipe.data, "–", "–", f"not here: companion train {name}"))
            troubles += [f"{name} is not here"] if options.verify else []
            continue
        try:
            card = recipes.record(name)
            checked = ""
            if options.verify:
                checked = f", {_verified(name, options.data)}"
        except weights.WeightsError as error:
            rows.append((name, recipe.data, "–", "–", "damaged, see below"))
            troubles.append(str(error))
            continue
        figures = "; ".join(
            f"{goal.figure} {card.figures[goal.figure]:.4g} (goal {goal.limit})"
            for goal in recipe.must_reach
            if goal.figure in card.figures  # the reader's own card may be older than the goal
        )
        size = f"{path.stat().st_size / 1000:,.0f} kB" if recipe.ships else "run only"
        rows.append((name, recipe.data, f"{card.parameters:,}", size, figures + checked))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    for trouble in troubles:
        print(f"companion: {trouble}", file=sys.stderr)
    return 1 if troubles else 0
