"""The classification networks against published counts, sizes, operations and receptive fields."""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor, nn

from companion.models.alexnet import AlexNet, CifarAlexNet
from companion.models.classifier import ImageClassifier
from companion.models.digit_cnn import DigitCNN
from companion.models.efficientnet import (
    SCALINGS,
    EfficientNet,
    MBConv,
    Scaling,
    SqueezeExcitation,
    StochasticDepth,
    compound_scaling,
    scaled_channels,
)
from companion.models.googlenet import GoogLeNet, GoogLeNetOutput, Inception
from companion.models.resnet import CifarResNet, PaddedShortcut, Residual, ResNet
from companion.models.vgg import VGG

Build = Callable[[], ImageClassifier]

# One of each plan, for what must hold for all.
NETWORKS: dict[str, Build] = {
    "AlexNet": AlexNet,
    "CifarAlexNet": CifarAlexNet,
    "AlexNet, paper": lambda: AlexNet("paper"),
    "AlexNet, torchvision": lambda: AlexNet("torchvision"),
    "VGG-16": VGG,
    "GoogLeNet": GoogLeNet,
    "GoogLeNet, torchvision": lambda: GoogLeNet("torchvision"),
    "ResNet-18": lambda: ResNet(18),
    "ResNet-50": ResNet,
    "ResNet-50, torchvision": lambda: ResNet(50, "torchvision"),
    "ResNet-20": CifarResNet,
    "plain-20": lambda: CifarResNet(residual=False),
    "EfficientNet-B0": EfficientNet,
    "DigitCNN": DigitCNN,
}
networks = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS.keys())


def on_meta(build: Build) -> ImageClassifier:
    """Shapes without numbers."""
    with torch.device("meta"):
        return build().eval()


def images(model: ImageClassifier, count: int = 2) -> Tensor:
    device = next(model.parameters()).device
    return torch.zeros(count, model.in_channels, model.size, model.size, device=device)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def multiplications(module: nn.Module, x: Tensor) -> int:
    """Those of convolutions and dense layers, for one image."""
    total = 0

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += y[0].numel() * weight[0].numel()

    handles = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    module(x)
    for handle in handles:
        handle.remove()
    return total


def receptive_field(layers: nn.Module) -> int:
    """Side in pixels of what a unit after these layers sees: 1 + Σ (k − 1) · stride so far."""
    field, stride = 1, 1
    for name, layer in layers.named_modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d) and "shortcut" not in name:
            kernel = max(nn.modules.utils._pair(layer.kernel_size))
            field += (kernel - 1) * stride
            stride *= max(nn.modules.utils._pair(layer.stride))
    return field


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (AlexNet, 62_378_344),
        (lambda: AlexNet("paper"), 60_965_224),
        (lambda: AlexNet("torchvision"), 61_100_840),
        (CifarAlexNet, 297_930),
        (lambda: VGG(11), 132_863_336),
        (lambda: VGG(13), 133_047_848),
        (lambda: VGG(16), 138_357_544),
        (lambda: VGG(19), 143_667_240),
        (lambda: GoogLeNet(auxiliary_heads=False), 6_998_552),  # Caffe's copy has as many
        (GoogLeNet, 13_378_280),
        (lambda: GoogLeNet("torchvision", auxiliary_heads=False), 6_624_904),
        (lambda: GoogLeNet("torchvision"), 13_004_888),
        *[
            (lambda depth=depth, variant=variant: ResNet(depth, variant), count)
            for variant in ("paper", "torchvision")
            for depth, count in {
                18: 11_689_512,
                34: 21_797_672,
                50: 25_557_032,
                101: 44_549_160,
                152: 60_192_808,
            }.items()
        ],
        *[
            (lambda depth=depth, residual=residual: CifarResNet(depth, residual), count)
            for residual in (True, False)
            for depth, count in {
                20: 269_722,
                32: 464_154,
                44: 658_586,
                56: 853_018,
                110: 1_727_962,
            }.items()
        ],
        (lambda: EfficientNet("b0"), 5_288_548),
        (lambda: EfficientNet("b7"), 66_347_960),
    ],
)
def test_as_many_parameters_as_published(build: Build, count: int) -> None:
    assert parameters(on_meta(build)) == count


def test_most_parameters_of_vgg16_are_in_its_dense_layers() -> None:
    dense = [m for m in on_meta(VGG).modules() if isinstance(m, nn.Linear)]
    assert sum(map(parameters, dense)) == 123_642_856


