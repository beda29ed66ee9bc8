"""Which pixels each number of a network's maps depends on, followed through its own computation.

The network runs, on tensors that have the right shapes but, in place of values, hold how much each
pixel counts for each position; what its functions compute is replaced by what they do to positions.
So branches, shared layers and functions called in a `forward` are followed as they come, and a
function without a rule here is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.utils import _pair

from companion.explain.layers import (
    Pair,
    Shape,
    is_registered,
    parts_of,
    refuse_unreadable,
    twin,
    windows_of,
)
from companion.models.efficientnet import SqueezeExcitation


def followed(
    network: nn.Module, image_size: Pair, channels: int | None = None
) -> tuple[Tensor, Tensor]:
    """An image, 1×1×H×W float64, and what the network makes of it, with gradients.

    The output has the network's shape, but 1 for axes along which all positions depend on the same
    pixels, as the channels of a convolution do. All weights count as equal and positive; see
    :func:`companion.explain.receptive_field.equal_gradient`, whose arguments and errors these are.
    """
    refuse_unreadable(network)
    if channels is None:
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        convolutions = (part for part in network.modules() if isinstance(part, kinds))
        channels = next((conv.in_channels for conv in convolutions), 1)
    dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    here: list[tuple[str, nn.Module]] = []  # the layers that are computing, the innermost last
    model = _prepared(network, here)
    image = torch.ones(1, 1, *image_size, dtype=torch.float64, device="cpu").requires_grad_()
    try:
        y = model(_Followed((1, channels, *image_size), dtype, image))
        if not isinstance(y, _Followed):
            raise TypeError(f"what comes out is {_what(y)}, not one tensor made of the image")
    except (TypeError, RuntimeError, ValueError) as error:
        raise _told(error, here) from error
    return image, _full(y, (-2, -1)) if y.ndim == 4 else y.pixels


class _Followed(Tensor):
    """A tensor of the run. `pixels` has as many axes, but 1 where all positions depend alike.

    Views share `versions`, which counts the changes in place that let more pixels in.
    """

    _pixels: Tensor
    versions: list[int]
    version: int

    @staticmethod
    def __new__(
        cls, shape: Shape, dtype: torch.dtype, pixels: Tensor, versions: list[int] | None = None
    ) -> "_Followed":
        made: _Followed = Tensor._make_wrapper_subclass(
            cls, shape, dtype=dtype, device=torch.device("cpu")
        )
        made._pixels = pixels
        made.versions = [0] if versions is None else versions
        made.version = made.versions[0]
        return made

    @property
    def pixels(self) -> Tensor:
        """How much each pixel counts, as a tensor with a gradient with respect to the image."""
        if self.version != self.versions[0]:
            raise TypeError("a part of the tensor was changed in place")
        return self._pixels

    def let_in(self, pixels: Tensor) -> "_Followed":
        """Change in place what this view of a tensor depends on; other views are not known then."""
        self.versions[0] += 1
        self._pixels, self.version = pixels, self.versions[0]
        return self

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        if name == "__get__":  # of a property
            name = func.__self__.__name__
        if name in _ABOUT_SHAPES:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name.endswith("_like") or name.startswith("new_"):
            return func(*_mapped(args, _empty), **kwargs)
        in_place = name.endswith("_") and not name.endswith("__")
        rule = _RULES.get(name[:-1] if in_place else name)
        if rule is None or kwargs.get("out") is not None:
            raise TypeError(f"what {name}() does to positions is not known")
        if name == "__getitem__":
            _check_index(args[1])
        if name in ("to", "cpu", "cuda"):
            like: Any = _as_type(args, kwargs)
        else:
            like = func(*_mapped(args, _on_meta), **_mapped(kwargs, _on_meta))
        made = rule(like, *args, **kwargs)
        if in_place:
            if not isinstance(args[0], _Followed):
                raise TypeError(f"{name}() changes a tensor in place that is not made of the image")
            several = len(list(_all_followed((args, kwargs)))) > 1
            return args[0].let_in(made) if several else args[0]
        versions = args[0].versions if name in _VIEWS else None
        if isinstance(made, list):
            return tuple(_of(one, part, versions) for one, part in zip(like, made, strict=True))
        return _of(like, made, versions)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise TypeError(f"what {func}() does to positions is not known")


class _Known(nn.Module):
    """In place of a layer of which `register` has told what it does."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: _Followed) -> _Followed:
        """What is registered, for a map N×C×H×W."""
        on_meta = twin(self.layer, lambda t: torch.empty_like(t, device="meta"))
        like = on_meta(_on_meta(x))
        if x.ndim != 4 or not isinstance(like, Tensor) or like.ndim != 4:
            raise TypeError(f"it is registered for maps, but makes {_what(like)} of {_what(x)}")
        windows = windows_of(self.layer, (x.shape[2], x.shape[3]))
        if windows is None:
            return _of(like, x.pixels.mean(1, keepdim=True))
        kernel, stride, padding, dilation = zip(*windows, strict=True)
        return _of(like, _slide(like, x, kernel, stride, padding, dilation))


