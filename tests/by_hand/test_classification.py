"""Softmax, cross-entropy, their gradients and error rates against PyTorch and scikit-learn."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from companion.by_hand.classification import (
    balanced_accuracy,
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_gradient,
    label_rank,
    log_softmax,
    log_sum_exp,
    sigmoid,
    softmax,
    squared_error,
    squared_error_gradient,
    top_k_error,
)
from companion.published import HUMAN_ERROR, WINNERS


@st.composite
def batches(draw, scale=2000.0):
    """Logits N×K, float64, of up to ±scale, and a label for each row."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    logit = st.floats(-scale, scale)
    z = draw(st.lists(st.lists(logit, min_size=k, max_size=k), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    return torch.tensor(z, dtype=torch.float64), torch.tensor(y)


class TestAgainstTorch:
    @given(batches())
    def test_softmax_and_its_logarithms(self, batch):
        z, _ = batch
        torch.testing.assert_close(softmax(z), F.softmax(z, 1), rtol=1e-9, atol=1e-300)
        torch.testing.assert_close(log_softmax(z), F.log_softmax(z, 1), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(log_sum_exp(z), torch.logsumexp(z, 1), rtol=1e-12, atol=1e-12)

    @given(batches())
    def test_cross_entropy(self, batch):
        z, y = batch
        expected = F.cross_entropy(z, y, reduction="none")
        torch.testing.assert_close(cross_entropy(z, y), expected, rtol=1e-12, atol=1e-12)
        one_hot = F.one_hot(y, z.shape[1]).double()
        torch.testing.assert_close(cross_entropy(z, one_hot), expected, rtol=1e-12, atol=1e-12)

    @given(batches(30), batches(3))
    def test_soft_targets(self, batch, other):
        z, _ = batch
        y = softmax(other[0].flatten()[: z.shape[1]].repeat(6)[: z.shape[1]]).expand_as(z)
        expected = F.cross_entropy(z, y, reduction="none")
        torch.testing.assert_close(cross_entropy(z, y), expected, rtol=1e-9, atol=1e-9)

    @given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), st.floats(0, 1))
    def test_binary(self, values, target):
        z = torch.tensor(values, dtype=torch.float64)
        y = torch.full_like(z, target)
        torch.testing.assert_close(sigmoid(z), torch.sigmoid(z), rtol=1e-9, atol=1e-300)
        expected = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        torch.testing.assert_close(binary_cross_entropy(z, y), expected, rtol=1e-12, atol=1e-9)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_no_digit_is_lost_at_large_logits(self, dtype):
        z = torch.tensor([[1000.0, 998.0, -1000.0]], dtype=dtype)
        assert torch.equal(log_softmax(z), F.log_softmax(z, 1))

    @pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 4)])
    def test_any_leading_shape(self, shape):
        z = torch.randn(shape)
        torch.testing.assert_close(softmax(z), F.softmax(z, -1))
        assert cross_entropy(z, torch.zeros(shape[:-1]).long()).shape == shape[:-1]


class TestGradients:
    @given(batches(20))
    def test_cross_entropy_is_p_minus_y(self, batch):
        z, y = batch
        z.requires_grad_()
        F.cross_entropy(z, y, reduction="sum").backward()
        gradient = cross_entropy_gradient(z.detach(), y)
        torch.testing.assert_close(gradient, z.grad, rtol=1e-9, atol=1e-12)
        assert gradient.sum(1).abs().max() < 1e-12

    @given(batches(8))
    def test_squared_error(self, batch):
        z, y = batch
        z.requires_grad_()
        squared_error(z, y).sum().backward()
        gradient = squared_error_gradient(z.detach(), y)
        torch.testing.assert_close(gradient, z.grad, rtol=1e-9, atol=1e-12)

    def test_squared_error_dies_where_cross_entropy_pulls(self):
        z, y = torch.tensor([[0.0, 20.0]], dtype=torch.float64), torch.tensor([0])
        assert cross_entropy_gradient(z, y)[0, 0] == pytest.approx(-1, abs=1e-8)
        assert abs(squared_error_gradient(z, y)[0, 0]) < 1e-7


