"""The step as a CUDA graph on a real GPU. `python -m benchmarks.gpu` runs these and prints the
measured distances (`record_property`); they are skipped where there is no GPU.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models import CifarResNet, ConvVAE
from companion.training import History, capture, classification_loss, fit, negative_elbo
from companion.training.augmentation import compose, crop_and_flip, cutout
from companion.training.capture import CAPTURED
from support.runs import images, network, noisy

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

Record = Callable[[str, object], None]
SGD = partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=5e-4)


@pytest.fixture(autouse=True)
def _comparable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "WORTH", 30)
    # Convolutions in full float32: the algorithms that are chosen may differ.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def trained(wanted: bool, build: Callable[[], nn.Module] = network, data: Any = None,
            loss: Any = noisy, **changes: Any) -> tuple[nn.Module, History]:  # fmt: skip
    model = build()
    settings: dict[str, Any] = {
        "epochs": 4, "batch_size": 8, "lr": 0.02, "optimizer": SGD, "augment": crop_and_flip(1),
        "schedule": "cosine", "precision": "fp32", "device": "cuda", "progress": False,
    } | changes  # fmt: skip
    data = images() if data is None else data
    history = fit(model, data, loss, capture=wanted, **settings)
    return model, history


def distance(build: Callable[[], nn.Module], one: nn.Module, other: nn.Module) -> float:
    """How far two trainings end from each other, as a share of how far they came."""
    start, a, b = (torch.cat([p.flatten() for p in m.parameters()]) for m in (build(), one, other))
    return float(((a - b).norm() / (b - start).norm()).item())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": None, "lr": 1e-3},
        {"optimizer": partial(torch.optim.AdamW, amsgrad=True), "lr": 1e-3},
        {"clip": 0.1},
        {"clip": 0.1, "optimizer": None, "lr": 1e-3},
        {"channels_last": True},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"precision": "fp16", "optimizer": None, "lr": 1e-3},
    ],
)
def test_ends_where_the_loop_ends(changes: dict[str, Any], record_property: Record) -> None:
    (one, captured), (other, loop) = trained(True, **changes), trained(False, **changes)
    apart = distance(network, one, other)
    record_property("changes", str(changes))
    record_property("distance", apart)
    record_property("graph", captured.graph)
    assert captured.graph == CAPTURED
    assert loop.graph == ""
    # Adam makes full steps of what is rounding alone, such as the slope of a bias before a norm.
    rough = 0.2 if changes.get("precision") or "optimizer" in changes else 0.02
    assert apart < rough
    torch.testing.assert_close(captured.epochs["loss"], loop.epochs["loss"], rtol=rough, atol=1e-3)
    assert captured.epochs["loss"][-1] < captured.epochs["loss"][0]


def test_the_draws_are_those_of_the_loop(record_property: Record) -> None:
    """With a rate of 0 the weights stand still, and only what is drawn moves the loss."""
    more: dict[str, Any] = {"lr": 0.0, "augment": compose(crop_and_flip(2), cutout(3)), "epochs": 6}
    (_, captured), (_, loop) = trained(True, **more), trained(False, **more)
    assert captured.graph == CAPTURED
    losses = torch.tensor([captured.epochs["loss"], loop.epochs["loss"]])
    record_property("apart", float((losses[0] - losses[1]).abs().max()))
    assert len(set(losses[1].tolist())) == 6
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)


def test_resnet20_and_its_recipe(record_property: Record) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return CifarResNet(depth=20)

    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (64 * 40, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(len(pixels)) % 10
    pixels[:, 0] = (pixels[:, 0] // 4 + (18 * labels).to(torch.uint8).view(-1, 1, 1)).to(
        torch.uint8
    )
    data = type(images())(pixels, labels, torch.device("cpu"))
    more: dict[str, Any] = {
        "build": build, "data": data, "loss": classification_loss(0.1), "lr": 0.05,
        "batch_size": 64, "epochs": 3, "augment": compose(crop_and_flip(4), cutout(10)),
        "precision": "auto", "channels_last": True,
    }  # fmt: skip
    (one, captured), (other, loop) = trained(True, **more), trained(False, **more)
    record_property("distance", distance(build, one, other))
    record_property("losses", [captured.epochs["loss"], loop.epochs["loss"]])
    record_property("ms", [1000 * h.seconds[-1] / 40 for h in (captured, loop)])
    assert captured.graph == CAPTURED
    assert captured.epochs["loss"][-1] == pytest.approx(loop.epochs["loss"][-1], rel=0.1)


def test_a_loss_that_is_told_the_progress(record_property: Record) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return ConvVAE((1, 8, 8), 2, (4, 8), 16)

    loss = negative_elbo(C=10, beta=2.0, first_beta=0.1, anneal=0.5)
    more: dict[str, Any] = {"build": build, "data": images().images, "loss": loss, "lr": 1e-3,
                            "optimizer": None, "augment": None}  # fmt: skip
    (one, captured), (other, loop) = trained(True, **more), trained(False, **more)
    record_property("distance", distance(build, one, other))
    assert captured.graph == CAPTURED
    assert captured.epochs["kl"] == pytest.approx(loop.epochs["kl"], rel=0.1)


def test_images_that_are_drawn_anew() -> None:
    def draw(epoch: int) -> Any:
        return images(120 if epoch != 2 else 96, seed=epoch)

    (one, captured), (other, _) = trained(True, data=draw), trained(False, data=draw)
    assert captured.graph == CAPTURED
    assert distance(network, one, other) < 0.02


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("optimizer", [SGD, None, torch.optim.Adam])
def test_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool, optimizer: Any
) -> None:
    class Killed(Exception):
        pass

    def killed(epoch: int) -> Any:
        if epoch == 3:
            raise Killed
        return images(seed=epoch)

    def draw(epoch: int) -> Any:
        return images(seed=epoch)

    draw.__qualname__ = killed.__qualname__ = "draw"
    monkeypatch.setattr("companion.training.resume._SAVE_EVERY", 0.0)
    more: dict[str, Any] = {"epochs": 6, "optimizer": optimizer, "lr": 1e-3}
    whole, _ = trained(False, data=draw, **more)
    path = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        trained(first, data=killed, checkpoint=path, **more)
    resumed, history = trained(True, data=draw, checkpoint=path, **more)
    assert (history.resumed, history.graph) == (3, CAPTURED)
    assert distance(network, resumed, whole) < (0.02 if optimizer is SGD else 0.3)


def test_early_stop_and_validation() -> None:
    more: dict[str, Any] = {"validation": images(40, 1), "patience": 2, "lr": 0.2, "epochs": 30}
    model, history = trained(True, **more)
    assert history.graph == CAPTURED
    assert history.best is not None
    assert all(p.device.type == "cpu" for p in model.parameters())


def test_a_lost_loss_is_told() -> None:
    def explodes(model: nn.Module, images: Tensor, labels: Tensor, progress: Any) -> Tensor:
        value = F.cross_entropy(model(images), labels)
        late = torch.as_tensor(progress, device=value.device) > 0.5
        return value * torch.where(late, float("nan"), 1.0)

    with pytest.raises(FloatingPointError, match="became nan in step 1 of epoch 3"):
        trained(True, loss=explodes)


def test_memory_is_given_back() -> None:
    trained(True)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        trained(True)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + 1e6


def branches(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    value = F.cross_entropy(model(images), labels)
    return value if value > 0.1 else 2 * value


def test_a_loss_that_branches_is_the_loops(record_property: Record) -> None:
    (one, captured), (other, _) = trained(True, loss=branches), trained(False, loss=branches)
    record_property("graph", captured.graph)
    assert captured.graph == (
        "no CUDA graph: a step asks the device for a number, or the host for one"
    )
    assert distance(network, one, other) < 0.02


def test_the_caller_s_generators_are_put_back() -> None:
    torch.cuda.manual_seed(1)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed(1)
    trained(True)
    assert torch.equal(torch.rand(3, device="cuda"), expected)


# Last: what it breaks, if the clearing up fails, stays broken in this process.


def test_a_recording_that_breaks_leaves_nothing_behind(record_property: Record) -> None:
    def breaks(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        value = F.cross_entropy(model(images + 0.1 * torch.randn_like(images)), labels)
        if torch.cuda.is_current_stream_capturing():
            value.item()
        return value

    (one, captured), (other, _) = trained(True, loss=breaks), trained(False, loss=breaks)
    record_property("graph", captured.graph)
    assert captured.graph.startswith("no CUDA graph: ")
    assert distance(network, one, other) < 0.02
    _, after = trained(True)  # and the next one can be recorded
    record_property("graph_after", after.graph)
    assert after.graph == CAPTURED
    assert torch.rand(3, device="cuda").isfinite().all()
