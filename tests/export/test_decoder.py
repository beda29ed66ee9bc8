"""Exported decoders against torch, run by onnxruntime; what is refused; what is left alone."""

import hashlib
import json
import logging

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from companion.export.decoder import export_decoder
from companion.models import ConvAutoencoder, ConvVAE
from conftest import ROOT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def dense(latent_dim=3, channels=1, side=4):
    return nn.Sequential(
        nn.Linear(latent_dim, channels * side * side),
        nn.Sigmoid(),
        nn.Unflatten(1, (channels, side, side)),
    )


class Upsampling(nn.Module):
    """What else students build: batch norm, dropout, upsampling, a reshape in forward."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 32 * 4 * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(32),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(32, 16, 3, padding=1),
            nn.GELU(),
            nn.PixelShuffle(2),
            nn.Conv2d(4, 3, 3, padding=1),
        )

    def forward(self, z):
        return torch.clamp(self.body(self.dense(z).view(-1, 32, 4, 4)) + 0.5, 0, 1)


def decoders():
    torch.manual_seed(0)
    return {
        "vae": (ConvVAE((3, 64, 64), latent_dim=8).decoder, 8),
        "digits": (ConvAutoencoder((1, 8, 8), latent_dim=2).decoder, 2),
        "odd sides": (ConvVAE((1, 28, 36), latent_dim=4).decoder, 4),
        "one latent": (dense(1, 3, 5), 1),
        "upsampling": (Upsampling(), 5),
    }


def run(exported, z):
    session = onnxruntime.InferenceSession(exported.path.read_bytes())
    assert [i.name for i in session.get_inputs()] == ["z"]
    assert [o.name for o in session.get_outputs()] == ["image"]
    return session.run(None, {"z": z.numpy()})[0]


@pytest.mark.parametrize("name", list(decoders()))
def test_onnx_agrees_with_torch(name):
    decoder, latent_dim = decoders()[name]
    exported = export_decoder(decoder, latent_dim)
    decoder.eval()
    for count in (1, 2, 7):
        z = 1.5 * torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = decoder(z)
        assert exported.image_shape == tuple(expected.shape[1:])
        np.testing.assert_allclose(run(exported, z), expected.numpy(), rtol=0, atol=1e-4)
        torch.testing.assert_close(exported.decode(z), expected, rtol=0, atol=1e-6)


def test_file_is_named_by_its_content():
    exported = export_decoder(*decoders()["digits"])
    data = exported.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == exported.sha256 == exported.path.stem
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)


def test_weights_that_float16_holds_take_half_the_room_and_others_stay():
    decoder, latent_dim = decoders()["vae"]
    parameters = sum(p.numel() for p in decoder.parameters())
    z = torch.randn(3, latent_dim)
    full = export_decoder(decoder, latent_dim)
    assert full.path.stat().st_size > 3.9 * parameters
    decoder.half().float()  # as the weights that ship are rounded
    half = export_decoder(decoder, latent_dim)
    assert half.path.stat().st_size < 2 * parameters + 8_000
    with torch.no_grad():
        assert np.abs(run(half, z) - decoder(z).numpy()).max() <= 1e-5


def test_exports_once(monkeypatch):
    decoder, latent_dim = decoders()["digits"]
    first = export_decoder(decoder, latent_dim)
    with monkeypatch.context() as patch:
        patch.setattr(torch.onnx, "export", lambda *a, **k: pytest.fail("exported again"))
        assert export_decoder(decoder, latent_dim) == first
    first.path.unlink()
    assert export_decoder(decoder, latent_dim).path.exists()


def test_the_same_decoder_inside_another_model_is_the_same_file():
    decoder, latent_dim = decoders()["digits"]
    assert export_decoder(nn.Sequential(decoder), latent_dim) == export_decoder(decoder, latent_dim)


def test_changed_weights_or_forward_make_another_file():
    class Shade(nn.Module):
        shade = 0.5

        def __init__(self):
            super().__init__()
            self.inner = decoders()["digits"][0]

        def forward(self, z):
            return self.shade * self.inner(z)

    decoder = Shade()
    seen = {export_decoder(decoder, 2).sha256}
    decoder.shade = 0.25  # nothing in repr() or state_dict() shows this
    seen.add(export_decoder(decoder, 2).sha256)
    with torch.no_grad():
        next(decoder.parameters()).add_(0.1)
    seen.add(export_decoder(decoder, 2).sha256)
    assert len(seen) == 3


@pytest.mark.slow
def test_a_damaged_record_is_made_anew(cache):
    decoder, latent_dim = decoders()["digits"]
    first = export_decoder(decoder, latent_dim)
    (record,) = (cache / "models" / "exports").iterdir()
    whole = json.loads(record.read_text())
    for damage in ({}, {"probe": 3}, {"probe": [[1.0]]}, {"probe": [[], []]}):
        record.write_text(json.dumps({"file": whole["file"], **damage}))
        assert export_decoder(decoder, latent_dim) == first
        assert json.loads(record.read_text()) == whole


def test_module_is_left_as_it_was():
    decoder = Upsampling()
    decoder.body[0].eval()
    decoder(torch.randn(4, 5)).sum().backward()
    decoder.dense.bias.requires_grad_(False)
    modes = [m.training for m in decoder.modules()]
    grads = [None if p.grad is None else p.grad.clone() for p in decoder.parameters()]
    wants = [p.requires_grad for p in decoder.parameters()]
    state = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    random = torch.get_rng_state()
    export_decoder(decoder, 5)
    assert [m.training for m in decoder.modules()] == modes
    assert [p.requires_grad for p in decoder.parameters()] == wants
    for parameter, grad in zip(decoder.parameters(), grads, strict=True):
        assert grad is None or torch.equal(parameter.grad, grad)
    for name, tensor in decoder.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert torch.equal(torch.get_rng_state(), random)


def test_says_nothing_and_tells_nothing_of_this_machine(capfd, caplog, recwarn):
    level = logging.getLogger("torch.onnx").level
    exported = export_decoder(decoders()["digits"][0], 2)
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno > logging.DEBUG] == []
    assert [str(w.message) for w in recwarn] == []
    assert logging.getLogger("torch.onnx").level == level
    data = exported.path.read_bytes()
    for trace in (str(ROOT), "site-packages", ".py", "stack_trace"):
        assert trace.encode() not in data


class Rank(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, z):
        return torch.sigmoid(z.sum()).expand(z.shape[0], *self.shape)


class Unexportable(nn.Module):
    def forward(self, z):
        if (z != z).any():  # decides by what the data say
            return torch.zeros(len(z), 1, 2, 2)
        return torch.sigmoid(z[:, :1, None, None]).expand(-1, 1, 2, 2)


class Tanh(nn.Module):
    def forward(self, z):
        return torch.tanh(z[:, :1, None, None] - torch.linspace(0, 1, 4).view(1, 1, 2, 2))


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, z):
        return self.factor * torch.sigmoid(z[:, :1, None, None].expand(-1, 1, 2, 2))


class Complex(nn.Module):
    def forward(self, z):
        return torch.complex(z, z).view(-1, 1, 1, 3)


@pytest.mark.parametrize(
    ("decoder", "latent_dim", "message"),
    [
        (Complex(), 3, r"the decoder returns complex numbers: give their abs\(\), or \.real"),
        (
            nn.Sequential(
                nn.Linear(3, 16),
                nn.BatchNorm1d(16, track_running_stats=False),
                nn.Sigmoid(),
                nn.Unflatten(1, (1, 4, 4)),
            ),
            3,
            r"the decoder fails on z of shape \(1, 3\): Expected more than 1 value per channel",
        ),
        (
            nn.Sequential(
                nn.Linear(3, 16),
                nn.Unflatten(1, (1, 4, 4)),
                nn.BatchNorm2d(1, track_running_stats=False),
                nn.Sigmoid(),
            ),
            3,
            r"another image for a latent vector beside others than for it alone \(a pixel differs",
        ),
        (dense(), 0, "latent_dim must be a whole number of at least 1, not 0"),
        (dense(), -2, "latent_dim must be"),
        (dense(), 2.5, "latent_dim must be"),
        (dense(), True, "latent_dim must be"),
        (lambda z: z, 3, "expected a torch.nn.Module as decoder, not function"),
        (dense(3), 4, r"the decoder fails on z of shape \(8, 4\): "),
        (Rank(4, 4), 3, r"N×1×H×W or N×3×H×W, but .* it returned \(8, 4, 4\)"),
        (Rank(2, 4, 4), 3, r"it returned \(8, 2, 4, 4\)"),
        (Rank(3, 0, 4), 3, r"it returned \(8, 3, 0, 4\)"),
        (Scaled(3.0), 2, r"values in \[0, 1\], but the prior's mean z = 0 decodes to .* 1\.5 to"),
        (Scaled(-1.0), 2, r"from -0\.5"),
        (Scaled(float("nan")), 2, "from nan to nan"),
        (
            nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4))),
            2,
            r"give a module that returns \(decoder",
        ),
        (Unexportable(), 2, "the decoder can't be exported to ONNX: "),
        (nn.Sequential(dense(), nn.Flatten()), 3, r"it returned \(8, 16\)"),
        (nn.LSTM(3, 3), 3, "the decoder to return a tensor, .* not a tuple that holds tuple"),
    ],
)
def test_what_is_refused(decoder, latent_dim, message, cache):
    with pytest.raises(ValueError, match=message) as error:
        export_decoder(decoder, latent_dim)
    assert "\n" not in str(error.value)
    assert list(cache.rglob("*")) == []
