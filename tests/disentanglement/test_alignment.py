"""Which latent answers for which factor: against all assignments, and against what is known."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.disentanglement import align, explained, match_latents


@given(st.integers(1, 4), st.integers(0, 2), st.integers(0, 999))
def test_no_assignment_is_better(factors: int, spare: int, seed: int) -> None:
    shares = torch.rand(
        factors, factors + spare, generator=torch.Generator().manual_seed(seed)
    )  # fmt: skip
    chosen = match_latents(shares)
    assert len(set(chosen)) == factors
    sums = [
        sum(shares[k, i].item() for k, i in enumerate(each))
        for each in permutations(range(factors + spare), factors)
    ]
    found = sum(shares[k, i].item() for k, i in enumerate(chosen))
    assert found == pytest.approx(max(sums))


def test_too_few_latents_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 latents, one a factor, got 2"):
        match_latents(torch.rand(3, 2))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_perfect_code_is_found_with_its_signs(order: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(500, 3, generator=generator)
    factors = {name: values[:, k] for k, name in enumerate("abc")}
    signs = torch.tensor([1.0, -1.0, -1.0])
    noise = 0.01 * torch.randn(500, 3, generator=generator)
    codes = (signs * values)[:, list(order)] + noise
    shares = {name: explained(codes, factor) for name, factor in factors.items()}
    for k, match in enumerate(align(codes, factors, shares).values()):
        assert order[match.latent] == k
        assert match.sign == signs[k]


def test_a_class_is_a_number_for_the_sign() -> None:
    kinds = torch.arange(60) % 3
    codes = torch.stack([-kinds.float(), torch.linspace(0, 1, 60)], 1)
    factors = {"kind": kinds, "place": torch.linspace(0, 1, 60)}
    shares = {name: explained(codes, factor) for name, factor in factors.items()}
    assert align(codes, factors, shares) == {"kind": (0, -1), "place": (1, 1)}
