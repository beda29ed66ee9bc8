"""What single layers do: which positions of its input a unit looks at, and what that multiplies.

The tables, the explorers and the gradients' fields all ask here. A layer that is not known here is
refused, never taken for one that looks at single positions: :func:`register` makes it known.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import Any, NamedTuple, NoReturn

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.utils import _pair, _quadruple
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from companion.models.classifier import Standardise
from companion.models.efficientnet import SamePadding, StochasticDepth
from companion.models.resnet import PaddedShortcut

Pair = tuple[int, int]
Shape = tuple[int, ...]


class Window(NamedTuple):
    """A layer that slides a window, a convolution or a pooling, along one axis.

    `dilation` is the distance between neighbouring taps of the window; `padding` the zeros put
    before the first pixel.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Positions from the window's first tap to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def check(self) -> None:
        """Raise a ValueError that says what is wrong, if there is no such window."""
        least = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
        for (name, value), low in zip(self._asdict().items(), least.values(), strict=True):
            if not isinstance(value, int) or value < low:
                raise ValueError(f"A window's {name} must be an integer from {low}, got {value!r}.")


Windows = tuple[Window, Window]


class _Rule(NamedTuple):
    windows: Callable[[Any], Window | Windows | None]
    multiplications: Callable[[Any, Shape], int]


_REGISTERED: dict[type[nn.Module], _Rule] = {}


def register(
    layer: type[nn.Module],
    windows: "Window | Windows | Callable[[Any], Window | Windows | None] | None" = None,
    multiplications: "int | Callable[[Any, Shape], int]" = 0,
) -> None:
    """Say what a layer of your own does, for tables, explorers and fields of networks with it.

    Args:
        layer: its class. A subclass with a `forward` of its own needs its own registration.
        windows: the window that it slides over its input: one for both axes, or a pair (vertical,
            horizontal). None: each unit looks at its own position alone, as an activation does.
        multiplications: how many it takes for one image.

    Both may be functions, of the layer, and of the layer and its output's shape (C, H, W). What is
    registered is believed; a block whose parts should have rows of their own rather registers
    its paths (:data:`companion.explain.layer_table.paths`). Chapter 5.

        register(Blur, windows=lambda blur: Window(blur.size, padding=blur.size // 2))

    Raises:
        TypeError: no class of layers, or no windows. ValueError: a window that cannot be.
    """
    if not (isinstance(layer, type) and issubclass(layer, nn.Module)):
        raise TypeError(f"register takes a class of layers (an nn.Module), got {layer!r}.")
    if not callable(windows):
        _as_windows(windows)
    if not callable(multiplications) and (
        isinstance(multiplications, bool) or not isinstance(multiplications, int)
    ):
        raise TypeError(f"multiplications must be a whole number, got {multiplications!r}.")
    _REGISTERED[layer] = _Rule(
        windows if callable(windows) else lambda _: windows,
        multiplications if callable(multiplications) else lambda _, shape: multiplications,
    )


def is_registered(module: nn.Module) -> bool:
    """Whether :func:`register` has told what this layer does."""
    return _class_of(module) in _REGISTERED


def windows_of(layer: nn.Module, map_size: Pair = (1, 1)) -> Windows | None:
    """The windows of a layer, vertical and horizontal; None if it looks at single positions.

    `map_size` is the height and width of the layer's input: what an adaptive pooling divides.

    Raises TypeError for a layer that slides no window over its input (up-sampling, transposed
    convolution), for one whose windows differ in size or cover the whole map, and for one that is
    not known: :func:`register` makes it known.
    """
    kind = _class_of(layer)
    if kind in _REGISTERED:
        return _as_windows(_REGISTERED[kind].windows(layer))
    if kind in _OF_SINGLE_POSITIONS:
        return None
    if kind is None or kind not in _OF_WINDOWS:
        refuse_layer(layer)
    return _OF_WINDOWS[kind](layer, map_size)


def multiplications_of(layer: nn.Module, output_shape: Shape) -> int:
    """Multiplications of a layer that :func:`windows_of` knows, or of a dense one, for one image.

    Only convolutions, dense layers and what is registered have any here.
    """
    kind = _class_of(layer)
    if kind in _REGISTERED:
        return int(_REGISTERED[kind].multiplications(layer, output_shape))
    if isinstance(layer, nn.Conv2d):
        fan_in = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        return math.prod(output_shape) * fan_in
    return math.prod(output_shape) * layer.in_features if isinstance(layer, nn.Linear) else 0


