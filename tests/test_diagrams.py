"""Drawings of networks are made from their layer tables."""

import re

import pytest
import torch

from companion.diagrams import blocks
from companion.explain.layer_table import layer_table
from companion.models import AlexNet


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
