"""The network explorer: its numbers in the page are those of layer_table, for every size."""

import json

import pytest
import torch
from torch import nn

from companion.explain.layer_table import layer_table
from companion.explain.layers import Window, register
from companion.models import AlexNet, CifarResNet, DigitCNN
from companion.widgets import NetworkExplorer
from support.front_end import HOSTILE, settle

# Every row of a network for a size, as the page computes it.
ROWS = """async ([network, size]) => {
  const { networkTable, totals } = await import("/maths/layer_table.js");
  const flat = (rows) => rows.flatMap((r) => [r, ...flat(r.parts ?? [])]);
  const rows = networkTable(network, size);
  const told = flat(rows).map((r) => [r.path, r.output, r.parameters, r.multiplications,
    r.fields?.map((f) => [f.size, f.stride, f.padding]), r.broken ?? null]);
  const { parameters, multiplications, broken } = totals(rows);
  return { told, parameters, multiplications, broken: broken?.name ?? null };
}"""


@pytest.fixture(scope="module")
def lecture():
    return NetworkExplorer()


def expected_rows(rows, prefix=""):
    for row in rows:
        path = prefix + row.name
        fields = [list(field) for field in row.fields]
        yield [path, list(row.output_shape), row.parameters, row.multiplications, fields, None]
        yield from expected_rows(row.rows, f"{path}.")


@pytest.mark.browser
class TestNumbers:
    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("AlexNet, the slide", 227),
            ("AlexNet, the paper (2 GPUs)", 227),
            ("AlexNet, torchvision", 224),
            ("VGG-16", 224),
            ("GoogLeNet", 224),
            ("GoogLeNet", 97),
            ("ResNet-18", 321),
            ("ResNet-50", 224),
            ("EfficientNet-B0", 224),
            ("EfficientNet-B0", 75),
            ("DigitCNN", 28),
        ],
    )
    def test_page_computes_the_table(self, lecture, page, name, size):
        tab = page()
        entry = next(e for e in lecture.networks if e["name"] == name)
        got = tab.evaluate(ROWS, [entry, [size, size]])
        lecture.network, lecture.size = name, size
        table = lecture.table()
        assert got["told"] == list(expected_rows(table))
        assert (got["parameters"], got["multiplications"]) == (
            table.parameters,
            table.multiplications,
        )

    def test_where_a_dense_layer_breaks(self, lecture, page):
        tab = page()
        slide = lecture.networks[0]
        assert tab.evaluate(ROWS, [slide, [224, 224]])["broken"] == "fc6"
        assert tab.evaluate(ROWS, [slide, [40, 40]])["broken"] == "pool3"
        lecture.network, lecture.size = slide["name"], 224
        with pytest.raises(ValueError, match="AlexNet needs images of shape N×3×227×227"):
            lecture.table()

    def test_images_and_windows_need_not_be_square(self, page):
        layers = nn.Sequential(
            nn.Conv2d(1, 4, (1, 7), stride=(1, 2)), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True),
            nn.Flatten(), nn.Linear(4 * 5 * 9, 3),
        )  # fmt: skip
        widget = NetworkExplorer(layers, image_shape=(1, 10, 41))
        got = page().evaluate(ROWS, [widget.networks[0], [10, 41]])
        assert got["told"] == list(expected_rows(layer_table(layers, (1, 10, 41))))

    def test_layers_of_every_known_kind(self, page):
        class Own(nn.Module):
            def forward(self, x):
                return x.roll(1, 2) * x

        register(Own, Window(2, padding=1), lambda own, shape: shape[1] * shape[2])
        conv = nn.Conv2d(4, 4, 3)
        layers = nn.Sequential(
            nn.ZeroPad2d((1, 0, 2, 0)), nn.Conv2d(1, 4, 2, padding="same"), nn.LPPool2d(2, 2, 1),
            conv, nn.MaxPool2d(3, 1, dilation=2), conv, Own(), nn.AdaptiveAvgPool2d((2, None)),
            nn.Flatten(), nn.Linear(4 * 2 * 32, 3), nn.Softmax(1),
        )  # fmt: skip
        widget = NetworkExplorer(layers, image_shape=(1, 13, 40))
        assert not widget.networks[0]["range"]
        got = page().evaluate(ROWS, [widget.networks[0], [13, 40]])
        table = layer_table(layers, (1, 13, 40))
        assert got["told"] == list(expected_rows(table))
        assert got["parameters"] == sum(p.numel() for p in layers.parameters())
        assert got["multiplications"] == table.multiplications


