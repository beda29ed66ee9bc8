""" "Copy as PyTorch": the code, run as it is copied, makes the numbers that the widget shows."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from companion import widgets
from companion.explain.layers import Window
from companion.library import import_torchvision
from support.every_widget import EXAMPLES
from support.front_end import JS, settle, shown_numbers
from support.pages import visit

pytestmark = pytest.mark.browser

#: LiveTraining's code names the reader's own model, loss and data: test_live_training runs it.
ELSEWHERE = {"live_training"}


def softmax(made, shown, w):
    assert made["loss"].item() == pytest.approx(shown["loss"], rel=1e-5, abs=1e-6)
    assert made["probabilities"][w.label].item() == pytest.approx(shown["p-right"], rel=1e-5)


def convolution(made, shown, w):
    y = made["y"]
    assert y.shape == w.output.shape
    assert y.flatten()[w.position].item() == pytest.approx(shown["y"], rel=1e-5, abs=1e-5)


def bottleneck(made, shown, w):
    size = made["x"].shape[-1]
    assert made["output"].shape == (1, shown["output_depth"], size, size)
    assert made["parameters"] == shown["parameters"]


def posterior(made, shown, w):
    assert made["kl"].item() == pytest.approx(shown["kl"], rel=1e-5, abs=1e-6)
    assert made["mu"].grad.item() == pytest.approx(shown["gradient-mu"], rel=1e-5)
    assert made["sigma"].grad.item() == pytest.approx(shown["gradient-sigma"], rel=1e-4)
    assert made["z"].requires_grad == w.reparameterised


def receptive_field(made, shown, w):
    """The ends of the square that the widget names, where they lie in the image."""
    for seen, name in (("rows", "row"), ("columns", "column")):
        first, last = shown[f"first-{name}"], shown[f"last-{name}"]
        assert made[seen].min() == first if first >= 0 else made[seen].min() >= 0
        assert made[seen].max() == last if last < 32 else made[seen].max() < 32


def convolution_stack(made, shown, w):
    for name in ("sums", "activations", "pooled"):
        assert made[name][0].numpy() == pytest.approx(getattr(w, name), abs=1e-4)


def kernel_lab(made, shown, w):
    assert made["y"].item() == pytest.approx(shown["y"], abs=1e-9)
    assert made["y"].item() == pytest.approx(w.output[tuple(w.position)], abs=1e-6)


def network_by_hand(made, shown, w):
    at = (w.filter, *w.position)
    assert made["total"].item() == pytest.approx(float(w.sums()[at]), abs=1e-3)


def signal_depth(made, shown, w):
    assert made["signal"] == pytest.approx(w.sizes.signal.tolist(), rel=1e-6)
    assert made["gradient"] == pytest.approx(w.sizes.gradient.tolist(), rel=1e-6)
    assert made["signal"][-1] == pytest.approx(shown["signal-last"], rel=1e-6)


def scaling(made, shown, w):
    for name in ("multiplications", "parameters"):
        assert made[name] == shown[name] == getattr(w.cost, name)


def augmentation(made, shown, w):
    """Of the reader's picture: every view cut where the widget cuts it, with its colours."""
    own = widgets.AugmentationViews(
        made["image"][None], kind=w.kind, crop=w.crop, sigma=w.sigma, seed=w.seed,
        components=w._components,
    )  # fmt: skip
    if w.kind != "random":
        assert len(made["views"]) == shown["views"]
    # What a widget takes is 8 bits deep.
    assert torch.stack([*made["views"]]).numpy() == pytest.approx(own.views().numpy(), abs=4e-3)


def bilinear(made, shown, w):
    for rule, distances in w.distances.items():
        distance = made["distances"][rule.replace("-", "_")]
        assert distance == pytest.approx(distances[-1], rel=1e-9)
        assert distance == pytest.approx(shown[f"distance-{rule}"], rel=1e-9)


