"""Decoders of every make in the engine that pages run, onnxruntime-web, beside torch."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from companion.export.decoder import ExportedDecoder, export_decoder
from support.engine_page import write_engine_page
from support.pages import visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("own_cache")]

LATENT, CHANNELS, LAYERS = 3, 4, 5


class OfFunction(nn.Module):
    """A function of maps as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Added(nn.Module):
    """x + layer(x): what one layer squashes or switches off, later ones still see."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Rows(nn.Module):
    """A recurrent layer over the rows, whose pixels are the channels' means."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        lines = F.adaptive_avg_pool2d(x, (x.shape[2], 1)).squeeze(3).transpose(1, 2)
        y, _ = self.layer(lines)
        return y.transpose(1, 2).unsqueeze(3).expand(x.shape)


class Attention(nn.Module):
    """Positions look at each other."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        if isinstance(self.layer, nn.MultiheadAttention):
            tokens, _ = self.layer(tokens, tokens, tokens, need_weights=False)
        else:
            tokens = self.layer(tokens)
        return tokens.transpose(1, 2).reshape(x.shape)


def by_hand(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    weights = F.softmax(tokens @ tokens.transpose(1, 2) / 2, dim=-1)
    return (weights @ tokens).transpose(1, 2).reshape(x.shape)


def looped(x: Tensor) -> Tensor:
    for scale in (0.5, 0.25, 0.125):
        x = x + scale * torch.sin(x)
    return x


# Each keeps the shape of N×4×H×W and is added to its input.
SAME: dict[str, Callable[[], nn.Module]] = {
    **{
        kind.__name__: kind
        for kind in (
            nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
            nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.ReLU6, nn.Sigmoid, nn.LogSigmoid,
            nn.Tanh, nn.Softplus, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
            nn.Softmax2d, nn.Dropout, nn.Dropout2d, nn.Identity,
        )
    },
    "GELU by tanh": lambda: nn.GELU("tanh"),
    "LogSoftmax": lambda: nn.LogSoftmax(1),
    "BatchNorm2d": lambda: nn.BatchNorm2d(CHANNELS),
    "GroupNorm": lambda: nn.GroupNorm(2, CHANNELS),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(3),
    "Conv2d": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding="same"),
    "Conv2d by depth, dilated": lambda: nn.Conv2d(
        CHANNELS, CHANNELS, 3, padding=2, dilation=2, groups=CHANNELS
    ),
    "Conv2d, reflected": lambda: nn.Conv2d(
        CHANNELS, CHANNELS, 3, padding=1, padding_mode="reflect"
    ),
    "Conv2d, circular": lambda: nn.Conv2d(
        CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular"
    ),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(CHANNELS, CHANNELS, 1)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(CHANNELS, CHANNELS, 1)),
    "MaxPool2d": lambda: nn.MaxPool2d(3, 1, 1),
    "AvgPool2d": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
    "ChannelShuffle": lambda: nn.ChannelShuffle(2),
    "squeeze and excitation": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(CHANNELS, 2, 1), nn.ReLU(), nn.Conv2d(2, CHANNELS, 1),
        nn.Sigmoid(),
    ),
    "LayerNorm": lambda: Attention(nn.LayerNorm(CHANNELS)),
    "Linear": lambda: Attention(nn.Linear(CHANNELS, CHANNELS)),
    "MultiheadAttention": lambda: Attention(nn.MultiheadAttention(CHANNELS, 2, batch_first=True)),
    "TransformerEncoderLayer": lambda: Attention(
        nn.TransformerEncoderLayer(CHANNELS, 2, 8, batch_first=True, norm_first=True)
    ),
    "GRU": lambda: Rows(nn.GRU(CHANNELS, CHANNELS, batch_first=True)),
    "LSTM": lambda: Rows(nn.LSTM(CHANNELS, CHANNELS, batch_first=True)),
    "attention by hand": lambda: OfFunction(by_hand),
    "a loop": lambda: OfFunction(looped),
    "chunk and gate": lambda: OfFunction(
        lambda x: torch.cat([torch.sigmoid(a) * b for a, b in [x.chunk(2, 1)]] * 2, 1)
    ),
    "glu": lambda: OfFunction(lambda x: F.glu(torch.cat([x, x.flip(1)], 1), 1)),
    "normalize": lambda: OfFunction(F.normalize),
    "where and clamp": lambda: OfFunction(
        lambda x: torch.where(x > 0, x, x.exp() - 1).clamp(-2, 2)
    ),
    "statistics": lambda: OfFunction(
        lambda x: (x - x.mean(1, True)) / (x.std(1, keepdim=True) + 1) + x.amax((2, 3), True)
    ),
    "turned": lambda: OfFunction(lambda x: x.flip(2) + x.roll(1, 3) + x.cumsum(1)),
    "einsum": lambda: OfFunction(lambda x: torch.einsum("bchw,bdhw->bchw", x, x.abs())),
    "slices": lambda: OfFunction(lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1)[..., :, :]),
    "stack": lambda: OfFunction(lambda x: torch.stack([x, x.square()], 1).sum(1)),
    "topk and sort": lambda: OfFunction(lambda x: x.topk(2, 1).values.repeat(1, 2, 1, 1)),
}  # fmt: skip
# Each changes height and width.
OTHER: dict[str, Callable[[], nn.Module]] = {
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, 1),
    "ConvTranspose2d in groups": lambda: nn.ConvTranspose2d(
        CHANNELS, CHANNELS, 3, 2, 1, output_padding=1, groups=2
    ),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "nearest, by hand": lambda: OfFunction(
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    ),
    "bilinear": lambda: nn.Upsample(size=(9, 7), mode="bilinear"),
    "bilinear, aligned": lambda: nn.Upsample(
        scale_factor=1.5, mode="bilinear", align_corners=True
    ),
    "bicubic": lambda: nn.Upsample(scale_factor=2, mode="bicubic"),
    "PixelShuffle": lambda: nn.Sequential(
        nn.Conv2d(CHANNELS, 4 * CHANNELS, 1), nn.PixelShuffle(2)
    ),
    "ZeroPad2d": lambda: nn.ZeroPad2d((1, 0, 2, 1)),
    "ConstantPad2d": lambda: nn.ConstantPad2d(1, 0.5),
    "ReflectionPad2d": lambda: nn.ReflectionPad2d(1),
    "ReplicationPad2d": lambda: nn.ReplicationPad2d(2),
    "CircularPad2d": lambda: nn.CircularPad2d(1),
    "Conv2d with a stride": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, (1, 2), 1),
    "LPPool2d": lambda: nn.LPPool2d(2, 2, 1),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d(4),
}  # fmt: skip


def shuffled(seed: int) -> list[list[str]]:
    """The kinds of layers in random order, five to a decoder; each stands in one of them."""
    kinds = [*SAME, *OTHER]
    random.Random(seed).shuffle(kinds)
    return [kinds[start : start + LAYERS] for start in range(0, len(kinds), LAYERS)]


def decoder_of(kinds: list[str]) -> nn.Sequential:
    layers = [Added(SAME[kind]()) if kind in SAME else OTHER[kind]() for kind in kinds]
    return nn.Sequential(
        nn.Linear(LATENT, CHANNELS * 36), nn.Unflatten(1, (CHANNELS, 6, 6)), *layers,
        nn.Conv2d(CHANNELS, 1, 1), nn.Sigmoid(),
    ).eval()  # fmt: skip


DECODE = """async ([name, data, dims]) => {
    const session = await openModel(name);
    const { image } = await session.run({ z: { data: Float32Array.from(data), dims } });
    return { dims: [...image.dims], data: Array.from(image.data) };
}"""


@pytest.mark.parametrize("seed", range(4))
def test_the_pages_engine_agrees_with_torch(seed: int, browser: Any, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    exported: dict[str, tuple[nn.Module, ExportedDecoder]] = {}
    for kinds in shuffled(seed):
        decoder = decoder_of(kinds)
        exported[", ".join(kinds)] = decoder, export_decoder(decoder, LATENT)
    files = [made.path for _, made in exported.values()]
    wrong = []
    with visit(browser, write_engine_page(tmp_path / "page", files).as_uri()) as seen:
        for kinds, (decoder, made) in exported.items():
            for count in (1, 3):
                z = torch.randn(count, LATENT)
                with torch.no_grad():
                    expected = decoder(z)
                arguments = [made.sha256, z.flatten().tolist(), list(z.shape)]
                found = seen.page.evaluate(DECODE, arguments)
                assert found["dims"] == list(expected.shape), kinds
                error = float((torch.tensor(found["data"]) - expected.flatten()).abs().max())
                if not error <= 1e-4:
                    wrong.append(f"{kinds}: {error:.2g}")
                # Else every picture would be right.
                assert count == 1 or (expected[0] - expected[1]).abs().max() > 1e-3, kinds
    assert not wrong