@pytest.mark.browser
class TestFrontEnd:
    def shown(self, tab):
        settle(tab)
        pairs = tab.eval_on_selector_all(
            "[data-quantity]", "all => all.map(el => [el.dataset.quantity, el.dataset.value])"
        )
        return {name: float(value) for name, value in pairs}

    def test_walk_by_keyboard(self, lecture, page):
        lecture.network, lecture.size = "AlexNet, the slide", 227
        tab = page(lecture)
        table = lecture.table()
        tab.get_by_role("radio", name="conv1").focus()
        for name in ("pool1", "norm1", "conv2"):
            tab.keyboard.press("ArrowDown")
            numbers = self.shown(tab)
            row = table.row(name)
            assert tab.evaluate("model.get('layer')") == name
            assert numbers["layer-parameters"] == row.parameters
            assert numbers["layer-multiplications"] == row.multiplications
            assert numbers["layer-receptive-field"] == row.receptive_field
            assert numbers["layer-stride"] == row.effective_stride
        assert "= 256 · (5·5·96 + 1)" in tab.inner_text("main")
        assert "= 27·27·256 · 5·5·96" in tab.inner_text("main")
        tab.get_by_role("button", name="previous").click()
        assert tab.evaluate("model.get('layer')") == "norm1"
        assert self.shown(tab)["total-parameters"] == 62_378_344

    def test_size_slider_breaks_the_slides_network(self, lecture, page):
        lecture.network, lecture.size = "AlexNet, the slide", 227
        tab = page(lecture)
        slider = tab.get_by_role("slider", name="side of the image")
        slider.focus()
        for _ in range(3):
            tab.keyboard.press("ArrowLeft")
        settle(tab)
        text = tab.inner_text("main")
        assert "Images of 224×224 do not pass: fc6 cannot work" in text
        assert "9,216 numbers, but 6,400 arrive" in text
        assert "(224 − 11)/4 + 1 = 54.25, rounded down to 54" in text
        slider.press("Backspace")
        settle(tab)
        assert "do not pass" not in tab.inner_text("main")

    def test_a_block_opens(self, lecture, page):
        lecture.network, lecture.size = "GoogLeNet", 224
        tab = page(lecture)
        tab.get_by_role("radio", name="inception3a").check(force=True)
        settle(tab)
        inside = tab.get_by_role("group", name="Inside inception3a")
        assert inside.get_by_role("button").count() == 7
        inside.get_by_role("button", name="conv conv 5×5").click()
        row = lecture.table().row("inception3a.path5x5.conv")
        numbers = self.shown(tab)
        assert numbers["layer-parameters"] == row.parameters == 12_832
        assert numbers["layer-multiplications"] == row.multiplications
        assert "inception3a › path5x5 › conv" in tab.inner_text("main")
        assert "stacked in depth" in inside.inner_text()
        # Only the blocks of the chosen row are bright.
        assert tab.locator(".explorer-chosen").count() == 1

    def test_another_network_by_menu_and_by_python(self, lecture, page):
        lecture.network, lecture.size = "AlexNet, the slide", 227
        tab = page(lecture)
        tab.get_by_label("Network", exact=True).select_option(label="ResNet-18")
        assert self.shown(tab)["total-parameters"] == 11_689_512
        assert tab.evaluate("model.get('size')") == 224
        tab.evaluate("() => { model.set('network', 'DigitCNN'); model.set('size', 28); }")
        assert self.shown(tab)["total-parameters"] == 69_498
        tab.locator(".explorer-block").nth(2).click(force=True)
        settle(tab)
        assert tab.evaluate("model.get('layer')") == "bn1"

    def test_answers_within_a_frame(self, lecture, page):
        lecture.network, lecture.size = "EfficientNet-B0", 224
        tab = page(lecture)
        # From a new size to the picture of it; below 16 ms on a quiet machine.
        times = tab.evaluate("""async () => {
          const times = [];
          for (let i = 0; i < 30; i += 1) {
            const painted = new Promise((resolve) => {
              addEventListener("companion-painted", resolve, { once: true });
            });
            const start = performance.now();
            model.set("size", 100 + i);
            await painted;
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b);
        }""")
        assert times[15] < 100

    def test_hostile_names_run_nothing(self, page):
        model = nn.Sequential()
        model.add_module(HOSTILE.replace(".", ""), nn.Conv2d(1, 2, 3))
        tab = page(NetworkExplorer({HOSTILE: model}, image_shape=(1, 8, 8), title=HOSTILE))
        assert tab.inner_text(".companion-title") == HOSTILE
        assert tab.locator("main img").count() == 0
        assert tab.evaluate("window.hurt") is None

    @pytest.mark.parametrize("width", [320, 390, 1280])
    def test_fits_its_page(self, lecture, page, width):
        lecture.network, lecture.size = "GoogLeNet", 224
        tab = page(lecture)
        tab.set_viewport_size({"width": width, "height": 800})
        tab.evaluate("model.set('layer', 'inception4e')")
        settle(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        small = tab.eval_on_selector_all(
            "main *",
            """all => all.filter((el) => [...el.childNodes].some((n) => n.nodeType === 3
              && n.data.trim()) && parseFloat(getComputedStyle(el).fontSize) < 12).length""",
        )
        assert small == 0
        tab.set_viewport_size({"width": 800, "height": 900})


class TestPython:
    def test_state_is_json_and_small(self, lecture):
        assert len(json.dumps(lecture.page_state())) < 200_000

    def test_own_models(self):
        widget = NetworkExplorer(DigitCNN(), layer="conv2")
        assert (widget.network, widget.layer, widget.size) == ("DigitCNN", "conv2", 28)
        assert widget.table().parameters == 69_498
        assert "69,498 parameters" in widget.describe()
        with torch.device("meta"):
            both = NetworkExplorer({"plain": CifarResNet(residual=False), "a": AlexNet()})
        assert both.network == "plain"
        assert both.layer == "conv1"

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"models": {}}, ValueError, "at least one network"),
            ({"models": nn.Sequential(nn.ReLU())}, ValueError, "image_shape is needed"),
            ({"models": DigitCNN(), "network": "x"}, ValueError, "network must be one of DigitCNN"),
            ({"models": DigitCNN(), "layer": "conv9"}, KeyError, "No layer 'conv9'"),
            ({"models": nn.ReLU(), "image_shape": (1, 8, 8)}, TypeError, "nn.Sequential"),
        ],
    )
    def test_bad_arguments(self, arguments, error, message):
        with pytest.raises(error, match=message):
            NetworkExplorer(**arguments)
