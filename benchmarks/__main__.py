"""`make bench`: measure speed, one JSON object a line; `--readme` writes the README's table.

Every line has `name`, `ratio` or `ms` (or `MB`), `against` (what it is held to), and often more.
Lines with a `detail` are summed up by a later one and left out of the table.
Times depend on the machine and on what else it does: compare lines of one run.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks import browser, explain, machine, occlusion, pages, training  # noqa: E402

Line = dict[str, Any]
GROUPS: dict[str, Callable[[], Iterator[Line]]] = {
    "browser": browser.measure,
    "explain": explain.measure,
    "machine": machine.measure,
    "occlusion": occlusion.measure,
    "pages": pages.measure,
    "training": training.measure,
}
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def as_table(lines: list[Line]) -> str:
    """The lines as a Markdown table."""
    rows = ["| what | measured | held to |", "|---|---|---|"]
    for line in lines:
        if "detail" in line:
            continue
        unit = next(unit for unit in ("ms", "MB", "ratio", "s", "per_second") if unit in line)
        value = f"{line[unit]:g}" if unit in {"ratio", "per_second"} else f"{line[unit]:g} {unit}"
        value += "" if unit != "per_second" else " /s"
        if "p95" in line:
            value += f" (p95 {line['p95']:g} {unit})"
        rows.append(f"| {line['what']} | {value} | {line['against']} |")
    return "\n".join(rows)


def main() -> int:
    """Run all groups, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", nargs="*", help=", ".join(GROUPS))
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    if unknown := set(options.group) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    lines = []
    for name in options.group or GROUPS:
        for line in GROUPS[name]():
            lines.append(line)
            print(json.dumps(line, ensure_ascii=False), flush=True)
    if options.readme:
        readme = ROOT / "README.md"
        head, _, rest = readme.read_text("utf-8").partition(BEGIN)
        _, _, tail = rest.partition(END)
        readme.write_text(f"{head}{BEGIN}\n{as_table(lines)}\n{END}{tail}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
