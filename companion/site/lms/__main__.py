"""`python -m companion.site.lms [--site SITE] [--out FOLDER] [book]`: export the questions."""

import argparse
import sys
from pathlib import Path

from companion.site.build import SITE
from companion.site.lms import FOLDER, KINDS, MOODLE, QTI, write


def main(arguments: list[str] | None = None) -> int:
    """Write the files and say what is in them; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.site.lms",
        description=f"Write the book's questions as {MOODLE} (Moodle) and {QTI} (QTI 2.1).",
    )
    parser.add_argument(
        "--site", type=Path, default=SITE, help="the built book, for figures and computed answers"
    )
    parser.add_argument(
        "--out", type=Path, help=f"the folder to write to (default: {FOLDER} in the built book)"
    )
    parser.add_argument(
        "book", nargs="?", type=Path, default=Path("book"), help="the book's folder"
    )
    options = parser.parse_args(arguments)
    built = options.site if options.site.is_dir() else None
    if built is None:
        print(
            f"{options.site} is not there: predictions whose answer a cell computes, and figures, "
            "are left out. `make book` builds it.",
            file=sys.stderr,
        )
    out = options.out or options.site / FOLDER
    try:
        counts = write(options.book, built, out)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for kind, name in KINDS.items():
        print(f"{counts[kind]:>4}  {name}")
    print(f"written: {out / MOODLE}, {out / QTI}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
