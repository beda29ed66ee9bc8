"""Looking into networks: what occlusion costs beyond the passes that it cannot do without."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from companion.explain.occlusion import occlusion_map
from companion.explain.passes import evaluating, first_pass
from companion.models import DigitCNN, EfficientNet
from companion.training.devices import keep_freed_memory

#: A photograph, seven by seven places, and a digit, a place at every pixel: the model, the image,
#: patch, stride, and how many places that makes.
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, int, int, int]] = {
    "EfficientNet-B0": (EfficientNet, torch.rand(3, 224, 224), 32, 32, 49),
    "DigitCNN": (DigitCNN, torch.rand(1, 28, 28), 7, 1, 484),
}


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratios(name: str) -> tuple[float, float]:
    """`occlusion_map` over as many passes in batches, and captum's Occlusion over them."""
    from captum.attr import Occlusion

    build, image, patch, stride, places = CASES[name]
    torch.manual_seed(0)
    model = build()
    images = torch.rand(places, *image.shape)
    captum = Occlusion(lambda x: model(x).softmax(1))
    channels = len(image)

    @torch.no_grad()
    def passes() -> None:
        with evaluating(model):
            _, size = first_pass(model, image[None])
            for batch in images.split(size):
                model(batch)

    def ours() -> None:
        occlusion_map(model, image, 7, patch=patch, stride=stride)

    def default() -> None:
        window, strides = (channels, patch, patch), (channels, stride, stride)
        with evaluating(model):
            captum.attribute(image[None], window, strides, target=7)

    runs = (passes, ours, default)
    # Memory that each freed would come back as new pages, which costs whoever is the first to ask.
    with keep_freed_memory():
        times = [[seconds(run) for run in runs] for _ in range(8)][1:]
    ours_over, captum_over = (statistics.median(row[k] / row[0] for row in times) for k in (1, 2))
    return round(ours_over, 3), round(captum_over, 3)


def measure() -> Iterator[dict[str, Any]]:
    """Occlusion, on a large network and on a small one."""
    for name, (*_, places) in CASES.items():
        ours, captum = ratios(name)
        over = f"{places} places, over as many passes of {name} in batches"
        key = name.split("-")[0].lower()
        yield {
            "name": f"occlusion_vs_passes_{key}",
            "what": f"`occlusion_map`, {over}",
            "ratio": ours,
            "against": "≤ 1.10",
        }
        yield {
            "name": f"captum_vs_passes_{key}",
            "what": f"captum's Occlusion with its own settings, {over}",
            "ratio": captum,
            "against": "—",
        }
