"""VGG (Simonyan & Zisserman, 2014): nothing but 3×3 convolutions, 2×2 pooling, dense layers."""

from collections import OrderedDict

from torch import nn

from companion.models.classifier import ImageClassifier, check_choice, he_initialise

# Convolutions in each of the five stages: columns A, B, D and E of the paper's table 1.
_CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_CHANNELS = (64, 128, 256, 512, 512)


class VGG(ImageClassifier):
    """VGG-11, 13, 16 or 19: `depth` counts the layers with weights.

    Five stages of 3×3 convolutions; pooling halves the image after each while the channels double.
    VGG-16 has 138,357,544 parameters, 123,642,856 of them in the three dense layers. Images are
    N×in_channels×224×224. The paper grew its deep nets from trained shallow ones; with He
    initialisation, a year younger, that is not needed. Chapter 5.
    """

    def __init__(
        self,
        depth: int = 16,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ) -> None:
        check_choice("depth", depth, _CONVOLUTIONS)
        super().__init__(f"VGG-{depth}", num_classes, in_channels, size=224)
        self.depth = depth
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = in_channels
        stages = zip(_CONVOLUTIONS[depth], _CHANNELS, strict=True)
        for stage, (convolutions, channels) in enumerate(stages, start=1):
            for number in range(1, convolutions + 1):
                layers[f"conv{stage}_{number}"] = nn.Conv2d(before, channels, 3, padding=1)
                layers[f"relu{stage}_{number}"] = nn.ReLU()
                before = channels
            layers[f"pool{stage}"] = nn.MaxPool2d(2, stride=2)
        layers |= {
            "flatten": nn.Flatten(),
            "fc6": nn.Linear(512 * 7 * 7, 4096),
            "relu6": nn.ReLU(),
            "dropout6": nn.Dropout(dropout),
            "fc7": nn.Linear(4096, 4096),
            "relu7": nn.ReLU(),
            "dropout7": nn.Dropout(dropout),
            "fc8": nn.Linear(4096, num_classes),
        }
        self.layers = nn.Sequential(layers)
        he_initialise(self)
