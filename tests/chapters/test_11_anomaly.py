"""What chapter 11 claims of its traps, each with its fair rival."""

import numpy as np
import pytest
import torch
from pyod.models.lof import LOF
from sklearn.decomposition import PCA

from companion.anomaly import detect, evaluate, load_table, standardise
from companion.anomaly.autoencoders import error_maps, fit_images
from companion.anomaly.textures import TextureAutoencoder, damaged, windows
from companion.anomaly.toys import toy_points
from companion.datasets import load_images

pytestmark = pytest.mark.slow  # each trains, some several times


def tables(name, anomalies):
    return [load_table(name, anomalies, seed) for seed in (0, 1, 2)]


def mean_auroc(tables, method, change=lambda X: X, **settings):
    values = [
        evaluate(
            table.labels,
            detect(method, change(standardise(table.X)), **settings).scores[: len(table)],
        ).auroc
        for table in tables
    ]
    return np.mean(values)


@pytest.mark.parametrize(("name", "anomalies"), [("breast cancer", 20), ("wine", 10)])
class TestTables:
    def test_copies_wreck_lof_and_not_its_rivals(self, name, anomalies):
        def with_copies(X):
            ordinary = np.abs(X).sum(1).argmin()
            return np.vstack([X, *[X[[ordinary]]] * 25])

        def lost(method, **settings):
            some = tables(name, anomalies)
            before = mean_auroc(some, method, **settings)
            return before - mean_auroc(some, method, with_copies, **settings)

        assert lost("lof") > 0.1
        assert lost("lof", k=40) < 0.05
        assert lost("knn") < 0.05
        assert lost("iforest") < 0.05

    def test_one_column_times_100(self, name, anomalies):
        some = tables(name, anomalies)

        def scaled(column):
            return lambda X: X * np.where(np.arange(X.shape[1]) == column, 100, 1)

        columns = range(0, some[0].X.shape[1])
        for method in ("knn", "lof"):
            worst = min(mean_auroc(some, method, scaled(c)) for c in columns)
            assert worst < mean_auroc(some, method) - 0.05
        plain = mean_auroc(some, "iforest")
        assert mean_auroc(some, "iforest", scaled(0)) == pytest.approx(plain, abs=1e-6)

    def test_contamination_changes_no_score(self, name, anomalies):
        X = standardise(tables(name, anomalies)[0].X)
        models = [LOF(contamination=share).fit(X) for share in (0.01, 0.3)]
        np.testing.assert_array_equal(models[0].decision_scores_, models[1].decision_scores_)
        assert models[0].labels_.mean() == pytest.approx(0.01, abs=0.01)
        assert models[1].labels_.mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("one", tables("breast cancer", 20))
def test_anomalies_in_the_fit_spoil_the_reconstruction_error(one):
    benign = np.flatnonzero(~one.labels)[::2]
    rest = np.setdiff1d(np.arange(len(one)), benign)
    soiled = np.r_[benign, np.flatnonzero(one.labels)]
    Z = (one.X - one.X[benign].mean(0)) / one.X[benign].std(0)

    def found(rows):
        pca = PCA(7).fit(Z[rows])
        beside = ((Z[rest] - pca.inverse_transform(pca.transform(Z[rest]))) ** 2).sum(1)
        network = detect("autoencoder", Z[rows], epochs=60).score(Z[rest])
        return [evaluate(one.labels[rest], scores).auroc for scores in (beside, network)]

    assert min(found(benign)) > 0.85
    assert max(found(soiled)) < 0.8


def test_a_random_ranking_of_few_anomalies_has_more_than_their_share():
    rng = np.random.default_rng(0)
    labels = np.arange(359) < 2
    values = [evaluate(labels, rng.random(359)).average_precision for _ in range(300)]
    harmonic = (1 / np.arange(1, 360)).sum()
    exact = ((359 - harmonic) / 358 + harmonic) / 359
    assert np.mean(values) == pytest.approx(exact, abs=0.01)
    assert exact > 3 * labels.mean()


def test_equal_scores_are_flagged_by_nobody():
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25, dtype=float)
    assert LOF(n_neighbors=5, contamination=0.1).fit(X).labels_.sum() == 0


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_miss_a_clump_larger_than_k(seed):
    toy = toy_points("clump", seed)
    for method, k in (("knn", 5), ("lof", 5)):
        assert evaluate(toy.labels, detect(method, toy.X, k=k).scores).auroc < 0.7
        assert evaluate(toy.labels, detect(method, toy.X, k=20).scores).auroc > 0.95


@pytest.mark.parametrize("seed", range(5))
def test_lof_judges_by_what_is_usual_there(seed):
    toy = toy_points("two densities", seed)
    found = {
        name: evaluate(toy.labels, detect(name, toy.X, k=20).scores) for name in ("lof", "knn")
    }
    assert found["lof"].auroc > 0.98
    assert found["knn"].auroc < 0.9


def one_out(method, odd, share=0.0, **settings):
    train, test = load_images("digits"), load_images("digits", "test")
    normal = train.images[train.labels != odd]
    few = train.images[train.labels == odd][: round(share * len(normal))]
    scores = detect(method, torch.cat([normal, few]), **settings).score(test)
    return evaluate(test.labels == odd, scores).auroc


def test_anomalies_in_the_training_set():
    for method, settings in (("knn", {}), ("autoencoder", {"latent_dim": 8, "epochs": 15})):
        clean, soiled = (
            np.mean([one_out(method, odd, share, **settings) for odd in (0, 1)])
            for share in (0, 0.1)
        )
        assert clean > 0.85
        assert soiled < clean - 0.2


def test_a_wide_code_rebuilds_what_it_never_saw():
    narrow, wide = (
        np.mean([one_out("autoencoder", odd, latent_dim=k, epochs=15) for odd in (0, 8)])
        for k in (8, 64)
    )
    assert wide < narrow - 0.05
    train, test = load_images("digits"), load_images("digits", "test")
    normal = train.pixels()[train.labels != 0].flatten(1).numpy()
    images = test.pixels().flatten(1).numpy()
    found = []
    for k in (8, 48):
        pca = PCA(k).fit(normal)
        errors = ((images - pca.inverse_transform(pca.transform(images))) ** 2).sum(1)
        found.append(evaluate(test.labels == 0, errors).auroc)
    assert found[1] < found[0] - 0.2


def test_the_best_of_forty_dice():
    first, later = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        labels = np.arange(129) < 10
        results = []
        for _ in range(40):
            scores = rng.random(129)
            results.append([evaluate(labels[5:], scores[5:]).auroc,
                            evaluate(np.r_[labels[:5], labels[10:]],
                                     np.r_[scores[:5], scores[10:]]).auroc])  # fmt: skip
        best = max(results, key=lambda pair: pair[0])
        first.append(best[0])
        later.append(best[1])
    assert np.mean(first) > 0.75
    assert np.mean(later) == pytest.approx(0.5, abs=0.15)


def test_a_stain_on_gravel_is_easier_to_rebuild():
    torch.manual_seed(0)
    model = TextureAutoencoder(8)
    fit_images(windows("gravel", size=48), model=model, epochs=8)
    good = windows("gravel", "test", 16)
    spoilt, masks = damaged(good, "stain")
    stain, mean = masks[:, None], good.mean()

    def auroc(images):
        return evaluate(masks.numpy().ravel(), error_maps(model, images).ravel()).auroc

    flat = torch.where(stain, mean + 0.75 * (good - mean), good)
    dark = torch.where(stain, good - 0.25 * mean, good)
    assert auroc(spoilt) < 0.4
    assert auroc(flat) < 0.4
    assert auroc(dark) > 0.4
