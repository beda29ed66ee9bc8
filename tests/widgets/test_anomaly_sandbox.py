"""AnomalySandbox: its numbers from Python, its front end against them by mouse, touch and keys."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from companion.site.frontend import build_frontend
from companion.widgets import AnomalySandbox
from companion.widgets.anomaly_sandbox import COPIES, DATASETS, METHODS, toy_anomalies
from support.front_end import HOSTILE, settle, shown_numbers
from support.pages import visit

DISTANCES = METHODS[:4]  # depend on nothing but the rows


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: AnomalySandbox("stars"), "there are the data sets two densities, .*'stars'"),
            (lambda: AnomalySandbox(np.ones((5, 3))), "points must be N×2 numbers, got 5×3"),
            (lambda: AnomalySandbox([["a", "b"]]), "points must be N×2 numbers, got something"),
            (lambda: AnomalySandbox([[0, np.nan]] * 9), "points must be finite numbers of at most"),
            (lambda: AnomalySandbox([[0, 2e9]] * 9), "points must be finite numbers of at most"),
            (lambda: AnomalySandbox(np.ones((401, 2))), "expected 0 to 400 points, got 401"),
            (lambda: AnomalySandbox(k=0), "k must be a whole number from 1 to 50"),
            (lambda: AnomalySandbox(epsilon=0), "epsilon must be a number from 1e-09"),
            (lambda: AnomalySandbox(contamination=0.6), "contamination must be a number from 0.01"),
            (lambda: AnomalySandbox(clusters=1), "clusters must be a whole number from 2 to 12"),
            (lambda: AnomalySandbox(code=3), "code must be a whole number from 1 to 2"),
            (
                lambda: AnomalySandbox(shown="svm"),
                "shown must be one of lof, .*, spread, not 'svm'",
            ),
        ],
    )
    def test_bad_ones_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    def test_bad_assignments_change_nothing(self):
        w = AnomalySandbox("ring")
        for name, value in {"points": [[1, 2, 3]], "k": 51, "shown": "", "code": 0}.items():
            before = getattr(w, name)
            with pytest.raises(ValueError, match=name):
                setattr(w, name, value)
            assert getattr(w, name) == before


class TestNumbers:
    def test_rows_with_traps(self):
        w = AnomalySandbox("moons", copies=True, scaled=True)
        points = toy_anomalies("moons").points
        assert w.rows().shape == (len(points) + COPIES, 2)
        np.testing.assert_array_equal(w.rows()[: len(points)], points * [100, 1])
        np.testing.assert_array_equal(w.rows()[len(points) :], [points[0] * [100, 1]] * COPIES)

    @pytest.mark.slow
    def test_contamination_is_a_share_and_moves_no_score(self):
        few, many = (AnomalySandbox("ring", contamination=c) for c in (0.05, 0.3))
        for method, scores in few.scores().items():
            np.testing.assert_array_equal(scores, many.scores()[method])
            counts = [int(w.flagged()[method].sum()) for w in (few, many)]
            if method == "dbscan":
                assert counts[0] == counts[1]
            else:
                assert counts[0] in (9, 10)  # of 185; ties share the threshold
                assert counts[1] == 56

    @pytest.mark.slow
    def test_what_the_data_sets_show(self):
        """Each trap and difference that the chapter tells of."""
        found = {name: AnomalySandbox(name).scores() for name in DATASETS if name != "noise"}
        # A lone point beside a tight group: LOF sees it, kNN ranks the loose group's rim above it.
        planted = toy_anomalies("two densities").is_anomaly
        near = int(np.flatnonzero(planted)[0])
        place = {m: int((s > s[near]).sum()) for m, s in found["two densities"].items()}
        assert place["lof"] == 0
        assert place["knn"] > 20
        # Anomalies close together: 20 neighbours see them, 5 do not.
        clump = toy_anomalies("clump").is_anomaly
        top = {
            k: AnomalySandbox("clump", k=k, contamination=0.06).flagged()["knn"] for k in (5, 20)
        }
        assert top[20][clump].all()
        assert not top[5][clump].any()
        # Copies wreck LOF: normal points beside them score without bound.
        assert AnomalySandbox("three groups", k=10, copies=True).scores()["lof"].max() > 1e6
        # One axis ×100: forest and autoencoder rank as before, the others do not.
        for method, kept in {
            "iforest": True,
            "autoencoder": True,
            "knn": False,
            "lof": False,
        }.items():
            two = [AnomalySandbox("ring", scaled=on).scores()[method] for on in (False, True)]
            assert (spearmanr(*two).statistic > 0.95) == kept, method
        # A code of two numbers can rebuild everything.
        wide = AnomalySandbox("two densities", code=2).scores()["autoencoder"]
        assert wide.max() < 0.05 * found["two densities"]["autoencoder"].max()

    def test_few_points_have_no_scores(self):
        w = AnomalySandbox([[0, 0], [1, 1]])
        assert all(len(scores) == 0 for scores in w.scores().values())
        assert w.fitted == {}

    def test_state_is_json_of_a_known_size(self):
        w = AnomalySandbox(title=HOSTILE)
        assert len(json.dumps(w.page_state())) < 100_000
        assert repr(w) == "AnomalySandbox: 206 points, k = 20, ε = 0.5, contamination 0.1"

    def test_python_fits_to_the_points_that_python_sets(self):
        w = AnomalySandbox("ring")
        w.points = [[0, 0], [1, 0], [0, 1], [5, 5]]
        assert w.fitted["rows"] == [0, 0, 1, 0, 0, 1, 5, 5]
        w.scaled = True
        assert w.fitted["rows"] == [0, 0, 100, 0, 0, 1, 500, 5]
        w.code = 2
        assert w.fitted["code"] == 2
        w.set_state({"points": [[0, 0], [3, 3], [1, 2]]})
        assert w.points == [[0, 0], [3, 3], [1, 2]]
        assert len(w.fitted["rows"]) == 8


# ------------------------------------------------------------------ the front end, unbundled

POINTS = [
    [round(float(x), 2) for x in row] for row in np.random.default_rng(1).normal(size=(36, 2))
]


def small(**options) -> AnomalySandbox:
    return AnomalySandbox(POINTS, **({"k": 5} | options))


def rest(tab) -> None:
    """Wait until all that follows from what was done is computed and drawn."""
    settle(tab)
    tab.wait_for_selector(".companion[data-settled=true]")
    settle(tab)


def follow(tab, w: AnomalySandbox) -> AnomalySandbox:
    """Set a widget to what the page has now."""
    for name in ("points", "k", "epsilon", "contamination", "clusters", "code", "copies", "scaled"):
        setattr(w, name, tab.evaluate("(name) => model.get(name)", name))
    return w


def assert_agrees(tab, w: AnomalySandbox, looked: int, methods=METHODS) -> None:
    rest(tab)
    numbers, scores, flags = shown_numbers(tab), w.scores(), w.flagged()
    for method in methods:
        own = scores[method][looked]
        assert numbers[f"score-{method}"] == pytest.approx(own, rel=1e-6, abs=1e-9), method
        assert numbers[f"rank-{method}"] == 1 + (scores[method] > own * (1 + 1e-9)).sum(), method
        assert numbers[f"flagged-{method}"] == flags[method][: len(w.points)].sum(), method


def focus(tab):
    cursor = tab.get_by_role("slider", name="Cursor, left to right")
    cursor.focus()
    return cursor


@pytest.mark.browser
class TestFrontEnd:
    def test_scores_are_pythons(self, page):
        w = small()
        tab = page(w)
        assert_agrees(tab, w, 0)
        focus(tab)
        seen = set()
        for key in (
            "ArrowRight",
            "ArrowUp",
            "Shift+ArrowRight",
            "Shift+ArrowLeft",
            "Shift+ArrowDown",
        ):
            tab.keyboard.press(key)
            settle(tab)
            looked = int(
                tab.inner_text(".companion-split, .anomaly-split").split("Point ")[1].split()[0]
            )
            seen.add(looked)
            assert_agrees(tab, w, looked - 1)
        assert len(seen) > 2

    def test_points_are_put_in_moved_and_taken_out_by_mouse(self, page):
        w = small()
        tab = page(w)
        box = tab.locator(".anomaly-field").bounding_box()
        corner = (box["x"] + 12, box["y"] + 15)
        tab.mouse.click(*corner)
        rest(tab)
        points = tab.evaluate("model.get('points')")
        assert len(points) == 37
        assert points[-1][0] < min(x for x, _ in POINTS)
        assert points[-1][1] > max(y for _, y in POINTS)
        assert_agrees(tab, follow(tab, w), 36, DISTANCES)
        tab.mouse.move(*corner)
        tab.mouse.down()
        for step in (20, 60, 100):
            tab.mouse.move(corner[0] + step, corner[1] + step)
        tab.mouse.up()
        rest(tab)
        moved = tab.evaluate("model.get('points')")
        assert len(moved) == 37
        assert moved[:36] == POINTS
        assert moved[36] != points[36]
        assert_agrees(tab, follow(tab, w), 36, DISTANCES)
        tab.get_by_role("radio", name="takes out").check(force=True)
        tab.mouse.click(corner[0] + 100, corner[1] + 100)
        rest(tab)
        assert tab.evaluate("model.get('points')") == POINTS
        tab.mouse.click(corner[0], corner[1])  # nothing is near
        assert tab.evaluate("model.get('points')") == POINTS
        undo = tab.get_by_role("button", name="Undo")
        for expected in (moved, points, POINTS):
            undo.click()
            rest(tab)
            assert tab.evaluate("model.get('points')") == expected
        assert undo.is_disabled()
        assert_agrees(tab, follow(tab, w), 35)  # what scikit-learn fitted, again

    def test_all_of_it_by_keys(self, page):
        tab = page(small())
        focus(tab)
        for key in ("Shift+ArrowLeft", "ArrowDown", "Enter"):
            tab.keyboard.press(key)
        rest(tab)
        points = tab.evaluate("model.get('points')")
        assert len(points) == 37
        for key in ("Space", "ArrowRight", "ArrowRight", "Space", "ArrowLeft"):
            tab.keyboard.press(key)
        rest(tab)
        moved = tab.evaluate("model.get('points')")
        assert moved[36][0] > points[36][0]
        assert moved[36][1] == pytest.approx(points[36][1])
        tab.keyboard.press("Delete")
        rest(tab)
        assert len(tab.evaluate("model.get('points')")) == 36
        for _ in range(3):
            tab.keyboard.press("Control+z")
        rest(tab)
        assert tab.evaluate("model.get('points')") == POINTS
        assert tab.evaluate("document.activeElement.type") == "range"

    def test_sliders_reach_their_ends(self, page):
        w = small()
        tab = page(w)
        for name, trait, ends in (
            ("k of LOF and kNN", "k", (1, 50)),
            ("ε of DBSCAN", "epsilon", None),
            ("Clusters of CBLOF", "clusters", (2, 12)),
            ("Contamination", "contamination", (0.01, 0.5)),
        ):
            slider = tab.get_by_role("slider", name=name)
            found = []
            for key in ("Home", "End"):
                slider.press(key)
                assert_agrees(tab, follow(tab, w), 0)
                found.append(tab.evaluate("(name) => model.get(name)", trait))
            if ends:
                assert tuple(found) == ends
            else:
                assert found[0] < 0.1 < 2 < found[1]
            slider.press("Backspace")
        assert "all of them are asked" not in tab.inner_text("main")
        tab.get_by_role("slider", name="k of LOF").press("End")
        settle(tab)
        assert "k is 50, but a point has 35 others: all of them are asked." in tab.inner_text(
            "main"
        )

    def test_contamination_moves_no_score(self, page):
        tab = page(small())
        before = shown_numbers(tab)
        tab.get_by_role("slider", name="Contamination").press("End")
        after = shown_numbers(tab)
        for method in METHODS:
            assert before[f"score-{method}"] == after[f"score-{method}"]
            assert (before[f"flagged-{method}"] < after[f"flagged-{method}"]) == (
                method != "dbscan"
            )

    def test_traps_and_a_wide_code(self, page):
        w = small()
        tab = page(w)
        for name in ("20 copies of point 1", "First axis ×100"):
            tab.get_by_role("switch", name=name).check()
            assert_agrees(tab, follow(tab, w), 0, DISTANCES)
            own = shown_numbers(tab)["score-iforest"]
            assert own == pytest.approx(w.scores()["iforest"][0], abs=0.04)
            tab.get_by_role("switch", name=name).uncheck()
        follow(tab, w)
        assert_agrees(tab, w, 0)  # what Python fitted, again
        tab.get_by_role("radio", name="2 numbers").check(force=True)
        rest(tab)
        assert shown_numbers(tab)["score-autoencoder"] < 0.1 * w.scores()["autoencoder"][0]

    def test_what_python_fitted_is_taken_when_it_comes(self, page):
        w = small()
        tab = page(w)
        w.points = POINTS[:30]
        for name in ("points", "fitted"):
            tab.evaluate("(pair) => model.set(...pair)", [name, w.page_state()[name]])
        assert_agrees(tab, w, 0)

    def test_each_panel_can_be_large(self, page):
        tab = page(small())
        canvas = tab.locator(".anomaly-field canvas")
        pictures, words = set(), set()
        radios = tab.get_by_role("radio", name="large")
        assert radios.count() == 7
        for radio in radios.all():
            radio.check(force=True)
            settle(tab)
            pictures.add(canvas.evaluate("(el) => el.toDataURL()"))
            words.add(canvas.get_attribute("aria-label"))
        assert len(pictures) == len(words) == 7

    def test_data_sets_and_none(self, page):
        tab = page(small())
        choice = tab.get_by_label("Points", exact=True)
        assert choice.locator("option:checked").inner_text() == "own"
        w = AnomalySandbox("clump", k=5)
        choice.select_option(label="clump")
        rest(tab)
        assert tab.evaluate("model.get('points')") == w.points
        assert_agrees(tab, w, 0, DISTANCES)
        tab.get_by_role("button", name="Clear").click()
        settle(tab)
        assert "Put in at least 3 points: a score compares." in tab.inner_text("main")
        assert shown_numbers(tab)["score-lof"] is None
        box = tab.locator(".anomaly-field").bounding_box()
        for share in (0.2, 0.5, 0.9):
            tab.mouse.click(box["x"] + share * box["width"], box["y"] + share**2 * box["height"])
        assert_agrees(tab, follow(tab, w), 2, DISTANCES)

    def test_a_full_panel_says_so(self, page):
        full = np.random.default_rng(0).normal(size=(400, 2))
        tab = page(AnomalySandbox(full))
        focus(tab).press("Enter")
        settle(tab)
        assert "At most 400 points are scored here: take one out first." in tab.inner_text("main")
        assert len(tab.evaluate("model.get('points')")) == 400

    def test_an_own_table(self, page, tmp_path):
        w = small()
        tab = page(w)
        tab.get_by_role("button", name="Your own points …").click()
        text = tab.get_by_label("Two columns of numbers")
        table = np.random.default_rng(2).normal((170, 70), (10, 12), (25, 2)).round(1)
        text.fill("height,weight\n" + "\n".join(f"{x},{y}" for x, y in table))
        tab.get_by_role("button", name="Take these").click()
        rest(tab)
        assert tab.evaluate("model.get('points')") == table.tolist()
        assert_agrees(tab, follow(tab, w), 0, DISTANCES)
        for name, content, sentence in (
            ("bad.csv", "1,2\n3,4,5\n", "bad.csv: Line 2 has 3 columns: two are expected."),
            ("x.csv", "1,2\n" + HOSTILE + ",3", "x.csv: Line 2 has “</script><img src=x …” where"),
            ("image.png", b"\x89PNG\0\0\xff", "image.png: That is no text: a table of two columns"),
            ("huge.csv", "1,2\n" * 60_000, "huge.csv: That is more than a table of 400 points"),
        ):
            file = tmp_path / name
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            tab.locator("input[type=file]").set_input_files(file)
            tab.get_by_text(sentence).wait_for()
            assert tab.evaluate("model.get('points')") == table.tolist()
        assert tab.evaluate("window.hurt") is None
        good = tmp_path / "good.csv"
        good.write_text("\n".join(f"{x};{y}".replace(".", ",") for x, y in POINTS))
        tab.locator("input[type=file]").set_input_files(good)
        tab.wait_for_function("() => model.get('points').length === 36")
        assert tab.evaluate("model.get('points')") == POINTS
        assert tab.get_by_text("is expected").count() == 0


@pytest.mark.browser
class TestInAPage:
    def test_is_touched_on_a_phone_without_a_kernel(self, browser, stage):
        build_frontend(quiet=True)
        with visit(browser, stage(small()), size="phone") as seen:
            tab = seen.page
            assert tab.get_by_text("Flagged by").count() == 1  # at rest, before it lives
            tab.locator(".anomaly-field").scroll_into_view_if_needed()
            tab.get_by_role("button", name="Your own points …").tap()
            tab.wait_for_selector(".companion-live .companion[data-settled=true]")
            before = shown_numbers(tab)["flagged-lof"]
            box = tab.locator(".companion-live .anomaly-field").bounding_box()
            for k in range(6):
                tab.touchscreen.tap(box["x"] + 8, box["y"] + 12 + 18 * k)
            tab.wait_for_selector(".companion[data-settled=true]")
            tab.locator(".companion-heading", has_text="Point 42 of 42").wait_for()
            tab.locator(".companion-spoken[role=status]", has_text="Point 42 of 42").wait_for(
                state="attached"
            )
            assert "rank –" not in tab.text_content(".companion-spoken[role=status]")
            assert shown_numbers(tab)["flagged-lof"] >= before
            sizes = tab.eval_on_selector_all(
                ".companion-live :is(button, select, .anomaly-tile, .companion-segments label)",
                "all => all.map((el) => [el.offsetWidth, el.offsetHeight])",
            )
            assert min(min(pair) for pair in sizes) >= 24
            assert seen.errors == []
            assert seen.strangers == []
