"""The command line: what it prints and how it exits."""

import os
import subprocess
import sys
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import pytest
from PIL import Image

from companion import recipes
from companion.cli import main
from companion.datasets import load_images
from companion.recipes import base, weights


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "cache"))


Captured = pytest.CaptureFixture[str]


def test_train_then_list_then_verify(capsys: Captured, tmp_path: Path) -> None:
    out = tmp_path / "data"
    status = main(["train", "vae-digits", "--device", "cpu", "--epochs", "1", "--out", str(out)])
    printed = capsys.readouterr()
    assert status == 1  # one epoch is not enough
    assert "companion train vae-digits --device cpu --epochs 1" in printed.out
    assert f"stored in: {out / 'vae-digits.safetensors'}" in printed.out
    assert "negative_elbo is" in printed.err

    assert main(["models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + len(recipes.names())
    digits = next(line for line in table if line.startswith("vae-digits"))
    assert "67,621" in digits
    assert "kB" in digits
    assert "(goal ≤ 27)" in digits
    assert any("not here: companion train vae-sprites" in line for line in table)

    assert main(["models", "--verify"]) == 1
    printed = capsys.readouterr()
    assert "verified" not in printed.out
    assert "vae-digits does not reach its goal" in printed.err
    assert "vae-sprites is not here" in printed.err


def test_damage_is_named(capsys: Captured, tmp_path: Path) -> None:
    main(["train", "vae-digits", "--device", "cpu", "--epochs", "1"])
    card = tmp_path / "cache" / "weights" / "vae-digits.json"
    card.write_text("{}")
    capsys.readouterr()
    assert main(["models"]) == 1
    printed = capsys.readouterr()
    assert "damaged, see below" in printed.out
    assert "companion: " in printed.err
    assert str(card) in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "vae-digit"], "did you mean 'vae-digits'"),
        (["train"], "either the NAME of a model or --all"),
        (["train", "vae-digits", "--all"], "either the NAME of a model or --all"),
        (["train", "vae-digits", "--epochs", "0"], "at least 1"),
        (["train", "vae-digits", "--epochs", "many"], "'many'"),
        (["train", "vae-digits", "--out", ""], "the path of a folder is expected, got nothing"),
        (["paint"], "paint"),
        ([], "COMMAND"),
    ],
)
def test_senseless_commands(arguments: list[str], words: str, capsys: Captured) -> None:
    try:
        status = main(arguments)
    except SystemExit as stop:  # argparse's way
        status = int(stop.code or 0)
    assert status == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_a_device_that_is_not_there(capsys: Captured) -> None:
    assert main(["train", "vae-digits", "--device", "cuda:99"]) == 1
    assert capsys.readouterr().err == (
        "companion: device 'cuda:99' was asked for, but PyTorch finds none here\n"
    )


def test_a_folder_that_cannot_be_written(capsys: Captured, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    options = ["--device", "cpu", "--epochs", "1", "--out", str(blocked)]
    assert main(["train", "vae-digits", *options]) == 1
    printed = capsys.readouterr()
    assert f"companion: {blocked / 'vae-digits.safetensors'} cannot be written" in printed.err
    assert "epoch" not in printed.err  # said before the training


def test_a_folder_in_the_place_of_the_weights(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "vae-digits.safetensors").mkdir()
    assert main(["train", "vae-digits", "--epochs", "1", "--out", str(tmp_path)]) == 1
    assert "cannot be written: it is a folder" in capsys.readouterr().err


def test_a_model_that_the_figures_need(capsys: Captured) -> None:
    assert main(["train", "dcgan-mnist"]) == 1
    assert "there are no weights of 'cnn-mnist'" in capsys.readouterr().err


def test_a_disk_that_fills_up_keeps_the_training(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "vae-digits", "--device", "cpu", "--epochs", "1", "--out", str(tmp_path)]
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(ENOSPC, "No space left on device")

        patch.setattr(weights, "write_atomically", full)
        assert main(command) == 1
    printed = capsys.readouterr()
    assert "vae-digits is trained, but" in printed.err
    assert "No space left on device" in printed.err
    kept = list((tmp_path / "cache" / "training").iterdir())
    assert [path.suffix for path in kept] == [".checkpoint"]
    assert main(command) == 1  # one epoch is not enough
    assert f"stored in: {tmp_path / 'vae-digits.safetensors'}" in capsys.readouterr().out
    assert not kept[0].exists()


def test_train_on_images_of_ones_own(capsys: Captured, tmp_path: Path) -> None:
    """A folder of pictures, in place of the recipe's data; the card names the folder, not where."""
    folder = tmp_path / "my sprites"
    images = load_images("sprites", size=40).images
    for split, chosen in (("train", images[:32]), ("test", images[32:])):
        (folder / split).mkdir(parents=True)
        for i, image in enumerate(chosen):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / split / f"{i}.png")
    out = tmp_path / "out"
    options = ["--data", str(folder), "--epochs", "1", "--device", "cpu", "--out", str(out)]
    assert main(["train", "vae-sprites", *options]) == 0  # the goal is for other images
    printed = capsys.readouterr()
    assert "and must be" not in printed.err
    assert "data: my sprites, in place of: sprites" in printed.out
    assert "--data 'my sprites'" in printed.out
    assert str(folder) not in (out / "vae-sprites.json").read_text(encoding="utf-8")
    assert main(["train", "vae-digits", *options]) == 1
    assert "takes images of 1×8×8, but those of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data", "~nosuchuser/pictures"], "'~nosuchuser/pictures' is no path here"),
        (["data", ""], "of a folder of images is empty"),
        (["train", "vae-sprites", "--data", "~nosuchuser/pictures"], "is no path here"),
        (["train", "vae-sprites", "--data", ""], "of a folder of images is empty"),
        (["train", "vae-sprites", "--out", "~nosuchuser/out"], "is no path here"),
        (["models", "--verify", "--data", "~nosuchuser/pictures"], "is no path here"),
        (["data", "no such/folder"], "There is no folder 'no such/folder'"),
    ],
)
def test_paths_that_are_none(arguments: list[str], words: str, capsys: Captured) -> None:
    assert main(arguments) == 1
    printed = capsys.readouterr().err
    assert words in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.slow
