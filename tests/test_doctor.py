"""What `companion doctor` finds on machines that are simulated, and what it advises."""

import os
from pathlib import Path

import pytest
import torch

from companion import doctor


def findings(what: str) -> list[doctor.Finding]:
    """The findings of that name; those after them are not looked for."""
    found = []
    for finding in doctor.examine():
        if finding.what == what:
            found.append(finding)
        elif found:
            break
    return found


@pytest.mark.parametrize(
    ("threads", "advice"),
    [
        (8, "8 threads share 4: slow; unset OMP_NUM_THREADS, or lower it"),
        (4, ""),
        (1, "1 of 4 cores are used: set OMP_NUM_THREADS"),
    ],
)
def test_threads_and_processors(threads: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight processors, of which this process may use four."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(doctor, "allowed_processors", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))  # a number that the user chose
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    (finding,) = findings("processor")
    assert f"{threads} thread" in finding.found
    assert "of 8 cores, of which this process may use 4" in finding.found
    assert finding.advice == advice


@pytest.mark.parametrize("kind", ["a file in its way", "a full disk"])
def test_a_cache_that_cannot_be_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "cache"
    if kind == "a full disk":
        place = Path("/dev/full")
        if not place.exists():
            pytest.skip("only Linux has a device that is always full")
        opened = place.open("wb", buffering=0)
        monkeypatch.setattr(doctor.tempfile, "TemporaryFile", lambda **_: opened)
        place = tmp_path
    else:
        place.write_text("no folder")
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(place))
    (finding,) = findings("cache")
    assert f"{place} can't be written (" in finding.found
    assert "set COMPANION_CACHE_DIR to a folder that can be" in finding.advice


def test_a_cache_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "new"))
    (finding,) = findings("cache")
    assert finding.found == f"exported models and trained weights are kept in {tmp_path / 'new'}"
    assert not finding.advice
    assert not list((tmp_path / "new").iterdir())
