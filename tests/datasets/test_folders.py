"""Any folder of images: what is found, how it is split, what becomes of odd and broken files."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion.datasets import load_images


def paint(
    path: Path, colour: tuple[int, ...] = (200, 40, 90), size: tuple[int, int] = (20, 20)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new({3: "RGB", 4: "RGBA"}[len(colour)], size, colour).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Forty images in two class sub-folders, each with a red value of its own."""
    folder = tmp_path / "animals"
    for i in range(20):
        paint(folder / "dog" / f"{i}.png", (i, 0, 0))
        paint(folder / "cat" / f"{i}.png", (100 + i, 0, 0))
    return folder


def reds(folder: Path | str, split: str, **options: int) -> list[int]:
    return load_images(folder, split, **options).images[:, 0, 5, 5].tolist()


def test_sub_folders_are_classes(animals: Path) -> None:
    for split in ("train", "test"):
        data = load_images(animals, split)
        assert data.name == "animals"
        assert data.image_shape == (3, 64, 64)
        assert data.class_names == ("cat", "dog")
        assert data.labels is not None
        assert torch.equal(data.images[:, 0, 5, 5] < 100, data.labels == 1)


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    for i in range(12):
        paint(tmp_path / f"{i}.jpg")
    data = load_images(str(tmp_path))
    assert data.labels is None
    assert data.class_names == ()


def test_every_image_is_in_exactly_one_split(animals: Path) -> None:
    train, test = reds(animals, "train"), reds(animals, "test")
    assert sorted(train + test) == [*range(20), *range(100, 120)]
    assert 2 <= len(test) <= 15


def test_the_split_survives_moving_growing_and_other_seeds(animals: Path, tmp_path: Path) -> None:
    before = set(reds(animals, "test"))
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(animals, moved)
    for i in range(20):
        paint(moved / "dog" / f"new {i}.png", (200 + i, 0, 0))
    after = set(reds(moved, "test", seed=7))
    assert {red for red in after if red < 200} == before
    assert len(after) > len(before)


def test_the_share_for_testing_is_a_fifth(tmp_path: Path) -> None:
    for i in range(400):
        (tmp_path / f"{i}.png").touch()
    from companion.datasets.folders import find

    assert len(find(tmp_path, "test")[0]) == pytest.approx(80, abs=25)


def test_the_seed_orders_and_a_smaller_set_is_the_beginning(animals: Path) -> None:
    whole = reds(animals, "train", seed=1)
    assert reds(animals, "train", seed=1, size=7) == whole[:7]
    other = reds(animals, "train", seed=2)
    assert other != whole
    assert sorted(other) == sorted(whole)


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for i in range(8):
        paint(tmp_path / "train" / "a" / f"{i}.png", (i, 0, 0))
        paint(tmp_path / "test" / "b" / f"{i}.png", (50 + i, 0, 0))
    assert sorted(reds(tmp_path, "train")) == list(range(8))
    assert sorted(reds(tmp_path, "test")) == list(range(50, 58))
    test = load_images(tmp_path, "test")
    assert test.class_names == ("a", "b")
    assert test.labels is not None
    assert test.labels.tolist() == [1] * 8


@pytest.mark.parametrize("name", ["Test", "val", "valid", "Validation"])
def test_other_names_of_the_split_that_is_held_out(tmp_path: Path, name: str) -> None:
    for k in range(4):
        paint(tmp_path / "Train" / "cat" / f"{k}.png")
    paint(tmp_path / name / "cat" / "0.png")
    train, test = (load_images(tmp_path, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (4, 1)
    assert train.class_names == test.class_names == ("cat",)


def test_any_shape_is_cut_in_the_middle_and_resized(tmp_path: Path) -> None:
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = (10, 200, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / "high.png")
    paint(tmp_path / "small.png", (10, 200, 30), (3, 3))
    images = everything(tmp_path, image_size=16)
    assert images.shape == (3, 3, 16, 16)
    # Near the cut the filter sees a little of what lies beyond it.
    inner = images[:, :, 3:13, 3:13].permute(0, 2, 3, 1)
    assert (inner == torch.tensor([10, 200, 30])).all()


def everything(folder: Path, **options: int) -> torch.Tensor:
    """Both splits, in the order of the names: moved into the one, so that there is something."""
    for split in ("train", "test"):
        (folder / split).mkdir()
    for path in sorted(folder.glob("*.*")):
        path.rename(folder / "train" / path.name)
    paint(folder / "test" / "one.png")
    names = sorted(path.name for path in (folder / "train").iterdir())
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))
    return load_images(folder, **options).images[order.argsort()]


