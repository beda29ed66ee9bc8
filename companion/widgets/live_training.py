"""A model of the reader's own that trains in the page, on PyTorch's own gradient."""

import base64
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor, nn

from companion.export.graph import Graph
from companion.export.model import frozen_copy, named_outputs, unwrap
from companion.export.tensors import keep_tensors
from companion.export.training import ExportedTraining, export_training
from companion.training.arguments import Loss
from companion.widgets import page_training, settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Seed, number, whole_number

VIEWS = ("filters", "predictions", "reconstructions", "code", "grid", "feature maps")
"""What `show` may name, in the order in which the widget shows it."""

TEST_IMAGES = 500
"""As many test images at most give the test loss and the accuracy."""

CODES = 250  # test images whose codes are shown
GRID = 11  # images along a side of the decoded plane
PLANE = 3.0  # which goes from −3 to 3 in both directions
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
    lazy = True

    training = traitlets.Dict().tag(sync=True)
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    sliders = traitlets.List(traitlets.Dict()).tag(sync=True)
    views = traitlets.List(traitlets.Dict()).tag(sync=True)
    images = traitlets.Dict().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)
    numbers = traitlets.Dict().tag(
        sync=True,
        setting=lambda w: settings.fields(
            {s["name"]: settings.number(s["low"], s["high"]) for s in w.sliders}
        ),
    )
    batch_size = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(min(w.sizes), max(w.sizes))
    )
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
        pixels, labels, known = _tensors(data, "data")
        seen, seen_labels, _ = _tensors(data if test is None else test, "test")
        seen = seen[:TEST_IMAGES]
        seen_labels = None if seen_labels is None else seen_labels[:TEST_IMAGES]
        names = list(map(str, class_names if class_names is not None else known))
        if labels is not None and len(names) <= int(labels.max()):
            raise ValueError(f"expected {int(labels.max()) + 1} class_names, got {len(names)}")
        rates = _slider("lr", lr if isinstance(lr, Sequence) else (lr, lr / 100, lr * 100))
        sliders = [rates, *(_slider(name, value) for name, value in (inputs or {}).items())]
        starts = {slider["name"]: slider["value"] for slider in sliders}
        declared = {name: starts[name] for name in inputs or {}}
        counts = _batch_sizes(batch_size, len(pixels))

        noted = _Noted(loss)
        shown = _Shown(model, show, seen, seen_labels, len(names))
        functions = shown.functions
        if scores := shown.scores(loss, declared, tested=test is not None):
            functions = {"test": scores, **functions}
        exports = [
            export_training(
                model,
                noted,
                pixels[:count],
                None if labels is None else labels[:count],
                inputs=declared,
                optimizer=optimizer,
                lr=starts["lr"],
                functions={} if k else functions,
            )
            for k, count in enumerate(counts)
        ]
        first = exports[0]
        tensors = {"images": pixels} | ({} if labels is None else {"labels": labels})
        files = [keep_tensors(tensors), keep_tensors(shown.tensors)]
        self._sliders = {slider["name"]: slider for slider in sliders}
        self._sizes = counts
        super().__init__(
            [
                *(path for export in exports for path in export.files),
                *(file.path for file in files),
            ],
            training=page_training.describe(
                exports,
                files[0],
                files[1],
                shown.given | ({"test": shown.whole} if scores else {}),
            ),
            sizes=counts,
            sliders=sliders,
            views=shown.describe(first),
            images=shown.pictures(),
            class_names=names,
            source=_source(data, pixels, labels, optimizer, first, declared, noted.gave_mapping),
            numbers=starts,
            batch_size=counts[0],
            seed=seed,
            title=str(title),
        )
        self._count, self._what = len(pixels), type(unwrap(model)).__name__
        self._exports = dict(zip(counts, exports, strict=True))

    @traitlets.validate("numbers")
    def _check_numbers(self, proposal: Any) -> dict[str, float]:
        given = dict(proposal["value"])
        if set(given) != set(self._sliders):
            raise ValueError(f"numbers must be those of {list(self._sliders)}, not {list(given)}")
        return {
            name: number(name, given[name], slider["low"], slider["high"])
            for name, slider in self._sliders.items()
        }

    @traitlets.validate("batch_size")
    def _check_batch_size(self, proposal: Any) -> int:
        size = whole_number("batch_size", proposal["value"], 1, max(self._sizes))
        if size not in self._sizes:
            raise ValueError(f"batch_size must be one of {self._sizes}, not {size}")
        return size

    @property
    def step(self) -> Graph:
        """The step that the page takes with the present batch size, as an exported graph."""
        return self._exports[self.batch_size].step

    def state_dict(self, weights: Tensor) -> dict[str, Tensor]:
        """A vector of weights, as the page has them, as `model.load_state_dict` takes it (with
        strict=False)."""
        return self._exports[self.batch_size].state_dict(weights)

    def pytorch(self) -> str:
        """The training as a loop of PyTorch, with what the sliders say; it runs where `model`,
        `loss` and `data` are those that this widget was made with."""
        values = {**self.numbers, "batch_size": self.batch_size, "seed": self.seed}
        used = self._count // self.batch_size * self.batch_size
        text = self.source.replace("@used@", str(used))
        for name, value in values.items():
            text = text.replace(f"@{name}@", repr(value))
        return text

    def describe(self) -> str:
        """One line: what trains on how many images."""
        values = ", ".join(f"{name} {value:g}" for name, value in self.numbers.items())
        return (
            f"LiveTraining: {self._what} on {self._count:,} images, "
            f"batches of {self.batch_size:,}, {values}"
        )


