"""Textures with painted defects: what a camera over a production line might see (chapter 11).

The textures are scikit-image's photographs of bricks, grass and gravel; the defects are drawn here,
so that their pixels are known. They stand in for photographs of real defects, such as MVTec AD's
(Bergmann et al. 2019), whose licence forbids commercial use.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.datasets import photos
from companion.models.classifier import check_choice

TEXTURES = ("brick", "grass", "gravel")
DEFECTS = ("scratch", "stain", "turned")
_SIDE = 256  # of a texture
_SPLIT = 144  # rows above it are for training, those below for testing


def texture(name: str, split: str = "train") -> Tensor:
    """A grey photograph in [0, 1]: its upper 144 of 256 rows ("train") or the rest ("test")."""
    check_choice("texture", name, TEXTURES)
    check_choice("split", split, ("train", "test"))
    whole = photos.read("train", (name,), _SIDE)[0].float().mean(0) / 255
    return whole[:_SPLIT] if split == "train" else whole[_SPLIT:]


def windows(
    name: str, split: str = "train", count: int = 400, size: int = 64, seed: int = 0
) -> Tensor:
    """`count` windows of a texture, cut at random places: N×1×size×size in [0, 1].

    Raises ValueError for a texture or split that there is not, a count below 1, and a size that is
    not 16 to 112 pixels.
    """
    whole = texture(name, split)
    if count < 1 or not 16 <= size <= _SIDE - _SPLIT:
        raise ValueError(
            f"Expected a count from 1 and a size of 16 to {_SIDE - _SPLIT} pixels, got {count!r} "
            f"and {size!r}."
        )
    rng = np.random.default_rng([seed, len(split)])
    tops = rng.integers(0, whole.shape[0] - size + 1, count)
    lefts = rng.integers(0, whole.shape[1] - size + 1, count)
    return torch.stack(
        [whole[None, t : t + size, s : s + size] for t, s in zip(tops, lefts, strict=True)]
    )


def damaged(images: Tensor, kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The images N×1×H×W with a defect each, and which pixels it covers: boolean, N×H×W.

    - "scratch": a line, three pixels wide, half way to white;
    - "stain": a disc of 8 to 12 pixels' radius, darkened by a quarter;
    - "turned": a square of 20 pixels, turned by 90°: no grey level changes, only their order.
    """
    check_choice("kind", kind, DEFECTS)
    rng = np.random.default_rng(seed)
    count, _, height, width = images.shape
    rows, columns = np.mgrid[:height, :width]
    spoilt, masks = images.clone(), np.zeros((count, height, width), dtype=bool)
    for k in range(count):
        y, x = rng.integers(14, height - 14), rng.integers(14, width - 14)
        if kind == "turned":
            part = (slice(y - 10, y + 10), slice(x - 10, x + 10))
            spoilt[k, 0][part] = images[k, 0][part].T.flip(0)
            masks[k][part] = True
            continue
        if kind == "stain":
            masks[k] = np.hypot(rows - y, columns - x) <= rng.uniform(8, 12)
            spoilt[k, 0][masks[k]] *= 0.75
            continue
        angle = rng.uniform(0, np.pi)
        along = (rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        masks[k] = (np.abs(across) <= 1.5) & (np.abs(along) <= 14)
        spoilt[k, 0][masks[k]] = (spoilt[k, 0][masks[k]] + 1) / 2
    return spoilt, torch.from_numpy(masks)


class TextureAutoencoder(nn.Module):
    """Grey images N×1×H×W in [0, 1] → the same, H and W divisible by 8.

    Convolutions throughout, so one that learnt on small windows takes larger images: each square of
    8×8 pixels becomes `channels` numbers and is rebuilt from those around it.
    """

    def __init__(self, channels: int = 4, width: int = 24) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=2, padding=2), nn.ELU(),
            nn.Conv2d(width, width, 5, stride=2, padding=2), nn.ELU(),
            nn.Conv2d(width, channels, 3, stride=2, padding=1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.ELU(),
            nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.ELU(),
            nn.Conv2d(width, 4, 3, padding=1), nn.PixelShuffle(2), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction, the shape of x."""
        image: Tensor = self.decoder(self.encoder(x))
        return image


def nearest_patch_maps(
    train: Tensor, images: Tensor, *, patch: int = 8, stride: int = 2, bank: int = 3000
) -> np.ndarray:
    """The rival without training: how far each patch is from the nearest patch of good images.

    `bank` patches are taken at random from `train`; the distances of the patches of `images`, at
    every `stride` pixels, are averaged where patches overlap: N×H×W. H and W less `patch` must be
    divisible by `stride`.
    """
    from sklearn.neighbors import NearestNeighbors

    def cut(these: Tensor, step: int) -> Tensor:
        return F.unfold(these, patch, stride=step).transpose(1, 2)  # N×places×patch²

    known = cut(train, patch // 2).reshape(-1, patch**2).numpy()
    chosen = np.random.default_rng(0).permutation(len(known))[:bank]
    patches = cut(images, stride)
    nearest = NearestNeighbors(n_neighbors=1).fit(known[chosen])
    gaps, _ = nearest.kneighbors(patches.reshape(-1, patch**2).numpy())
    spread = torch.from_numpy(gaps).view(len(images), 1, -1).expand(-1, patch**2, -1)
    size = images.shape[2:]
    total, counted = (
        F.fold(values, size, patch, stride=stride) for values in (spread, torch.ones_like(spread))
    )
    maps: np.ndarray = (total / counted)[:, 0].numpy()
    return maps
