"""EmbeddingExplorer: its numbers from Python, t-SNE against scikit-learn, its front end by keys."""

import base64
import json

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.manifold import TSNE, _t_sne

from companion.datasets import load_images
from companion.explain.embeddings import (
    continuity,
    distortion,
    kept_neighbours,
    nearest_neighbours,
    project,
    toy_points,
    trustworthiness,
)
from companion.site.frontend import build_frontend
from companion.widgets import EmbeddingExplorer
from companion.widgets.noise import noise, uniform
from support.front_end import HOSTILE, settle, shown_numbers
from support.pages import visit


def digits(count: int) -> tuple[np.ndarray, EmbeddingExplorer]:
    data = load_images("digits", size=count)
    points = data.pixels().flatten(1).numpy()
    return points, EmbeddingExplorer(points, data.images, data.labels, data.class_names)


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: EmbeddingExplorer(np.ones((9, 3))), "expected 10 to 1,000 points"),
            (lambda: EmbeddingExplorer(np.ones((1001, 3))), r"take some of them, as embedding\[:5"),
            (lambda: EmbeddingExplorer(np.full((20, 3), np.nan)), "must hold finite numbers"),
            (lambda: EmbeddingExplorer(np.ones((20, 1))), "2 dimensions or more, got 1"),
            (lambda: EmbeddingExplorer(np.eye(20), labels=[0] * 19), "labels must be 20 class"),
            (lambda: EmbeddingExplorer(np.eye(20), labels=[-1] * 20), "labels must be 20 class"),
            (lambda: EmbeddingExplorer(np.eye(21), labels=range(21)), "at most 20 classes, got 21"),
            (
                lambda: EmbeddingExplorer(np.eye(20), None, [2] * 20, ["a", "b"]),
                "expected 3 class_names, got 2",
            ),
            (
                lambda: EmbeddingExplorer(np.eye(20), torch.zeros(19, 1, 8, 8)),
                "expected 20 images, one a point, got 19",
            ),
            (lambda: EmbeddingExplorer(np.eye(20), torch.zeros(20, 2, 8, 8)), "images N×1×H×W"),
            (lambda: EmbeddingExplorer(np.eye(20), view="umap"), "view must be one of pca, tsne"),
            (lambda: EmbeddingExplorer(np.eye(22), perplexity=8), "perplexity must be a number"),
            (lambda: EmbeddingExplorer.toy("links"), "kind must be one of sizes"),
        ],
    )
    def test_bad_ones_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_bad_assignments_change_nothing(self):
        w = EmbeddingExplorer(np.eye(31))
        for name, value in {
            "perplexity": 11, "k": 16, "selected": 31, "view": "mds", "init": "spectral",
        }.items():  # fmt: skip
            before = getattr(w, name)
            with pytest.raises(ValueError, match=name):
                setattr(w, name, value)
            assert getattr(w, name) == before

    def test_equal_points_are_no_trouble(self):
        assert EmbeddingExplorer(np.ones((12, 3))).kept_in_page["variance"] == 1


