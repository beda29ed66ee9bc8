"""The command line: what it prints and how it exits."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from companion import recipes
from companion.cli import main
from companion.datasets import load_images


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
    assert str(blocked) in capsys.readouterr().err


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
    assert main(["train", "vae-sprites", *options]) == 1  # one epoch is not enough
    printed = capsys.readouterr()
    assert "data: my sprites, in place of: sprites" in printed.out
    assert "--data 'my sprites'" in printed.out
    assert str(folder) not in (out / "vae-sprites.json").read_text(encoding="utf-8")
    assert main(["train", "vae-digits", *options]) == 1
    assert "takes images of 1×8×8, but those of" in capsys.readouterr().err


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
