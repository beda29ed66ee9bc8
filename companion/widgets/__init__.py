"""Live widgets: one class and one JavaScript module each; a page runs them without a kernel.

In a notebook they are ordinary ipywidgets. `ConvolutionByHand` slides a window over a few numbers;
`KernelLab` lays a kernel over photographs; `LatentTraversal` walks through a decoder's latent
space; `PosteriorVsPrior` shows what a VAE's encoder says of one image.
"""

from companion.widgets.convolution import ConvolutionByHand
from companion.widgets.kernel_lab import KernelLab
from companion.widgets.latent_traversal import LatentTraversal
from companion.widgets.posterior import PosteriorVsPrior

__all__ = ["ConvolutionByHand", "KernelLab", "LatentTraversal", "PosteriorVsPrior"]
