"""The step as a graph, with a stand-in for the recording that takes the step anew at each replay:
what is recorded, chosen, refused and put back is the same on the CPU as on a GPU.
"""

import copy
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from companion.models import ConvVAE
from companion.training import History, capture, fit, loop, negative_elbo
from companion.training.batches import InMemory
from companion.training.capture import CAPTURED
from support.runs import images, network, noisy, train, weights

CPU = torch.device("cpu")


class StandIn:
    """A recording is the step itself; `breaks` and `replays` say what goes wrong with it."""

    device, settings = CPU, {}
    rate_dtype = torch.float64  # Python's own, so that nothing is rounded

    def __init__(
        self,
        breaks: Exception | None = None,
        replays: Callable[[Callable[[], None]], Callable[[], None]] = lambda step: step,
    ) -> None:
        self.breaks, self.replays = breaks, replays
        self.recorded = self.warmed = 0

    def warm_up(self, step: Callable[[], None], times: int) -> None:
        self.warmed += times
        for _ in range(times):
            step()

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        if self.breaks:
            step()  # as far as it came
            raise self.breaks
        self.recorded += 1
        return self.replays(step)

    def host_state(self) -> bytes:
        return repr(random.getstate()).encode()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(capture, "graphs_for", lambda device: stand_in)
    monkeypatch.setattr(capture, "WORTH", 30)
    return stand_in


def both(**changes: Any) -> tuple[tuple[nn.Module, History], tuple[nn.Module, History]]:
    """The same training with a graph and without."""
    return train(None, **changes), train(None, **changes, capture=False)


def same(one: tuple[nn.Module, History], other: tuple[nn.Module, History]) -> None:
    ends = [{n: x for n, x in run[0].state_dict().items() if isinstance(x, Tensor)}
            for run in (one, other)]  # fmt: skip
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)
    assert one[1].epochs == other[1].epochs


OPTIMIZERS = {
    "SGD": torch.optim.SGD,
    "Nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "Adam": None,
    "Adam, one by one": partial(torch.optim.Adam, foreach=False),
    "AdamW": partial(torch.optim.AdamW, amsgrad=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_same_bits_as_the_loop(graphs: StandIn, optimizer: Any) -> None:
    """With dropout, augmentation, batch norm, a schedule and a validation set."""
    clip = 0.1 if optimizer in (None, torch.optim.SGD) else None
    captured, loop = both(optimizer=optimizer, clip=clip, schedule="cosine", epochs=3)
    same(captured, loop)
    assert (captured[1].graph, loop[1].graph) == (CAPTURED, "")
    assert captured[1].device in str(captured[1])
    assert f", {CAPTURED}." in str(captured[1])
    assert graphs.recorded == 1


def test_plateau_and_early_stop(graphs: StandIn) -> None:
    captured, loop = both(patience=2, lr=0.3, epochs=30)
    same(captured, loop)
    assert captured[1].best == loop[1].best
    assert len(captured[1].seconds) < 30


def test_groups_keep_their_own_rates(graphs: StandIn) -> None:
    def groups(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        first, *rest = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.01}, {"params": rest}], lr=lr)

    same(*both(optimizer=groups, schedule="cosine", epochs=3))
    assert graphs.recorded == 1


def test_a_loss_that_is_told_the_progress(graphs: StandIn) -> None:
    data, found = images(160), []
    loss = negative_elbo(C=10, beta=2.0, first_beta=0.1, anneal=0.5)
    for wanted in (True, False):
        torch.manual_seed(0)
        model = ConvVAE((1, 8, 8), 2, (4, 8), 16)
        history = fit(model, data.images, loss, epochs=6, batch_size=16, device="cpu",
                      progress=False, capture=wanted)  # fmt: skip
        found.append((weights(model), torch.tensor(history.epochs["loss"])))
    assert graphs.recorded == 1
    # The progress is a float32 on the device, where the loop has Python's number.
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_images_that_are_drawn_anew(graphs: StandIn) -> None:
    """They lie where the first ones did; an epoch of another size is the loop's."""
    given: list[InMemory] = []

    def draw(epoch: int) -> InMemory:
        given.append(images(120 if epoch != 2 else 96, seed=epoch))
        return given[-1]

    runs = []
    for wanted in (True, False):
        model = network()
        history = fit(model, draw, noisy, epochs=4, batch_size=8, lr=0.05, device="cpu",
                      progress=False, capture=wanted)  # fmt: skip
        runs.append((model, history))
    same(runs[0], runs[1])
    assert graphs.recorded == 1
    assert torch.equal(given[0].images, images(120, seed=0).images), (
        "the caller's own are untouched"
    )


