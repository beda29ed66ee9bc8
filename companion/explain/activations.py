"""What the layers of a network compute for given images, and the weights they do it with."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from companion.explain.passes import evaluating, first_pass, for_model, hooked, named_layers


@torch.no_grad()
def activations(
    model: nn.Module,
    images: Tensor,
    layers: Iterable[str],
    *,
    keep: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """What each of the named layers puts out for the images: one tensor N×… a name, on the CPU.

    The layer's output itself, before a following layer that works in place changes it. A layer that
    computes several times in one pass gives what it put out last. The model is left as it was.

    Args:
        images: N×C×H×W, or one image C×H×W, floats in [0, 1].
        layers: names of `model.named_modules()`; what leads to it may be left out.
        keep: what is kept of an output, N×… → N×…, where all of it would fill the memory.

    Raises:
        ValueError: a name that is not there (the sentence has those that are), a layer that did not
            compute or put out no tensor; images that are none.
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    found = named_layers(model, names)
    x = for_model(model, images)
    seen: dict[nn.Module, Any] = {}

    def see(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            output = (output if keep is None else keep(output)).to("cpu", copy=True)
        seen[module] = output

    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    with evaluating(model):
        _, size = first_pass(model, x[:1])
        with hooked(set(found.values()), see):
            for batch in x.split(size):
                seen.clear()
                model(batch)
                for name, module in found.items():
                    output = seen.get(module)
                    if not isinstance(output, Tensor) or len(output) != len(batch):
                        what = type(output).__name__ if module in seen else "nothing"
                        raise ValueError(
                            f"Layer {name!r} has no activations to show: it gave {what}, not a "
                            "tensor with one entry an image."
                        )
                    parts[name].append(output)
    return {name: torch.cat(part) for name, part in parts.items()}


def embed(model: nn.Module, images: Tensor, layer: str) -> Tensor:
    """The images as points in the space of a layer: N×F float32, its output flattened.

    Arguments and errors as in :func:`activations`.
    """
    return activations(model, images, [layer])[layer].flatten(1).float()


def channel_filters(model: nn.Module, layer: str) -> Tensor:
    """The weights of a convolution as pictures: out×in×height×width, float32 in [0, 1], on the CPU.

    0.5 is a weight of 0; the largest weight of a filter, by amount, is 0 or 1. With three channels
    that see an RGB image, `[k]` is a picture in colour; with more, each `[k, c]` is one in grey.

    Raises ValueError for a name that is not there, or not a two-dimensional convolution's.
    """
    (module,) = named_layers(model, [layer]).values()
    if not isinstance(module, nn.Conv2d):
        known = ", ".join(n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)) or "none"
        raise ValueError(
            f"Layer {layer!r} is a {type(module).__name__} and has no filters; the convolutions of "
            f"this model are {known}."
        )
    weight = module.weight.detach().float().cpu()
    largest = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    return 0.5 + weight / largest / 2
