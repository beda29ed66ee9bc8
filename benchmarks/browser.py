"""In the page: how fast a slider answers, how long a cold visit takes, what it transfers."""

import gzip
import statistics
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any

import yaml
from playwright.sync_api import Browser, sync_playwright

from companion.site.pdf import find_chromium
from conftest import BROWSER_OPTIONS, ROOT, SITE, QuietHandler

CHAPTER = "12-vae.html"

# Moves sliders as a drag does, and notes event → pixels on the canvas.
DRAG = """async ([selector, moves]) => {
    const box = [...document.querySelectorAll(selector)].at(-1);
    const inputs = [...box.querySelectorAll(".traversal-sliders input[type=range]")];
    const painted = () => new Promise((resolve) => box.addEventListener(
        "companion-painted", resolve, {once: true}));
    const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const times = [];
    for (let k = 0; k < moves; k += 1) {
        const input = inputs[k % inputs.length];
        const [low, high] = [Number(input.min), Number(input.max)];
        input.value = low + (high - low) * ((k * 0.37) % 1);
        const start = performance.now();
        const done = painted();
        input.dispatchEvent(new Event("input", {bubbles: true}));
        await done;
        times.push(performance.now() - start);
        await rest(12);
    }
    return times;
}"""

# Moves every slider of a widget in turn (or picks its radio buttons, if it has none) and notes how
# long the page is busy with each move: its handlers, what they schedule for the next frame, and the
# layout of what that changed. The wait for the frame is the screen's, and not counted.
RESPONSE = """async ([selector, moves]) => {
    const box = document.querySelector(selector);
    const shown = (type) => [...box.querySelectorAll(`.companion-live input[type=${type}]`)]
        .filter((input) => input.offsetParent !== null && !input.disabled);
    const frame = (job) => new Promise((resolve) => requestAnimationFrame(() => resolve(job())));
    const times = [];
    for (let k = 0; k < moves; k += 1) {
        const ranges = shown("range"); // a move may show or hide some
        const inputs = ranges.length ? ranges : shown("radio");
        const input = inputs[k % inputs.length];
        const begin = frame(() => performance.now()); // asked for first, so it opens the frame
        const start = performance.now();
        if (input.type === "range") {
            const [low, high] = [Number(input.min), Number(input.max)];
            input.value = low + (high - low) * ((k * 0.37) % 1);
            input.dispatchEvent(new Event("input", {bubbles: true}));
        } else {
            input.click();
        }
        const handled = performance.now() - start;
        const end = await frame(() => {
            document.body.getBoundingClientRect();
            return performance.now();
        });
        times.push(handled + end - (await begin));
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return times;
}"""

TRAVERSAL = ".companion-widget[data-widget=latent_traversal]"


def summary(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile, milliseconds."""
    ordered = sorted(times)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return {"ms": round(statistics.median(ordered), 1), "p95": round(p95, 1)}


def alive(page: Any, selector: str) -> None:
    """Scroll to the last such widget and wait until it lives."""
    page.locator(selector).last.scroll_into_view_if_needed()
    page.wait_for_function(
        "(s) => [...document.querySelectorAll(s)].at(-1).dataset.state === 'live'", arg=selector
    )


def cold_drag(browser: Browser, address: str) -> float:
    """Milliseconds from opening the page, with an empty cache, to the first drag answered."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
            const box = [...document.querySelectorAll("[data-widget=latent_traversal]")].at(-1);
            box.scrollIntoView();
            box.addEventListener("companion-ready", () => {
                // The preview, whose controls are dead, is still there.
                const input = box.querySelector(".companion-live input[type=range]");
                box.addEventListener("companion-painted", () => {
                    window.answered = performance.now();
                }, {once: true});
                input.value = 2;
                input.dispatchEvent(new Event("input", {bubbles: true}));
            }, {once: true});
        })"""
    )
    page.goto(address)
    page.wait_for_function("() => window.answered")
    answered: float = page.evaluate("window.answered")
    context.close()
    return answered


def transferred(browser: Browser, address: str) -> tuple[float, float, bool]:
    """MB, gzip-sized, of a first visit before a widget is reached, and read to the end; whether
    the engine that runs networks came with it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    sizes: dict[str, int] = {}
    page.on("response", lambda r: sizes.setdefault(r.url, len(gzip.compress(r.body(), 6))))
    page.goto(address)
    page.wait_for_timeout(2000)
    first = sum(sizes.values()) / 1e6
    height = page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, 500):
        page.evaluate(f"scrollTo(0, {top})")
        page.wait_for_timeout(80)
    page.wait_for_timeout(3000)
    context.close()
    network = any("engine" in url for url in sizes)
    return round(first, 2), round(sum(sizes.values()) / 1e6, 2), network


