"""Drawings of blocks: what stands in them comes from the modules."""

import re

import pytest
from torch import nn

from companion.flows import Box, Flow, chain, flows, steps
from companion.models import ConvVAE, MBConv
from companion.models.resnet import basic_layers, bottleneck_layers


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


def test_a_drawing_has_its_boxes_arrows_and_words():
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
