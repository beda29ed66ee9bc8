"""Exported modules against torch, run by onnxruntime: any tensors in, any out; what is refused."""

import collections
import copy
import functools
import random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from companion.export import export_model


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPANION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


class Function(nn.Module):
    """A forward given as a function of the module (which has a layer `fc`, 2 → 64) and inputs."""

    def __init__(self, compute, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(2, 64)
        self.compute = compute
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.compute(self, *inputs)


Z = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


def run(exported, *inputs):
    session = onnxruntime.InferenceSession(exported.path.read_bytes())
    assert [i.name for i in session.get_inputs()] == list(exported.inputs)
    names = [o.name for o in session.get_outputs()]
    feeds = {name: t.numpy() for name, t in zip(exported.inputs, inputs, strict=True)}
    return dict(zip(names, session.run(None, feeds), strict=True))


def agree(exported, module, inputs, names):
    """The file, the kept copy and the module compute the same, under these names."""
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(*inputs)
    if isinstance(expected, dict):
        expected = list(expected.values())
    elif isinstance(expected, torch.Tensor):
        expected = [expected]
    found, kept = run(exported, *inputs), exported(*inputs)
    assert list(found) == list(kept) == list(exported.outputs) == names
    for name, tensor in zip(names, expected, strict=True):
        assert found[name].shape == tuple(tensor.shape)
        scale = max(1.0, float(tensor.double().abs().max())) if tensor.numel() else 1.0
        np.testing.assert_allclose(found[name], tensor.numpy(), rtol=0, atol=1e-4 * scale)
        torch.testing.assert_close(kept[name], tensor, rtol=1e-5, atol=1e-6)


def layer(draw, channels):
    """A layer for maps of 4 to 40 pixels a side, and its number of output channels."""
    out = draw(st.sampled_from([4, 8]))
    kind = draw(st.sampled_from(
        ["conv", "transposed", "max", "average", "batch norm", "group norm", "activation", "up",
         "dropout", "adaptive"]
    ))  # fmt: skip
    side = draw(st.sampled_from([1, 3]))
    if kind == "conv":
        groups, stride = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2]))
        return nn.Conv2d(channels, out, side, stride, side // 2, groups=groups), out
    if kind == "transposed":
        return nn.ConvTranspose2d(channels, out, 4, 2, 1, bias=draw(st.booleans())), out
    if kind in ("max", "average"):
        pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
        return pool(2, 1 + draw(st.booleans()), ceil_mode=draw(st.booleans())), channels
    if kind == "batch norm":
        norm = nn.BatchNorm2d(channels)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        return norm, channels
    if kind == "up":
        return nn.Upsample(
            scale_factor=2, mode=draw(st.sampled_from(["nearest", "bilinear"]))
        ), channels
    single = {
        "group norm": lambda: nn.GroupNorm(2, channels),
        "activation": draw(st.sampled_from([nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh])),
        "dropout": lambda: nn.Dropout(0.5),
        "adaptive": lambda: nn.AdaptiveAvgPool2d(4),
    }
    return single[kind](), channels


MODES = ["nearest", "bilinear"]


class Network(nn.Module):
    """Image → the activations of its last map, and logits."""

    def __init__(self, body, channels, collect):
        super().__init__()
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(channels, 5)
        self.collect = collect

    def forward(self, image):
        activations = self.body(image)
        return self.collect(activations, self.head(activations.mean((2, 3))))


COLLECT = {
    "dict": (lambda a, b: {"map": a, "logits": b}, ["map", "logits"]),
    "tuple": (lambda a, b: (a, b), ["output0", "output1"]),
    "list": (lambda a, b: [a, b], ["output0", "output1"]),
    "named tuple": (collections.namedtuple("Returned", ["map", "logits"]), ["map", "logits"]),
    "single": (lambda a, b: b, ["output"]),
}


@st.composite
def networks(draw):
    torch.manual_seed(draw(st.integers(0, 9)))
    channels, body = 4, [nn.Conv2d(3, 4, 3, padding=1)]
    for _ in range(draw(st.integers(1, 4))):
        made, channels = layer(draw, channels)
        body.append(made)
    collect, names = COLLECT[draw(st.sampled_from(sorted(COLLECT)))]
    return Network(body, channels, collect), names


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(network=networks(), rows=st.integers(1, 4), data=st.data())
def test_any_network_agrees_with_torch_at_any_batch_size(network, rows, data):
    module, names = network
    exported = export_model(module, torch.rand(rows, 3, 9, 10))
    assert exported.inputs == {"image": ("N", 3, 9, 10)}
    assert all(shape[0] == "N" for shape in exported.outputs.values())
    for size in (1, data.draw(st.integers(2, 9))):
        agree(exported, module, [torch.rand(size, 3, 9, 10)], names)


def test_several_inputs_of_several_kinds():
    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.fc = nn.Linear(6, 3)

        def forward(self, z, label, temperature, keep):
            h = self.fc(torch.cat([z, self.embed(label)], 1)) / temperature
            return {"logits": h, "best": h.argmax(1), "any": keep & (h > 0).any(1)}

    torch.manual_seed(0)
    module = Conditional()

    def inputs(rows):
        generator = torch.Generator().manual_seed(rows)
        return (
            torch.randn(rows, 2, generator=generator),
            torch.randint(10, (rows,), generator=generator),
            torch.tensor(0.5),
            torch.randint(2, (rows,), generator=generator).bool(),
        )

    exported = export_model(module, inputs(2))
    assert exported.inputs == {
        "z": ("N", 2), "label": ("N",), "temperature": (), "keep": ("N",)
    }  # fmt: skip
    assert exported.outputs == {"logits": ("N", 3), "best": ("N",), "any": ("N",)}
    for rows in (1, 2, 5):
        agree(exported, module, inputs(rows), ["logits", "best", "any"])


def test_names_can_be_given():
    exported = export_model(Function(lambda m, z: (m.fc(z), z)), Z, names=["code"],
                            outputs=["image", "same"])  # fmt: skip
    assert (list(exported.inputs), list(exported.outputs)) == (["code"], ["image", "same"])
    agree(exported, Function(lambda m, z: (m.fc(z), z)), [Z], ["image", "same"])
    by_mapping = export_model(Function(lambda m, z: (m.fc(z), z)), {"code": Z},
                              outputs=["image", "same"])  # fmt: skip
    assert by_mapping == exported


def test_a_branch_in_the_graph_keeps_its_names():
    def forward(m, z):
        h = m.fc(z)
        return torch.cond(z.sum() > 0, lambda h, z: h * 2 + z.sum(), lambda h, z: h - 1, (h, z))

    exported = export_model(Function(forward), Z)
    agree(exported, Function(forward), [Z], ["output"])
    agree(exported, Function(forward), [-Z], ["output"])


def test_tolerance_decides_how_weights_are_stored():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64))
    x = torch.randn(2, 64)
    exact, half = export_model(module, x), export_model(module, x, tolerance=1e-2)
    assert half.path.stat().st_size < 0.6 * exact.path.stat().st_size
    with torch.no_grad():
        expected = module(x).numpy()
    assert np.abs(run(exact, x)["output"] - expected).max() < 1e-5
    assert 1e-5 < np.abs(run(half, x)["output"] - expected).max() < 1e-2


