"""What a unit depends on: the gradient's field, the table and the network itself say the same.

The network itself: a pixel is set to NaN, and whatever depends on it becomes NaN. That knows
nothing of layers.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from companion.explain.layer_table import layer_table, paths
from companion.explain.layers import Window, register
from companion.explain.receptive_field import equal_gradient, field_by_gradient
from companion.models import he_initialise
from companion.models.efficientnet import SamePadding
from companion.models.resnet import PaddedShortcut, Residual

Shape = tuple[int, int, int]


def dependence(network: nn.Module, shape: Shape, axis: int) -> Tensor:
    """Whether a pixel row (or column) counts for a unit: pixel rows × rows × columns of units."""
    images = torch.rand(shape[axis], *shape)
    for line in range(shape[axis]):
        images[line].select(axis, line)[:] = torch.nan
    with torch.no_grad():
        y = network(images)
    return y.isnan().any(1) if y.ndim == 4 else y.isnan().any(1).view(-1, 1, 1)


def check_gradient(network: nn.Module, shape: Shape, units: int = 3) -> list[Tensor]:
    """The rows and columns with a gradient are those that count, for units in all places."""
    network.eval()
    seen = [dependence(network, shape, axis) for axis in (1, 2)]
    _, height, width = seen[0].shape
    chosen = {
        (row * (height - 1) // (units - 1), column * (width - 1) // (units - 1))
        for row, column in zip(range(units), reversed(range(units)), strict=True)
    } | {(height // 2, width // 2), (0, 0)}
    for row, column in chosen:
        gradient = equal_gradient(network, shape[1:], (row, column), channels=shape[0])
        for axis, across in ((0, 1), (1, 0)):
            found = gradient.sum(across) != 0
            assert found.tolist() == seen[axis][:, row, column].tolist(), (row, column, axis)
    return seen


# ---------------------------------------------------------------- random networks


class Parallel(nn.Module):
    """Paths over one input, their outputs stacked."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], dim=1)


class Called(nn.Module):
    """Functions called in a forward, on weights of its own; the library is not told of it."""

    def __init__(self, channels: int, kernel: tuple[int, int], dilation: int, ending: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels, 1, *kernel))
        self.dilation, self.ending = dilation, ending

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(
            functional.relu(x),
            self.weight,
            padding="same",
            dilation=self.dilation,
            groups=len(x[0]),
        )
        match self.ending:
            case "max":
                y = functional.max_pool2d(y, 2, 1, 1, dilation=self.dilation)[..., : x.shape[3]]
            case "mean":
                y = functional.avg_pool2d(functional.pad(y, (0, 1, 1, 0), mode="replicate"), 2, 1)
            case "gate":
                y = x * torch.sigmoid(functional.adaptive_avg_pool2d(y, 1))
            case "slices":
                y = y[:, :, 1:] + x[:, :, :-1]
            case "rows":
                y = y + x.amax(3, keepdim=True)
        return y


