"""A small convolutional network for handwritten digits, small enough to run live in a page."""

from collections import OrderedDict

from torch import nn

from companion.models.classifier import ImageClassifier, he_initialise


class DigitCNN(ImageClassifier):
    """Three convolutions and two dense layers: LeNet-5's plan (LeCun et al., 1998) with what has
    come since: ReLU, max-pooling, batch normalisation, a third stage of pooling.

    About 70,000 parameters for 28×28 images. Images are N×in_channels×size×size, floats in [0, 1];
    `size` is 8 or more (8 for scikit-learn's digits, 28 for MNIST).
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        size: int = 28,
        dropout: float = 0.3,
    ) -> None:
        if size < 8:
            raise ValueError(f"size must be at least 8, three poolings need that; got {size}.")
        super().__init__("DigitCNN", num_classes, in_channels, size=size)
        side = size // 8
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, 16, 5, padding=2, bias=False),
                bn1=nn.BatchNorm2d(16),
                relu1=nn.ReLU(),  # 28×28×16
                pool1=nn.MaxPool2d(2),  # 14×14×16
                conv2=nn.Conv2d(16, 32, 5, padding=2, bias=False),
                bn2=nn.BatchNorm2d(32),
                relu2=nn.ReLU(),  # 14×14×32
                pool2=nn.MaxPool2d(2),  # 7×7×32
                conv3=nn.Conv2d(32, 64, 3, padding=1, bias=False),
                bn3=nn.BatchNorm2d(64),
                relu3=nn.ReLU(),  # 7×7×64
                pool3=nn.MaxPool2d(2),  # 3×3×64
                flatten=nn.Flatten(),
                fc4=nn.Linear(side * side * 64, 64, bias=False),
                bn4=nn.BatchNorm1d(64),
                relu4=nn.ReLU(),
                dropout=nn.Dropout(dropout),
                fc5=nn.Linear(64, num_classes),
            )
        )
        he_initialise(self)