@pytest.mark.parametrize(
    ("build", "billions"),
    [
        (VGG, 15.47),
        # He et al., table 1, which counts with the stride in the 1×1.
        (lambda: ResNet(18), 1.8),
        (lambda: ResNet(34), 3.6),
        (lambda: ResNet(50), 3.8),
        (lambda: ResNet(101), 7.6),
        (lambda: ResNet(152), 11.3),
        # torchvision's documentation.
        (lambda: ResNet(50, "torchvision"), 4.09),
        # Tan & Le, table 2.
        (lambda: EfficientNet("b0"), 0.39),
        (lambda: EfficientNet("b1"), 0.70),
        (lambda: EfficientNet("b2"), 1.0),
        (lambda: EfficientNet("b3"), 1.8),
        (lambda: EfficientNet("b4"), 4.2),
        (lambda: EfficientNet("b5"), 9.9),
        (lambda: EfficientNet("b6"), 19),
        (lambda: EfficientNet("b7"), 37),
    ],
)
def test_about_as_many_operations_as_published(build: Build, billions: float) -> None:
    model = on_meta(build)
    assert multiplications(model, images(model, 1)) == pytest.approx(1e9 * billions, rel=0.05)


@pytest.mark.parametrize(
    ("build", "side"),
    [
        (AlexNet, 195),
        (lambda: AlexNet("torchvision"), 195),
        (VGG, 212),
        (lambda: ResNet(50), 483),
        (lambda: ResNet(101), 1027),
        (lambda: ResNet(152), 1507),
        (lambda: ResNet(18, "torchvision"), 435),
        (lambda: ResNet(34, "torchvision"), 899),
        (lambda: ResNet(50, "torchvision"), 427),
        (lambda: ResNet(101, "torchvision"), 971),
        (lambda: ResNet(152, "torchvision"), 1451),
    ],
)
def test_receptive_fields_as_published(build: Build, side: int) -> None:
    """Araujo et al. (Distill, 2019); for torchvision's strides, this project's facts."""
    assert receptive_field(on_meta(build).layers) == side


@networks
def test_layers_are_listed_in_the_order_in_which_they_compute(build: Build) -> None:
    model = on_meta(build)
    leaves = {name: m for name, m in model.layers.named_modules() if not list(m.children())}
    order: list[str] = []
    for name, layer in leaves.items():
        layer.register_forward_hook(lambda *_, name=name: order.append(name))
    logits = model(images(model))
    assert order == list(leaves)
    assert logits.shape == (2, model.num_classes)


@networks
def test_wrong_images_get_one_sentence_that_says_what_is_needed(build: Build) -> None:
    model = on_meta(build)
    need = rf"^{model.title} needs images of shape N×{model.in_channels}×"
    right = images(model)
    wrong_channels = right.new_zeros(2, model.in_channels + 1, model.size, model.size)
    too_small = right[..., : (model.smallest or model.size) - 1]
    for wrong in (wrong_channels, too_small, right[0]):
        shape = "×".join(map(str, wrong.shape))
        with pytest.raises(ValueError, match=rf"{need}.*, got {shape}\.$"):
            model(wrong)
    with pytest.raises(ValueError, match=r"floating-point numbers, got torch.uint8"):
        model(right.to(torch.uint8))


def test_only_networks_without_dense_maps_take_other_sizes() -> None:
    with pytest.raises(ValueError, match=r"N×3×227×227, got 1×3×224×224"):
        on_meta(AlexNet)(torch.zeros(1, 3, 224, 224, device="meta"))
    with pytest.raises(ValueError, match=r"sides of 32 pixels or more \(it is made for 224×224\)"):
        on_meta(ResNet)(torch.zeros(1, 3, 224, 31, device="meta"))
    for build in (ResNet, EfficientNet, GoogLeNet):
        assert on_meta(build)(torch.zeros(1, 3, 32, 45, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AlexNet("caffe"), r"variant must be one of 'slide', 'paper', 'torchvision'"),
        (lambda: GoogLeNet("slide"), r"variant must be one of 'paper', 'torchvision', got 'slide'"),
        (lambda: VGG(12), r"depth must be one of 11, 13, 16, 19, got 12"),
        (lambda: ResNet(20), r"depth must be one of 18, 34, 50, 101, 152, got 20"),
        (lambda: ResNet(50, "3x3"), r"variant must be one of"),
        (lambda: CifarResNet(21), r"depth must be 6n \+ 2 .*, got 21"),
        (lambda: CifarResNet(2), r"depth must be 6n \+ 2 .*, got 2"),
        (lambda: CifarResNet(width=0.01), r"width must leave one channel .*, got 0.01"),
        (lambda: EfficientNet("b8"), r"scaling must be one of 'b0', .*, got 'b8'"),
        (lambda: EfficientNet(Scaling(0, 1, 224, 0.2)), r"needs a width and a depth above 0"),
        (lambda: EfficientNet(Scaling(1, 1, 31, 0.2)), r"a resolution of 32 or more"),
        (lambda: DigitCNN(size=7), r"size must be at least 8"),
        (lambda: VGG(num_classes=0), r"num_classes must be at least 1, got 0"),
        (lambda: ResNet(in_channels=0), r"in_channels must be at least 1, got 0"),
    ],
)
def test_unknown_plans_are_refused(build: Build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: AlexNet("paper", num_classes=7, in_channels=1),
        lambda: VGG(11, num_classes=7, in_channels=1),
        lambda: GoogLeNet(num_classes=7, in_channels=1),
        lambda: ResNet(18, num_classes=7, in_channels=1),
        lambda: CifarResNet(8, num_classes=7, in_channels=1),
        lambda: EfficientNet("b1", num_classes=7, in_channels=1),
        lambda: DigitCNN(num_classes=7, in_channels=2),
    ],
)
def test_other_classes_and_channels(build: Build) -> None:
    model = on_meta(build)
    assert model(images(model)).shape == (2, 7)


