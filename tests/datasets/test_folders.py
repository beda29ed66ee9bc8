"""Any folder of images: what is found, how it is split, what becomes of odd and broken files."""

import io
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
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
        paint(tmp_path / "train" / "b" / f"{i}.png", (i, 0, 0))
        paint(tmp_path / "test" / "b" / f"{i}.png", (50 + i, 0, 0))
    assert sorted(reds(tmp_path, "train")) == sorted([*range(8), *range(8)])
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


def lay(folder: Path, *names: str) -> Path:
    """Images of these paths, each with a red value of its own: its number."""
    for number, name in enumerate(names):
        paint(folder / name, (number, 0, 0))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        # Kaggle's brain tumours; Intel's scenes, each split in itself once more; other spellings.
        ("Training/a/0.png", "Training/b/1.png", "Testing/a/2.png", "Testing/b/3.png"),
        ("seg_train/seg_train/a/0.png", "seg_train/seg_train/b/1.png",
         "seg_test/seg_test/a/2.png", "seg_test/seg_test/b/3.png"),
        ("Training Set/a/0.png", "Training Set/b/1.png", "Test Set/a/2.png", "Test Set/b/3.png"),
        ("train2017/a/0.png", "train2017/b/1.png", "val2017/a/2.png", "val2017/b/3.png"),
        ("TrainImages/a/0.png", "TrainImages/b/1.png", "TestImages/a/2.png", "TestImages/b/3.png"),
        ("train/images/a/0.png", "train/images/b/1.png",
         "valid/images/a/2.png", "valid/images/b/3.png"),
        # A folder or two around it all, as ZIP files leave them, and what macOS adds.
        ("archive/train/a/0.png", "archive/train/b/1.png",
         "archive/test/a/2.png", "archive/test/b/3.png", "__MACOSX/archive/test/a/._2.png"),
        ("x/y/Train/a/0.png", "x/y/Train/b/1.png", "x/y/Validation/a/2.png",
         "x/y/Validation/b/3.png", "x/.cache/9.png"),
        ("images/train/a/0.png", "images/train/b/1.png",
         "images/dev/a/2.png", "images/dev/b/3.png"),
    ],
)  # fmt: skip
def test_layouts_that_people_have(tmp_path: Path, names: tuple[str, ...]) -> None:
    lay(tmp_path, *names)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "0.txt").write_text("beside")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = (load_images(tmp_path, split) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("a", "b")
    for data, expected in ((train, {0: 0, 1: 1}), (test, {2: 0, 3: 1})):
        assert data.labels is not None
        reds = data.images[:, 0, 5, 5].tolist()
        assert dict(zip(reds, data.labels.tolist(), strict=True)) == expected


def test_a_wrapper_is_looked_through(tmp_path: Path, animals: Path) -> None:
    whole = reds(animals, "train")
    shutil.move(animals, tmp_path / "outer" / "my animals")
    (tmp_path / "outer" / "README.md").write_text("from a friend")
    assert reds(tmp_path / "outer", "train") == whole
    assert load_images(tmp_path).class_names == ("cat", "dog")


def test_train_alone_is_split_with_a_word(tmp_path: Path, animals: Path) -> None:
    animals.rename(tmp_path / "train")
    with pytest.warns(UserWarning, match=r"train/ has no test/ beside it: one image in five"):
        data = load_images(tmp_path)
    assert data.class_names == ("cat", "dog")
    shutil.move(tmp_path / "train" / "cat", tmp_path / "flat" / "train")
    with pytest.warns(UserWarning, match="one image in five"):
        assert load_images(tmp_path / "flat").labels is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/0.png", "train/b/1.png", "test/2.png"),
         r"train/ has class sub-folders, but test/ holds loose images, such as test/2\.png"),
        (("train/0.png", "test/a/1.png"), r"test/ has class sub-folders, but train/ holds loose"),
        (("a/0.png", "b/1.png", "2.png"), r"2\.png lies beside a/"),
        (("train/a/0.png", "train/1.png", "test/a/2.png"), r"train/1\.png lies beside train/a/"),
        (("photos/0.png", "photos/a/1.png"), r"photos/0\.png lies beside photos/a/"),
        (("a/train/0.png", "a/test/1.png", "b/train/2.png", "b/test/3.png"),
         "a/ has splits of its own, train/ and test/: put the splits outside, as train/a/"),
        (("test/a/0.png", "test/b/1.png"), "test/ sounds like images to test on"),
        (("train/a/0.png", "train_2/a/0.png", "test/a/1.png", "test_2/a/2.png"), "not clear which"),
        (("train/a/0.png", "images_to_test/a/1.png"), "train/ and images_to_test/ sound like"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    lay(tmp_path, *names)
    for split in ("train", "test"):
        with pytest.raises(ValueError, match=message):
            load_images(tmp_path, split)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/0.png", "test/a/1.png", "val/a/2.png", "seg_pred/3.png", "cover.png"),
         r"train/ and test/ are the splits; .*: seg_pred/ \(1\), val/ \(1\), beside them \(1\)"),
        (("fold1/a/0.png", "fold1/b/1.png", "fold2/a/2.png", "fold2/b/3.png"),
         r"fold1/, fold2/ are taken for the classes, though each has the same .* \(a, b\)"),
        (("train/a/0.png", "test/b/1.png"), "classes of which train/ has no images: b"),
        (("labelled/a/0.png", "labelled/b/1.png", "unlabelled/2.png"),
         r"taken for one class, whose sub-folders are not told apart: labelled/ \(a, b\)\. If"),
        (("animals/cat/0.png", "animals/dog/1.png", "cars/bus/2.png", "cars/van/3.png"),
         r"not told apart: animals/ \(cat, dog\), cars/ \(bus, van\)"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_said(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    lay(tmp_path, *names)
    with pytest.warns(UserWarning, match=message) as seen:
        load_images(tmp_path)
    assert seen[0].filename == __file__


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    """Vehicles, and a class with what looks like a year of its own."""
    lay(tmp_path, *(f"{name}/{i}.png" for name in ("train", "bus", "car") for i in range(8)))
    lay(tmp_path, "car/2019/9.png")
    assert load_images(tmp_path).class_names == ("bus", "car", "train")


def test_links_are_followed_once(tmp_path: Path, animals: Path) -> None:
    plain = reds(animals, "train")
    data = tmp_path / "linked"
    shutil.copytree(animals / "cat", data / "cat")
    (data / "dog").symlink_to(animals / "dog")
    (data / "cat" / "again").symlink_to(data)
    (data / "cat" / "itself").symlink_to(data / "cat" / "itself")
    (data / "dog copy").symlink_to(animals / "dog")
    (data / "cat" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(UserWarning, match="files were passed over: 2 broken link") as seen:
        found = load_images(data)
    assert found.images[:, 0, 5, 5].tolist() == plain
    assert found.class_names == ("cat", "dog")
    assert "2 broken link (cat/itself, cat/lost.png)" in str(seen[0].message)
    assert "2 link to what is read already (dog copy, cat/again)" in str(seen[0].message)
    (tmp_path / "root").symlink_to(animals)
    assert reds(tmp_path / "root", "train") == plain


def test_every_file_that_is_passed_over_is_counted_by_kind(tmp_path: Path, animals: Path) -> None:
    before = reds(animals, "train")
    for i in range(3):
        (animals / "bird" / "2020").mkdir(parents=True, exist_ok=True)
        (animals / "bird" / "2020" / f"{i}.HEIC").write_bytes(b"a phone's")
        (animals / "cat" / f"{i}.npy").write_bytes(b"an array")
        (animals / f"film {i}.mp4").write_bytes(b"a film")
    (animals / "dog" / "IMG_1").write_bytes(b"no ending")
    with pytest.warns(UserWarning, match="files were passed over") as seen:
        data = load_images(animals)
    assert data.images[:, 0, 5, 5].tolist() == before
    assert (
        "files were passed over: 3 .heic (in bird/2020/), 3 .mp4 (directly in it), "
        "3 .npy (in cat/), 1 without an ending (in dog/)." in str(seen[0].message)
    )
    with pytest.raises(ValueError, match=r"no image in .*; passed over: 3 \.heic \(in 2020/\)"):
        load_images(animals / "bird")


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPG", "avif", "tga", "pbm", "jp2", "webp"])
def test_what_pillow_reads_is_taken(tmp_path: Path, ending: str) -> None:
    lossy = {"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG"}.get(ending)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        image = Image.new("1" if ending == "pbm" else "RGB", (9, 9), "white")
        image.save(tmp_path / split / f"0.{ending}", lossy)
    assert load_images(tmp_path).images.min() > 250


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


def test_pixels_of_unknown_range_are_named_not_guessed(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "good.png")
    paint(tmp_path / "test" / "good.png")
    Image.fromarray(np.full((9, 9), 200, np.int32)).save(tmp_path / "train" / "whole.tif")
    Image.fromarray(np.full((9, 9), 0.5, np.float32)).save(tmp_path / "train" / "part.tif")
    with pytest.warns(UserWarning, match="2 of 3 images cannot be read") as seen:
        assert len(load_images(tmp_path)) == 1
    message = str(seen[0].message)
    assert "train/whole.tif (its pixels have mode 'I', 32-bit integers" in message
    assert "train/part.tif (its pixels have mode 'F', floating-point numbers" in message


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


def chunk(kind: bytes, content: bytes, checked: bool = True) -> bytes:
    """A part of a PNG file."""
    check = zlib.crc32(kind + content) if checked else 0
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def segment(marker: int, content: bytes) -> bytes:
    """A part of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


HELD_SIDEWAYS = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0"  # two entries:
    b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"  # turn it by 90°,
    b"\x1a\x01\x0a\0\x01\0\0\0\x26\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"  # −1/0 dots an inch
)


@pytest.mark.parametrize(
    ("kind", "odd"),
    [
        ("png", chunk(b"tEXt", b"a\0b", checked=False)),
        ("png", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000)))),
        ("png", chunk(b"iCCP", b"icc")),
        ("png", chunk(b"pHYs", b"12")),
        ("png", chunk(b"gAMA", b"1")),
        ("png", chunk(b"eXIf", b"no EXIF")),
        ("png", chunk(b"acTL", b"1")),
        ("png", chunk(b"eXIf", HELD_SIDEWAYS[6:])),
        ("jpeg", segment(0xE1, HELD_SIDEWAYS)),
        ("jpeg", segment(0xE1, HELD_SIDEWAYS) + segment(0xE2, b"ICC_PROFILE\0")),
        ("jpeg", segment(0xE1, b"Exif\0\0nothing")),
        ("jpeg", segment(0xEE, b"Adobe")),
        ("jpeg", segment(0xE0, b"JFIF\0")),
        ("jpeg", segment(0xE2, b"MPF\0nothing")),
    ],
)
def test_odd_metadata_costs_no_picture(tmp_path: Path, kind: str, odd: bytes) -> None:
    upright = np.zeros((32, 32), np.uint8)
    upright[:16] = 255
    turned = HELD_SIDEWAYS[6:] in odd
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(upright) if turned else upright).save(buffer, kind, quality=95)
    content = buffer.getvalue()
    at = content.index(b"IDAT") - 4 if kind == "png" else 2
    (tmp_path / f"odd.{kind}").write_bytes(content[:at] + odd + content[at:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = everything(tmp_path, image_size=32)[0, 0]
    assert image[:14].min() > 250
    assert image[18:].max() < 5


def test_warning_filters_do_not_change_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "train" / "large.png", size=(40, 30))
    paint(tmp_path / "test" / "1.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns of more
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_images(tmp_path)) == 1


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
    assert all(f"cat/{path.name}" in str(seen[0].message) for path in victims)
    assert data.images[:, 0, 5, 5].tolist() == [value for value in complete if value not in lost]
    assert data.labels is not None
    assert torch.equal(data.images[:, 0, 5, 5] < 100, data.labels == 1)


def red(path: Path) -> int:
    return Image.open(path).convert("RGB").getpixel((5, 5))[0]


def test_documents_and_hidden_files_are_passed_over_in_silence(animals: Path) -> None:
    before = reds(animals, "train")
    for name in ("notes.txt", "labels.CSV", "README", "LICENSE", "Thumbs.db"):
        (animals / name).write_text("seen on Monday")
    (animals / ".DS_Store").write_bytes(b"\0")
    for hidden in (".thumbnails", "__MACOSX", "@eaDir"):
        paint(animals / hidden / "0.png")
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
    for nothing in ("", "  "):
        with pytest.raises(ValueError, match="of a folder of images is empty"):
            load_images(nothing)
    with pytest.raises(ValueError, match=r"'~nosuchuser/pictures' is no path here"):
        load_images("~nosuchuser/pictures")
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
    with pytest.raises(ValueError, match=r"1 of 1 images cannot be read: train/x.png"):
        load_images(tmp_path / "broken")


def test_a_folder_called_like_a_data_set_is_reached_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "digits" / "train" / "1.png")
    paint(tmp_path / "digits" / "test" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert len(load_images(Path("digits"))) == 1
    assert len(load_images("digits")) == 1442


# Peak of the memory over what it was before, in units of the images: 600 of 96×96.
PEAK = """
import sys
from pathlib import Path
import torch
from companion.datasets import load_images
load_images(sys.argv[1], "test", image_size=96)  # what is imported and cached
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
def held(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))
before = held("VmRSS")
images = load_images(sys.argv[1], image_size=96).images
print((held("VmHWM") - before) / images.numel())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="another system")
def test_a_folder_takes_the_memory_of_its_images(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "0.png", size=(96, 96))
    for i in range(1, 600):
        (tmp_path / "train" / f"{i}.png").symlink_to(tmp_path / "train" / "0.png")
    paint(tmp_path / "test" / "0.png")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 1.5
