"""NameTheSlider: no truth before the names, the names judged as in Python."""

import re

import numpy as np
import pytest

from companion.disentanglement import entropies, posterior_information
from companion.site.prerender import still_html
from companion.widgets import NameTheSlider
from companion.widgets.base import MIME_TYPE
from support.every_widget import TinyVAE, with_factors
from support.front_end import shown_numbers
from support.pages import visit

pytestmark = pytest.mark.usefixtures("own_cache")


def widget() -> NameTheSlider:
    """Factors a, kind, b; latent 3 is collapsed."""
    images = with_factors()
    a, kind, b = images.factors.values()
    images.factors.clear()
    images.factors.update({"the_first": a, "kind": kind, "b": b})
    return NameTheSlider(TinyVAE(), images, bins=5)


class TestPython:
    def test_shares_are_those_of_the_posteriors(self):
        images = with_factors()
        w = NameTheSlider(TinyVAE(), images, bins=5)
        mu, log_var = TinyVAE().encode(images.pixels())
        table = posterior_information(
            images.factors, mu.detach().numpy(), log_var.detach().numpy(), bins=5
        )
        shares = table / entropies(images.factors, bins=5)[:, None]
        np.testing.assert_allclose(w.shares, shares, atol=1e-5)
        assert w.best()[3] == "nothing"
        assert w.kl[3] < 0.01

    def test_score(self):
        w = widget()
        assert w.factors == ["the first", "kind", "b"]
        w.names = w.best()
        assert (w.right, w.score) == (4, 1)
        w.names = ["b" if name == "nothing" else "nothing" for name in w.best()]
        assert (w.right, w.score) == (0, 0)
        best = w.best()[0]
        second = next(name for name in w.factors if name != best)
        w.names = [second, *w.best()[1:]]
        table = np.array(w.shares)
        ratio = table[w.factors.index(second), 0] / table[:, 0].max()
        assert w.right == 3
        assert w.score == pytest.approx((3 + ratio) / 4)

    def test_refusals(self):
        w = widget()
        with pytest.raises(ValueError, match="a name for each of 4 latents before the truth"):
            w.revealed = True
        with pytest.raises(ValueError, match="names must be 4 of the first, kind, b, nothing"):
            w.names = ["colour", "", "", ""]
        with pytest.raises(ValueError, match="names must be 4 of"):
            w.names = ["b"]
        with pytest.raises(ValueError, match="at least 100 images, got 20"):
            NameTheSlider(TinyVAE(), with_factors(20))
        images = with_factors()
        images.factors.clear()
        with pytest.raises(ValueError, match="whose factors are known"):
            NameTheSlider(TinyVAE(), images)
        assert "right" not in w.describe()
        w.names = w.best()
        w.revealed = True
        assert "4 of 4 latents named, 4 right, score 1.00" in w.describe()


@pytest.mark.browser
def test_names_first_then_the_truth(browser, stage):
    w = widget()
    html = still_html(w._repr_mimebundle_()[0][MIME_TYPE], "still-1")
    assert "information-" not in html
    assert "✓" not in html
    with visit(browser, stage(w)) as seen:
        seen.all_alive()
        tab = seen.page
        check = tab.get_by_role("button", name="Check my names")
        guesses = [*w.best()[:2], "nothing", "nothing"]
        for k, name in enumerate(guesses):
            assert check.is_disabled()
            assert shown_numbers(tab)["named"] == k
            assert tab.locator("table").count() == 0
            tab.get_by_label(f"Name of latent {k}").select_option(label=name)
        check.press("Enter")
        w.names = guesses
        shown = shown_numbers(tab)
        assert shown["right"] == w.right
        assert shown["score"] == pytest.approx(w.score, abs=1e-9)
        for (j, i), value in np.ndenumerate(np.array(w.shares)):
            assert shown[f"information-{j}-{i}"] == pytest.approx(value, abs=1e-9)
        verdicts = tab.locator(".name-verdict").all_inner_texts()
        for verdict, name, best in zip(verdicts, guesses, w.best(), strict=True):
            assert verdict == ("✓ right" if name == best else f"✗ {best}")
        assert tab.get_by_label("Name of latent 0").is_disabled()
        tab.get_by_role("button", name="Start again").press("Enter")
        assert shown_numbers(tab)["named"] == 0
        assert tab.locator("table").count() == 0
        assert not re.search("[✓✗]", tab.inner_text("main"))


@pytest.mark.browser
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation(browser, stage, size, theme):
    w = widget()
    w.names = w.best()
    w.revealed = True
    with visit(browser, stage(w), size=size, theme=theme) as seen:
        seen.all_alive()
        assert seen.violations() == []
