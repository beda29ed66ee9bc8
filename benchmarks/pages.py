"""Trainings in a page: steps a second, the page's frames meanwhile, time to learn, a peer's way."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Browser, Page, sync_playwright
from torch import Tensor, nn
from torch.nn import functional as F

from companion.datasets import load_images
from companion.site.pdf import find_chromium
from companion.training.losses import classification_loss
from companion.widgets import (
    AnomalySandbox,
    AutoencoderRace,
    EmbeddingExplorer,
    LiveTraining,
    ManifoldField,
    SparseCode,
)
from companion.widgets.base import LiveWidget
from companion.widgets.noise import batch_rows, step_noise
from conftest import BROWSER_OPTIONS
from support.engine_page import served_folder
from support.stage import write_stage

Line = dict[str, Any]
BATCH = 64
PEER = Path(__file__).with_name("dense_vae.js")
SIZES = [(64, 128), (128, 128), (128, 2), (128, 2), (2, 128), (128, 128), (128, 64)]


class DenseVAE(nn.Module):
    """50,500 weights, two latents, for the 8×8 digits."""

    latent_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*size) for size in SIZES)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.layers[1](torch.relu(self.layers[0](images.flatten(1)))))
        return self.layers[2](h), self.layers[3](h)

    def logits(self, z: Tensor) -> Tensor:
        h = torch.relu(self.layers[5](torch.relu(self.layers[4](z))))
        return self.layers[6](h).view(-1, 1, 8, 8)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.logits(z))


def elbo(model: nn.Module, images: Tensor, labels: Tensor, beta: Tensor) -> dict[str, Tensor]:
    mu, log_var = model.encode(images)
    logits = model.logits(mu + torch.exp(log_var / 2) * torch.randn_like(mu))
    misfit = F.binary_cross_entropy_with_logits(logits, images, reduction="none")
    kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum(1).mean()
    reconstruction = misfit.flatten(1).sum(1).mean()
    return {"loss": reconstruction + beta * kl, "reconstruction": reconstruction, "kl": kl}


def vae() -> LiveTraining:
    torch.manual_seed(0)
    return LiveTraining(
        DenseVAE(), elbo, load_images("digits"), load_images("digits", "test"),
        lr=(3e-3, 1e-4, 0.1), batch_size=BATCH, inputs={"beta": (1.0, 0.0, 50.0)},
        show=["code", "grid"],
    )  # fmt: skip


def cnn() -> LiveTraining:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    return LiveTraining(
        model, classification_loss(), load_images("digits"), load_images("digits", "test"),
        batch_size=BATCH, lr=(3e-3, 1e-4, 0.1), show=["filters", "predictions", "feature maps"],
    )  # fmt: skip


def explorer(points: int) -> EmbeddingExplorer:
    """As many digits by their pixels, for t-SNE in the page."""
    data = load_images("digits", size=points)
    return EmbeddingExplorer(data.images, data.images, data.labels, data.class_names)


def autoencoders() -> dict[str, tuple[str, LiveWidget]]:
    """Chapter 10's trainings by name: what runs, and its widget."""
    digits = load_images("digits"), load_images("digits", "test")
    return {
        "race": ("a linear autoencoder against PCA, all digits a step", AutoencoderRace(*digits)),
        "deep": ("a deep autoencoder against PCA", AutoencoderRace(*digits, kind="deep")),
        "field": ("an autoencoder on 256 points, with the score", ManifoldField(score=True)),
        "sparse": ("a sparse autoencoder of 128 units", SparseCode(*digits)),
    }


# How long each frame keeps the page busy: its callbacks, layout, paint, up to the next task.
FRAMES = """(steps) => new Promise((done) => {
    const root = document.querySelector(".companion-live .companion");
    const [times, first, start] = [[], Number(root.dataset.steps), performance.now()];
    const port = new MessageChannel();
    let opened = 0;
    port.port1.onmessage = () => {
        times.push(performance.now() - opened);
        const taken = Number(root.dataset.steps) - first;
        if (taken >= steps) done({times, rate: (1000 * taken) / (performance.now() - start)});
        else next();
    };
    const next = () => requestAnimationFrame(() => {
        opened = performance.now();
        port.port2.postMessage(0);
    });
    next();
})"""

