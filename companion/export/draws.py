"""Random numbers of a network, taken from outside: a page can hand them in, and torch repeat them.

A VAE's noise, dropout, images that a loss makes noisy: all that torch draws at random comes down to
standard normal and uniform numbers. Within a `Draws` block they are asked for from the caller.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Draw = Callable[[str, tuple[int, ...]], Tensor]
"""From "normal" (mean 0, standard deviation 1) or "uniform" (at least 0, below 1) and a shape to
float32 numbers."""


def drawn_by(generator: torch.Generator) -> Draw:
    """Draws by a generator of torch."""

    def draw(distribution: str, shape: tuple[int, ...]) -> Tensor:
        make = torch.randn if distribution == "normal" else torch.rand
        return make(shape, generator=generator)

    return draw


class Draws(TorchDispatchMode):
    """Within the block torch draws nothing itself: `draw` gives what it makes its numbers from.

    The results have the distributions that they have without it. Raises ValueError for an operator
    that draws in another way.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.draw = draw

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in function.tags:
            return function(*args, **kwargs)
        places = function._schema.arguments
        given = {place.name: kwargs.get(place.name, place.default_value) for place in places}
        given |= {place.name: value for place, value in zip(places, args, strict=False)}
        if given.get("dropout_p") == 0:  # attention
            return function(*args, **kwargs)
        name = function.overloadpacket.__name__
        rule = _RULES.get(name)
        if rule is None or "out" in given:
            raise ValueError(
                f"it draws at random by {name}, which can't be replaced by numbers from outside; "
                "randn, rand, normal, bernoulli, randint, randperm and dropout can"
            )
        drawn = rule(self.draw, given)
        dtype = given.get("dtype")  # randint's default is no torch.dtype
        return drawn.to(dtype) if isinstance(dtype, torch.dtype) else drawn


def _uniform(draw: Draw, given: dict[str, Any]) -> Tensor:
    return draw("uniform", _shape(given))


def _uniform_(draw: Draw, given: dict[str, Any]) -> Tensor:
    low, high = given["from"], given["to"]
    return _filled(given, low + (high - low) * _uniform(draw, given))


def _normal(draw: Draw, given: dict[str, Any]) -> Tensor:
    mean, std = given.get("mean", 0.0), given.get("std", 1.0)
    if "size" in given:
        shape = tuple(given["size"])
    else:
        tensors = [value for value in (mean, std, given.get("self")) if isinstance(value, Tensor)]
        shape = tuple(torch.broadcast_shapes(*[value.shape for value in tensors]))
    return mean + std * draw("normal", shape)


def _standard_normal(draw: Draw, given: dict[str, Any]) -> Tensor:
    return draw("normal", _shape(given))


def _bernoulli(draw: Draw, given: dict[str, Any]) -> Tensor:
    of = given["self"]
    return (_uniform(draw, given) < given.get("p", of)).to(of.dtype)


def _integers(draw: Draw, given: dict[str, Any]) -> Tensor:
    low, high = given.get("low", 0), given["high"]
    whole = (_uniform(draw, given) * (high - low)).floor()
    # The product of a float32 just below 1 may be rounded up.
    return (whole.clamp(max=high - low - 1) + low).to(torch.int64)


def _permutation(draw: Draw, given: dict[str, Any]) -> Tensor:
    return draw("uniform", (given["n"],)).argsort()


def _dropout(draw: Draw, given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    x, p = given["input"], given["p"]
    if given["train"] is False or p == 0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = draw("uniform", tuple(x.shape)) >= p
    return x * kept * (1 / (1 - p) if p < 1 else 0.0), kept


def _exponential_(draw: Draw, given: dict[str, Any]) -> Tensor:
    return _filled(given, -torch.log1p(-_uniform(draw, given)) / given["lambd"])


def _filled(given: dict[str, Any], values: Tensor) -> Tensor:
    target: Tensor = given["self"]
    return target.copy_(values)


def _shape(given: dict[str, Any]) -> tuple[int, ...]:
    return tuple(given["size"] if "size" in given else given["self"].shape)


_RULES: dict[str, Callable[[Draw, dict[str, Any]], Any]] = {
    "rand": _uniform,
    "rand_like": _uniform,
    "uniform_": _uniform_,
    "randn": _standard_normal,
    "randn_like": _standard_normal,
    "normal": _normal,
    "normal_": lambda draw, given: _filled(given, _normal(draw, given)),
    "bernoulli": _bernoulli,
    "bernoulli_": lambda draw, given: _filled(given, _bernoulli(draw, given)),
    "randint": _integers,
    "randint_like": _integers,
    "randperm": _permutation,
    "native_dropout": _dropout,
    "exponential_": _exponential_,
}
