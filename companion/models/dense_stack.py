"""Several small networks of dense layers, trained side by side: one for each seed."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.models.images import check_at_least_1


class DenseStack(nn.Module):
    """As many networks as there are seeds, each with weights of its own: S×N×in → S×N×out.

    ``sizes`` are the widths from the input to the output; leaky ReLU of slope 0.2 follows each
    layer but the last. Weights start from N(0, 2/in), those of the last layer from N(0, 1/in),
    biases at 0. A loss that is summed over the networks moves each as if it were alone, as long as
    the optimizer treats every weight by itself (SGD, Adam): ten runs take little more than one.

    Raises ValueError for fewer than two sizes, sizes below 1, and no seed.
    """

    def __init__(self, sizes: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        if len(sizes) < 2 or not seeds:
            raise ValueError(f"expected two sizes or more and a seed, got {sizes} and {seeds}")
        for size in sizes:
            check_at_least_1(size=size)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        last = len(sizes) - 2
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (inward, outward) in enumerate(pairwise(sizes)):
            std = math.sqrt((1 if layer == last else 2) / inward)
            drawn = [torch.randn(inward, outward, generator=g) for g in generators]
            self.weights.append(std * torch.stack(drawn))
            self.biases.append(torch.zeros(len(seeds), 1, outward))

    def forward(self, x: Tensor) -> Tensor:
        """Rows for each network, S×N×in, or the same rows for all, N×in → S×N×out."""
        h = x.expand(len(self.weights[0]), *x.shape[-2:])
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if layer < last:
                h = F.leaky_relu(h, 0.2)
        return h