# AlexNet


def test_alexnet_goes_through_the_sizes_of_the_slide() -> None:
    slide = {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "norm1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "norm2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool3": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    model = on_meta(AlexNet)
    x = images(model)
    found, filters = {}, {}
    for name, layer in model.layers.named_children():
        x = layer(x)
        if name in slide:
            found[name] = tuple(x.shape[1:])
        if isinstance(layer, nn.Conv2d):
            kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
            filters[name] = f"{layer.out_channels} {kernel}×{kernel} s{stride} p{padding}"
        if isinstance(layer, nn.MaxPool2d):
            filters[name] = f"{layer.kernel_size}×{layer.kernel_size} s{layer.stride}"
    assert list(found.items()) == list(slide.items())
    assert filters == {
        "conv1": "96 11×11 s4 p0",
        "pool1": "3×3 s2",
        "conv2": "256 5×5 s1 p2",
        "pool2": "3×3 s2",
        "conv3": "384 3×3 s1 p1",
        "conv4": "384 3×3 s1 p1",
        "conv5": "256 3×3 s1 p1",
        "pool3": "3×3 s2",
    }


def test_the_paper_normalises_before_it_pools() -> None:
    names = [name for name, _ in on_meta(lambda: AlexNet("paper")).layers.named_children()]
    assert names[:4] == ["conv1", "relu1", "norm1", "pool1"]
    assert names[4:8] == ["conv2", "relu2", "norm2", "pool2"]


def test_local_response_normalisation_has_the_constants_of_the_paper() -> None:
    """§3.3: b_i = a_i / (2 + 10⁻⁴ · Σ a_j²)^0.75, j over 5 neighbouring channels."""
    a = 100 * torch.rand(1, 9, 1, 1, generator=torch.Generator().manual_seed(1))
    expected = []
    for i in range(9):
        total = sum(float(a[0, j]) ** 2 for j in range(max(0, i - 2), min(8, i + 2) + 1))
        expected.append(float(a[0, i]) / (2 + 1e-4 * total) ** 0.75)
    norm = AlexNet("slide", num_classes=1).layers.get_submodule("norm1")
    torch.testing.assert_close(norm(a).flatten(), torch.tensor(expected))


def test_alexnet_starts_as_in_the_paper() -> None:
    layers = AlexNet().layers
    biases = {n: p for n, p in layers.named_parameters() if n.endswith("bias")}
    ones = {n.removesuffix(".bias") for n, bias in biases.items() if bool((bias == 1).all())}
    zeros = {n.removesuffix(".bias") for n, bias in biases.items() if bool((bias == 0).all())}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert zeros == {"conv1", "conv3", "fc8"}
    for name, weight in layers.named_parameters():
        if name.endswith("weight"):
            assert float(weight.detach().std()) == pytest.approx(0.01, rel=0.02)


# He initialisation


@pytest.mark.parametrize("build", [lambda: ResNet(18), GoogLeNet, lambda: EfficientNet("b0")])
def test_he_initialisation_has_variance_two_over_fan_in(build: Build) -> None:
    torch.manual_seed(0)
    checked = 0
    for layer in build().modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if layer.bias is not None:
                assert not layer.bias.any()
            if layer.weight.numel() > 10_000:
                expected = math.sqrt(2 / layer.weight[0].numel())
                assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.05)
                checked += 1
    assert checked >= 10


