"""The photographs that come inside scikit-learn and scikit-image, and one of the reader's own."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion.datasets import load_images, read_photograph
from companion.datasets.photos import NAMES, crops


@pytest.mark.parametrize(("split", "n"), [("train", 13), ("test", 2)])
def test_every_photo_is_there_by_name(split: str, n: int) -> None:
    data = load_images("photos", split)
    assert data.images.shape == (n, 3, 224, 224)
    assert data.images.dtype == torch.uint8
    assert data.class_names == NAMES[split]
    assert data.labels is not None
    assert data.labels.tolist() == list(range(n))
    # So many pictures, not one so many times, and none of them flat.
    assert data.images.double().std((1, 2, 3)).min() > 10
    assert len(data.images.flatten(1).unique(dim=0)) == n


def test_a_photo_is_the_middle_of_the_original() -> None:
    from sklearn.datasets import load_sample_image

    original = load_sample_image("flower.jpg")  # 427×640
    middle = Image.fromarray(original[:, 106:533])
    expected = np.asarray(middle.resize((96, 96), Image.Resampling.LANCZOS)).astype(float)
    data = load_images("photos", "test", image_size=96)
    image = data.images[data.class_names.index("flower")].permute(1, 2, 0).double().numpy()
    assert np.abs(image - expected).mean() < 1.5


def test_grey_photos_have_three_equal_channels() -> None:
    data = load_images("photos")
    grey = data.images[data.class_names.index("camera")]
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    cat = data.images[data.class_names.index("cat")].double().mean((1, 2))
    assert cat[0] > cat[2] + 20


def test_the_order_is_fixed_and_a_smaller_set_its_beginning() -> None:
    few = load_images("photos", size=3, seed=9)
    assert few.class_names == ("astronaut", "cat", "coffee")
    assert torch.equal(few.images, load_images("photos").images[:3])


class TestOwnPhotograph:
    def test_one_that_has_its_size_is_taken_as_it_is(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "own.png")
        photo = read_photograph(tmp_path / "own.png")
        assert photo.dtype == torch.uint8
        assert np.array_equal(photo.permute(1, 2, 0), pixels)

    def test_odd_sizes_grey_transparent_and_turned_ones(self, tmp_path: Path) -> None:
        halves = np.zeros((300, 200), dtype=np.uint8)
        halves[:150] = 255  # white above black
        grey = Image.fromarray(halves)
        grey.save(tmp_path / "grey.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # held so that it has to be turned clockwise
        grey.rotate(90, expand=True).convert("RGB").save(tmp_path / "turned.jpg", exif=exif)
        alpha = Image.new("RGBA", (301, 77), (0, 0, 0, 0))
        alpha.save(tmp_path / "clear.png")
        for name in ("grey.png", "turned.jpg"):
            photo = read_photograph(tmp_path / name, 64).float()
            assert photo.shape == (3, 64, 64)
            assert photo[:, :30].min() > 250
            assert photo[:, 34:].max() < 5
        assert read_photograph(tmp_path / "clear.png").min() == 255

    def test_forty_megapixels_are_read_and_more_than_a_hundred_refused(
        self, tmp_path: Path
    ) -> None:
        Image.new("L", (8000, 5000), 70).save(tmp_path / "large.jpg")
        assert (read_photograph(tmp_path / "large.jpg").float() - 70).abs().max() <= 1
        for side, words in ((10_001, "100 million pixels"), (40_000, "more than 100 million")):
            # The head of a PNG: nothing of the pixels has to be there.
            head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
            chunks = b""
            for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
                check = struct.pack(">I", zlib.crc32(kind + data))
                chunks += struct.pack(">I", len(data)) + kind + data + check
            (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
            with pytest.raises(ValueError, match=rf"^bomb.png could not be read .*{words}.*\.$"):
                read_photograph(tmp_path / "bomb.png")

    def test_what_is_no_picture_is_refused_in_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "text.png").write_text("no picture")
        Image.new("RGB", (100, 100)).save(tmp_path / "whole.jpg")
        (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:500])
        with pytest.raises(
            ValueError, match=r"^text.png could not .* picture: it is no picture\.$"
        ):
            read_photograph(tmp_path / "text.png")
        with pytest.raises(ValueError, match=r"^half.jpg could not be read as a picture: "):
            read_photograph(tmp_path / "half.jpg")
        with pytest.raises(ValueError, match=r"^There is no file '.*none.png'\.$"):
            read_photograph(tmp_path / "none.png")


@pytest.mark.slow
def test_pieces_are_cut_from_the_photographs_of_their_class() -> None:
    whole = load_images("photos", "train", image_size=160).images
    for split, rows in (("train", slice(0, 112)), ("test", slice(112, 160))):
        pieces = crops(split, 40, size=16, seed=3)
        assert pieces.images.shape == (40, 3, 16, 16)
        assert pieces.class_names == NAMES["train"]
        assert pieces.labels is not None
        for piece, label in zip(pieces.images, pieces.labels, strict=True):
            windows = whole[label, :, rows].unfold(1, 16, 1).unfold(2, 16, 1)
            assert (windows == piece[:, None, None]).all(-1).all(-1).all(0).any()
    assert torch.equal(crops("test", 40, seed=1).images, crops("test", 40, seed=1).images)
    assert not torch.equal(crops("test", 40, seed=1).images, crops("test", 40, seed=2).images)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("all", 4), "'train' or 'test'"),
        (("train", 0), "count from 1"),
        (("train", 4, 7), "8 to 48"),
        (("train", 4, 49), "8 to 48"),
    ],
)
def test_pieces_that_cannot_be_cut(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        crops(*arguments)
