"""The training loop on a GPU: a step of `fit`, of its limit, and of others, in three minutes.

The limit is the same step, written here in plain PyTorch, as a CUDA graph on one batch that lies on
the device: cast, augmentation, forward, backward and optimizer. `fit` gathers each batch, sets the
rate and records the losses on top of that. "Bare" is the limit without cast and augmentation.

All images are noise, which is no slower to learn from; all rates are 0, for a loop that overfits
its few images changes its own speed. The loops take turns in one process: nobody else is on the
GPU. Without one, each loop takes a few steps and the "graph" is the step itself.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from companion import recipes
from companion.datasets import ImageSet
from companion.training import Loss, fit
from companion.training.devices import best_precision, describe_device

Line = dict[str, Any]
BATCH = 128
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass
class Case:
    """A recipe's network, for noise of its size."""

    what: str
    recipe: str
    steps: int  # an epoch

    def build(self) -> nn.Module:
        """The untrained network."""
        return recipes.get(self.recipe).build()

    def loss(self) -> Loss:
        """The recipe's loss."""
        recipe = recipes.get(self.recipe)
        return recipe.loss(**recipe.settings["loss"])

    @property
    def channels_last(self) -> bool:
        """Whether the recipe lays the channels side by side."""
        return bool(recipes.get(self.recipe).settings["fit"].get("channels_last"))

    def objects(self) -> dict[str, Any]:
        """Optimizer and augmentation."""
        return recipes.get(self.recipe).objects()

    def images(self, steps: int) -> ImageSet:
        """Noise for so many steps."""
        model: Any = self.build()
        generator = torch.Generator().manual_seed(0)
        count = BATCH * steps
        images = torch.randint(
            256, (count, *model.image_shape), dtype=torch.uint8, generator=generator
        )
        return ImageSet("noise", "train", images, torch.randint(10, (count,), generator=generator))


CASES = {
    "resnet20": Case("ResNet-20 on 32×32 images, cropped and mirrored", "resnet20-cifar10", 390),
    "cnn": Case("a CNN on 28×28 images", "cnn-mnist", 468),
    "vae": Case("a VAE on 28×28 images", "vae-mnist-16d", 468),
}


def ms_with_fit(case: Case, steps: int, epochs: int, **settings: Any) -> tuple[float, str]:
    """`fit`: milliseconds a step, the median of its epochs but the first; and `History.graph`."""
    history = fit(
        case.build(), case.images(steps), case.loss(), epochs=epochs, lr=0.0, batch_size=BATCH,
        channels_last=case.channels_last, progress=False, **case.objects(), **settings,
    )  # fmt: skip
    return 1000 * statistics.median(history.seconds[1:]) / steps, history.graph


def ms_at_the_limit(case: Case, steps: int, *, bare: bool = False) -> float:
    """The step on one batch as a graph: milliseconds, the median of five rounds."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    dtype = _DTYPES[best_precision(device.type)]
    layout = torch.channels_last if case.channels_last else torch.contiguous_format
    model, loss, data = case.build(), case.loss(), case.images(1)
    model.to(device, memory_format=layout).train()  # type: ignore[call-overload]
    pixels, white = data.images.to(device), torch.tensor(255.0)
    augment = case.objects().get("augment", lambda images: images)
    ready = (pixels / white).contiguous(memory_format=layout)
    assert data.labels is not None
    labels = data.labels.to(device)
    rate = torch.zeros((), device=device)
    make = case.objects().get("optimizer", torch.optim.Adam)
    more = {"capturable": True} if gpu and make is torch.optim.Adam else {}
    optimizer = make(model.parameters(), lr=rate, fused=True, **more)

    def step() -> None:
        images = ready if bare else augment(pixels / white).contiguous(memory_format=layout)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            entries: Any = loss(model, images, labels)
        optimizer.zero_grad()
        entries["loss"].backward()
        optimizer.step()

    replay: Callable[[], None] = step
    if gpu:
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        side: Any = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(4):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            step()
        torch.backends.cudnn.benchmark = before
        replay = graph.replay
    return _ms(replay, steps, rounds=5)


class Pictures(Dataset[Any]):
    """What a tutorial reads: each item a PIL image, changed and made a tensor by itself."""

    def __init__(self, data: ImageSet, crop: bool) -> None:
        assert data.labels is not None
        self.images, self.labels, self.crop = data.images.permute(0, 2, 3, 1), data.labels, crop

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.images[index].numpy()
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        if self.crop:
            framed = Image.new(image.mode, (image.width + 8, image.height + 8))
            framed.paste(image, (4, 4))
            left, top = torch.randint(9, (2,)).tolist()
            image = framed.crop((left, top, left + image.width, top + image.height))
            if torch.rand(1).item() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        array = np.array(image, copy=True)
        tensor = torch.from_numpy(array if array.ndim == 3 else array[..., None])
        return tensor.permute(2, 0, 1).contiguous().float().div(255), int(self.labels[index])


def ms_of_a_tutorial(case: Case, steps: int) -> float:
    """PIL, `DataLoader`, `.item()` at every step, fp32: milliseconds a step, once warm."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, loss = case.build().to(device).train(), case.loss()
    make = case.objects().get("optimizer", torch.optim.Adam)
    optimizer = make(model.parameters(), lr=0.0)
    dataset = Pictures(case.images(steps), crop="augment" in case.objects())
    times = []
    for _ in range(2):
        started, total = time.perf_counter(), 0.0
        for images, labels in DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=0):
            optimizer.zero_grad()
            entries: Any = loss(model, images.to(device), labels.to(device))
            entries["loss"].backward()
            optimizer.step()
            total += entries["loss"].item()
        times.append(1000 * (time.perf_counter() - started) / steps)
    return times[-1]