# A point is dragged about: how long until six fields and where they disagree are drawn anew, and
# how long each frame keeps the page busy meanwhile.
DRAG = """async (moves) => {
    const root = document.querySelector(".companion-live .companion");
    const field = root.querySelector(".anomaly-field");
    const box = field.getBoundingClientRect();
    field.setPointerCapture = () => {};
    const send = (type, x, y) => field.dispatchEvent(new PointerEvent(type, {
        bubbles: true, pointerId: 1, pointerType: "mouse",
        clientX: box.left + x * box.width, clientY: box.top + y * box.height,
    }));
    const [times, answers, port] = [[], [], new MessageChannel()];
    let [opened, on] = [0, true];
    port.port1.onmessage = () => {
        times.push(performance.now() - opened);
        if (on) next();
    };
    const next = () => requestAnimationFrame(() => {
        opened = performance.now();
        port.port2.postMessage(0);
    });
    next();
    send("pointerdown", 0.5, 0.5);
    for (let k = 1; k <= moves; k += 1) {
        const drawn = new Promise((done) => {
            root.addEventListener("companion-painted", done, { once: true });
        });
        const start = performance.now();
        send("pointermove", 0.5 + 0.2 * Math.sin(k), 0.5 + 0.2 * Math.cos(2 * k));
        await drawn;
        answers.push(performance.now() - start);
        // All that follows from a move is done before the next, so that none waits for another.
        while (root.dataset.settled !== "true") await new Promise(requestAnimationFrame);
    }
    send("pointerup", 0.5, 0.5);
    on = false;
    return { times, answers };
}"""

# Steps a second of the hand-written network on the page's own batches.
BY_HAND = """([sizes, weights, batches, noises, steps]) => {
    const step = handWritten(sizes, Float32Array.from(weights), 64);
    const inputs = batches.map((batch) => Float32Array.from(batch));
    const noise = noises.map((each) => Float32Array.from(each));
    const losses = [];
    const run = (count) => {
        const start = performance.now();
        for (let k = 0; k < count; k += 1)
            losses.push(step(inputs[k % inputs.length], noise[k % noise.length], 3e-3, 1));
        return (1000 * count) / (performance.now() - start);
    };
    run(20);
    return {losses: losses.slice(0, 20), rate: run(steps)};
}"""


def started(browser: Browser, address: str) -> Page:
    """The page, a moment after its first training began."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.get_by_role("button", name="Train").click()
    page.wait_for_function(
        "() => Number(document.querySelector('.companion-live .companion')?.dataset.pictured) > 50",
        timeout=120_000,
    )
    return page


def laying_out(browser: Browser, address: str, steps: int) -> dict[str, Any]:
    """t-SNE's frames and steps a second over its first steps, the preparations not counted."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.get_by_role("button", name="Run t-SNE").click()
    page.wait_for_function(
        "() => Number(document.querySelector('.companion-live .companion')?.dataset.steps) > 0",
        timeout=120_000,
    )
    found: dict[str, Any] = page.evaluate(FRAMES, steps)
    page.close()
    return found


def dragging(browser: Browser, address: str, moves: int) -> dict[str, list[float]]:
    """Times of AnomalySandbox's answers and frames while a point moves, each in ascending order."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.get_by_role("button", name="Your own points").click()
    page.wait_for_selector(".companion-live [data-settled=true]", timeout=120_000)
    found = page.evaluate(DRAG, moves)
    page.close()
    return {name: sorted(times) for name, times in found.items()}


def by_hand(page: Page, widget: LiveTraining, steps: int) -> dict[str, Any]:
    """The hand-written network on the first batches; its losses must be torch's."""
    page.add_script_tag(path=str(PEER))
    torch.manual_seed(0)
    weights = torch.cat([p.detach().flatten() for p in DenseVAE().parameters()])
    data = load_images("digits")
    rows = [batch_rows(0, step, len(data), BATCH) for step in range(20)]
    batches = [data[each].pixels().flatten().tolist() for each in rows]
    noises = [step_noise(0, k, 0, "normal", (BATCH, 2)).flatten().tolist() for k in range(20)]
    found: dict[str, Any] = page.evaluate(
        BY_HAND, [SIZES, weights.tolist(), batches, noises, steps]
    )
    np.testing.assert_allclose(found["losses"], reference(rows), rtol=1e-3)
    return found


