"""Live widgets: one class and one JavaScript module each; a page runs them without a kernel.

In a notebook they are ordinary ipywidgets. In the order of the chapters: `ConvolutionByHand` slides
a window over a small input, term by term; `ConvolutionStack` does so with the filters of a layer
over a colour picture, and goes on to bias, ReLU and pooling; `KernelLab` filters a photograph with
any kernel; `Softmax` takes logits to a loss and its gradient; `TopK` shows which predictions count
in a top-k error; `NetworkExplorer` opens a network layer by layer; `NetworkByHand` writes out any
unit of a trained one; `AugmentationViews` shows the views of an image that training makes;
`ReceptiveField` shows what a unit of a network sees; `BottleneckCounter` counts an Inception
module's operations; `SignalThroughDepth` sends a signal and its gradient through a deep network;
`CompoundScaling` grows an EfficientNet; `LookInside` shows what a network's channels answer to;
`OcclusionMap` lays a patch over a photograph and shows what a network loses under it;
`EmbeddingExplorer` shows an embedding with PCA, t-SNE and UMAP; `ThresholdLab` ties one threshold
to its five views; `TextureDefects` shows where an autoencoder cannot rebuild what a reader paints;
`ImageRepair` damages a picture and repairs it with networks and filters; `LatentTraversal` walks
through a decoder's latent space; `BetaLineup` moves one factor in several models;
`PosteriorVsPrior` shows what a VAE's encoder says of one image. `LiveTraining` trains any module in
the page, `AutoencoderRace` a linear or a deep autoencoder beside PCA, `ManifoldField` one with a
code of one number on points in the plane, and `SparseCode` one that is charged for the units that
it uses.

`AnomalySandbox` scores points in the plane, and all places around them, by six methods; `LOFOpened`
shows how one point's local outlier factor comes about; `IsolationCuts` isolates points by random
cuts, one after the other.

`NameTheSlider` lets its reader name a model's latents before it shows what they tell; `ToyCodes`
spoils a perfect code, and `RotateLatent` turns the latents of a VAE into one another, while four
metrics of disentanglement follow.

`PlaneGAN` trains a GAN on points in the plane beside the best of all discriminators; `BilinearGame`
shows why two players circle; `FoolTheCritic` walks through a GAN's codes and has its critic judge a
drawing; `DigitGAN` trains a DCGAN on small images.
"""

from companion.widgets.anomaly_sandbox import AnomalySandbox
from companion.widgets.augmentation_views import AugmentationViews
from companion.widgets.autoencoder_race import AutoencoderRace
from companion.widgets.beta_lineup import BetaLineup
from companion.widgets.bilinear_game import BilinearGame
from companion.widgets.bottleneck import BottleneckCounter
from companion.widgets.convolution import ConvolutionByHand
from companion.widgets.convolution_stack import ConvolutionStack
from companion.widgets.digit_gan import DigitGAN
from companion.widgets.embedding_explorer import EmbeddingExplorer
from companion.widgets.fool_the_critic import FoolTheCritic
from companion.widgets.image_repair import ImageRepair
from companion.widgets.isolation_cuts import IsolationCuts
from companion.widgets.kernel_lab import KernelLab
from companion.widgets.latent_traversal import LatentTraversal
from companion.widgets.live_training import LiveTraining
from companion.widgets.lof_opened import LOFOpened
from companion.widgets.look_inside import LookInside
from companion.widgets.manifold_field import ManifoldField
from companion.widgets.name_the_slider import NameTheSlider
from companion.widgets.network_by_hand import NetworkByHand
from companion.widgets.network_explorer import NetworkExplorer
from companion.widgets.occlusion_map import OcclusionMap
from companion.widgets.plane_gan import PlaneGAN
from companion.widgets.posterior import PosteriorVsPrior
from companion.widgets.receptive_field import ReceptiveField
from companion.widgets.rotate_latent import RotateLatent
from companion.widgets.scaling import CompoundScaling
from companion.widgets.signal_depth import SignalThroughDepth
from companion.widgets.softmax import Softmax
from companion.widgets.sparse_code import SparseCode
from companion.widgets.texture_defects import TextureDefects
from companion.widgets.threshold_lab import ThresholdLab
from companion.widgets.top_k import TopK
from companion.widgets.toy_codes import ToyCodes

__all__ = [
    "AnomalySandbox",
    "AugmentationViews",
    "AutoencoderRace",
    "BetaLineup",
    "BilinearGame",
    "BottleneckCounter",
    "CompoundScaling",
    "ConvolutionByHand",
    "ConvolutionStack",
    "DigitGAN",
    "EmbeddingExplorer",
    "FoolTheCritic",
    "ImageRepair",
    "IsolationCuts",
    "KernelLab",
    "LOFOpened",
    "LatentTraversal",
    "LiveTraining",
    "LookInside",
    "ManifoldField",
    "NameTheSlider",
    "NetworkByHand",
    "NetworkExplorer",
    "OcclusionMap",
    "PlaneGAN",
    "PosteriorVsPrior",
    "ReceptiveField",
    "RotateLatent",
    "SignalThroughDepth",
    "Softmax",
    "SparseCode",
    "TextureDefects",
    "ThresholdLab",
    "TopK",
    "ToyCodes",
]
