"""The questions for other systems: all of them, with the page's own answers, read by others' code.

moodle_xml_parser and onyx2moodle are programs of others that read Moodle XML and QTI 2.1.
"""

import io
import itertools
import re
import zipfile
from base64 import b64decode, b64encode
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import moodle_xml_parser.parser
import pytest
import yaml
from onyx2moodle.parser import parse_item
from PIL import Image

from companion.site.activities.quiz import Option
from companion.site.lms import KINDS, __main__, collect
from companion.site.lms.moodle import moodle_xml
from companion.site.lms.qti import item, qti_package
from companion.site.lms.questions import Choice, Number, Open, Ordering, Picture, titles
from conftest import ROOT
from support.front_end import HOSTILE
from support.small_book import CHAPTER

BOOK = ROOT / "book"
QTI = "{http://www.imsglobal.org/xsd/imsqti_v2p1}"
IMSCP = "{http://www.imsglobal.org/xsd/imscp_v1p1}"
NAMED = {"12-vae": "The variational autoencoder"}
HERE = {"page": "12-vae", "kind": "quiz", "title": "Question 1"}

ASKED = r"""
```{predict}
:label: guess
:scale: 0 to 100 step 1
:unit: %
How many?
= told ± 5 | Close.
< | More.
> | Fewer.
```

```{quiz}
:label: one
:picture: above
Is $a < b$?
- [ ] No. | Look at $\frac{1}{2}$.
- [x] Yes. | Right.

---
The slide says **otherwise**.
```

```{quiz}
:label: some
Which?
- [x] A
- [ ] B | Not that.
- [x] C
- [ ] D
```

```{quiz}
:label: number
How much?
= -0.8 ± 0.001 | Right.
≠ 0.8 | Mind the sign.
```

```{order}
:label: lines
:or: 2 1 3
Put in order.
1. `a = 1`
2. `b = 2`
3. `c = a + b`
- `c = a - b` | That is a difference.
```

```{recall}
- What is $x$? | It is $y$.
```

```{exercise-start} Write it
:label: write
```
Write `f(x)`, the square.

```{code-cell} ipython3
f = ...
```
```{exercise-end}
```

```{solution-start} write
:class: dropdown
```
Multiply.

```{code-cell} ipython3
f = lambda x: x * x
```
```{solution-end}
```
"""


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), 200).save(file, "WEBP", lossless=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list:
    """The questions of a small book, with the page that it would be built to."""
    folder = tmp_path_factory.mktemp("lms")
    (folder / "book").mkdir()
    (folder / "html").mkdir()
    (folder / "book" / "01-page.md").write_text(CHAPTER.replace("CONTENT", ASKED))
    (folder / "book" / "references.bib").write_text("")
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    (folder / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    image = b64encode(picture()).decode()
    (folder / "html" / "01-page.html").write_text(
        '<fieldset data-predict="predict/01-page/guess" data-truth="42.0">\n'
        '<figure class="companion-picture" aria-label="Grey.">'
        f'<span>row 1</span><img src="data:image/webp;base64,{image}" alt=""></figure>'
        '<div id="one"></div>'
    )
    return collect(folder / "book", folder / "html")


def test_each_directive_becomes_a_question_of_its_kind(small):
    by_key = {question.key: question for question in small}
    kinds = [(type(question), question.kind) for question in small]
    assert kinds == [
        (Number, "predict"), (Choice, "quiz"), (Choice, "quiz"), (Number, "quiz"),
        (Ordering, "order"), (Open, "recall"), (Open, "exercise"),
    ]  # fmt: skip
    guess, one, number = by_key["guess"], by_key["one"], by_key["number"]
    assert (guess.value, guess.tolerance, guess.low, guess.high) == (42, 5, "More.", "Fewer.")
    assert "from 0 to 100 %" in guess.text
    assert one.right == (1,)
    assert "The slide says **otherwise**." in one.after
    assert [(p.row, p.alt, p.data) for p in one.pictures] == [("row 1", "Grey.", picture())]
    assert number.mistakes == ((0.8, "Mind the sign."),)
    assert by_key["write"].answer == "Multiply.\n\n```python\nf = lambda x: x * x\n```"
    assert "f = ..." in by_key["write"].text
    assert "Multiply" not in by_key["write"].text


def test_without_the_built_page_what_it_computes_is_left_out(small, tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01-page.md").write_text(CHAPTER.replace("CONTENT", ASKED))
    (tmp_path / "book" / "references.bib").write_text("")
    for name in ("_config.yml", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    keys = [question.key for question in collect(tmp_path / "book")]
    assert keys == [question.key for question in small if question.key != "guess"]


def test_a_prediction_can_be_kept_in_the_book(tmp_path):
    (tmp_path / "book").mkdir()
    kept = ASKED.replace(":label: guess", ":label: guess\n:export: no").replace("told", "42")
    for name in ("_config.yml", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "book" / "references.bib").write_text("")
    page = tmp_path / "book" / "01-page.md"
    page.write_text(CHAPTER.replace("CONTENT", kept))
    assert "guess" not in [question.key for question in collect(tmp_path / "book")]
    assert "guess" in titles(tmp_path / "book")["01-page"]  # it is asked there all the same
    page.write_text(CHAPTER.replace("CONTENT", kept.replace("export: no", "export: never")))
    with pytest.raises(ValueError, match="`yes` or `no`, got 'never'"):
        collect(tmp_path / "book")


@pytest.mark.parametrize(
    ("value", "tolerance", "rounded"),
    [
        (0.777786430631895, 0.1, 0.778),
        (6848.17129937156, 4000, 6850),
        (110592, 0, 110592),
        (0.00694, 0.0001, 0.00694),
        (8.3, 0.4, 8.3),
        (0, 1e-6, 0),
    ],
)
def test_an_answer_is_told_in_no_more_digits_than_it_needs(value, tolerance, rounded):
    number = Number(key="k", text="?", value=value, tolerance=tolerance, **HERE)
    assert number.rounded == rounded
    assert abs(number.rounded - value) <= tolerance / 100


def test_moodle_gets_answers_tolerances_feedback_and_pictures(small):
    root = ElementTree.fromstring(moodle_xml(small, "A / B", {"01-page": "Chapter"}))
    found = {q.findtext("idnumber"): q for q in root if q.get("type") != "category"}
    assert {key: q.get("type") for key, q in found.items()} == {
        "guess": "numerical", "one": "multichoice", "some": "multichoice", "number": "numerical",
        "lines": "matching", "write": "essay",
        next(key for key in found if key.startswith("card-")): "essay",
    }  # fmt: skip
    categories = [q.findtext("category/text") for q in root if q.get("type") == "category"]
    assert categories[0] == "$course$/top/A // B/Chapter/Quiz"
    one = found["one"]
    assert r"Is \(a &lt; b\)?" in one.findtext("questiontext/text")
    file = one.find("questiontext/file")
    assert f"@@PLUGINFILE@@/{file.get('name')}" in one.findtext("questiontext/text")
    image = Image.open(io.BytesIO(b64decode(file.text)))
    assert (image.format, image.width >= 400, image.convert("L").getpixel((0, 0))) == (
        "PNG", True, 200,
    )  # fmt: skip
    assert r"\(\frac{1}{2}\)" in one.findall("answer")[0].findtext("feedback/text")
    assert [a.get("fraction") for a in found["some"].findall("answer")] == [
        "50",
        "-50",
        "50",
        "-50",
    ]
    number = found["number"].findall("answer")
    assert [(a.get("fraction"), a.findtext("text"), a.findtext("tolerance")) for a in number] == [
        ("100", "-0.8", "0.001"), ("0", "0.8", "0.001"),
    ]  # fmt: skip
    places = {
        p.findtext("text"): p.findtext("answer/text") for p in found["lines"].findall("subquestion")
    }
    assert places == {
        "<code>a = 1</code>": "1 or 2", "<code>b = 2</code>": "1 or 2",
        "<code>c = a + b</code>": "3", "<code>c = a - b</code>": "does not belong",
    }  # fmt: skip
    assert "lambda x" in found["write"].findtext("graderinfo/text")


def moodle_verdict(question: ElementTree.Element, answer: float) -> tuple[float, str]:
    """Moodle's own rule: the first answer of which the response is within the tolerance."""
    for each in question.findall("answer"):
        slack = float(each.findtext("tolerance")) + 1e-9
        if abs(answer - float(each.findtext("text"))) <= slack:
            return float(each.get("fraction")), each.findtext("feedback/text")
    return 0.0, ""


@pytest.mark.parametrize(
    ("answer", "fraction", "feedback"),
    [
        (42, 100, "Close."),
        (47, 100, "Close."),
        (48, 0, "Fewer."),
        (100, 0, "Fewer."),
        (0, 0, "More."),
    ],
)
def test_a_guess_is_told_on_which_side_it_lies(small, answer, fraction, feedback):
    root = ElementTree.fromstring(moodle_xml(small, "A", {"01-page": "Chapter"}))
    question = next(q for q in root if q.findtext("idnumber") == "guess")
    got = moodle_verdict(question, answer)
    assert got == (fraction, f"<p>{feedback}</p>")


@pytest.mark.slow
def test_places_say_neither_more_nor_less_than_the_right_orders():
    """Whoever gives each line a place that it may have, and no place twice, has a right order."""
    for question in collect(BOOK):
        if isinstance(question, Ordering):
            count = len(question.orders[0])
            allowed = {
                order
                for order in itertools.permutations(range(count))
                if all(order.index(line) + 1 in question.places[line] for line in range(count))
            }
            assert allowed == set(question.orders), question.key


# --- QTI ----------------------------------------------------------------------------------------


class Machine:
    """Runs an item's response processing, as the specification says (the part that we use)."""

    def __init__(self, item: ElementTree.Element) -> None:
        self.item = item
        declared = item.find(f"{QTI}responseDeclaration")
        self.kind = declared.get("cardinality")
        values = [v.text for v in declared.iter(f"{QTI}value")]
        self.correct = values if self.kind in ("ordered", "multiple") else (values or [None])[0]

    def run(self, response) -> dict:
        self.values = {"RESPONSE": response, "SCORE": 0.0, "FEEDBACK": [], "AFTER": None}
        for rule in self.item.find(f"{QTI}responseProcessing"):
            self._rule(rule)
        return self.values

    def _rule(self, rule: ElementTree.Element) -> None:
        if rule.tag == f"{QTI}setOutcomeValue":
            self.values[rule.get("identifier")] = self._value(rule[0])
            return
        assert rule.tag == f"{QTI}responseCondition"
        for branch in rule:
            if self._value(branch[0]):
                for inner in branch[1:]:
                    self._rule(inner)
                return

    def _value(self, node: ElementTree.Element):
        name = node.tag.removeprefix(QTI)
        parts = [self._value(part) for part in node]
        match name:
            case "variable":
                return self.values[node.get("identifier")]
            case "correct":
                return self.correct
            case "baseValue":
                return float(node.text) if node.get("baseType") == "float" else node.text
            case "match":
                left, right = parts
                return sorted(left) == sorted(right) if self.kind == "multiple" else left == right
            case "multiple":
                return [v for part in parts for v in (part if isinstance(part, list) else [part])]
            case "ordered":
                return parts
            case "member":
                return parts[0] in parts[1]
            case "or":
                return any(parts)
            case "equal":
                low, high = map(float, node.get("tolerance").split())
                return parts[1] - low - 1e-12 <= parts[0] <= parts[1] + high + 1e-12
            case "lt":
                return parts[0] < parts[1]
            case "gt":
                return parts[0] > parts[1]
        raise AssertionError(name)


def read_qti(question) -> ElementTree.Element:
    return ElementTree.fromstring(item(question))


def test_qti_scores_and_answers_as_the_page_does(small):
    by_key = {question.key: question for question in small}
    some = Machine(read_qti(by_key["some"]))
    assert some.run(["A", "C"])["SCORE"] == 1
    assert some.run(["A"])["SCORE"] == 0
    assert some.run(["A", "B", "C"]) | {"RESPONSE": 0} == {
        "RESPONSE": 0, "SCORE": 0.0, "FEEDBACK": ["A", "B", "C"], "AFTER": "read",
    }  # fmt: skip
    number = Machine(read_qti(by_key["number"]))
    told = [number.run(value) for value in (-0.8, -0.8009, 0.8, 0.5)]
    assert [(t["SCORE"], t["FEEDBACK"]) for t in told] == [
        (1, ["right"]), (1, ["right"]), (0, ["mistake-1"]), (0, []),
    ]  # fmt: skip
    guess = Machine(read_qti(by_key["guess"]))
    assert [guess.run(v)["FEEDBACK"] for v in (42.0, 10.0, 90.0)] == [["right"], ["low"], ["high"]]
    lines = Machine(read_qti(by_key["lines"]))
    assert lines.run(["line-2", "line-1", "line-3"])["SCORE"] == 1
    wrong = lines.run(["line-1", "line-2", "line-4"])
    assert (wrong["SCORE"], wrong["FEEDBACK"]) == (0, ["line-4"])


def test_every_feedback_of_an_item_is_shown_by_a_name_that_can_come(small):
    for question in small:
        root = read_qti(question)
        names = {f.get("identifier") for f in root.iter(f"{QTI}modalFeedback")}
        told = {v.text for v in root.iter(f"{QTI}baseValue")}
        choices = {c.get("identifier") for c in root.iter(f"{QTI}simpleChoice")}
        assert names <= told | choices


def test_others_read_an_item_alike(small, tmp_path):
    for question in small:
        path = tmp_path / f"{question.key}.xml"
        path.write_text(item(question), "utf-8")
        read = parse_item(path)
        assert read.identifier == question.key
        kinds = {Choice: "choice", Number: "textEntry", Open: "extendedText"}
        if type(question) in kinds:  # it does not know orderings
            (interaction,) = read.interactions
            assert interaction.kind == kinds[type(question)]
        if isinstance(question, Choice):
            right = [interaction.choices["ABCD".index(v)].html for v in
                     read.response_decls["RESPONSE"].correct_values]  # fmt: skip
            assert len(right) == len(question.right)
            assert all(question.options[n].text in html for n, html in
                       zip(question.right, right, strict=True))  # fmt: skip


def check_package(data: bytes) -> dict[str, ElementTree.Element]:
    """What the specification asks of a package; its XML files by name."""
    package = zipfile.ZipFile(io.BytesIO(data))
    assert package.testzip() is None
    names = package.namelist()
    xml = {n: ElementTree.fromstring(package.read(n)) for n in names if n.endswith(".xml")}
    manifest = xml["imsmanifest.xml"]
    resources = list(manifest.iter(f"{IMSCP}resource"))
    listed = [f.get("href") for r in resources for f in r.iter(f"{IMSCP}file")]
    assert set(listed) == set(names) - {"imsmanifest.xml"}
    keys = [r.get("identifier") for r in resources]
    assert len(set(keys)) == len(keys)
    needed = {d.get("identifierref") for r in resources for d in r.iter(f"{IMSCP}dependency")}
    assert needed <= set(keys)
    for resource in resources:
        root = xml[resource.get("href")]
        tag = {"imsqti_item_xmlv2p1": "assessmentItem", "imsqti_test_xmlv2p1": "assessmentTest"}
        assert root.tag == QTI + tag[resource.get("type")]
        assert root.get("identifier") == resource.get("identifier")
        assert re.fullmatch(r"[A-Za-z_][\w.-]*", root.get("identifier"))
        for image in root.iter(f"{QTI}img"):
            assert image.get("src").removeprefix("../") in names
        for reference in root.iter(f"{QTI}assessmentItemRef"):
            assert reference.get("href").removeprefix("../") in names
        order = [child.tag.removeprefix(QTI) for child in root]
        wanted = ["responseDeclaration", "outcomeDeclaration", "itemBody", "responseProcessing",
                  "modalFeedback", "testPart", "outcomeProcessing"]  # fmt: skip
        assert order == sorted(order, key=wanted.index)
    return xml


def test_the_package_is_complete(small):
    xml = check_package(qti_package(small, "A book", {"01-page": "Chapter"}))
    control = xml["tests/01-page.xml"].find(f"{QTI}testPart/{QTI}itemSessionControl")
    # Left out, they are one attempt and no feedback.
    assert control.attrib == {"maxAttempts": "0", "showFeedback": "true"}
    assert qti_package(small, "A book", {}) == qti_package(small, "A book", {})


# --- hostile texts --------------------------------------------------------------------------------

WILD = f"{HOSTILE} ]]> <!-- & \"quotes\" 'single' \u202e mirrored 𝔘 \\( x \\) {{{{ }}}}"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.words = set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def wild() -> list:
    image = Picture("a.webp", picture(), WILD, WILD)
    options = (Option(WILD, WILD, True), Option("no", WILD, False))
    return [
        Choice(key="a", text=WILD, after=WILD, options=options, pictures=(image,),
               table=((WILD,),), **HERE),
        Number(key="b", text=WILD, value=1, feedback=WILD, mistakes=((2, WILD),), **HERE),
        Ordering(key="c", text=WILD, lines=(WILD, "x", f"`{WILD}`"), reasons=(WILD,),
                 orders=((0, 1),), shown=(1, 2, 0), **HERE),
        Open(key="d", text=WILD, answer=f"```python\n{WILD}\n```", **HERE),
    ]  # fmt: skip


def test_hostile_texts_stay_texts(wild):
    root = ElementTree.fromstring(moodle_xml(wild, WILD, {"12-vae": WILD}))
    for part in root.iter():
        if part.get("format") == "html":  # names and places are plain text, which Moodle escapes
            assert not Tags(part.findtext("text") or "").tags & {"script", "b", "iframe"}
    choice = next(q for q in root if q.findtext("idnumber") == "a")
    read = Tags(choice.findtext("questiontext/text"))
    assert "</script><img src=x onerror=" in read.words
    xml = check_package(qti_package(wild, WILD, {"12-vae": WILD}))
    for name, item_root in xml.items():
        if name.startswith("items"):
            assert "</script><img src=x onerror=" in "".join(item_root.itertext())
            assert not list(item_root.iter(f"{QTI}script"))


def test_a_character_that_xml_does_not_know_is_an_error_here(wild):
    broken = [Open(key="e", text="a \x08 b", **HERE)]
    with pytest.raises(ElementTree.ParseError):
        moodle_xml(broken, "A", NAMED)
    with pytest.raises(ElementTree.ParseError):
        qti_package(broken, "A", NAMED)


# --- the book's own -------------------------------------------------------------------------------


def raw_counts() -> dict[str, int]:
    """What is to be exported, counted in the chapters' text by nothing but first lines."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(BOOK.glob("[0-9]*.md")))
    cards = re.findall(r"^```\{recall\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    kept = len(re.findall(r"^:(?:quantity:|export: no$)", text, re.MULTILINE))
    return {
        "quiz": len(re.findall(r"^```\{quiz\}$", text, re.MULTILINE)),
        "predict": len(re.findall(r"^```\{predict\}$", text, re.MULTILINE)) - kept,
        "order": len(re.findall(r"^```\{order\}$", text, re.MULTILINE)),
        "exercise": len(re.findall(r"^```\{solution-start\}", text, re.MULTILINE)),
        "recall": sum(len(re.findall(r"^- ", block, re.MULTILINE)) for block in cards),
    }


POINTS_AT_THE_PAGE = re.compile(
    r"\b(?:as|table|picture|plot|widget|images?|cells?|figures?|example) (?:above|below)\b"
    r"|\b(?:Above|Below)\b|\bthis machine\b|\bthe last exercise\b|\bthe slider\b"
)


def test_no_question_points_at_a_page_that_it_leaves():
    for question in collect(BOOK):
        found = POINTS_AT_THE_PAGE.search(question.text)
        assert not found, f"{question.page}, {question.key}: {found and found[0]!r}"


def test_what_is_asked_is_what_the_chapters_ask():
    found = titles(BOOK)
    kinds = [title.kind for page in found.values() for title in page.values()]
    counts = {kind: kinds.count(kind) for kind in KINDS}
    raw = raw_counts()
    text = "\n".join(path.read_text("utf-8") for path in BOOK.glob("[0-9]*.md"))
    raw["predict"] = len(re.findall(r"^```\{predict\}$", text, re.MULTILINE))
    raw["exercise"] = len(re.findall(r"^```\{exercise-start\}", text, re.MULTILINE))
    assert counts == raw


class Page(HTMLParser):
    """What a built page takes for right: option values of quizzes, numbers, predictions."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.right: dict[str, list[int]] = {}
        self.numbers: dict[str, tuple[float, float]] = {}
        self.truths: dict[str, float] = {}
        self.orders: dict[str, str] = {}
        self._key = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        kinds = (values.get("class") or "").split()
        if tag == "div" and "quiz" in kinds and values.get("id"):
            self._key = values["id"]
        if tag == "input" and values.get("data-right") == "true":
            self.right.setdefault(self._key, []).append(int(values["value"]))
        if tag == "input" and "data-value" in values:
            self.numbers[self._key] = float(values["data-value"]), float(values["data-tolerance"])
        if tag == "fieldset" and values.get("data-truth"):
            key = values["data-predict"].rpartition("/")[2]
            self.truths[key] = float(values["data-truth"])
        if tag == "fieldset" and "data-orders" in values:
            self.orders[self._key] = values["data-orders"]


@pytest.mark.browser  # no browser, but the built book
def test_the_built_files_hold_every_question_with_the_page_s_own_answers(site: Path):
    moodle = (site / "questions" / "moodle.xml").read_bytes()
    package = check_package((site / "questions" / "qti21.zip").read_bytes())
    root = ElementTree.fromstring(moodle)
    found = {q.findtext("idnumber"): q for q in root if q.get("type") != "category"}
    assert len(found) == sum(raw_counts().values())
    items = {name[6:-4]: xml for name, xml in package.items() if name.startswith("items/")}
    assert set(items) == set(found)
    read = moodle_xml_parser.parser.parse_bytes(moodle)["multichoice"]
    choices = [q for q in found.values() if q.get("type") == "multichoice"]
    assert len(read) == len(choices)
    for question, theirs in zip(choices, read, strict=True):  # another's reading of the same file
        key = question.findtext("idnumber")
        right = [n for n, option in enumerate(theirs.options) if option.score_fraction > 0]
        declared = items[key].find(f"{QTI}responseDeclaration")
        assert right == [ord(v.text) - ord("A") for v in declared.iter(f"{QTI}value")]
        gains = [option.score_fraction for option in theirs.options if option.score_fraction > 0]
        assert sum(gains) == pytest.approx(100, abs=0.01)
    for path in sorted(BOOK.glob("[0-9]*.md")):
        page = Page((site / f"{path.stem}.html").read_text("utf-8"))
        for key, right in page.right.items():
            fractions = [float(a.get("fraction")) for a in found[key].findall("answer")]
            assert [n for n, f in enumerate(fractions) if f > 0] == right
        for key, (value, tolerance) in page.numbers.items():
            answer = found[key].find("answer")
            assert float(answer.findtext("text")) == pytest.approx(value)
            assert float(answer.findtext("tolerance")) == pytest.approx(tolerance)
        for key, truth in page.truths.items():
            if key not in found:
                continue  # kept in the book
            answers = found[key].findall("answer")
            if found[key].get("type") == "multichoice":
                assert float(answers[int(truth)].get("fraction")) == 100
            else:
                off = float(answers[0].findtext("text")) - truth
                assert abs(off) <= 0.01 * float(answers[0].findtext("tolerance"))
    assert b"$x$" not in moodle


def test_the_command_writes_both_files_and_says_so(tmp_path, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01-page.md").write_text(CHAPTER.replace("CONTENT", ASKED))
    (tmp_path / "book" / "references.bib").write_text("")
    for name in ("_config.yml", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    arguments = ["--site", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert __main__.main([*arguments, str(tmp_path / "book")]) == 0
    printed = capsys.readouterr()
    assert "3  Quiz" in printed.out
    assert "left out" in printed.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"moodle.xml", "qti21.zip"}
    assert __main__.main([*arguments, str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
