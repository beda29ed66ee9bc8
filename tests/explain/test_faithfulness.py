"""Tests of explanations: curves by hand, ranks against scipy, randomised copies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from companion.explain.faithfulness import (
    Curve,
    deletion_curve,
    insertion_curve,
    pointing_game,
    randomise,
    rank_correlation,
    weight_layers,
)
from companion.models import DigitCNN
from support.unchanged import left_as_it_was


class Brightness(nn.Module):
    """Two logits: the sum of all pixels, and 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x.flatten(1).sum(1)
        return torch.stack([total, torch.zeros_like(total)], 1)


def test_deletion_takes_the_highest_first():
    image = torch.rand(1, 6, 5)
    for saliency in (image[0], -image[0], torch.rand(6, 5)):
        found = deletion_curve(
            Brightness(), image, 0, saliency, steps=30, fill=torch.zeros(1, 6, 5), output="logit"
        )
        values = image[0].flatten()[saliency.flatten().argsort(descending=True)]
        left = image.sum() - torch.cat([torch.zeros(1), values.cumsum(0)])
        torch.testing.assert_close(found.scores, left, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.shares, torch.linspace(0, 1, 31))


def test_insertion_is_deletion_of_the_rest():
    image, saliency = torch.rand(1, 6, 5), torch.rand(6, 5)
    black = torch.zeros(1, 6, 5)
    settings = {"steps": 7, "fill": black, "output": "logit"}
    inserted = insertion_curve(Brightness(), image, 0, saliency, **settings)
    deleted = deletion_curve(Brightness(), image, 0, saliency, **settings)
    torch.testing.assert_close(inserted.scores + deleted.scores, image.sum().expand(8))
    # Nobody deletes faster, or slower, than who knows the pixels.
    best, worst = (
        deletion_curve(Brightness(), image, 0, sign * image[0], **settings).area for sign in (1, -1)
    )
    assert best < deleted.area < worst


def test_area_of_a_straight_line():
    shares = torch.linspace(0, 1, 5)
    assert Curve(shares, 1 - shares).area == pytest.approx(0.5)
    assert Curve(shares, torch.full((5,), 0.3)).area == pytest.approx(0.3)


def test_equal_ranks_go_in_no_particular_order():
    """A map without information deletes at random, not row by row."""
    image = torch.zeros(1, 10, 10)
    image[0, :5] = 1
    found = deletion_curve(
        Brightness(), image, 0, torch.ones(10, 10), steps=2, fill=torch.zeros(1, 10, 10),
        output="logit",
    )  # fmt: skip
    assert 15 < found.scores[1] < 35


def test_pointing():
    saliency = torch.zeros(4, 6)
    saliency[1, 2] = 1
    assert pointing_game(saliency, (1, 2, 2, 3)) == 1
    assert pointing_game(saliency, (2, 2, 4, 3)) == 0
    saliency[0, :] = 1
    assert pointing_game(saliency, (0, 0, 1, 3)) == pytest.approx(3 / 7)
    assert pointing_game(torch.zeros(4, 6), (0, 0, 2, 3)) == pytest.approx(1 / 4)


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_rank_correlation_is_scipys(values):
    one, other = torch.tensor(values).float().T
    found = rank_correlation(one[None], other[None])
    if len(one.unique()) == 1 or len(other.unique()) == 1:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)


def test_randomise_changes_the_last_layers_of_a_copy():
    torch.manual_seed(0)
    with left_as_it_was(DigitCNN()) as model:
        assert [name.removeprefix("layers.") for name in weight_layers(model)] == [
            "conv1", "conv2", "conv3", "fc4", "fc5",
        ]  # fmt: skip
        before = model.state_dict()
        for layers, kept in ((0, 5), (2, 3), (5, 0)):
            after = randomise(model, layers, seed=1).state_dict()
            changed = {k.split(".")[1] for k in before if not torch.equal(before[k], after[k])}
            names = ["conv1", "conv2", "conv3", "fc4", "fc5"][kept:]
            # Scales and shifts of a fresh batch norm are all alike: there is nothing to draw.
            assert changed == set(names)
        for name, value in randomise(model, 5).named_parameters():
            own = dict(model.named_parameters())[name]
            if own.numel() > 1000:
                assert value.std().item() == pytest.approx(own.std().item(), rel=0.1)
                assert abs(rank_correlation(value.flatten()[None], own.flatten()[None])) < 0.1
        one, two = randomise(model, 1, seed=4), randomise(model, 3, seed=4)
        assert torch.equal(one.layers.fc5.weight, two.layers.fc5.weight)
        assert not torch.equal(one.layers.fc5.weight, randomise(model, 1).layers.fc5.weight)
        assert not any(module.training for module in one.modules())
        with pytest.raises(ValueError, match="layers must be a whole number from 0 to 5, got 6"):
            randomise(model, 6)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: pointing_game(torch.zeros(4, 4), (0, 0, 5, 2)), r"no box \(0, 0, 5, 2\)"),
        (lambda: pointing_game(torch.zeros(1, 4, 4), (0, 0, 1, 1)), r"H×W.*\(1, 4, 4\)"),
        (lambda: rank_correlation(torch.zeros(2, 2), torch.full((2, 2), torch.nan)), "NaN"),
        (lambda: rank_correlation(torch.zeros(2, 2), torch.zeros(2, 3)), "one shape"),
        (
            lambda: deletion_curve(Brightness(), torch.zeros(1, 4, 4), 0, torch.zeros(4, 3)),
            "as large as the image",
        ),
        (
            lambda: insertion_curve(
                Brightness(), torch.zeros(1, 4, 4), 0, torch.zeros(4, 4), steps=17
            ),
            "steps must be a whole number from 1 to 16",
        ),
    ],
)
def test_refusals(ask, message):
    with pytest.raises(ValueError, match=message):
        ask()
