"""The store of files for pages: names, keys, damage, folders that can't be written."""

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from companion.export import store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A cache folder that nobody can write, not even the machine's administrator."""
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / "cache"
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(folder))
    return folder


def test_a_file_is_named_by_its_content_and_found_by_its_key(cache):
    kept = store.keep(b"pixels", "bin", key="k", record={"labels": [1, 2]})
    assert kept.sha256 == hashlib.sha256(b"pixels").hexdigest()
    assert kept.path == cache / "models" / f"{kept.sha256}.bin"
    assert kept.path.read_bytes() == b"pixels"
    assert store.recall("k", "bin") == kept
    assert kept.record["labels"] == [1, 2]
    assert store.recall("k", "onnx") is None
    assert store.recall("another", "bin") is None


def test_without_a_key_there_is_a_file_and_no_record(cache):
    kept = store.keep(b"pixels", "bin")
    assert [path for path in cache.rglob("*") if path.is_file()] == [kept.path]


@pytest.mark.parametrize("damage", [b"", b"pixel", b"pixels and more", None])
def test_a_file_that_is_not_what_it_was_is_not_recalled(damage):
    kept = store.keep(b"pixels", key="k")
    if damage is None:
        kept.path.unlink()
    else:
        kept.path.write_bytes(damage)
    assert store.recall("k") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"file": 3}', "{}"])
def test_a_damaged_record_is_no_record(cache, damage):
    store.keep(b"pixels", key="k")
    (cache / "models" / "exports" / "k.json").write_text(damage)
    assert store.recall("k") is None


def test_the_key_tells_apart_what_a_file_is_made_from():
    torch.manual_seed(0)
    linear = nn.Linear(2, 3)
    z = torch.zeros(2, 2)
    makings = [
        ("a", linear), ("b", linear), ("a", nn.Linear(2, 3)), ("a", nn.Linear(2, 3).double()),
        ("a", linear, z), ("a", z), ("a", z.view(4)), ("a", z.int()), ("a", {"z": z}),
        ("a", b"z"), ("a", "b"), ("ab",),
    ]  # fmt: skip
    keys = [store.fingerprint(*making) for making in makings]
    assert len(set(keys)) == len(keys)
    assert [store.fingerprint(*making) for making in makings] == keys
    with torch.no_grad():
        linear.bias[0] += 1
    assert store.fingerprint(*makings[0]) != keys[0]


def test_a_cache_that_can_t_be_written_gives_way_with_one_warning(locked):
    with pytest.warns(RuntimeWarning, match="set COMPANION_CACHE_DIR to a folder") as caught:
        kept = store.keep(b"pixels", key="k")
    assert len(caught) == 1
    assert str(locked) in str(caught[0].message)
    assert kept.path.read_bytes() == b"pixels"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.recall("k") == kept
        store.keep(b"more pixels")


def test_a_full_disk_leaves_nothing_and_is_told(cache, monkeypatch):
    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match=r"No space left .*; set COMPANION_CACHE_DIR to a"):
        store.keep(b"pixels", key="k")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_the_temporary_folder_goes_with_the_process(locked):
    code = "from companion.export import store; print(store.keep(b'pixels').path)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "RuntimeWarning" in done.stderr
    path = Path(done.stdout.strip())
    assert path.suffix == ".onnx"
    assert not path.parent.exists()
