"""Many small models trained at once: for comparisons in which each rival has its own best rate."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from companion.threads import limit_threads


def fit_side_by_side(
    models: Sequence[nn.Module],
    x: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    lr: Sequence[float],
    *,
    epochs: int,
    batch_size: int,
    seeds: Sequence[int],
    momentum: float = 0.0,
) -> None:
    """Train models of one architecture in place, each with its own rate and order of images.

    As if each were trained alone by SGD, but a step of all of them is one batched computation: for
    small models many times as fast. `x` are float inputs N×…, `loss(logits, labels)` gives a number
    for a batch, `lr` and `seeds` have one entry a model; the last, incomplete batch of an epoch
    counts, too. A model whose training diverges ends with weights that are not finite; the others
    do not notice. Raises ValueError unless there is a rate and a seed for each model.
    """
    if not len(models) == len(lr) == len(seeds) > 0:
        raise ValueError(
            f"each model needs a rate and a seed: got {len(models)} models, {len(lr)} rates and "
            f"{len(seeds)} seeds"
        )
    limit_threads()
    weights, buffers = stack_module_state(list(models))
    base = models[0]

    def loss_of(w: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(base, (w, b), (x,)), y)

    slopes = vmap(grad(loss_of), randomness="different")
    rates = torch.tensor(lr)
    velocity = {name: torch.zeros_like(w) for name, w in weights.items()}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(epochs):
        orders = torch.stack([torch.randperm(len(x), generator=g) for g in generators])
        for rows in orders.split(batch_size, dim=1):
            step = slopes(weights, buffers, x[rows], labels[rows])
            with torch.no_grad():
                for name, w in weights.items():
                    v = velocity[name]
                    v.mul_(momentum).sub_(rates.view(-1, *[1] * (w.ndim - 1)) * step[name])
                    w.add_(v)
    with torch.no_grad():
        for number, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name][number])
