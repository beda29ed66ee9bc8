"""What the page tests share: a page that keeps account of all it does, and ways to look at it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlparse

from conftest import ROOT
from support.waiting import PATIENCE

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@dataclass
class Visit:
    """A page in the browser, its complaints, and the hosts that it tried to reach."""

    page: object
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def scroll_through(self) -> None:
        """Scroll to the end, as a reader does, and touch what waits for that: all comes alive."""
        # What comes near the window is noticed when a frame is drawn. On a busy machine that may
        # take a second, and a step taken before it would be a step over a figure.
        self.page.evaluate(
            """async () => {
                // A browser that draws no more is found out by what waits for the page, below:
                // a promise of a frame would wait without end.
                const frame = () => new Promise((drawn) => {
                    requestAnimationFrame(() => requestAnimationFrame(drawn));
                    setTimeout(drawn, 10_000);
                });
                for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
                    scrollTo(0, y);
                    await frame();
                }
                for (const button of document.querySelectorAll("[data-lazy] [data-wakes]")) {
                    button.focus({preventScroll: true});
                }
                scrollTo(0, 0);
            }"""
        )
        self.all_alive()

    def all_alive(self) -> None:
        """Wait until every widget (but a lazy one that nobody touched) lives or has failed, and
        every figure is drawn."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll(".companion-widget")]
                    .every((box) => ["live", "failed"].includes(box.dataset.state)
                        || (box.dataset.lazy !== undefined && !box.dataset.state))
                && [...document.querySelectorAll(".companion-plotly")]
                    .every((box) => box.dataset.drawn)"""
        )

    def switch_theme(self, theme: str) -> None:
        """Show the page in the other colours, as the theme's own button does."""
        self.page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)

    def violations(self, *rules: str) -> list[str]:
        """Serious and critical findings of axe-core, by these of its rules or by all.

        One line each, once nothing moves.
        """
        self.page.evaluate(
            "Promise.allSettled(document.getAnimations().map((each) => each.finished))"
        )
        self.page.add_script_tag(path=str(AXE))
        # Sheets are not loaded once more: from a folder a browser refuses that.
        options = {"resultTypes": ["violations"], "preload": False}
        options |= {"runOnly": rules} if rules else {}
        found = self.page.evaluate(
            """async (options) => (await axe.run(document, options)).violations
                .filter((v) => ["serious", "critical"].includes(v.impact))
                .map((v) => `${v.id}: ` + v.nodes.map((n) => n.target.join(" ")).join(" | "))""",
            options,
        )
        return list(found)


@contextlib.contextmanager
def visit(
    browser, address: str, *, size: str = "desktop", theme: str = "light", scripts: bool = True
) -> Iterator[Visit]:
    """Open an address; every request that leaves its host is refused and noted.

    Without `scripts` none of the page's script files arrives.
    """
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, has_touch=size == "phone"
    )
    context.set_default_timeout(1000 * PATIENCE)
    seen = Visit(context.new_page())
    home = urlparse(address)

    def watch(route) -> None:
        target = urlparse(route.request.url)
        local = target.scheme in {"data", "blob"} or (target.scheme, target.netloc) == (
            home.scheme,
            home.netloc,
        )
        if route.request.resource_type == "script" and not scripts:
            route.abort()
        elif local:
            route.continue_()
        else:
            seen.strangers.append(route.request.url)
            route.abort()

    context.route("**/*", watch)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on(
        "console",
        lambda message: (
            seen.errors.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    seen.page.on(
        "response",
        lambda response: (
            seen.errors.append(f"{response.status} {response.url}")
            if response.status >= 400
            else None
        ),
    )
    seen.page.goto(address, wait_until="load")
    try:
        yield seen
    finally:
        context.close()
