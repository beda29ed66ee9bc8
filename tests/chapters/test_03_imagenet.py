"""What chapter 3 says of ImageNet's classes, and what it draws of the winners."""

import ast
import re

import torch
from torch import nn

from companion.library import torchvision
from companion.models import AlexNet, GoogLeNet, ResNet, pretrained
from companion.published import WINNERS
from conftest import ROOT

CHAPTER = (ROOT / "book" / "03-imagenet.md").read_text(encoding="utf-8")


def test_no_class_is_a_temple_or_a_pagoda():
    names = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(names) == 1000
    assert not [name for name in names if re.search("temple|pagoda", name, re.IGNORECASE)]
    assert len(pretrained("efficientnet_lite0").class_names) == 1000


def test_the_winners_layers_are_those_of_our_networks():
    """Layers with weights on the way through, without shortcuts' projections."""
    (drawn,) = re.findall(r"^LAYERS = (\{.*?\})", CHAPTER, re.MULTILINE)
    layers = ast.literal_eval(drawn)
    assert set(layers) <= {w.known_as for w in WINNERS}

    def weighted(model):
        return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    with torch.device("meta"):
        alexnet, google, resnet = AlexNet(), GoogLeNet(auxiliary_heads=False), ResNet(152)
    assert layers["AlexNet"] == len(weighted(alexnet))
    # A module has six convolutions and is two deep.
    assert layers["GoogLeNet"] == len(weighted(google)) - 9 * 4
    assert layers["ResNet"] == len(weighted(resnet)) - 4  # a projection at each stage
