"""Live widgets: one class and one JavaScript module each; a page runs them without a kernel.

In a notebook they are ordinary ipywidgets. `LatentTraversal` walks through a decoder's latent
space; `PosteriorVsPrior` shows what a VAE's encoder says of one image; `SignalThroughDepth` what a
deep network leaves of signals and gradients.
"""

from companion.widgets.latent_traversal import LatentTraversal
from companion.widgets.posterior import PosteriorVsPrior
from companion.widgets.signal_depth import SignalThroughDepth

__all__ = ["LatentTraversal", "PosteriorVsPrior", "SignalThroughDepth"]
