"""The questions as Moodle XML, which Moodle's question bank imports.

Choices become `multichoice`, numbers `numerical`, lines to order `matching` (each line gets its
place; lines that may change places share "1 or 2"; those that do not belong get "does not
belong"), which every Moodle has, everything else `essay`.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from companion.site.lms.markup import Markup, png, png_name, tex_for_mathjax
from companion.site.lms.questions import KINDS, Asked, Choice, Number, Open, Ordering, Picture

_OUT = "does not belong"
_PLACES = "Give each line its place. “1 or 2” is the place of a line that may stand in either."


def moodle_xml(asked: Sequence[Asked], title: str, chapters: dict[str, str]) -> bytes:
    """The whole file: a category for each chapter and kind, with its questions.

    Args:
        asked: the questions.
        title: of the book, the category above all.
        chapters: the titles of the pages, by name.
    """
    quiz = Element("quiz")
    for page, chapter in chapters.items():
        for kind, name in KINDS.items():
            here = [
                question for question in asked if (question.page, question.kind) == (page, kind)
            ]
            if here:
                path = "/".join(part.replace("/", "//") for part in (title, chapter, name))
                category = SubElement(SubElement(quiz, "question", type="category"), "category")
                SubElement(category, "text").text = f"$course$/top/{path}"
            for question in here:
                quiz.append(_question(question))
    ElementTree.indent(quiz)
    xml: bytes = ElementTree.tostring(quiz, "utf-8", xml_declaration=True)
    ElementTree.fromstring(xml)  # a character that XML does not know is an error here
    return xml


_MARKUP = Markup(tex_for_mathjax, "@@PLUGINFILE@@/")


def _question(asked: Asked) -> Element:
    element = Element("question", type=_TYPES[type(asked)])
    plain = re.sub(r"[$`*>]", "", asked.text)  # a name is no HTML
    short = f"{asked.title}: {' '.join(plain.split())}"
    _text(element, "name", short if len(short) <= 80 else f"{short[:79]}…")
    text = _MARKUP.question(asked)
    if isinstance(asked, Ordering):
        text += f"\n<p>{_PLACES}</p>"
    body = _html(element, "questiontext", text)
    for picture in asked.pictures:
        _file(body, picture)
    after = asked.after
    if isinstance(asked, Open):
        after = asked.answer
    if isinstance(asked, Ordering):
        after = "\n".join(f"{n}. {line}" for n, line in enumerate(_right(asked), start=1))
    _html(element, "generalfeedback", _MARKUP.block(after))
    SubElement(element, "defaultgrade").text = "0" if asked.kind == "recall" else "1"
    SubElement(element, "penalty").text = "0.3333333"
    SubElement(element, "hidden").text = "0"
    SubElement(element, "idnumber").text = asked.key
    if isinstance(asked, Choice):
        _choice(element, asked)
    elif isinstance(asked, Number):
        _number(element, asked)
    elif isinstance(asked, Ordering):
        _ordering(element, asked)
    elif isinstance(asked, Open):
        _open(element, asked)
    return element


_TYPES = {Choice: "multichoice", Number: "numerical", Ordering: "matching", Open: "essay"}


def _choice(element: Element, asked: Choice) -> None:
    several = len(asked.right) > 1
    SubElement(element, "single").text = str(not several).lower()
    SubElement(element, "shuffleanswers").text = "false"  # pictures and feedback name places
    SubElement(element, "answernumbering").text = "abc"
    # Ticking all boxes must not score: wrong ones take away what right ones give.
    wrong = len(asked.options) - len(asked.right)
    gain = f"{100 / len(asked.right):.7g}"
    loss = f"-{100 / wrong:.7g}" if several and wrong else "0"
    for option in asked.options:
        answer = SubElement(element, "answer", fraction=gain if option.right else loss)
        answer.set("format", "html")
        SubElement(answer, "text").text = _MARKUP.line(option.text)
        _html(answer, "feedback", _MARKUP.block(option.feedback))


def _number(element: Element, asked: Number) -> None:
    value = asked.rounded
    _answer(element, 100, value, asked.tolerance, asked.feedback)
    for wrong, hint in asked.mistakes:
        _answer(element, 0, wrong, asked.tolerance, hint)
    # Moodle takes the first answer that fits: what is left on either side of the right ones.
    low, high = asked.scale or (value, value)
    if asked.high and high > value:
        _answer(element, 0, (high + value) / 2, (high - value) / 2, asked.high)
    if asked.low and low < value:
        _answer(element, 0, (value + low) / 2, (value - low) / 2, asked.low)


def _answer(element: Element, fraction: int, value: float, tolerance: float, text: str) -> None:
    answer = SubElement(element, "answer", fraction=str(fraction), format="moodle_auto_format")
    SubElement(answer, "text").text = f"{value:.15g}"
    _html(answer, "feedback", _MARKUP.block(text))
    SubElement(answer, "tolerance").text = f"{tolerance:.15g}"


def _right(asked: Ordering) -> list[str]:
    return [asked.lines[line] for line in asked.orders[0]]


def _ordering(element: Element, asked: Ordering) -> None:
    SubElement(element, "shuffleanswers").text = "true"
    for line in asked.shown:
        part = SubElement(element, "subquestion", format="html")
        SubElement(part, "text").text = _MARKUP.line(asked.lines[line])
        answer = SubElement(part, "answer")
        belongs = line < len(asked.places)
        places = " or ".join(map(str, asked.places[line])) if belongs else _OUT
        SubElement(answer, "text").text = places
    reasons = zip(asked.lines[len(asked.places) :], asked.reasons, strict=True)
    left_out = "\n\n".join(f"{line}: {reason}" for line, reason in reasons)
    for name in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        _html(element, name, _MARKUP.block(left_out))


def _open(element: Element, asked: Open) -> None:
    SubElement(element, "responseformat").text = "monospaced" if asked.code else "editor"
    SubElement(element, "responserequired").text = "0"
    SubElement(element, "responsefieldlines").text = "10" if asked.kind == "exercise" else "5"
    SubElement(element, "attachments").text = "0"
    _html(element, "graderinfo", _MARKUP.block(asked.answer))
    _html(element, "responsetemplate", "")


def _text(element: Element, name: str, text: str) -> None:
    SubElement(SubElement(element, name), "text").text = text


def _html(element: Element, name: str, html: str) -> Element:
    part = SubElement(element, name, format="html")
    SubElement(part, "text").text = html
    return part


def _file(element: Element, picture: Picture) -> None:
    file = SubElement(element, "file", name=png_name(picture), path="/", encoding="base64")
    file.text = b64encode(png(picture)).decode()
