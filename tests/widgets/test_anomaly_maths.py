"""js/maths of the anomaly widgets, in node, against scikit-learn, PyOD and torch."""

import json
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.cluster import DBSCAN, KMeans
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from torch import nn

from companion.site.frontend import NODE
from companion.widgets.anomaly_sandbox import (
    DATASETS,
    MIN_POINTS,
    AnomalySandbox,
    autoencoder_scores,
    cblof_scores,
    exported_forest,
    first_centres,
    standardised,
    toy_anomalies,
    train_autoencoder,
)
from conftest import ROOT

MATHS = ROOT / "companion" / "widgets" / "js" / "maths"

# Names for all that the tests compute with, and numbers that JSON has no word for.
HEAD = """
import { readFileSync } from "node:fs";
const A = await import("BASE/anomaly.js");
const I = await import("BASE/isolation.js");
const T = await import("BASE/tiny_autoencoder.js");
const P = await import("BASE/points_table.js");
const run = (work) => { for (;;) { const { done, value } = work.next(); if (done) return value; } };
const plain = (_, v) => ArrayBuffer.isView(v) ? [...v] : v === Infinity ? "inf" : v;
const given = JSON.parse(readFileSync(0, "utf8"));
const rows = Float64Array.from(given.rows ?? []);
const grid = { xs: Float64Array.from(given.xs ?? []), ys: Float64Array.from(given.ys ?? []) };
"""


