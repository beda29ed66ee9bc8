"""Traits whose value is a number within bounds.

No annotation subscripts a class of traitlets: Colab's traitlets 5.7 would refuse it.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import traitlets


def number(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float.

    Raises:
        ValueError: it is no number from `low` to `high`; the message calls it `name`.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int.

    Raises:
        ValueError: it is no whole number from `low` to `high`; the message calls it `name`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


class Bounded(traitlets.TraitType):
    """A number from `low` to `high`, kept as a float.

    `default` is its first value (None: `low`), `called` its name in messages. Setting it to
    anything else raises the ValueError of :func:`number`.
    """

    def __init__(
        self, low: float, high: float, *, default: float | None = None, called: str | None = None
    ) -> None:
        super().__init__(default_value=low if default is None else default)
        self.low, self.high, self.called = low, high, called

    def validate(self, obj: Any, value: Any) -> float:
        """The value as a float."""
        return number(self.called or str(self.name), value, self.low, self.high)


class BoundedInt(Bounded):
    """The same for whole numbers."""

    def validate(self, obj: Any, value: Any) -> int:
        """The value as an int."""
        return whole_number(self.called or str(self.name), value, int(self.low), int(self.high))


class Choice(traitlets.TraitType):
    """One of several words; the first is the default. Another one raises a ValueError."""

    def __init__(self, options: Sequence[str]) -> None:
        super().__init__(default_value=options[0])
        self.options = tuple(options)

    def validate(self, obj: Any, value: Any) -> str:
        """The value as a str."""
        if value not in self.options:
            raise ValueError(f"{self.name} must be one of {', '.join(self.options)}, not {value!r}")
        return str(value)


class Seed(traitlets.TraitType):
    """A whole number from 0 to 2³² − 1 (`companion.widgets.noise`)."""

    default_value = 0

    def validate(self, obj: Any, value: Any) -> int:
        """The value as an int; ValueError if it is something else."""
        if (
            isinstance(value, bool)
            or not isinstance(value, Integral)
            or not 0 <= int(value) < 2**32
        ):
            raise ValueError(f"{self.name} must be an integer from 0 to 2³² − 1, not {value!r}")
        return int(value)
