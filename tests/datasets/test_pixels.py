"""`pixels_of`: every mode of Pillow comes out right, or is refused by name."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from companion.datasets.pixels import pixels_of

RED, ORANGE = (255, 0, 0), (200, 60, 30)


def colour(image: Image.Image) -> Any:
    """The one colour of the result: a number, or three."""
    result = pixels_of(image)
    assert result.mode in ("L", "RGB")
    assert result.size == image.size
    pixels = {result.getpixel((x, y)) for x in range(result.width) for y in range(result.height)}
    assert len(pixels) == 1
    return pixels.pop()


def sample(mode: str) -> Image.Image:
    """A picture that is orange all over, or as grey as that is."""
    orange = Image.new("RGB", (3, 2), ORANGE)
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        result = ImageCms.applyTransform(orange, ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
        assert result is not None
        return result
    if mode in ("P", "PA"):
        return orange.quantize(4).convert(mode)
    if mode in ("RGBa", "La"):
        return orange.convert(mode.upper()).convert(mode)
    if mode.startswith("I;16"):
        return Image.new(mode, (3, 2), 257 * 99)
    return orange.convert(mode, dither=Image.Dither.NONE)


@pytest.mark.parametrize("mode", sorted(set(Image.MODES) - {"I", "F"}))
def test_every_mode_shows_the_same_colour(mode: str) -> None:
    came = colour(sample(mode))
    if mode == "1":
        assert came == 0
    elif isinstance(came, int):
        assert mode.startswith(("L", "I;16"))
        assert came == pytest.approx(99, abs=1)
    else:
        assert np.abs(np.subtract(came, ORANGE)).max() <= 3


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_unknown_range_is_refused_by_name(mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode '{mode}'.*range"):
        pixels_of(Image.fromarray(np.full((2, 3), 200, {"I": np.int32, "F": np.float32}[mode])))


def test_palettes_are_looked_up() -> None:
    assert colour(Image.new("RGB", (8, 8), "red").quantize(4)) == RED


def test_black_and_white_is_0_and_255() -> None:
    assert (colour(Image.new("1", (2, 2), 0)), colour(Image.new("1", (2, 2), 1))) == (0, 255)


def test_what_is_transparent_lies_on_white() -> None:
    assert colour(Image.new("RGBA", (2, 2), (255, 0, 0, 0))) == (255, 255, 255)
    assert colour(Image.new("RGBA", (2, 2), (255, 0, 0, 255))) == RED
    assert colour(Image.new("LA", (2, 2), (100, 0))) == 255
    assert colour(Image.new("LA", (2, 2), (0, 128))) == pytest.approx(127, abs=1)


def saved(image: Image.Image, form: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, form, **options)
    return Image.open(file)


@pytest.mark.parametrize(
    ("image", "transparency", "expected"),
    [
        (Image.new("L", (2, 2), 7), 7, 255),
        (Image.new("1", (2, 2), 0), 0, 255),
        (Image.new("RGB", (2, 2), RED), RED, (255, 255, 255)),
        (Image.new("RGB", (2, 2), RED).quantize(2), bytes([0, 0]), (255, 255, 255)),
        (Image.new("I;16", (2, 2), 30_000), 30_000, 255),
        (Image.new("I;16", (2, 2), 257 * 7), 30_000, 7),
    ],
    ids=["L", "1", "RGB", "P", "I;16", "I;16, another value"],
)
def test_one_transparent_value_of_a_png(
    image: Image.Image, transparency: object, expected: object
) -> None:
    assert colour(saved(image, "PNG", transparency=transparency)) == expected


@pytest.mark.parametrize("form", ["PNG", "PPM", "TIFF"])
def test_16_bits_are_reduced_to_8(form: str) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None] * 257
    came = np.asarray(pixels_of(saved(Image.fromarray(ramp), form)))
    np.testing.assert_array_equal(came, np.arange(256)[None])


def test_a_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    with Image.open(tmp_path / "red.jpg") as image:
        assert image.mode == "CMYK"
        assert np.abs(np.subtract(colour(image), RED)).max() <= 4