def computes_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether the module is of this kind and computes as it does, with no `forward` of its own."""
    same = isinstance(module, kind) and type(module).forward is kind.forward
    if same and issubclass(kind, nn.Conv2d):
        same = type(module)._conv_forward is kind._conv_forward  # type: ignore[attr-defined]
    return same and type(module).__call__ is nn.Module.__call__ and "forward" not in vars(module)


def refuse_layer(layer: nn.Module) -> NoReturn:
    """Raise the TypeError for a layer of which it is not known what its units see."""
    name = type(layer).__name__
    if isinstance(layer, nn.ConvTranspose2d | nn.Upsample | nn.PixelShuffle):
        raise TypeError(
            f"A {name} makes its input larger: its units have no effective stride in whole pixels, "
            "so receptive fields end here."
        )
    if isinstance(layer, _OF_WHOLE_MAPS):
        raise TypeError(
            f"The statistics of a {name} cover the whole map, so each unit sees all of the image. "
            f"If they are to be left out: companion.explain.layers.register({name})."
        )
    raise TypeError(
        f"What the units of a {name} see is not known here: say it with "
        f"companion.explain.layers.register({name}, windows=…)."
    )


def refuse_unreadable(network: nn.Module) -> None:
    """Raise an error if layers do not know their channels yet, or no longer show what they are.

    ValueError for lazy layers, TypeError for those that TorchScript has compiled.
    """
    for name, module in network.named_modules():
        if isinstance(module, ScriptModule):
            layer = f"Layer {name} is" if name else "The network is"
            raise TypeError(
                f"{layer} compiled by TorchScript, which hides its layers: give the module that it "
                "was made from."
            )
        if any(is_lazy(parameter) for parameter in module.parameters(recurse=False)):
            raise ValueError(
                f"Layer {name}, a {type(module).__name__}, does not know its shapes yet: call the "
                "network once on a batch of images."
            )


def twin(network: nn.Module, tensor: Callable[[Tensor], Tensor]) -> nn.Module:
    """A copy of the structure in evaluation mode, without hooks; the network stays as it is.

    Each parameter, buffer and other attribute that is a tensor becomes ``tensor(it)``.
    """
    twins: dict[int, nn.Module] = {}

    def own(value: Any, module: nn.Module, made: nn.Module) -> Any:
        if isinstance(value, MethodType) and value.__self__ is module:
            return MethodType(value.__func__, made)
        return tensor(value) if isinstance(value, Tensor) else value

    def copied(module: nn.Module) -> nn.Module:
        if id(module) in twins:
            return twins[id(module)]
        twins[id(module)] = made = module.__class__.__new__(module.__class__)
        # Not copy.copy: parametrised modules refuse it.
        made.__dict__ = {name: own(value, module, made) for name, value in vars(module).items()}
        made.training = False
        for name in vars(module):
            if name.startswith(("_forward_", "_backward_")):
                made.__dict__[name] = OrderedDict()
        for part in ("_parameters", "_buffers"):
            made.__dict__[part] = {
                name: None if value is None else tensor(value)
                for name, value in getattr(module, part).items()
            }
        made._modules = {
            name: None if child is None else copied(child)
            for name, child in module._modules.items()
        }
        return made

    return copied(network)


def parts_of(module: nn.Module) -> dict[str, nn.Module]:
    """The modules inside of a module by name, in order; one used in two places has two names."""
    hidden = {"parametrizations"} if is_parametrized(module) else set()
    return {
        name: child
        for name, child in module._modules.items()
        if child is not None and name not in hidden
    }


def _class_of(module: nn.Module) -> type[nn.Module] | None:
    """The known class as which the module computes."""
    for kind in type(module).__mro__:
        known = kind in _REGISTERED or kind in _OF_WINDOWS or kind in _OF_SINGLE_POSITIONS
        if known or kind in (nn.Linear, nn.Flatten):
            return kind if computes_as(module, kind) else None
    return None


def _as_windows(windows: Any) -> Windows | None:
    if windows is None:
        return None
    pair = (windows, windows) if isinstance(windows, Window) else windows
    if not (
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(w, Window) for w in pair)
    ):
        raise TypeError(f"windows must be a Window, a pair of them or None, got {windows!r}.")
    for window in pair:
        window.check()
    vertical, horizontal = pair
    return vertical, horizontal


# ------------------------------------------------------------------ the layers of torch and ours


def _both(kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Windows:
    axes = zip(_pair(kernel), _pair(stride), _pair(padding), _pair(dilation), strict=True)
    vertical, horizontal = (Window(*map(int, axis)) for axis in axes)
    return vertical, horizontal


def _convolution(layer: nn.Conv2d, _: Pair) -> Windows:
    if layer.padding == "same":
        axes = zip(layer.dilation, layer.kernel_size, strict=True)
        padding: Any = tuple(d * (k - 1) // 2 for d, k in axes)
    else:
        padding = 0 if layer.padding == "valid" else layer.padding
    return _both(layer.kernel_size, layer.stride, padding, layer.dilation)


def _max_pooling(layer: nn.MaxPool2d, _: Pair) -> Windows:
    if layer.return_indices:
        raise TypeError(
            f"{layer} gives positions beside its maxima: take return_indices=False, which changes "
            "nothing else."
        )
    return _both(layer.kernel_size, layer.stride, layer.padding, layer.dilation)


def _mean_pooling(layer: nn.AvgPool2d, _: Pair) -> Windows:
    return _both(layer.kernel_size, layer.stride, layer.padding)


def _norm_pooling(layer: nn.LPPool2d, _: Pair) -> Windows:
    return _both(layer.kernel_size, layer.kernel_size if layer.stride is None else layer.stride)


def _adaptive_pooling(layer: Any, map_size: Pair) -> Windows:
    if getattr(layer, "return_indices", False):
        raise TypeError(f"{layer} gives positions beside its maxima: take return_indices=False.")
    sides = [
        side if wanted is None else wanted
        for wanted, side in zip(_pair(layer.output_size), map_size, strict=True)
    ]
    if any(side % wanted for side, wanted in zip(map_size, sides, strict=True)):
        raise TypeError(
            f"{layer} has windows of several sizes on a map of {map_size[0]}×{map_size[1]}: only "
            "an adaptive pooling to a number of positions that divides the map has receptive "
            "fields here."
        )
    windows = tuple(side // wanted for side, wanted in zip(map_size, sides, strict=True))
    return _both(windows, windows)


def _padding(layer: Any, _: Pair) -> Windows:
    left, _right, top, _bottom = _quadruple(layer.padding)
    if min(_quadruple(layer.padding)) < 0:
        raise TypeError(f"{layer} cuts pixels off: give its units windows that say so.")
    return Window(1, padding=int(top)), Window(1, padding=int(left))


def _same_padding(layer: SamePadding, map_size: Pair) -> Windows:
    vertical, horizontal = (Window(1, padding=layer.before_and_after(n)[0]) for n in map_size)
    return vertical, horizontal


def _batch_norm(layer: Any, _: Pair) -> None:
    if layer.running_mean is None:
        raise TypeError(
            f"A {type(layer).__name__} without running statistics takes those of the batch, also "
            "in evaluation: each unit sees all of all images."
        )


def _softmax(layer: Any, map_size: Pair) -> None:
    if layer.dim not in (1, -3):
        raise TypeError(f"{layer} mixes positions of the map: over its channels it would be dim=1.")


def _subsampling(layer: PaddedShortcut, _: Pair) -> Windows:
    return _both(1, layer.stride)


_OF_WINDOWS: dict[type[nn.Module], Callable[[Any, Pair], Windows | None]] = {
    nn.Conv2d: _convolution,
    nn.MaxPool2d: _max_pooling,
    nn.AvgPool2d: _mean_pooling,
    nn.LPPool2d: _norm_pooling,
    nn.AdaptiveAvgPool2d: _adaptive_pooling,
    nn.AdaptiveMaxPool2d: _adaptive_pooling,
    nn.ZeroPad2d: _padding,
    nn.ConstantPad2d: _padding,
    nn.ReflectionPad2d: _padding,
    nn.ReplicationPad2d: _padding,
    nn.CircularPad2d: _padding,
    SamePadding: _same_padding,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Softmax: _softmax,
    nn.LogSoftmax: _softmax,
    nn.Softmin: _softmax,
    PaddedShortcut: _subsampling,
}
_OF_SINGLE_POSITIONS: frozenset[type[nn.Module]] = frozenset(
    (
        nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout,
        nn.FeatureAlphaDropout, nn.LocalResponseNorm, nn.ChannelShuffle, nn.Softmax2d,
        nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU,
        nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.LogSigmoid,
        nn.Tanh, nn.Softplus, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
        nn.Threshold, Standardise, StochasticDepth,
    )
)  # fmt: skip
_OF_WHOLE_MAPS = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.InstanceNorm2d)
