"""The questions as an IMS QTI 2.1 content package: a zip with a manifest, items and tests.

Each question is an item, each chapter a test with a section for each kind. Mathematics is MathML,
with its TeX as an annotation. Right answers, tolerances and feedback are in each item's own
response processing; what a person judges has its answer where only scorers see it.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple
from xml.etree import ElementTree

from companion.site.lms.markup import Markup, mathml, png, png_name
from companion.site.lms.questions import KINDS, Asked, Choice, Number, Open, Ordering

_SCHEMA = "http://www.imsglobal.org/xsd"
_QTI = (
    f'xmlns="{_SCHEMA}/imsqti_v2p1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{_SCHEMA}/imsqti_v2p1 {_SCHEMA}/qti/qtiv2p1/imsqti_v2p1p1.xsd"'
)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same questions give the same bytes
_MARKUP = Markup(mathml, "../images/")


def qti_package(asked: Sequence[Asked], title: str, chapters: dict[str, str]) -> bytes:
    """The package as a zip.

    Args:
        asked: the questions.
        title: of the book.
        chapters: the titles of the pages, by name; each becomes a test.
    """
    files: dict[str, bytes] = {}
    resources: list[str] = []
    for question in asked:
        name = f"items/{question.key}.xml"
        files[name] = _checked(item(question))
        images = [f"images/{png_name(picture)}" for picture in question.pictures]
        files |= {
            image: png(picture) for image, picture in zip(images, question.pictures, strict=True)
        }
        resources.append(_resource(question.key, "imsqti_item_xmlv2p1", [name, *images], ()))
    for page, chapter in chapters.items():
        here = [question for question in asked if question.page == page]
        if here:
            name = f"tests/{page}.xml"
            files[name] = _checked(_test(page, chapter, here))
            keys = [question.key for question in here]
            resources.append(_resource(_test_key(page), "imsqti_test_xmlv2p1", [name], keys))
    files["imsmanifest.xml"] = _checked(_manifest(title, resources))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, data)
    return archive.getvalue()


def _checked(xml: str) -> bytes:
    """As bytes; a character that XML does not know is an error here, not in somebody's import."""
    data = (_HEAD + xml).encode()
    ElementTree.fromstring(data)
    return data


def _manifest(title: str, resources: Iterable[str]) -> str:
    return (
        f'<manifest xmlns="{_SCHEMA}/imscp_v1p1" identifier="{_identifier(title)}">'
        "<metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0</schemaversion></metadata>"
        f"<organizations/><resources>{''.join(resources)}</resources></manifest>"
    )


def _resource(key: str, kind: str, files: Sequence[str], needs: Iterable[str]) -> str:
    inner = "".join(f'<file href="{escape(file)}"/>' for file in files)
    inner += "".join(f'<dependency identifierref="{escape(need)}"/>' for need in needs)
    return (
        f'<resource identifier="{key}" type="{kind}" href="{escape(files[0])}">{inner}</resource>'
    )


def _test_key(page: str) -> str:
    return f"test-{page}"


def _identifier(text: str) -> str:
    """A name that XML takes as an identifier."""
    return "book-" + re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _test(page: str, title: str, asked: Sequence[Asked]) -> str:
    sections = ""
    for kind, name in KINDS.items():
        items = "".join(
            f'<assessmentItemRef identifier="{question.key}" href="../items/{question.key}.xml"/>'
            for question in asked
            if question.kind == kind
        )
        if items:
            sections += (
                f'<assessmentSection identifier="{kind}" title="{name}" visible="true">'
                f"{items}</assessmentSection>"
            )
    return (
        f'<assessmentTest {_QTI} identifier="{_test_key(page)}" title="{escape(title)}">'
        '<outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float"/>'
        '<testPart identifier="chapter" navigationMode="nonlinear" submissionMode="individual">'
        # The standard's own defaults are one attempt, and no feedback after it.
        '<itemSessionControl maxAttempts="0" showFeedback="true"/>'
        f"{sections}</testPart><outcomeProcessing>"
        f"{_set('SCORE', _TOTAL)}"
        "</outcomeProcessing></assessmentTest>"
    )


