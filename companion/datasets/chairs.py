"""Chairs in three dimensions with known factors, after Aubry et al. (2014), "Seeing 3D chairs".

One chair on a light floor, 64×64 pixels, described by six numbers that are known exactly:

===========  ======================  =========================================================
factor       sampled uniformly from  meaning
===========  ======================  =========================================================
azimuth      −π/2 to π/2 radians     where the camera stands around the chair: 0 in front of it,
                                     positive towards the chair's left hand (the image's right)
elevation    0.15 to 0.8 radians     how far the camera looks down
leg_height   0.25 to 0.55 metres     from the floor to the seat
back_height  0.25 to 0.60 metres     from the seat to the top of the back
seat_width   0.36 to 0.66 metres     from edge to edge, seen from the front
hue          0 to 0.8 turns          HSV hue (0 red, ⅓ green, ⅔ blue) of the whole chair
===========  ======================  =========================================================

The chair is seen from the half circle in front of it and the hues stop short of the full circle,
so that each factor is an interval which one latent dimension can follow (see
:mod:`companion.datasets.sprites`). :func:`draw_chairs` itself takes any azimuth and any hue.

The picture is made by sphere tracing (Hart, 1996): a function gives the distance from any point to
the chair, and a ray advances by that distance, which can never take it through a surface.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

FACTORS = ("azimuth", "elevation", "leg_height", "back_height", "seat_width", "hue")
#: Half-open interval from which :func:`sample_factors` draws each factor.
FACTOR_RANGES: dict[str, tuple[float, float]] = {
    "azimuth": (-math.pi / 2, math.pi / 2),
    "elevation": (0.15, 0.8),
    "leg_height": (0.25, 0.55),
    "back_height": (0.25, 0.6),
    "seat_width": (0.36, 0.66),
    "hue": (0.0, 0.8),
}
#: Height and width of the image, in pixels.
IMAGE_SIZE = 64

# Lengths in metres. The chair stands on y = 0, centred on x = z = 0, and faces +z.
_SEAT_DEPTH = 0.46
_SEAT_HALF_THICKNESS = 0.028
_ROUNDING = 0.022
_RECLINE = 0.22  # metres the back leans backwards per metre of height
_CURVATURE = 0.35  # of the back's panel, per metre
_PANEL_FROM = 0.36  # of the back height, where its panel begins
_TARGET = (0.0, 0.58, 0.0)  # what the camera looks at
_DISTANCE = 3.6
_HALF_VIEW = 0.78  # metres from the middle of the image to its edge, at the target
_SAMPLES = 3  # rays per pixel and direction
_STEPS = 64
_NEAR = 0.0012
_BACKGROUND = 0.93
_SATURATION = 0.75
_CHUNK = 16  # chairs drawn at a time: their rays fit into the processor's cache


def sample_factors(n: int, seed: int = 0) -> dict[str, Tensor]:
    """Draw the factors of ``n`` chairs, each factor uniform and independent of the others.

    Returns one float32 tensor of N for each of :data:`FACTORS`. The same seed gives the same
    chairs, and the first k of them do not depend on n.
    """
    if n < 0:
        raise ValueError(f"The number of chairs must be 0 or more, got {n}.")
    u = torch.rand(n, len(FACTORS), generator=torch.Generator().manual_seed(seed))
    return {
        name: low + (high - low) * u[:, column]
        for column, (name, (low, high)) in enumerate(FACTOR_RANGES.items())
    }


def draw_chairs(factors: Mapping[str, Tensor | float]) -> Tensor:
    """Draw chairs from their factors: uint8 tensor N×3×64×64, values 0–255.

    Each of :data:`FACTORS` is a number or a tensor of N; numbers are shared by all N chairs. Units
    are those of the table above. Any azimuth and hue are allowed (they wrap round); what lies
    outside the image is cut off. Every pixel is the mean of nine rays.

    Raises ValueError if a factor is missing, unknown or not finite, if the lengths differ, if a
    length is not positive, or if the elevation is not between 0 and π/2.
    """
    values = _checked(factors)
    images = torch.empty(len(values), 3, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8)
    for rows in torch.arange(len(values)).split(_CHUNK):
        images[rows] = (255 * _render(values[rows])).round().to(torch.uint8)
    return images


def _checked(factors: Mapping[str, Tensor | float]) -> Tensor:
    """The factors as the columns of one tensor, in the order of FACTORS."""
    if set(factors) != set(FACTORS):
        raise ValueError(
            f"Chairs need exactly the factors {', '.join(FACTORS)}; got {', '.join(factors)}."
        )
    values = {name: torch.as_tensor(factors[name]).flatten().float() for name in FACTORS}
    lengths = {name: len(value) for name, value in values.items()}
    n = max(lengths.values())
    if any(length not in (1, n) for length in lengths.values()):
        raise ValueError(f"Every factor must have one value or the same number; got {lengths}.")
    for name, value in values.items():
        if not value.isfinite().all():
            raise ValueError(f"The factor {name} must be finite, got {value.tolist()[:8]}.")
    for name in ("leg_height", "back_height", "seat_width"):
        if not (values[name] > 0).all():
            raise ValueError(
                f"A chair's {name} must be positive, got {values[name].min().item():.3g}."
            )
    elevation = values["elevation"]
    if not ((elevation >= 0) & (elevation < math.pi / 2)).all():
        raise ValueError(
            f"A chair's elevation must be at least 0 and less than π/2 radians, "
            f"got {elevation.min().item():.3g} to {elevation.max().item():.3g}."
        )
    return torch.stack([values[name].expand(n) for name in FACTORS], dim=1)


def _render(values: Tensor) -> Tensor:
    """RGB in [0, 1], N×3×64×64."""
    azimuth, elevation, legs, back, width, hue = values[:, :, None].unbind(1)
    origin, direction, light = _camera(azimuth, elevation)
    n, rays = direction[0].shape
    shape = torch.stack([legs, back, width]).expand(3, n, rays).flatten(1)
    start = torch.stack([part.expand(n, rays).flatten() for part in origin])
    ray = torch.stack([part.expand(n, rays).flatten() for part in direction])
    lamp = torch.stack([part.expand(n, rays).flatten() for part in light])

    hit, depth = _trace(start, ray, shape)
    shade = torch.zeros(n * rays)  # how much of the chair's colour
    white = torch.full((n * rays,), _BACKGROUND)  # how much white light besides

    on_chair = hit.nonzero().squeeze(1)
    points = start[:, on_chair] + depth[on_chair] * ray[:, on_chair]
    lit, gloss = _shade(points, ray[:, on_chair], lamp[:, on_chair], shape[:, on_chair])
    shade[on_chair], white[on_chair] = lit, gloss

    down = torch.where(ray[1] < 0, -start[1] / ray[1].clamp_max(-1e-6), math.inf)
    floor = start + down * ray
    reach = 0.5 * shape[2] + 0.35
    near = ~hit & (floor[0].abs() < reach) & (floor[2].abs() < 0.5 * _SEAT_DEPTH + 0.5)
    on_floor = near.nonzero().squeeze(1)
    white[on_floor] = _BACKGROUND * _floor_light(floor[:, on_floor], shape[:, on_floor])

    colour = _hsv_to_rgb(hue.squeeze(1))
    pixels = shade.view(n, 1, rays) * colour[:, :, None] + white.view(n, 1, rays)
    side = IMAGE_SIZE * _SAMPLES
    fine = pixels.clamp(0, 1).view(n, 3, side, side)
    return torch.nn.functional.avg_pool2d(fine, _SAMPLES)


Vector = tuple[Tensor, Tensor, Tensor]


def _camera(azimuth: Tensor, elevation: Tensor) -> tuple[Vector, Vector, Vector]:
    """Position (N×1), ray directions (N×rays) and direction to the lamp (N×1), each as x, y, z."""
    sin_a, cos_a = azimuth.sin(), azimuth.cos()
    sin_e, cos_e = elevation.sin(), elevation.cos()
    back = (sin_a * cos_e, sin_e, cos_a * cos_e)
    right = (cos_a, torch.zeros_like(sin_a), -sin_a)
    up = (-sin_a * sin_e, cos_e, -cos_a * sin_e)
    side = IMAGE_SIZE * _SAMPLES
    grid = (torch.arange(side) + 0.5) / side * 2 - 1
    v, u = torch.meshgrid(-grid, grid, indexing="ij")
    spread = _HALF_VIEW / _DISTANCE
    u, v = spread * u.flatten(), spread * v.flatten()
    inverse = (1 + u * u + v * v).rsqrt()
    origin = tuple(t + _DISTANCE * b for t, b in zip(_TARGET, back, strict=True))
    direction = tuple(
        (u * r + v * w - b) * inverse for r, w, b in zip(right, up, back, strict=True)
    )
    # The lamp hangs above the camera's left shoulder, in the world's directions.
    lamp = tuple(
        -0.48 * r + 0.74 * y + 0.47 * b
        for r, y, b in zip(
            right, (0.0, 1.0, 0.0), (sin_a, torch.zeros_like(sin_a), cos_a), strict=True
        )
    )
    return origin, direction, lamp  # type: ignore[return-value]


def _trace(start: Tensor, ray: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
    """Which rays hit the chair, and after how many metres."""
    legs, back, width = shape
    hit = torch.zeros(start.shape[1], dtype=torch.bool)
    depth = torch.zeros(start.shape[1])
    # Only within a box around the chair is there anything to find.
    lean = _RECLINE * back + 0.06
    low = (-0.5 * width - 0.04, torch.zeros_like(width), -0.5 * _SEAT_DEPTH - lean)
    high = (
        0.5 * width + 0.04,
        legs + back + 0.03,
        torch.full_like(width, 0.5 * _SEAT_DEPTH + 0.05),
    )
    enter = torch.zeros_like(width)
    leave = torch.full_like(width, math.inf)
    for axis in range(3):
        inverse = 1 / torch.where(ray[axis].abs() < 1e-7, 1e-7, ray[axis])
        one = (low[axis] - start[axis]) * inverse
        other = (high[axis] - start[axis]) * inverse
        enter = torch.maximum(enter, torch.minimum(one, other))
        leave = torch.minimum(leave, torch.maximum(one, other))
    active = (enter < leave).nonzero().squeeze(1)
    state = torch.cat([start, ray, shape, enter[None], leave[None]])[:, active]
    for step in range(_STEPS):
        t = state[9]
        distance = _distance(state[:3] + t * state[3:6], state[6:9])
        state[9] = torch.where(distance < _NEAR, t, t + distance)
        if step % 3 == 2 or step == _STEPS - 1:
            arrived = distance < _NEAR
            hit[active[arrived]] = True
            depth[active[arrived]] = state[9, arrived]
            going = (~arrived & (state[9] < state[10])).nonzero().squeeze(1)
            active, state = active[going], state[:, going]
            if not len(active):
                break
    return hit, depth


def _distance(point: Tensor, shape: Tensor) -> Tensor:
    """Distance in metres from points (3×rays) to their chairs: never more than it is."""
    x, y, z = point
    legs, back, width = shape
    x, half = x.abs(), 0.5 * width
    above = y - legs
    seat = _box(
        (x - half, above.abs() - _SEAT_HALF_THICKNESS, z.abs() - 0.5 * _SEAT_DEPTH), _ROUNDING
    )
    # Four legs, splayed and tapered.
    leg = _rod(
        (x - half + 0.055, above, z.abs() - 0.5 * _SEAT_DEPTH + 0.055),
        (0.045, -legs + 0.016, 0.045),
        0.026,
        0.016,
    )
    rear = z + 0.5 * _SEAT_DEPTH - 0.04
    post = _rod(
        (x - half + 0.06, above, rear), (0.0, 0.9 * back, -0.9 * _RECLINE * back), 0.02, 0.018
    )
    # The panel of the back, sheared and bent: nowhere steeper than 1.25, so dividing is safe.
    bent = rear + _RECLINE * above - _CURVATURE * (x * x - 0.5 * half * half)
    middle, extent = 0.5 * (1 + _PANEL_FROM) * back, 0.5 * (1 - _PANEL_FROM) * back
    panel = _box((x - half + 0.01, (above - middle).abs() - extent, bent.abs() - 0.02), 0.018)
    frame = torch.minimum(leg, post)
    return torch.minimum(torch.minimum(seat, frame), 0.8 * panel)


def _box(outside: Vector, rounding: float) -> Tensor:
    """Distance to a box with round edges, from how far a point lies beyond each pair of faces."""
    a, b, c = (part + rounding for part in outside)
    p, q, r = a.clamp_min(0), b.clamp_min(0), c.clamp_min(0)
    inside = torch.maximum(torch.maximum(a, b), c).clamp_max(0)
    return (p * p + q * q + r * r).sqrt() + inside - rounding


def _rod(
    point: Vector,
    along: tuple[float | Tensor, float | Tensor, float | Tensor],
    r0: float,
    r1: float,
) -> Tensor:
    """Distance to a rod from the origin to ``along``, its radius going from r0 to r1."""
    x, y, z = point
    a, b, c = along
    t = ((x * a + y * b + z * c) / (a * a + b * b + c * c)).clamp(0, 1)
    x, y, z = x - t * a, y - t * b, z - t * c
    return (x * x + y * y + z * z).sqrt() - (r0 + (r1 - r0) * t)


def _shade(point: Tensor, ray: Tensor, lamp: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
    """Light of the chair's own colour, and white gloss, at points of its surface."""
    corners = torch.tensor([[1.0, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    normal = torch.zeros_like(point)
    for corner in corners:
        normal += corner[:, None] * _distance(point + 0.002 * corner[:, None], shape)
    normal /= _dot(normal, normal).sqrt().clamp_min(1e-9)
    facing = _dot(normal, lamp).clamp_min(0)
    shadow = _shadow(point + 0.006 * normal, lamp, shape) if len(point[0]) else facing
    open_sky = _openness(point, normal, shape)
    sky = 0.5 + 0.5 * normal[1]
    light = open_sky * (0.34 + 0.24 * sky) + 0.5 * facing * shadow
    half = lamp - ray
    half = half / _dot(half, half).sqrt()
    gloss = 0.12 * shadow * _dot(normal, half).clamp_min(0) ** 24
    return light, gloss


def _shadow(point: Tensor, lamp: Tensor, shape: Tensor) -> Tensor:
    """1 where the lamp is seen, 0 in full shadow, between them at its soft edge."""
    seen = torch.ones_like(point[0])
    t = torch.full_like(point[0], 0.02)
    for _ in range(10):
        distance = _distance(point + t * lamp, shape)
        seen = torch.minimum(seen, 9 * distance / t)
        t = t + distance.clamp(0.02, 0.16)
    seen = seen.clamp(0, 1)
    return seen * seen * (3 - 2 * seen)


def _openness(point: Tensor, normal: Tensor, shape: Tensor) -> Tensor:
    """1 in the open, less in corners: how far the chair keeps off as one walks away from it."""
    closed = torch.zeros_like(point[0])
    for step, weight in ((0.04, 4.0), (0.12, 1.6)):
        closed += weight * (step - _distance(point + step * normal, shape)).clamp_min(0)
    return (1 - closed).clamp(0.25, 1)


def _floor_light(point: Tensor, shape: Tensor) -> Tensor:
    """The light on the floor near the chair, 1 far from it."""
    dark = torch.zeros_like(point[0])
    for height, weight in ((0.03, 5.0), (0.12, 1.2), (0.22, 0.6)):
        above = torch.stack([point[0], torch.full_like(point[0], height), point[2]])
        dark += weight * (height - _distance(above, shape)).clamp_min(0)
    return (1 - dark).clamp(0.45, 1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    # Not a sum over a dimension: its order of adding would depend on the number of points.
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _hsv_to_rgb(hue: Tensor) -> Tensor:
    """RGB in [0, 1], N×3, of hues in turns at the chairs' saturation and value."""
    k = (6 * hue[:, None] + torch.tensor([5.0, 3.0, 1.0])).remainder(6)
    return 1 - _SATURATION * torch.minimum(k, 4 - k).clamp(0, 1)
