"""The table of a network: against published counts, and against the networks themselves."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from companion.explain.layer_table import Layer, LayerTable, layer_table, paths
from companion.models import (
    VGG,
    AlexNet,
    CifarResNet,
    DigitCNN,
    EfficientNet,
    GoogLeNet,
    ImageClassifier,
    Inception,
    Residual,
    ResNet,
)

Build = Callable[[], ImageClassifier]

NETWORKS: dict[str, Build] = {
    "AlexNet": AlexNet,
    "AlexNet, paper": lambda: AlexNet("paper"),
    "VGG-16": VGG,
    "GoogLeNet": lambda: GoogLeNet(auxiliary_heads=False),
    "GoogLeNet, torchvision": lambda: GoogLeNet("torchvision", auxiliary_heads=False),
    "ResNet-18": lambda: ResNet(18),
    "ResNet-50": ResNet,
    "ResNet-20": CifarResNet,
    "plain-20": lambda: CifarResNet(residual=False),
    "EfficientNet-B0": EfficientNet,
    "EfficientNet-Lite0": lambda: EfficientNet("lite0"),
    "DigitCNN": DigitCNN,
}


def table_of(build: Build) -> LayerTable:
    with torch.device("meta"):
        model = build()
    return layer_table(model, (model.in_channels, model.size, model.size))


def last_map(table: LayerTable) -> Layer:
    return [row for row in table if len(row.output_shape) == 3 and row.output_shape[1] > 1][-1]


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS.keys())
def test_the_table_tells_what_the_network_does(build: Build) -> None:
    """Shapes and counts against hooks on a run of the network itself."""
    with torch.device("meta"):
        model = build().eval()
    seen: dict[str, tuple[int, ...]] = {}
    products = 0

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        nonlocal products
        if isinstance(layer, nn.Conv2d | nn.Linear):
            products += y[0].numel() * layer.weight[0].numel()

    for module in model.modules():
        module.register_forward_hook(count)
    for name, layer in model.layers.named_children():
        layer.register_forward_hook(lambda _m, _x, y, name=name: seen.update({name: y.shape[1:]}))
    model(torch.zeros(1, model.in_channels, model.size, model.size, device="meta"))
    products_of_run, before = products, seen.copy()
    table = layer_table(model, (model.in_channels, model.size, model.size))
    assert {row.name: row.output_shape for row in table} == before
    assert table.multiplications == products_of_run
    assert table.parameters == sum(p.numel() for p in model.parameters())
    # The hooks of others are not called by making a table.
    assert products == products_of_run
    opened = table.opened()
    assert opened.parameters == table.parameters
    assert opened.multiplications == table.multiplications
    for row, following in pairwise(table):
        assert row.output_shape == following.input_shape


@pytest.mark.parametrize(
    ("build", "name", "field", "padding"),
    [
        # Araujo et al. (Distill, 2019), as google-research/receptive_field computes them.
        (AlexNet, "pool3", 195, 64),
        (VGG, "pool5", 212, 90),
        (VGG, "conv5_3", 196, 90),
        # Theirs pads the first max-pooling on the right only, by 2 pixels less on the left.
        (ResNet, "conv5_3", 483, 239 + 2),
        (lambda: ResNet(101), "conv5_3", 1027, 511 + 2),
        (lambda: ResNet(152), "conv5_3", 1507, 751 + 2),
        # torchvision's, measured by gradients too (below).
        (lambda: AlexNet("torchvision"), "pool3", 195, 66),
        (lambda: ResNet(18, "torchvision"), "conv5_2", 435, 217),
        (lambda: ResNet(34, "torchvision"), "conv5_3", 899, 449),
        (lambda: ResNet(50, "torchvision"), "conv5_3", 427, 213),
        (lambda: ResNet(101, "torchvision"), "conv5_3", 971, 485),
        (lambda: ResNet(152, "torchvision"), "conv5_3", 1451, 725),
    ],
)
def test_receptive_fields_as_published(build: Build, name: str, field: int, padding: int) -> None:
    row = table_of(build).row(name)
    assert (row.receptive_field, row.effective_padding) == (field, padding)
    assert row.start == -padding
    assert row.effective_stride == (16 if name == "conv5_3" and build is VGG else 32)


def test_vgg16_has_its_published_counts() -> None:
    table = table_of(VGG)
    assert table.parameters == 138_357_544
    assert sum(row.parameters for row in table if row.name.startswith("fc")) == 123_642_856
    assert table.multiplications / 1e9 == pytest.approx(15.47, abs=0.005)


def test_alexnet_is_told_in_the_words_of_the_slide() -> None:
    table = table_of(AlexNet)
    assert table.parameters == 62_378_344
    assert table.row("conv1").kind == "conv 11×11, stride 4, padding 0, 96 filters"
    assert table.row("conv1").output_shape == (96, 55, 55)
    assert table.row("pool1").kind == "max-pool 3×3, stride 2"
    assert table.row("fc6").kind == "dense, 4096 units"
    assert table_of(lambda: AlexNet("paper")).row("conv2").kind.endswith("256 filters, 2 groups")


def test_branches_open() -> None:
    table = table_of(GoogLeNet)
    module = table.row("inception3a")
    assert [row.name for row in module.rows] == ["path1x1", "path3x3", "path5x5", "path_pool"]
    five = table.row("inception3a.path5x5")
    assert five.receptive_field == module.receptive_field == 27 + 4 * 8
    assert table.row("inception3a.path1x1").receptive_field == 27
    assert table.row("inception3a.path5x5.conv.conv").output_shape == (32, 28, 28)
    shortcut = table_of(CifarResNet).row("conv3_1.shortcut")
    assert shortcut.kind == "every second pixel, zeros as new channels"
    with pytest.raises(KeyError, match="No layer 'path7x7' here, only path1x1, path3x3"):
        table.row("inception3a.path7x7")


def test_the_inception_block_of_the_slide() -> None:
    """On 28×28×256, ones 128, threes 192, fives 96, reductions to 64: 271,351,808."""
    with torch.device("meta"):
        block = Inception(256, 128, 64, 192, 64, 96, 64)
    table = layer_table(nn.Sequential(block), (256, 28, 28))
    assert table.multiplications == 271_351_808
    assert table[0].output_shape == (480, 28, 28)


def test_what_stands_after_the_maps_sees_all_of_them() -> None:
    table = table_of(AlexNet)
    assert table.row("fc6").receptive_field == 195 + 5 * 32
    pooled = table_of(ResNet).row("pool5")
    assert pooled.receptive_field == 483 + 6 * 32
    assert table_of(ResNet).row("fc").receptive_field == pooled.receptive_field


def test_windows_and_images_need_not_be_square() -> None:
    layers = nn.Sequential(
        nn.Conv2d(1, 2, (1, 7), stride=(1, 2), padding="valid"),
        nn.Conv2d(2, 2, 3, padding="same", dilation=2),
        nn.AvgPool2d(2),
    )
    table = layer_table(layers, (1, 20, 41))
    vertical, horizontal = table[-1].fields
    assert tuple(vertical) == (1 + 4 + 1, 2, 2)
    assert tuple(horizontal) == (7 + 4 * 2 + 2, 4, 4)
    assert table[-1].receptive_field == 17
    assert table[1].kind == "conv 3×3, stride 1, padding same, dilation 2, 2 filters"


def test_a_model_in_training_stays_as_it_is() -> None:
    model = DigitCNN().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layer_table(model, (1, 28, 28))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])


class TwoWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 1, 1)
        self.five = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.five(x)


def test_own_blocks_are_refused_until_their_paths_are_known() -> None:
    layers = nn.Sequential(TwoWays())
    with pytest.raises(TypeError, match="in which order the parts of 0, a TwoWays, compute"):
        layer_table(layers, (1, 9, 9))
    paths.register(TwoWays, lambda block: {"one": block.one, "five": block.five})
    table = layer_table(layers, (1, 9, 9))
    assert tuple(table[0].fields[0]) == (5, 1, 2)
    assert table[0].multiplications == 81 * 26


def test_a_layer_in_two_places_has_two_rows_and_its_weights_once() -> None:
    relu, conv, pool = nn.ReLU(), nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)
    layers = nn.Sequential(conv, relu, pool, conv, relu, pool)
    table = layer_table(layers, (1, 18, 18))
    assert [row.receptive_field for row in table] == [3, 3, 4, 8, 8, 10]
    assert [row.parameters for row in table] == [10, 0, 0, 0, 0, 0]
    assert table.multiplications == 16 * 16 * 9 + 6 * 6 * 9
    tied = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    tied[1].weight = tied[0].weight
    assert layer_table(tied, (1, 9, 9)).parameters == 9 + 2


def test_own_forwards_are_not_the_class_they_inherit_from() -> None:
    class Grown(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return functional.interpolate(super().forward(x), size=x.shape[-2:])

    class Twice(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(super().forward(x))

    class Other(DigitCNN):
        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x.flip(-1))

    replaced = nn.Conv2d(1, 1, 3)
    replaced.forward = lambda x: x  # type: ignore[method-assign]
    block = Twice(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), nn.Identity())
    for layers, message in (
        (nn.Sequential(Grown(nn.AdaptiveAvgPool2d(1))), "the parts of 0, a Grown, compute"),
        (nn.Sequential(nn.Sequential(block)), r"the parts of 0\.0, a Twice, compute"),
        (nn.Sequential(replaced), "What the units of a Conv2d see is not known"),
        (Grown(nn.ReLU()), "whose order is known, got a Grown"),
        (Other(), "A Other has a forward of its own"),
    ):
        with pytest.raises(TypeError, match=message):
            layer_table(layers, (1, 28, 28))


def test_parametrised_weights_are_counted_as_they_are() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3, padding=1))
    table = layer_table(nn.Sequential(normed, nn.ReLU()), (2, 8, 8))
    assert table[0].kind == "conv 3×3, stride 1, padding 1, 4 filters"
    assert table.parameters == 4 * 18 + 4 + 4  # the filters, a length and a bias for each
    assert table.multiplications == 64 * 4 * 18


def test_other_windows_are_told_in_words() -> None:
    layers = nn.Sequential(
        nn.ZeroPad2d((1, 0, 2, 0)), nn.MaxPool2d(3, 1, dilation=2), nn.AdaptiveAvgPool2d((4, None)),
        nn.LPPool2d(2, 2),
    )  # fmt: skip
    table = layer_table(layers, (1, 10, 11))
    assert [row.output_shape for row in table] == [(1, 12, 12), (1, 8, 8), (1, 4, 8), (1, 2, 4)]
    assert [tuple(field) for field in table[1].fields] == [(5, 1, 2), (5, 1, 1)]
    assert table[1].kind == "max-pool 3×3, stride 1, dilation 2"
    assert table[2].kind == "average of 4×all parts"
    assert [tuple(field) for field in table[3].fields] == [(8, 4, 2), (6, 2, 1)]


@pytest.mark.parametrize(
    ("layers", "shape", "error", "message"),
    [
        (nn.Sequential(nn.ReLU()), (3, 8), ValueError, r"must be \(channels, height, width\)"),
        (nn.ReLU(), (3, 8, 8), TypeError, "an ImageClassifier or an nn.Sequential"),
        (nn.Sequential(nn.Conv2d(1, 1, 5)), (1, 3, 3), ValueError, "Layer 0 cannot take"),
        (nn.Sequential(nn.PixelShuffle(2)), (4, 3, 3), TypeError, "Layer 0: A PixelShuffle makes"),
        (nn.Sequential(nn.ConvTranspose2d(1, 1, 2)), (1, 3, 3), TypeError, "its input larger"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), (1, 5, 5), TypeError, "windows of several sizes"),
        (nn.Sequential(nn.Linear(9, 2)), (1, 9, 9), TypeError, "mixes its columns alone"),
        (nn.Sequential(nn.LayerNorm(9)), (1, 9, 9), TypeError, "statistics of a LayerNorm cover"),
        (
            nn.Sequential(nn.Softmax(-1)),
            (1, 9, 9),
            TypeError,
            "over its channels it would be dim=1",
        ),
        (nn.Sequential(nn.Flatten(), nn.Softmax(1)), (1, 9, 9), TypeError, "a Softmax see is not"),
        (
            nn.Sequential(nn.Flatten(2)),
            (1, 9, 9),
            TypeError,
            "Layer 0: What the units of a Flatten",
        ),
        (nn.Sequential(nn.ZeroPad2d(-1)), (1, 9, 9), TypeError, "cuts pixels off"),
        (
            nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)),
            (1, 9, 9),
            TypeError,
            "takes those of the batch",
        ),
        (
            nn.Sequential(nn.MaxPool2d(2, return_indices=True)),
            (1, 9, 9),
            TypeError,
            "take return_indices=False",
        ),
        (nn.Sequential(nn.LazyConv2d(2, 3)), (1, 9, 9), ValueError, "call the network once on a"),
        (DigitCNN(), (3, 28, 28), ValueError, "DigitCNN needs images of shape N×1×28×28"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_sentence(
    layers: nn.Module, shape: tuple[int, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        layer_table(layers, shape)


def test_the_table_can_be_looked_at() -> None:
    table = table_of(VGG)
    shown = table.without_small().show("layer", "output", "parameters")
    assert shown.columns == ("layer", "output", "parameters")
    assert shown.rows[0] == ("conv1_1", "224×224×64", "1,792")
    assert shown.rows[-1] == ("total", "", "138,357,544")
    assert not any("relu" in row[0] or "dropout" in row[0] for row in shown.rows)
    assert "<table" in table._repr_html_()
    with pytest.raises(ValueError, match="columns must be some of layer, kind"):
        table.show("size")
    assert isinstance(table[:3], LayerTable)
    assert math.prod(table[0].output_shape) == 64 * 224 * 224


def test_only_what_adds_up_has_a_total() -> None:
    shown = table_of(DigitCNN).show("layer", "output", "receptive field")
    assert all(row[0] != "total" for row in shown.rows)
