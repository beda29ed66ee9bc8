"""What the page asks of its reader: how the directives are read, and what they refuse."""

import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from companion.exercises import truth
from companion.site.activities import attributes, key_of
from companion.site.activities.goals import Comparison, holds, parse_goal
from companion.site.activities.order import parse_ordering
from companion.site.activities.predict import Scale, parse_prediction, settle
from companion.site.activities.quiz import parse_question
from companion.site.activities.recall import cards_of, for_anki, parse_cards
from conftest import ROOT
from support.front_end import HOSTILE, Tags

# --- goals -------------------------------------------------------------------------------------


def test_a_goal_is_alternatives_of_comparisons():
    assert parse_goal("p-0 < 0.1 and patch <= 48 or accuracy >= −1e2 and a = b ± 0.5") == [
        [Comparison("p-0", "<", 0.1, 0), Comparison("patch", "≤", 48, 0)],
        [Comparison("accuracy", "≥", -100, 0), Comparison("a", "=", "b", 0.5)],
    ]


@pytest.mark.parametrize(
    "text",
    ["", "patch", "patch <", "patch < 4 and", "1 < patch", "patch << 4", "a < 1e999", "a = 1 ± -1",
     "a < 1 ± 0.1", "patch < 4; alert(1)", "f(x) < 1", "(a < 1)", "a = 1 ± inf"],
)  # fmt: skip
def test_a_goal_that_is_none_is_one_sentence(text):
    with pytest.raises(ValueError, match=r"^(a goal compares quantities|± goes with)") as error:
        parse_goal(text)
    assert "\n" not in str(error.value)


NUMBERS = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 48.0])
SIGNS = {
    "<": lambda a, b, _: a < b,
    ">": lambda a, b, _: a > b,
    "<=": lambda a, b, _: a <= b,
    ">=": lambda a, b, _: a >= b,
    "=": lambda a, b, t: abs(a - b) <= t,
    "!=": lambda a, b, t: abs(a - b) > t,
}


@given(
    choices=st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from(list(SIGNS)), NUMBERS), min_size=1
        ),
        min_size=1,
    ),
    a=NUMBERS,
    b=NUMBERS,
)
def test_a_goal_is_reached_as_python_would_say(choices, a, b):
    text = " or ".join(
        " and ".join(f"{name}{sign}{bound}" for name, sign, bound in choice) for choice in choices
    )
    values = {"a": a, "b": b}
    expected = any(
        all(SIGNS[sign](values[name], bound, 0) for name, sign, bound in choice)
        for choice in choices
    )
    assert holds(parse_goal(text), values) == expected


def test_a_quantity_that_is_not_there_reaches_nothing():
    for text in ("a < 1", "a > 1", "a = 1", "a != 1", "b < a"):
        assert not holds(parse_goal(text), {"b": 0.0})


# --- predictions -------------------------------------------------------------------------------

SCALE = {"scale": "0 to 1 step 0.05"}


def test_a_number_to_predict():
    lines = [
        "How *much*?",
        "",
        "> A quotation.",
        "= helmet ± 0.1 | Close.",
        "> | Too high.",
        "< | Low.",
    ]
    prediction = parse_prediction(lines, {**SCALE, "when": "patch = 48"})
    assert prediction.text == "How *much*?\n\n> A quotation."
    assert prediction.scale == Scale(0, 1, 0.05, False)
    assert (prediction.truth, prediction.tolerance) == ("helmet", 0.1)
    assert (prediction.near, prediction.low, prediction.high) == ("Close.", "Low.", "Too high.")
    assert prediction.when == parse_goal("patch = 48")
    assert settle(prediction, {"helmet": 0.1234}) == (0.1234, "0.123")


def test_a_choice_to_predict():
    lines = ["Which?", "- [ ] A | Large", "  indeed.", "- [ ] B", "= winner"]
    prediction = parse_prediction(lines, {})
    assert [(o.text, o.feedback) for o in prediction.options] == [("A", "Large indeed."), ("B", "")]
    assert settle(prediction, {"winner": "B"}) == (1.0, "B")
    marked = parse_prediction(["Which?", "- [ ] A", "- [x] B"], {})
    assert settle(marked, {}) == (1.0, "B")