def node(code: str, /, **given):
    """What `code` returns, run in node with `given` (rows, xs, ys as typed arrays)."""
    given = {
        name: value.ravel().tolist() if isinstance(value, np.ndarray) else value
        for name, value in given.items()
    }
    script = HEAD.replace("BASE", MATHS.as_uri()) + (
        f"const answer = (() => {{ {code} }})();"
        "process.stdout.write(JSON.stringify(answer, plain));"
    )
    command = [str(NODE), "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def numbers(values) -> np.ndarray:
    return np.array([np.inf if v == "inf" else v for v in values], dtype=float)


XS, YS = np.linspace(-4.5, 4.5, 13), np.linspace(-4, 5, 11)
PLACES = np.array([(x, y) for y in YS for x in XS])


@pytest.fixture(scope="module", params=[*DATASETS, "two densities, copies", "ring, stretched"])
def rows(request) -> np.ndarray:
    name, _, trap = request.param.partition(", ")
    return AnomalySandbox(name, copies=trap == "copies", scaled=trap == "stretched").rows()


class TestNeighbours:
    @pytest.mark.parametrize("k", [1, 5, 20, 50])
    def test_knn_and_lof_are_scikit_learns(self, rows, k):
        found = node(
            """const known = A.neighbours(rows, given.k);
            const lof = A.localOutlierFactors(known);
            const fields = run(A.neighbourFields(rows, lof, known.k, grid));
            return { known, lof, fields };""",
            rows=rows, k=k, xs=XS, ys=YS,
        )  # fmt: skip
        far, _ = NearestNeighbors(n_neighbors=k).fit(rows).kneighbors()
        np.testing.assert_allclose(np.reshape(found["known"]["far"], far.shape), far, atol=1e-12)
        lof = LocalOutlierFactor(k).fit(rows)
        np.testing.assert_allclose(found["lof"]["scores"], -lof.negative_outlier_factor_, rtol=1e-6)
        novelty = LocalOutlierFactor(k, novelty=True).fit(rows)
        np.testing.assert_allclose(
            found["fields"]["lof"], -novelty.score_samples(PLACES), rtol=1e-6
        )
        far, _ = novelty.kneighbors(PLACES)
        np.testing.assert_allclose(found["fields"]["knn"], far[:, -1], rtol=1e-9)

    @given(
        st.integers(3, 12).flatmap(
            lambda n: st.tuples(
                st.lists(
                    st.tuples(st.integers(-50, 50), st.integers(-50, 50)),
                    min_size=n, max_size=n, unique=True,
                ),
                st.integers(1, 20),
            )
        )
    )  # fmt: skip
    @settings(max_examples=15)
    def test_few_points_and_large_k(self, case):
        pairs, k = case
        rows = np.array(pairs) + 1e-3 * np.random.default_rng(0).normal(size=(len(pairs), 2))
        found = node(
            "return A.localOutlierFactors(A.neighbours(rows, given.k)).scores;", rows=rows, k=k
        )
        lof = LocalOutlierFactor(min(k, len(rows) - 1)).fit(rows)
        np.testing.assert_allclose(found, -lof.negative_outlier_factor_, rtol=1e-6)

    def test_one_point_has_no_neighbours(self):
        assert node("return A.neighbours(rows, 5).k;", rows=np.zeros(2)) == 0


class TestClusters:
    @pytest.mark.parametrize("epsilon", [1e-6, 0.3, 0.7, 100])
    def test_noise_is_dbscans_and_the_score_what_lies_beyond(self, rows, epsilon):
        found = node(
            """const core = A.corePoints(rows, given.epsilon);
            return { core, own: A.distances(rows, core),
              field: run(A.distanceField(core, grid)) };""",
            rows=rows, epsilon=epsilon, xs=XS, ys=YS,
        )  # fmt: skip
        theirs = DBSCAN(eps=epsilon, min_samples=MIN_POINTS).fit(rows)
        np.testing.assert_array_equal(np.reshape(found["core"], (-1, 2)), theirs.components_)
        np.testing.assert_array_equal(numbers(found["own"]) > epsilon, theirs.labels_ == -1)
        far = cdist(PLACES, theirs.components_).min(1, initial=np.inf)
        np.testing.assert_allclose(numbers(found["field"]), far, atol=1e-6)

    @pytest.mark.parametrize("clusters", [2, 8, 12])
    def test_cblof_is_pyods(self, rows, clusters):
        found = node(
            """const start = A.firstCentres(rows, given.clusters, 0);
            const means = run(A.kMeans(rows, start));
            const large = A.largeCentres(means);
            return { start, means, own: A.distances(rows, large), large };""",
            rows=rows, clusters=clusters,
        )  # fmt: skip
        start = first_centres(rows, clusters)
        np.testing.assert_allclose(np.reshape(found["start"], (-1, 2)), start)
        means = KMeans(clusters, init=start, n_init=1, tol=0, max_iter=300).fit(rows)
        np.testing.assert_allclose(
            np.reshape(found["means"]["centres"], (-1, 2)), means.cluster_centers_, atol=1e-9
        )
        np.testing.assert_allclose(found["own"], cblof_scores(rows, clusters), rtol=1e-6, atol=1e-9)

    def test_equal_points_make_one_cluster(self):
        found = node(
            "return run(A.kMeans(rows, A.firstCentres(rows, 4, 0)));", rows=np.full((9, 2), 1.5)
        )
        assert found == {"centres": [1.5, 1.5], "sizes": [9]}
        np.testing.assert_array_equal(cblof_scores(np.full((9, 2), 1.5), 4), np.zeros(9))

    def test_where_pyod_gives_up_all_clusters_are_large(self):
        found = node(
            "const centres = Float64Array.of(0, 0, 1, 1, 2, 2);"
            "return A.largeCentres({ centres, sizes: [3, 3, 3] });"
        )
        assert found == [0, 0, 1, 1, 2, 2]


class TestForest:
    def test_scikit_learns_trees_give_its_scores(self, rows):
        found = node(
            """const forest = I.imported(given.forest);
            return { own: run(I.forestScores(forest, rows)),
              field: run(I.forestField(forest, grid)) };""",
            rows=rows, forest=exported_forest(rows), xs=XS, ys=YS,
        )  # fmt: skip
        forest = IsolationForest(n_estimators=100, random_state=0).fit(rows)
        np.testing.assert_allclose(found["own"], -forest.score_samples(rows), rtol=1e-9)
        np.testing.assert_allclose(found["field"], -forest.score_samples(PLACES), rtol=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["two densities", "clump", "noise"])
    def test_own_trees_have_scikit_learns_distribution(self, name):
        """Means of 20 forests' scores of the same places, and how much they scatter. A score of
        one forest scatters by about 0.01, so two means of 20 lie within 0.012 of each other."""
        rows = toy_anomalies(name).points
        if name == "noise":  # more rows than a tree gets
            rows = np.concatenate([rows, rows[::-1] * 0.99])[:400]
        found = node(
            """return given.seeds.map((seed) =>
              run(I.forestField(run(I.growForest(rows, seed)), grid)));""",
            rows=rows, seeds=list(range(20)), xs=XS, ys=YS,
        )  # fmt: skip
        theirs = [
            -IsolationForest(n_estimators=100, random_state=seed).fit(rows).score_samples(PLACES)
            for seed in range(20)
        ]
        ours = np.array(found)
        assert np.abs(ours.mean(0) - np.mean(theirs, 0)).max() < 0.012
        assert abs(ours.mean() - np.mean(theirs)) < 0.002
        assert ours.std(0).mean() == pytest.approx(np.std(theirs, 0).mean(), rel=0.15)

    def test_copies_end_a_branch_and_depth_is_limited(self):
        rows = np.array([[0, 0]] * 7 + [[1, 0]], dtype=float)
        found = node(
            """const { trees, samples } = run(I.growForest(rows, 3, 5));
            return { trees, samples, paths: trees.map((tree) => I.pathLength(tree, 0, 0)) };""",
            rows=rows,
        )  # fmt: skip
        for tree in found["trees"]:
            assert tree["axis"] == [0, -1, -1]
            assert sorted(tree["size"][1:]) == [1, 7]
        c7 = 2 * (np.log(6) + np.euler_gamma) - 2 * 6 / 7
        assert found["paths"] == pytest.approx([1 + c7] * 5)

    def test_a_moved_point_changes_few_cuts(self):
        rows = toy_anomalies("two densities").points
        moved = rows.copy()
        moved[50] += 0.05
        before, after = (
            np.array(node("return run(I.forestField(run(I.growForest(rows, 0)), grid));",
                          rows=each, xs=XS, ys=YS))
            for each in (rows, moved)
        )  # fmt: skip
        assert np.abs(before - after).mean() < 0.002


class TestAutoencoder:
    @pytest.mark.parametrize("code", [1, 2])
    def test_gradient_and_training_are_torchs(self, code):
        rows = toy_anomalies("curve").points
        found = node(
            """const made = T.tinyAutoencoder(given.code, 0);
            made.on(rows);
            const first = [...made.weights];
            const loss = made.step();
            const gradient = [...made.gradient];
            for (let step = 1; step < 200; step += 1) made.step();
            return { first, loss, gradient, scores: made.scores(rows) };""",
            rows=rows, code=code,
        )  # fmt: skip
        sizes = ((2, 8), (8, code), (code, 8), (8, 2))
        layers = [nn.Linear(*pair).double() for pair in sizes]
        weights = [p for layer in layers for p in layer.parameters()]
        torch.nn.utils.vector_to_parameters(torch.tensor(found["first"]).double(), weights)
        model = nn.Sequential(
            layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2], nn.Tanh(), layers[3]
        )
        assert all(p.abs().max() <= layer.in_features**-0.5
                   for layer in layers for p in layer.parameters())  # fmt: skip
        x = torch.from_numpy(standardised(rows))
        optimizer = torch.optim.Adam(weights, lr=0.02)
        for step in range(200):
            optimizer.zero_grad()
            loss = (model(x) - x).square().mean()
            loss.backward()
            if step == 0:
                assert found["loss"] == pytest.approx(loss.item(), rel=1e-6)
                gradient = torch.cat([p.grad.ravel() for p in weights])
                np.testing.assert_allclose(found["gradient"], gradient, atol=1e-6)
            optimizer.step()
        errors = (model(x) - x).square().mean(1).detach()
        np.testing.assert_allclose(found["scores"], errors, rtol=1e-4, atol=1e-6)

    def test_goes_on_from_scikit_learns(self):
        """A whole training is chaotic: rounding decides where it ends. Weights carry it over."""
        w = AnomalySandbox("ring")
        found = node(
            """const made = T.tinyAutoencoder(1, 0, given.weights);
            made.on(rows);
            const scores = made.scores(rows);
            const field = run(made.field(grid));
            const losses = Array.from({ length: 300 }, () => made.step());
            return { scores, losses, field };""",
            rows=w.rows(), weights=w.fitted["weights"], xs=XS, ys=YS,
        )  # fmt: skip
        scores = autoencoder_scores(w.rows(), 1)
        np.testing.assert_allclose(found["scores"], scores, rtol=1e-6, atol=1e-15)
        places = (PLACES - w.rows().mean(0)) / w.rows().std(0)
        errors = ((train_autoencoder(w.rows(), 1).predict(places) - places) ** 2).mean(1)
        np.testing.assert_allclose(found["field"], errors, rtol=1e-6)
        assert found["losses"][0] == pytest.approx(scores.mean())
        assert found["losses"][-1] < 1.2 * scores.mean()

    @pytest.mark.parametrize("name", ["ring", "curve", "moons"])
    def test_a_whole_training_in_the_page_bends_the_code(self, name):
        rows = toy_anomalies(name).points
        loss = node(
            """const made = T.tinyAutoencoder(1, 0);
            made.on(rows);
            for (let step = 0; step < T.TRAINING; step += 1) made.step();
            return made.step();""",
            rows=rows,
        )  # fmt: skip
        x = standardised(rows)
        straight = np.linalg.svd(x, compute_uv=False)[1] ** 2 / x.size  # what a line leaves over
        assert loss < 0.35 * straight

    def test_stretching_an_axis_changes_nothing(self):
        found = node(
            """const all = [1, 100].map((by) => {
              const made = T.tinyAutoencoder(1, 0);
              const stretched = rows.map((v, at) => (at % 2 ? v : v * by));
              made.on(stretched);
              for (let step = 0; step < 50; step += 1) made.step();
              return made.scores(stretched);
            });
            return all;""",
            rows=toy_anomalies("ring").points,
        )  # fmt: skip
        np.testing.assert_allclose(found[0], found[1], rtol=1e-6)

    def test_an_axis_that_does_not_vary(self):
        found = node(
            """const made = T.tinyAutoencoder(1, 0);
            made.on(rows);
            for (let step = 0; step < 300; step += 1) made.step();
            return made.scores(rows);""",
            rows=np.array([[0.1, 3.0]] * 7),
        )
        np.testing.assert_allclose(found, np.zeros(7), atol=1e-3)
        np.testing.assert_allclose(standardised(np.array([[0.1, 3.0]] * 7)), 0, atol=1e-12)