def image(h):
    return torch.sigmoid(h).view(-1, 1, 8, 8)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 64), nn.Sigmoid())


@pytest.mark.parametrize("wrap", [
    torch.compile, nn.DataParallel, lambda m: nn.DataParallel(torch.compile(m)),
    lambda m: nn.Sequential(torch.compile(m[0]), nn.DataParallel(m[1])),
])  # fmt: skip
def test_wrappers_are_taken_off(wrap):
    assert export_model(wrap(plain()), Z).sha256 == export_model(plain(), Z).sha256


FIXED = "the model fixes the batch size: write x.shape"
RANDOM = "the model draws random numbers"
REFUSED = {
    "len": (lambda m, z: image(m.fc(z)).view(len(z), 64), FIXED),
    "int": (lambda m, z: m.fc(z).view(int(z.shape[0]), 8, 8), FIXED),
    "size as a number": (lambda m, z: m.fc(z).view(z.size(0).__int__(), 8, 8), FIXED),
    "a loop": (lambda m, z: torch.stack([m.fc(row) for row in z]), FIXED),
    "a loop by index": (lambda m, z: torch.stack([m.fc(z[k]) for k in range(z.shape[0])]), FIXED),
    "a constant": (lambda m, z: m.fc(z) + torch.zeros(4, 64), r"fails on .*\(1|fails on .*\(3"),
    "other code for many": (
        lambda m, z: m.fc(z) if z.shape[0] < 20 else m.fc(z) * 0.5,
        "computes in another way from a batch size of 20 on",
    ),
    "other code for one": (
        lambda m, z: m.fc(z) if z.shape[0] > 1 else m.fc(z) + 0.5,
        "for a batch of 1 the exported model's output differs from torch's by",
    ),
    "squeeze": (lambda m, z: m.fc(z).view(-1, 1, 8, 8).squeeze(), r"squeeze\(1\), say"),
    "if": (lambda m, z: m.fc(z) if z.mean() > 0.9 else -m.fc(z), "decides by the values of a ten"),
    "item": (lambda m, z: m.fc(z)[: int(z.sum().item() > 0) + 1], "decides by the values of a ten"),
    "numpy": (lambda m, z: torch.from_numpy(m.fc(z).numpy()), r"\.numpy\(\) is not supported"),
    "an operation without a counterpart": (
        lambda m, z: torch.cdist(z, m.fc.weight[:8]), r"ONNX has no operator for aten\._cdist"
    ),
    "unused": (lambda m, z: torch.ones(4, 3)[:1], "the model does not use"),
    "randn_like": (lambda m, z: m.fc(z + torch.randn_like(z)), RANDOM),
    "bernoulli": (lambda m, z: torch.bernoulli(torch.sigmoid(m.fc(z))), RANDOM),
    "dropout": (lambda m, z: F.dropout(m.fc(z)), RANDOM),
    "numpy's numbers": (lambda m, z: m.fc(z) * np.random.default_rng().random(), RANDOM),
    "Python's numbers": (lambda m, z: m.fc(z) * random.random(), RANDOM),
    "random where it rarely matters": (
        lambda m, z: torch.where(z.sum() > 1e6, torch.randn_like(m.fc(z)), m.fc(z)), RANDOM
    ),
    "fails": (lambda m, z: m.fc(z.T), r"fails on \w+ of shape \(\d, 2\): mat1 and mat2"),
    "a distribution": (lambda m, z: torch.distributions.Normal(m.fc(z), 1), "not Normal"),
    "a nested list": (lambda m, z: [m.fc(z), [m.fc(z)]], "not a list that holds list"),
    "nothing": (lambda m, z: (), "not a tuple that holds nothing"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_forward_is_refused_in_one_sentence(name, capfd, caplog):
    compute, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as error:
        export_model(Function(compute), Z)
    text = str(error.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 300
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda z: z, "expected a torch.nn.Module as model, not function"),
        (nn.Sequential(nn.LazyLinear(4)), "part 0, a LazyLinear, has no weights yet: call"),
        (torch.jit.script(nn.Linear(2, 4)), "the model is compiled by TorchScript"),
        (nn.Sequential(torch.jit.trace(nn.Linear(2, 4), Z)), "part 0 is compiled by TorchScript"),
        (nn.Linear(2, 4, device="meta"), "can't be copied for the export: Cannot copy out of meta"),
    ],
)
def test_a_module_is_refused_in_one_sentence(module, message):
    with pytest.raises(ValueError, match=message) as error:
        export_model(module, Z)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"example": torch.rand(0, 2)}, r"the batch, at least 1 .* but got \(0, 2\)"),
        ({"example": torch.tensor(1.0)}, r"the batch, at least 1 .* but got \(\)"),
        ({"example": [Z, Z[:2]]}, r"the same for every input, but got \(4, 2\), \(2, 2\)"),
        ({"example": [Z, 3]}, "expected tensors as example, not int"),
        ({"example": []}, "expected a name for each of 0 inputs"),
        ({"example": Z, "names": ["a", "b"]}, "a name for each of 1 inputs, but got a, b"),
        ({"example": Z, "outputs": ["a", "b"]}, r"to return 2 tensors \(a, b\), but it returned 1"),
    ],
)
def test_an_example_is_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        export_model(Function(lambda m, z: m.fc(z)), **arguments)


def test_what_a_module_keeps_between_calls_survives_the_export():
    class Remembers(nn.Module):
        """Keeps its last activations, and makes what it needs when it first meets a size."""

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 4)
            self.last = None

        def forward(self, z):
            if self.last is None:
                self.scale = torch.full((4,), 2.0)
            self.last = self.scale * self.fc(z)
            return self.last

    module = Remembers()
    exported = export_model(module, Z)
    agree(exported, module, [Z[:3]], ["output"])
    assert module.last is None


def test_a_file_that_computes_otherwise_is_refused(monkeypatch):
    """Whatever goes wrong between torch and the file: here, an exporter that changes a weight."""
    from companion.export import onnx_file

    real = onnx_file.to_proto

    @functools.wraps(real)
    def damaged(*arguments):
        proto = real(*arguments)
        weight = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        values = onnx.numpy_helper.to_array(weight) + np.float32(0.01)
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return proto

    monkeypatch.setattr(onnx_file, "to_proto", damaged)
    with pytest.raises(ValueError, match="for a batch of 1 the exported model's output differs"):
        export_model(Function(lambda m, z: 3 * m.fc(z)), Z)