def measure(
    cases: Iterator[str] | tuple[str, ...] = tuple(CASES), *, few: bool = False
) -> Iterator[Line]:
    """The lines for each case, as they come; `few` steps are a trial on the CPU."""
    device = describe_device("cuda" if torch.cuda.is_available() else "cpu")
    for name in cases:
        case = CASES[name]
        steps, epochs = (4, 3) if few else (case.steps, 6)
        line = partial(_line, name, case.what, device)
        limit = ms_at_the_limit(case, steps)
        yield line("limit", limit, "the same step as a graph on one batch (the limit)", "—")
        bare = ms_at_the_limit(case, steps, bare=True)
        yield line("bare", bare, "forward, backward and optimizer alone, as a graph", "—")
        ms, graph = ms_with_fit(case, steps, epochs)
        asked = "≤ 1.2 ms on an H100" if name == "resnet20" else "—"
        yield line("fit", ms, "a step of `fit`", asked) | {"graph": graph}
        yield _ratio(
            f"fit_vs_limit_{name}", f"the limit over `fit`, {case.what}", limit / ms, "≥ 0.95"
        )
        eager, _ = ms_with_fit(case, steps, 2 if few else 3, capture=False)
        yield line("eager", eager, "a step of `fit` launched from Python", "—")
        tutorial = ms_of_a_tutorial(case, 2 if few else 40)
        yield line("tutorial", tutorial, "a step of a tutorial's loop", "—")
        yield _ratio(
            f"tutorial_vs_fit_{name}",
            f"a tutorial's loop over `fit`, {case.what}",
            tutorial / ms,
            "≥ 5",
        )
    for name in cases:  # the slowest to begin, and so the last
        if not few:
            compiled, _ = ms_with_fit(CASES[name], CASES[name].steps, 3, compile=True)
            yield _line(name, CASES[name].what, device, "compiled", compiled,
                        "a step of `fit`, compiled", "—")  # fmt: skip


def _line(
    case: str, what: str, device: str, name: str, ms: float, words: str, against: str
) -> Line:
    return {
        "name": f"{name}_{case}", "what": f"{words}, {what}, batch {BATCH}, {device}",
        "ms": round(ms, 3), "against": against,
    }  # fmt: skip


def _ratio(name: str, what: str, ratio: float, against: str) -> Line:
    return {"name": name, "what": what, "ratio": round(ratio, 3), "against": against}


def _ms(run: Callable[[], None], steps: int, rounds: int) -> float:
    """Milliseconds of a call, the median over rounds of so many."""
    times = []
    for _ in range(rounds + 1):
        _wait()
        started = time.perf_counter()
        for _ in range(steps):
            run()
        _wait()
        times.append(1000 * (time.perf_counter() - started) / steps)
    return statistics.median(times[1:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
