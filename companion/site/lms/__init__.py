"""The book's questions for learning management systems: Moodle XML, and a QTI 2.1 package.

One source: the chapters' own directives (`questions.py`). `python -m companion.site.lms` writes the
two files; `make book` puts them into the built site, where the page for teachers links to them.
"""

from collections import Counter
from pathlib import Path

from companion.site.lms.moodle import moodle_xml
from companion.site.lms.qti import qti_package
from companion.site.lms.questions import KINDS, Asked, collect
from companion.site.notebooks import Book

#: Names of the files, and of the folder of the built site that holds them.
MOODLE, QTI, FOLDER = "moodle.xml", "qti21.zip", "questions"

__all__ = ["FOLDER", "KINDS", "MOODLE", "QTI", "Asked", "collect", "write"]


def write(book: Path, built: Path | None, out: Path) -> Counter[str]:
    """Write both files into a folder; how many questions there are of each kind.

    Args:
        book: the folder of the chapters.
        built: the built site, for figures and for truths that cells computed; None: without them.
        out: where the files go.

    Raises:
        ValueError: a chapter can't be read.
    """
    asked = collect(book, built)
    source = Book(book)
    chapters = {page.name: page.title for page in source.pages.notebooks}
    out.mkdir(parents=True, exist_ok=True)
    (out / MOODLE).write_bytes(moodle_xml(asked, source.title, chapters))
    (out / QTI).write_bytes(qti_package(asked, source.title, chapters))
    return Counter(question.kind for question in asked)