def lof_opened(made, shown, w):
    assert made["lof"] == pytest.approx(w.lof, rel=1e-9)
    assert made["density"][made["p"]] == pytest.approx(shown["density"], rel=1e-6)
    assert made["lof"][made["p"]] == pytest.approx(shown["lof"], rel=1e-6)


def isolation(made, shown, w):
    n = len(w.points)
    assert made["average_path"](n) == pytest.approx(shown["average"], rel=1e-9)
    assert [len(lengths) for lengths in made["grown"]] == [n] * max(1, w.trees)
    if w.trees:
        assert made["mean"] == pytest.approx(shown["mean"], rel=1e-9)
        assert made["score"] == pytest.approx(shown["score"], rel=1e-9)


def anomalies(made, shown, w):
    assert made["scores"] == pytest.approx(w.scores()[w.shown], rel=1e-6, abs=1e-9)
    flagged = w.flagged()[w.shown]
    assert made["flagged"].tolist() == flagged.tolist()
    assert flagged[: len(w.points)].sum() == shown[f"flagged-{w.shown}"]


def threshold(made, shown, w):
    for name in ("tp", "fp", "fn", "tn"):
        assert made[name] == shown[name] == w.counts[name]
    assert made["cost"] == shown["cost"] == w.cost
    assert made["auroc"] == pytest.approx(shown["auroc"], rel=1e-9)
    assert made["average_precision"] == pytest.approx(shown["average-precision"], rel=1e-9)


def explorer(made, shown, w):
    assert made["parameters"] == shown["layer-parameters"]
    assert made["multiplications"] == shown["layer-multiplications"]


def manifold(made, shown, w):
    assert made["loss"] == pytest.approx(w.best_loss, rel=1e-4)
    assert made["loss"] == pytest.approx(shown["best"], rel=1e-4)


def toy_codes(made, shown, w):
    for name in ("mig", "sap"):
        assert made[name] == pytest.approx(w.scores()[name], abs=1e-9)
        assert made[name] == pytest.approx(shown[name], abs=1e-9)


def occlusion(made, shown, w):
    assert made["before"].item() == pytest.approx(w.probability_whole, abs=1e-5)
    assert made["after"].item() == pytest.approx(w.probability, abs=1e-5)
    assert made["drops"].numpy() == pytest.approx(w.map().on_pixels().numpy(), abs=1e-5)


class Case(NamedTuple):
    """A setting: what holds of its code, how its widget is made, whether sliders change that."""

    check: Callable[[dict[str, Any], dict[str, Any], Any], None]
    make: Callable[[], Any]
    moves: bool = True


def later(name: str, **more: Any) -> Callable[[], Any]:
    """The example of a widget with what Python sets later, and more."""

    def make() -> Any:
        widget = EXAMPLES[name].make()
        for trait, value in (EXAMPLES[name].later | more).items():
            setattr(widget, trait, value)
        return widget

    return make


def own_network(**options: Any) -> widgets.NetworkExplorer:
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), 2, (1, 2), groups=2, bias=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(6 * 32 * 32, 7),
    )  # fmt: skip
    return widgets.NetworkExplorer({"own": model}, image_shape=(4, 64, 64), **options)


