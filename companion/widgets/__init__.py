"""Live widgets: one class and one JavaScript module each; a page runs them without a kernel.

In a notebook they are ordinary ipywidgets. `AugmentationViews` cuts, mirrors and recolours a
photograph; `LatentTraversal` walks through a decoder's latent space; `NetworkExplorer` opens any
network layer by layer; `PosteriorVsPrior` shows what a VAE's encoder says of one image.
"""

from companion.widgets.augmentation_views import AugmentationViews
from companion.widgets.latent_traversal import LatentTraversal
from companion.widgets.network_explorer import NetworkExplorer
from companion.widgets.posterior import PosteriorVsPrior

__all__ = ["AugmentationViews", "LatentTraversal", "NetworkExplorer", "PosteriorVsPrior"]