def _prepared(network: nn.Module, here: list[tuple[str, nn.Module]]) -> nn.Module:
    """A twin with weights of 1 that keeps a record of which layers are computing."""

    def prepared(tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.Parameter):
            # One number in memory: whatever computes new weights of it (a mask, a norm) shows.
            return torch.ones((), dtype=tensor.dtype, device="cpu").expand(tensor.shape)
        return tensor if tensor.is_meta else tensor.detach().cpu()

    def watched(name: str, module: nn.Module, original: nn.Module) -> nn.Module:
        if isinstance(original, SqueezeExcitation):
            module = nn.Identity()
        elif is_registered(original):
            module = _Known(original)
        else:
            inside = parts_of(module)
            module._modules |= {
                part: watched(f"{name}.{part}" if name else part, inside[part], child)
                for part, child in parts_of(original).items()
            }
        module.register_forward_pre_hook(lambda *_: here.append((name, original)))
        module.register_forward_hook(lambda *_: here.pop() and None)
        return module

    return watched("", twin(network, prepared), network)


def _told(error: Exception, here: list[tuple[str, nn.Module]]) -> Exception:
    """The error as a sentence that names the layer and says what to do."""
    name, module = here[-1] if here else ("", nn.Module())
    kind = type(module).__name__
    layer = f"Layer {name}, a {kind}," if name else f"The {kind}"
    if isinstance(error, TypeError):
        return TypeError(
            f"{layer} cannot be followed: {error}. If its units look at a window or at "
            f"single positions, say so: companion.explain.layers.register({kind}, windows=…)."
        )
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(f"{layer} does not compute on such images: {first}")


def _what(thing: Any) -> str:
    if isinstance(thing, Tensor):
        return f"a tensor of shape {'×'.join(map(str, thing.shape))}"
    return f"a {type(thing).__name__}"


# ------------------------------------------------------------------------------ tensors in lists


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(entry, change) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_mapped(entry, change) for entry in value])
    return value


def _all_followed(value: Any) -> Iterator[_Followed]:
    if isinstance(value, _Followed):
        yield value
    elif isinstance(value, dict):
        yield from _all_followed(list(value.values()))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _all_followed(entry)


