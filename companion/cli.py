"""The command line: `companion train NAME`, `companion models [--verify]`."""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

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
        status: int = options.run(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"companion: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("companion: stopped", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="companion", description="The models of the book: train them, list them, check them."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = commands.add_parser(
        "train",
        help="train a model of the book from nothing",
        description="Train a model of the book from nothing and store it with its card. "
        "`companion models` lists the names.",
    )
    train.add_argument("name", metavar="NAME", help="the model's name, such as vae-sprites")
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
        type=Path,
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
        help="also check each one: intact, loads, reaches its figure on the data",
    )
    models.set_defaults(run=_models)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number, at least 1, is expected, got {text!r}")
    return int(text)


def _train(options: argparse.Namespace) -> int:
    from companion import recipes

    try:
        recipe = recipes.get(options.name)
    except ValueError as error:
        print(f"companion: {error}", file=sys.stderr)
        return 2
    _, card = recipes.train(
        recipe.name,
        device=options.device,
        precision=options.precision,
        epochs=options.epochs,
        out=options.out,
    )
    print(card.summary())
    print(f"stored in: {recipes.stored_at(recipe.name, options.out)}")
    missed = recipe.missed(card.figures)
    for phrase in missed:
        print(f"companion: {phrase}", file=sys.stderr)
    return 1 if missed else 0


def _models(options: argparse.Namespace) -> int:
    from companion import recipes, weights

    rows = [("name", "data", "parameters", "size", "figures")]
    troubles = []
    for name in recipes.names():
        recipe, path = recipes.get(name), recipes.find(name)
        if path is None:
            rows.append((name, recipe.data, "–", "–", f"not here: companion train {name}"))
            troubles += [f"{name} is not here"] if options.verify else []
            continue
        try:
            card = recipes.verify(name) if options.verify else weights.read_card(path)
        except weights.WeightsError as error:
            rows.append((name, recipe.data, "–", "–", "damaged, see below"))
            troubles.append(str(error))
            continue
        figures = "; ".join(
            f"{goal.figure} {card.figures[goal.figure]:.4g} (goal {goal.limit})"
            for goal in recipe.must_reach
        )
        if options.verify:
            figures += ", verified"
        size = f"{path.stat().st_size / 1000:,.0f} kB"
        rows.append((name, recipe.data, f"{card.parameters:,}", size, figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    for trouble in troubles:
        print(f"companion: {trouble}", file=sys.stderr)
    return 1 if troubles else 0
