"""A book of a few pages in a folder of its own, built as the real one is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from conftest import ROOT

# What stands for the notebook that would be made of the chapter.
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "markdown",
            "id": "ex-first",
            "metadata": {},
            "source": "### Exercise 1 — First",
        }
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}
CHAPTER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A chapter

CONTENT
"""


def build(folder: Path, content: str, url: str = "", **pages: str) -> tuple[int, str]:
    """Build a book with the project's own configuration; (status, output).

    Args:
        folder: where it is written; its site is then in `_build/html`.
        content: what `page.md`, a chapter, holds below its title.
        url: address of its repository.
        pages: the texts of more pages, by name.
    """
    (folder / "book").mkdir(parents=True)
    shutil.copytree(ROOT / "book" / "site_assets", folder / "book" / "site_assets")
    (folder / "book" / "references.bib").write_text("")
    texts = {"page": CHAPTER.replace("CONTENT", content), **pages}
    for name, text in texts.items():
        (folder / "book" / f"{name}.md").write_text(text)
    (folder / "book" / "page.ipynb").write_text(json.dumps(NOTEBOOK))
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    config["repository"]["url"] = url
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    toc: dict[str, object] = {"format": "jb-book", "root": "page"}
    if pages:
        toc["chapters"] = [{"file": name} for name in pages]
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc))
    return run(folder)


def run(folder: Path) -> tuple[int, str]:
    """Build the book that is there, or what has changed of it."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", "book", "--path-output", "."]
    command += ["--config", "_config.yml", "--toc", str(folder / "_toc.yml")]
    done = subprocess.run(
        [*command, "-W", "-n", "--keep-going"], cwd=folder, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def cell(code: str) -> str:
    """A cell of code."""
    return f"```{{code-cell}} ipython3\n{code}\n```\n"
