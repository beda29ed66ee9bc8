"""A model of the reader's own that trains in the page, on PyTorch's own gradient."""

import base64
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.export.model import named_outputs, unwrap
from companion.export.tensors import keep_tensors
from companion.export.training import ExportedTraining, export_training
from companion.training.arguments import Loss
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Seed, number, whole_number

VIEWS = ("filters", "predictions", "reconstructions", "code", "grid", "feature maps")
"""What `show` may name, in the order in which the widget shows it."""

TEST_IMAGES = 500
"""As many test images at most give the test loss and the accuracy."""

CODES = 250  # test images whose codes are shown
GRID = 11  # images along a side of the decoded plane
FILTERS = 32  # first-layer weights shown
ALL = "all"

Function = Callable[..., Any]
Range = tuple[float, float, float]


class LiveTraining(LiveWidget):
    """Training, alive in the page: play, pause, one step, reset; sliders that act between steps.

    One training step of the model (forward, PyTorch's gradient, optimizer) is exported as a graph,
    which runs in the page without a kernel (`companion.export.training`). Nothing of it is loaded
    there before the reader presses Train. In the chapter on VAEs, for instance::

        LiveTraining(vae, loss, digits, test=held_out, lr=(3e-3, 1e-4, 3e-2),
                     inputs={"beta": (1.0, 0.0, 50.0)}, show=["code", "grid"])

    Args:
        model: any module; it stays as it is, and its weights are those that training starts from.
        loss: `loss(model, images, labels)` as for `companion.training.fit`, and by keyword the
            declared `inputs`, as tensors: a scalar tensor, or a mapping of scalar tensors with
            "loss" among its keys. Entries are drawn as curves; "error", in per cent, becomes
            the training's accuracy.
        data: an ImageSet, images (N×…, uint8 or floats in [0, 1]), or images and labels.
        test: the same for images to test with, the first 500 of them; None for no test.
        batch_size: of a step; "all" for the whole set; several, as (64, "all"), to choose from.
        optimizer: Adam, AdamW or SGD of torch.optim, or a functools.partial of one.
        lr: the learning rate: a number, or (first value, lowest, highest) of its slider, whose
            scale is logarithmic.
        inputs: what the loss takes by keyword, as (first value, lowest, highest) of a slider.
        show: names of views, or a mapping of names to the functions that they draw; None there
            stands for the function in brackets.

            - "filters": the first layer's weights as pictures (no function: None).
            - "predictions": test images with their classes, from logits (`model(images)`).
            - "reconstructions": test images above theirs (`model(images)`, its first tensor).
            - "code": test images by their two-dimensional code, in the colour of their class;
              from codes, or mean and log-variance, which gives ellipses (`model.encode(images)`).
            - "grid": the plane of codes, decoded (`model.decode(z)`).
            - "feature maps": what the first convolution makes of an image that the reader draws
              or picks (that layer's output while `model(image)` is computed).

            Each is `function(model, images)`, for "grid" `function(model, z)`.
        class_names: names of the classes; those of the ImageSet, or the labels' numbers.
        seed: of the batches' order and of noise, 0 to 2³² − 1.
        title: heading of the widget.

    The test accuracy is shown where labels are given and `model(images)` (or the function of
    "predictions") gives logits, N × classes.

    Attributes:
        numbers: the sliders' values, by name: "lr" and the declared inputs.
        batch_size: of the steps from now on; one of those given ("all" is the set's size).
        seed: of the next run from the start.

    All three may be set and observed from Python while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit, or the model, the loss or a function can't
            be exported; the sentence names the layer where it is known.
    """

    module = "live_training"

    training = traitlets.Dict().tag(sync=True)
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    sliders = traitlets.List(traitlets.Dict()).tag(sync=True)
    views = traitlets.List(traitlets.Dict()).tag(sync=True)
    images = traitlets.Dict().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)
    numbers = traitlets.Dict().tag(sync=True)
    batch_size = traitlets.Int().tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        test: Any = None,
        *,
        batch_size: int | str | Sequence[int | str] = 64,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        lr: float | Range = 1e-3,
        inputs: Mapping[str, Range] | None = None,
        show: Sequence[str] | Mapping[str, Function | None] = (),
        class_names: Sequence[str] | None = None,
        seed: int = 0,
        title: str = "Training, live",
    ) -> None:
        raise NotImplementedError