def pages() -> list[str]:
    """The built pages of the book, in order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def responses(browser: Browser, root: str) -> Iterator[dict[str, Any]]:
    """Every kind of widget without a network: how long the page is busy with a move."""
    slowest: dict[str, Any] = {"p95": -1.0}
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    done = {"latent_traversal", "live_training"}  # measured to the decoded image, and apart
    for name in pages():
        page.goto(f"{root}/{name}.html")
        kinds = page.eval_on_selector_all(
            ".companion-widget", "(boxes) => boxes.map((box) => box.dataset.widget)"
        )
        for kind in dict.fromkeys(kinds):
            if kind in done:
                continue
            done.add(kind)
            selector = f".companion-widget[data-widget={kind}]"
            page.locator(selector).first.scroll_into_view_if_needed()
            # A lazy widget comes alive when the button that it has in its still is reached.
            for button in page.locator(f"{selector}[data-lazy] [data-wakes]").all()[:1]:
                button.focus()
            page.wait_for_selector(f"{selector}[data-state=live]")
            page.evaluate(RESPONSE, [selector, 20])
            line = {
                "name": f"response_{kind}",
                "what": f"{kind}: page busy with one move",
                **summary(page.evaluate(RESPONSE, [selector, 200])),
                "against": "p95 ≤ 16 ms",
                "detail": True,
            }
            slowest = max(slowest, line, key=lambda line: line["p95"])
            yield line
    page.close()
    kind = slowest["name"].removeprefix("response_")
    yield {
        "name": "response_slowest",
        "what": f"slowest of {len(done) - 2} widgets without a network ({kind}): one move",
        "ms": slowest["ms"],
        "p95": slowest["p95"],
        "against": "p95 ≤ 16 ms",
    }


def page_weights(browser: Browser, root: str) -> Iterator[dict[str, Any]]:
    """What a first visit of each page, read to the end, transfers."""
    weights: dict[bool, dict[str, float]] = {True: {}, False: {}}
    limits = {True: "≤ 6.3 MB", False: "≤ 2.5 MB"}
    for name in pages():
        _, weight, network = transferred(browser, f"{root}/{name}.html")
        weights[network][name] = weight
        yield {
            "name": f"transfer_{name}",
            "what": f"{name}, first visit, read to the end (gzip)",
            "MB": weight,
            "against": limits[network],
            "detail": True,
        }
    for network, words in ((False, "without a network"), (True, "that runs a network")):
        heaviest = max(weights[network], key=lambda name: weights[network][name])
        yield {
            "name": f"transfer_heaviest{'_network' if network else ''}",
            "what": f"heaviest page {words} ({heaviest}), read to the end (gzip)",
            "MB": weights[network][heaviest],
            "against": limits[network],
        }


def measure() -> Iterator[dict[str, Any]]:
    """Everything that needs the built book and a browser."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        options = {"executable_path": find_chromium()} if find_chromium() else {}
        browser = playwright.chromium.launch(args=BROWSER_OPTIONS, **options)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{root}/{CHAPTER}")
        alive(page, TRAVERSAL)
        page.evaluate(DRAG, [TRAVERSAL, 40])  # the first runs compile the engine's hot paths
        yield {
            "name": "slider_to_painted",
            "what": "slider event → decoded image on the canvas",
            **summary(page.evaluate(DRAG, [TRAVERSAL, 400])),
            "against": "median ≤ 5 ms, p95 ≤ 12 ms",
        }
        page.close()
        yield from responses(browser, root)
        times = [cold_drag(browser, f"{root}/{CHAPTER}") for _ in range(5)]
        yield {
            "name": "cold_page_to_drag",
            "what": "cold page → first drag answered",
            "ms": round(statistics.median(times)),
            "against": "≤ 1500 ms",
        }
        yield {
            "name": "transfer_before_widget",
            "what": "chapter 12, first visit, before a live widget is reached (gzip)",
            "MB": transferred(browser, f"{root}/{CHAPTER}")[0],
            "against": "≤ 1.6 MB",
        }
        yield from page_weights(browser, root)
        browser.close()
    server.shutdown()