def reference(rows: list[Tensor]) -> list[float]:
    """The losses of PyTorch's own loop on these batches."""
    torch.manual_seed(0)
    model, data, losses = DenseVAE(), load_images("digits"), []
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step, each in enumerate(rows):
        x = data[each].pixels()
        mu, log_var = model.encode(x)
        noise = step_noise(0, step, 0, "normal", (BATCH, 2))
        logits = model.logits(mu + torch.exp(log_var / 2) * noise)
        misfit = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum(1).mean()
        loss = misfit.flatten(1).sum(1).mean() + kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def learning(browser: Browser, address: str) -> float:
    """Milliseconds from pressing Train, nothing loaded yet, to 90 % of the test images right."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(address)
    page.evaluate(
        """() => addEventListener("click", () => { window.pressed ??= performance.now(); }, true)"""
    )
    page.get_by_role("button", name="Train").click()
    took: float = page.evaluate(
        """() => new Promise((done) => {
            const look = () => {
                const shown = document.querySelector(
                    ".companion-live [data-quantity=accuracy-test]");
                if (Number(shown?.dataset.value) >= 90) done(performance.now() - window.pressed);
                else requestAnimationFrame(look);
            };
            look();
        })"""
    )
    page.close()
    return took


def measure() -> Iterator[Line]:
    """All of it, in Chromium, from a plain web server."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        options = {"executable_path": find_chromium()} if find_chromium() else {}
        browser = playwright.chromium.launch(args=BROWSER_OPTIONS, **options)
        folder = Path(name)
        widget = vae()
        write_stage(folder / "vae", widget)
        write_stage(folder / "cnn", cnn())
        with served_folder(folder) as root:
            page = started(browser, f"{root}/vae/page.html")
            frames = page.evaluate(FRAMES, 600)
            page.get_by_role("button", name="Pause").click()
            times = sorted(frames["times"])
            hand = by_hand(page, widget, 200)
            page.close()
            yield {
                "name": "page_training_rate",
                "what": "a dense VAE of 50,500 weights trains in the page, batches of 64",
                "per_second": round(frames["rate"]),
                "against": "≥ 100 /s",
            }
            yield {
                "name": "page_training_frames",
                "what": "meanwhile, how long a frame keeps the page busy",
                "ms": round(statistics.median(times), 1),
                "p95": round(times[int(0.95 * (len(times) - 1))], 1),
                "against": "p95 ≤ 16 ms",
            }
            yield {
                "name": "page_training_vs_hand_written",
                "what": "its steps a second over those of the same network in plain JavaScript, "
                "alone in the page",
                "ratio": round(frames["rate"] / hand["rate"], 2),
                "against": "—",
                "per_second_by_hand": round(hand["rate"]),
            }
            took = [learning(browser, f"{root}/cnn/page.html") for _ in range(3)]
            yield {
                "name": "page_training_to_90",
                "what": "a small CNN, from Train (nothing loaded) to 90 % of held-out digits",
                "s": round(statistics.median(took) / 1000, 2),
                "against": "≤ 5 s",
            }
            for points, steps in ((500, 900), (1000, 300)):
                write_stage(folder / f"tsne-{points}", explorer(points))
                found = laying_out(browser, f"{root}/tsne-{points}/page.html", steps)
                times = sorted(found["times"])
                yield {
                    "name": f"page_tsne_rate_{points}",
                    "what": f"t-SNE of {points:,} digits runs in the page",
                    "per_second": round(found["rate"]),
                    "against": "≥ 30 /s" if points == 500 else "—",
                }
                yield {
                    "name": f"page_tsne_frames_{points}",
                    "what": "meanwhile, how long a frame keeps the page busy",
                    "ms": round(statistics.median(times), 1),
                    "p95": round(times[int(0.95 * (len(times) - 1))], 1),
                    "against": "p95 ≤ 16 ms" if points == 500 else "—",
                }
            points = np.random.default_rng(0).normal(size=(400, 2))
            write_stage(folder / "sandbox", AnomalySandbox(points))
            moved = dragging(browser, f"{root}/sandbox/page.html", 40)
            for name, what, against in (
                ("answers", "a point of 400 moved: until six fields of 48×48 are new", "≤ 150 ms"),
                ("times", "meanwhile, how long a frame keeps the page busy", "p95 ≤ 16 ms"),
            ):
                yield {
                    "name": f"page_sandbox_{name}",
                    "what": what,
                    "ms": round(statistics.median(moved[name]), 1),
                    "p95": round(moved[name][int(0.95 * (len(moved[name]) - 1))], 1),
                    "against": against,
                }
            for kind, (what, live) in autoencoders().items():
                write_stage(folder / kind, live)
                page = started(browser, f"{root}/{kind}/page.html")
                frames = page.evaluate(FRAMES, 300)
                page.close()
                times = sorted(frames["times"])
                yield {
                    "name": f"page_autoencoder_frames_{kind}",
                    "what": f"{what}, trains in the page: how long a frame keeps the page busy",
                    "ms": round(statistics.median(times), 1),
                    "p95": round(times[int(0.95 * (len(times) - 1))], 1),
                    "per_second": round(frames["rate"]),
                    "against": "p95 ≤ 16 ms",
                }
        browser.close()
