""" "Copy as PyTorch": the code, run as it is copied, makes the numbers that the widget shows."""

import pytest
import torch

from companion import widgets
from companion.explain.layers import Window
from support.pages import visit
from support.stage import write_stage

pytestmark = pytest.mark.browser

# Each quantity on show, at full precision.
SHOWN = """(box) => Object.fromEntries([...box.querySelectorAll("[data-quantity]")]
  .map((el) => [el.dataset.quantity, Number(el.dataset.value)]))"""


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


SETTINGS = [
    (softmax, lambda: widgets.Softmax()),
    (softmax, lambda: widgets.Softmax([3, -2.25, 0], label=1, temperature=0.5)),
    (convolution, lambda: widgets.ConvolutionByHand()),
    (convolution, lambda: widgets.ConvolutionByHand(
        [[1, 2.5, 0, 1], [0, -1, 4, 2], [7, 1, 1, 0]], [[1, 0], [2, -0.5]], padding=2, stride=2,
        flip=True, position=4)),
    (bottleneck, lambda: widgets.BottleneckCounter()),
    (bottleneck, lambda: widgets.BottleneckCounter(7, 48, (5, 6, 7, 8, 9, 10), five=3)),
    (bottleneck, lambda: widgets.BottleneckCounter(14, 32, bottlenecks=False)),
    (posterior, lambda: widgets.PosteriorVsPrior()),
    (posterior, lambda: widgets.PosteriorVsPrior(-2, 0.3, reparameterised=False)),
    (receptive_field, lambda: widgets.ReceptiveField()),
    (receptive_field, lambda: widgets.ReceptiveField(
        stack=(Window(3, 2, 1), Window(3, 1, 2, 2), Window(2, 1, 0)), layer=2, unit=(1, 7))),
]  # fmt: skip


def test_the_code_makes_the_numbers_on_show(browser, own_cache, tmp_path):
    made = [make() for _, make in SETTINGS]
    with visit(browser, write_stage(tmp_path, *made).as_uri()) as seen:
        seen.scroll_through()
        boxes = seen.page.locator(".companion-widget").all()
        for (check, _), widget, box in zip(SETTINGS, made, boxes, strict=True):
            box.get_by_text("Read it").click()
            code = box.locator(".companion-code").inner_text()
            assert max(map(len, code.splitlines())) < 200
            names = {"print": lambda *_: None}
            torch.manual_seed(0)
            exec(code, names)
            check(names, box.evaluate(SHOWN), widget)
        # A slider moves while the code is open to be read: it follows.
        mu = boxes[7].get_by_role("slider", name="mu")
        mu.press("Home")
        seen.page.wait_for_function(
            "(box) => box.querySelector('.companion-code').textContent.includes('tensor(-3.0, ')",
            arg=boxes[7].element_handle(),
        )
        assert seen.errors == []


def test_it_is_there_where_a_stack_is(browser, own_cache, stage):
    """A network from torchvision's shelf is no stack of the reader's."""
    with visit(browser, stage(widgets.ReceptiveField(network="VGG-16"))) as seen:
        seen.all_alive()
        assert seen.page.get_by_role("button", name="Copy as PyTorch").count() == 0
        seen.page.get_by_label("Network").select_option("A stack of your own")
        seen.page.get_by_role("button", name="Copy as PyTorch").wait_for()
