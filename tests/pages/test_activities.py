"""Predictions, tasks, recall cards, lines to order in a small book, in a real browser."""

import csv
import fcntl
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import unquote, urlparse

import pytest

from companion.site.activities.goals import as_json, holds, parse_goal
from companion.site.frontend import build_frontend
from conftest import ROOT, QuietHandler
from support.activities import CONTENT, PAGES
from support.front_end import module_page
from support.pages import visit
from support.small_book import build
from support.waiting import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NO_STORAGE = """Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("refused", "SecurityError"); },
});"""
SMALLEST = """() => [...document.querySelectorAll(
    ".quiz button, .quiz summary, .quiz input[type=range], .recall-due :is(button, summary, a)")]
    .filter((el) => el.checkVisibility())
    .filter((el) => Math.min(el.offsetWidth, el.offsetHeight) < 24)
    .map((el) => el.outerHTML.slice(0, 90))"""


@pytest.fixture(scope="module")
def small_book(tmp_path_factory) -> str:
    """The address of the small book's folder, which is built once for all workers."""
    build_frontend(quiet=True)
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "activities"
    with (shared / "activities.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            status, output = build(folder, CONTENT, **PAGES)
            assert status == 0, output
            (folder / "built").touch()
    return (folder / "_build" / "html").as_uri()


@pytest.fixture
def served_book(small_book) -> Iterator[str]:
    """The same on a web server: axe reads style sheets, which a page from a folder may not."""
    folder = unquote(urlparse(small_book).path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def expect(page, selector: str, text: str) -> None:
    """Wait until the text stands there."""
    page.locator(selector).filter(has_text=text).first.wait_for()


def press(locator, key: str, times: int = 1) -> None:
    locator.focus()
    for _ in range(times):
        locator.page.keyboard.press(key)


def test_a_number_is_predicted_by_keyboard(browser, small_book):
    with visit(browser, f"{small_book}/page.html") as seen:
        page = seen.page
        box = page.locator("[data-predict$='/guess']")
        slider, button = box.locator("input"), box.locator("button")
        assert box.locator("output").inner_text() == "–"
        button.press("Enter")  # without a guess
        assert box.locator(".quiz-verdict").inner_text() == "It is 0.123."
        assert box.locator(".quiz-feedback:visible").count() == 0
        button.press("Enter")
        press(slider, "Home")
        press(slider, "ArrowRight", 16)
        assert box.locator("output").inner_text() == "0.8"
        button.press("Enter")
        said = "You expected 0.8; it is 0.123: 0.677 too high."
        for _ in range(2):
            assert box.locator(".quiz-verdict").inner_text() == said
            assert box.locator(".quiz-feedback:visible").inner_text().startswith("Many expect")
            assert not slider.is_visible()
            gap = page.evaluate(
                """() => ["track", "mine", "truth", "band"].map((part) => {
                    const box = document.querySelector(`[data-predict$="/guess"] .predict-${part}`);
                    const {left, width} = box.getBoundingClientRect();
                    return [left, width];
                })"""
            )
            (left, width), mine, truth, _ = gap
            places = [(at + size / 2 - left) / width for at, size in (mine, truth)]
            assert places == pytest.approx([0.8, 0.1234], abs=0.02)
            page.reload()
            box.locator(".predict-truth").wait_for()
        box.locator("button").press("Enter")
        assert slider.is_visible()
        press(slider, "Home")
        press(slider, "ArrowRight", 4)
        button.press("Enter")
        assert box.locator(".quiz-verdict").inner_text() == "You expected 0.2; it is 0.123: close."
        assert box.locator(".quiz-feedback:visible").inner_text() == "The head was the cue."

        box = page.locator("[data-predict$='/size']")
        press(box.locator("input"), "Home")
        box.locator("button").press("Enter")
        assert box.locator(".quiz-verdict").inner_text() == (
            "You expected 1,000 weights; it is 61,100,000 weights: 61,100 times too low."
        )
        assert seen.errors == []


def test_a_choice_is_predicted(browser, small_book):
    with visit(browser, f"{small_book}/page.html") as seen:
        page = seen.page
        box = page.locator("[data-predict$='/choice']")
        press(box.locator("input").nth(0), "ArrowDown")
        box.locator("button").press("Enter")
        for _ in range(2):
            assert box.locator(".quiz-verdict").inner_text().startswith("Not what you expected")
            tags = box.locator(".quiz-option").all_inner_texts()
            assert ["the truth" in tag for tag in tags] == [True, False, False]
            assert ["your guess" in tag for tag in tags] == [False, True, False]
            assert box.locator(".quiz-feedback:visible").count() == 2
            page.reload()
            box.locator(".predict-tag").first.wait_for()
        box.locator("button").press("Enter")
        box.locator("input").nth(0).check()
        box.locator("button").press("Enter")
        assert box.locator(".quiz-verdict").inner_text() == "Just as you expected."
        assert "your guess and the truth" in box.inner_text()


def test_widgets_reach_goals(browser, small_book):
    """A task is ticked and a prediction answered by the widget; a lazy one, too."""
    with visit(browser, f"{small_book}/page.html") as seen:
        page = seen.page
        flat = page.locator("[data-task$='/flat']")
        read = page.locator("[data-predict$='/read']")
        read.locator("button").click()
        assert "bring it there first" in read.locator(".quiz-verdict").inner_text()
        press(read.locator("input"), "Home")
        box = page.locator("[data-widget='softmax']")
        box.scroll_into_view_if_needed()
        page.wait_for_selector("[data-widget='softmax'][data-state='live']")
        assert flat.get_attribute("data-reached") is None
        # A class becomes improbable when the others' logits grow.
        for other in (1, 2):
            press(box.locator("input[type=range]").nth(other), "End")
        expect(page, "[data-task$='/flat'] .task-status", "Reached.")
        expect(page, "[data-predict$='/read'] .quiz-verdict", "You expected 0; it is")
        loss = float(box.locator("[data-quantity=loss]").first.get_attribute("data-value"))
        assert f"{loss:.3g}" in read.locator(".quiz-verdict").inner_text()
        press(box.locator("input[type=range]").nth(1), "Home")
        assert flat.get_attribute("data-reached") == "yes"

        cut = page.locator("[data-task$='/cut']")
        assert cut.get_attribute("data-reached") is None
        page.locator("[data-lazy] [data-wakes]").press("Enter")  # which loads it, and trains
        page.wait_for_selector("[data-task$='/cut'][data-reached]")
        page.reload()
        for task in (flat, cut):
            assert task.get_attribute("data-reached") == "yes"
        assert seen.errors == []


def test_goals_in_the_page_are_python_s(browser):
    texts = [
        f"a {sign} {bound}{tolerance}"
        for sign in ("<", "<=", ">", ">=", "=", "!=")
        for bound in ("0.3", "b", "missing")
        for tolerance in ("", " ± 0.1")
        if not tolerance or sign in ("=", "!=")
    ]
    texts += ["a < 1 and b < 1 or a > 2", "a < 1 or b < 1 and a > 2", "a = a and b != b"]
    values = [{"a": a, "b": b} for a in (0.1 + 0.2, 0.35, 3.0) for b in (0.3, 0.5)]
    cases = [(as_json(parse_goal(text)), each) for text in texts for each in values]
    html = """<script type="module">
        import { holds } from "./goals.js";
        window.answers = (cases) => cases.map(([goal, values]) => {
            const box = document.createElement("div");
            for (const [name, value] of Object.entries(values)) {
                const shown = document.createElement("span");
                Object.assign(shown.dataset, { quantity: name, value });
                box.append(shown);
            }
            return holds(box, JSON.parse(goal));
        });
    </script>"""
    folder = ROOT / "companion" / "site" / "js" / "activities"
    with module_page(browser, html, folder) as start:
        page = start()
        page.wait_for_function("() => window.answers !== undefined")
        found = page.evaluate("(cases) => answers(cases)", cases)
    assert found == [holds(parse_goal(text), each) for text in texts for each in values]
    assert {True, False} == set(found)


def answer(card, word: str) -> None:
    """Open a card by keyboard and say whether one knew it."""
    if card.get_attribute("open") is None:
        card.locator("summary").press("Enter")
    card.get_by_role("button", name=word).press("Enter")


def test_what_was_missed_comes_back(browser, small_book, tmp_path):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.clock.install(time=datetime(2026, 3, 10, 9, 0))
    page.goto(f"{small_book}/recall.html")
    due = page.locator(".recall-row:visible")
    assert due.count() == 0
    assert page.locator(".recall-count").inner_text().startswith("Nothing is due")
    assert page.locator(".recall-export").is_disabled()

    page.goto(f"{small_book}/page.html")
    first, second = page.locator("fieldset[data-recall]").all()
    cards = first.locator("details")
    assert not cards.nth(0).locator(".recall-back").is_visible()
    answer(cards.nth(0), "I knew it")
    assert "known; again on March 11" in cards.nth(0).inner_text()
    assert second.locator("details").count() == 1
    answer(cards.nth(1), "I didn’t")
    assert first.locator("[role=status]").inner_text() == (
        "Noted: missed. It comes back in this chapter’s next block."
    )
    for _ in range(2):
        assert second.locator("details").count() == 2
        page.reload()
        second.locator(".recall-again").wait_for()
    answer(second.locator(".recall-again"), "I didn’t")
    assert second.locator("details").count() == 2

    page.goto(f"{small_book}/recall.html")
    assert due.count() == 1
    assert page.locator("h2:visible").all_inner_texts() == ["A chapter"]
    page.clock.set_fixed_time(datetime(2026, 3, 11, 0, 5))
    page.reload()
    page.locator(".recall-count", has_text="2 cards due today.").wait_for()
    answer(due.nth(0).locator("details"), "I knew it")
    assert page.locator(".recall-count").inner_text() == "1 card due today."
    focused = page.evaluate("document.activeElement.closest('details')?.dataset.card")
    assert focused == due.nth(0).locator("details").get_attribute("data-card")
    answer(due.nth(0).locator("details"), "I knew it")
    assert due.count() == 0
    page.clock.set_fixed_time(datetime(2026, 3, 12, 12, 0))
    page.reload()
    # The missed one starts anew after a day, the other rests for three.
    assert page.locator(".recall-row:visible .recall-front").all_inner_texts() == [
        "Which term speaks for the image?"
    ]

    page.get_by_label("all of the book").check()
    assert due.count() == 4
    with page.expect_download() as download:
        page.locator(".recall-export").click()
    file = tmp_path / "cards.csv"
    download.value.save_as(file)
    lines = file.read_text("utf-8").splitlines()
    assert lines[:2] == ["#separator:Comma", "#html:true"]
    rows = list(csv.reader(lines[3:]))
    assert len(rows) == 4
    assert rows[0][1] == r"\(\mu = 0\) and \(\sigma = 1\): the prior."
    assert rows[-1][:3] == [
        'What does AlexNet\'s "first" layer see, 100 % of the time?',
        "Edges &amp; colours, 11×11.",
        "Another chapter",
    ]
    page.get_by_role("link", name="Where it stands").last.click()
    page.wait_for_url("**/second.html#card-*")
    assert page.locator("details:target").count() == 1
    context.close()


def test_lines_are_put_in_order(browser, small_book):
    with visit(browser, f"{small_book}/page.html") as seen:
        page = seen.page
        box = page.locator("[data-order$='/step']")
        verdict = box.locator(".quiz-verdict")

        def texts() -> list[str]:
            return box.locator("ol").nth(0).locator(".order-text").all_inner_texts()

        def check() -> str:
            box.get_by_role("button", name="Check").press("Enter")
            return str(verdict.inner_text())

        def put(text: str, place: int) -> None:
            """Move a line up or down by its button, which keeps the focus."""
            while (now := texts().index(text)) != place:
                way = "up" if now > place else "down"
                box.get_by_role("button", name=f"Move {way}: {text}").press("Enter")
                assert page.evaluate("document.activeElement.ariaLabel") == f"Move {way}: {text}"
                assert verdict.inner_text().startswith("Now line")

        right = ["optimizer.zero_grad()", "loss = squared_error(model, images, labels)",
                 "loss.backward()", "optimizer.step()"]  # fmt: skip
        before = texts()
        assert check().endswith("is the first that is wrong.")
        for place, text in enumerate(right):
            put(text, place)
        assert texts() == [*right, "loss.step()"]
        assert check() == "Line 5 is the first that is wrong."
        assert "loss.step()" in box.locator(".order-wrong").inner_text()
        assert box.locator(".quiz-feedback:visible").inner_text().startswith("A loss has no step")
        box.get_by_role("button", name="Move down: loss.step()").press("Enter")
        assert verdict.inner_text() == "Left out."
        assert check() == "Right."
        put(right[1], 0)  # the two are interchangeable
        assert check() == "Right."
        box.get_by_role("button", name="Move down: optimizer.step()").press("Enter")
        assert check() == "Right so far; a line that you left out comes after line 3."
        page.reload()
        box.locator(".order-move").first.wait_for()
        assert texts() == [right[1], right[0], right[2]] != before

        # By dragging: the first line to the end, and out.
        handle = box.locator("li").nth(0).locator(".order-handle")
        for target, fraction in ((box.locator("ol").nth(0), 0.98), (box.locator("ol").nth(1), 0.5)):
            target.scroll_into_view_if_needed()
            box.locator("li", has_text=right[1]).locator(".order-handle").hover()
            page.mouse.down()
            area = target.bounding_box()
            page.mouse.move(area["x"] + 40, area["y"] + fraction * area["height"], steps=5)
            page.mouse.up()
            assert handle.is_visible()
            if target.evaluate("(list) => !list.classList.contains('order-out')"):
                assert texts() == [right[0], right[2], right[1]]
        assert texts() == [right[0], right[2]]
        assert seen.errors == []


def test_the_slide_is_read_closely_after_a_try(browser, small_book):
    with visit(browser, f"{small_book}/page.html") as seen:
        quiz = seen.page.locator(".quiz", has_text="find the slide")
        text = quiz.locator(".quiz-closely-text")
        check = quiz.get_by_role("button", name="Check")
        check.press("Enter")
        assert not text.is_visible()
        summary = quiz.locator(".quiz-closely summary")
        summary.press("Enter")  # who does not want to try
        assert text.is_visible()
        summary.press("Enter")
        quiz.locator("input").nth(0).press("Space")
        check.press("Enter")
        assert quiz.locator(".quiz-verdict").inner_text().startswith("Not yet")
        assert text.is_visible()
        assert text.locator(".katex-display").count() == 1


@pytest.mark.parametrize("storage", ["refused", "of another time"])
def test_storage_that_fails_stops_nothing(browser, small_book, storage):
    nonsense = """for (const page of ["page", "recall"])
        for (const [kind, value] of [["predict", '{"guess":"x","truth":{}}'], ["task", "{"],
                ["order", '{"in":[0,0,9],"out":[{}]}']])
            for (const key of ["guess", "choice", "size", "read", "flat", "cut", "step", "chain"])
                localStorage.setItem(`companion/${kind}/${page}/${key}`, value);"""
    with visit(browser, f"{small_book}/page.html") as seen:
        page = seen.page
        page.context.add_init_script(NO_STORAGE if storage == "refused" else nonsense)
        page.reload()
        box = page.locator("[data-predict$='/guess']")
        press(box.locator("input"), "Home")
        box.locator("button").press("Enter")
        assert box.locator(".quiz-verdict").inner_text().startswith("You expected 0; it is 0.123")
        page.locator("[data-order$='/chain'] .order-move").first.press("Enter")
        card = page.locator("fieldset[data-recall] details").nth(0)
        answer(card, "I didn’t")
        assert page.locator(".recall-again").count() == 1
        page.goto(f"{small_book}/recall.html")
        page.get_by_label("all of the book").check()
        assert page.locator(".recall-row:visible").count() == 4
        if storage != "refused":  # the theme's own scripts complain of that
            assert seen.errors == []


def test_without_scripts_all_can_be_read(browser, small_book):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{small_book}/page.html")
    for summary in page.locator(
        "noscript summary, .recall-card summary, .quiz-closely summary"
    ).all():
        summary.click()
    text = page.locator("main").inner_text()
    for answered in (
        "0.123",
        "AlexNet",
        "61,100,000",
        "the prior",
        "loss.backward()",
        "has 16 layers",
    ):
        assert answered in text
    assert page.locator(".recall-back:visible").count() == 3
    lines = page.locator("noscript details .order-text").all_inner_texts()
    assert lines[:2] == ["optimizer.zero_grad()", "loss = squared_error(model, images, labels)"]
    page.goto(f"{small_book}/recall.html")
    assert page.locator(".recall-row:visible").count() == 4
    context.close()


@pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")])
def test_activities_are_accessible(browser, served_book, size, theme):
    with visit(browser, f"{served_book}/page.html", size=size, theme=theme) as seen:
        page = seen.page

        def sound() -> None:
            assert seen.violations() == []
            assert page.evaluate(SMALLEST) == []
            width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert width <= 0, "the page scrolls sideways"

        sound()
        for box in page.locator("fieldset[data-predict]:not([data-when])").all():
            box.locator("input").first.press("Space")
            box.get_by_role("button").press("Enter")
        for card in page.locator("fieldset[data-recall] details").all():
            answer(card, "I didn’t")
        for card in page.locator("fieldset[data-recall] details").all():
            card.locator("summary").press("Enter")
        for box in page.locator("fieldset[data-order]").all():
            box.get_by_role("button", name="Check").press("Enter")
        quiz = page.locator("fieldset[data-quiz]").last
        quiz.locator("input").last.check()
        quiz.get_by_role("button").press("Enter")
        sound()
        page.goto(f"{served_book}/recall.html")
        for card in page.locator(".recall-row:visible details").all():
            card.locator("summary").press("Enter")
        sound()
        assert seen.errors == []
