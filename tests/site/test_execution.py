"""Chapters executed side by side before Sphinx reads them."""

import pytest

from companion.threads import allowed_processors
from support.small_book import CHAPTER, build, cell, run

# Each chapter says that it has begun and waits for the other: one after the other, both would fail.
MEET = """
import time
from pathlib import Path

Path("{me}").touch()
end = time.monotonic() + 60
while not Path("{other}").exists():
    if time.monotonic() > end:
        raise TimeoutError("the other chapter has not begun")
    time.sleep(0.05)
print("{me}", "met", "{other}")
"""


@pytest.mark.slow
@pytest.mark.skipif(allowed_processors() < 2, reason="one processor executes one chapter at a time")
def test_chapters_run_side_by_side_and_their_outputs_are_found_again(tmp_path):
    other = CHAPTER.replace("CONTENT", cell(MEET.format(me="second", other="first")))
    status, output = build(tmp_path, cell(MEET.format(me="first", other="second")), other=other)
    assert status == 0, output
    assert "executing 2 chapters, 2 at a time" in output
    assert "Executing notebook" not in output, "Sphinx finds both in the cache"
    site = tmp_path / "_build" / "html"
    assert "first met second" in (site / "page.html").read_text("utf-8")
    assert "second met first" in (site / "other.html").read_text("utf-8")
    # One chapter alone is left to Sphinx.
    page = tmp_path / "book" / "page.md"
    page.write_text(page.read_text("utf-8") + "\n" + cell("6 * 7"))
    (tmp_path / "book" / "second").touch()
    status, output = run(tmp_path)
    assert status == 0, output
    assert "at a time" not in output
    assert "Executing notebook" in output


@pytest.mark.slow
def test_a_chapter_that_fails_beside_another_stops_the_build_with_its_error(tmp_path):
    other = CHAPTER.replace("CONTENT", cell("1 / 0"))
    status, output = build(tmp_path, cell("6 * 7"), other=other)
    assert status != 0
    assert "ZeroDivisionError" in output
    assert "other.md" in output
