"""Convolution and pooling by hand, against PyTorch and SciPy."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal
from torch.nn import functional as F

from companion.by_hand.convolution import (
    KERNELS,
    average_pool2d,
    convolution_layer,
    convolve2d,
    correlate2d,
    max_pool2d,
    output_size,
    parameter_count,
    windows,
)
from conftest import ROOT

CHAPTER = (ROOT / "book" / "01-convolution.md").read_text(encoding="utf-8")
SLIDE = np.arange(1.0, 10).reshape(3, 3)
WINDOW = KERNELS["the slide's window"]


def as_torch(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


class TestLecture:
    def test_the_chapters_matrices_are_the_kernels(self):
        row = r"\| ([^|]+) \| \$(\\frac19 )?\\begin{pmatrix} (.+?) \\end{pmatrix}\$ \| (\d) \|"
        rows = re.findall(row, CHAPTER)
        assert len(rows) == 5
        for name, ninth, matrix, total in rows:
            weights = np.array([line.split("&") for line in matrix.split(r"\\")], dtype=float)
            np.testing.assert_allclose(weights / (9 if ninth else 1), KERNELS[name])
            assert KERNELS[name].sum() == pytest.approx(int(total), abs=1e-12)

    def test_what_is_linear_and_equivariant_is_a_convolution(self):
        """Any linear map, averaged over all shifts, is a convolution with its answer to a dot."""
        n = 6
        anything = draw(3, n, n, n, n)
        shifts = list(np.ndindex(n, n))

        def layer(x):
            return sum(
                np.roll(
                    np.einsum("rcij,ij->rc", anything, np.roll(x, s, (0, 1))),
                    (-s[0], -s[1]),
                    (0, 1),
                )
                for s in shifts
            ) / len(shifts)

        dot = np.zeros((n, n))
        dot[0, 0] = 1
        stamp, x = layer(dot), draw(4, n, n)
        expected = sum(x[s] * np.roll(stamp, s, (0, 1)) for s in shifts)
        np.testing.assert_allclose(layer(x), expected, atol=1e-10)
        assert not np.allclose(np.einsum("rcij,ij->rc", anything, x), layer(x))

    def test_minus_13_and_its_two_readings(self):
        assert correlate2d(SLIDE, WINDOW, padding=1)[0, 0] == -13
        assert convolve2d(SLIDE, np.flip(WINDOW), padding=1)[0, 0] == -13
        assert convolve2d(SLIDE, WINDOW, padding=1)[0, 0] == 13

    def test_all_nine_outputs(self):
        # Worked out on paper: 1·above-left + 2·above + 1·above-right − the same below.
        expected = [[-13, -20, -17], [-18, -24, -18], [13, 20, 17]]
        assert correlate2d(SLIDE, WINDOW, padding=1).tolist() == expected

    def test_alexnet(self):
        assert output_size(227, 11, stride=4) == 55
        assert output_size(224, 11, stride=4) == 54
        assert output_size(55, 3, stride=2) == 27
        assert output_size(27, 5, padding=2) == 27
        assert parameter_count(3, 96, 11) == 34_944  # 96·(3·11² + 1)

    def test_pixels_that_no_window_of_alexnets_first_layer_sees(self):
        """The gradient of the sum of all outputs is 0 exactly at those pixels."""
        image = torch.ones(1, 1, 224, 224, requires_grad=True)
        F.conv2d(image, torch.ones(1, 1, 11, 11), stride=4).sum().backward()
        unseen = image.grad[0, 0] == 0
        assert unseen.all(dim=0).nonzero().flatten().tolist() == [223]
        assert unseen.all(dim=1).nonzero().flatten().tolist() == [223]


sizes = st.tuples(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(1, 4)
)  # H, W, k_h, k_w
steps = st.fixed_dictionaries(
    {"padding": st.integers(0, 3), "stride": st.integers(1, 4), "dilation": st.integers(1, 3)}
)


def fits(shape, options):
    h, w, a, b = shape
    return all(
        options["dilation"] * (k - 1) + 1 <= n + 2 * options["padding"] for n, k in ((h, a), (w, b))
    )


class TestAgainstLibraries:
    @given(sizes, steps, st.integers(0, 99))
    def test_correlation_is_pytorchs_convolution(self, shape, options, seed):
        h, w, a, b = shape
        x, kernel = draw(seed, h, w), draw(seed + 1, a, b)
        if not fits(shape, options):
            with pytest.raises(ValueError, match="does not fit"):
                correlate2d(x, kernel, **options)
            return
        theirs = F.conv2d(as_torch(x)[None, None], as_torch(kernel)[None, None], **options)[0, 0]
        np.testing.assert_allclose(
            correlate2d(x, kernel, **options), theirs.numpy(), rtol=0, atol=1e-12
        )
        turned = np.flip(kernel)
        np.testing.assert_allclose(
            convolve2d(x, turned, **options), theirs.numpy(), rtol=0, atol=1e-12
        )

    @pytest.mark.parametrize(("height", "width"), [(2, 3), (3, 3), (5, 4)])
    def test_both_kinds_are_scipys(self, height, width):
        x, kernel = draw(0, 9, 8), draw(1, height, width)
        for ours, theirs in (
            (correlate2d, signal.correlate2d),
            (convolve2d, signal.convolve2d),
        ):
            np.testing.assert_allclose(ours(x, kernel), theirs(x, kernel, "valid"), atol=1e-12)

    @pytest.mark.parametrize("options", [{}, {"padding": 2, "stride": 3}, {"padding": 1}])
    @pytest.mark.parametrize("with_bias", [True, False])
    def test_layer_is_pytorchs(self, options, with_bias):
        x, weight = draw(0, 3, 11, 14), draw(1, 5, 3, 4, 2)
        bias = draw(2, 5) if with_bias else None
        theirs = F.conv2d(
            as_torch(x)[None], as_torch(weight), None if bias is None else as_torch(bias), **options
        )
        np.testing.assert_allclose(
            convolution_layer(x, weight, bias, **options), theirs[0].numpy(), rtol=0, atol=1e-12
        )

    @given(st.integers(1, 11), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
    def test_pooling_is_pytorchs(self, n, size, stride, seed):
        x = draw(seed, 2, n, n + 3)
        if size > n:
            with pytest.raises(ValueError, match="does not fit"):
                max_pool2d(x, size, stride)
            return
        largest = F.max_pool2d(as_torch(x)[None], size, stride)[0].numpy()
        assert np.array_equal(max_pool2d(x, size, stride), largest)
        mean = F.avg_pool2d(as_torch(x)[None], size, stride)[0].numpy()
        np.testing.assert_allclose(average_pool2d(x, size, stride), mean, rtol=0, atol=1e-12)
        assert max_pool2d(x, size).shape == F.max_pool2d(as_torch(x)[None], size)[0].shape

    def test_parameters_are_pytorchs(self):
        for channels, filters, k, bias in ((3, 96, 11, True), (64, 8, 1, False), (1, 1, 3, True)):
            layer = torch.nn.Conv2d(channels, filters, k, bias=bias)
            assert parameter_count(channels, filters, k, bias=bias) == sum(
                p.numel() for p in layer.parameters()
            )


class TestProperties:
    @given(st.integers(0, 99))
    def test_convolutions_commute_and_associate(self, seed):
        x, g, h = draw(seed, 8, 9), draw(seed + 1, 3, 3), draw(seed + 2, 3, 3)
        one = convolve2d(x, convolve2d(g, h, padding=2))
        np.testing.assert_allclose(convolve2d(convolve2d(x, g), h), one, atol=1e-12)
        np.testing.assert_allclose(convolve2d(convolve2d(x, h), g), one, atol=1e-12)

    def test_convolution_stamps_its_kernel_on_a_dot(self):
        dot = np.zeros((5, 5))
        dot[2, 2] = 1
        assert np.array_equal(convolve2d(dot, SLIDE), SLIDE)
        assert np.array_equal(correlate2d(dot, SLIDE), np.flip(SLIDE))

    @given(st.integers(0, 99), st.integers(-3, 3))
    def test_shifts_commute_away_from_the_border(self, seed, by):
        x, kernel = draw(seed, 6, 16), draw(seed + 1, 3, 3)
        moved = correlate2d(np.roll(x, by, axis=1), kernel, padding=1)
        still = np.roll(correlate2d(x, kernel, padding=1), by, axis=1)
        np.testing.assert_allclose(moved[:, 5:-5], still[:, 5:-5], atol=1e-12)

    def test_sums_of_the_classic_kernels(self):
        sums = {name: kernel.sum() for name, kernel in KERNELS.items()}
        keep = {
            "identity", "box blur", "box blur 5×5", "Gaussian blur", "Gaussian blur 5×5", "sharpen",
            "emboss",
        }  # fmt: skip
        for name, total in sums.items():
            assert total == pytest.approx(1 if name in keep else 0), name
        ramp = np.tile(np.arange(6.0), (6, 1))
        assert (correlate2d(ramp, KERNELS["Sobel, left to right"]) == 8).all()
        assert (correlate2d(ramp.T, KERNELS["Sobel, top to bottom"]) == 8).all()
        assert (correlate2d(ramp, KERNELS["Laplacian"]) == 0).all()

    def test_kernels_cannot_be_changed_by_accident(self):
        with pytest.raises(ValueError, match="read-only"):
            KERNELS["sharpen"][0, 0] = 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "options", "words"),
        [
            ((3, 0), {}, "k must be a whole number of at least 1, not 0"),
            ((3, 2), {"stride": 0}, "stride must be"),
            ((3, 2), {"padding": -1}, "padding must be"),
            ((3, 2), {"dilation": 1.5}, "dilation must be a whole number"),
            ((3, 5), {}, "spans 5 pixels and does not fit into 3"),
            ((3, 3), {"dilation": 2}, "spans 5 pixels"),
        ],
    )
    def test_sizes(self, arguments, options, words):
        with pytest.raises(ValueError, match=words):
            output_size(*arguments, **options)

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"kernel of two axes.*\(3,\)"):
            correlate2d(SLIDE, [1, 2, 3])
        with pytest.raises(ValueError, match=r"at least two axes.*\(9,\)"):
            windows(np.zeros(9), (1, 1))
        with pytest.raises(ValueError, match="the same C"):
            convolution_layer(np.zeros((3, 5, 5)), np.zeros((2, 4, 3, 3)))
        with pytest.raises(ValueError, match="expected 2 biases"):
            convolution_layer(np.zeros((3, 5, 5)), np.zeros((2, 3, 3, 3)), np.zeros(3))
