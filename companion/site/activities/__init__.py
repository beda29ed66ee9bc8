"""What a page asks of its reader, each as one directive: no kernel, no server, nothing sent.

`quiz`, `predict`, `task`, `recall`, `order`. book/site_assets/activities.css is their look,
companion/site/js/activities/ what they do, companion/site/activities/README.md how to write them.
"""

import hashlib
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


def key_of(label: str | None, text: str) -> str:
    """What the browser keeps an activity under: its label, or a mark of its text.

    One whose text changes is a new one, unless it has a label.
    """
    return nodes.make_id(label) if label else hashlib.sha256(text.encode()).hexdigest()[:10]


def texts(*names: str) -> dict[str, Any]:
    """An option_spec of options that hold a text each."""
    return dict.fromkeys(names, directives.unchanged_required)


def attributes(**values: object) -> str:
    """HTML attributes: `data_key="a"` as ` data-key="a"`; None and "" are left out."""
    return "".join(
        f' {name.replace("_", "-")}="{escape(str(value))}"'
        for name, value in values.items()
        if value not in (None, "")
    )


class Activity(SphinxDirective):
    """A directive that renders native form controls, between Markdown that it parses."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = texts("label")

    def box(self, kind: str) -> nodes.container:
        """The element that holds all; the page then loads what activities need."""
        needs = self.env.metadata[self.env.docname].setdefault("companion", {})
        if kind != "quiz":  # which every page knows
            needs["activities"] = ["yes"]
        box = nodes.container(classes=list(dict.fromkeys(["quiz", kind])))
        if label := self.options.get("label"):
            box["ids"] = [nodes.make_id(label)]
        return box

    @staticmethod
    def html(html: str) -> nodes.raw:
        """HTML as it is."""
        return nodes.raw("", html, format="html")

    def markdown(self, text: str, css_class: str) -> nodes.container:
        """Markdown of any length in a <div>."""
        block = nodes.container(classes=[css_class])
        lines = StringList(text.split("\n"), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, block)
        return block

    def inline(self, text: str, css_class: str = "quiz-text") -> nodes.inline:
        """Markdown of one paragraph in a <span>."""
        children, messages = self.state.inline_text(text, self.lineno)
        return nodes.inline("", "", *children, *messages, classes=[css_class])

    def feedback(self, text: str, *classes: str) -> nodes.container:
        """What is shown after an answer."""
        block = self.markdown(text, "quiz-feedback")
        block["classes"] += classes
        return block

    def folded(self, title: str, *content: nodes.Node) -> list[nodes.Node]:
        """Where no script runs: what the page would have shown, in a <details>."""
        start = f"<noscript><details><summary>{title}</summary>"
        return [self.html(start), *content, self.html("</details></noscript>")]
