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


def branch(seed: int, *numbers: int) -> int:
    """A seed that depends on `seed` and whole numbers (0 … 2³² − 1): a step, an input, an epoch."""
    for number in numbers:
        key = _scatter(np.array([seed ^ 0x9E3779B9], dtype=np.uint32))
        seed = int(_scatter(_scatter(np.array([number], dtype=np.uint32)) ^ key)[0])
    return seed


def permutation(seed: int, count: int) -> Tensor:
    """The numbers 0 … count − 1, int64, in an order that depends on nothing but `seed`."""
    return uniform(seed, count).argsort(stable=True)


def batch_rows(seed: int, step: int, count: int, batch: int) -> Tensor:
    """The rows of a data set of `count` that training step `step` (0, 1, …) takes, int64.

    An epoch is a permutation of all rows, cut into batches; what is left over at its end is not
    used. A batch of all rows has them in order.
    """
    if batch == count:
        return torch.arange(count)
    each = count // batch
    order = permutation(branch(seed, 0, step // each), count)
    return order[step % each * batch :][:batch]


def step_noise(
    seed: int, step: int, place: int, distribution: str, shape: tuple[int, ...]
) -> Tensor:
    """What the noise input at `place` (0, 1, …) of a training step is given, float32.

    `distribution` is "normal" (mean 0, standard deviation 1) or "uniform" (multiples of 2⁻²⁴ from 0
    up to but not including 1).
    """
    key, count = branch(seed, 1, step, place), math.prod(shape)
    if distribution == "normal":
        return noise(key, count).float().view(shape)
    return ((uniform(key, count) * 2**24).floor() / 2**24).float().view(shape)


def _scatter(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
