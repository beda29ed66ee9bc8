"""Live widgets: one class and one JavaScript module each; a page runs them without a kernel.

In a notebook they are ordinary ipywidgets. `LatentTraversal` walks through a decoder's latent
space; `PosteriorVsPrior` shows what a VAE's encoder says of one image. `BottleneckCounter` counts
what an Inception module costs, `CompoundScaling` what makes an EfficientNet larger.
"""

from companion.widgets.bottleneck import BottleneckCounter
from companion.widgets.latent_traversal import LatentTraversal
from companion.widgets.posterior import PosteriorVsPrior
from companion.widgets.scaling import CompoundScaling

__all__ = ["BottleneckCounter", "CompoundScaling", "LatentTraversal", "PosteriorVsPrior"]