class TestRanks:
    @given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.5]), min_size=2, max_size=40))
    @settings(max_examples=20)
    def test_shares_ranks_and_threshold(self, values):
        found = node(
            """const values = Float64Array.from(given.values);
            return { shares: A.shares(values), ranks: given.values.map((_, i) => A.rank(values, i)),
                     levels: [0.01, 0.1, 0.5].map((share) => A.threshold(values, share)) };""",
            values=values,
        )  # fmt: skip
        n = len(values)
        np.testing.assert_allclose(
            found["shares"], (rankdata(values) - 0.5) / n, atol=0.5 / n + 1e-6
        )
        ties = np.array([values.count(v) > 1 for v in values])
        expected = (rankdata(values) - 0.5) / n
        np.testing.assert_allclose(np.array(found["shares"])[ties], expected[ties], atol=1e-6)
        assert found["ranks"] == rankdata([-v for v in values], "min").tolist()
        levels = [np.percentile(values, 100 * (1 - c)) for c in (0.01, 0.1, 0.5)]
        np.testing.assert_allclose(found["levels"], levels, rtol=1e-12)

    def test_spread_is_the_mean_difference_of_pairs(self):
        fields = np.random.default_rng(0).random((6, 20))
        found = node(
            "return A.spread(given.fields.map((field) => Float32Array.from(field)));",
            fields=fields.tolist(),
        )
        pairs = [np.abs(a - b) for i, a in enumerate(fields) for b in fields[:i]]
        np.testing.assert_allclose(found, np.mean(pairs, 0), atol=1e-6)

    def test_contour_of_a_cone_is_a_circle(self):
        x = np.arange(41) - 20.0
        found = node(
            "return A.contour(Float64Array.from(given.field), 41, 12.3);",
            field=np.hypot(x[:, None], x),
        )
        ends = np.reshape(found, (-1, 2)) - 20
        assert len(ends) > 100
        np.testing.assert_allclose(np.hypot(*ends.T), 12.3, atol=0.02)


