"""A widget in a real JupyterLab and Notebook 7, on a model that the notebook has just made."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from conftest import ROOT
from support.waiting import PATIENCE, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = [
    "import torch\ntorch.set_num_threads(1)\n"
    "from companion.datasets import load_images\nfrom companion.models import ConvVAE\n"
    "from companion.widgets import LatentTraversal",
    "torch.manual_seed(0)\nvae = ConvVAE((1, 8, 8), 3, widths=(16,), hidden=32)\n"
    "walk = LatentTraversal(vae, images=load_images('digits', 'test')[:50])\nwalk",
    # What Python sees of the page, written where the test can read it.
    "from pathlib import Path\n"
    "walk.observe(lambda change: Path('seen.txt').write_text(repr(walk.z)), 'z')",
    # A module and a loss of the reader's own.
    """from torch import nn
from torch.nn import functional as F
from companion.widgets import LiveTraining

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(64, 20), nn.Linear(20, 10)
        self.asks = False
    def forward(self, x):
        y = self.outer(torch.tanh(self.inner(x.flatten(1))))
        return y * 2 if self.asks and y.sum() > 0 else y

def loss(model, images, labels, smoothing):
    return F.cross_entropy(model(images), labels) + smoothing * model.inner.weight.square().sum()

digits = load_images('digits')
LiveTraining(Mine(), loss, digits, digits[:100], lr=0.003, inputs={'smoothing': (0.0, 0.0, 0.1)},
             show=['filters', 'predictions'], title='My own')""",
    "asking = Mine()\nasking.asks = True\nLiveTraining(asking, loss, digits, "
    "inputs={'smoothing': (0.0, 0.0, 0.1)})",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(params=["lab", "notebook"])
def jupyter(request, tmp_path):
    """(kind, address, folder) of a Jupyter server with one notebook, ours alone."""
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"c{k}", "metadata": {},
         "outputs": [], "source": source}
        for k, source in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}}
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "walk.ipynb").write_text(
        json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 5})
    )
    port = free_port()
    places = {
        f"JUPYTER_{name}_DIR": str(tmp_path / name.lower())
        for name in ("CONFIG", "RUNTIME", "DATA")
    }
    environment = os.environ | places | {"COMPANION_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "jupyter", request.param, "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.token=", "--ServerApp.password="]
    command += ["--ServerApp.ip=127.0.0.1", f"--notebook-dir={tmp_path / 'work'}"]
    if request.param == "lab":  # no questions about news from other hosts
        command += [
            "--LabApp.news_url=",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:

        def answers():
            assert server.poll() is None, (tmp_path / "log").read_text()[-2000:]
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/api")

        until(answers).close()
        path = "lab/tree/walk.ipynb" if request.param == "lab" else "notebooks/walk.ipynb"
        yield request.param, f"http://127.0.0.1:{port}/{path}", tmp_path / "work"
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def run_all(page):
    """Run all cells once the notebook has its kernel; before that, JupyterLab would ask for one."""
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").wait_for()
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.mark.parametrize("assets", ["installed", "over the kernel"])
def test_run_all_then_drag(browser, jupyter, assets):
    kind, address, folder = jupyter
    if kind == "notebook" and assets == "installed":
        pytest.skip("the same front end and the same files as JupyterLab's")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    fetched = []
    page.on("response", lambda response: fetched.append((response.status, response.url)))
    if assets == "over the kernel":
        # As on Colab and in VS Code, where no server hands out what the package installed.
        page.route("**/companion/static/**", lambda route: route.fulfill(status=404))
    page.goto(address)
    run_all(page)
    page.wait_for_selector(".companion[data-state=ready]")
    box = page.locator(".companion").first
    box.scroll_into_view_if_needed()
    picture = "() => document.querySelector('canvas.companion-image').toDataURL()"
    before = page.evaluate(picture)
    slider = box.locator("input[type=range]").first
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"(before) => ({picture})() !== before", arg=before)
    assert float(slider.input_value()) > 1

    # The first message from the page tells of the first of thirty steps, the last one of all.
    def moved():
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return [value for value in json.loads((folder / "seen.txt").read_text()) if value > 1]

    assert len(until(moved)) == 1, "Python follows the slider"
    engine = [status for status, url in fetched if "companion/static/engine" in url]
    assert (200 in engine) == (assets == "installed")
    strangers = [url for _, url in fetched if not url.startswith(address.rsplit("/", 2)[0][:22])]
    assert [url for url in strangers if url.startswith("http") and "127.0.0.1" not in url] == []
    context.close()


def test_a_model_of_the_readers_own_trains(browser, jupyter):
    kind, address, _ = jupyter
    if kind == "notebook":
        pytest.skip("the same front end and the same files as JupyterLab's")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(address)
    run_all(page)
    box = page.locator(".companion", has_text="My own")
    button = box.get_by_role("button", name="Train")
    button.scroll_into_view_if_needed()
    button.press("Enter")
    number = "[data-quantity='accuracy-test']"
    page.wait_for_function(
        "(q) => Number(document.querySelector(q)?.dataset.value) > 80", arg=number
    )
    box.get_by_role("button", name="Pause").press("Enter")
    assert int(box.get_attribute("data-steps")) > 20
    page.get_by_text("it asks for the value of a tensor").last.wait_for()
    context.close()


def test_what_the_wheel_brings(tmp_path):
    """A wheel has the built front end, where Python and where Jupyter look for it, and weights."""
    import zipfile

    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q",
         "-w", str(tmp_path), str(ROOT)],
        check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "companion/widgets/static/latent_traversal.js" in names
    assert any(n.endswith("share/jupyter/labextensions/companion/static/engine.js") for n in names)
    assert "companion/_data/vae-sprites.safetensors" in names
    assert not any("node_modules" in name for name in names)
    shutil.rmtree(tmp_path)