class _Noted:
    """A loss that notes whether it gives a mapping."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.gave_mapping = loss, False

    def __call__(self, *arguments: Any, **inputs: Any) -> Any:
        value = self.loss(*arguments, **inputs)
        self.gave_mapping = isinstance(value, Mapping)
        return value


class _Shown:
    """What the page draws beside the losses: functions of the model, and what they are given."""

    def __init__(
        self,
        model: nn.Module,
        show: Sequence[str] | Mapping[str, Function | None],
        images: Tensor,
        labels: Tensor | None,
        classes: int,
    ) -> None:
        chosen = dict(show) if isinstance(show, Mapping) else dict.fromkeys(show)
        if unknown := [name for name in chosen if name not in VIEWS]:
            raise ValueError(f"show may name {', '.join(VIEWS)}; there is no {unknown[0]!r}")
        for name, function in chosen.items():
            if function is not None and (name == "filters" or not callable(function)):
                raise TypeError(f"show[{name!r}] must be a function, or None, not {function!r}")
        self.model, self.chosen, self.images, self.labels = model, chosen, images, labels
        self.tensors = {"images": images} | ({} if labels is None else {"labels": labels})
        self.whole = {name: [name, len(images)] for name in self.tensors}
        self.functions: dict[str, tuple[Any, ...]] = {}
        self.given: dict[str, Any] = {}
        if chosen and (images.ndim != 4 or images.shape[1] not in (1, 3)):
            raise ValueError(
                f"views need images N×1×H×W or N×3×H×W, but they are {tuple(images.shape)}"
            )
        self.logits = self._logits(classes)
        if "predictions" in chosen and self.logits is None:
            raise ValueError(
                'for "predictions", data needs labels, and the model (or the function given) '
                f"must return logits, N×{classes}"
            )
        self.strip = min(len(images), 24 if images[0].numel() <= 256 else 12)
        for name in VIEWS:
            if name in chosen and (maker := getattr(self, "_" + name.replace(" ", "_"), None)):
                maker(chosen[name])

    def scores(
        self, loss: Loss, inputs: Mapping[str, float], *, tested: bool
    ) -> tuple[Any, ...] | None:
        """The losses of the images on show and their logits as a function, and what it takes."""
        if not tested and self.logits is None:
            return None
        logits, names = self.logits, list(self.whole)

        def test(model: nn.Module, *tensors: Tensor) -> dict[str, Tensor]:
            given = dict(zip([*names, *inputs], tensors, strict=True))
            images, labels = given.pop("images"), given.pop("labels", None)
            result = {}
            if tested:
                value = loss(model, images, labels, **given)
                result = named_outputs(
                    value if isinstance(value, Mapping) else {"loss": value}, None, "loss"
                )
            if logits is not None:
                result["logits"] = logits(model, images)
            return result

        _named(test, "model", *names, *inputs)
        scalars = [torch.tensor(value) for value in inputs.values()]
        return (test, *(self.tensors[name] for name in names), *scalars)

    def _logits(self, classes: int) -> Function | None:
        """The function that gives logits, if there is one."""
        if self.labels is None or classes < 2:
            return None
        function = self.chosen.get("predictions") or _forward
        try:
            with torch.no_grad():
                value = function(frozen_copy(self.model), page_training.floats(self.images[:2]))
        except Exception:  # the export says what fails, if it is needed
            return None
        fits = isinstance(value, Tensor) and tuple(value.shape) == (len(self.images[:2]), classes)
        return function if fits else None

    def _reconstructions(self, function: Function | None) -> None:
        function = function or _forward

        def reconstructions(model: nn.Module, images: Tensor) -> Tensor:
            value = function(model, images)
            return value if isinstance(value, Tensor) else next(iter(_parts(value)))

        self._on_images("reconstructions", reconstructions, 10)

    def _code(self, function: Function | None) -> None:
        function = function or (lambda model, images: model.encode(images))

        def code(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
            return dict(zip(("mean", "log_var"), _parts(function(model, images)), strict=False))

        self._on_images("code", code, CODES)

    def _on_images(self, name: str, function: Function, count: int) -> None:
        count = min(count, len(self.images))
        self.functions[name] = (function, self.images[:count])
        self.given[name] = {"images": ["images", count]}

    def _grid(self, function: Function | None) -> None:
        function = function or (lambda model, z: model.decode(z))
        ends = torch.linspace(-PLANE, PLANE, GRID)
        down, across = torch.meshgrid(ends.flip(0), ends, indexing="ij")
        z = torch.stack([across, down], 2).reshape(-1, 2)

        def grid(model: nn.Module, z: Tensor) -> Tensor:
            value: Tensor = function(model, z)
            return value

        self.functions["grid"] = (grid, z)
        self.tensors["z"] = z
        self.given["grid"] = {"z": ["z", len(z)]}

    def _feature_maps(self, function: Function | None) -> None:
        if function is None and not any(isinstance(m, nn.Conv2d) for m in self.model.modules()):
            raise ValueError('for "feature maps" the model needs a Conv2d, or give a function')
        logits, maps_of = self.logits, function or _first_convolution

        def maps(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
            found = {"maps": maps_of(model, image)}
            return found if logits is None else found | {"logits": logits(model, image)}

        self.functions["feature maps"] = (maps, page_training.floats(self.images[:1]))

    def describe(self, exported: ExportedTraining) -> list[dict[str, Any]]:
        """What the page needs to know of each view.

        Raises:
            ValueError: a function gives what its view can't show.
        """
        views = []
        for name in VIEWS:
            if name not in self.chosen:
                continue
            view: dict[str, Any] = {"kind": name}
            if name == "filters":
                view |= _filters(exported, tuple(self.images.shape[1:]))
            elif name == "predictions":
                view["count"] = self.strip
            else:
                outputs = {port.name: port.shape for port in exported.functions[name].outputs}
                _check_view(name, outputs, self.images)
            if name == "reconstructions":
                view["count"] = outputs["output"][0]
            if name == "code":
                view |= {"ellipses": "log_var" in outputs, "reach": PLANE * ("grid" in self.chosen)}
            if name == "grid":
                view |= {"side": GRID, "reach": PLANE, "shape": list(outputs["output"][1:])}
            if name == "feature maps":
                view["maps"] = list(outputs["maps"])
            views.append(view)
        return views

    def pictures(self) -> dict[str, Any]:
        """The first images with their labels, for the page before anything is loaded."""
        if not self.chosen:
            return {}
        first = self.images[: self.strip]
        pixels = first if first.dtype == torch.uint8 else (255 * first.clamp(0, 1)).round()
        labels = [] if self.labels is None else self.labels[: self.strip].tolist()
        return {
            "shape": list(first.shape),
            "pixels": _base64(pixels.to(torch.uint8)),
            "labels": labels,
        }


def _tensors(data: Any, what: str) -> tuple[Tensor, Tensor | None, Sequence[str]]:
    """Images, labels and class names of an ImageSet, a tensor or a pair of them."""
    labels = getattr(data, "labels", None)
    images = getattr(data, "images", data)
    if isinstance(data, tuple | list) and len(data) == 2:
        images, labels = data
    if not isinstance(images, Tensor) or images.ndim < 2 or not len(images):
        raise TypeError(
            f"{what} must be an ImageSet, a tensor of images N×…, or images and labels, not "
            f"{type(data).__name__}"
        )
    if labels is not None and (
        not isinstance(labels, Tensor) or labels.shape != images.shape[:1]
        or labels.is_floating_point()
    ):  # fmt: skip
        raise ValueError(f"the labels of {what} must be {len(images)} whole numbers, one an image")
    count = 0 if labels is None else int(labels.max()) + 1
    names = getattr(data, "class_names", ()) or tuple(map(str, range(count)))
    return images, labels, names


def _slider(name: str, value: Any) -> dict[str, Any]:
    try:
        first, low, high = (float(part) for part in value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be (first value, lowest, highest) of its slider, not {value!r}"
        ) from None
    if not -math.inf < low <= first <= high < math.inf or low == high:
        raise ValueError(
            f"{name} must be (first value, lowest, highest) with lowest ≤ first ≤ highest, not "
            f"{value!r}"
        )
    if name == "lr" and low <= 0:
        raise ValueError(f"the learning rate must be positive, not {low:g}")
    scale = "log" if low > 0 and high / low > 20 else "linear"
    return {"name": name, "value": first, "low": low, "high": high, "scale": scale}


def _batch_sizes(given: Any, count: int) -> list[int]:
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    sizes = [
        count if size == ALL else whole_number("batch_size", size, 1, count) for size in several
    ]
    return list(dict.fromkeys(sizes))


def _filters(exported: ExportedTraining, image: tuple[int, ...]) -> dict[str, Any]:
    """Where the first layer's weights lie, and what they are at the start."""
    piece = next((piece for piece in exported.layout if len(piece.shape) >= 2), None)
    tile = () if piece is None else piece.shape[1:] if len(piece.shape) == 4 else image
    if piece is None or math.prod(tile) != math.prod(piece.shape[1:]) or tile[0] not in (1, 3):
        came = "none" if piece is None else f"{piece.name} of shape {piece.shape}"
        raise ValueError(
            'for "filters" the model\'s first weights must be those of a convolution or of a '
            f"dense layer over the pixels, of one or three channels, but they are {came}"
        )
    count = min(piece.shape[0], FILTERS)
    weights = exported.start()["weights"][piece.offset :][: count * math.prod(tile)]
    limit = float(weights.abs().max()) or 1.0
    return {
        "offset": piece.offset,
        "shape": [count, *tile],
        "all": piece.shape[0],
        "limit": limit,
        "start": _base64((127 * weights / limit).round().to(torch.int8)),
    }


