"""Anomaly scores by hand against scikit-learn and PyOD; ORCA against the naive loop."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyod.models.cblof import CBLOF
from pyod.models.iforest import IForest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from companion.by_hand import outliers
from companion.by_hand.outliers import Node


def cloud(seed: int = 0, count: int = 150, dim: int = 3) -> np.ndarray:
    """Two clusters of different density, and a few points far from both."""
    rng = np.random.default_rng(seed)
    half = count // 2
    wide = rng.normal(4, 2, (count - half - 5, dim))
    return np.vstack([rng.normal(0, 0.5, (half, dim)), wide, rng.uniform(-9, 9, (5, dim))])


@pytest.mark.parametrize("seed", [0, 1, 2])
class TestAgainstScikitLearn:
    @pytest.mark.parametrize("k", [1, 5, 20])
    def test_knn(self, seed, k):
        X = cloud(seed)
        expected = NearestNeighbors(n_neighbors=k).fit(X).kneighbors()[0][:, -1]
        np.testing.assert_allclose(outliers.knn(X, k), expected, rtol=1e-10)

    @pytest.mark.parametrize("k", [2, 5, 20])
    def test_lof(self, seed, k):
        X = cloud(seed)
        expected = -LocalOutlierFactor(n_neighbors=k).fit(X).negative_outlier_factor_
        np.testing.assert_allclose(outliers.lof(X, k), expected, rtol=1e-10)

    @pytest.mark.parametrize(("eps", "min_points"), [(0.3, 3), (0.8, 5), (2.0, 10), (0.01, 1)])
    def test_dbscan(self, seed, eps, min_points):
        X = cloud(seed)
        expected = DBSCAN(eps=eps, min_samples=min_points).fit_predict(X)
        labels = outliers.dbscan(X, eps, min_points)
        core = np.isin(np.arange(len(X)), DBSCAN(eps=eps, min_samples=min_points).fit(X)
                       .core_sample_indices_)  # fmt: skip
        # A border point of two clusters belongs to either, so its number may differ.
        np.testing.assert_array_equal(labels[core], expected[core])
        np.testing.assert_array_equal(labels < 0, expected < 0)


class TestAgainstPyOD:
    @pytest.mark.parametrize("seed", [0, 1, 2, 3])
    @pytest.mark.parametrize("clusters", [5, 8, 12])
    def test_cblof(self, seed, clusters):
        X = cloud(seed)
        expected = CBLOF(
            n_clusters=clusters, clustering_estimator=KMeans(clusters, random_state=0, n_init=1)
        ).fit(X)
        scores = outliers.cblof(X, expected.cluster_labels_)
        # k-means stops a little before its centres are the means of its clusters.
        np.testing.assert_allclose(scores, expected.decision_scores_, atol=1e-3)

    def test_cblof_says_when_no_cluster_is_small(self):
        X = cloud()
        with pytest.raises(ValueError, match="no cluster is small"):
            outliers.cblof(X, np.arange(len(X)) % 2)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_isolation_with_the_same_trees(self, seed):
        X = cloud(seed, 300)
        library = IForest(n_estimators=20, random_state=seed).fit(X).detector_
        lengths = np.zeros(len(X))
        for tree, columns in zip(library.estimators_, library.estimators_features_, strict=True):
            root = converted(tree.tree_, columns)
            lengths += [outliers.path_length(root, x) for x in X.astype(np.float32)]
        scores = 2 ** (-lengths / 20 / outliers.average_path(256))
        np.testing.assert_allclose(scores, -library.score_samples(X), rtol=1e-10)

    def test_isolation_with_trees_of_its_own(self):
        X = cloud(0, 300)
        library = -IForest(n_estimators=400, random_state=0).fit(X).detector_.score_samples(X)
        scores = outliers.isolation_forest(X, trees=400)
        # Two forests of PyOD's differ by as much.
        assert np.abs(scores - library).max() < 0.05
        assert np.corrcoef(scores, library)[0, 1] > 0.99


def converted(tree: Any, columns: np.ndarray, node: int = 0) -> Node:
    count = int(tree.n_node_samples[node])
    if tree.children_left[node] < 0:
        return Node(count)
    sides = (converted(tree, columns, side) for side in
             (tree.children_left[node], tree.children_right[node]))  # fmt: skip
    return Node(count, int(columns[tree.feature[node]]), float(tree.threshold[node]), *sides)


class TestIsolation:
    def test_average_path_is_the_mean_of_many_trees(self):
        X = np.random.default_rng(0).uniform(size=(32, 1))
        rng = np.random.default_rng(1)
        trees = [outliers.isolation_tree(X, 100, rng) for _ in range(300)]
        mean = np.mean([outliers.path_length(tree, x) for tree in trees for x in X])
        # The paper's c(n) takes ln n + γ for the harmonic number.
        assert mean == pytest.approx(outliers.average_path(32), rel=0.03)

    def test_equal_points_end_in_one_leaf(self):
        tree = outliers.isolation_tree(np.ones((7, 2)), 5, np.random.default_rng(0))
        assert tree == Node(7)

    def test_the_far_point_is_alone_first(self):
        X = np.vstack([np.random.default_rng(0).normal(size=(200, 2)), [[8.0, 8.0]]])
        scores = outliers.isolation_forest(X)
        assert scores.argmax() == 200
        assert ((scores > 0) & (scores < 1)).all()


class TestOrca:
    @settings(deadline=None, max_examples=60)
    @given(
        X=arrays(float, st.tuples(st.integers(8, 40), st.integers(1, 3)),
                 elements=st.integers(-20, 20).map(float)),
        k=st.integers(1, 5),
        top=st.integers(1, 5),
        seed=st.integers(0, 5),
    )  # fmt: skip
    def test_finds_what_the_naive_loop_finds(self, X, k, top, seed):
        naive, pruned = outliers.nested_loop(X, k, top), outliers.orca(X, k, top, seed)
        np.testing.assert_allclose(pruned.scores, naive.scores, rtol=1e-12)
        assert pruned.distances <= naive.distances
        # Of equal scores any may be named.
        np.testing.assert_allclose(outliers.knn(X, k)[pruned.points], naive.scores, rtol=1e-12)

    def test_with_far_fewer_distances(self):
        X = cloud(0, 600, 2)
        naive, pruned = outliers.nested_loop(X, 5, 5), outliers.orca(X, 5, 5)
        assert pruned.points == naive.points
        assert naive.distances == 600 * 599
        assert pruned.distances < naive.distances / 4


def test_all_find_the_points_that_were_put_far_away():
    rng = np.random.default_rng(3)
    X = np.vstack([rng.normal(size=(200, 2)), 7 + rng.normal(size=(4, 2))])
    far = np.arange(204) >= 200
    clusters = KMeans(3, random_state=0, n_init=5).fit_predict(X)
    for scores in (
        outliers.knn(X, 10), outliers.lof(X, 10), outliers.cblof(X, clusters),
        outliers.isolation_forest(X), (outliers.dbscan(X, 1, 5) < 0).astype(float),
    ):  # fmt: skip
        assert roc_auc_score(far, scores) > 0.9
