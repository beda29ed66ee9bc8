"""Every page of the built book in a real browser, at two widths, light and dark."""

import gzip
import json
import re

import pytest

from conftest import book_pages
from support.pages import Visit, visit

pytestmark = pytest.mark.browser

CHAPTERS = [name for name in book_pages() if re.match(r"\d", name)]
PAGES = [*book_pages(), "search", "genindex", "notices"]


def missing_icons(page):
    """Icons that site/js/theme-icons.js does not bring, or that have no path."""
    page.wait_for_selector("html.fontawesome-i2svg-complete")
    return page.evaluate(
        """() => [
            ...[...document.querySelectorAll("i[class*='fa-']")].map((i) => i.className),
            ...[...document.querySelectorAll("svg.svg-inline--fa")]
                .filter((svg) => !svg.querySelector("path")?.getAttribute("d"))
                .map((svg) => svg.dataset.icon),
        ]"""
    )


@pytest.mark.parametrize(
    ("place", "size", "theme"), [("served", "desktop", "light"), ("folder", "phone", "dark")]
)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_sound(browser, site, served, name, place, size, theme):
    address = f"{served}/{name}.html" if place == "served" else (site / f"{name}.html").as_uri()
    with visit(browser, address, size=size, theme=theme) as seen:
        seen.scroll_through()
        page = seen.page
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert seen.strangers == [], "the page asks other hosts"
        assert seen.errors == []
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, "the page scrolls sideways"
        silent = page.evaluate(
            """() => [...document.querySelectorAll("img, [role=img], canvas")].filter((el) => {
                if (el.closest("[aria-hidden=true]")) return false;
                if (el.closest(".companion-plotly [role=img]")) return false;
                const text = el.getAttribute("alt") ?? el.getAttribute("aria-label")
                    ?? el.getAttribute("aria-labelledby") ?? el.getAttribute("title")
                    ?? el.querySelector("title")?.textContent;
                return text === null || text === undefined
                    || (text.trim().length < 3 && el.tagName === "IMG" && text !== "");
            }).map((el) => el.outerHTML.slice(0, 120))"""
        )
        assert silent == [], "images without alt text"
        failed = page.locator('.companion-widget[data-state="failed"]').count()
        assert failed == 0
        assert missing_icons(page) == []
        assert seen.violations() == []
        assert seen.errors == []


def test_no_page_names_another_host_to_load_from(site):
    # Links that a reader may follow are fine; scripts, styles, images, fonts are not.
    loads = re.compile(
        r"""<(?:script|link|img|iframe|source|video|audio)\b[^>]*?(?:src|href)=["'](https?:)?//""",
        re.I,
    )
    for page in site.glob("*.html"):
        assert not loads.search(page.read_text("utf-8")), page.name
    imports = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")
    for sheet in (site / "_static").rglob("*.css"):
        assert not imports.search(sheet.read_text("utf-8")), sheet.name


def test_policy_stops_what_a_chapter_might_smuggle_in(browser, served):
    with visit(browser, f"{served}/intro.html") as seen:
        seen.page.evaluate(
            """() => {
                document.addEventListener("securitypolicyviolation", (event) => {
                    window.refused = event.blockedURI;
                });
                const script = document.createElement("script");
                script.src = "https://example.org/x.js";
                document.head.append(script);
            }"""
        )
        seen.page.wait_for_function("window.refused")
        assert seen.page.evaluate("window.refused").startswith("https://example.org")
        assert seen.strangers == []


def test_plotly_follows_the_theme(browser, served):
    with visit(browser, f"{served}/12-vae.html", theme="light") as seen:
        seen.scroll_through()
        colour = """() => getComputedStyle(document.querySelector(
            ".companion-plotly .xtick text")).fill"""
        light = seen.page.evaluate(colour)
        seen.switch_theme("dark")
        seen.page.wait_for_function(f"({colour})() !== {light!r}")


@pytest.mark.parametrize("name", PAGES)
def test_a_first_visit_stays_within_its_weight(browser, served, name):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    bodies: dict[str, int] = {}
    page.on("response", lambda r: bodies.setdefault(r.url, len(gzip.compress(r.body(), 6))))
    page.goto(f"{served}/{name}.html", wait_until="load")
    page.wait_for_load_state("networkidle")
    before = sum(bodies.values()) / 1e6
    assert not any("engine" in url or "plotly" in url for url in bodies), "loaded too early"
    Visit(page).scroll_through()
    after = sum(bodies.values()) / 1e6
    network = any("engine" in url for url in bodies)
    shown = page.eval_on_selector_all(
        ".companion-widget", "(boxes) => boxes.map((box) => box.dataset.widget)"
    )
    # A model is named by its SHA-256. A lazy widget asks for its models when a button is pressed.
    runs_models = page.eval_on_selector_all(
        ".companion-widget:not([data-lazy]) > script",
        '(states) => states.some((state) => /"[0-9a-f]{64}"/.test(state.textContent))',
    )
    context.close()
    # The photographs of chapter 9 are shown without loss.
    most = 3.2 if name.startswith("09-") else 1.6
    assert before <= most, f"{before:.2f} MB before a live widget is reached"
    assert network == runs_models
    assert after <= max(most, 6.3 if network else 2.5 if shown else 1.2), f"{after:.2f} MB all told"
    scripts = {m[1] for url in bodies if (m := re.search(r"/page-(\w+)\.js", url))}
    assert scripts == set(shown), "the page's own widgets, no others"


# --- quizzes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_each_quiz_tells_right_from_wrong(browser, served, name):
    with visit(browser, f"{served}/{name}.html") as seen:
        page = seen.page
        quizzes = page.locator("fieldset[data-quiz]")
        assert quizzes.count() >= 3
        for number in range(quizzes.count()):
            quiz = quizzes.nth(number)
            verdict = quiz.locator(".quiz-verdict")
            quiz.locator(".quiz-check").click()
            assert verdict.inner_text() not in {"", "Right."}
            field = quiz.locator(".quiz-number input")
            if field.count():
                value = float(field.get_attribute("data-value"))
                field.fill(str(value * 3 + 17))
                field.press("Enter")
                assert verdict.inner_text().startswith("Not yet")
                assert quiz.locator(".quiz-feedback:visible").count() == 0
                for mistake in quiz.locator(".quiz-mistake").all():
                    field.fill(mistake.get_attribute("data-value"))
                    field.press("Enter")
                    assert mistake.locator(".quiz-feedback").is_visible()
                field.fill(f"{4 * value}/4")
                field.press("Enter")
                assert verdict.inner_text() == "Right."
                field.fill(f"{value:g} %".replace(".", ","))
                field.press("Enter")
                assert verdict.inner_text() == "Right."
                continue
            for option in quiz.locator(".quiz-option input").all():
                if option.get_attribute("data-right") == "false":
                    option.check()
            quiz.locator(".quiz-check").click()
            assert not verdict.inner_text().startswith("Right")
            assert quiz.locator(".quiz-feedback.quiz-shown").count() >= 1
            for option in quiz.locator(".quiz-option input").all():
                right = option.get_attribute("data-right") == "true"
                if option.get_attribute("type") == "checkbox":
                    option.set_checked(right)
                elif right:
                    option.check()
            quiz.locator(".quiz-check").click()
            assert verdict.inner_text() == "Right."
        assert seen.errors == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_notebook_to_download_has_no_outputs(site, name):
    link = f"_sources/{name}.ipynb"
    assert f'href="{link}"' in (site / f"{name}.html").read_text("utf-8")
    notebook = json.loads((site / link).read_text("utf-8"))
    assert all(not cell.get("outputs") for cell in notebook["cells"])
