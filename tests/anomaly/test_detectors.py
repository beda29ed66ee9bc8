"""Every method through `detect` against PyOD, scikit-learn or NumPy; refusals of bad input."""

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from torch import nn

from companion.anomaly import METHODS, detect, evaluate, load_table, standardise
from companion.anomaly.autoencoders import error_maps, errors
from companion.by_hand.outliers import cblof
from companion.datasets import load_images


@pytest.fixture(scope="module")
def cancer():
    table = load_table("breast cancer")
    return standardise(table.X), table.labels


def independent(method: str, X: np.ndarray) -> np.ndarray:
    """The scores without PyOD."""
    if method == "iforest":
        return -IsolationForest(n_estimators=1000, random_state=5).fit(X).score_samples(X)
    if method == "lof":
        return -LocalOutlierFactor(20).fit(X).negative_outlier_factor_
    if method == "knn":
        return NearestNeighbors(n_neighbors=5).fit(X).kneighbors()[0][:, -1]
    if method == "pca":
        # Distances to each component's direction as a point, over its share of the variance.
        pca = PCA().fit((X - X.mean(0)) / X.std(0))
        Z = (X - X.mean(0)) / X.std(0)
        gaps = np.linalg.norm(Z[:, None] - pca.components_[None], axis=2)
        return (gaps / pca.explained_variance_ratio_).sum(1)
    return cblof(X, KMeans(8, random_state=0).fit_predict(X))


class TestAgainstIndependentRuns:
    @pytest.mark.slow
    @pytest.mark.parametrize("method", ["iforest", "lof", "knn", "cblof", "pca"])
    @pytest.mark.parametrize("name", ["breast cancer", "wine"])
    def test_auroc(self, method, name):
        table = load_table(name, anomalies=20)
        X = standardise(table.X)
        if method == "iforest":  # the luck of 100 trees is worth more than 0.01
            ours = evaluate(table.labels, detect("iforest", X, trees=1000).scores).auroc
            theirs = roc_auc_score(table.labels, independent(method, X))
        else:
            ours = evaluate(table.labels, detect(method, X).scores).auroc
            theirs = roc_auc_score(table.labels, independent(method, X))
        assert ours == pytest.approx(theirs, abs=0.01)

    def test_dbscan_is_above_eps_where_scikit_learn_says_noise(self, cancer):
        X, _ = cancer
        found = detect("dbscan", X, eps=3.5, min_points=8)
        noise = DBSCAN(eps=3.5, min_samples=8).fit_predict(X) == -1
        assert 0 < noise.sum() < len(X)
        np.testing.assert_array_equal(found.scores > 3.5, noise)


class TestEveryMethod:
    @pytest.mark.parametrize("method", METHODS)
    def test_a_far_row_scores_highest(self, method):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(120, 4))
        settings = {"dbscan": {"eps": 2.0}, "autoencoder": {"epochs": 20, "latent_dim": 2}}
        found = detect(method, X, **settings.get(method, {}))
        scores = found.score(np.vstack([X[:5], np.full((1, 4), 15.0)]))
        assert scores.shape == (6,)
        assert scores.argmax() == 5
        assert found.scores.shape == (120,)

    @pytest.mark.parametrize("method", ["cblof", "iforest", "autoencoder"])
    def test_the_same_seed_gives_the_same_scores(self, method):
        X = np.random.default_rng(0).normal(size=(60, 3))
        more = {"epochs": 3} if method == "autoencoder" else {}
        first, again = (detect(method, X, seed=4, **more).scores for _ in range(2))
        np.testing.assert_array_equal(first, again)

    def test_the_shares_that_are_flagged(self):
        X = np.random.default_rng(0).normal(size=(200, 2))
        found = detect("knn", X)
        assert found.flagged(0.1).sum() == 20
        assert (
            found.scores[found.flagged(0.05)].min()
            > np.delete(found.scores, np.flatnonzero(found.flagged(0.05))).max()
        )