class TestTemperature:
    def test_keeps_the_order_and_reaches_both_limits(self):
        z = torch.tensor([2.0, 1.0, 0.5, -1.0])
        for T in (0.1, 1.0, 50.0):
            assert softmax(z, T).argsort(descending=True).tolist() == [0, 1, 2, 3]
        torch.testing.assert_close(softmax(z, 1e-3), torch.tensor([1.0, 0, 0, 0]))
        torch.testing.assert_close(softmax(z, 1e6), torch.full((4,), 0.25), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("T", [0, -1, math.nan])
    def test_must_be_above_0(self, T):
        with pytest.raises(ValueError, match="temperature must be a number above 0"):
            softmax(torch.zeros(2), T)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.tensor([0, 3]), "labels must be from 0 to 2, got 0 to 3"),
        (torch.tensor([0, -1]), "labels must be from 0 to 2, got -1 to 0"),
        (torch.tensor([0.0, 1.0]), r"shape \(2,\)"),
        (torch.tensor([0]), r"expected whole-number labels of shape \(2,\)"),
        (torch.zeros(2, 3).long(), "int64 of shape"),
    ],
)
def test_unfit_labels_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        cross_entropy(torch.zeros(2, 3), y)


class TestErrors:
    @given(st.integers(0, 10**6), st.integers(1, 7))
    def test_top_k_against_torch_and_scikit_learn(self, seed, k):
        g = torch.Generator().manual_seed(seed)
        scores, labels = torch.randn(30, 7, generator=g), torch.randint(7, (30,), generator=g)
        hit = (scores.topk(k, 1).indices == labels[:, None]).any(1)
        assert top_k_error(scores, labels, k) == pytest.approx(1 - hit.double().mean().item())
        if k < 7:
            expected = top_k_accuracy_score(labels, scores, k=k, labels=range(7))
            assert top_k_error(scores, labels, k) == pytest.approx(1 - expected)

    @given(st.integers(0, 10**6))
    def test_ranks_are_places_in_the_sorted_row(self, seed):
        g = torch.Generator().manual_seed(seed)
        scores = torch.randint(4, (20, 6), generator=g).float()  # many ties
        labels = torch.randint(6, (20,), generator=g)
        order = scores.argsort(dim=1, descending=True, stable=True)
        places = 1 + (order == labels[:, None]).int().argmax(1)
        assert torch.equal(label_rank(scores, labels), places)

    def test_a_constant_answer_is_chance(self):
        labels = torch.arange(10).repeat(5)
        for k in (1, 3, 10):
            assert top_k_error(torch.zeros(50, 10), labels, k) == pytest.approx(1 - k / 10)

    @given(st.integers(0, 10**6))
    def test_balanced_accuracy_against_scikit_learn(self, seed):
        g = torch.Generator().manual_seed(seed)
        labels = torch.randint(3, (25,), generator=g)
        predicted = torch.where(torch.rand(25, generator=g) < 0.6, labels, 0)
        expected = balanced_accuracy_score(labels, predicted)
        assert balanced_accuracy(predicted, labels) == pytest.approx(expected)

    @pytest.mark.parametrize("k", [0, 4])
    def test_k_must_be_a_number_of_classes(self, k):
        with pytest.raises(ValueError, match="k must be from 1 to the 3 classes"):
            top_k_error(torch.zeros(2, 3), torch.tensor([0, 1]), k)

    def test_unfit_shapes_are_refused(self):
        with pytest.raises(ValueError, match=r"expected scores N×K"):
            top_k_error(torch.zeros(2, 3), torch.tensor([0]))
        with pytest.raises(ValueError, match="at least one image"):
            top_k_error(torch.zeros(0, 3), torch.zeros(0).long())
        with pytest.raises(ValueError, match="labels must be from 0 to 2"):
            label_rank(torch.zeros(1, 3), torch.tensor([3]))
        with pytest.raises(ValueError, match="as many predicted classes"):
            balanced_accuracy(torch.zeros(2), torch.zeros(3))


def test_winners_are_those_of_the_papers():
    """Printed in Szegedy 2015 (Table 2), He 2016 (Table 5), Hu 2018 (§1); the challenge's own
    results have 0.28191, 0.25770, 0.16422, 0.11743 and 0.02991 for the other years."""
    errors = {w.year: w.top5_error for w in WINNERS}
    assert list(errors) == list(range(2010, 2018))
    assert list(errors.values()) == sorted(errors.values(), reverse=True)
    assert (errors[2014], errors[2015], errors[2017]) == (6.67, 3.57, 2.25)
    results = {2010: 28.191, 2011: 25.770, 2012: 16.422, 2013: 11.743, 2016: 2.991}
    assert {year: errors[year] for year in results} == pytest.approx(results, abs=0.05)
    assert errors[2014] > HUMAN_ERROR > errors[2015]
