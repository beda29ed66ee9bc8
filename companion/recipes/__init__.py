"""The named models of the book: data set, model, settings and the figure that each must reach.

`load` gives a trained model, `train` makes one again from nothing, `record` gives the card of a
training, `verify` checks that what ships is intact and as good as its card says. On the command
line: `companion train NAME`, `companion models --verify`.
"""

# Each registers its recipes, in this order: the GAN is judged by a classifier.
from companion.recipes import autoencoders, classifiers, gans, vaes  # noqa: F401
from companion.recipes.base import (
    Goal,
    Loaded,
    Recipe,
    Verified,
    find,
    get,
    in_order,
    load,
    names,
    record,
    register,
    stored_at,
    train,
    verify,
)

__all__ = [
    "Goal",
    "Loaded",
    "Recipe",
    "Verified",
    "find",
    "get",
    "in_order",
    "load",
    "names",
    "record",
    "register",
    "stored_at",
    "train",
    "verify",
]