class TestTables:
    @pytest.mark.parametrize(
        ("text", "points"),
        [
            ("1,2\n3,4\n5,6", [1, 2, 3, 4, 5, 6]),
            ("\ufeffheight;weight\r\n1,5;-2\r\n\r\n3;4e1\r\n5;6", [1.5, -2, 3, 40, 5, 6]),
            ("1\t2\n3\t4\n.5\t6", [1, 2, 3, 4, 0.5, 6]),
            ("1 2\n3   4\n 5 6 ", [1, 2, 3, 4, 5, 6]),
            ('"x","y"\n"1","2"\n3,4\n5,6', [1, 2, 3, 4, 5, 6]),
        ],
    )
    def test_are_read(self, text, points):
        assert node("return P.readPoints(given.text, 3, 400);", text=text) == points

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "There is nothing in it: two columns of numbers are expected."),
            ("a,b", "It has 0 rows of numbers: 3 to 400 are expected."),
            ("1,2\n3,4", "It has 2 rows of numbers: 3 to 400 are expected."),
            ("1,2\n" * 401, "It has 401 rows of numbers: 3 to 400 are expected."),
            ("1,2\n3,x\n5,6", "Line 2 has “x” where a number from −1e9 to 1e9 is expected."),
            ("1,2\n3,NaN\n5,6", "Line 2 has “NaN” where a number"),
            ("1,2\n3,1e999\n5,6", "Line 2 has “1e999” where a number"),
            ("1,2\n\n3,4,5\n", "Line 3 has 3 columns: two are expected."),
            ("1\n2\n3", "Line 1 has 1 column: two are expected."),
            ("1,2\n<img src=x onerror=alert(1)>,2", "Line 2 has “<img src=x onerror=a…” where a"),
            ("\x00\x01PK", "That is no text: a table of two columns"),
            ("1,2\n" * 60_000, "That is more than a table of 400 points: take fewer rows."),
        ],
    )
    def test_are_refused_in_one_sentence(self, text, sentence):
        said = node(
            """try { return P.readPoints(given.text, 3, 400); }
            catch (error) { return error.message; }""",
            text=text,
        )  # fmt: skip
        assert said.startswith(sentence)
        assert said.count("\n") == 0