def _check_view(name: str, outputs: Mapping[str, tuple[int, ...]], images: Tensor) -> None:
    wanted = {
        "reconstructions": f"images {tuple(images.shape[1:])} each",
        "code": "two numbers an image, or mean and log-variance of two numbers",
        "grid": "images, N×1×H×W or N×3×H×W",
        "feature maps": "maps, 1×channels×H×W",
    }[name]
    shapes = list(outputs.values())
    if name == "reconstructions":
        fits = shapes[0][1:] == tuple(images.shape[1:])
    elif name == "code":
        fits = all(shape[1:] == (2,) for shape in shapes)
    elif name == "grid":
        fits = len(shapes[0]) == 4 and shapes[0][1] in (1, 3)
    else:
        fits = len(outputs["maps"]) == 4
    if not fits:
        raise ValueError(f"for {name!r} the function must give {wanted}, but it gives {shapes}")


def _forward(model: nn.Module, images: Tensor) -> Any:
    return model(images)


def _first_convolution(model: nn.Module, image: Tensor) -> Tensor:
    """What the model's first convolution gives."""
    layer = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        model(image)
    finally:
        handle.remove()
    return seen[0]


def _parts(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return list(value.values() if isinstance(value, Mapping) else value)


def _named(function: Any, *names: str) -> None:
    """Say by what names a function takes its arguments."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])


def _base64(tensor: Tensor) -> str:
    return base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()


def _source(
    data: Any,
    images: Tensor,
    labels: Tensor | None,
    optimizer: Any,
    exported: ExportedTraining,
    inputs: Mapping[str, float],
    gave_mapping: bool,
) -> str:
    """The training as a loop, with @name@ where the page puts what its sliders say."""
    if hasattr(data, "images"):
        given = "images, labels = data.images, data.labels"
    elif isinstance(data, Tensor):
        given = "images, labels = data, None"
    else:
        given = "images, labels = data"
    made = getattr(optimizer, "func", optimizer)
    settings = getattr(optimizer, "keywords", {}).items()
    options = "".join(f", {name}={value!r}" for name, value in settings)
    pixels = "images[rows].float() / 255" if images.dtype == torch.uint8 else "images[rows]"
    target = "labels" if labels is None else "labels[rows]"
    more = "".join(f", {name}=torch.tensor(@{name}@)" for name in inputs)
    value = 'loss(model, x, {0}{1})["loss"]' if gave_mapping else "loss(model, x, {0}{1})"
    return f"""\
import torch

{given}
optimizer = torch.optim.{made.__name__}(model.parameters(), lr=@lr@{options})
torch.manual_seed(@seed@)
model.train()
for epoch in range(10):
    for rows in torch.randperm({len(images)})[:@used@].split(@batch_size@):
        x = {pixels}
        value = {value.format(target, more)}
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    print(epoch, value.item())
"""
