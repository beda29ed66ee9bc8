"""Receptive fields: recursion, closed form and gradients say the same, exactly."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from companion.explain.layer_table import layer_table
from companion.explain.receptive_field import (
    Field,
    Window,
    closed_form,
    equal_gradient,
    field_by_gradient,
    path_weights,
    random_stacks,
    receptive_fields,
    spread_of,
    squared_gradient,
)
from companion.models import (
    AlexNet,
    CifarResNet,
    EfficientNet,
    GoogLeNet,
    ImageClassifier,
    ResNet,
    he_initialise,
)

windows = st.builds(
    lambda kernel, stride, padding, dilation: Window(
        kernel, stride, min(padding, kernel // 2), dilation
    ),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 3),
)
stacks = st.lists(windows, min_size=1, max_size=5)


def test_three_by_three_three_times() -> None:
    fields = receptive_fields([Window(3)] * 3)
    assert [field.size for field in fields] == [1, 3, 5, 7]
    assert fields[-1] == receptive_fields([Window(7)])[-1]


@given(stacks)
def test_recursion_and_closed_form_agree(stack: list[Window]) -> None:
    assert receptive_fields(stack)[-1] == closed_form(stack)


def test_random_stacks_have_some_of_everything_within_their_limits() -> None:
    drawn = random_stacks(100, largest=60, seed=1)
    assert len(drawn) == 100
    assert drawn == random_stacks(100, largest=60, seed=1)
    assert drawn != random_stacks(100, largest=60, seed=2)
    sizes = [receptive_fields(stack)[-1].size for stack in drawn]
    assert max(sizes) < 60
    assert {len(stack) for stack in drawn} == {1, 2, 3, 4, 5}
    layers = [window for stack in drawn for window in stack]
    for name, values in {
        "kernel": {1, 2, 3, 4, 5},
        "stride": {1, 2, 3},
        "padding": {0, 1, 2},
        "dilation": {1, 2, 3},
    }.items():
        assert {getattr(window, name) for window in layers} == values


@pytest.mark.parametrize(("count", "largest"), [(-1, 9), (3, 1)])
def test_random_stacks_that_cannot_be_are_refused(count: int, largest: int) -> None:
    with pytest.raises(ValueError, match="count must be 0 or more"):
        random_stacks(count, largest=largest)


@settings(max_examples=60)
@given(stacks, st.booleans(), st.data())
def test_gradients_find_exactly_the_computed_field(
    stack: list[Window], pooling: bool, data: st.DataObject
) -> None:
    field = closed_form(stack)
    assume(field.size <= 120 and field.stride <= 40)
    layers = nn.Sequential()
    for number, window in enumerate(stack):
        if pooling and number % 2 and window.dilation == 1:
            layers.append(nn.MaxPool2d(*window))
        else:
            layers.append(nn.Conv2d(1, 1, *window))
            layers.append(nn.ReLU())
    # A unit whose field lies inside the image, as one does if the image is large enough.
    unit = -(-field.padding // field.stride) + data.draw(st.integers(0, 3))
    size = field.span(unit)[1] + 1 + data.draw(st.integers(0, 5))
    rows, columns = field_by_gradient(layers, (size, size + 1), (unit, unit))
    assert rows == columns == field.span(unit)


@pytest.mark.parametrize(
    ("build", "last"),
    [
        (lambda: AlexNet("torchvision"), "pool3"),
        (lambda: ResNet(18), "conv5_2"),
        (lambda: ResNet(50), "conv5_3"),
        (lambda: ResNet(50, "torchvision"), "conv5_3"),
        (lambda: ResNet(101, "torchvision"), "conv5_3"),
        (lambda: GoogLeNet(auxiliary_heads=False), "inception5b"),
        (lambda: GoogLeNet("torchvision", auxiliary_heads=False), "inception5b"),
        (lambda: CifarResNet(20), "conv4_3"),
    ],
)
def test_networks_have_the_field_of_their_table(
    build: Callable[[], ImageClassifier], last: str
) -> None:
    with torch.device("meta"):
        model = build()
    field = layer_table(model, (3, model.size, model.size)).row(last).fields[0]
    names = [name for name, _ in model.layers.named_children()]
    layers = model.layers[: names.index(last) + 1]
    unit = -(-field.padding // field.stride)
    size = field.span(unit)[1] + 1
    rows, columns = field_by_gradient(layers, (size, size), (unit, unit))
    assert rows == columns == field.span(unit)


def test_torchvisions_googlenet_sees_less_for_two_reasons() -> None:
    """Windows of 3 in place of 5 in nine modules, and of 2 in place of 3 in the last pooling."""
    with torch.device("meta"):
        models = [GoogLeNet(variant, auxiliary_heads=False) for variant in ("paper", "torchvision")]
        tables = [layer_table(model, (3, 224, 224)) for model in models]
        published, library = (table.row("inception5b").receptive_field for table in tables)
        models[1].layers.pool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        mended = layer_table(models[1], (3, 224, 224)).row("inception5b").receptive_field
    assert (published, library) == (715, 379)
    assert published - mended == 2 * (2 * 8 + 5 * 16 + 2 * 32) == 320
    assert mended - library == 16


def test_the_edge_of_the_image_cuts_the_field() -> None:
    layers = nn.Sequential(*[nn.Conv2d(c, 8, 3, padding=1) for c in (3, 8, 8)])
    assert Field(7, 1, 3).span(0) == (-3, 3)
    assert field_by_gradient(layers, (9, 9), (0, 8)) == ((0, 3), (5, 8))
    dense = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 81, 5))
    assert field_by_gradient(dense, (9, 9)) == ((0, 8), (0, 8))
    with pytest.raises(ValueError, match=r"There is no unit \(9, 0\) in a map of 9×9"):
        field_by_gradient(layers, (9, 9), (9, 0))


def test_branches_meet_only_at_one_stride() -> None:
    assert Field(3, 2, 1).joined(Field(1, 2, 0)) == Field(3, 2, 1)
    assert Field(3, 2, 0).joined(Field(3, 2, 2)) == Field(5, 2, 2)
    with pytest.raises(ValueError, match="one effective stride, got 2 and 1"):
        Field(3, 2, 1).joined(Field(1, 1, 0))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window(0), "kernel must be an integer from 1, got 0"),
        (Window(3, stride=0), "stride must be an integer from 1, got 0"),
        (Window(3, padding=-1), "padding must be an integer from 0, got -1"),
        (Window(3, dilation=1.5), "dilation must be an integer from 1, got 1.5"),  # type: ignore[arg-type]
    ],
)
def test_windows_that_are_none_are_refused(window: Window, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        receptive_fields([window])


# How much each pixel counts


@settings(max_examples=40)
@given(stacks)
def test_weights_fill_the_field_and_spread_as_the_sum_of_the_windows(stack: list[Window]) -> None:
    """The variance of a sum of independent boxes: Σ j² d² (k² − 1) / 12."""
    field = closed_form(stack)
    assume(field.size <= 5000)
    weights = path_weights([[[window]] for window in stack])
    assert len(weights) == field.size
    assert weights[0] > 0
    assert weights[-1] > 0
    strides = [f.stride for f in receptive_fields(stack)]
    variance = sum(
        (j * w.dilation) ** 2 * (w.kernel**2 - 1) / 12 for j, w in zip(strides, stack, strict=False)
    )
    assert spread_of(weights) ** 2 == pytest.approx(variance, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("build", "last"),
    [
        (lambda: ResNet(50), "conv4_1"),
        (lambda: ResNet(18), "conv4_2"),
        (lambda: GoogLeNet(auxiliary_heads=False), "inception4b"),
        (lambda: CifarResNet(20), "conv4_3"),
        (lambda: EfficientNet(), "stage5_1"),
    ],
)
def test_weights_are_the_gradient_with_equal_weights(
    build: Callable[[], ImageClassifier], last: str
) -> None:
    with torch.device("meta"):
        model = build()
    table = layer_table(model, (3, model.size, model.size))
    names = [row.name for row in table]
    upto = names.index(last) + 1
    field = table.row(last).fields[0]
    unit = -(-field.padding // field.stride)
    first, end = field.span(unit)
    gradient = equal_gradient(model.layers[:upto], (end + 1, end + 1), (unit, unit)).sum(0)
    weights = path_weights([row.paths for row in table[:upto]])
    expected = gradient[first : end + 1] / gradient.sum()
    assert len(weights) == field.size
    torch.testing.assert_close(weights, expected, atol=1e-12, rtol=1e-9)


def test_random_weights_spread_the_squared_gradient_as_equal_ones_do() -> None:
    """Luo et al. (2016): the variance of the gradient is folded as the windows are."""
    torch.manual_seed(0)
    layers = nn.Sequential(*[nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(6)])
    mean = torch.zeros(21, 21)
    for _ in range(150):
        he_initialise(layers)
        mean += squared_gradient(layers, torch.randn(1, 8, 21, 21))
    profile = (mean / mean.sum()).sum(0).double()[4:17]
    weights = path_weights([[[Window(3)]]] * 6)
    assert (profile - weights).abs().max() < 0.015
    assert spread_of(profile / profile.sum()) == pytest.approx(spread_of(weights), rel=0.05)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.integers(1, 3)), max_size=5
    )
)
def test_same_padding_keeps_the_middle_of_the_first_field(layers):
    """What chapter 5 says of windows of different sizes that look at one place."""
    stack = [Window(k, stride, d * (k - 1) // 2, d) for k, stride, d in layers]
    *_, field = receptive_fields(stack)
    assert field.start + (field.size - 1) / 2 == 0