class TestWhatThePageGets:
    def test_state_is_json_of_few_bytes(self):
        _, w = digits(500)
        state = w.page_state()
        assert len(json.dumps(state)) < 150_000

    def test_few_dimensions_come_whole(self):
        points, w = digits(200)
        assert w.kept_in_page["dimensions"] == w.kept_in_page["of"] == 64
        assert w.kept_in_page["variance"] == pytest.approx(1, abs=1e-4)
        assert w.kept_in_page["neighbours"] > 0.998
        w.k, w.selected = 5, 7
        near = nearest_neighbours(points, k=5).indices[7]
        assert w.neighbours() == near.tolist()

    def test_many_are_reduced_and_what_that_keeps_is_said(self):
        rng = np.random.default_rng(0)
        points = rng.normal(size=(150, 300)) * np.linspace(3, 0, 300)
        w = EmbeddingExplorer(points)
        _, s, _ = np.linalg.svd(points - points.mean(0))
        kept = w.kept_in_page
        assert (kept["of"], kept["dimensions"]) == (300, 64)
        assert kept["variance"] == pytest.approx((s[:64] ** 2).sum() / (s**2).sum(), abs=1e-3)
        assert 0.3 < kept["neighbours"] < 1

    def test_thumbnails_are_small_and_the_images(self):
        images = torch.randint(256, (12, 3, 32, 16)).to(torch.uint8)
        tiles = EmbeddingExplorer(np.eye(12), images).tiles
        assert tiles["shape"] == [3, 16, 8]
        seen = np.frombuffer(base64.b64decode(tiles["data"]), np.uint8).reshape(12, 3, 16, 8)
        mean = images.float().view(12, 3, 16, 2, 8, 2).mean((3, 5)).round()
        np.testing.assert_allclose(seen, mean, atol=1)  # halves are rounded either way
        grey = EmbeddingExplorer(np.eye(12), images[:, :1].expand(-1, 3, -1, -1), side=32).tiles
        assert grey["shape"] == [1, 32, 16]

    @pytest.mark.slow
    def test_umap_on_request(self):
        points, _ = digits(60)
        w = EmbeddingExplorer(points, umap=True, view="umap")
        sent = np.frombuffer(base64.b64decode(w.layouts["umap"]), "<f4").reshape(-1, 2)
        np.testing.assert_allclose(sent, project(points, "umap"), rtol=1e-6)
        assert w.quality("umap")["trustworthiness"] > 0.9

    def test_toys(self):
        w = EmbeddingExplorer.toy("distances", 90, perplexity=10, title="Far and near")
        assert w.class_names == ["here", "10 away", "50 farther"]
        assert w.tiles == {}
        assert w.perplexity == 10
        assert "90 points in 10 dimensions" in repr(w)


# ------------------------------------------------------------------ the mathematics of the page

RUN = """async ([points, n, perplexity, pca, exaggeration, starts]) => {
  const { squaredDistances, finish } = await import("/maths/embeddings.js");
  const tsne = await import("/maths/tsne.js");
  const squared = finish(squaredDistances(Float64Array.from(points), n));
  const p = finish(tsne.affinities(squared, n, perplexity));
  const runs = starts.map(({ plane, steps }) => {
    const walk = tsne.descent(p, tsne.start(plane), exaggeration);
    while (walk.steps < steps) walk.step();
    return { plane: [...walk.plane], kl: finish(tsne.divergence(p, walk.plane)) };
  });
  const gradient = new Float64Array(2 * n);
  const at = Float64Array.from(pca);
  tsne.gradientOf(p, at, exaggeration, gradient, tsne.scratchFor(n));
  return { p: [...p], gradient: [...gradient], kl: finish(tsne.divergence(p, at)), runs };
}"""

JUDGE = """async ([points, n, plane, k, labels, count]) => {
  const maths = await import("/maths/embeddings.js");
  const seen = Float64Array.from(plane);
  const squared = maths.finish(maths.squaredDistances(Float64Array.from(points), n));
  const order = maths.finish(maths.neighbourRanks(squared, n));
  const classes = maths.classesOf(seen, labels, count);
  return {
    ...maths.finish(maths.neighbourhoods(order, seen, k)),
    correlation: maths.distanceCorrelation(squared, n)(seen),
    near: Array.from({ length: n }, (_, i) => maths.planeNeighbours(seen, i, k)),
    order: [...order.order],
    spreads: [...classes.spreads],
    sizes: [...maths.relative(classes.spreads)],
    centres: [...maths.pairDistances(classes.centres, count)],
  };
}"""


def run(tab, points, plane, perplexity=30.0, exaggeration=1.0, starts=()):
    return tab.evaluate(
        RUN,
        [points.ravel().tolist(), len(points), perplexity, plane.ravel().tolist(), exaggeration,
         [{"plane": np.ravel(start).tolist(), "steps": steps} for start, steps in starts]],
    )  # fmt: skip


