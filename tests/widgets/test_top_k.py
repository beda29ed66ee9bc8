"""The numbers of the TopK widget against torch.topk, and its front end against those numbers."""

import json

import numpy as np
import pytest
import torch

from companion.widgets import TopK
from support.front_end import settle, shown_numbers


def data(n=40, classes=8, seed=0):
    """Images, probabilities and labels of which about half are right at first guess."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=g)
    z = torch.randn(n, classes, generator=g) + 1.5 * torch.eye(classes)[labels]
    images = torch.rand(n, 3, 6, 6, generator=g)
    return images, z.softmax(1), labels


def error(p, labels, k):
    return 1 - (p.topk(k, 1).indices == labels[:, None]).any(1).double().mean().item()


class TestNumbers:
    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_errors_against_topk(self, k):
        images, p, labels = data()
        w = TopK(images, p, labels, shown=[3, 7, 11])
        assert w.error(k) == pytest.approx(error(p, labels, k))
        few = [3, 7, 11]
        assert w.shown_error(k) == pytest.approx(error(p[few], labels[few], k))
        w.k = k
        assert w.error() == w.error(k)
        assert f"top-{k} error {w.error():.1%}" in w.describe()

    def test_lists_the_best_classes_in_order(self):
        images, p, labels = data()
        w = TopK(images, p.numpy(), labels.numpy(), list("abcdefgh"))
        best = p.topk(5, 1)
        for i, example in enumerate(w.examples):
            assert example["names"] == ["abcdefgh"[c] for c in best.indices[i]]
            assert example["p"] == pytest.approx(best.values[i].tolist(), abs=1e-6)
        assert len(w.examples) == 5

    def test_few_classes_and_images(self):
        images, p, labels = data(2, 3)
        w = TopK(images, p, labels, k=3)
        assert (w.places, w.error(3)) == (3, 0)
        assert len(w.examples) == 2


class TestArguments:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"probabilities": torch.randn(40, 8)}, "softmax first"),
            ({"probabilities": torch.ones(40, 8)}, "add up to 1"),
            ({"probabilities": torch.ones(40)}, "probabilities must be N×K"),
            ({"labels": torch.zeros(39).long()}, "expected scores N×K and N"),
            ({"labels": torch.full((40,), 8)}, "labels must be from 0 to 7"),
            ({"images": torch.rand(39, 3, 6, 6)}, "expected 40 images, one a row, but got 39"),
            ({"images": torch.rand(40, 6, 6)}, "expected images N×1×H×W"),
            ({"class_names": ["a"]}, "expected 8 class_names"),
            ({"shown": [40]}, "shown must be 1 to 8 places from 0 to 39"),
            ({"shown": []}, "shown must be 1 to 8 places"),
            ({"k": 6}, "k must be a whole number from 1 to 5, not 6"),
            ({"k": 0}, "k must be a whole number"),
        ],
    )
    def test_bad_value_is_refused(self, changes, words):
        images, p, labels = data()
        arguments = {"images": images, "probabilities": p, "labels": labels} | changes
        with pytest.raises(ValueError, match=words):
            TopK(**arguments)

    def test_bad_assignment_changes_nothing(self):
        w = TopK(*data())
        with pytest.raises(ValueError, match="k must be"):
            w.k = 9
        assert w.k == 1

    def test_state_does_not_grow_with_the_images(self):
        state = json.dumps(TopK(*data(400)).page_state())
        assert len(state) < 4000


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(numbers, w, k):
    assert numbers["k"] == k
    assert numbers["all-1"] == pytest.approx(w.error(1))
    assert numbers["shown-1"] == pytest.approx(w.shown_error(1))
    assert ("all-k" in numbers) == ("shown-k" in numbers) == (k > 1)  # one is not told twice
    if k > 1:
        assert numbers["all-k"] == pytest.approx(w.error(k))
        assert numbers["shown-k"] == pytest.approx(w.shown_error(k))
    verdicts = [numbers[f"verdict-{i}"] for i in range(len(w.examples))]
    assert 1 - np.mean(verdicts) == pytest.approx(w.shown_error(k))


@pytest.mark.browser
class TestFrontEnd:
    def test_every_k_shows_pythons_numbers(self, page):
        w = TopK(*data(), k=1)
        tab = page(w)
        slider = tab.get_by_role("slider", name="k, predictions that count")
        for k in range(1, 6):
            assert_agrees(shown_numbers(tab), w, k)
            counting = tab.locator(".topk-card >> nth=0").locator("[data-counts]")
            assert counting.count() == k
            slider.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "the 5 most probable"
        assert tab.evaluate("model.get('k')") == 5

    def test_the_second_error_is_shown_where_it_says_more(self, page):
        tab = page(TopK(*data(), k=1))
        second = tab.locator(".topk-errors th[scope=col] >> nth=1")
        assert not second.is_visible()
        tab.evaluate("model.set('k', 2)")
        settle(tab)
        assert second.is_visible()
        assert second.inner_text() == "top-2 error"

    def test_python_and_the_columns_choose_k(self, page):
        w = TopK(*data())
        tab = page(w)
        tab.evaluate("model.set('k', 4)")
        assert_agrees(shown_numbers(tab), w, 4)
        box = tab.locator(".topk-pickable").bounding_box()
        tab.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 60)
        assert_agrees(shown_numbers(tab), w, 2)

    def test_saved_images_are_counted(self, page):
        images, p, labels = data()
        w = TopK(images, p, labels, k=3)
        wrong = round(40 * w.error(1))
        saved = wrong - round(40 * w.error(3))
        assert f"{saved} of the {wrong} images whose first guess" in page(w).inner_text("main")

    def test_says_where_the_right_class_is(self, page):
        images, p, labels = data()
        w = TopK(images, p, labels, shown=[0, 1])
        tab = page(w)
        for i, example in enumerate(w.examples):
            verdict = tab.inner_text(f".topk-verdict >> nth={i}")
            assert f"place {example['rank']}" in verdict
            assert verdict.startswith("✓" if example["rank"] == 1 else "✗")