def test_grey_sixteen_bit_transparent_and_palette_images(tmp_path: Path) -> None:
    Image.new("L", (9, 9), 77).save(tmp_path / "a grey.png")
    Image.fromarray(np.full((9, 9), 77 * 257, np.uint16)).save(tmp_path / "b sixteen.png")
    paint(tmp_path / "c half.png", (0, 0, 0, 128))
    paint(tmp_path / "d clear.png", (9, 9, 9, 0))
    Image.new("LA", (9, 9), (77, 255)).save(tmp_path / "e grey and opaque.png")
    Image.new("RGB", (9, 9), (255, 0, 0)).quantize(4).save(tmp_path / "f palette.gif")
    Image.new("CMYK", (9, 9), (0, 0, 0, 255)).save(tmp_path / "g print.tif")
    colours = everything(tmp_path)[:, :, 30, 30].tolist()
    assert colours == [
        [77, 77, 77],
        [77, 77, 77],
        [127, 127, 127],
        [255, 255, 255],
        [77, 77, 77],
        [255, 0, 0],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_cameras_note_turns_the_picture(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16] = 255  # bright above, dark below
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(upright, turns)).save(tmp_path / "photo.png", exif=exif)
    image = everything(tmp_path, image_size=32)[0, 0]
    assert image[:14].min() == 255
    assert image[18:].max() == 0


def test_broken_files_are_named_counted_and_skipped(animals: Path) -> None:
    complete = reds(animals, "train")
    victims = [path for path in (animals / "cat").iterdir() if red(path) in complete][:2]
    lost = {red(path) for path in victims}
    victims[0].write_bytes(victims[0].read_bytes()[:40])
    victims[1].write_bytes(b"not an image")
    with pytest.warns(
        UserWarning, match=r"2 of \d+ images cannot be read and were skipped"
    ) as seen:
        data = load_images(animals)
    assert all(path.name in str(seen[0].message) for path in victims)
    assert data.images[:, 0, 5, 5].tolist() == [value for value in complete if value not in lost]
    assert data.labels is not None
    assert torch.equal(data.images[:, 0, 5, 5] < 100, data.labels == 1)


def red(path: Path) -> int:
    return Image.open(path).convert("RGB").getpixel((5, 5))[0]


def test_what_is_no_image_is_passed_over_in_silence(animals: Path) -> None:
    before = reds(animals, "train")
    (animals / "notes.txt").write_text("seen on Monday")
    (animals / ".DS_Store").write_bytes(b"\0")
    paint(animals / ".thumbnails" / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reds(animals, "train") == before


def test_endings_may_be_in_capitals(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "A.PNG")
    paint(tmp_path / "test" / "B.Jpeg")
    assert len(load_images(tmp_path)) == len(load_images(tmp_path, "test")) == 1


def test_what_cannot_be_loaded_is_said_in_one_sentence(tmp_path: Path, animals: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere"):
        load_images(f"{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no image in the folder .*empty"):
        load_images(tmp_path / "empty")
    paint(tmp_path / "single" / "1.png")
    with pytest.raises(
        ValueError, match=r"None of the 1 images .* belongs to its (test|train) split"
    ):
        [load_images(tmp_path / "single", split) for split in ("train", "test")]
    with pytest.raises(ValueError, match=r"1 to \d+ images, size=99"):
        load_images(animals, size=99)
    paint(animals / "stray.png")
    with pytest.raises(ValueError, match=r"either images or class sub-folders, but stray.png"):
        load_images(animals)
    for split in ("train", "test"):
        (tmp_path / "broken" / split).mkdir(parents=True)
        (tmp_path / "broken" / split / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 of 1 images cannot be read: x.png"):
        load_images(tmp_path / "broken")


def test_a_folder_called_like_a_data_set_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "digits" / "train" / "1.png")
    paint(tmp_path / "digits" / "test" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert len(load_images(Path("digits"))) == 1
    assert len(load_images("digits")) == 1442
