"""Drawings of networks are made from their layer tables."""

import re

import pytest
import torch
from torch import nn

from companion.diagrams import Box, Flow, blocks, chain, flows, steps
from companion.explain.layer_table import layer_table
from companion.models import AlexNet, ConvVAE, MBConv
from companion.models.resnet import basic_layers, bottleneck_layers


@pytest.fixture(scope="module")
def alexnet():
    with torch.device("meta"):
        table = layer_table(AlexNet(), (3, 227, 227))
    kept = [row for row in table if not row.name.startswith(("relu", "dropout", "flatten"))]
    return blocks((3, 227, 227), kept, name="AlexNet <slide>")


def test_every_layer_is_drawn_and_told(alexnet):
    names = [name for name, _, _ in alexnet.layers]
    assert names[0] == "input"
    assert names[1:4] == ["conv1", "pool1", "norm1"]
    assert alexnet.layers[1][:2] == ("conv1", "55×55×96")
    assert alexnet.layers[-1][:2] == ("fc8", "1,000")
    for name, words, _ in alexnet.layers:
        assert f"{name} {words}" in alexnet.alt


def test_blocks_keep_the_order_of_sides_and_channels(alexnet):
    def size(name):
        svg = next(svg for title, _, svg in alexnet.layers if title == name)
        found = re.search(r'<rect .* width="([\d.]+)" height="([\d.]+)"', svg)
        return float(found[1]), float(found[2])

    assert (
        size("input")[1] > size("conv1")[1] > size("conv2")[1] > size("conv3")[1] > size("fc6")[1]
    )
    assert (
        size("input")[0] < size("conv1")[0] < size("conv2")[0] < size("conv3")[0] < size("fc6")[0]
    )


def test_names_are_text(alexnet):
    html = alexnet._repr_html_()
    assert "&lt;slide&gt;" in html
    assert "<slide>" not in html
    assert html.count('role="img"') == 1


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="at least one layer"):
        blocks((3, 8, 8), [], name="nothing")


def test_steps_say_what_the_modules_do():
    assert steps(basic_layers(16, 32, stride=2)) == ["3×3, 16 → 32, stride 2, ReLU", "3×3, 32 → 32"]
    assert steps(bottleneck_layers(256, 64)) == [
        "1×1, 256 → 64, ReLU", "3×3, 64 → 64, ReLU", "1×1, 64 → 256",
    ]  # fmt: skip
    assert steps(MBConv(40, 40, expansion=6, kernel=5))[1] == "depthwise 5×5, 240 channels, SiLU"
    vae = ConvVAE((1, 8, 8), 4, widths=(8,), hidden=16)
    assert steps(vae.decoder)[0] == "dense, 4 → 16, ELU"
    assert steps(vae.decoder)[-1].startswith("transposed 4×4, 8 → 1, stride 2")
    with pytest.raises(ValueError, match="convolutions or dense layers, got ReLU"):
        steps(nn.ReLU())


def test_a_flow_has_its_boxes_arrows_and_words():
    made = flows({"block <1>": chain("x", Box("conv", "3×3"), "+", around=("x", "+"))})
    assert "a way round from x to +" in made.alt
    assert "conv (3×3)" in made.alt
    svg = made.drawings["block <1>"]
    assert svg.count("<rect") == 3
    assert re.findall(r"<text[^>]*>([^<]+)<", svg) == ["x", "conv", "3×3", "+"]
    lines = re.search(r'<path d="([^"]+)"/>', svg)[1]
    assert lines.count("L") == 2  # from row to row
    assert lines.count("C") == 1  # the way round
    assert "&lt;1&gt;" in made._repr_html_()


def test_boxes_of_a_row_share_it():
    rows = [[Box("x")], [Box("a"), Box("b")], [Box("y")]]
    svg = flows({"two": Flow(rows, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])}).drawings[
        "two"
    ]
    widths = [float(w) for w in re.findall(r'<rect[^>]*width="([^"]+)"', svg)]
    assert widths[1] == widths[2] < widths[0]
    assert widths[1] + widths[2] < widths[0]


def test_an_arrow_to_nowhere_is_refused():
    with pytest.raises(ValueError, match="there is no box 'z'; there are x, y"):
        flows({"bad": chain("x", "y", around=("x", "z"))})
