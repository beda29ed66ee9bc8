"""`fit` against hand-written loops, and what it promises about seeds, errors and display."""

import copy
import io
import math
import re
import sys
import warnings
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import devices, fit
from companion.training import loop as training
from companion.training.progress import Run, duration, render
from companion.training.schedules import cosine


@dataclass
class Images:
    images: Tensor
    labels: Tensor | None = None


def squares(n: int = 40, seed: int = 0) -> Images:
    """8×8 noise; class 1 has a bright upper half."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=generator)
    images = torch.randint(0, 80, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)
    images[:, :, :4] += (100 * labels).to(torch.uint8).view(-1, 1, 1, 1)
    return Images(images, labels)


def classifier(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(64, 2))


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def with_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    logits = model(images)
    right = (logits.argmax(1) == labels).float().mean()
    return {"accuracy": right, "loss": F.cross_entropy(logits, labels)}


def noisy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images + 0.3 * torch.randn_like(images)), labels)


quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=False)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ---- what it computes


def test_learns_and_records() -> None:
    model = classifier()
    history = quick(
        model, squares(200), with_accuracy, epochs=8, lr=0.02, validation=squares(50, 1)
    )
    assert history.last["loss"] < 0.3 * history.epochs["loss"][0]
    assert history.last["validation_accuracy"] == 1.0
    assert list(history.epochs) == [
        "accuracy",
        "loss",
        "validation_accuracy",
        "validation_loss",
    ]
    assert all(len(values) == 8 for values in history.epochs.values())
    assert len(history.seconds) == 8
    assert min(history.seconds) > 0
    assert "8 epochs" in str(history)
    assert not model.training


@pytest.mark.parametrize("schedule", ["constant", "cosine", lambda progress: 1 - progress])
def test_equals_gradient_descent_by_hand(schedule: object) -> None:
    data, model = squares(), classifier()
    by_hand = copy.deepcopy(model)
    factor = {"constant": lambda p: 1.0, "cosine": cosine}.get(schedule, schedule)  # type: ignore[call-overload]
    for epoch in range(10):
        value = cross_entropy(by_hand, data.images / 255, data.labels)
        gradients = torch.autograd.grad(value, list(by_hand.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= 0.5 * factor((epoch + 0.5) / 10) * gradient
    quick(
        model, data, cross_entropy, epochs=10, batch_size=40, lr=0.5, schedule=schedule,
        optimizer=torch.optim.SGD,
    )  # fmt: skip
    torch.testing.assert_close(weights(model), weights(by_hand), rtol=1e-5, atol=1e-6)


def test_cosine_warms_up_and_ends_at_zero() -> None:
    assert cosine(0.0) == 0
    assert cosine(0.025) == pytest.approx(0.5)
    assert cosine(0.05) == pytest.approx(1)
    assert cosine(0.525) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0, abs=1e-12)


def test_each_epoch_is_a_new_order_of_different_images() -> None:
    seen: list[Tensor] = []

    def remember(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        # Image i has the grey value i everywhere: images and labels must arrive together.
        torch.testing.assert_close(images[:, 0, 0, 0] * 255, labels.float())
        seen.append(labels)
        return model(images).square().mean()

    numbers = torch.arange(30)
    images = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    quick(classifier(), Images(images, numbers), remember, batch_size=8)
    epochs = torch.stack(seen).view(3, -1)  # 3 batches of 8 an epoch: 6 images sit out
    assert epochs.shape == (3, 24)
    assert all(len(set(epoch.tolist())) == 24 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    assert len(set(epochs.flatten().tolist())) > 24  # not the same 6 each time


def test_a_small_set_is_one_batch() -> None:
    shapes = []

    def remember(model: nn.Module, images: Tensor, labels: None) -> Tensor:
        assert labels is None
        shapes.append(len(images))
        return model(images).square().mean()

    quick(classifier(), squares(5).images, remember, batch_size=128)
    assert shapes == [5, 5, 5]


def test_averages_are_those_of_all_images() -> None:
    data, model = squares(40), classifier()
    held_out = squares(21, 1)  # no multiple of the batch size
    before = copy.deepcopy(model)
    history = quick(model, data, cross_entropy, lr=0.0, validation=held_out)
    for name, images in (("loss", data), ("validation_loss", held_out)):
        expected = cross_entropy(before, images.images / 255, images.labels).item()
        assert history.epochs[name] == pytest.approx([expected] * 3, rel=1e-5)


def test_clip_bounds_the_gradient() -> None:
    model = classifier()
    before = weights(model)
    settings = {"epochs": 1, "batch_size": 40, "lr": 1.0, "optimizer": torch.optim.SGD}
    quick(model, squares(), lambda *a: 1e4 * cross_entropy(*a), clip=0.01, **settings)
    assert (weights(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_parameter_groups_keep_their_own_rates() -> None:
    model = classifier()
    frozen = model[2].bias.detach().clone()

    def groups(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        weight, bias = parameters
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.0}], lr=lr)

    quick(model, squares(), cross_entropy, optimizer=groups, lr=0.5)
    assert torch.equal(model[2].bias, frozen)


# ---- progress as the loss sees it, and data drawn anew


def test_loss_is_told_the_progress() -> None:
    told: list[tuple[bool, float]] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor, *, progress: float) -> Tensor:
        told.append((torch.is_grad_enabled(), progress))
        return cross_entropy(model, images, labels)

    quick(classifier(), squares(16), loss, epochs=2, validation=squares(8))
    assert [p for training_, p in told if training_] == [1 / 8, 3 / 8, 5 / 8, 7 / 8]
    assert [p for training_, p in told if not training_] == [1.0, 1.0]


def test_data_may_be_drawn_anew_each_epoch() -> None:
    asked: list[int] = []

    def draw(epoch: int) -> Images:
        asked.append(epoch)
        return squares(16 + 8 * epoch, seed=epoch)

    batches: list[Tensor] = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        batches.append(images)
        return cross_entropy(model, images, labels)

    quick(classifier(), draw, loss)
    assert asked == [0, 1, 2]
    assert len(batches) == 2 + 3 + 4
    last = torch.cat(batches[5:]).sum().item()
    assert last == pytest.approx((squares(32, seed=2).images / 255).sum().item(), rel=1e-5)


# ---- seeds


def test_same_seed_gives_the_same_bits() -> None:
    runs = []
    for seed in (3, 3, 4):
        model = classifier(dropout=0.3)
        torch.rand(7)  # what the caller drew before must not matter
        history = quick(model, squares(), noisy, seed=seed)
        runs.append((weights(model), history.epochs["loss"]))
    assert torch.equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not torch.equal(runs[0][0], runs[2][0])


def test_global_random_state_is_put_back() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 2))
    torch.manual_seed(5)
    quick(model, squares(), noisy, validation=squares(10))
    assert torch.equal(torch.rand(3), expected)


def test_validation_changes_nothing_and_draws_the_same_noise() -> None:
    alone, watched = classifier(dropout=0.3), classifier(dropout=0.3)
    quick(alone, squares(), noisy)
    quick(watched, squares(), noisy, validation=squares(10))
    assert torch.equal(weights(alone), weights(watched))
    history = quick(classifier(), squares(), noisy, lr=0.0, validation=squares(10))
    assert len(set(history.epochs["validation_loss"])) == 1


# ---- devices, number formats, memory layout


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def test_channels_last_reaches_the_model_and_goes_again() -> None:
    layouts = []

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        layouts.append(images.is_contiguous(memory_format=torch.channels_last))
        return cross_entropy(model, images, labels)

    colour = Images(squares().images.expand(-1, 3, -1, -1).contiguous(), squares().labels)
    models = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        quick(model, colour, loss, channels_last=channels_last)
        models.append(model)
    assert layouts == [False] * 15 + [True] * 15
    assert all(p.is_contiguous() for p in models[1].parameters())
    torch.testing.assert_close(weights(models[0]), weights(models[1]), rtol=1e-4, atol=1e-5)


def test_channels_last_reaches_networks_for_grey_images() -> None:
    """One channel lies in memory in the same way in both layouts: only the strides say which."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    layouts = []
    model[0].register_forward_hook(
        lambda layer, inputs, output: layouts.append(
            output.is_contiguous(memory_format=torch.channels_last)
        )
    )
    for channels_last in (False, True):
        quick(model, squares(), cross_entropy, channels_last=channels_last)
    assert layouts == [False] * 15 + [True] * 15
    assert model[0].weight.stride() == (9, 9, 3, 1)


