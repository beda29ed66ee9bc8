"""Gradients in terms that ONNX has: rules by which a traced training step is rewritten.

ONNX has operators for networks, none for the gradients of their layers. Most gradients PyTorch
itself writes as sums and products; these rules are for the rest. Each takes the arguments of the
`aten` operator that it stands for and returns what that returns.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

aten = torch.ops.aten


def rules() -> dict[Any, Callable[..., Any]]:
    """Operator → rule, as `make_fx` takes them: PyTorch's own for gradients, and ours.

    Operators with several results are taken apart, too: what they keep for the gradient is not
    always right in their translations to ONNX (the number of labels of `nll_loss_forward`).
    """
    core = core_aten_decompositions()
    table: dict[Any, Callable[..., Any]] = {
        operator: rule
        for operator, rule in core.items()
        if "backward" in str(operator) or len(operator._schema.returns) > 1
    }
    with_logits = aten.binary_cross_entropy_with_logits.default  # of log_sigmoid, too
    return table | {
        aten.pow.Tensor_Scalar: _power,
        aten.convolution.default: _convolution,
        with_logits: core[with_logits],
        aten.log_sigmoid_forward.default: _log_sigmoid,
        aten.convolution_backward.default: _convolution_backward,
        aten.native_batch_norm.default: _batch_norm,
        aten._native_batch_norm_legit.default: _batch_norm,
        aten._native_batch_norm_legit.no_stats: _batch_norm_without_statistics,
        aten.native_batch_norm_backward.default: _batch_norm_backward,
        aten.avg_pool2d.default: _avg_pool,
        aten.avg_pool2d_backward.default: _avg_pool_backward,
        aten.avg_pool3d_backward.default: _avg_pool_backward,
        aten._adaptive_avg_pool2d.default: _adaptive_avg_pool,
        aten._adaptive_avg_pool2d_backward.default: _adaptive_avg_pool_backward,
        aten.max_pool2d_with_indices.default: _max_pool,
        aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
        aten.adaptive_max_pool2d_backward.default: _adaptive_max_pool_backward,
        aten.upsample_nearest2d_backward.default: _upsample_nearest_backward,
        aten.upsample_bilinear2d.default: _upsample_bilinear,
        aten.upsample_bilinear2d_backward.default: _upsample_bilinear_backward,
    }


def _power(x: Tensor, exponent: float) -> Any:
    # ONNX's Pow takes ten times as long as a product.
    return x * x if exponent == 2 else NotImplemented


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    """A transposed one that adds as many rows as its stride, or more, which ONNX does not allow.

    PyTorch does where the dilation is larger: the whole result is made, and cut out of it.
    """
    if not transposed or all(more < s for more, s in zip(output_padding, stride, strict=True)):
        return NotImplemented
    none = [0] * len(stride)
    y = aten.convolution(x, weight, None, stride, none, dilation, True, none, groups)
    for dim, (cut, more) in enumerate(zip(padding, output_padding, strict=True), start=2):
        size = y.shape[dim] - 2 * cut + more
        if missing := max(0, more - cut):
            y = torch.nn.functional.pad(y, [0, 0] * (y.ndim - 1 - dim) + [0, missing])
        y = y.narrow(dim, cut, size)
    return y if bias is None else y + _per_channel(bias, y)


def _log_sigmoid(x: Tensor) -> tuple[Tensor, Tensor]:
    # A page's sigmoid is a little below 0 for x < −17, and has no logarithm.
    kept = torch.exp(-x.abs())
    return x.clamp(max=0) - torch.log1p(kept), kept


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradient of a convolution is made of convolutions, in any number of dimensions.

    With respect to x it is the transposed convolution with the same weights (and the other way
    round). With respect to the weights it is the convolution of the larger of the two images with
    the smaller one, in which images and channels, stride and dilation have changed places.
    """
    none = [0] * len(stride)
    of_x = of_weight = of_bias = None
    if wanted[0] and transposed:
        of_x = aten.convolution(
            gradient, weight, None, stride, padding, dilation, False, none, groups
        )
        of_x = _cropped(of_x, x.shape[2:])
    elif wanted[0]:
        # A stride may have left pixels at the end that no window reached.
        missing = [
            x.shape[i + 2] - (gradient.shape[i + 2] - 1) * stride[i] + 2 * padding[i]
            - dilation[i] * (weight.shape[i + 2] - 1) - 1
            for i in range(len(stride))
        ]  # fmt: skip
        of_x = aten.convolution(
            gradient, weight, None, stride, padding, dilation, True, missing, groups
        )
    if wanted[1]:
        large, small = (gradient, x) if transposed else (x, gradient)
        count, channels = large.shape[:2]
        if groups == 1:
            large = large.transpose(0, 1)
        else:  # the channels of a group become images, and each group keeps its own
            large = large.reshape(count, groups, channels // groups, *large.shape[2:])
            large = large.transpose(0, 2)
            large = large.reshape(channels // groups, groups * count, *large.shape[3:])
        of_weight = aten.convolution(
            large, small.transpose(0, 1), None, dilation, padding, stride, False, none, groups
        )
        of_weight = _cropped(of_weight, weight.shape[2:]).transpose(0, 1)
    if wanted[2]:
        of_bias = gradient.sum([0, *range(2, gradient.ndim)])
    return of_x, of_weight, of_bias


def _cropped(x: Tensor, sizes: Sequence[int]) -> Tensor:
    for dim, size in enumerate(sizes, start=2):
        if x.shape[dim] != size:
            x = x.narrow(dim, 0, size)
    return x


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised x, and the mean and 1/σ that did it; in training the running ones are updated."""
    dims = _all_but_channels(x)
    if training or running_mean is None or running_var is None:
        mean = x.mean(dims)
        var = (x - _per_channel(mean, x)).square().mean(dims)
        if running_mean is not None and running_var is not None:
            count = x.numel() // x.shape[1]
            unbiased = var * (count / (count - 1))
            running_mean.copy_((1 - momentum) * running_mean + momentum * mean)
            running_var.copy_((1 - momentum) * running_var + momentum * unbiased)
    else:
        mean, var = running_mean, running_var
    inverse = torch.rsqrt(var + eps)
    y = (x - _per_channel(mean, x)) * _per_channel(inverse, x)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    return y, mean, inverse


def _batch_norm_without_statistics(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return _batch_norm(x, weight, bias, None, None, training, momentum, eps)


def _batch_norm_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    saved_mean: Tensor,
    saved_inverse: Tensor,
    training: bool,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Ioffe & Szegedy (2015), §3; in evaluation mode mean and σ are constants.

    They are what `_batch_norm` returned, in both modes.
    """
    mean, inverse = saved_mean, saved_inverse
    dims = _all_but_channels(x)
    normalised = (x - _per_channel(mean, x)) * _per_channel(inverse, x)
    of_bias = gradient.sum(dims)
    of_weight = (gradient * normalised).sum(dims)
    of_x = gradient
    if training:
        count = x.numel() // x.shape[1]
        of_x = (
            gradient
            - _per_channel(of_bias / count, x)
            - normalised * _per_channel(of_weight / count, x)
        )
    of_x = of_x * _per_channel(inverse if weight is None else inverse * weight, x)
    return of_x, of_weight if wanted[1] else None, of_bias if wanted[2] else None


def _all_but_channels(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 2))


def _max_pool(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    """Of windows that go beyond the image, PyTorch leaves out those that begin there; ONNX may not.

    So the image gets as many rows and columns as they take.
    """
    if not ceil_mode:
        return NotImplemented
    stride, more = stride or kernel_size, []
    for i, size in enumerate(x.shape[-2:]):
        room = size + 2 * padding[i] - dilation[i] * (kernel_size[i] - 1) - 1
        steps = min(-(-room // stride[i]), (size + padding[i] - 1) // stride[i])
        more.append(max(0, steps * stride[i] - room))
    rows, columns = more
    framed = torch.nn.functional.pad(x, [0, columns, 0, rows], value=-math.inf)
    y, indices = aten.max_pool2d_with_indices(framed, kernel_size, stride, padding, dilation, False)
    # A maximum's place is counted row by row, and the rows have become longer.
    return y, indices - indices // framed.shape[-1] * columns


def _max_pool_backward(
    gradient: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    return _adaptive_max_pool_backward(gradient, x, indices)


def _adaptive_max_pool_backward(gradient: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """Each maximum's gradient goes to where it came from, a place counted row by row."""
    into = torch.zeros_like(x).flatten(-2)
    return into.scatter_add(-1, indices.flatten(-2), gradient.flatten(-2)).view(x.shape)


# Average pooling and interpolation are linear, and act along one dimension after the other: each is
# a product with one small matrix for every dimension, which the operator itself
# makes of the identity. The gradient is the product with its transpose.


def _avg_pool(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    if not ceil_mode:  # where ONNX and PyTorch have the same windows
        return NotImplemented
    windows = kernel_size, stride or kernel_size, padding, ceil_mode, count_include_pad, divisor
    for dim in (-2, -1):
        x = _along(x, dim, _window_means(x.shape[dim], dim, *windows).T)
    return x


def _avg_pool_backward(
    gradient: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    windows = kernel_size, stride or kernel_size, padding, ceil_mode, count_include_pad, divisor
    for dim in range(-len(kernel_size), 0):
        if (kernel_size[dim], windows[1][dim], padding[dim]) != (1, 1, 0):
            gradient = _along(gradient, dim, _window_means(x.shape[dim], dim, *windows))
    return gradient


def _window_means(
    size: int,
    dim: int,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """How much each position counts for each window's mean along `dim`."""
    if divisor is not None:  # ONNX's pooling has none
        raise ValueError("average pooling with divisor_override can't be exported")
    window = [[kernel_size[dim], 1], [stride[dim], 1], [padding[dim], 0]]
    with disable_proxy_modes_tracing():
        line = torch.eye(size).view(size, 1, size, 1)
        means: Tensor = aten.avg_pool2d(line, *window, ceil_mode, count_include_pad)
        return means.view(size, -1)


def _adaptive_avg_pool(x: Tensor, output_size: Sequence[int]) -> Tensor:
    for dim in (-2, -1):
        x = _along(x, dim, _adaptive_means(x.shape[dim], output_size[dim]).T)
    return x


def _adaptive_avg_pool_backward(gradient: Tensor, x: Tensor) -> Tensor:
    for dim in (-2, -1):
        gradient = _along(gradient, dim, _adaptive_means(x.shape[dim], gradient.shape[dim]))
    return gradient


def _adaptive_means(before: int, after: int) -> Tensor:
    with disable_proxy_modes_tracing():
        means: Tensor = aten.adaptive_avg_pool1d(torch.eye(before), [after])
        return means


def _upsample_nearest_backward(
    gradient: Tensor, output_size: Sequence[int], input_size: Sequence[int], *scales: float | None
) -> Tensor:
    for dim, scale in zip((-2, -1), scales or (None, None), strict=True):
        with disable_proxy_modes_tracing():
            line = torch.eye(input_size[dim])[None]
            copies = aten.upsample_nearest1d(line, [output_size[dim]], scale)[0]
        gradient = _along(gradient, dim, copies)
    return gradient


def _upsample_bilinear(
    x: Tensor, output_size: Sequence[int], align_corners: bool, *scales: float | None
) -> Tensor:
    for dim, scale in zip((-2, -1), scales or (None, None), strict=True):
        x = _along(x, dim, _linear(x.shape[dim], output_size[dim], align_corners, scale).T)
    return x


def _upsample_bilinear_backward(
    gradient: Tensor,
    output_size: Sequence[int],
    input_size: Sequence[int],
    align_corners: bool,
    *scales: float | None,
) -> Tensor:
    for dim, scale in zip((-2, -1), scales or (None, None), strict=True):
        between = _linear(input_size[dim], output_size[dim], align_corners, scale)
        gradient = _along(gradient, dim, between)
    return gradient


def _linear(before: int, after: int, align_corners: bool, scale: float | None) -> Tensor:
    with disable_proxy_modes_tracing():
        line = torch.eye(before)[None]
        between: Tensor = aten.upsample_linear1d(line, [after], align_corners, scale)[0]
        return between


def _along(x: Tensor, dim: int, matrix: Tensor) -> Tensor:
    """The product of the matrix with every line of x along `dim`, which is counted from the end."""
    if dim == -1:
        return x @ matrix.T
    if dim == -2:
        return matrix @ x
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    lines = matrix @ x.reshape(*before, x.shape[dim], math.prod(after))
    return lines.view(*before, len(matrix), *after)
