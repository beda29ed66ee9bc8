"""The trainings of the built book: pressed by keyboard, they learn what the chapters say."""

import pytest

from support.pages import visit

pytestmark = pytest.mark.browser

WIDGET = ".companion-widget[data-widget=live_training]"
PLACES = [("served", "desktop", "light"), ("folder", "phone", "dark")]


class Training:
    """The training of a chapter, driven by keyboard."""

    def __init__(self, page):
        self.page = page
        self.box = page.locator(WIDGET)

    def press(self, name):
        self.box.get_by_role("button", name=name, exact=True).press("Enter")

    def start(self):
        """Press Train as the preview shows it: the focus brings the widget to life."""
        self.box.get_by_role("button", name="Train").first.focus()
        self.page.wait_for_selector(f"{WIDGET}[data-state=live]")
        self.press("Train")

    def wait(self, condition):
        """Wait for a condition on data attributes (`d`) and on what is shown (`shown(name)`)."""
        self.page.wait_for_function(
            f"""(widget) => {{
                const root = document.querySelector(`${{widget}}[data-state=live] .companion`);
                const shown = (name) =>
                    Number(root.querySelector(`[data-quantity="${{name}}"]`)?.dataset.value);
                const d = root?.dataset;
                return root && ({condition});
            }}""",
            arg=WIDGET,
        )

    def pause(self):
        self.press("Pause")
        self.wait("d.training === 'paused' && d.pictured === d.steps")

    def shown(self, quantity):
        value = self.box.locator(f"[data-quantity='{quantity}']").first
        return float(value.get_attribute("data-value"))

    def steps(self):
        return int(self.box.locator("[data-steps]").get_attribute("data-steps"))

    def curve(self):
        return self.box.locator("path.companion-curve").first.get_attribute("d")


def opened(browser, served, site, name, place):
    way, size, theme = place
    address = f"{served}/{name}.html" if way == "served" else (site / f"{name}.html").as_uri()
    return visit(browser, address, size=size, theme=theme)


@pytest.mark.parametrize("place", PLACES, ids=[place[0] for place in PLACES])
@pytest.mark.parametrize("name", ["02-softmax-cross-entropy", "04-alexnet"])
def test_digits_are_learnt(browser, served, site, name, place):
    with opened(browser, served, site, name, place) as seen:
        training = Training(seen.page)
        training.start()
        training.wait("d.steps > 10 && shown('accuracy-test') > 90")
        training.pause()
        assert training.shown("loss-training") < 2.3
        held = training.steps()
        training.press("One step")
        training.wait("d.training === 'paused' && d.pictured === d.steps")
        assert training.steps() == held + 1, "nothing ran while it was paused"
        curves = []
        for _ in range(2):
            training.press("Reset")
            training.wait("d.training === 'paused' && d.pictured === '0'")
            for step in range(1, 4):
                training.press("One step")
                training.wait(f"d.training === 'paused' && d.pictured === '{step}'")
            curves.append(training.curve())
        assert curves[0] == curves[1]
        assert seen.errors == []
        assert seen.strangers == []


@pytest.mark.parametrize("place", PLACES, ids=[place[0] for place in PLACES])
def test_a_vae_collapses_and_comes_back(browser, served, site, place):
    """What chapter 12 says: within 50 steps of β = 50 the KL is near 0; at β = 1 it comes back."""
    with opened(browser, served, site, "12-vae", place) as seen:
        training = Training(seen.page)
        training.start()
        training.wait("d.steps > 300")
        training.pause()
        assert 3 < training.shown("KL-test") < 6
        beta = training.box.get_by_role("slider", name="β")
        beta.press("End")
        training.press("Go on")
        training.wait("shown('KL-test') < 0.05")
        training.pause()
        error = training.shown("reconstruction-test")
        assert error > 40, "as much as the mean of all images costs"
        beta.fill("1")
        training.press("Go on")
        training.wait("shown('KL-test') > 3")
        training.pause()
        assert training.shown("reconstruction-test") < error - 10
        assert seen.errors == []