class Blur(nn.Module):
    """A layer without parameters that the library does not know."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        kernel = torch.ones(len(x[0]), 1, self.size, 1)
        return functional.conv2d(x, kernel, padding=(self.size // 2, 0), groups=len(kernel))


paths.register(Parallel, lambda module: {str(i): way for i, way in enumerate(module.ways)})
register(Blur, lambda blur: (Window(blur.size, 1, blur.size // 2), Window(1)))

kernels = st.tuples(st.integers(1, 3), st.integers(1, 3))
PADS = (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)
POINTWISE = (
    nn.ReLU(), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Sigmoid(), nn.ELU(),
    nn.Dropout(), nn.Dropout2d(), nn.Identity(), nn.LocalResponseNorm(3), nn.Softmax2d(),
)  # fmt: skip


@st.composite
def layers(draw: st.DrawFn, channels: int) -> tuple[nn.Module, int]:
    """A layer for maps of so many channels, and the channels after it."""
    kind = draw(
        st.sampled_from(
            ("conv", "same", "max", "mean", "norm", "pad", "point", "batch", "own", "parametrised",
             "residual", "parallel", "nested", "half", "called", "adaptive", "global",
             "tensorflow")
        )
    )  # fmt: skip
    kernel, stride = draw(kernels), draw(st.integers(1, 2))
    dilation = draw(st.integers(1, 2))
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    after = draw(st.integers(1, 3))
    ceil = draw(st.booleans())
    match kind:
        case "conv":
            mode = draw(st.sampled_from(("zeros", "reflect", "replicate", "circular")))
            return nn.Conv2d(
                channels, after, kernel, stride, padding, dilation, padding_mode=mode
            ), after
        case "tensorflow":
            convolution = nn.Conv2d(channels, after, kernel[0], stride)
            return nn.Sequential(SamePadding(kernel[0], stride), convolution), after
        case "same":
            return nn.Conv2d(
                channels, channels, kernel, padding="same", dilation=dilation, groups=channels
            ), channels
        case "max":
            return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil), channels
        case "mean":
            return nn.AvgPool2d(kernel, stride, padding, ceil), channels
        case "norm":
            return nn.LPPool2d(2, kernel, stride, ceil), channels
        case "pad":
            frame = tuple(draw(st.integers(0, 2)) for _ in range(4))
            return draw(st.sampled_from(PADS))(frame), channels
        case "point":
            return draw(st.sampled_from(POINTWISE)), channels
        case "batch":
            return nn.BatchNorm2d(channels), channels
        case "own":
            return Blur(draw(st.integers(1, 3)) * 2 - 1), channels
        case "parametrised":
            norm = draw(
                st.sampled_from(
                    (
                        parametrizations.weight_norm,
                        nn.utils.spectral_norm,
                        parametrizations.spectral_norm,
                        nn.utils.weight_norm,
                    )
                )
            )
            return norm(nn.Conv2d(channels, after, 3, padding=1)), after
        case "residual":
            inside = nn.Sequential(nn.Conv2d(channels, after, 3, stride, 1), nn.ReLU())
            if after < channels:
                return inside, after
            return Residual(inside, PaddedShortcut(channels, after, stride)), after
        case "parallel":
            ways = nn.Conv2d(channels, 1, 1), nn.MaxPool2d(3, 1, 1), Blur(5), nn.Identity()
            return Parallel(*ways), 1 + 3 * channels
        case "nested":
            pool = nn.MaxPool2d(2, 1)  # one object in two places
            return nn.Sequential(pool, nn.Sequential(nn.ReLU(), pool)), channels
        case "called":
            ending = draw(st.sampled_from(("max", "mean", "gate", "slices", "rows", "none")))
            return Called(channels, kernel, dilation, ending), channels
        case "adaptive" | "global":
            adaptive = draw(st.sampled_from((nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)))
            sides = st.one_of(st.none(), st.integers(1, 12))
            return adaptive(1 if kind == "global" else (draw(sides), draw(sides))), channels
    return nn.Conv2d(channels, after, 2, 2), after


@st.composite
def networks(draw: st.DrawFn) -> nn.Sequential:
    network, channels = nn.Sequential(), 2
    for _ in range(draw(st.integers(1, 5))):
        layer, channels = draw(layers(channels))
        network.append(layer)
    if draw(st.booleans()):
        network.append(network[draw(st.integers(0, len(network) - 1))])
    return network


@settings(max_examples=80)
@given(networks(), st.integers(15, 26), st.integers(15, 26))
def test_table_gradient_and_network_agree(network: nn.Sequential, height: int, width: int) -> None:
    torch.manual_seed(0)
    network.eval()
    shape = (2, height, width)
    try:
        images = torch.rand(1, *shape)
        y = network(images)
    except RuntimeError:  # the map has become too small, or a layer in two places does not fit
        return
    seen = check_gradient(network, shape)
    refusal = ""
    try:
        table = layer_table(network, shape)
    except TypeError as error:
        refusal = str(error)
    if refusal or any(isinstance(part, Called) for part in network):  # these it refuses, no others
        assert re.search("units of a Called see is not known|has windows of several sizes", refusal)
        return
    assert table[-1].output_shape == tuple(y.shape[1:])
    assert table.parameters == sum(p.numel() for p in network.parameters())
    fields = table[-1].fields
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            spans = fields[0].span(row), fields[1].span(column)
            inside = all(
                first >= 0 and last < side
                for (first, last), side in zip(spans, shape[1:], strict=True)
            )
            if inside:
                for axis in (0, 1):
                    counts = seen[axis][:, row, column].nonzero().flatten()
                    assert (int(counts[0]), int(counts[-1])) == spans[axis]


@pytest.mark.parametrize(
    ("head", "sizes"),
    [
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)), (18, 18)),
        (nn.Sequential(nn.AdaptiveMaxPool2d((4, 8)), nn.Conv2d(3, 1, 2)), (10, 6)),
        (nn.Sequential(nn.AdaptiveAvgPool2d(16), nn.Conv2d(3, 1, 2)), (4, 4)),  # as it was
        (nn.Sequential(nn.AdaptiveAvgPool2d((None, 2)), nn.Conv2d(3, 1, 1)), (3, 10)),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 5), nn.Linear(5, 2)), (18, 18)),
    ],
)
def test_pooled_and_flattened_maps(head: nn.Sequential, sizes: tuple[int, int]) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), *head)
    check_gradient(network, (2, 16, 16))
    # A field has the frame of padding as well.
    table = layer_table(network, (2, 16, 16))
    assert tuple(field.size for field in table[-1].fields) == sizes


# ---------------------------------------------------------------- networks with a forward


class Tutorial(nn.Module):
    """PyTorch's own first network, with a pooling called as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 20), nn.Linear(20, 10)

    def maps(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        return functional.max_pool2d(functional.relu(self.conv2(x)), 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(x).view(-1, 16 * 5 * 5)
        return self.fc2(functional.relu(self.fc1(x)))


class OfFunction(nn.Module):
    """A network made of a function of its layers and the image."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class PoolAndGrow(nn.Sequential):
    """torchvision's ASPPPooling: a sequence, and then more."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(super().forward(x), size=x.shape[-2:])


def conv(before: int, after: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2)


def u_net(net: Any, x: Tensor) -> Tensor:
    fine = functional.relu(net.down(x))
    coarse = net.inside(functional.max_pool2d(fine, 2))
    return net.out(torch.cat([fine, net.up(coarse)], 1))


def in_place(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    y += functional.pad(x, (0, 0, 3, -3))[:, :1]
    y.mul_(2).relu_()
    return y


def split(net: Any, x: Tensor) -> Tensor:
    a, b = net.a(x).chunk(2, dim=1)
    return torch.cat((a, net.b(b)), 1) * torch.sigmoid(net.c(x)) + 0.5


def shuffled(net: Any, x: Tensor) -> Tensor:
    y = net.a(x)
    n, c, h, w = y.size()
    return net.b(y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


def channels_last(net: Any, x: Tensor) -> Tensor:
    y = net.norm(net.a(x).permute(0, 2, 3, 1))
    return (x + net.mix(y).permute(0, 3, 1, 2))[:, :, 1:-1:2, ...]


def patches(net: Any, x: Tensor) -> Tensor:
    tokens = net.a(x).flatten(2).transpose(1, 2)
    weights = functional.softmax(tokens @ tokens.transpose(1, 2), dim=-1)
    return (weights @ tokens).transpose(1, 2).reshape(len(x), 2, 4, 4)


def standardised(net: Any, x: Tensor) -> Tensor:
    weight = net.a.weight
    weight = (weight - weight.mean((1, 2, 3), keepdim=True)) / 2
    return functional.conv2d(x, net.a.weight + weight, net.a.bias, stride=2)


NETWORKS: dict[str, nn.Module] = {
    "tutorial": Tutorial(),
    "pool and grow": nn.Sequential(conv(3, 4), PoolAndGrow(nn.AdaptiveAvgPool2d(1), conv(4, 2, 1))),
    "u-net": OfFunction(u_net, down=conv(3, 2), inside=conv(2, 2),
                        up=nn.ConvTranspose2d(2, 2, 3, 2, 1, 1), out=conv(4, 1)),
    "in place": OfFunction(in_place, a=conv(3, 1)),
    "split": OfFunction(split, a=conv(3, 4), b=conv(2, 2, 5), c=conv(3, 1, 1)),
    "shuffled": OfFunction(shuffled, a=conv(3, 4), b=conv(4, 2)),
    "channels last": OfFunction(channels_last, a=conv(3, 3, 7), norm=nn.LayerNorm(3),
                                mix=nn.Linear(3, 3)),
    "patches": OfFunction(patches, a=nn.Conv2d(3, 2, 8, 8)),
    "standardised": OfFunction(standardised, a=nn.Conv2d(3, 2, 3)),
    "instance norm": nn.Sequential(conv(3, 2), nn.InstanceNorm2d(2)),
    "group norm": nn.Sequential(conv(3, 2), nn.GroupNorm(2, 2)),
    "batch statistics": nn.Sequential(conv(3, 2), nn.BatchNorm2d(2, track_running_stats=False)),
    "dense on columns": nn.Sequential(conv(3, 2), nn.Linear(32, 7)),
    "pixel shuffle": nn.Sequential(conv(3, 8), nn.PixelShuffle(2), conv(2, 1)),
    "nearest": nn.Sequential(conv(3, 2), nn.Upsample(scale_factor=2), conv(2, 1)),
    "unflatten": nn.Sequential(conv(3, 2), nn.Flatten(2), nn.Unflatten(2, (32, 32)), conv(2, 1)),
    "flipped": OfFunction(lambda net, x: net.a(x) + x.flip(-1)[:, :1] + x.roll(5, 2), a=conv(3, 1)),
    "mean over columns": OfFunction(lambda net, x: net.a(x) * x.mean(3, True), a=conv(3, 1)),
    "dilated pooling": nn.Sequential(nn.MaxPool2d(3, 1, dilation=2)),
    "two places": nn.Sequential(pool := nn.MaxPool2d(2), conv(3, 3), pool, conv(3, 1)),
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_forward_is_followed(network: nn.Module) -> None:
    check_gradient(network, (3, 32, 32))


@pytest.mark.parametrize(
    ("network", "field"),
    [
        # Two 3×3 poolings with a 3×3 convolution each; the pooling is one object.
        (nn.Sequential(conv(1, 2), two := nn.MaxPool2d(2), conv(2, 2), two), (9, 18)),
        (nn.Sequential(nn.MaxPool2d(3, 1, dilation=2)), (10, 14)),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveMaxPool2d(1)), (0, 23)),
        (nn.Sequential(nn.LPPool2d(2, 3, 1)), (11, 13)),
    ],
)
def test_fields_worked_out_by_hand(network: nn.Module, field: tuple[int, int]) -> None:
    assert field_by_gradient(network, (24, 24)) == (field, field)


def test_a_mask_over_weights_counts() -> None:
    """PixelCNN's convolution: a unit sees what lies above it, and to its left."""

    class Masked(nn.Conv2d):
        mask: Tensor

        def __init__(self) -> None:
            super().__init__(1, 1, 5, padding=2)
            mask = torch.ones(5, 5)
            mask[3:] = mask[2, 2:] = 0
            self.register_buffer("mask", mask)

        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(x, self.weight * self.mask, self.bias, padding=2)

    gradient = equal_gradient(nn.Sequential(Masked()), (9, 9)) != 0
    assert gradient[2:5, 2:7].sum() == 12
    assert gradient.sum() == 12
    with pytest.raises(TypeError, match="Layer 0: What the units of a Masked see is not known"):
        layer_table(nn.Sequential(Masked()), (1, 9, 9))


def test_the_network_stays_as_it_is() -> None:
    network = nn.Sequential(conv(1, 2), nn.BatchNorm2d(2), nn.Dropout()).train()
    called = []
    network[0].register_forward_hook(lambda *_: called.append(1))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert field_by_gradient(network, (9, 9)) == ((3, 5), (3, 5))
    assert network.training
    assert not called
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    with torch.no_grad(), torch.device("meta"):  # nor does it matter where and how it is called
        assert field_by_gradient(nn.Sequential(conv(1, 2)), (9, 9)) == ((3, 5), (3, 5))


class Own(nn.Module):
    """Chapter 7 of another book: a convolution from scratch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        rows = functional.unfold(x, 3, padding=1)
        return (self.weight.view(1, -1) @ rows).view(x.shape)


def test_what_cannot_be_followed_is_refused_with_its_name() -> None:
    network = nn.Sequential(conv(1, 1), nn.Sequential(Own()))
    with pytest.raises(TypeError, match=r"Layer 1\.0, a Own, cannot be followed: what unfold\(\)"):
        field_by_gradient(network, (9, 9))
    with pytest.raises(TypeError, match=r"Layer 1\.0: What the units of a Own see is not known"):
        layer_table(network, (1, 9, 9))


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        (nn.FractionalMaxPool2d(2, 4), TypeError, "The FractionalMaxPool2d cannot be followed"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), TypeError, "Layer 0, a MaxPool2d"),
        (
            OfFunction(lambda net, x: x if x.mean() > 0 else -x),
            TypeError,
            r"what __bool__\(\) does to positions is not known",
        ),
        (OfFunction(lambda net, x: x[x > 0]), TypeError, "picks positions by a tensor"),
        (
            OfFunction(lambda net, x: (x[:, :, 1:].add_(x[:, :, :-1]), x)[1]),
            TypeError,
            "changed in place",
        ),
        (OfFunction(lambda net, x: (x, x)), TypeError, "what comes out is a tuple"),
        (nn.Sequential(nn.LazyConv2d(2, 3)), ValueError, "Layer 0, a LazyConv2d, does not know"),
        (nn.Sequential(conv(1, 2), conv(3, 1)), ValueError, "Layer 1, a Conv2d, does not compute"),
    ],
)
def test_refusals(network: nn.Module, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        field_by_gradient(network, (9, 9))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_by_torchscript() -> None:
    traced = torch.jit.trace(conv(1, 2), torch.rand(1, 1, 9, 9))
    for network in (traced, nn.Sequential(conv(1, 1), traced)):
        for look in (lambda n: field_by_gradient(n, (9, 9)), lambda n: layer_table(n, (1, 9, 9))):
            with pytest.raises(TypeError, match=r"is compiled by TorchScript.*: give the module"):
                look(network)


def test_a_unit_of_padding_alone_depends_on_nothing() -> None:
    with pytest.raises(ValueError, match="depends on no pixel"):
        field_by_gradient(nn.Sequential(nn.Conv2d(1, 1, 1, padding=3)), (5, 5), (0, 0))


# ---------------------------------------------------------------- layers of one's own


def test_a_registered_layer_counts_in_table_and_gradient() -> None:
    class Mine(Own):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    register(Mine, Window(3, padding=1), lambda layer, shape: 9 * shape[1] * shape[2])
    network = nn.Sequential(Mine(), Mine())
    table = layer_table(network, (1, 24, 24))
    assert [row.receptive_field for row in table] == [3, 5]
    assert table.multiplications == 2 * 9 * 24 * 24
    assert table.parameters == 18
    assert field_by_gradient(network, (24, 24)) == ((10, 14), (10, 14))
    seen = dependence(network, (1, 24, 24), 1)
    assert seen[:, 12, 12].nonzero().flatten().tolist() == [10, 11, 12, 13, 14]


def test_statistics_can_be_left_out() -> None:
    class Group(nn.GroupNorm):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    network = nn.Sequential(conv(1, 2), Group(1, 2))
    assert field_by_gradient(network, (9, 9)) == ((0, 8), (0, 8))
    with pytest.raises(TypeError, match=r"statistics of a Group cover the whole map.*register\("):
        layer_table(network, (1, 9, 9))
    register(Group)
    assert layer_table(network, (1, 9, 9))[-1].receptive_field == 3
    assert field_by_gradient(network, (9, 9)) == ((3, 5), (3, 5))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((nn.ReLU(),), TypeError, "a class of layers"),
        ((Own, 3), TypeError, "a Window, a pair of them or None, got 3"),
        ((Own, (Window(3), 3)), TypeError, "a Window, a pair of them or None"),
        ((Own, Window(0)), ValueError, "kernel must be an integer from 1, got 0"),
        ((Own, None, "many"), TypeError, "multiplications must be a whole number, got 'many'"),
    ],
)
def test_what_cannot_be_registered(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        register(*arguments)


def test_random_weights_confirm_the_gradient() -> None:
    """Truth by gradients of random weights, as a second witness beside NaN."""
    torch.manual_seed(0)
    network = nn.Sequential(
        conv(2, 3), nn.Softplus(), conv(3, 3, 5), nn.AvgPool2d(3, 2), conv(3, 1)
    )
    he_initialise(network)
    image = torch.rand(1, 2, 21, 21, requires_grad=True)
    network(image)[0, 0, 4, 4].backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert field_by_gradient(network, (21, 21), (4, 4))[0] == (int(rows[0]), int(rows[-1]))