def sandbox(shown: str, **options: Any) -> Callable[[], widgets.AnomalySandbox]:
    points = torch.randn(60, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([3, 1])
    return lambda: widgets.AnomalySandbox(points, shown=shown, **({"k": 7} | options))


GREY = torch.arange(1200).reshape(1, 3, 20, 20).remainder(251).to(torch.uint8)
CASES = [
    Case(softmax, widgets.Softmax),
    Case(softmax, lambda: widgets.Softmax([3, -2.25, 0], label=1, temperature=0.5)),
    Case(convolution, widgets.ConvolutionByHand, moves=False),
    Case(convolution, lambda: widgets.ConvolutionByHand(
        [[1, 2.5, 0, 1], [0, -1, 4, 2], [7, 1, 1, 0]], [[1, 0], [2, -0.5]], padding=2, stride=2,
        flip=True, position=4), moves=False),
    Case(bottleneck, widgets.BottleneckCounter),
    Case(bottleneck, lambda: widgets.BottleneckCounter(7, 48, (5, 6, 7, 8, 9, 10), five=3)),
    Case(bottleneck, lambda: widgets.BottleneckCounter(14, 32, bottlenecks=False)),
    Case(posterior, widgets.PosteriorVsPrior),
    Case(posterior, lambda: widgets.PosteriorVsPrior(-2, 0.3, reparameterised=False)),
    Case(receptive_field, widgets.ReceptiveField),
    Case(receptive_field, lambda: widgets.ReceptiveField(
        stack=(Window(3, 2, 1), Window(3, 1, 2, 2), Window(2, 1, 0)), layer=2, unit=(1, 7))),
    Case(convolution_stack, EXAMPLES["ConvolutionStack"].make, moves=False),
    Case(convolution_stack, later("ConvolutionStack", stride=2), moves=False),
    Case(kernel_lab, EXAMPLES["KernelLab"].make),
    Case(kernel_lab, lambda: widgets.KernelLab(
        GREY, torch.arange(25).view(5, 5) - 9, bias=-0.25, position=(0, 19))),
    Case(network_by_hand, EXAMPLES["NetworkByHand"].make, moves=False),
    Case(network_by_hand, later("NetworkByHand"), moves=False),
    Case(signal_depth, widgets.SignalThroughDepth),
    Case(signal_depth, lambda: widgets.SignalThroughDepth(
        7, 1.7, "tanh", shortcuts=True, batch_norm=True, seed=2**31)),
    Case(signal_depth, lambda: widgets.SignalThroughDepth(5, 1.0, "none")),
    Case(scaling, widgets.CompoundScaling),
    Case(scaling, lambda: widgets.CompoundScaling(1.7, way="width")),
    Case(augmentation, EXAMPLES["AugmentationViews"].make, moves=False),
    Case(augmentation, lambda: widgets.AugmentationViews(GREY, kind="none"), moves=False),
    Case(augmentation, lambda: widgets.AugmentationViews(GREY, kind="flip"), moves=False),
    Case(augmentation, later("AugmentationViews, random")),
    Case(bilinear, lambda: widgets.BilinearGame(steps=5)),
    Case(bilinear, lambda: widgets.BilinearGame(0.5, x=-1.5, y=0.25, steps=40)),
    Case(lof_opened, widgets.LOFOpened),
    Case(lof_opened, later("LOFOpened")),
    Case(isolation, widgets.IsolationCuts, moves=False),
    Case(isolation, later("IsolationCuts")),
    *(Case(anomalies, sandbox(shown)) for shown in ("lof", "knn", "dbscan", "cblof")),
    *(Case(anomalies, sandbox(shown)) for shown in ("iforest", "autoencoder")),
    Case(anomalies, sandbox("lof", copies=True, scaled=True, contamination=0.3)),
    Case(anomalies, sandbox("cblof", clusters=3, contamination=0.05)),
    Case(threshold, EXAMPLES["ThresholdLab"].make),
    Case(threshold, later("ThresholdLab", cut=6)),
    Case(explorer, widgets.NetworkExplorer),
    Case(explorer, own_network, moves=False),
    Case(explorer, lambda: own_network(layer="3"), moves=False),
    Case(manifold, EXAMPLES["ManifoldField"].make),
    Case(manifold, later("ManifoldField")),
    Case(toy_codes, lambda: widgets.ToyCodes(rows=250)),
    Case(toy_codes, lambda: widgets.ToyCodes(
        angle=30, noise=0.3, shuffled=0.4, rows=1000, bins=12, seed=3)),
    Case(toy_codes, lambda: widgets.ToyCodes(rows=250, copies=2), moves=False),  # all is 0
    *(Case(occlusion, later("OcclusionMap", fill=fill)) for fill in ("grey", "mean")),
    *(Case(occlusion, later("OcclusionMap", fill=fill, place=[3, 8], chosen=1, target=4))
      for fill in ("blur", "noise")),
]  # fmt: skip


def copied(tab) -> str:
    """What the button puts on the clipboard."""
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.locator("button", has_text="Copy as ").click()
    return tab.evaluate("window.copied")


def run(code: str, widget: Any) -> dict[str, Any]:
    assert max(map(len, code.splitlines())) < 200
    names: dict[str, Any] = {"print": lambda *_: None}
    if isinstance(widget, widgets.OcclusionMap):  # its code names them
        names |= {"model": widget._network, "images": widget._images}
    torch.manual_seed(0)
    import_torchvision()  # so that it can be imported beside any torch
    try:
        exec(code, names)
    finally:
        torch.set_default_device(None)
    return names


def move(tab, widget) -> bool:
    """Move every slider in the page, and Python's widget with it; whether that changed anything."""
    tab.evaluate("""async () => {
        for (const input of document.querySelectorAll("input[type=range]:not(:disabled)")) {
            if (!input.checkVisibility()) continue;
            const [low, high] = [Number(input.min), Number(input.max)];
            input.value = low + 0.3 * (high - low);
            input.dispatchEvent(new Event("input", {bubbles: true}));
            await new Promise(requestAnimationFrame);
        }
    }""")
    settle(tab)
    old = json.loads(json.dumps(widget.page_state()))
    new = tab.evaluate(
        "(names) => Object.fromEntries(names.map((name) => [name, model.get(name)]))", [*old]
    )
    changes = {name: value for name, value in new.items() if value != old[name]}
    with widget.hold_trait_notifications():
        for name, value in changes.items():
            setattr(widget, name, value)
    return bool(changes)


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.check.__name__}-{k}" for k, case in enumerate(CASES)]
)
def test_the_code_makes_the_numbers_on_show(page, case):
    check, make, moves = case
    widget = make()
    tab = page(widget)

    def rest() -> tuple[dict[str, Any], dict[str, Any]]:
        tab.wait_for_function("!document.querySelector('[data-settled=false]')")
        return run(copied(tab), widget), shown_numbers(tab)

    before, shown = rest()
    check(before, shown, widget)
    tab.get_by_text("Read it").click()
    if moves and move(tab, widget):
        after, shown = rest()
        check(after, shown, widget)
        with pytest.raises(AssertionError):  # that of another setting does not
            check(before, shown, widget)
    tab.wait_for_function(
        "(code) => document.querySelector('.companion-code').textContent === code", arg=copied(tab)
    )