# Items ------------------------------------------------------------------------------------------

_RESPONSE = '<variable identifier="RESPONSE"/>'


class _Parts(NamedTuple):
    """What an item of one kind consists of, as XML; `feedback` by the name that shows it."""

    response: str
    interaction: str
    processing: str
    feedback: dict[str, str]


def item(asked: Asked) -> str:
    """The item of one question, without the XML declaration."""
    parts = _parts(asked)
    after = _MARKUP.block(asked.answer if isinstance(asked, Open) else asked.after)
    feedback = [("FEEDBACK", name, html) for name, html in parts.feedback.items() if html]
    feedback += [("AFTER", "read", after)] if after else []
    shown = "".join(
        f'<modalFeedback outcomeIdentifier="{outcome}" identifier="{name}" showHide="show">'
        f"{html}</modalFeedback>"
        for outcome, name, html in feedback
    )
    return (
        f'<assessmentItem {_QTI} identifier="{asked.key}" title="{escape(asked.title)}" '
        'adaptive="false" timeDependent="false">'
        f"{parts.response}"
        '<outcomeDeclaration identifier="SCORE" cardinality="single" baseType="float">'
        "<defaultValue><value>0</value></defaultValue></outcomeDeclaration>"
        '<outcomeDeclaration identifier="FEEDBACK" cardinality="multiple" baseType="identifier"/>'
        '<outcomeDeclaration identifier="AFTER" cardinality="single" baseType="identifier"/>'
        f"<itemBody>{_MARKUP.question(asked)}{parts.interaction}</itemBody>"
        f"<responseProcessing>{parts.processing}{_set('AFTER', _name('read'))}"
        f"</responseProcessing>{shown}</assessmentItem>"
    )


def _parts(asked: Asked) -> _Parts:
    if isinstance(asked, Choice):
        return _choice(asked)
    if isinstance(asked, Number):
        return _number(asked)
    if isinstance(asked, Ordering):
        return _ordering(asked)
    assert isinstance(asked, Open)
    return _open(asked)


def _choice(asked: Choice) -> _Parts:
    names = [chr(ord("A") + place) for place in range(len(asked.options))]
    right = [names[place] for place in asked.right]
    single = len(right) == 1
    options = "".join(
        f'<simpleChoice identifier="{name}">{_MARKUP.line(option.text)}</simpleChoice>'
        for name, option in zip(names, asked.options, strict=True)
    )
    return _Parts(
        _declared("single" if single else "multiple", "identifier", right),
        f'<choiceInteraction responseIdentifier="RESPONSE" shuffle="false" '
        f'maxChoices="{int(single)}">{options}</choiceInteraction>',
        _when((f'<match>{_RESPONSE}<correct identifier="RESPONSE"/></match>', _SCORE))
        + _set("FEEDBACK", f"<multiple>{_RESPONSE}</multiple>"),
        {
            name: _MARKUP.block(option.feedback)
            for name, option in zip(names, asked.options, strict=True)
        },
    )


def _number(asked: Number) -> _Parts:
    def near(value: float) -> str:
        slack = asked.tolerance or 1e-9 * abs(value)
        return (
            f'<equal toleranceMode="absolute" tolerance="{slack:.15g} {slack:.15g}">'
            f"{_RESPONSE}{_float(value)}</equal>"
        )

    value = asked.rounded
    cases = [(near(value), _SCORE + _tell("right"))]
    feedback = {"right": asked.feedback, "low": asked.low, "high": asked.high}
    for number, (wrong, hint) in enumerate(asked.mistakes, start=1):
        cases.append((near(wrong), _tell(f"mistake-{number}")))
        feedback[f"mistake-{number}"] = hint
    if asked.low:
        cases.append((f"<lt>{_RESPONSE}{_float(value)}</lt>", _tell("low")))
    if asked.high:
        cases.append((f"<gt>{_RESPONSE}{_float(value)}</gt>", _tell("high")))
    return _Parts(
        _declared("single", "float", [f"{value:.15g}"]),
        '<p><textEntryInteraction responseIdentifier="RESPONSE" expectedLength="12"/></p>',
        _when(*cases),
        {name: _MARKUP.block(text) for name, text in feedback.items()},
    )