def test_signals_survive_the_depth_of_vgg() -> None:
    torch.manual_seed(0)
    model = VGG(16, num_classes=10)
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        features = model.layers[:-8](x)
    assert 0.1 < float(features.square().mean().sqrt()) < 10


# GoogLeNet


def test_inception_does_the_multiplications_that_the_slide_lists() -> None:
    """The slide's example: its six terms add up to 271,351,808, and 480 channels come out."""
    with torch.device("meta"):
        block = Inception(256, 128, 64, 192, 64, 96, 64)
        x = torch.zeros(1, 256, 28, 28)
    assert block(x).shape == (1, 480, 28, 28)
    assert multiplications(block, x) == 271_351_808


@pytest.mark.parametrize(("variant", "side"), [("paper", 5), ("torchvision", 3)])
def test_five_by_five_is_five_by_five(variant: str, side: int) -> None:
    block = Inception(2, 1, 1, 1, 1, 1, 1, variant).eval()
    for parameter in block.parameters():
        nn.init.ones_(parameter)
    x = torch.zeros(1, 2, 9, 9)
    x[..., 4, 4] = 1
    ones, threes, fives, pooled = (block(x) - block(torch.zeros_like(x)))[0]
    for path, width in ((ones, 1), (threes, 3), (fives, side), (pooled, 3)):
        assert int((path > 0).sum()) == width**2


def test_auxiliary_heads_speak_in_training_only_and_inject_gradient() -> None:
    model = on_meta(lambda: GoogLeNet(num_classes=5)).train()
    x = images(model)

    def reached_from(head: int) -> set[str]:
        model.zero_grad()
        model(x)[head].sum().backward()
        return {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None}

    output = model(x)
    assert isinstance(output, GoogLeNetOutput)
    assert {tuple(logits.shape) for logits in output} == {(2, 5)}
    stem = {"conv1", "conv2_reduce", "conv2", "inception3a", "inception3b", "inception4a"}
    assert reached_from(1) == stem
    assert reached_from(2) == stem | {"inception4b", "inception4c", "inception4d"}
    assert {"inception5b", "fc"} < reached_from(0)
    assert model.eval()(x).shape == (2, 5)


def test_auxiliary_heads_need_their_size() -> None:
    small = torch.zeros(2, 3, 64, 64, device="meta")
    with pytest.raises(ValueError, match=r"need images of 224×224 pixels in training, got 64×64"):
        on_meta(GoogLeNet).train()(small)
    assert on_meta(lambda: GoogLeNet(auxiliary_heads=False)).train()(small).shape == (2, 1000)


# ResNet


def test_a_block_whose_residual_is_zero_is_the_identity() -> None:
    x = torch.rand(2, 64, 8, 8)
    block = ResNet(18).eval().layers.get_submodule("conv2_1")
    assert isinstance(block, Residual)
    bn = block.residual.get_submodule("bn2")
    assert isinstance(bn, nn.BatchNorm2d)
    nn.init.zeros_(bn.weight)
    torch.testing.assert_close(block(x), x)
    nn.init.constant_(bn.bias, -0.5)
    torch.testing.assert_close(block(x), (x - 0.5).relu())


def test_the_shortcut_without_parameters_skips_pixels_and_pads_channels() -> None:
    x = torch.arange(18.0).reshape(1, 2, 3, 3)
    y = PaddedShortcut(2, 5, stride=2)(x)
    assert y.shape == (1, 5, 2, 2)
    assert y[0, 0].tolist() == [[0, 2], [6, 8]]
    assert y[0, 1].tolist() == [[9, 11], [15, 17]]
    assert not y[0, 2:].any()


def test_a_plain_net_is_its_residual_twin_without_the_shortcuts() -> None:
    torch.manual_seed(0)
    residual, plain = CifarResNet(14).eval(), CifarResNet(14, residual=False).eval()
    state = {k.replace("residual.", ""): v for k, v in residual.state_dict().items()}
    plain.load_state_dict(state)
    x = torch.randn(2, 3, 32, 32)
    assert not torch.allclose(plain(x), residual(x))
    for block in residual.modules():
        if isinstance(block, Residual):
            block.shortcut = _Nothing()
    torch.testing.assert_close(plain(x), residual(x))


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(())


