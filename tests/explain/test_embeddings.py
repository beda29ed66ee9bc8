"""Neighbours and projections: against scikit-learn, and on points whose true shape is known."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from companion.datasets import load_images
from companion.explain.embeddings import (
    TOYS,
    clumping,
    continuity,
    distortion,
    kept_neighbours,
    nearest_neighbours,
    project,
    same_class_share,
    shifted,
    toy_points,
    trustworthiness,
)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


class TestNeighbours:
    @settings(max_examples=60)
    @given(
        st.integers(2, 40), st.integers(1, 9), st.integers(1, 12), st.sampled_from([1, 7, 512]),
        st.sampled_from(["l2", "cosine"]), st.floats(0, 1e4), st.integers(0, 999),
    )  # fmt: skip
    def test_is_scikit_learns(self, n, d, m, block, metric, offset, seed):
        points, queries = normal(n, d, seed=seed) + offset, normal(m, d, seed=seed + 1) + offset
        # Its "brute" squares distances out, and loses digits far from the origin; a tree does not.
        way, name = {"l2": ("ball_tree", "euclidean"), "cosine": ("brute", "cosine")}[metric]
        oracle = NearestNeighbors(algorithm=way, metric=name).fit(points)
        k = 1 + seed % n
        far, _ = oracle.kneighbors(queries, k)
        near = nearest_neighbours(points, queries, k, metric, block=block)
        np.testing.assert_allclose(near.distances, far, atol=1e-6)
        if k < n:  # scikit-learn, too, leaves a point out if no queries are given
            far, _ = oracle.kneighbors(n_neighbors=k)
            near = nearest_neighbours(points, None, k, metric, block=block)
            np.testing.assert_allclose(near.distances, far, atol=1e-6)
            assert not (near.indices == torch.arange(n)[:, None]).any()

    def test_indices_belong_to_the_distances(self):
        points, queries = normal(300, 5), normal(40, 5, seed=1)
        near = nearest_neighbours(points, queries, 7)
        _, expected = NearestNeighbors().fit(points).kneighbors(queries, 7)
        np.testing.assert_array_equal(near.indices, expected)
        gaps = np.linalg.norm(points[near.indices] - queries[:, None], axis=2)
        np.testing.assert_allclose(near.distances, gaps, rtol=1e-12)

    def test_a_twin_is_a_neighbour_oneself_is_not(self):
        points = normal(20, 3)
        points[7] = points[12]
        near = nearest_neighbours(points, k=1)
        assert (near.indices[7].item(), near.indices[12].item()) == (12, 7)
        assert near.distances[7] == 0

    def test_takes_images_and_tensors_with_a_gradient(self):
        images = load_images("digits", size=30).images
        near = nearest_neighbours(images.float().requires_grad_(), images[:3], 1)
        assert near.indices.flatten().tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"metric": "l1"}, "metric must be one of l2, cosine, got 'l1'"),
            ({"k": 6}, "k must be 1 to 5 for 6 points, got 6"),
            ({"k": 7, "queries": np.ones((2, 3))}, "k must be 1 to 6 for 6 points"),
            ({"queries": np.ones((2, 4))}, "queries must have the 3 numbers of the embedding"),
            ({"queries": np.zeros((2, 3)), "metric": "cosine"}, "queries has a point of length 0"),
            ({"queries": np.full((2, 3), np.nan)}, "queries must hold finite numbers"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            nearest_neighbours(normal(6, 3), **arguments)

    @pytest.mark.parametrize("bad", [np.ones(4), np.ones((0, 3)), 1.0])
    def test_what_is_no_embedding(self, bad):
        with pytest.raises(ValueError, match="embedding must be N×D"):
            nearest_neighbours(bad)


class TestSharesAndShifts:
    def test_share_counts_neighbours_of_the_class(self):
        points = np.array([[0.0], [1], [2], [10], [11], [12]])
        labels = [0, 0, 1, 1, 1, 1]
        # Of the two nearest of 0: 1, 2; of 1: 0, 2; of 2: 1, 0; of the others each other.
        assert same_class_share(points, labels, k=2) == pytest.approx((1 + 1 + 0 + 2 * 3) / 12)
        assert same_class_share(points, labels, [[11.4]], [1], k=3) == 1

    @given(st.integers(-3, 3), st.integers(-3, 3))
    def test_shift_moves_and_fills_with_zeros(self, rows, columns):
        images = torch.arange(1, 61).view(1, 2, 5, 6)
        moved = shifted(images, rows, columns)
        padded = torch.nn.functional.pad(images, (3, 3, 3, 3))
        expected = padded[..., 3 - rows : 8 - rows, 3 - columns : 9 - columns]
        assert torch.equal(moved, expected)


class TestProjections:
    def test_pca_is_the_singular_vectors_plane(self):
        points = normal(60, 8) * np.arange(1, 9)
        u, s, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
        np.testing.assert_allclose(np.abs(project(points, "pca")), np.abs(u[:, :2] * s[:2]))

    @pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
    def test_the_seed_decides(self, method):
        points = normal(80, 6)
        settings = {"tsne": {"perplexity": 10, "init": "random"}, "umap": {"n_epochs": 30}}[method]
        threads = torch.get_num_threads()
        first, again, other = (project(points, method, seed=s, **settings) for s in (1, 1, 2))
        assert first.shape == (80, 2)
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 1e-3
        assert torch.get_num_threads() == threads

    def test_neither_is_loaded_before_it_is_asked_for(self):
        code = (
            "import sys, companion.explain.embeddings;"
            "assert not {'umap', 'numba', 'sklearn.manifold'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_unknown_method(self):
        with pytest.raises(ValueError, match="method must be one of pca, tsne, umap, got 'isomap'"):
            project(normal(5, 3), "isomap")


class TestWhatIsDistorted:
    def test_a_picture_that_only_turns_and_scales_distorts_nothing(self):
        toy = toy_points("sizes", 90)
        flat = toy.points[:, :2]
        turned = 3 * flat @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 7
        found = distortion(flat, turned, toy.labels)
        assert found.rank_correlation == pytest.approx(1)
        np.testing.assert_allclose(found.size_ratios, 1)
        np.testing.assert_allclose(found.distance_ratios[0, 1], 1)
        np.testing.assert_allclose(found.plane_spreads, 3 * found.spreads)
        assert trustworthiness(flat, turned) == continuity(flat, turned) == 1
        assert kept_neighbours(flat, turned) == 1

    def test_known_ratios(self):
        points = np.array([[0.0, 0], [2, 0], [10, 0], [14, 0]])  # spreads 1 and 2, centres 11 apart
        plane = np.array([[0.0, 0], [6, 0], [20, 0], [26, 0]])  # 3 and 3, 20 apart
        found = distortion(points, plane, [0, 0, 1, 1])
        np.testing.assert_allclose(found.spreads, [1, 2])
        np.testing.assert_allclose(found.plane_spreads, [3, 3])
        np.testing.assert_allclose(found.size_ratios, [np.sqrt(2), np.sqrt(0.5)])
        np.testing.assert_allclose(found.centre_distances[0, 1], 11)
        np.testing.assert_allclose(found.plane_centre_distances[0, 1], 20)

    def test_a_class_without_points_has_no_size(self):
        found = distortion(normal(6, 3), normal(6, 2), [0, 0, 0, 2, 2, 2])
        assert np.isnan(found.spreads).tolist() == [False, True, False]
        assert np.isfinite(found.size_ratios[[0, 2]]).all()

    def test_continuity_sees_a_tear_that_trustworthiness_does_not(self):
        circle = np.array([[np.cos(a), np.sin(a)] for a in np.arange(200) * np.pi / 100])
        cut = np.arange(200.0)[:, None] * [1, 0]  # unrolled: who is near in the picture, is near
        assert trustworthiness(circle, cut) > continuity(circle, cut)
        assert trustworthiness(circle, cut) == pytest.approx(1, abs=1e-3)

    def test_chance_is_about_a_half(self):
        assert trustworthiness(normal(400, 5), normal(400, 2, seed=1)) == pytest.approx(
            0.5, abs=0.03
        )

    def test_other_counts(self):
        with pytest.raises(ValueError, match="a plane and labels of 5 points, got 4 and 5"):
            distortion(normal(5, 3), normal(4, 2), [0] * 5)

    def test_clumping_of_random_points_is_one(self):
        rng = np.random.default_rng(0)
        values = [clumping(rng.uniform(size=(500, 2))) for _ in range(10)]
        assert np.mean(values) == pytest.approx(1, abs=0.06)  # points at the rim have less around
        grid = np.stack(np.meshgrid(range(20), range(20)), -1).reshape(-1, 2)
        assert clumping(grid) == pytest.approx(2 * np.sqrt(400 / 19**2))


def exact(points: np.ndarray, perplexity: float) -> np.ndarray:
    """t-SNE in the way that is quick for few points."""
    return project(points, perplexity=perplexity, method="exact")


class TestToys:
    """What t-SNE does to each; the bounds leave room for other versions of scikit-learn."""

    @pytest.mark.parametrize("kind", TOYS)
    def test_has_so_many_named_points(self, kind):
        toy = toy_points(kind, 50, seed=3)
        assert len(toy.points) == len(toy.labels) == 50
        assert set(toy.labels.tolist()) == set(range(len(toy.class_names)))
        np.testing.assert_array_equal(toy.points, toy_points(kind, 50, seed=3).points)

    def test_a_cluster_five_times_as_wide_looks_as_large_as_the_other(self):
        toy = toy_points("sizes", 120)
        true, pca, tsne = (
            spreads[1] / spreads[0]
            for spreads in (
                distortion(toy.points, toy.points, toy.labels).spreads,
                distortion(toy.points, project(toy.points, "pca"), toy.labels).plane_spreads,
                distortion(toy.points, exact(toy.points, 30), toy.labels).plane_spreads,
            )
        )
        assert true == pytest.approx(5, rel=0.1)
        assert 4 < pca < 7
        assert 0.7 < tsne < 1.4

    def test_five_times_as_far_looks_as_far(self):
        toy = toy_points("distances", 120)
        ratios = []
        for plane in (project(toy.points, "pca"), exact(toy.points, 20)):
            d = distortion(toy.points, plane, toy.labels).plane_centre_distances
            ratios.append(d[1, 2] / d[0, 1])
        assert ratios[0] == pytest.approx(5, rel=0.1)
        assert 0.6 < ratios[1] < 1.6

    @pytest.mark.slow
    def test_noise_clumps_at_a_low_perplexity(self):
        noise = toy_points("noise", 250).points
        low, usual = (clumping(exact(noise, p)) for p in (2, 30))
        assert low < 0.75
        assert usual > 0.9
        assert clumping(project(noise, "pca")) > 0.85

    def test_a_ring_is_torn_at_a_low_perplexity(self):
        ring = toy_points("ring", 120).points

        def widest_gap(plane):
            steps = np.linalg.norm(plane - np.roll(plane, 1, axis=0), axis=1)
            return steps.max() / np.median(steps)

        assert widest_gap(exact(ring, 30)) < 3
        assert widest_gap(exact(ring, 2)) > 10

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="kind must be one of sizes, distances, noise, ring"):
            toy_points("links")
        with pytest.raises(ValueError, match="at least 12 points, got 5"):
            toy_points("ring", 5)
