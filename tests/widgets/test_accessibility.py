"""What book/accessibility.md says of the widgets (WCAG 2.2): every drag has another way, targets are
large enough, nothing moves for a reader who asks for less motion."""

import pytest

from support.every_widget import EXAMPLES
from support.front_end import settle
from support.pages import visit
from support.stage import write_stage

pytestmark = pytest.mark.browser

# What one can drag but what is natively a slider: by widget, where it lies. A tap there (its place in
# shares of the field), or a key on the control in it, must do what dragging does.
DRAGS = {
    "AnomalySandbox": ".anomaly-field",
    "BilinearGame": ".bilinear-plane svg",
    "ConvolutionByHand": ".convolution-x .cells",
    "EmbeddingExplorer": ".embedding-plane",
    "FoolTheCritic": ".drawing-field",
    "ImageRepair": ".drawing-field",
    "KernelLab": ".lab-frame",
    "LatentTraversal": ".film-strip",
    "LatentTraversal, a plane": ".companion-pad",
    "LookInside": ".drawing-field",
    "ManifoldField": ".drawing-field, .anomaly-field, .companion-pad",
    "OcclusionMap": ".occlusion-field",
    "PlaneGAN": ".drawing-field, .anomaly-field, .companion-pad",
    "ReceptiveField": ".field-picture svg",
    "TextureDefects": ".drawing-field",
}

# Elements that keep a finger's movement from the page, so that it can drag: their nearest classes.
KEEPS = """(box) => [...box.querySelectorAll(".companion *")]
  .filter((el) => el.tagName !== "INPUT" && !["auto", "manipulation"].includes(getComputedStyle(el).touchAction))
  .map((el) => el.getAttribute("class"))"""


@pytest.fixture(scope="module")
def address(own_cache, tmp_path_factory):
    made = (example.make() for example in EXAMPLES.values())
    return write_stage(tmp_path_factory.mktemp("accessible"), *made).as_uri()


def test_list(browser, address):
    with visit(browser, address, size="phone") as seen:
        seen.scroll_through()
        for name, box in zip(EXAMPLES, seen.page.locator(".companion-widget").all(), strict=True):
            print(name, box.evaluate(KEEPS))
        print(seen.violations("target-size"))