@pytest.mark.browser
class TestMathematics:
    @pytest.mark.parametrize("perplexity", [2, 7.5, 30])
    @pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
    def test_probabilities_and_gradient_are_scikit_learns(self, page, perplexity, scale):
        points, _ = digits(100)
        plane = np.random.default_rng(1).normal(size=(100, 2))
        found = run(page(), scale * points, plane, perplexity, exaggeration=4)
        squared = cdist(scale * points, scale * points, "sqeuclidean")
        p = _t_sne._joint_probabilities(squared, perplexity, 0)
        np.testing.assert_allclose(found["p"], p, atol=1e-6)
        assert sum(found["p"]) == pytest.approx(0.5, abs=1e-9)
        exact = np.array(found["p"])
        arguments = plane.ravel(), 4 * exact, 1, 100, 2
        _, gradient = _t_sne._kl_divergence(*arguments)
        np.testing.assert_allclose(found["gradient"], gradient, atol=1e-12)
        divergence, _ = _t_sne._kl_divergence(plane.ravel(), exact, 1, 100, 2)
        assert found["kl"] == pytest.approx(divergence, rel=1e-9)

    def test_points_at_one_place(self, page):
        points = np.zeros((20, 3))
        points[10:] = 1
        found = run(page(), points, np.ones((20, 2)), 3.0)
        assert np.isfinite(found["p"]).all()
        assert sum(found["p"]) == pytest.approx(0.5, abs=1e-6)
        assert not np.any(found["gradient"])

    def test_steps_are_scikit_learns(self, page):
        """Before rounding, which each step enlarges, has grown to be seen."""
        points, _ = digits(60)
        pca = project(points, "pca")
        start = 1e-4 * pca / pca[:, 0].std()
        found = run(page(), points, start, 10.0, 12.0, [(pca, 20)])
        p = np.array(found["p"])
        early, _, last = _t_sne._gradient_descent(
            _t_sne._kl_divergence, start.ravel(), 0, 20, momentum=0.5, learning_rate=50,
            args=[12 * p, 1, 60, 2],
        )  # fmt: skip
        assert last == 19
        np.testing.assert_allclose(found["runs"][0]["plane"], early, rtol=1e-5)

    @pytest.mark.slow
    def test_ends_where_scikit_learn_ends(self, page):
        """Both end in one of many minima: over random starts their means are the same."""
        points, _ = digits(300)
        starts = [(noise(seed, 600).numpy(), 1000) for seed in range(4)]
        ours = [each["kl"] for each in run(page(), points, np.ones((300, 2)), 30.0, 12.0,
                                           starts)["runs"]]  # fmt: skip
        theirs = [
            TSNE(2, method="exact", init="random", random_state=seed).fit(points).kl_divergence_
            for seed in range(3)
        ]
        assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.06)

    def test_judges_as_scikit_learn_does(self, page):
        points, _ = digits(120)
        labels = load_images("digits", size=120).labels
        plane = np.random.default_rng(0).normal(size=(120, 2)) + project(points, "pca")
        for k in (1, 6, 20):
            found = page().evaluate(
                JUDGE,
                [points.ravel().tolist(), 120, plane.ravel().tolist(), k, labels.tolist(), 10],
            )
            assert found["trustworthiness"] == pytest.approx(trustworthiness(points, plane, k))
            assert found["continuity"] == pytest.approx(continuity(points, plane, k))
            assert found["kept"] == pytest.approx(kept_neighbours(points, plane, k))
            assert found["near"] == nearest_neighbours(plane, k=k).indices.tolist()
            truth = distortion(points, plane, labels)
            np.testing.assert_allclose(found["spreads"], truth.plane_spreads)
            pairs = np.triu_indices(10, 1)
            np.testing.assert_allclose(found["centres"], truth.plane_centre_distances[pairs])
            draws = uniform(0, 4000).numpy().reshape(-1, 2)
            i = np.floor(draws[:, 0] * 120).astype(int)
            j = (i + 1 + np.floor(draws[:, 1] * 119).astype(int)) % 120
            gaps = (np.linalg.norm(each[i] - each[j], axis=1) for each in (points, plane))
            assert found["correlation"] == pytest.approx(spearmanr(*gaps).statistic, abs=1e-4)
            assert found["correlation"] == pytest.approx(
                spearmanr(pdist(points), pdist(plane)).statistic, abs=0.08
            )