@pytest.mark.filterwarnings("ignore:this processor only imitates bf16")
def test_bf16_on_request() -> None:
    dtypes = set()

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        logits = model(images)
        dtypes.add(logits.dtype)
        return F.cross_entropy(logits.float(), labels)

    exact, rough = convolutional(), convolutional()
    quick(exact, squares(), loss)
    assert dtypes == {torch.float32}
    history = quick(rough, squares(), loss, precision="bf16")
    assert history.device.endswith(", bf16")
    assert torch.bfloat16 in dtypes
    assert all(p.dtype == torch.float32 for p in rough.parameters())
    torch.testing.assert_close(weights(exact), weights(rough), rtol=0.1, atol=0.01)
    assert not torch.equal(weights(exact), weights(rough))


@pytest.mark.parametrize(
    ("loss", "kind", "words"),
    [
        (F.cross_entropy, TypeError, "takes other arguments; wrap it"),
        (nn.CrossEntropyLoss, TypeError, "got the class CrossEntropyLoss"),
        (
            lambda model, images, labels: F.cross_entropy(model(images), labels.float()),
            ValueError,
            r"failed on its first batch, images float32 of shape \(8, 1, 8, 8\) and labels int64",
        ),
    ],
)
def test_losses_that_cannot_work(loss: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        quick(convolutional(), squares(), loss)


def test_a_loss_on_another_model_is_refused() -> None:
    other = convolutional()

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(other(images), labels)

    with pytest.raises(ValueError, match="does not depend on the parameters of the model"):
        quick(convolutional(), squares(), loss)


def test_the_learning_rate_is_not_the_optimizers() -> None:
    with pytest.raises(ValueError, match="give lr to `fit`"):
        quick(convolutional(), squares(), cross_entropy, optimizer=partial(torch.optim.SGD, lr=0.5))


def test_without_gradients_nothing_is_trained() -> None:
    with torch.no_grad(), pytest.raises(ValueError, match=r"within torch\.no_grad"):
        quick(convolutional(), squares(), cross_entropy)


def test_of_a_bad_validation_set_it_is_said_that_it_is_it() -> None:
    for held_out, words in (
        (squares().images.float(), "the validation set's images must be a uint8 tensor"),
        (squares().images, "failed on the validation set's first batch, .* labels None"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            quick(convolutional(), squares(), cross_entropy, validation=held_out)


def test_a_processor_that_imitates_bf16_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.warns(UserWarning, match="fp32 is many times faster"):
        devices.open_fabric("cpu", "bf16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        devices.open_fabric("cpu", "auto")
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
        devices.open_fabric("cpu", "bf16")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "16-mixed"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")],
)
def test_precision_follows_the_gpu(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(devices, "Fabric", lambda **settings: settings)
    asked, _ = devices.open_fabric("cuda:1", "auto")
    assert asked == {"accelerator": "cuda", "devices": [1], "precision": expected}
    first, _ = devices.open_fabric("auto", "fp32")
    assert first["devices"] == [0]  # type: ignore[index]
    cpu, _ = devices.open_fabric("cpu", "auto")
    assert cpu["precision"] == "32-true"  # type: ignore[index]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu() -> None:
    model = classifier()
    torch.cuda.manual_seed(1)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(1)
    history = quick(
        model, squares(200), noisy, epochs=8, lr=0.02, device="cuda", validation=squares()
    )
    assert torch.equal(torch.rand(3, device="cuda"), expected)
    assert history.last["validation_loss"] < 0.5
    assert next(model.parameters()).device.type == "cpu"


# ---- errors


def test_nan_stops_with_step_and_learning_rate() -> None:
    calls = iter(range(1000))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        value = cross_entropy(model, images, labels)
        return {"loss": value, "extra": value * (math.nan if next(calls) >= 6 else 1)}

    model = classifier()
    with pytest.raises(
        FloatingPointError, match=r"'extra' became nan in step 2 of epoch 2, .*0\.05"
    ):
        quick(model, squares(), loss, lr=0.05)


def test_divergence_is_noticed() -> None:
    with pytest.raises(FloatingPointError, match="smaller learning rate"):
        quick(
            classifier(), squares(), lambda m, x, y: (m(x) - 1).pow(2).mean(),
            lr=1e6, epochs=30, optimizer=torch.optim.SGD,
        )  # fmt: skip


def test_nan_on_the_validation_set() -> None:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = cross_entropy(model, images, labels)
        return value if torch.is_grad_enabled() else value * math.inf

    with pytest.raises(FloatingPointError, match="validation"):
        quick(classifier(), squares(), loss, validation=squares())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": cross_entropy}, TypeError, "Module, got function"),
        ({"model": nn.Flatten()}, ValueError, "no parameters"),
        ({"data": squares().images.float()}, ValueError, r"uint8.*float32"),
        ({"data": squares().images[0]}, ValueError, r"\(1, 8, 8\)"),
        ({"data": squares().images[:0]}, ValueError, r"\(0, 1, 8, 8\)"),
        ({"data": [1, 2]}, TypeError, "got list"),
        ({"data": Images(squares(8).images, torch.zeros(7))}, ValueError, "8 images, but 7"),
        ({"validation": squares().images.float()}, ValueError, "uint8"),
        ({"loss": "mse"}, TypeError, "got str"),
        ({"loss": lambda m, x, y: 1.0}, TypeError, "'loss' is float"),
        ({"loss": lambda m, x, y: m(x)}, TypeError, r"\(8, 2\)"),
        ({"loss": lambda m, x, y: {"total": m(x).sum()}}, ValueError, r"only \['total'\]"),
        ({"loss": lambda m, x, y: x.mean()}, ValueError, "depend"),
        ({"epochs": 0}, ValueError, "epochs.*got 0"),
        ({"epochs": 1.5}, ValueError, "epochs.*1.5"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": -1.0}, ValueError, "lr.*-1.0"),
        ({"lr": math.nan}, ValueError, "lr.*nan"),
        ({"clip": 0.0}, ValueError, "clip"),
        ({"schedule": "step"}, ValueError, "'step'"),
        ({"device": "tpu"}, ValueError, "'tpu'"),
        ({"device": "cuda:one"}, ValueError, "cuda:one"),
        ({"device": "cuda:99"}, ValueError, "none here"),
        ({"precision": "int8"}, ValueError, "'int8'"),
        ({"precision": "fp16"}, ValueError, "needs a CUDA GPU"),
    ],
)
def test_bad_arguments(change: dict[str, object], error: type[Exception], words: str) -> None:
    settings = {"model": classifier(), "data": squares(), "loss": cross_entropy} | change
    with pytest.raises(error, match=words):
        quick(**settings)  # type: ignore[arg-type]


def test_entries_must_stay_the_same() -> None:
    calls = iter(range(100))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        value = cross_entropy(model, images, labels)
        return {"loss": value} if next(calls) else {"loss": value, "more": value}

    with pytest.raises(ValueError, match="same entries"):
        quick(classifier(), squares(), loss)


# ---- how it shows


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    quick(classifier(), squares(), with_accuracy, progress=True)
    last = terminal.getvalue().strip().split("\r")[-1]
    assert "epoch 3/3 100%" in last
    assert "accuracy" in last


def test_nothing_where_stderr_is_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    quick(classifier(), squares(), with_accuracy, progress=True)
    assert capfd.readouterr() == ("", "")


def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Pretend to be a kernel; the list takes what a notebook would show, one after the other."""
    shown: list[dict[str, str]] = []

    def display(bundle: dict[str, str], **_: object) -> SimpleNamespace:
        shown.append(bundle)
        return SimpleNamespace(update=display)

    module = pytest.importorskip("IPython")
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    return shown


def test_picture_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = in_a_notebook(monkeypatch)
    monkeypatch.setattr(training, "_LOOK_EVERY", 0.0)
    quick(classifier(), squares(), with_accuracy, progress=True, validation=squares(8))
    assert len(shown) == 1 + 3 * 5 + 1
    during = ET.fromstring(shown[7]["text/html"])
    assert float(during.find("progress").get("value")) == pytest.approx(7 / 5, abs=1e-3)  # type: ignore[union-attr, arg-type]
    assert shown[7]["text/plain"].startswith("Epoch 2 of 3")
    after = ET.fromstring(shown[-1]["text/html"])
    assert after.find("progress") is None
    assert "Trained 3 epochs in" in shown[-1]["text/plain"]
    picture = after.find("svg")
    assert picture is not None
    assert "validation loss" in (picture.get("aria-label") or "")
    training_line, validation_line = picture.findall("polyline")
    assert len((training_line.get("points") or "").split()) == 15
    assert len((validation_line.get("points") or "").split()) == 4
    lines = ["".join(element.itertext()).strip() for element in after.findall("div")]
    figures = r"accuracy [\d.e-]+ · loss [\d.e-]+"
    assert re.fullmatch(f"Training: {figures}", lines[-2])
    assert re.fullmatch(f"Validation: {figures}", lines[-1])


def test_a_stopped_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = in_a_notebook(monkeypatch)
    monkeypatch.setattr(training, "_LOOK_EVERY", 0.0)
    calls = iter(range(100))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return cross_entropy(model, images, labels)

    with pytest.raises(KeyboardInterrupt):
        quick(classifier(), squares(), loss, progress=True)
    assert shown[-1]["text/plain"] == "Stopped after 1.4 of 3 epochs."


def test_names_are_escaped_in_html() -> None:
    run = Run(2)
    hostile = "<img src=x onerror=alert(1)>"
    run.follow(0, 4, {"loss": [3.0, 2.0], hostile: [1.0, 1.0]})
    assert "<img" not in render(run)
    assert "&lt;img" in render(run)


@pytest.mark.parametrize("losses", [[5.0], [1.0, 1.0], [1e5, 1.0], [-3.0, 2.0], [0.0, 0.0]])
def test_curve_stays_inside_its_frame(losses: list[float]) -> None:
    run = Run(1)
    run.follow(0, len(losses), {"loss": losses}, {"loss": 1.0, "validation_loss": losses[-1]})
    for line in ET.fromstring(render(run)).iter("polyline"):
        for point in (line.get("points") or "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 300
            assert 0 <= y <= 100


def test_curve_of_a_long_run_is_thinned() -> None:
    run = Run(10)
    for epoch in range(10):
        run.follow(epoch, 1000, {"loss": [float(epoch)] * 1000})
    assert len(run.curve) == 200
    assert run.curve[-1] == (pytest.approx(9.975), 9.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (4320, "1 h 12 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_history_plots_itself_with_alt_text() -> None:
    history = quick(classifier(), squares(), with_accuracy, validation=squares(8))
    figure = history.plot()
    assert {trace.name for trace in figure.data} == set(history.epochs)
    assert list(figure.data[1].y) == history.epochs["loss"]
    assert "3 epochs" in figure.layout.meta["alt"]
    assert f"{history.last['loss']:.4g}" in figure.layout.meta["alt"]
    assert f"loss {history.last['loss']:.4g}" in repr(history)