def test_every_widget_that_has_it_is_tested():
    having = {path.stem for path in JS.glob("*.js") if "copyCode(" in path.read_text("utf-8")}
    one_each = {case.check: case.make for case in CASES}.values()
    assert having == {make().module for make in one_each} | ELSEWHERE


def test_it_is_there_where_the_state_is_code(page):
    """Neither points that nobody scores, nor the mean of six methods, nor a pooling is."""

    def is_there(widget: Any) -> bool:
        return page(widget).locator("button", has_text="Copy as ").is_visible()

    assert is_there(sandbox("lof")())
    assert not is_there(sandbox("spread")())
    assert not is_there(widgets.AnomalySandbox([[0, 1], [1, 2]]))
    assert not is_there(widgets.NetworkExplorer(layer="pool1"))
    assert not is_there(widgets.ManifoldField(noise=0))


def test_it_is_there_where_a_stack_is(browser, own_cache, stage):
    """A network from torchvision's shelf is no stack of the reader's."""
    with visit(browser, stage(widgets.ReceptiveField(network="VGG-16"))) as seen:
        seen.all_alive()
        assert seen.page.get_by_role("button", name="Copy as PyTorch").count() == 0
        seen.page.get_by_label("Network").select_option("A stack of your own")
        seen.page.get_by_role("button", name="Copy as PyTorch").wait_for()
