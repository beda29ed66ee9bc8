"""Numbers that lie on Apple's GPU, which knows no float64: simulated by what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from companion.by_hand.classification import balanced_accuracy, top_k_error
from companion.disentanglement.explained import explained
from companion.exercises import Answer
from companion.training.augmentation import colour_components


class OnApple(Tensor):
    """A tensor that refuses to become float64 until it is on the CPU."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        told = (*args, *(kwargs or {}).values())
        if func is Tensor.double or any(one is torch.float64 for one in told):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        found = super().__torch_function__(func, types, args, kwargs)
        return found.as_subclass(Tensor) if func is Tensor.cpu else found


def on_apple(values: list[Any]) -> Tensor:
    return torch.tensor(values).as_subclass(OnApple)


def test_it_refuses_what_apple_refuses() -> None:
    with pytest.raises(TypeError, match="float64"):
        (on_apple([1.0]) > 0).double()
    assert on_apple([1.0]).cpu().double() == 1


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda: top_k_error(on_apple([[0.1, 0.9], [0.8, 0.2]]), on_apple([1, 1])), 0.5),
        (lambda: balanced_accuracy(on_apple([0, 0, 1]), on_apple([0, 0, 0])), 2 / 3),
        (
            lambda: explained(on_apple([[0.0], [0.0], [1.0]]), on_apple([0, 0, 1])).item(),
            1.0,
        ),
        (lambda: Answer(lambda x: on_apple([2.0])).tensor(1).item(), 2.0),
        # Pixels (1, 0, 0) and (0, 0, 0): all variance is red's.
        (
            lambda: (
                colour_components(on_apple([[[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]]))
                .variances[0]
                .item()
            ),
            0.5,
        ),
    ],
)
def test_numbers_come_from_the_gpu(compute: Callable[[], float], expected: float) -> None:
    assert compute() == pytest.approx(expected)
