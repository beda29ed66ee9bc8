"""RotateLatent: losses, metrics and pictures of the page are Python's, whatever the angle."""

import numpy as np
import pytest
import torch

from companion.disentanglement import mig, rotated_kl
from companion.widgets import RotateLatent
from support.every_widget import TinyVAE, with_factors
from support.front_end import shown_numbers
from support.pages import visit

pytestmark = pytest.mark.usefixtures("own_cache")

# Remembers what the widget paints from now on.
LISTEN = """() => {
  window.painted = [];
  document.querySelector(".companion").addEventListener("companion-painted", ({ detail }) =>
    window.painted.push({ z: Array.from(detail.z), images: Array.from(detail.images) }));
}"""


class TestPython:
    def test_losses_stay_and_metrics_move(self):
        w = RotateLatent(TinyVAE(), with_factors(), plane=(0, 2))
        before, scores = w.losses(), w.scores()
        assert before["diagonal-loss"] == pytest.approx(0, abs=1e-12)
        w.angle = 45
        after = w.losses()
        assert after["negative-elbo"] == pytest.approx(before["negative-elbo"], abs=1e-9)
        assert after["diagonal-loss"] > 0.1
        assert abs(w.scores()["sap"] - scores["sap"]) > 1e-3
        w.angle = 90  # exchanged: the same code in another order
        for name in ("mig", "sap", "dci-disentanglement", "dci-completeness"):
            assert w.scores()[name] == pytest.approx(scores[name], abs=1e-6)

    def test_reconstruction_is_the_misfit_of_one_draw(self):
        images = with_factors()
        one, four = (RotateLatent(TinyVAE(), images, C=c).reconstruction for c in (1.0, 4.0))
        assert four == pytest.approx(4 * one)
        model, x = TinyVAE(), images.pixels()
        with torch.no_grad():
            mu, log_var = model.encode(x)
            found = []
            for seed in range(20):
                torch.manual_seed(seed)
                z = mu + torch.exp(log_var / 2) * torch.randn_like(mu)
                found.append((x - model.decode(z)).square().flatten(1).sum(1).mean().item())
        assert one == pytest.approx(np.mean(found), abs=4 * np.std(found))

    def test_points_go_back_before_they_are_decoded(self):
        w = RotateLatent(TinyVAE(), with_factors(), plane=(1, 3), angle=30)
        back = w.points().double() @ torch.from_numpy(w.turn).T
        way = back[:7]
        assert way[:, 1].tolist() == pytest.approx(np.linspace(-2.5, 2.5, 7).tolist(), abs=1e-6)
        assert way[:, [0, 2, 3]].abs().max() < 1e-6
        assert set(w.stills()) == {"way-0", "way-1", "samples"}

    def test_describe_and_refusals(self):
        images = with_factors()
        w = RotateLatent(TinyVAE(), images, angle=30)
        assert f"MIG {w.scores()['mig']:.2f}" in w.describe()
        with pytest.raises(ValueError, match="two different latents below 4"):
            w.plane = [0, 0]
        with pytest.raises(ValueError, match="angle must be a number from 0 to 90"):
            w.angle = 91
        with pytest.raises(ValueError, match="two different latents below 4"):
            RotateLatent(TinyVAE(), images, plane=(0, 4))
        with pytest.raises(ValueError, match="4 to 4,000 images, got 2"):
            RotateLatent(TinyVAE(), images[:2])
        images.factors.clear()
        with pytest.raises(ValueError, match="whose factors are known"):
            RotateLatent(TinyVAE(), images)


def check_numbers(w: RotateLatent, tab) -> None:
    shown = shown_numbers(tab)
    for name, value in {**w.losses(), **w.scores()}.items():
        assert shown[name] == pytest.approx(value, abs=1e-6), name
    for (j, i), value in np.ndenumerate(w.shares()):
        assert shown[f"information-{j}-{i}"] == pytest.approx(value, abs=1e-6)
    kl = rotated_kl(w._mu, w._log_var, w.turn).mean()
    assert shown["negative-elbo"] == pytest.approx(shown["reconstruction"] + kl, abs=1e-6)
    assert shown["mig"] == pytest.approx(mig(w._factors, w.codes()), abs=1e-6)


@pytest.mark.browser
def test_the_page_is_python_at_every_angle(browser, stage):
    w = RotateLatent(TinyVAE(), with_factors(), plane=(0, 1))
    with visit(browser, stage(w)) as seen:
        seen.all_alive()
        tab = seen.page
        check_numbers(w, tab)
        tab.evaluate(LISTEN)
        slider = tab.get_by_label("Angle")
        slider.focus()
        for _ in range(25):
            slider.press("ArrowRight")
        w.angle = 25
        check_numbers(w, tab)
        arrived = "(z) => window.painted.at(-1)?.z.every((v, i) => Math.abs(v - z[i]) < 1e-5)"
        tab.wait_for_function(arrived, arg=w.points().flatten().tolist())
        images = np.array(tab.evaluate("window.painted.at(-1).images"))
        expected = w._exported.decode(w.points()).flatten().numpy()
        np.testing.assert_allclose(images, expected, atol=1e-4)
        tab.get_by_label("and latent").select_option(index=0)  # the other one's own: exchanged
        w.plane = [1, 0]
        check_numbers(w, tab)
        tab.get_by_label("Turn latent").select_option(index=3)
        w.plane = [3, 0]
        check_numbers(w, tab)


@pytest.mark.browser
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation(browser, stage, size, theme):
    w = RotateLatent(TinyVAE(), with_factors(), angle=25)
    with visit(browser, stage(w), size=size, theme=theme) as seen:
        seen.all_alive()
        assert seen.violations() == []