def test_the_incomplete_batch_is_left_out(graphs: StandIn) -> None:
    captured, loop = both(batch_size=50, epochs=15)
    same(captured, loop)
    assert captured[1].graph == "no CUDA graph: an epoch has few steps"
    same(*both(batch_size=35, epochs=10))  # three of 35, 15 images are left
    assert graphs.recorded == 1


def test_what_is_seen_meanwhile(graphs: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live curve grows step by step, as without."""
    seen: list[list[float]] = []
    monkeypatch.setattr(loop, "_LOOK_EVERY", 0.0)
    follow = loop.Run.follow

    def note(run: Any, epoch: int, steps: int, losses: Any, averages: Any = None) -> None:
        seen.append(list(losses["loss"]))
        follow(run, epoch, steps, losses, averages)

    monkeypatch.setattr(loop.Run, "follow", note)
    both(epochs=3)
    half = len(seen) // 2
    assert seen[:half] == seen[half:]
    assert [len(values) for values in seen[:16]] == [*range(1, 16), 15]


# ---- resuming, and a loss that is lost


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_resumed_either_way(
    graphs: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool, then: bool
) -> None:
    class Killed(Exception):
        pass

    def killed(epoch: int) -> InMemory:
        if epoch == 3:
            raise Killed
        return images(120, seed=epoch)

    def draw(epoch: int) -> InMemory:
        return images(120, seed=epoch)

    draw.__qualname__ = killed.__qualname__ = "draw"
    settings: dict[str, Any] = {"epochs": 6, "batch_size": 8, "lr": 0.05, "device": "cpu",
                                "progress": False}  # fmt: skip
    whole, torn = network(), network()
    loop_history = fit(whole, draw, noisy, **settings, capture=False)
    path = tmp_path / "run.ckpt"
    monkeypatch.setattr("companion.training.resume._SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        fit(torn, killed, noisy, **settings, checkpoint=path, capture=first)
    torn = network()
    history = fit(torn, draw, noisy, **settings, checkpoint=path, capture=then)
    assert history.resumed == 3
    assert history.graph == (CAPTURED if then else "")
    same((torn, history), (whole, loop_history))


def test_a_lost_loss_is_told_as_by_the_loop(graphs: StandIn) -> None:
    def explodes(model: nn.Module, images: Tensor, labels: Tensor, progress: Any) -> Tensor:
        value = F.cross_entropy(model(images), labels)
        return value * torch.where(torch.as_tensor(progress) > 0.5, float("nan"), 1.0)

    said = []
    for wanted in (True, False):
        with pytest.raises(FloatingPointError) as error:
            fit(network(), images(), explodes, epochs=4, batch_size=8, lr=0.05, device="cpu",
                progress=False, capture=wanted)  # fmt: skip
        said.append(str(error.value))
    assert said[0] == said[1]
    assert "became nan in step 1 of epoch 3" in said[0]
    assert graphs.recorded == 1


# ---- refused


class Counting(nn.Module):
    """Adds ever less noise: how often it was called is a number in Python."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x / self.calls


class Replacing(nn.Module):
    """Keeps a running mean, in a new tensor each time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * x.mean().detach()
        return x - self.mean


class Remembering(nn.Module):
    """Has more of a state than tensors."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def get_extra_state(self) -> Any:
        return {"seen": 1}

    def set_extra_state(self, state: Any) -> None:
        pass


def hooked() -> nn.Module:
    layer = nn.Identity()
    layer.register_forward_hook(lambda *_: None)
    return layer


def host_noise(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images if random.random() < 0.5 else images.flip(-1)), labels)


