"""The numbers of PosteriorVsPrior against oracles, and its front end against those numbers."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

from companion.widgets.noise import noise
from companion.widgets.posterior import SAMPLE_COUNTS, PosteriorVsPrior
from support.front_end import HOSTILE, shown_numbers

mus = st.floats(-3, 3)
sigmas = st.floats(0.1, 2.5)


@pytest.fixture(scope="module")
def shared_widget():
    return PosteriorVsPrior()


def widget_at(widget, mu, sigma, **rest):
    for name, value in {"mu": mu, "sigma": sigma, **rest}.items():
        setattr(widget, name, value)
    return widget


class TestNoise:
    @pytest.mark.parametrize("seed", [0, 1, 31, 2**32 - 1])
    def test_is_standard_normal(self, seed):
        assert stats.kstest(noise(seed, 10_000).numpy(), "norm").pvalue > 1e-3

    def test_neighbours_and_seeds_are_uncorrelated(self):
        draws = [noise(seed, 10_000).numpy() for seed in (7, 8)]
        assert abs(np.corrcoef(*draws)[0, 1]) < 0.04
        assert abs(np.corrcoef(draws[0][:-1], draws[0][1:])[0, 1]) < 0.04

    @given(st.integers(0, 2**32 - 1), st.integers(1, 40))
    def test_longer_draw_begins_with_the_shorter(self, seed, count):
        assert noise(seed, count).shape == (count,)
        assert torch.equal(noise(seed, 41)[:count], noise(seed, count))


class TestNumbers:
    @given(mus, sigmas)
    def test_kl_against_torch_distributions(self, shared_widget, mu, sigma):
        w = widget_at(shared_widget, mu, sigma)
        q, p = (Normal(*torch.tensor(at, dtype=torch.float64)) for at in ((mu, sigma), (0, 1)))
        assert w.kl == pytest.approx(float(kl_divergence(q, p)), abs=1e-12)

    @given(mus, sigmas)
    def test_gradient_against_autograd(self, shared_widget, mu, sigma):
        m, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (mu, sigma))
        kl_divergence(Normal(m, s), Normal(torch.zeros_like(m), torch.ones_like(s))).backward()
        gradient = widget_at(shared_widget, mu, sigma).gradient
        assert gradient == pytest.approx((float(m.grad), float(s.grad)), abs=1e-9)

    @given(mus, sigmas)
    def test_samples_keep_their_noise(self, shared_widget, mu, sigma):
        w = widget_at(shared_widget, mu, sigma, n_samples=12)
        np.testing.assert_allclose((w.samples - mu) / sigma, w.epsilon, atol=1e-9)

    @pytest.mark.parametrize("count", SAMPLE_COUNTS)
    def test_estimate_against_a_plain_mean(self, count):
        w = PosteriorVsPrior(1.2, 0.5, seed=3, n_samples=count)
        q, p = Normal(1.2, 0.5), Normal(0.0, 1.0)
        ratio = (q.log_prob(w.samples) - p.log_prob(w.samples)).numpy()
        assert w.estimate == pytest.approx((ratio.mean(), stats.sem(ratio)), rel=1e-6)

    @pytest.mark.parametrize(("mu", "sigma"), [(0.0, 0.3), (2.5, 1.0), (-1.0, 2.0)])
    def test_estimate_is_within_four_standard_errors(self, mu, sigma):
        for seed in range(20):
            w = PosteriorVsPrior(mu, sigma, seed=seed, n_samples=10_000)
            estimate, error = w.estimate
            assert abs(estimate - w.kl) < 4 * error

    @pytest.mark.parametrize(("mu", "sigma"), [(1.2, 0.5), (0.0, 2.0), (-3.0, 0.1), (0.4, 0.9)])
    def test_areas_of_the_integrand(self, mu, sigma):
        def integrand(z):
            return stats.norm.pdf(z, mu, sigma) * (
                stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)
            )

        low, high = mu - 9 * sigma, mu + 9 * sigma
        above, below = (
            integrate.quad(lambda z, s=s: max(s * integrand(z), 0), low, high, limit=400)[0]
            for s in (1, -1)
        )
        w = PosteriorVsPrior(mu, sigma)
        assert w.integrand_areas == pytest.approx((above, below), abs=1e-3)
        assert w.integrand_areas[0] - w.integrand_areas[1] == pytest.approx(w.kl, abs=1e-9)


class TestArguments:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sigma", 0),
            ("sigma", -0.5),
            ("sigma", math.inf),
            ("sigma", "wide"),
            ("mu", math.nan),
            ("mu", 3.5),
            ("n_samples", 13),
            ("seed", -1),
            ("seed", 2**32),
        ],
    )
    def test_bad_value_is_refused_by_name(self, name, value):
        with pytest.raises(ValueError, match=f"^{name} must be "):
            PosteriorVsPrior(**{name: value})

    def test_bad_assignment_changes_nothing(self):
        w = PosteriorVsPrior(1.0, 0.5)
        with pytest.raises(ValueError, match=r"sigma must be a number from 0\.1 to 2\.5"):
            w.sigma = 0.0
        assert w.sigma == 0.5

    def test_state_is_json_and_small(self):
        state = json.dumps(PosteriorVsPrior(np.float64(0.3), 1, title=HOSTILE).page_state())
        assert len(state) < 400
        assert json.loads(state)["mu"] == 0.3


# ------------------------------------------------------------------ the front end, unbundled


def assert_agrees(numbers, w):
    assert numbers["mu"] == w.mu
    assert numbers["sigma"] == w.sigma
    assert numbers["kl"] == pytest.approx(w.kl, abs=1e-12)
    assert numbers["kl"] == pytest.approx(
        (numbers["mu-squared"] + numbers["sigma-squared"] - numbers["log-sigma-squared"] - 1) / 2
    )
    assert (numbers["gradient-mu"], numbers["gradient-sigma"]) == pytest.approx(w.gradient)
    assert (numbers["area-above"], numbers["area-below"]) == pytest.approx(
        w.integrand_areas, abs=1e-12
    )
    assert (numbers["estimate"], numbers["standard-error"]) == pytest.approx(w.estimate, abs=1e-11)


@pytest.mark.browser
class TestFrontEnd:
    @pytest.mark.parametrize("count", SAMPLE_COUNTS)
    @pytest.mark.parametrize(("mu", "sigma"), [(1.2, 0.5), (-3, 0.1), (0, 1), (0.123456, 2.5)])
    def test_shows_pythons_numbers(self, page, mu, sigma, count):
        w = PosteriorVsPrior(mu, sigma, seed=5, n_samples=count)
        numbers = shown_numbers(page(w))
        assert_agrees(numbers, w)
        shown_epsilon = noise(5, 12).sort().values[2].item()  # the third smallest is followed first
        assert numbers["sample-epsilon"] == pytest.approx(shown_epsilon, abs=1e-12)
        assert numbers["sample-z"] == pytest.approx(mu + sigma * shown_epsilon, abs=1e-12)
        assert numbers["dz-dmu"] == 1
        assert numbers["dz-dsigma"] == numbers["sample-epsilon"]

    def test_sliders_by_keyboard(self, page):
        w = PosteriorVsPrior(1.0, 0.5)
        tab = page(w)
        mu = tab.get_by_role("slider", name="mean mu")
        mu.focus()
        for _ in range(5):
            tab.keyboard.press("ArrowLeft")
        assert mu.get_attribute("aria-valuetext") == "0.95"
        tab.keyboard.press("Tab")
        tab.keyboard.press("ArrowRight")
        numbers = shown_numbers(tab)
        assert numbers["mu"] == 0.95
        assert 0.5 < numbers["sigma"] < 0.53
        assert_agrees(numbers, PosteriorVsPrior(0.95, numbers["sigma"]))
        tab.keyboard.press("Backspace")
        mu.press("Delete")
        numbers = shown_numbers(tab)
        assert (numbers["mu"], numbers["sigma"], numbers["kl"]) == (0, 1, 0)
        assert "collapsed" in tab.inner_text("main")

    @pytest.mark.parametrize(
        ("mu", "sigma", "words"),
        [
            (0.14, 1.0, "close to the prior"),
            (1.5, 1.0, "for the place"),
            (0.0, 0.3, "for being narrow"),
            (0.0, 2.2, "for being wide"),
            (0.8, 0.6, "alike"),
        ],
    )
    def test_the_sentence_says_what_is_paid_for(self, page, mu, sigma, words):
        assert words in page(PosteriorVsPrior(mu, sigma)).inner_text("main")

    @pytest.mark.parametrize(("key", "mu", "sigma"), [("Home", -3, 0.1), ("End", 3, 2.5)])
    def test_ends_of_the_sliders_are_pythons(self, page, key, mu, sigma):
        tab = page(PosteriorVsPrior())
        for name in ("mean mu", "standard deviation sigma"):
            tab.get_by_role("slider", name=name).press(key)
        numbers = shown_numbers(tab)
        assert numbers["mu"] == mu
        assert numbers["sigma"] == pytest.approx(sigma, rel=0.02)
        PosteriorVsPrior(numbers["mu"], numbers["sigma"])

    def test_gradient_descent_on_kl_ends_at_the_prior(self, page):
        tab = page(PosteriorVsPrior(2.0, 0.2))
        tab.get_by_role("button", name="1 step").click()
        numbers = shown_numbers(tab)
        assert numbers["mu"] == pytest.approx(2.0 - 0.05 * 2.0)
        assert numbers["sigma"] == pytest.approx(0.2 - 0.05 * (0.2 - 1 / 0.2))
        for _ in range(20):
            tab.get_by_role("button", name="10 steps").click()
        numbers = shown_numbers(tab)
        assert numbers["steps"] == 201
        assert numbers["kl"] < 1e-6
        tab.get_by_role("button", name="Reset").click()
        numbers = shown_numbers(tab)
        assert (numbers["mu"], numbers["sigma"], numbers["steps"]) == (2.0, 0.2, 0)

    def test_sampled_directly_has_no_gradient(self, page):
        tab = page(PosteriorVsPrior())
        before = shown_numbers(tab)["sample-z"]
        tab.get_by_role("radio", name="sampled directly").check()
        numbers = shown_numbers(tab)
        assert (numbers["dz-dmu"], numbers["dz-dsigma"]) == (None, None)
        assert tab.evaluate("model.get('reparameterised')") is False
        # Nothing ties one draw to the next: the tiniest move of μ gives another z altogether.
        first = numbers["sample-z"]
        tab.get_by_role("slider", name="mean mu").press("ArrowRight")
        assert abs(shown_numbers(tab)["sample-z"] - first) > 0.05
        tab.get_by_role("radio", name="reparameterised").check()
        tab.get_by_role("slider", name="mean mu").press("ArrowLeft")
        assert shown_numbers(tab)["sample-z"] == pytest.approx(before)

    def test_new_noise_is_pythons(self, page):
        tab = page(PosteriorVsPrior(seed=2**32 - 1))
        tab.get_by_role("button", name="New").click()
        assert_agrees(shown_numbers(tab), PosteriorVsPrior(seed=0))
        tab.get_by_role("radio", name="12", exact=True).check()
        assert_agrees(shown_numbers(tab), PosteriorVsPrior(seed=0, n_samples=12))

    def test_follows_a_sample(self, page):
        w = PosteriorVsPrior(0.5, 2.0)
        tab = page(w)
        follow = tab.get_by_role("slider", name="Follow sample")
        follow.press("End")
        largest = noise(w.seed, 12).max().item()
        assert shown_numbers(tab)["dz-dsigma"] == pytest.approx(largest)
        assert follow.get_attribute("aria-valuetext").startswith("12 of 12: epsilon 1.49")
