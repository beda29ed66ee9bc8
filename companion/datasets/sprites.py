"""Coloured 2-D sprites with known factors: dSprites (Matthey et al., 2017), redrawn in colour.

One sprite on black, 64×64 pixels, described by six numbers that are known exactly:

=========  ======================  ============================================================
factor     sampled uniformly from  meaning
=========  ======================  ============================================================
shape      0, 1, 2                 index into :data:`SHAPES`
hue        0 to 0.8 turns          HSV hue (0 red, ⅓ green, ⅔ blue) at fixed saturation and value
scale      0.5 to 1                side of the square that has the sprite's area, in units of
                                   :data:`SIDE` pixels, so the area is (SIDE · scale)²
rotation   −π/4 to π/4 radians     positive turns right towards down: clockwise as seen
x, y       −12 to 12 pixels        centre of mass, right and down from the image's centre
=========  ======================  ============================================================

Two ranges differ from dSprites' on purpose. A square looks the same after a quarter turn and an
ellipse after half a turn, so over a full turn "the" rotation of an image would not be defined; over
one quarter turn it is, for every shape, but for the single angle ±π/4 of the square. The hues stop
short of the full circle for a related reason: a circle has no ends, so no single real number can
follow it without a jump (Falorsi et al., 2018, arXiv 1807.04689), while an arc is an interval that
one latent dimension can follow. :func:`draw_sprites` itself takes any angle and any hue.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

SHAPES = ("square", "ellipse", "heart")
FACTORS = ("shape", "hue", "scale", "rotation", "x", "y")
#: Half-open interval from which :func:`sample_factors` draws each continuous factor.
FACTOR_RANGES: dict[str, tuple[float, float]] = {
    "hue": (0.0, 0.8),
    "scale": (0.5, 1.0),
    "rotation": (-math.pi / 4, math.pi / 4),
    "x": (-12.0, 12.0),
    "y": (-12.0, 12.0),
}
#: Height and width of the image, in pixels.
IMAGE_SIZE = 64
#: Side in pixels of the square at scale 1; every shape has this square's area.
SIDE = 24.0

_SATURATION, _VALUE = 0.75, 1.0
_ELLIPSE_ASPECT = 2.0
_CHUNK = 512  # sprites drawn at a time: 8 MB for each intermediate tensor


def sample_factors(n: int, seed: int = 0) -> dict[str, Tensor]:
    """Draw the factors of ``n`` sprites, each factor uniform and independent of the others.

    Returns one tensor of N for each of :data:`FACTORS`: ``shape`` int64, the others float32. The
    same seed gives the same sprites, and the first k of them do not depend on n.
    """
    if n < 0:
        raise ValueError(f"The number of sprites must be 0 or more, got {n}.")
    u = torch.rand(n, len(FACTORS), generator=torch.Generator().manual_seed(seed))
    factors = {"shape": (u[:, 0] * len(SHAPES)).long()}
    for column, (name, (low, high)) in enumerate(FACTOR_RANGES.items(), start=1):
        factors[name] = low + (high - low) * u[:, column]
    return factors


def draw_sprites(factors: Mapping[str, Tensor | float]) -> Tensor:
    """Draw sprites from their factors: uint8 tensor N×3×64×64, values 0–255, background 0.

    Each of :data:`FACTORS` is a number or a tensor of N; numbers are shared by all N sprites. Units
    are those of the table above. Any rotation and hue are allowed (they wrap round); what lies
    outside the image is cut off. Edges are antialiased: a pixel's coverage falls from 1 to 0 over
    one pixel of signed distance to the outline.

    Raises ValueError if a factor is missing, unknown or not finite, if the lengths differ, if a
    shape is not 0, 1 or 2, or if a scale is not positive.
    """
    shape, hue, scale, rotation, x, y = _checked(factors)
    images = torch.empty(len(shape), 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8)
    grid = torch.arange(IMAGE_SIZE, dtype=torch.float32) - (IMAGE_SIZE - 1) / 2
    colour = 255 * _hsv_to_rgb(hue)
    # Sprites of one shape are drawn together, so that each outline is computed only where needed.
    for index, distance in enumerate((_to_square, _to_ellipse, _to_heart)):
        for rows in (shape == index).nonzero().squeeze(1).split(_CHUNK):
            dx = grid - x[rows, None]
            dy = grid - y[rows, None]
            cos, sin = rotation[rows].cos()[:, None, None], rotation[rows].sin()[:, None, None]
            u = cos * dx[:, None, :] + sin * dy[:, :, None]
            v = cos * dy[:, :, None] - sin * dx[:, None, :]
            coverage = (0.5 - distance(u, v, SIDE * scale[rows, None, None])).clamp(0, 1)
            lit = coverage[:, None] * colour[rows, :, None, None]
            images[rows] = lit.round().to(torch.uint8)
    return images


def _checked(factors: Mapping[str, Tensor | float]) -> list[Tensor]:
    if set(factors) != set(FACTORS):
        raise ValueError(
            f"Sprites need exactly the factors {', '.join(FACTORS)}; got {', '.join(factors)}."
        )
    values = {name: torch.as_tensor(factors[name]).flatten() for name in FACTORS}
    lengths = {name: len(value) for name, value in values.items()}
    n = max(lengths.values())
    if any(length not in (1, n) for length in lengths.values()):
        raise ValueError(f"Every factor must have one value or the same number; got {lengths}.")
    for name, value in values.items():
        if not value.isfinite().all():
            raise ValueError(f"The factor {name} must be finite, got {value.tolist()[:8]}.")
    if not torch.isin(values["shape"], torch.arange(len(SHAPES))).all():
        raise ValueError(
            f"A sprite's shape must be 0, 1 or 2 ({', '.join(SHAPES)}), "
            f"got {values['shape'].unique().tolist()[:8]}."
        )
    if not (values["scale"] > 0).all():
        raise ValueError(f"A sprite's scale must be positive, got {values['scale'].min().item()}.")
    return [
        value.to(torch.int64 if name == "shape" else torch.float32).expand(n)
        for name, value in values.items()
    ]


def _hsv_to_rgb(hue: Tensor) -> Tensor:
    """RGB in [0, 1], N×3, of hues in turns at the sprites' saturation and value."""
    # Position on the colour hexagon relative to where each channel is dark.
    k = (6 * hue[:, None] + torch.tensor([5.0, 3.0, 1.0])).remainder(6)
    return _VALUE - _VALUE * _SATURATION * torch.minimum(k, 4 - k).clamp(0, 1)


