"""Every page of the built book in a real browser, at two widths, light and dark."""

import re

import pytest
import yaml

from conftest import ROOT, SITE
from pages import SIZES, visit

pytestmark = pytest.mark.browser

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
PAGES = [TOC["root"], *(chapter["file"] for chapter in TOC["chapters"]), "search", "genindex"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_sound(browser, served, name, size, theme):
    with visit(browser, f"{served}/{name}.html", size=size, theme=theme) as seen:
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
        assert seen.violations() == []


@pytest.mark.parametrize("name", PAGES)
def test_page_works_from_a_folder(browser, site, name):
    with visit(browser, (site / f"{name}.html").as_uri()) as seen:
        seen.scroll_through()
        assert seen.strangers == []
        assert seen.errors == []
        assert seen.page.locator('.companion-widget[data-state="failed"]').count() == 0


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
        refused = seen.page.evaluate(
            """() => new Promise((resolve) => {
                document.addEventListener("securitypolicyviolation", (e) => resolve(e.blockedURI));
                const script = document.createElement("script");
                script.src = "https://example.org/x.js";
                document.head.append(script);
                setTimeout(() => resolve("nothing was refused"), 2000);
            })"""
        )
        assert refused.startswith("https://example.org")
        assert seen.strangers == []


def test_icons_of_the_theme_are_all_drawn(browser, served):
    for name in PAGES:
        with visit(browser, f"{served}/{name}.html") as seen:
            seen.page.wait_for_timeout(300)
            names = seen.page.evaluate(
                """() => [...document.querySelectorAll("i[class*='fa-']")]
                    .map((i) => i.className)"""
            )
            missing = seen.page.evaluate(
                """() => [...document.querySelectorAll("svg.svg-inline--fa")]
                    .filter((svg) => !svg.querySelector("path")?.getAttribute("d"))
                    .map((svg) => svg.dataset.icon)"""
            )
            assert names == [], "icons that site/js/icons.js does not bring"
            assert missing == []


def test_plotly_follows_the_theme(browser, served):
    with visit(browser, f"{served}/12-vae.html", theme="light") as seen:
        seen.scroll_through()
        colour = """() => getComputedStyle(document.querySelector(
            ".companion-plotly .xtick text")).fill"""
        light = seen.page.evaluate(colour)
        seen.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        seen.page.wait_for_function(f"({colour})() !== {light!r}")


def test_a_first_visit_stays_within_its_weight(browser, served):
    import gzip

    with visit(browser, f"{served}/12-vae.html") as seen:
        bodies: dict[str, int] = {}
        seen.page.on(
            "response", lambda r: bodies.setdefault(r.url, len(gzip.compress(r.body(), 6)))
        )
        seen.page.reload(wait_until="load")
        seen.page.wait_for_timeout(1500)
        before = sum(bodies.values())
        assert not any("engine" in url or "plotly" in url for url in bodies), "loaded too early"
        seen.scroll_through()
        after = sum(bodies.values())
    assert before <= 1.6e6, f"{before / 1e6:.2f} MB before a live widget is reached"
    assert after <= 6e6, f"{after / 1e6:.2f} MB all told"
    with visit(browser, f"{served}/intro.html") as seen:
        bodies.clear()
        seen.page.on(
            "response", lambda r: bodies.setdefault(r.url, len(gzip.compress(r.body(), 6)))
        )
        seen.page.reload(wait_until="load")
        seen.page.wait_for_timeout(1000)
    assert sum(bodies.values()) <= 1.2e6


# --- quizzes -----------------------------------------------------------------------------------


def test_each_quiz_tells_right_from_wrong(browser, served):
    with visit(browser, f"{served}/12-vae.html") as seen:
        page = seen.page
        quizzes = page.locator("fieldset[data-quiz]")
        assert quizzes.count() >= 4
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
                field.fill(f"{value:g}".replace(".", ","))
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


def test_the_notebook_to_download_has_no_outputs(browser, served):
    import json

    with visit(browser, f"{served}/12-vae.html") as seen:
        link = seen.page.locator("a[href$='12-vae.ipynb']").first.get_attribute("href")
        assert link == "_sources/12-vae.ipynb"
    notebook = json.loads((SITE / link).read_text("utf-8"))
    assert all(not cell.get("outputs") for cell in notebook["cells"])
