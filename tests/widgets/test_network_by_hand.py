"""NetworkByHand: the page's own network against torch's, on drawings; units written out."""

import numpy as np
import pytest
import torch
from torch import nn

from companion.models import DigitCNN
from companion.site.frontend import build_frontend
from companion.widgets import NetworkByHand
from support.front_end import settle, shown_numbers
from support.pages import visit
from support.unchanged import left_as_it_was


def noise(count=4, side=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 1, side, side), generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def model():
    """With statistics of its own in the batch normalisations."""
    torch.manual_seed(0)
    net = DigitCNN(size=16)
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(32, 1, 16, 16))
    return net.eval()


@pytest.fixture(scope="module")
def widget(model):
    return NetworkByHand(model, noise())


# --- from Python ----------------------------------------------------------------------------------


def test_logits_and_sums_are_the_models(model, widget):
    layers = model.layers
    x = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        assert widget.logits(x).tolist() == pytest.approx(model(x[None])[0].tolist(), abs=1e-4)
        before = x[None]
        for stage, (conv, norm, pool) in enumerate(
            zip(("conv1", "conv2", "conv3"), ("bn1", "bn2", "bn3"), ("pool1", "pool2", "pool3"),
                strict=True)
        ):  # fmt: skip
            widget.stage = stage
            wanted = getattr(layers, norm)(getattr(layers, conv)(before))
            torch.testing.assert_close(widget.sums(x).float(), wanted[0], atol=1e-4, rtol=1e-4)
            before = getattr(layers, pool)(wanted.relu())
    widget.stage = 0
    assert "3 stages" in repr(widget)


def test_the_model_stays_as_it_is_and_bias_and_no_norm_count():
    torch.manual_seed(1)
    plain = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 4),
    )  # fmt: skip
    with left_as_it_was(plain):
        w = NetworkByHand(plain, noise(), ["a", "b", "c", "d"])
    assert w.network["format"] == "float32"
    wanted = plain.eval()(noise()[:1].float() / 255)[0]
    assert w.logits().tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


def test_stage_filter_channel_and_place_stay_within_the_network(widget):
    widget.stage = 2
    widget.filter, widget.channel, widget.position = 63, 31, [3, 3]
    widget.stage = 0
    assert (widget.filter, widget.channel, widget.position) == (15, 0, [3, 3])
    with pytest.raises(ValueError, match="filter must be a whole number from 0 to 15, not 16"):
        widget.filter = 16
    with pytest.raises(ValueError, match="position must be a whole number from 0 to 15"):
        widget.position = [0, 16]
    widget.filter, widget.position = 0, [0, 0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), r"Flatten \(0\) does not fit"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 2)),
         r"Conv2d \(0\) does not fit"),
        (nn.Sequential(nn.Conv2d(1, 2, (3, 5)), nn.ReLU(), nn.MaxPool2d(2)), "Conv2d"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.MaxPool2d(2)), "Conv2d"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2)), "Conv2d"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)), "the model"),
    ],
)  # fmt: skip
def test_models_built_in_another_way_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        NetworkByHand(model, noise())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(2, 3, 16, 16)}, r"images must be N×1×S×S"),
        ({"images": noise(side=24)}, "the model does not take these images"),
        ({"class_names": ["a"]}, "expected 10 class_names, one a logit, not 1"),
        ({"stage": 3}, "stage must be"),
    ],
)
def test_refusals(model, change, message):
    with pytest.raises(ValueError, match=message):
        NetworkByHand(**{"model": model, "images": noise()} | change)


# --- in a page ------------------------------------------------------------------------------------


