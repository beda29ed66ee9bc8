"""Occlusion in a page: the ImageNet network's answers, its map, the page's frames meanwhile, and
what keeping its weights in 16 bits changes."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from companion.datasets import load_images
from companion.models.pretrained import pretrained
from companion.site.pdf import find_chromium
from companion.widgets import OcclusionMap
from conftest import BROWSER_OPTIONS
from support.engine_page import served_folder
from support.stage import write_stage

Line = dict[str, Any]
HELPERS = """() => {
    window.answers = 0;
    addEventListener("companion-answered", () => { answers += 1; });
    const root = () => document.querySelector(".companion-live .companion");
    const once = (name) => new Promise((done) =>
        addEventListener(name, ({detail}) => done(detail), {once: true}));
    const button = (label) => [...root().querySelectorAll(".occlusion-map button")]
        .find((el) => el.textContent === label);
    // From a key to the answer on show, as often as asked.
    window.move = async (count) => {
        const times = [];
        const handle = root().querySelector(".occlusion-field input");
        for (let k = 0; k < count; k += 1) {
            const [start, answered] = [performance.now(), once("companion-answered")];
            const key = k % 4 < 2 ? "ArrowDown" : "ArrowUp";
            handle.dispatchEvent(new KeyboardEvent("keydown",
                {key, shiftKey: true, cancelable: true}));
            await answered;
            times.push(performance.now() - start);
        }
        return times;
    };
    // A whole map, and how long each frame keeps the page busy meanwhile.
    window.map = async () => {
        const [frames, port] = [[], new MessageChannel()];
        let [opened, on] = [0, true];
        port.port1.onmessage = () => {
            frames.push(performance.now() - opened);
            if (on) next();
        };
        const next = () => requestAnimationFrame(() => {
            opened = performance.now();
            port.port2.postMessage(0);
        });
        const [start, mapped] = [performance.now(), once("companion-mapped")];
        button("Run the map").click();
        next();
        const {drops} = await mapped;
        on = false;
        return {took: performance.now() - start, frames, drops: drops.map(([, drop]) => drop)};
    };
    // Moves while a map goes on.
    window.both = async (count) => {
        button("Run the map").click();
        const times = await move(count);
        button("Cancel").click();
        return times;
    };
}"""


def widget(tolerance: float, stride: int = 32) -> OcclusionMap:
    """The astronaut and what EfficientNet-Lite0 makes of her."""
    net = pretrained("efficientnet_lite0")
    return OcclusionMap(
        net.on_pixels(), load_images("photos", size=1).images, class_names=net.class_names,
        patch=32, stride=stride, tolerance=tolerance,
    )  # fmt: skip


def loaded(browser: Browser, address: str) -> Page:
    """The page, once its network has answered."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.evaluate(HELPERS)
    page.get_by_role("button", name="Load the network").click()
    page.wait_for_function("answers > 0")
    page.evaluate("move(3)")  # what is slow the first time
    return page


def p95(times: list[float]) -> float:
    """The time that one in twenty is above."""
    return sorted(times)[int(0.95 * (len(times) - 1))]


def measure() -> Iterator[Line]:
    """All of it, in Chromium, from a plain web server."""
    torch.set_num_threads(1)
    exact, half, fine = widget(0), widget(0.02), widget(0.02, stride=16)
    expected = np.array(exact.known["drops"])
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        options = {"executable_path": find_chromium()} if find_chromium() else {}
        browser = playwright.chromium.launch(args=BROWSER_OPTIONS, **options)
        folder = Path(name)
        for key, made in (("exact", exact), ("half", half), ("fine", fine)):
            write_stage(folder / key, made)
        with served_folder(folder) as root:
            losses = {}
            for key in ("exact", "half"):
                page = loaded(browser, f"{root}/{key}/page.html")
                found = page.evaluate("map()")
                losses[key] = float(np.abs(np.array(found["drops"]) - expected).max())
                if key == "half":
                    moves = page.evaluate("move(40)")
                page.close()
            page = loaded(browser, f"{root}/fine/page.html")
            meanwhile = page.evaluate("both(30)")
            page.close()
            browser.close()
    yield {
        "name": "page_occlusion_move",
        "what": "moving the patch over a 224-pixel photograph, key to answer on show",
        "ms": round(statistics.median(moves)),
        "p95": round(p95(moves)),
        "against": "≤ 120 ms",
    }
    yield {
        "name": "page_occlusion_move_in_map",
        "what": "the same while a map is computed",
        "ms": round(statistics.median(meanwhile)),
        "p95": round(p95(meanwhile)),
        "against": "≤ 120 ms",
    }
    yield {
        "name": "page_occlusion_map",
        "what": "a map of 7×7 places of it",
        "s": round(found["took"] / 1000, 2),
        "against": "≤ 4 s",
    }
    yield {
        "name": "page_occlusion_frames",
        "what": "meanwhile, how long a frame keeps the page busy",
        "ms": round(statistics.median(found["frames"]), 1),
        "p95": round(p95(found["frames"]), 1),
        "against": "p95 ≤ 16 ms",
    }
    yield {
        "name": "page_occlusion_network",
        "what": "the network that a page loads, gzipped",
        "MB": round(half.network["bytes"] / 1e6, 2),
        "against": "≤ 9 MB",
        "MB_float32": round(exact.network["bytes"] / 1e6, 2),
    }
    yield {
        "name": "page_occlusion_error",
        "what": "largest difference of a place's drop to Python's, weights in 16 bits",
        "ratio": round(losses["half"], 5),
        "against": "1e-3 with float32",
        "float32": float(f"{losses['exact']:.1e}"),
    }
