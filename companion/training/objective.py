"""What a step minimises: the loss of the model on a batch, checked where it goes wrong."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from companion.training.arguments import Loss
from companion.training.augmentation import Augmentation
from companion.training.devices import to_memory_format

# As a tensor, so that uint8 / 255 is float32 whatever torch.set_default_dtype says.
_WHITE = torch.tensor(255.0, dtype=torch.float32, device="cpu")


class Objective(nn.Module):
    """Augmentation, model and loss as one module, so that autocast, and DDP, surround all of it.

    In training mode the model is too, but for the modules named in `held`: those stay in evaluation
    mode. A loss that is a module keeps the modes that it has.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        augment: Augmentation | None,
        layout: torch.memory_format,
        held: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.model, self.loss, self.augment, self.layout = model, loss, augment, layout
        self.held = [model.get_submodule(name) for name in held]
        function = loss.forward if isinstance(loss, nn.Module) else loss
        self.tells_progress = "progress" in inspect.signature(function).parameters
        self.worked: set[bool] = set()  # True for training, False for validation
        self.checks_left = 2  # of what the loss depends on: in the first two steps of an epoch
        self.strange: list[Tensor] = []

    def train(self, mode: bool = True) -> "Objective":
        """Switch the model, not the loss, between training and evaluation mode."""
        self.training, self.checks_left = mode, 2
        self.model.train(mode)
        for module in self.held:
            module.training = False
        return self

    def forward(
        self, pixels: Tensor, labels: Tensor | None, progress: float | Callable[[], Tensor]
    ) -> dict[str, Tensor]:
        """The entries of the loss. Raises TypeError or ValueError for a loss that cannot work.

        `progress` is a number, or a function that gives it as a tensor on the device.
        """
        images = pixels if pixels.is_floating_point() else pixels / _WHITE
        if self.augment is not None and self.training:
            images = _augmented(images, self.augment)
        images = to_memory_format(images, self.layout)
        told = progress() if callable(progress) else progress
        more = {"progress": told} if self.tells_progress else {}
        try:
            value = self.loss(self.model, images, labels, **more)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
            if self.training in self.worked:
                raise
            which = "its first batch" if self.training else "the validation set's first batch"
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(
                f"the loss failed on {which}, images {_in_words(images)} and labels "
                f"{_in_words(labels)}: {_first_line(error)}{_remedy(error, images.device)}"
            ) from error
        self.worked.add(self.training)
        entries = entries_of(value)
        if torch.is_grad_enabled() and not entries["loss"].requires_grad:
            raise ValueError(
                "the loss does not depend on the model's parameters: nothing could be learnt"
            )
        if torch.is_grad_enabled() and self.checks_left:
            self.checks_left -= 1
            own = self.model.parameters()
            self.strange = foreign_leaves(entries["loss"], self.loss, own, self.strange)
        return entries


def foreign_leaves(
    value: Tensor, loss: Loss, own: Iterable[Tensor], before: Iterable[Tensor]
) -> list[Tensor]:
    """What a loss's `value` depends on beside the model's `own` parameters.

    A tensor that is no `nn.Parameter` may be made for one batch, to differentiate by it; one that
    two batches depend on, this and the one that gave the leaves `before`, is a weight.

    Raises:
        ValueError: there are such weights; they would collect gradients and never change.
    """
    leaves = list(_leaves(value))
    known, earlier = {id(p) for p in own}, {id(x) for x in before}
    strange = [leaf for leaf in leaves if id(leaf) not in known]
    weights = [x for x in strange if isinstance(x, nn.Parameter) or id(x) in earlier]
    if not weights:
        return strange
    if len(strange) == len(leaves):
        raise ValueError(
            "the loss does not depend on the parameters of the model that it is given, but on "
            "others (another model's, perhaps): nothing could be learnt"
        )
    modules = loss.named_parameters() if isinstance(loss, nn.Module) else ()
    names = {id(p): f"its parameter {name}" for name, p in modules}
    first = names.get(id(weights[0]), f"a tensor of shape {tuple(weights[0].shape)}")
    raise ValueError(
        f"the loss depends on {first} that requires gradients and is not one of the model's "
        "parameters, which alone are trained: make it a part of the model, or call "
        "requires_grad_(False) on it"
    )


def modules_to_hold(model: nn.Module, before: Sequence[str] | None = None) -> list[str]:
    """Names of the modules that stay in evaluation mode while the model is trained.

    Those that are in it, if any other is in training mode: the caller has chosen. A model that is
    in evaluation mode as a whole, as `fit` and `recipes.load` return it, is trained, except for
    what is frozen in it, modules whose parameters all require no gradient; or, if its training goes
    on from a checkpoint, except for the modules that stood still `before`.
    """
    modules = dict(model.named_modules())
    if any(module.training for module in modules.values()):
        return [name for name, module in modules.items() if not module.training]
    if before is not None:
        return [name for name in modules if name in before]
    frozen = {part for module in model.modules() if _is_frozen(module) for part in module.modules()}
    return [name for name, module in modules.items() if module in frozen]


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The tensors that the gradient of the loss ends in."""
    nodes: list[Any] = [loss.grad_fn]
    seen = set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            yield node.variable
        nodes += [following for following, _ in node.next_functions]


def _augmented(images: Tensor, augment: Augmentation) -> Tensor:
    changed = augment(images)
    if not isinstance(changed, Tensor) or changed.shape[0] != len(images) or changed.ndim != 4:
        came = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise ValueError(
            f"augment must give as many images as it takes, {tuple(images.shape)}, got {came}"
        )
    return changed


def entries_of(value: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a loss gave by name, in its order. Raises TypeError or ValueError."""
    entries = dict(value) if isinstance(value, Mapping) else {"loss": value}
    for name, entry in entries.items():
        if not isinstance(entry, Tensor) or entry.ndim:
            came = tuple(entry.shape) if isinstance(entry, Tensor) else type(entry).__name__
            hint = "; return its field `total`" if hasattr(entry, "total") else ""
            raise TypeError(f"the loss must give scalar tensors, but {name!r} is {came}{hint}")
    if "loss" not in entries:
        raise ValueError(f"the loss must have an entry 'loss', but has only {list(entries)}")
    return entries


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else repr(error)


def _remedy(error: Exception, device: torch.device) -> str:
    """What helps where the loss fails in 16 bits only."""
    text = str(error)
    signs = ("autocast", "dtype", "scalar type", "BFloat16", "Half")
    if not torch.is_autocast_enabled(device.type) or not any(sign in text for sign in signs):
        return ""
    if "binary_cross_entropy" in text:
        return "; take binary_cross_entropy_with_logits, or precision='fp32'"
    return "; the model computes in 16 bits: call .float() on what it gives, or precision='fp32'"


def _in_words(tensor: Tensor | None) -> str:
    if tensor is None:
        return "None"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
