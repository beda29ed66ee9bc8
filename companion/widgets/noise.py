"""Random numbers that Python and the page draw alike, from a seed."""

import math

import numpy as np
import torch
from torch import Tensor


def noise(seed: int, count: int) -> Tensor:
    """ε: `count` draws from N(0, 1), float64, that depend on nothing but `seed` (0 … 2³² − 1).

    A longer draw begins with the shorter one. The page makes the same numbers without a kernel
    (js/maths/noise.js), which is why this is no library's generator: counters, scattered by the
    finaliser of MurmurHash3 (Appleby, public domain), through Box and Muller's transform.
    """
    u = uniform(seed, count + count % 2).numpy()
    radius, angle = np.sqrt(-2 * np.log(u[::2])), 2 * math.pi * u[1::2]
    draws = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return torch.from_numpy(draws.reshape(-1)[:count].copy())


def uniform(seed: int, count: int) -> Tensor:
    """`count` numbers between 0 and 1, float64, that depend on nothing but `seed` (0 … 2³² − 1)."""
    key = _scatter(np.array([seed ^ 0x9E3779B9], dtype=np.uint32))
    counters = np.arange(count, dtype=np.uint32)
    return torch.from_numpy((_scatter(_scatter(counters) ^ key) + 0.5) / 2.0**32)


def _scatter(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
