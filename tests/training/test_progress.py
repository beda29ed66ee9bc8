"""How a training shows itself: in a terminal, in a notebook, and as a figure afterwards."""

import io
import re
import sys
import xml.etree.ElementTree as ET
from functools import partial
from types import SimpleNamespace

import pytest
from torch import Tensor, nn
from torch.nn import functional as F

from companion.training import fit, loop
from companion.training.progress import Run, duration, render
from support.runs import images, network

quick = partial(fit, epochs=3, batch_size=8, device="cpu", progress=True)


def with_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    logits = model(images)
    right = (logits.argmax(1) == labels).float().mean()
    return {"accuracy": right, "loss": F.cross_entropy(logits, labels)}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    quick(network(), images(40), with_accuracy)
    last = terminal.getvalue().strip().split("\r")[-1]
    assert "epoch 3/3 100%" in last
    assert "accuracy" in last


def test_nothing_where_stderr_is_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    quick(network(), images(40), with_accuracy)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Pretend to be a kernel; the list takes what a notebook would show, one after the other."""
    bundles: list[dict[str, str]] = []

    def display(bundle: dict[str, str], **_: object) -> SimpleNamespace:
        bundles.append(bundle)
        return SimpleNamespace(update=display)

    module = pytest.importorskip("IPython")
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(loop, "_LOOK_EVERY", 0.0)
    return bundles


def test_picture_in_a_notebook(shown: list[dict[str, str]]) -> None:
    quick(network(), images(40), with_accuracy, validation=images(8))
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


def test_a_stopped_run_says_so(shown: list[dict[str, str]]) -> None:
    calls = iter(range(100))

    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return F.cross_entropy(model(images), labels)

    with pytest.raises(KeyboardInterrupt):
        quick(network(), images(40), loss)
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
    history = quick(network(), images(40), with_accuracy, validation=images(8), progress=False)
    figure = history.plot()
    assert {trace.name for trace in figure.data} == set(history.epochs)
    assert list(figure.data[1].y) == history.epochs["loss"]
    assert "3 epochs" in figure.layout.meta["alt"]
    assert f"{history.last['loss']:.4g}" in figure.layout.meta["alt"]
    assert f"loss {history.last['loss']:.4g}" in repr(history)