def _on_meta(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _empty(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")


def _as_type(args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """The result of a move to another device or type, without the move."""
    told = (*args[1:], *kwargs.values())
    types = [t.dtype if isinstance(t, Tensor) else t for t in told]
    dtype = next((t for t in types if isinstance(t, torch.dtype)), args[0].dtype)
    return torch.empty(args[0].shape, dtype=dtype, device="meta")


def _of(like: Any, pixels: Tensor, versions: list[int] | None = None) -> _Followed:
    if not isinstance(like, Tensor) or like.ndim != pixels.ndim:
        raise TypeError(f"it gives {_what(like)}")
    return _Followed(tuple(like.shape), like.dtype, pixels, versions)


def _full(x: _Followed, axes: Sequence[int]) -> Tensor:
    """Its pixels with these axes as long as those of the tensor."""
    shape = list(x.pixels.shape)
    for axis in axes:
        shape[axis] = x.shape[axis]
    return x.pixels.expand(shape)


# ------------------------------------------------------------------------------ what functions do
# A rule has the arguments of torch's function behind `like`, the result's shape on the meta device.


def _together(like: Any, *args: Any, **kwargs: Any) -> Tensor:
    """What computes each position on its own: all that arrives at it counts."""
    arrived = [x.pixels for x in _all_followed((args, kwargs))]
    total = sum(arrived[1:], arrived[0])
    return total.reshape((1,) * (like.ndim - total.ndim) + total.shape)


def _mixed(axes: Any) -> Callable[..., Tensor]:
    """What mixes the positions along axes that ``axes(x, …)`` names, and keeps them."""

    def rule(like: Any, x: _Followed, *args: Any, **kwargs: Any) -> Tensor:
        named = axes(x, *args, **kwargs)
        named = (named,) if isinstance(named, int) else tuple(named)
        return x.pixels.mean(named, keepdim=True)

    return rule


def _reduced(like: Any, x: _Followed, dim: Any = None, *_: Any, **__: Any) -> Tensor:
    if isinstance(dim, Tensor):  # the larger of two, position by position
        return _together(like, x, dim)
    if isinstance(like, tuple):
        raise TypeError("it gives positions beside its maxima or minima")
    every = tuple(range(x.ndim))
    chosen = every if dim is None else (dim,) if isinstance(dim, int) else tuple(dim) or every
    return x.pixels.mean(chosen, keepdim=like.ndim == x.ndim)


def _power_norm(like: Any, x: _Followed, p: Any = None, dim: Any = None, *_: Any, **__: Any) -> Any:
    return _reduced(like, x, dim)


def _slide(
    like: Any, x: _Followed, kernel: Any, stride: Any, padding: Any, dilation: Any,
    taps: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A window over a map: each tap gets an equal share."""
    if x.ndim != 4:
        raise TypeError(f"it slides a window over {_what(x)}, not over a map N×C×H×W")
    pixels = _full(x, (2, 3)).mean(1, keepdim=True)
    kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
    if isinstance(padding, str):
        wide = 0 if padding == "valid" else 1
        padding = [wide * (d * (k - 1) // 2) for d, k in zip(dilation, kernel, strict=True)]
    frame = []  # left, right, top, bottom: what a ceil_mode or "same" adds, it adds on the far side
    for axis in (1, 0):
        near = int(_pair(padding)[axis])
        reach = (like.shape[2 + axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        frame += [near, max(near, reach - near - x.shape[2 + axis])]
    weight = pixels.new_ones(kernel) if taps is None else taps
    pixels = functional.conv2d(
        functional.pad(pixels, frame),
        (weight / weight.sum()).view(1, 1, *kernel),
        stride=stride,
        dilation=dilation,
    )
    return pixels[:, :, : like.shape[2], : like.shape[3]]


def _taps(weight: Tensor) -> Tensor | None:
    """Which taps of a kernel count: all, except those that a computation, as of a mask, made 0."""
    if isinstance(weight, _Followed):
        raise TypeError("its weights depend on the image")
    if weight.is_meta or not any(weight.stride()):
        return None
    seen = (weight != 0).flatten(0, 1).any(0).double()
    return seen if seen.any() else None


def _convolution(
    like: Any, x: _Followed, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    return _slide(like, x, weight.shape[2:], stride, padding, dilation, _taps(weight))


def _transposed(
    like: Any, x: _Followed, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:  # fmt: skip
    pixels = _full(x, (2, 3)).mean(1, keepdim=True)
    taps = _taps(weight)
    ones = pixels.new_ones(weight.shape[2:]) if taps is None else taps
    return functional.conv_transpose2d(
        pixels, ones.view(1, 1, *ones.shape), None, stride, padding, output_padding, 1, dilation
    )


def _max_pooling(
    like: Any, x: _Followed, kernel_size: Any, stride: Any = None, padding: Any = 0,
    dilation: Any = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    # The maximum hands its gradient to one pixel; the mean gives each its share.
    if return_indices:
        raise TypeError("it gives positions beside its maxima")
    stride = kernel_size if stride is None or stride == [] else stride
    return _slide(like, x, kernel_size, stride, padding, dilation)


def _mean_pooling(
    like: Any, x: _Followed, kernel_size: Any, stride: Any = None, padding: Any = 0, *_: Any,
    **__: Any,
) -> Tensor:  # fmt: skip
    return _max_pooling(like, x, kernel_size, stride, padding)


def _norm_pooling(
    like: Any, x: _Followed, norm_type: Any, kernel_size: Any, stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:  # fmt: skip
    return _max_pooling(like, x, kernel_size, stride)


def _adaptive_pooling(like: Any, x: _Followed, output_size: Any, return_indices: Any = 0) -> Tensor:
    if return_indices:
        raise TypeError("it gives positions beside its maxima")
    return functional.adaptive_avg_pool2d(_full(x, (-2, -1)), like.shape[-2:])


def _enlarged(like: Any, x: _Followed, *args: Any, **kwargs: Any) -> Tensor:
    pixels = _full(x, (2, 3)).mean(1, keepdim=True)
    return functional.interpolate(pixels, *args, **kwargs)


def _framed(
    like: Any, x: _Followed, pad: Sequence[int], mode: str = "constant", value: Any = None
) -> Tensor:
    axes = [x.ndim - 1 - number for number in range(len(pad) // 2)]
    pixels = _full(x, [axis for axis in axes if axis >= x.ndim - 2])
    kept: list[int] = []
    for number, axis in enumerate(axes):
        # New channels do not change what a map's positions depend on.
        shared = pixels.shape[axis] == 1 and like.shape[axis] != 1 and axis < x.ndim - 2
        kept += [0, 0] if shared else pad[2 * number : 2 * number + 2]
    return functional.pad(pixels, kept, mode)


def _reshaped(like: Any, x: _Followed, *_: Any, **__: Any) -> Tensor:
    if [n for n in like.shape if n != 1] == [n for n in x.shape if n != 1]:
        # Axes of length 1 come or go.
        kept = iter([n for n, side in zip(x.pixels.shape, x.shape, strict=True) if side != 1])
        return x.pixels.reshape([1 if side == 1 else next(kept) for side in like.shape])
    return x.pixels.expand(x.shape).reshape(like.shape)


def _rearranged(name: str) -> Callable[..., Tensor]:
    """What moves whole axes: it does the same to the pixels."""

    def rule(like: Any, x: _Followed, *args: Any, **kwargs: Any) -> Tensor:
        moved = getattr(x.pixels, name)
        pixels: Tensor = moved(*args, **kwargs) if callable(moved) else moved
        return pixels

    return rule


def _turned(name: str) -> Callable[..., Tensor]:
    """What moves positions along their axes: it does the same to the pixels."""

    def rule(like: Any, x: _Followed, *args: Any, **kwargs: Any) -> Tensor:
        pixels: Tensor = getattr(_full(x, range(x.ndim)), name)(*args, **kwargs)
        return pixels

    return rule


def _shuffled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """What moves channels to positions or back."""

    def rule(like: Any, x: _Followed, factor: int) -> Tensor:
        return function(_full(x, range(x.ndim)), factor)

    return rule


def _check_index(index: Any) -> None:
    for one in index if isinstance(index, tuple) else (index,):
        if one is not None and one is not Ellipsis and type(one) not in (int, slice):
            raise TypeError("it picks positions by a tensor or a list")


def _chosen(like: Any, x: _Followed, index: Any) -> Tensor:
    indices = list(index) if isinstance(index, tuple) else [index]
    axes = sum(i is not None and i is not Ellipsis for i in indices)
    if Ellipsis in indices:
        at = indices.index(Ellipsis)
        indices[at : at + 1] = [slice(None)] * (x.ndim - axes)
    axis = 0
    for number, one in enumerate(indices):
        if one is None:
            continue
        if x.pixels.shape[axis] == 1:  # all positions are alike
            indices[number] = 0 if isinstance(one, int) else slice(None)
        axis += 1
    return x.pixels[tuple(indices)]


def _split(name: str) -> Callable[..., list[Tensor]]:
    def rule(like: Any, x: _Followed, how: Any, dim: int = 0) -> list[Tensor]:
        if x.pixels.shape[dim] == 1:
            return [x.pixels] * len(like)
        return list(getattr(x.pixels, name)(how, dim))

    return rule


def _stacked(like: Any, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    maps = list(_all_followed(tensors))
    if all(x.pixels.shape[dim] == 1 for x in maps) and dim % like.ndim not in (
        like.ndim - 1,
        like.ndim - 2,
    ):
        # Channels count alike, each of the tensors as much as the others.
        return sum((x.pixels for x in maps[1:]), maps[0].pixels) / len(maps)
    common = torch.broadcast_shapes(*(_without(x.pixels.shape, dim) for x in maps))
    parts = []
    for tensor in tensors:
        shape = list(common)
        shape[dim] = tensor.shape[dim]
        known = isinstance(tensor, _Followed)
        pixels = tensor.pixels if known else maps[0].pixels.new_zeros(1)  # type: ignore[attr-defined]
        parts.append(pixels.expand(shape))
    return torch.cat(parts, dim)


def _without(shape: Shape, dim: int) -> list[int]:
    sides = list(shape)
    sides[dim] = 1
    return sides


def _multiplied(like: Any, a: Tensor, b: Tensor) -> Tensor:
    """A matrix product, of two or more axes each."""
    if min(a.ndim, b.ndim) < 2:
        raise TypeError("it multiplies a matrix by a vector")
    parts = [
        x.pixels.mean(axis, keepdim=True)
        for x, axis in ((a, -1), (b, -2))
        if isinstance(x, _Followed)
    ]
    return _together(like, [_Followed(tuple(p.shape), p.dtype, p) for p in parts])


def _last(count: Any) -> tuple[int, ...]:
    return tuple(range(-(len(count) if isinstance(count, Sequence) else 1), 0))


def _batch_axes(
    x: _Followed, mean: Any, var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, *_: Any, **__: Any,
) -> Sequence[int]:  # fmt: skip
    """Of batch normalisation: that of the one image, unless the batch gives the statistics."""
    return [axis for axis in range(x.ndim) if axis != 1] if training or mean is None else [0]


_ABOUT_SHAPES = frozenset(
    (
        "dim", "ndim", "size", "shape", "numel", "__len__", "dtype", "device", "layout", "is_cuda",
        "is_floating_point", "is_complex", "is_contiguous", "is_nested", "is_quantized",
        "requires_grad", "get_device", "element_size", "is_mkldnn", "is_meta", "is_sparse",
    )
)  # fmt: skip
_VIEWS = frozenset(
    (
        "__getitem__", "view", "view_as", "reshape", "reshape_as", "flatten", "unflatten",
        "squeeze", "unsqueeze", "permute", "transpose", "swapaxes", "swapdims", "movedim",
        "moveaxis", "T", "mT", "expand", "expand_as", "chunk", "split", "tensor_split", "detach",
        "data",
    )
)  # fmt: skip
_SINGLE_POSITIONS = (
    # activations
    "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish",
    "hardswish", "hardsigmoid", "hardtanh", "sigmoid", "logsigmoid", "log_sigmoid", "tanh",
    "softplus", "softsign", "softshrink", "hardshrink", "tanhshrink", "threshold", "_threshold",
    # left out in evaluation, or over channels only
    "dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout",
    "feature_alpha_dropout", "local_response_norm", "channel_shuffle",
    # arithmetic
    "add", "sub", "subtract", "rsub", "mul", "multiply", "div", "divide", "true_divide", "pow",
    "neg", "negative", "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__",
    "__truediv__", "__rtruediv__", "__div__", "__rdiv__", "__pow__", "__rpow__", "__neg__", "abs",
    "absolute", "__abs__", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p",
    "sin", "cos", "erf", "sign", "clamp", "clip", "clamp_min", "clamp_max", "maximum", "minimum",
    "lerp", "addcmul", "where", "round", "floor", "ceil", "gt", "lt", "ge", "le", "eq", "ne",
    "__gt__", "__lt__", "__ge__", "__le__", "__eq__", "__ne__", "nan_to_num", "masked_fill",
    "logit",
    # the same numbers
    "clone", "contiguous", "detach", "data", "to", "type", "float", "double", "half", "bfloat16",
    "cpu", "cuda", "type_as", "positive", "alias", "requires_grad", "expand", "expand_as",
)  # fmt: skip
_RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_SINGLE_POSITIONS, _together),
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "max", "min", "var", "std", "logsumexp", "prod"), _reduced
    ),
    "norm": _power_norm,
    "softmax": _mixed(lambda x, dim, *_, **__: dim),
    "log_softmax": _mixed(lambda x, dim, *_, **__: dim),
    "softmin": _mixed(lambda x, dim, *_, **__: dim),
    "normalize": _mixed(lambda x, p=2.0, dim=1, **_: dim),
    "layer_norm": _mixed(lambda x, shape, *_, **__: _last(shape)),
    "rms_norm": _mixed(lambda x, shape, *_, **__: _last(shape)),
    "group_norm": _mixed(lambda x, *_, **__: tuple(range(1, x.ndim))),
    "instance_norm": _mixed(
        lambda x, *_, use_input_stats=True, **__: range(2, x.ndim) if use_input_stats else 0
    ),
    "batch_norm": _mixed(_batch_axes),
    "linear": _mixed(lambda x, weight, bias=None: -1),
    "matmul": _multiplied, "__matmul__": _multiplied, "mm": _multiplied, "bmm": _multiplied,
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "max_pool2d": _max_pooling,
    "max_pool2d_with_indices": _max_pooling,
    "avg_pool2d": _mean_pooling,
    "lp_pool2d": _norm_pooling,
    "adaptive_avg_pool2d": _adaptive_pooling,
    "adaptive_max_pool2d": _adaptive_pooling,
    "adaptive_max_pool2d_with_indices": _adaptive_pooling,
    "interpolate": _enlarged,
    "pad": _framed,
    **dict.fromkeys(
        (
            "view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze",
            "unsqueeze",
        ),
        _reshaped,
    ),
    **{
        name: _rearranged(name)
        for name in (
            "permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "T", "mT",
        )
    },
    "pixel_shuffle": _shuffled(functional.pixel_shuffle),
    "pixel_unshuffle": _shuffled(functional.pixel_unshuffle),
    "flip": _turned("flip"),
    "roll": _turned("roll"),
    "__getitem__": _chosen,
    "chunk": _split("chunk"), "split": _split("split"), "tensor_split": _split("tensor_split"),
    "cat": _stacked, "concat": _stacked, "concatenate": _stacked,
}  # fmt: skip