def refused(reason: str, layer: nn.Module | None = None, **changes: Any) -> None:
    """The training runs as without a graph, and says why."""
    runs = []
    for wanted in (True, False):
        random.seed(0)
        model = network()
        if layer is not None:
            model.append(copy.deepcopy(layer))
        settings: dict[str, Any] = {
            "data": images(),
            "loss": noisy,
            "epochs": 3,
            "lr": 0.01,
        } | changes
        history = fit(model, batch_size=8, device="cpu", progress=False, capture=wanted, **settings)
        runs.append((model, history))
    assert runs[0][1].graph == f"no CUDA graph: {reason}"
    same(runs[0], runs[1])


@pytest.mark.parametrize(
    ("reason", "layer", "changes"),
    [
        ("the optimizer is RMSprop", None, {"optimizer": torch.optim.RMSprop}),
        (
            "the optimizer has dampening, or a tensor as rate, or is differentiable", None,
            {"optimizer": partial(torch.optim.SGD, momentum=0.9, dampening=0.1)},
        ),
        ("for 15 steps it does not pay", None, {"epochs": 1}),
        ("6 has a hook", hooked(), {}),
        ("6 has a state beside its tensors", Remembering(), {}),
        ("a step changes the value model.6.calls, which no graph can hold", Counting(), {}),
        (
            "a step changes the tensor model.6.mean for another one, which no graph can hold",
            Replacing(), {},
        ),
        ("a step draws random numbers on the CPU", None, {"loss": host_noise}),
        (
            "the images do not lie on the device", None,
            {"data": TensorDataset(images().images, images().labels)},  # type: ignore[arg-type]
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)  # fmt: skip
def test_refused(
    graphs: StandIn, reason: str, layer: nn.Module | None, changes: dict[str, Any]
) -> None:
    refused(reason, layer, **changes)
    assert graphs.recorded == 0


def test_compiled_is_left_alone(graphs: StandIn) -> None:
    history = fit(network(), images(), noisy, epochs=3, batch_size=8, device="cpu",
                  progress=False, compile=True)  # fmt: skip
    assert history.graph == "no CUDA graph: torch.compile makes its own"
    assert graphs.warmed == 0


@pytest.mark.parametrize("optimizer", [None, partial(torch.optim.SGD, momentum=0.9)])
@pytest.mark.parametrize("moment", ["recording", "warming up"])
def test_a_broken_recording_leaves_nothing_behind(
    graphs: StandIn, moment: str, optimizer: Any
) -> None:
    error = RuntimeError("CUDA error: no such thing\nand more lines")
    try:
        raise ValueError("operation not supported") from error
    except ValueError as outer:
        wrapped = outer
    if moment == "recording":
        graphs.breaks = wrapped
    else:

        def warm_up(step: Callable[[], None], times: int) -> None:
            step()
            raise wrapped

        graphs.warm_up = warm_up  # type: ignore[method-assign]
    refused("CUDA error: no such thing", optimizer=optimizer)


def test_replays_that_do_something_else(graphs: StandIn) -> None:
    def twice(step: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            torch.rand(1)  # other draws than the step's
            step()
            step()

        return replay

    graphs.replays = twice
    runs = both(epochs=3)
    assert runs[0][1].graph.startswith("no CUDA graph: replays end ")
    same(*runs)
    graphs.replays = lambda step: lambda: None
    runs = both(epochs=3)
    assert runs[0][1].graph.startswith("no CUDA graph: replays end ")
    same(*runs)


def test_what_is_wrong_with_the_loss_is_told_as_ever(graphs: StandIn) -> None:
    with pytest.raises(ValueError, match="the loss failed on its first batch, images float32"):
        fit(network(), images(), lambda m, x, y: m(x[:, :, :4]).sum(), epochs=3, batch_size=8,
            device="cpu", progress=False)  # fmt: skip
