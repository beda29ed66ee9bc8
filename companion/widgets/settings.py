"""Which traits of a widget are its setting, which an address can carry, and what each may be.

Numbers within bounds, choices, seeds and switches of `companion.widgets.traits` say so themselves.
Any other trait is a setting if its tag says what it may be, or how that follows from the widget:
`.tag(sync=True, setting=lambda w: whole(0, len(w.pictures) - 1))`; one that is none says
`setting=None`. A page believes no address: js/runtime/settings.js holds its values against this.
"""

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from companion.widgets.traits import Bounded, BoundedInt, Choice, Seed

Setting = dict[str, Any]


def number(low: float, high: float) -> Setting:
    """A number from `low` to `high`."""
    return {"number": [low, high]}


def whole(low: int, high: int, *, below: str | None = None) -> Setting:
    """A whole number from `low` to `high`, and less than the length of the list `below`."""
    return {"whole": [low, high]} | ({} if below is None else {"below": below})


def words(options: Sequence[str], *, needs: dict[str, str] | None = None) -> Setting:
    """One of these texts; `needs` names a list that must not be empty for some of them."""
    return {"words": list(options)} | ({} if needs is None else {"needs": needs})


def several(entry: Setting, fewest: int, most: int | None = None) -> Setting:
    """A list of `fewest` to `most` (if not given, of exactly that many)."""
    return {"list": entry, "length": [fewest, fewest if most is None else most]}


def fields(specs: dict[str, Setting]) -> Setting:
    """A dict with exactly these keys."""
    return {"fields": specs}


def each(*specs: Setting) -> Setting:
    """A list with one entry for each of these, in their order."""
    return {"each": list(specs)}


def matrix(entry: Setting, most: int, *, squares: Sequence[int] = ()) -> Setting:
    """Rows of equal length, 1×1 to most×most, or only `squares` of these sides."""
    rows = several(several(entry, 1, most), 1, most)
    return rows | {"even": True} | ({"squares": list(squares)} if squares else {})


def tensor(low: float, high: float, *shape: int) -> Setting:
    """Numbers from `low` to `high`, in lists in lists of this shape."""
    return {"tensor": list(shape), "entry": number(low, high)}


def pairs(
    low: float, high: float, fewest: int, most: int | None = None, *, or_none: bool = False
) -> Setting:
    """`fewest` to `most` points of the plane, coordinates from `low` to `high`; see `several`."""
    spec = several(each(number(low, high), number(low, high)), fewest, most)
    return spec | ({"none": True} if or_none else {})


def _of(trait: traitlets.TraitType) -> Setting | None:
    """What the trait's own class says."""
    if isinstance(trait, BoundedInt):
        return whole(int(trait.low), int(trait.high))
    if isinstance(trait, Bounded):
        return number(trait.low, trait.high)
    if isinstance(trait, Choice):
        return words(trait.options)
    if isinstance(trait, traitlets.Enum):
        return words(trait.values or ())
    if isinstance(trait, Seed):
        return whole(0, 2**32 - 1)
    if isinstance(trait, traitlets.Bool):
        return {"flag": True}
    return None


def settings(widget: traitlets.HasTraits) -> dict[str, Setting]:
    """What each of a widget's settings may be, by the trait's name."""
    found = {}
    foreign = anywidget.AnyWidget.class_traits(sync=True)
    for name, trait in sorted(widget.traits(sync=True).items()):
        said: Setting | Callable[[Any], Setting] | None = trait.metadata.get("setting", _of(trait))
        spec = said(widget) if callable(said) else said
        if spec is not None and name not in foreign and not name.startswith("_"):
            found[name] = spec
    return found