class TestImages:
    def test_digits_with_one_class_left_out(self):
        train, test = load_images("digits"), load_images("digits", "test")
        normal = train[train.labels != 0]
        for method in ("knn", "autoencoder"):
            scores = detect(method, normal).score(test)
            assert evaluate(test.labels == 0, scores).auroc > 0.9, method

    def test_the_score_is_the_mean_of_the_error_map(self):
        images = load_images("digits", size=80)
        found = detect("autoencoder", images, epochs=2)
        maps = error_maps(found.model, images, sigma=0)
        assert maps.shape == (80, 8, 8)
        np.testing.assert_allclose(maps.mean((1, 2)), found.scores, rtol=1e-5)

    def test_a_model_of_ones_own(self):
        images = load_images("digits", size=40)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))
        found = detect("autoencoder", images, model=model, epochs=1)
        assert found.model is model
        assert errors(model, images).shape == (40, 1, 8, 8)


class TestRefusals:
    X = np.random.default_rng(0).normal(size=(30, 3))

    def with_value(self, value: object) -> np.ndarray:
        X = self.X.astype(object)
        X[4, 1] = value
        return X

    def test_nan(self):
        with pytest.raises(ValueError, match=r"Row 4 has nan in column 1: fill in"):
            detect("lof", self.with_value(np.nan))

    def test_infinity(self):
        with pytest.raises(ValueError, match=r"Row 4 has inf in column 1"):
            detect("lof", self.with_value(np.inf))

    def test_text(self):
        with pytest.raises(ValueError, match=r"Expected rows of numbers, got 'red'"):
            detect("knn", self.with_value("red"))

    def test_a_constant_column(self):
        X = self.X.copy()
        X[:, 2] = 7
        with pytest.raises(ValueError, match=r"Column 2 is 7 in all 30 rows"):
            detect("iforest", X)

    def test_one_row(self):
        with pytest.raises(ValueError, match=r"at least 2 rows, got 1"):
            detect("knn", self.X[:1])

    def test_a_list_of_numbers(self):
        with pytest.raises(ValueError, match=r"N rows and D columns, got 30"):
            detect("knn", self.X[:, 0])

    @pytest.mark.parametrize("method", ["knn", "lof"])
    @pytest.mark.parametrize("k", [0, 30, 2.5, True])
    def test_k(self, method, k):
        with pytest.raises(ValueError, match=r"k must be a whole number from 1 to 29"):
            detect(method, self.X, k=k)

    def test_few_rows_for_the_usual_k(self):
        with pytest.raises(ValueError, match=r"k must be a whole number from 1 to 14.*got 20"):
            detect("lof", self.X[:15])

    def test_eps_that_makes_everything_noise(self):
        with pytest.raises(ValueError, match=r"all would be noise"):
            detect("dbscan", self.X, eps=1e-6)

    def test_clusters_of_one_size(self):
        X = np.vstack([self.X, 50 + self.X])
        with pytest.raises(ValueError, match="None of the 2 clusters is small enough"):
            detect("cblof", X, clusters=2)

    def test_another_method_or_setting(self):
        with pytest.raises(ValueError, match=r"method must be one of 'knn'.*got 'svm'"):
            detect("svm", self.X)
        with pytest.raises(ValueError, match=r"'lof' has no setting 'eps'; it has k"):
            detect("lof", self.X, eps=1)

    def test_rows_of_another_width(self):
        with pytest.raises(ValueError, match=r"Fitted on 3 columns a row, got 2 columns"):
            detect("knn", self.X).score(self.X[:, :2])

    def test_images_in_another_range(self):
        with pytest.raises(ValueError, match=r"floats in \[0, 1\], got 0 to 255"):
            detect("knn", 255 * torch.linspace(0, 1, 40).view(10, 1, 2, 2))

    @pytest.mark.parametrize("share", [0, 0.7, float("nan")])
    def test_contamination(self, share):
        with pytest.raises(ValueError, match=r"contamination is the share"):
            detect("knn", self.X).flagged(share)