def _ordering(asked: Ordering) -> _Parts:
    count = len(asked.orders[0])

    def name(line: int) -> str:
        return f"line-{line + 1}"

    lines = "".join(
        f'<simpleChoice identifier="{name(line)}">{_MARKUP.line(asked.lines[line])}</simpleChoice>'
        for line in asked.shown
    )
    # Where lines are to be left out, so many are to be chosen as belong.
    some = f' minChoices="{count}" maxChoices="{count}"' if asked.reasons else ""
    orders = ("".join(_name(name(line)) for line in order) for order in asked.orders)
    right = [f"<match>{_RESPONSE}<ordered>{order}</ordered></match>" for order in orders]
    processing = _when((right[0] if len(right) == 1 else f"<or>{''.join(right)}</or>", _SCORE))
    feedback = {}
    for line, reason in enumerate(asked.reasons, start=count):
        feedback[name(line)] = _MARKUP.block(reason)
        chosen = f"<member>{_name(name(line))}{_RESPONSE}</member>"
        processing += _when((chosen, _tell(name(line))))
    return _Parts(
        _declared("ordered", "identifier", map(name, asked.orders[0])),
        f'<orderInteraction responseIdentifier="RESPONSE" shuffle="false"{some}>{lines}'
        "</orderInteraction>",
        processing,
        feedback,
    )


def _open(asked: Open) -> _Parts:
    lines = 10 if asked.kind == "exercise" else 4
    answer = _MARKUP.block(asked.answer)
    rubric = f'<rubricBlock view="scorer">{answer}</rubricBlock>' if answer else ""
    form = ' format="preformatted"' if asked.code else ""
    return _Parts(
        _declared("single", "string", ()),
        f'{rubric}<extendedTextInteraction responseIdentifier="RESPONSE" '
        f'expectedLines="{lines}"{form}/>',
        "",
        {},
    )


def _declared(cardinality: str, base_type: str, right: Iterable[str]) -> str:
    values = "".join(f"<value>{escape(value)}</value>" for value in right)
    correct = f"<correctResponse>{values}</correctResponse>" if values else ""
    return (
        f'<responseDeclaration identifier="RESPONSE" cardinality="{cardinality}" '
        f'baseType="{base_type}">{correct}</responseDeclaration>'
    )


def _set(outcome: str, value: str) -> str:
    return f'<setOutcomeValue identifier="{outcome}">{value}</setOutcomeValue>'


def _float(value: float) -> str:
    return f'<baseValue baseType="float">{value:.15g}</baseValue>'


def _name(name: str) -> str:
    return f'<baseValue baseType="identifier">{name}</baseValue>'


_SCORE = _set("SCORE", _float(1))
_TOTAL = '<sum><testVariables variableIdentifier="SCORE"/></sum>'


def _tell(name: str) -> str:
    """Show the feedback of this name beside what is shown already."""
    return _set("FEEDBACK", f'<multiple><variable identifier="FEEDBACK"/>{_name(name)}</multiple>')


def _when(*cases: tuple[str, str]) -> str:
    """What to do in the first case that holds."""
    (first, then), *others = cases
    more = "".join(f"<responseElseIf>{condition}{do}</responseElseIf>" for condition, do in others)
    return f"<responseCondition><responseIf>{first}{then}</responseIf>{more}</responseCondition>"
