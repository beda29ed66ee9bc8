"""The `{predict}` directive: the reader says what they expect, then the truth is laid over it.

    ```{predict}
    :label: predict-helmet
    :scale: 0 to 1 step 0.05
    How likely is *football helmet* once a grey patch hides the head?
    = helmet-hidden ± 0.05 | The head was the cue.
    > | Many expect this. The rest of the picture says little.
    ```

`= NAME ± TOLERANCE | sentence when close` takes the truth from the cell of this page that calls
`truth("NAME", value)` (companion.exercises); a number in place of the name is taken as it is. `<`
and `>` give a sentence when the guess was too low or too high. With `:quantity: q` in place of a
name the truth is what the widget below shows as q; `:when: patch = 48` says when that counts, and
shows the truth by itself once it does. Options `- [ ] text | sentence`, as in a quiz, make it a
choice: the truth is the one marked `[x]`, or the one whose text the cell's truth is. `:export: no`
keeps a question in the book that means nothing without the page around it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from companion.site.activities import Activity, attributes, key_of, texts
from companion.site.activities.goals import (
    Goal,
    as_json,
    check_quantities,
    parse_goal,
    quantities,
    shown_at_rest,
)
from companion.site.activities.quiz import Option, parse_options, read_number

logger = logging.getLogger(__name__)

_MARK = re.compile(r"^[<>]\s*\||^=(?:\s|$)")
_TRUTH = re.compile(
    r"=\s*(?P<truth>[^\s±|]*)\s*(?:±\s*(?P<tolerance>[^\s|]+)\s*)?(?:\|\s*(?P<near>.*))?"
)
_SCALE = re.compile(r"(\S+) to (\S+?)(?: step (\S+)| (log))?")
_NAME = re.compile(r"[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Scale:
    """What a number is guessed on: from `low` to `high`, in steps or in equal ratios."""

    low: float
    high: float
    step: float
    log: bool


@dataclass(frozen=True)
class Prediction:
    """A parsed prediction.

    Attributes:
        text: the question (Markdown).
        options: the choices, if it is one.
        scale: what a number is guessed on otherwise.
        truth: the truth itself, or the name under which a cell tells it, or None where a widget
            shows it as `quantity`.
        tolerance: how far off a guess still is close.
        near, low, high: sentences for a guess that is close, too low, too high.
        quantity: what a widget shows as the truth; "" if it does not.
        when: the goal at which that counts (JSON), None for any time.
        exported: whether other systems may ask it, too.
    """

    text: str
    options: tuple[Option, ...]
    scale: Scale | None
    truth: float | str | None
    tolerance: float
    near: str
    low: str
    high: str
    quantity: str
    when: Goal | None
    exported: bool


def parse_prediction(lines: list[str], options: Mapping[str, str]) -> Prediction:
    """Parse a `{predict}` directive: its body, and `scale`, `quantity`, `when` and `export`.

    Raises:
        ValueError: something is missing, contradicts itself, or is no number.
    """
    text, choices, marked = parse_options(lines, _MARK)
    if not text:
        raise ValueError("a prediction needs a question; none came")
    sentences = {"<": "", ">": ""}
    found: re.Match[str] | None = None
    for line in marked:
        if line[0] in sentences:
            sentences[line[0]] = line.partition("|")[2].strip()
        elif (found := _TRUTH.fullmatch(line)) is None:
            raise ValueError(f"the truth is `= NAME ± 0.1 | sentence when close`, got {line!r}")
    truth: float | str | None = None
    if found and found["truth"]:
        named = _NAME.fullmatch(found["truth"])
        truth = found["truth"] if named else _finite(found["truth"], "the truth")
    tolerance = found and found["tolerance"]
    quantity = options.get("quantity", "")
    if (exported := options.get("export", "yes")) not in ("yes", "no"):
        raise ValueError(f"`:export:` is `yes` or `no`, got {exported!r}")
    when = parse_goal(options["when"]) if "when" in options else None
    scale = _scale(options["scale"]) if "scale" in options else None
    right = [place for place, option in enumerate(choices) if option.right]
    if choices:
        if scale or quantity or isinstance(truth, float) or tolerance or any(sentences.values()):
            raise ValueError("a prediction with options has no scale, number, ±, <, > or quantity")
        if len(choices) < 2:
            raise ValueError("a prediction needs at least two options `- [ ] …`; 1 came")
        if (len(right), truth is None) not in ((1, True), (0, False)):
            raise ValueError(
                "a prediction with options marks one `- [x] …`, or says `= NAME` of the cell that "
                f"knows; {len(right)} marked, = {truth or '(nothing)'}"
            )
        truth = float(right[0]) if right else truth
    elif scale is None:
        raise ValueError("a prediction needs options `- [ ] …` or `:scale: 0 to 1`; neither came")
    elif (truth is None) != bool(quantity):
        raise ValueError(
            "a prediction needs one truth: `= NAME` of a cell, or `:quantity:` of the widget below"
        )
    elif isinstance(truth, float):
        _within(truth, scale)
    return Prediction(
        text,
        tuple(choices),
        scale,
        truth,
        _finite(tolerance, "the tolerance") if tolerance else 0.0,
        (found and found["near"]) or "",
        sentences["<"],
        sentences[">"],
        quantity,
        when,
        exported == "yes",
    )


def _finite(text: str, what: str) -> float:
    try:
        value = read_number(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise ValueError(f"{what} is a number, got {text!r}")
    return value


def _scale(text: str) -> Scale:
    match = _SCALE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"a scale is `0 to 1`, `0 to 1 step 0.05`, `1 to 1e6 log`; got {text!r}")
    low, high = _finite(match[1], "an end of a scale"), _finite(match[2], "an end of a scale")
    step = _finite(match[3], "a scale's step") if match[3] else (high - low) / 50
    if not (low < high and 0 < step <= high - low) or (match[4] and low <= 0):
        raise ValueError(f"a scale goes up in steps above 0 (log: from above 0); got {text!r}")
    return Scale(low, high, step, bool(match[4]))


def _within(truth: float, scale: Scale) -> None:
    if not scale.low <= truth <= scale.high:
        raise ValueError(
            f"the truth {truth:g} lies outside the scale {scale.low:g} to {scale.high:g}"
        )


def settle(prediction: Prediction, told: Mapping[str, float | str]) -> tuple[float, str]:
    """The truth as a number (of an option: its place) and as a text to read.

    `told` is what cells said by `companion.exercises.truth`.

    Raises:
        ValueError: no cell told it, or what it told does not fit the question.
    """
    truth = prediction.truth
    if isinstance(truth, str):
        if truth not in told:
            raise ValueError(f"no cell of this page calls truth({truth!r}, …)")
        value = told[truth]
        if prediction.options:
            texts = [option.text for option in prediction.options]
            if value not in texts:
                raise ValueError(f"truth({truth!r}) is none of the options {texts}, got {value!r}")
            truth = float(texts.index(str(value)))
        elif isinstance(value, str):
            raise ValueError(f"truth({truth!r}) is to be a number, got {value!r}")
        else:
            truth = value
    assert truth is not None
    if prediction.options:
        return truth, prediction.options[int(truth)].text
    if prediction.scale:
        _within(truth, prediction.scale)
    return truth, f"{truth:,.3g}" if abs(truth) < 1000 else f"{float(f'{truth:.3g}'):,.0f}"


class PredictDirective(Activity):
    """Render the question as native form controls; js/activities/predict.js does the rest."""

    option_spec: ClassVar[dict[str, Any]] = texts(
        "label", "scale", "unit", "quantity", "when", "widget", "later", "export"
    )

    def run(self) -> list[nodes.Node]:
        """Parse the prediction and build its nodes."""
        try:
            prediction = parse_prediction(list(self.content), self.options)
        except ValueError as error:
            raise self.error(str(error)) from error
        key = key_of(self.options.get("label"), prediction.text)
        box = self.box("predict")
        start = self._open(prediction, f"predict/{self.env.docname}/{key}")
        box += start
        box += self.markdown(prediction.text, "quiz-question")
        if prediction.scale:
            box += self._slider(prediction.scale)
        for place, option in enumerate(prediction.options):
            box += self.html(
                '<div class="quiz-option"><label><input type="radio" '
                f'name="predict-{self.env.docname}-{key}" value="{place}">'
            )
            box += self.inline(option.text)
            box += self.html("</label>")
            if option.feedback:
                box += self.feedback(option.feedback)
            box += self.html("</div>")
        box += self.html(
            '<div class="predict-gap"></div><button type="button" class="quiz-check">Show</button>'
            '<p class="quiz-verdict" role="status"></p>'
        )
        for kind in ("near", "low", "high"):
            if sentence := getattr(prediction, kind):
                box += self.feedback(sentence, f"predict-{kind}")
        box += self.html("</fieldset>")
        answer: nodes.Node
        if prediction.quantity:
            text = f"The widget below shows it as {prediction.quantity}"
            when = f", at {self.options['when']}" if prediction.when else ""
            answer = nodes.paragraph("", f"{text}{when}.")
        else:
            answer = nodes.raw("", "", format="html", predict_answer=start)
        near = [self.markdown(prediction.near, "predict-answer")] if prediction.near else []
        box.extend(self.folded("Answer", answer, *near))
        return [box]

    def _open(self, prediction: Prediction, key: str) -> nodes.raw:
        """The start of the fieldset, whose truth is known when all cells have been read."""
        start = nodes.raw("", "", format="html", prediction=prediction)
        start["key"], start["unit"] = key, self.options.get("unit")
        start["widget"] = self.options.get("widget", "")
        start["later"] = self.options.get("later", "").split()
        self.set_source_info(start)
        return start

    @staticmethod
    def _slider(scale: Scale) -> nodes.raw:
        low, high, step = (0, 100, 1) if scale.log else (scale.low, scale.high, scale.step)
        return Activity.html(
            '<label class="predict-guess"><span>Your guess</span>'
            f'<input type="range"{attributes(min=low, max=high, step=step)}><output>–</output>'
            "</label>"
        )


def settle_page(app: Sphinx, doctree: nodes.document) -> None:
    """Write each prediction's truth into the page, once its cells and widgets are known."""
    told = app.env.metadata[app.env.docname].get("companion", {}).get("truths", {})
    for node in list(doctree.findall(nodes.raw)):
        if isinstance(start := node.get("predict_answer"), nodes.raw):
            text = str(start.get("told", ""))
            node.replace_self(nodes.paragraph("", text))
        if not isinstance(prediction := node.get("prediction"), Prediction):
            continue
        try:
            truth: float | None = None
            if prediction.quantity or prediction.when:
                widget, values = shown_at_rest(node, node["widget"])
                names = quantities(prediction.when or []) | {prediction.quantity}
                check_quantities(names - {""}, widget, [*values, *node["later"]])
            if not prediction.quantity:
                truth, node["told"] = settle(prediction, told)
        except ValueError as error:
            logger.warning("predict: %s", error, location=node)
            continue
        scale = prediction.scale
        shown = attributes(
            data_predict=node["key"],
            data_truth=truth,
            data_tolerance=prediction.tolerance,
            data_unit=node["unit"],
            data_low=scale and scale.low,
            data_high=scale and scale.high,
            data_log="yes" if scale and scale.log else None,
            data_quantity_of=prediction.quantity,
            data_when=prediction.when and as_json(prediction.when),
            data_widget_name=node["widget"],
        )
        html = f"<fieldset{shown}><legend>Predict</legend>"
        node.replace_self(nodes.raw("", html, format="html"))


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("predict", PredictDirective)
    app.connect("doctree-read", settle_page)