# Signed distances in pixels, negative inside, from points (u, v) relative to the centre of mass (u
# right, v down) to the outline of a shape whose area is side². They are exact near the outline of
# the square and the heart, and to first order near the ellipse's: the half pixel on either side of
# it that antialiasing looks at.


def _to_square(u: Tensor, v: Tensor, side: Tensor) -> Tensor:
    du, dv = u.abs() - side / 2, v.abs() - side / 2
    return torch.hypot(du.clamp_min(0), dv.clamp_min(0)) + torch.maximum(du, dv).clamp_max(0)


def _to_ellipse(u: Tensor, v: Tensor, side: Tensor) -> Tensor:
    short = side / math.sqrt(math.pi * _ELLIPSE_ASPECT)
    long = _ELLIPSE_ASPECT * short
    # f/|∇f| for f = level − 1, which vanishes on the outline.
    level = torch.hypot(u / long, v / short)
    gradient = torch.hypot(u / long**2, v / short**2) / level.clamp_min(1e-6)
    return (level - 1) / gradient.clamp_min(1e-6)


def _to_heart(u: Tensor, v: Tensor, side: Tensor) -> Tensor:
    # A square standing on its corner, with a disc of the same width on each of its upper sides.
    edge = side / math.sqrt(1 + math.pi / 4)
    disc_radius = edge / 2
    # The half discs lift the centre of mass above the square's centre by this much (Pappus).
    lift = edge * math.sqrt(2) * (math.pi / 8) * (1 / 2 + 2 / (3 * math.pi)) / (1 + math.pi / 4)
    v = v - lift
    a, b = (v + u) / math.sqrt(2), (v - u) / math.sqrt(2)
    left = torch.hypot(a + edge / 2, b) - disc_radius
    right = torch.hypot(a, b + edge / 2) - disc_radius
    return torch.minimum(_to_square(a, b, edge), torch.minimum(left, right))
