"""Libraries that need care when they are imported: `from companion.library import torchvision`.

The wheel that package indexes serve by default is built for CUDA. Beside a CPU-only torch its
compiled part does not load, which torchvision would forgive, were it not that it then describes two
operators of that part which nobody has defined: "operator torchvision::nms does not exist". What
this book uses of torchvision (models, data sets, transforms) is plain Python and needs neither.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import torch

# Non-maximum suppression of overlapping boxes, and the same on quantised numbers.
_UNDEFINED = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> ModuleType:
    """torchvision; after this call, `import torchvision` works everywhere in this process.

    A torchvision that matches torch is imported as it is. Otherwise the two missing operators are
    declared first, without an implementation: `torchvision.ops` then says itself, when one of its
    compiled functions is called, that it has none. Raises ImportError if torchvision is not
    installed, in one sentence.
    """
    try:
        return import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ImportError(
            "torchvision is not installed: pip install torchvision (on Colab it is there already)."
        ) from error
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    for operator in _UNDEFINED:
        torch.library.define(f"torchvision::{operator}", _SCHEMA)
    return import_module("torchvision")


torchvision: Any = import_torchvision()