@settings(deadline=None, max_examples=20)
@given(
    n=st.integers(1, 5),
    width=st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0]),
    in_channels=st.sampled_from([1, 3]),
    side=st.integers(8, 40),
    residual=st.booleans(),
)
def test_small_nets_of_any_width_and_depth(
    n: int, width: float, in_channels: int, side: int, residual: bool
) -> None:
    a, b, c = int(16 * width), int(32 * width), int(64 * width)
    convolutions = 9 * (in_channels * a + 2 * n * (a * a + b * b + c * c))
    convolutions += 9 * (a * b - b * b + b * c - c * c)  # the two that widen
    norms = 2 * (a + 2 * n * (a + b + c))
    model = on_meta(lambda: CifarResNet(6 * n + 2, residual, 10, in_channels, width))
    assert parameters(model) == convolutions + norms + 10 * c + 10
    assert model(torch.zeros(2, in_channels, side, side, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    "build",
    [
        lambda: CifarResNet(8, width=0.5, in_channels=1),
        lambda: CifarResNet(8, residual=False, width=0.5, in_channels=1),
        lambda: DigitCNN(size=12),
    ],
)
def test_small_nets_learn_a_handful_of_images_by_heart(build: Build) -> None:
    torch.manual_seed(0)
    model = build()
    x = torch.rand(10, 1, 12, 12)
    labels = torch.arange(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5  # of log 10 = 2.3


# EfficientNet


def test_published_scalings_follow_the_rule() -> None:
    steps = zip(SCALINGS.values(), (0, 0.5, 1, 2, 3.5, 5, 6, 7), strict=True)
    for published, phi in steps:
        rule = compound_scaling(phi)
        assert rule.width == pytest.approx(published.width, rel=0.05)
        assert rule.resolution == pytest.approx(published.resolution, rel=0.05)
        assert rule.depth == pytest.approx(published.depth, rel=0.17)
    assert compound_scaling(0) == SCALINGS["b0"]
    assert compound_scaling(7).dropout == pytest.approx(SCALINGS["b7"].dropout)


def test_each_step_of_phi_about_doubles_the_operations() -> None:
    counts = []
    for phi in (0, 1, 2, 3):
        model = on_meta(partial(EfficientNet, compound_scaling(phi)))
        counts.append(multiplications(model, images(model, 1)))
    assert counts[3] / counts[0] == pytest.approx(1.92**3, rel=0.2)


@given(channels=st.integers(8, 2000), width=st.floats(0.3, 3))
def test_channels_are_multiples_of_eight_and_near(channels: int, width: float) -> None:
    scaled = scaled_channels(channels, width)
    assert scaled % 8 == 0
    assert scaled >= 0.9 * channels * width
    assert scaled - channels * width <= 8


def test_squeeze_and_excitation_weighs_whole_channels() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcitation(6, 2)
    x = torch.randn(3, 6, 5, 4)
    factors = (layer(x) / x).detach()
    torch.testing.assert_close(factors, factors[..., :1, :1].expand_as(factors))
    assert 0 < float(factors.min()) < float(factors.max()) < 1
    # What the whole channel says is its mean: pixels may change places.
    torch.testing.assert_close(layer(x.flip(2, 3)) / x.flip(2, 3), factors)


def test_mbconv_adds_its_input_where_the_shapes_agree() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 6, 6)
    block = MBConv(8, 8, expansion=6, kernel=5).eval()
    depthwise = block.layers.get_submodule("depthwise.conv")
    assert depthwise.weight.shape == (48, 1, 5, 5)
    torch.testing.assert_close(block(x) - block.layers(x), x)
    for other in (
        MBConv(8, 16, expansion=6, kernel=3),
        MBConv(8, 8, expansion=1, kernel=3, stride=2),
    ):
        torch.testing.assert_close(other.eval()(x), other.layers(x))


def test_stochastic_depth_drops_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.2)
    x = torch.ones(20_000, 2, 1, 2)
    y = layer(x)
    per_image = y.flatten(1)
    assert set(per_image.unique().tolist()) == {0.0, 1.25}
    assert bool((per_image == per_image[:, :1]).all())
    assert float(y.mean()) == pytest.approx(1, abs=4 * 0.5 / math.sqrt(20_000))
    assert layer.eval()(x) is x


def test_blocks_are_dropped_more_often_the_deeper_they_lie() -> None:
    drops = [m.p for m in on_meta(EfficientNet).modules() if isinstance(m, StochasticDepth)]
    # Of the 16 blocks, counted from 0, those that keep the shape.
    assert drops == pytest.approx([0.2 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])


# DigitCNN


def test_the_digit_network_is_small_enough_to_be_live_in_a_page() -> None:
    model = DigitCNN()
    assert len(save(model.state_dict())) <= 300_000
    assert DigitCNN(size=8).eval()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_all_networks_are_named() -> None:
    titles = Counter(on_meta(build).title for build in NETWORKS.values())
    assert set(titles) == {name.partition(",")[0] for name in NETWORKS}