def assert_unit(tab, widget, image=None):
    """The unit on show is Python's, and what is written of it adds up."""
    for name in ("stage", "filter", "channel", "position"):
        setattr(widget, name, tab.evaluate("(name) => model.get(name)", name))
    (row, column), numbers = widget.position, shown_numbers(tab)
    sums = widget.sums(image)[widget.filter]
    assert numbers["sum"] == pytest.approx(sums[row, column].item(), abs=1e-6)
    assert numbers["relu"] == pytest.approx(max(sums[row, column].item(), 0), abs=1e-6)
    if numbers["pooled"] is not None:
        top, left = 2 * (row // 2), 2 * (column // 2)
        block = sums[top : top + 2, left : left + 2].relu()
        assert numbers["pooled"] == pytest.approx(block.max().item(), abs=1e-6)
    read = """() => [
        [...document.querySelectorAll(".stack-row .cells:last-of-type")].at(-1),
    ].map((grid) => [...grid.querySelectorAll(".cell")].map((el) => el.innerText))[0]"""
    cents = lambda text: round(100 * float(text.replace("−", "-").strip("()")))  # noqa: E731
    total = cents(tab.locator(".stack-total strong").inner_text())
    assert sum(map(cents, tab.evaluate(read))) == total
    line = tab.locator(".stack-outcome li").first.inner_text().replace("\n", " ")
    parts, result = line.split("≈")
    first, bias = parts.split("+ bias")
    channels = [cents(t) for t in tab.locator(".stack-small").all_inner_texts() if t]
    assert cents(first.split()[-1]) == (sum(channels) if channels else total)
    assert cents(first.split()[-1]) + cents(bias.strip()) == cents(result.split()[0])


@pytest.mark.browser
def test_every_stage_by_keys_and_pointer(page, widget):
    tab = page(widget)
    assert_unit(tab, widget)
    for stage, steps in ((0, 9), (1, 3), (2, 2)):
        tab.get_by_role("radio", name=f"conv {stage + 1}").check(force=True)
        settle(tab)
        places = tab.get_by_role("slider", name="Chosen filter, sums + bias")
        places.press("Home")
        for _ in range(steps):
            places.press("ArrowDown")
            places.press("ArrowRight")
        assert_unit(tab, widget)
        tab.get_by_role("radio", name="filter 5", exact=True).check(force=True)
        assert_unit(tab, widget)
        if stage:
            tab.get_by_role("radio", name="channel 16", exact=True).check(force=True)
            settle(tab)
            assert tab.evaluate("model.get('channel')") == 15
            assert_unit(tab, widget)
        box = tab.locator(".stack-maps .stack-map").nth(2).bounding_box()
        tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"])
        settle(tab)
        assert_unit(tab, widget)
        tab.mouse.move(799, 1)
    tab.get_by_role("radio", name="conv 1").check(force=True)
    settle(tab)
    assert tab.evaluate("model.get('channel')") == 0


@pytest.mark.browser
def test_a_drawing_gives_the_models_logits(browser, stage, model, widget):
    build_frontend(quiet=True)
    with visit(browser, stage(NetworkByHand(model, noise()))) as seen:
        page = seen.page
        page.get_by_role("button", name="Press to draw").press("Enter")
        page.wait_for_selector(".companion-live .look-wake", state="hidden")
        page.evaluate(
            """() => addEventListener("companion-painted", ({ detail }) => {
                window.painted = [Array.from(detail.image), Array.from(detail.logits)];
            })"""
        )
        pen = page.get_by_role("slider", name="Draw a digit: column of the pen")
        pen.press("Space")
        for key in ("Shift+ArrowDown", "Shift+ArrowRight"):
            page.evaluate("window.painted = null")
            pen.press(key)
            page.wait_for_function("window.painted")
            image, logits = page.evaluate("window.painted")
            x = torch.tensor(image).view(1, 1, 16, 16)
            assert x.max() > 0.5
            with torch.no_grad():
                wanted = model(x)[0]
            assert logits == pytest.approx(wanted.tolist(), abs=1e-4)
            numbers = shown_numbers(page)
            best = int(wanted.argmax())
            assert numbers["logit-1"] == pytest.approx(wanted[best].item(), abs=1e-4)
            assert numbers["place-1"] == pytest.approx(wanted.softmax(0)[best].item(), abs=1e-4)
        page.evaluate("window.painted = null")
        page.get_by_role("radio", name="image 3").check(force=True)
        page.wait_for_function("window.painted")
        shown = np.array(page.evaluate("window.painted[0]"))
        np.testing.assert_allclose(255 * shown, noise()[2].flatten().numpy(), atol=1e-3)
        assert page.get_by_role("button", name="Clear").is_disabled()
        assert seen.errors == []
        assert seen.strangers == []
