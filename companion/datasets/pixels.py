"""Pictures in any of Pillow's pixel formats, as 8-bit grey or RGB."""

import numpy as np
from PIL import Image

# Without colour: these become "L", all others "RGB".
_GREY = {"1", "L", "LA", "La"}


def pixels_of(image: Image.Image) -> Image.Image:
    """The picture in mode "L" if its own mode is without colour, else "RGB"; 0 to 255, opaque.

    What is transparent lies on white; palettes are looked up; 16 bits are reduced to 8. How a
    camera was held (EXIF) is not looked at. Raises ValueError, naming the mode, where the pixels'
    range is unknown (floating-point numbers, 32-bit integers) or Pillow knows no way to RGB.
    """
    mode = image.mode
    # Older versions of Pillow open 16-bit PNG, and all of them 16-bit PGM, in 32 bits.
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        return _eight_bits(image)
    if mode in ("I", "F"):
        kind = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise ValueError(
            f"its pixels have mode {mode!r}, {kind} whose range is unknown: save it with 8 or "
            "16 bits a channel"
        )
    target = "L" if mode in _GREY else "RGB"
    try:
        if mode == "La":  # the only way from there
            image = image.convert("LA")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert(target)
    except ValueError as error:
        raise ValueError(
            f"its pixels have mode {mode!r}, which Pillow cannot turn into {target}: {error}"
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    grey = (values / 257).round().clip(0, 255).astype(np.uint8)
    if isinstance(transparent, int):  # the PNG's one value that is not to be seen
        grey[values == transparent] = 255
    return Image.fromarray(grey)
