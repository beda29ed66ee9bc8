"""Random changes to training images that keep their meaning (chapter 4), made batch by batch.

Each function here returns one that `fit` takes as `augment`: float images N×C×H×W, on any device,
to images of the same shape, every image with draws of its own from PyTorch's global generator.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Augmentation = Callable[[Tensor], Tensor]


def crop_and_flip(padding: int = 4, *, flip: bool = True, mode: str = "constant") -> Augmentation:
    """Shift each image by up to `padding` pixels each way, and mirror every other one.

    The shift is a random crop of the image with a frame of `padding` pixels around it: black, or
    what `mode` of `torch.nn.functional.pad` names ("reflect", "replicate"). As in He et al. (2015),
    §4.2, for 32×32 images; the slide's "crop + flip". Turn `flip` off where a mirror image means
    something else (digits). Raises ValueError for a negative padding or an unknown mode.
    """
    if padding < 0:
        raise ValueError(f"padding must be 0 pixels or more, got {padding}")
    if mode not in ("constant", "reflect", "replicate"):
        raise ValueError(f"mode must be 'constant', 'reflect' or 'replicate', got {mode!r}")

    def augment(images: Tensor) -> Tensor:
        n, _, height, width = images.shape
        device = images.device
        shifts = torch.randint(0, 2 * padding + 1, (2, n, 1), device=device)
        rows = shifts[0] + torch.arange(height, device=device)
        columns = shifts[1] + torch.arange(width, device=device)
        if flip:
            mirrored = torch.rand(n, 1, device=device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        framed = F.pad(images, [padding] * 4, mode=mode) if padding else images
        every = torch.arange(n, device=device)
        cut = framed[every[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return cut.permute(0, 3, 1, 2)

    return augment
