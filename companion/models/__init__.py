"""The networks of the lecture, as `torch.nn.Module` classes."""

from companion.models.alexnet import AlexNet
from companion.models.autoencoder import ConvAutoencoder, default_widths
from companion.models.classifier import ImageClassifier, he_initialise
from companion.models.digit_cnn import DigitCNN
from companion.models.efficientnet import (
    SCALINGS,
    EfficientNet,
    MBConv,
    Scaling,
    compound_scaling,
)
from companion.models.googlenet import GoogLeNet, GoogLeNetOutput, Inception
from companion.models.pretrained import (
    Pretrained,
    from_torchvision,
    pretrained,
    torchvision_names,
)
from companion.models.resnet import CifarResNet, Residual, ResNet
from companion.models.vae import ConvVAE, VAELoss, VAEOutput, gaussian_constant, vae_loss
from companion.models.vgg import VGG

__all__ = [
    "SCALINGS",
    "VGG",
    "AlexNet",
    "CifarResNet",
    "ConvAutoencoder",
    "ConvVAE",
    "DigitCNN",
    "EfficientNet",
    "GoogLeNet",
    "GoogLeNetOutput",
    "ImageClassifier",
    "Inception",
    "MBConv",
    "Pretrained",
    "ResNet",
    "Residual",
    "Scaling",
    "VAELoss",
    "VAEOutput",
    "compound_scaling",
    "default_widths",
    "from_torchvision",
    "gaussian_constant",
    "he_initialise",
    "pretrained",
    "torchvision_names",
    "vae_loss",
]
