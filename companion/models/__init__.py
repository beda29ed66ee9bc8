"""The networks of the lecture, as `torch.nn.Module` classes."""

from companion.models.alexnet import AlexNet, CifarAlexNet
from companion.models.autoencoder import ConvAutoencoder, default_widths
from companion.models.classifier import ImageClassifier, he_initialise
from companion.models.corruption import (
    NOISES,
    add_noise,
    denoising_loss,
    fill_in,
    hide,
    inpainting_loss,
    masking_noise,
    random_masks,
    rectangle_masks,
    salt_and_pepper,
)
from companion.models.dense_autoencoder import (
    DenseAutoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    SparseLoss,
    SparseOutput,
    sparse_loss,
)
from companion.models.dense_stack import DenseStack
from companion.models.digit_cnn import DigitCNN
from companion.models.efficientnet import (
    LITE_SCALINGS,
    SCALINGS,
    EfficientNet,
    MBConv,
    Scaling,
    compound_scaling,
)
from companion.models.gan import DCGAN, discriminator_loss, gan_loss, generator_loss
from companion.models.googlenet import GoogLeNet, GoogLeNetOutput, Inception
from companion.models.images import reconstruction_error
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
    "DCGAN",
    "LITE_SCALINGS",
    "NOISES",
    "SCALINGS",
    "VGG",
    "AlexNet",
    "CifarAlexNet",
    "CifarResNet",
    "ConvAutoencoder",
    "ConvVAE",
    "DenseAutoencoder",
    "DenseStack",
    "DigitCNN",
    "EfficientNet",
    "GoogLeNet",
    "GoogLeNetOutput",
    "ImageClassifier",
    "Inception",
    "LinearAutoencoder",
    "MBConv",
    "Pretrained",
    "ResNet",
    "Residual",
    "Scaling",
    "SparseAutoencoder",
    "SparseLoss",
    "SparseOutput",
    "VAELoss",
    "VAEOutput",
    "add_noise",
    "compound_scaling",
    "default_widths",
    "denoising_loss",
    "discriminator_loss",
    "fill_in",
    "from_torchvision",
    "gan_loss",
    "gaussian_constant",
    "generator_loss",
    "he_initialise",
    "hide",
    "inpainting_loss",
    "masking_noise",
    "pretrained",
    "random_masks",
    "reconstruction_error",
    "rectangle_masks",
    "salt_and_pepper",
    "sparse_loss",
    "torchvision_names",
    "vae_loss",
]