def test_somebody_without_a_home(tmp_path: Path) -> None:
    """As containers have them: an unknown user, and no HOME."""
    code = (
        "import os, pwd, sys\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from companion.cli import main\n"
        "sys.exit(main(['models']))"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "XDG_CACHE_HOME", "COMPANION_CACHE_DIR")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env=environment | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not here: companion train vae-sprites" in done.stdout
    assert not (tmp_path / "~").exists()


def test_a_pipe_that_closes(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'from companion.cli import main; main([\"data\"])'"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_warnings_are_lines(capsys: Captured, tmp_path: Path) -> None:
    for i in range(9):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{i}.png")
    (tmp_path / "9.heic").write_bytes(b"a phone's")
    assert main(["data", str(tmp_path)]) == 0
    assert capsys.readouterr().err.startswith("companion: In the folder")


def test_the_goal_is_for_the_recipes_own_data(capsys: Captured, tmp_path: Path) -> None:
    main(["train", "vae-digits", "--device", "cpu", "--epochs", "1", "--data", "digits"])
    assert "negative_elbo is" in capsys.readouterr().err
    assert "--data" not in recipes.record("vae-digits").command
    folder = tmp_path / "cats"
    for i in range(12):
        path = folder / ("train" if i < 9 else "test") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (20 * i, 0, 0)).save(path)
    options = ["--device", "cpu", "--epochs", "1", "--data", str(folder)]
    assert main(["train", "vae-sprites", *options]) == 0
    capsys.readouterr()
    main(["models", "--verify", "--data", str(folder)])
    printed = capsys.readouterr()
    assert f"intact; on {folder}: negative_elbo" in printed.out
    assert "companion: vae-sprites" not in printed.err


def test_images_that_cannot_be_measured_on(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: object) -> dict[str, float]:
        raise ValueError("cats has no factors to compare with")

    recipe = recipes.get("vae-sprites")
    monkeypatch.setitem(base._RECIPES, "vae-sprites", replace(recipe, evaluate=evaluate))
    for i in range(12):
        path = tmp_path / ("train" if i < 9 else "test") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64)).save(path)
    assert main(["train", "vae-sprites", "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "cats has no factors" in printed.err
    assert not (tmp_path / "cache" / "training").exists()


def test_train_all_goes_on_after_a_failure(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def train(name: str, **options: object) -> None:
        tried.append(name)
        raise OSError(f"{name} has no data")

    monkeypatch.setattr(recipes, "train", train)
    assert main(["train", "--all"]) == 1
    assert tried == recipes.in_order()
    assert sorted(tried) == recipes.names()
    assert tried.index("cnn-mnist") < tried.index("dcgan-mnist")
    assert "companion: vae-digits: vae-digits has no data" in capsys.readouterr().err


def test_data(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_DOWNLOADS", str(tmp_path))
    assert main(["data", "digits"]) == 0
    printed = capsys.readouterr().out
    assert "digits, train: 1,442 grey images of 8×8" in printed
    assert "digits, test: 355" in printed
    assert main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "digits        here" in lines
    assert "mnist         companion data mnist fetches it" in lines
    assert main(["data", "emnist"]) == 1
    assert "no data set 'emnist'" in capsys.readouterr().err


@pytest.mark.slow
def test_doctor(capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for what in ("versions", "processor", "GPU", "cache", "data sets", "models", "training"):
        assert f"{what}:" in printed
    assert "companion train NAME" in printed  # nothing ships in this test's folders


def test_help_loads_no_torch() -> None:
    code = (
        "import sys\nfrom companion.cli import main\n"
        "try:\n    main(['train', '--help'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--device" in done.stdout
    assert "--out" in done.stdout