@pytest.mark.parametrize(
    ("lines", "options", "complaint"),
    [
        (["= 1"], SCALE, "needs a question"),
        (["How much?"], {}, "options `- [ ] …` or `:scale"),
        (["How much?"], SCALE, "needs one truth"),
        (["How much?", "= 0.5"], {**SCALE, "quantity": "loss"}, "needs one truth"),
        (["How much?", "= 2"], SCALE, "outside the scale"),
        (["How much?", "= 2x"], SCALE, "the truth is a number"),
        (["How much?", "= a ± b"], SCALE, "the tolerance is a number"),
        (["How much?", "= a b"], SCALE, "the truth is `= NAME"),
        (["How much?", "= 1"], {"scale": "1 to 0"}, "goes up"),
        (["How much?", "= 1"], {"scale": "0 to 10 log"}, "goes up"),
        (["How much?", "= 1"], {"scale": "0 to x"}, "an end of a scale is a number"),
        (["How much?", "= 1"], {"scale": "0-1"}, "a scale is"),
        (["How much?", "= 1"], {**SCALE, "when": "now"}, "a goal compares"),
        (["Which?", "- [ ] A"], {}, "at least two options"),
        (["Which?", "- [ ] A", "- [ ] B"], {}, "marks one"),
        (["Which?", "- [x] A", "- [x] B"], {}, "marks one"),
        (["Which?", "- [x] A", "- [ ] B", "= winner"], {}, "marks one"),
        (["Which?", "- [x] A", "- [ ] B"], SCALE, "has no scale"),
        (["Which?", "- [x] A", "- [ ] B", "> | High."], {}, "has no scale"),
    ],
)
def test_a_bad_prediction_is_one_sentence(lines, options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as error:
        parse_prediction(lines, options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({}, "no cell of this page calls truth('helmet'"),
        ({"helmet": "much"}, "is to be a number"),
        ({"helmet": 3.0}, "outside the scale"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(told, complaint):
    prediction = parse_prediction(["How much?", "= helmet"], SCALE)
    with pytest.raises(ValueError, match=re.escape(complaint)):
        settle(prediction, told)


def test_a_truth_is_one_of_the_options():
    prediction = parse_prediction(["Which?", "- [ ] A", "- [ ] B", "= winner"], {})
    for told in ("C", 1.0):
        with pytest.raises(ValueError, match="none of the options"):
            settle(prediction, {"winner": told})


def test_a_cell_tells_the_truth(capsys):
    import torch

    truth("helmet", torch.tensor(0.12345))
    truth("winner", "B")
    assert capsys.readouterr().out == "helmet: 0.1235\nwinner: B\n"
    with pytest.raises(TypeError, match="expects a number or the text of an option, got a list"):
        truth("helmet", [1, 2])
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            truth("helmet", value)


# --- recall cards ------------------------------------------------------------------------------


def test_cards():
    cards = parse_cards(["- What | is | it?", "- Why? | Because", "  of *it*.", ""])
    assert [(card.front, card.back) for card in cards] == [
        ("What", "is | it?"),
        ("Why?", "Because of *it*."),
    ]
    assert cards[0].key != cards[1].key


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "at least one card"),
        (["Some text."], "recall cards are lines"),
        (["- No answer"], "is a line `- question | answer`"),
        (["- No answer | "], "is a line `- question | answer`"),
        (["- A? | 1", "- A? | 2"], "ask the same"),
    ],
)
def test_bad_cards_are_one_sentence(lines, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_cards(lines)


def test_cards_of_a_chapter(tmp_path):
    chapter = tmp_path / "c.md"
    blocks = "```{recall}\n- A? | 1\n```\ntext\n````{recall}\n- B? | `2`\n````\n"
    chapter.write_text(f"---\nx: y\n---\n# The $x$ title\n\n{blocks}")
    title, cards = cards_of(chapter)
    assert title == "The $x$ title"
    assert [card.front for card in cards] == ["A?", "B?"]
    chapter.write_text("# T\n\n```{recall}\n- No answer\n```\n")
    with pytest.raises(ValueError, match=r"c\.md:3: a recall card"):
        cards_of(chapter)


def test_every_card_of_the_book_asks_something_of_its_own():
    book = ROOT / "book"
    fronts = [card.front for path in sorted(book.glob("*.md")) for card in cards_of(path)[1]]
    assert len(fronts) == len(set(fronts))


def test_cards_for_anki():
    assert for_anki("As $a<b$ & `x`, **so** *it* is.") == (
        r"As \(a&lt;b\) &amp; <code>x</code>, <b>so</b> <i>it</i> is."
    )
    assert Tags(for_anki(HOSTILE)).names == set()


# --- lines to order ----------------------------------------------------------------------------


def test_lines_to_order():
    lines = ["Do it.", "", "1. `a`", "2. `    b`", "3. $c$", "- `d` | Not | this.", "- e"]
    ordering = parse_ordering(lines, {"or": "2 1 3, 2 3 1"})
    assert ordering.text == "Do it."
    assert ordering.lines == ("`a`", "`    b`", "$c$", "`d`", "e")
    assert ordering.reasons == ("Not | this.", "")
    assert ordering.orders == ((0, 1, 2), (1, 0, 2), (1, 2, 0))


@given(
    count=st.integers(2, 8),
    extra=st.integers(0, 3),
    task=st.text("abc", min_size=1),
    data=st.data(),
)
def test_lines_are_shown_in_an_order_that_is_wrong_and_always_the_same(count, extra, task, data):
    lines = [
        task,
        *(f"{n + 1}. line {n}" for n in range(count)),
        *(f"- no {n}" for n in range(extra)),
    ]
    others = data.draw(st.lists(st.permutations(range(1, count + 1)), max_size=2))
    options = {"or": ", ".join(" ".join(map(str, order)) for order in others)}
    try:
        ordering = parse_ordering(lines, options)
    except ValueError:  # nearly every order is right: test_bad_lines… has its words
        assume(False)
    assert sorted(ordering.shown) == list(range(count + extra))
    assert tuple(n for n in ordering.shown if n < count) not in ordering.orders
    assert parse_ordering(lines, options) == ordering


@pytest.mark.parametrize(
    ("lines", "options", "complaint"),
    [
        (["1. a", "2. b"], {}, "says first what to do"),
        (["Do it.", "1. a"], {}, "two or more lines"),
        (["Do it.", "1. a", "3. b"], {}, "expected 2"),
        (["Do it.", "1. a", "2. b", "and c"], {}, "a line is"),
        (["Do it.", "1. a", "2. a"], {}, "two lines are the same"),
        (["Do it.", "1. a", "2. b"], {"or": "2 1"}, "nothing to find"),
        (["Do it.", "1. a", "2. b"], {"or": "1 1"}, "once, got '1 1'"),
        (["Do it.", "1. a", "2. b"], {"or": "a b"}, "once, got 'a b'"),
    ],
)
def test_bad_lines_are_one_sentence(lines, options, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_ordering(lines, options)


# --- the slide's error -------------------------------------------------------------------------


def test_a_quiz_with_the_slide_read_closely():
    lines = [
        "> 138 layers",
        "",
        "What is wrong?",
        "- [ ] A",
        "- [x] B | Right.",
        "",
        "---",
        "The box.",
        "",
        "$x$",
    ]
    question = parse_question(lines)
    assert question.text == "> 138 layers\n\nWhat is wrong?"
    assert [(option.text, option.feedback) for option in question.options] == [
        ("A", ""),
        ("B", "Right."),
    ]
    assert (question.closely, question.closely_at) == (("The box.", "", "$x$"), 7)
    with pytest.raises(ValueError, match="needs the box"):
        parse_question(["What?", "- [ ] A", "- [x] B", "---", ""])


# --- what all share ----------------------------------------------------------------------------


def test_an_activity_is_kept_under_its_label_or_its_text():
    assert key_of("My label", "a") == key_of("My label", "b") == "my-label"
    assert key_of(None, "a") == key_of(None, "a") != key_of(None, "b")


@given(st.text())
def test_attributes_hold_any_text(text):
    assume(text and not re.search(r"[\r\x00]", text))
    (seen,) = Tags(f"<br{attributes(data_x=text, other=None)}>").seen
    assert seen == ("br", {"data-x": text})


def test_the_examples_for_lecturers_are_right():
    text = (ROOT / "companion" / "site" / "activities" / "README.md").read_text("utf-8")
    readers = {
        "quiz": lambda lines, options: parse_question(lines),
        "predict": parse_prediction,
        "task": lambda lines, options: parse_goal(options["goal"]),
        "recall": lambda lines, options: parse_cards(lines),
        "order": parse_ordering,
    }
    found = re.findall(r"^    ```\{([a-z]+)\}\n(.*?)^    ```$", text, re.MULTILINE | re.DOTALL)
    for kind, body in found:
        lines = [line.removeprefix("    ") for line in body.splitlines()]
        options = dict(re.findall(r"^:(\w+): (.*)$", "\n".join(lines), re.MULTILINE))
        readers[kind](lines[len(options) :], options)
    assert {kind for kind, _ in found} == set(readers)
