"""A latent traversal in a page: move it, and see what it painted beside what torch makes of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# Remembers what the traversal paints from now on.
LISTEN = """(box) => {
    box.painted = [];
    box.addEventListener("companion-painted", ({ detail }) => box.painted.push({
        z: Array.from(detail.z), image: Array.from(detail.image)}));
}"""

# Whether the last painting is of the point that the sliders show.
ARRIVED = """(box) => {
    const point = (values) => Array.from(values, Math.fround).sort((a, b) => a - b).join();
    const sliders = box.querySelectorAll(".traversal-sliders output");
    return box.painted.length > 0
        && point(box.painted.at(-1).z) === point([...sliders].map((o) => Number(o.dataset.value)));
}"""


def act(box: Any, action: Callable[[], Any]) -> dict[str, list[float]]:
    """Do something that moves z in the traversal `box`; the painting (z, image) of where it ends.

    `box` is a locator of the widget or of an element around it.
    """
    box.evaluate(LISTEN)
    action()
    box.page.wait_for_function(ARRIVED, arg=box.element_handle())
    painted: dict[str, list[float]] = box.evaluate("(box) => box.painted.at(-1)")
    return painted


def error_against_torch(model: Any, painted: dict[str, list[float]]) -> float:
    """The largest difference between a painted image and the model's own, in pixel values."""
    with torch.no_grad():
        expected = model.decode(torch.tensor([painted["z"]], dtype=torch.float32))[0]
    return float(np.abs(np.array(painted["image"]) - expected.flatten().numpy()).max())