# ------------------------------------------------------------------ the front end, unbundled


# Runs for two frames; how far it came.
PAUSED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const button = document.querySelector("[data-wakes]");
  button.click();
  await frame();
  await frame();
  button.click();
  await frame();
  return Number(document.querySelector(".companion").dataset.steps);
}"""


def small(**options) -> EmbeddingExplorer:
    points, labels, names = toy_points("distances", 36)
    images = (labels[:, None, None, None] * np.full((1, 1, 8, 8), 60)).astype(np.uint8)
    return EmbeddingExplorer(points, images, labels, names, **options)


def steps(tab) -> int:
    return int(tab.get_attribute(".companion", "data-steps"))


def until_steps(tab, count: int) -> None:
    tab.wait_for_function(
        "(count) => Number(document.querySelector('.companion').dataset.steps) >= count", arg=count
    )


@pytest.mark.browser
class TestFrontEnd:
    def test_pca_in_numbers(self, page):
        w = small(view="pca")
        numbers = shown_numbers(page(w))
        for name, value in w.quality().items():
            assert numbers[name] == pytest.approx(value)
        assert numbers["kl"] is None
        pca = project(toy_points("distances", 36).points, "pca")
        found = distortion(w._points, pca, toy_points("distances", 36).labels)
        for k, ratio in enumerate(found.size_ratios):
            assert numbers[f"size-{k}"] == pytest.approx(ratio, rel=1e-3)
        ratios = found.distance_ratios[np.triu_indices(3, 1)]
        assert numbers["distance-least"] == pytest.approx(ratios.min(), rel=1e-3)
        assert numbers["distance-most"] == pytest.approx(ratios.max(), rel=1e-3)

    def test_runs_pauses_steps_and_restarts(self, page):
        tab = page(EmbeddingExplorer(np.random.default_rng(0).normal(size=(150, 5))))
        before = shown_numbers(tab)
        assert before["steps"] == 0
        tab.get_by_role("button", name="One step").click()
        settle(tab)
        assert steps(tab) == 1
        at = tab.evaluate(PAUSED)
        assert 1 < at < 1000
        settle(tab)
        assert steps(tab) == at
        tab.get_by_role("button", name="Go on").click()
        until_steps(tab, 1000)
        tab.get_by_role("button", name="Go on").wait_for()
        after = shown_numbers(tab)
        assert after["steps"] == 1000
        assert after["kl"] < before["kl"]
        tab.get_by_role("button", name="Restart").click()
        tab.wait_for_function(
            "(kl) => Number(document.querySelector('[data-quantity=kl]').dataset.value) === kl",
            arg=before["kl"],
        )
        assert shown_numbers(tab) == before | {"rate": shown_numbers(tab)["rate"]}

    def test_a_new_setting_begins_anew(self, page):
        tab = page(small())
        tab.get_by_role("button", name="Run t-SNE").click()
        until_steps(tab, 1000)
        tab.get_by_role("button", name="Go on").wait_for()
        first = shown_numbers(tab)
        slider = tab.get_by_role("slider", name="Perplexity")
        for key, value in (("Home", 2), ("End", 35 / 3)):
            slider.press(key)
            settle(tab)
            until_steps(tab, 1000)
            tab.get_by_role("button", name="Go on").wait_for()
            seen = shown_numbers(tab)
            assert seen["perplexity"] == pytest.approx(value, rel=0.02)
            # The right end is what it began with.
            assert (seen["kl"] == pytest.approx(first["kl"])) == (key == "End")
        assert tab.evaluate("model.get('perplexity')") <= 35 / 3

    def test_seeds_give_the_same_layout_again(self, page):
        seen = []
        for seed in (1, 2, 1):
            w = small()
            w.init, w.seed = "random", seed
            tab = page(w)
            for _ in range(3):
                count = steps(tab)
                tab.get_by_role("button", name="One step").click()
                until_steps(tab, count + 1)
            settle(tab)
            seen.append(shown_numbers(tab)["kl"])
        assert seen[0] == seen[2] != seen[1]

    def test_arrow_keys_go_from_point_to_point(self, page):
        w = small(view="pca")
        tab = page(w)
        point = tab.get_by_role("slider", name="Point that is looked at")
        point.focus()
        visited = set()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "End", "Home"):
            tab.keyboard.press(key)
            settle(tab)
            chosen = tab.evaluate("model.get('selected')")
            visited.add(chosen)
            w.selected = chosen
            near = nearest_neighbours(w._points, k=5).indices[chosen].tolist()
            assert w.neighbours() == near
            assert point.get_attribute("aria-valuetext").startswith(f"point {chosen + 1} of 36, ")
        assert chosen == 0
        assert len(visited) > 3

    def test_pointing_and_tapping_choose_the_nearest(self, page):
        w = small(view="pca")
        tab = page(w)
        box = tab.locator(".embedding-picture canvas").bounding_box()
        plane = project(toy_points("distances", 36).points, "pca")
        far = int(plane[:, 0].argmax())  # the rightmost point
        for act in (tab.mouse.move, tab.mouse.click):
            tab.evaluate("model.set('selected', 0)")
            settle(tab)
            span = np.ptp(plane[:, 0])
            middle = (plane[:, 1].max() + plane[:, 1].min()) / 2
            margin = tab.evaluate("Math.min(26, Math.max(13, 420 / 6))")
            unit = (480 - 2 * margin) / span * box["width"] / 480
            x = box["x"] + box["width"] * (1 - margin / 480)
            act(x, box["y"] + box["height"] / 2 - unit * (plane[far, 1] - middle))
            settle(tab)
            assert tab.evaluate("model.get('selected')") == far

    def test_shared_neighbours_are_counted(self, page):
        w = small(view="pca")
        tab = page(w)
        plane = np.frombuffer(base64.b64decode(w.layouts["pca"]), "<f4").reshape(-1, 2)
        for chosen in (0, 11, 35):
            tab.evaluate("(i) => model.set('selected', i)", chosen)
            near = set(nearest_neighbours(plane, k=5).indices[chosen].tolist())
            w.selected = chosen
            assert shown_numbers(tab)["shared"] == len(near & set(w.neighbours()))

    def test_highlight_and_zoom_reach_their_ends(self, page):
        tab = page(small(view="pca"))
        canvas = tab.locator(".embedding-picture canvas")
        pictures = {canvas.evaluate("(el) => el.toDataURL()")}
        tab.get_by_role("slider", name="Zoom").press("End")
        pictures.add(canvas.evaluate("(el) => el.toDataURL()"))
        tab.get_by_role("slider", name="Zoom").press("Home")
        tab.get_by_label("Highlight").select_option("2")
        pictures.add(canvas.evaluate("(el) => el.toDataURL()"))
        assert len(pictures) == 3

    def test_without_classes_or_images(self, page):
        tab = page(EmbeddingExplorer(np.random.default_rng(0).normal(size=(36, 4)), title=HOSTILE))
        assert tab.get_by_text("Sizes of the classes").count() == 0
        assert "Point 1" in tab.inner_text("main")


@pytest.mark.browser
class TestInAPage:
    def test_runs_from_a_folder_at_a_touch_without_a_kernel(self, browser, stage):
        build_frontend(quiet=True)
        with visit(browser, stage(small())) as seen:
            tab = seen.page
            assert tab.locator(".companion-live").count() == 0
            tab.get_by_role("button", name="Run t-SNE").click()
            tab.wait_for_function(
                "Number(document.querySelector('.companion-live .companion')?.dataset.steps) > 99"
            )
