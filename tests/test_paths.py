"""Where files lie, and that they are written whole or not at all."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import companion
from companion import paths, recipes
from companion.datasets import downloads, load_images
from companion.paths import write_atomically
from companion.recipes import weights


def test_environment_variables_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_DATA_DIR", str(tmp_path / "d"))
    monkeypatch.setenv("COMPANION_CACHE_DIR", "~/c")
    assert paths.data_dir() == tmp_path / "d"
    assert paths.cache_dir() == Path.home() / "c"


def test_a_tilde_is_the_users_home_wherever_a_path_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints have a test of their own, in `training`."""
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("DATA_DIR", "CACHE_DIR", "DOWNLOADS"):
        monkeypatch.setenv(f"COMPANION_{name}", f"~/{name}")
    assert paths.data_dir() == home / "DATA_DIR"
    assert paths.cache_dir() == home / "CACHE_DIR"
    assert downloads.downloads_dir() == home / "DOWNLOADS"

    for number in range(20):
        place = home / "pictures" / "cats" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(place)
    assert load_images("~/pictures").class_names == ("cats",)
    assert load_images(Path("~/pictures"), "test").class_names == ("cats",)

    model = nn.Linear(2, 1)
    card = weights.Card("tiny", "", "", "", 0, {}, "", 0.0, {}, {})
    weights.save(model, "~/w/tiny.safetensors", card)
    assert (home / "w" / "tiny.safetensors").is_file()
    other = nn.Linear(2, 1)
    assert weights.load(other, "~/w/tiny.safetensors") == weights.read_card("~/w/tiny.json")
    assert torch.equal(other.weight, model.weight)
    weights.save_card(model, "~/w/run.json", card)
    assert (home / "w" / "run.json").is_file()

    trained = recipes.train("vae-digits", device="cpu", epochs=1, progress=False, out="~/out")
    assert (home / "out" / "vae-digits.safetensors").is_file()
    assert recipes.load("vae-digits", folder="~/out").card == trained.card
    assert recipes.record("vae-digits", folder="~/out") == trained.card
    assert not list(here.iterdir())


def test_data_in_a_clone_and_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPANION_DATA_DIR", raising=False)
    root = Path(companion.__file__).resolve().parent.parent
    assert paths.data_dir() == root / "data"
    installed = tmp_path / "site-packages" / "companion"
    (tmp_path / "site-packages" / "data").mkdir(parents=True)  # some other package's
    monkeypatch.setattr(paths, "_PACKAGE", installed)
    assert paths.data_dir() == installed / "_data"


def test_the_cache_lies_where_the_platform_has_its_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPANION_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    assert paths.cache_dir() == tmp_path / caches / "companion"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert paths.cache_dir() == tmp_path / "there" / "companion"


@pytest.mark.parametrize("newer", [True, False])
def test_somebody_without_a_home_gets_a_temporary_cache(
    newer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def user_cache_path(*_: object, **__: object) -> Path:
        if newer:
            raise RuntimeError("could not determine the home directory")
        return Path("~/.cache/companion")

    monkeypatch.delenv("COMPANION_CACHE_DIR", raising=False)
    monkeypatch.setattr(paths.platformdirs, "user_cache_path", user_cache_path)
    monkeypatch.setattr(paths.tempfile, "gettempdir", lambda: str(tmp_path))
    assert paths.cache_dir() == tmp_path / f"companion-{os.getuid()}"
    monkeypatch.setenv("COMPANION_CACHE_DIR", "~nosuchuser/cache")
    with pytest.raises(ValueError, match="'~nosuchuser/cache' is no path here"):
        paths.cache_dir()


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / ("n" * 255)  # as long as a name can be
    write_atomically(path, b"old")
    assert path.read_bytes() == b"old"

    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_other_people_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_atomically(tmp_path / "shared", b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    script = f"""
        import os, signal
        from pathlib import Path
        from companion.paths import write_atomically
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(Path({str(path)!r}), b"new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {path}
    assert (path.read_bytes(), left.read_bytes()) == (b"old", b"new")

    write_atomically(path, b"newer")
    assert left.exists()  # for all we know its process is still at work
    strangers = [tmp_path / ".companion-production", tmp_path / ".companion"]
    for file in (left, *strangers):
        file.touch()
        os.utime(file, (0, 0))
    write_atomically(tmp_path / "another", b"x")
    assert not left.exists()
    assert all(file.exists() for file in strangers)


def test_two_with_one_process_number_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in two containers on a shared folder
    path = tmp_path / "file"
    contents = [bytes([i]) * 10**5 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write_atomically, path, content) for content in contents]:
            done.result()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
