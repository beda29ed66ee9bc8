"""AlexNet (Krizhevsky, Sutskever & Hinton, 2012), layer by layer as on the slide; a small kin."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from companion.models.classifier import ImageClassifier, Standardise, check_choice, he_initialise

# Filters of conv1 … conv5.
_FILTERS = {
    "slide": (96, 256, 384, 384, 256),
    "paper": (96, 256, 384, 384, 256),
    "torchvision": (64, 192, 384, 256, 256),
}


class AlexNet(ImageClassifier):
    """Five convolutions and three dense layers; ReLU after each, dropout between the dense ones.

    `variant` is one of

    - "slide": the lecture's table, one undivided network of 62,378,344 parameters;
    - "paper": as trained on two GPUs. Each holds half of the filters, and conv2, conv4 and conv5
      see only the half on their own GPU (two groups): 60,965,224 parameters. Normalisation comes
      before pooling (§3.5); the slide pools first, as CaffeNet, the library Caffe's
      variant, does;
    - "torchvision": its later version for one GPU (Krizhevsky, 2014, "One weird trick"), with fewer
      filters and without normalisation: 61,100,840 parameters.

    Images are N×in_channels×227×227: the paper writes 224, but (224 − 11)/4 + 1 is not an integer,
    and (227 − 11)/4 + 1 = 55 is what its table needs. The "torchvision" variant takes 224×224, with
    a frame of 2 zeros. Chapter 4.
    """

    def __init__(
        self,
        variant: str = "slide",
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ) -> None:
        check_choice("variant", variant, _FILTERS)
        one_gpu = variant == "torchvision"
        super().__init__("AlexNet", num_classes, in_channels, size=224 if one_gpu else 227)
        self.variant = variant
        c1, c2, c3, c4, c5 = _FILTERS[variant]
        groups = 2 if variant == "paper" else 1
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, c1, 11, stride=4, padding=2 if one_gpu else 0),
                relu1=nn.ReLU(),  # 55×55×96
                **_pool_and_norm(1, variant),  # 27×27×96
                conv2=nn.Conv2d(c1, c2, 5, padding=2, groups=groups),
                relu2=nn.ReLU(),  # 27×27×256
                **_pool_and_norm(2, variant),  # 13×13×256
                conv3=nn.Conv2d(c2, c3, 3, padding=1),
                relu3=nn.ReLU(),  # 13×13×384
                conv4=nn.Conv2d(c3, c4, 3, padding=1, groups=groups),
                relu4=nn.ReLU(),  # 13×13×384
                conv5=nn.Conv2d(c4, c5, 3, padding=1, groups=groups),
                relu5=nn.ReLU(),  # 13×13×256
                pool3=nn.MaxPool2d(3, stride=2),  # 6×6×256
                flatten=nn.Flatten(),
                fc6=nn.Linear(c5 * 6 * 6, 4096),
                relu6=nn.ReLU(),
                dropout6=nn.Dropout(dropout),
                fc7=nn.Linear(4096, 4096),
                relu7=nn.ReLU(),
                dropout7=nn.Dropout(dropout),
                fc8=nn.Linear(4096, num_classes),
            )
        )
        self._initialise()

    def _initialise(self) -> None:
        """§5 of the paper: weights from N(0, 0.01²), and biases of 1 so that ReLUs start alive."""
        for name, parameter in self.layers.named_parameters():
            layer, kind = name.split(".")
            if kind == "weight":
                nn.init.normal_(parameter, std=0.01)
            else:
                ones = layer in {"conv2", "conv4", "conv5", "fc6", "fc7"}
                nn.init.constant_(parameter, 1.0 if ones else 0.0)


class CifarAlexNet(ImageClassifier):
    """AlexNet's plan for photographs of 32×32 pixels: few layers, the first with large filters.

    Filters of 7×7 pixels in three colours are large enough to be looked at; then come 5×5 and 3×3,
    with ReLU and pooling as in AlexNet, and a single dense layer. Images are N×3×32×32, floats in
    [0, 1]; the first layer, `standardise`, makes up for the `statistics` of the data set (means
    and standard deviations). 297,930 parameters. Chapter 9.
    """

    def __init__(
        self,
        num_classes: int = 10,
        statistics: tuple[Sequence[float], Sequence[float]] = ((0.5,) * 3, (0.25,) * 3),
        dropout: float = 0.3,
    ) -> None:
        super().__init__("CifarAlexNet", num_classes, 3, size=32)
        self.layers = nn.Sequential(
            OrderedDict(
                standardise=Standardise(*statistics),
                conv1=nn.Conv2d(3, 32, 7, padding=3),
                relu1=nn.ReLU(),  # 32×32×32
                pool1=nn.MaxPool2d(2),  # 16×16×32
                conv2=nn.Conv2d(32, 64, 5, padding=2),
                relu2=nn.ReLU(),  # 16×16×64
                pool2=nn.MaxPool2d(2),  # 8×8×64
                conv3=nn.Conv2d(64, 128, 3, padding=1),
                relu3=nn.ReLU(),  # 8×8×128
                conv4=nn.Conv2d(128, 128, 3, padding=1),
                relu4=nn.ReLU(),  # 8×8×128
                pool4=nn.MaxPool2d(2),  # 4×4×128
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                fc5=nn.Linear(4 * 4 * 128, num_classes),
            )
        )
        he_initialise(self)
        # As small as AlexNet's own (§5): what is seen in the first filters later on was learnt.
        nn.init.normal_(self.get_submodule("layers.conv1").weight, std=0.02)  # type: ignore[arg-type]


def _pool_and_norm(number: int, variant: str) -> dict[str, nn.Module]:
    pool = {f"pool{number}": nn.MaxPool2d(3, stride=2)}
    # The paper's α = 10⁻⁴ multiplies the sum over n = 5 channels, torch's their mean.
    norm = {f"norm{number}": nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)}
    orders: dict[str, dict[str, nn.Module]] = {
        "slide": {**pool, **norm},
        "paper": {**norm, **pool},
        "torchvision": {**pool},
    }
    return orders[variant]
