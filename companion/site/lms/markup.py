"""Markdown of a question as HTML: mathematics for MathJax in Moodle, as MathML in QTI."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from PIL import Image

from companion.site.katex import render_math
from companion.site.lms.questions import Asked, Picture

_MATHML = re.compile(r"<math.*?</math>", re.DOTALL)
_WIDTH = 480  # pixels that a picture gets at least: images of 8×8 are hard to see


def tex_for_mathjax(tex: str, display: bool) -> str:
    r"""The formula between \( and \), or \[ and \], as Moodle's MathJax filter looks for it."""
    start, end = (r"\[", r"\]") if display else (r"\(", r"\)")
    return f"{start}{escape(tex, quote=False)}{end}"


def mathml(tex: str, display: bool) -> str:
    """The formula as MathML, with its TeX as an annotation; made by the page's own KaTeX.

    Raises:
        ValueError: KaTeX rejects the formula.
    """
    found = _MATHML.search(render_math(tex, display))
    assert found  # KaTeX writes it always
    return found[0]


class Markup:
    """Renders texts as XHTML; what would be a tag in them is text.

    Args:
        formula: turns TeX, and whether it is displayed, into HTML.
        folder: what the address of a picture begins with.
    """

    def __init__(self, formula: Callable[[str, bool], str], folder: str) -> None:
        self._folder = folder
        self._markdown = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
        self._markdown.enable("table").use(dollarmath_plugin)

        def rule(display: bool) -> Callable[..., str]:
            def render(renderer: Any, tokens: Any, place: int, options: object, env: object) -> str:
                html = formula(tokens[place].content.strip(), display)
                return f"<p>{html}</p>\n" if display else html

            return render

        self._markdown.add_render_rule("math_inline", rule(False))
        self._markdown.add_render_rule("math_block", rule(True))

    def block(self, text: str) -> str:
        """Paragraphs, lists, code."""
        html: str = self._markdown.render(text)
        return re.sub(r' style="[^"]*"', "", html).strip()

    def line(self, text: str) -> str:
        """One line, without a paragraph around it."""
        html: str = self._markdown.renderInline(text)
        return html.strip()

    def question(self, asked: Asked) -> str:
        """The question's text with its pictures and its table."""
        parts = [self.block(asked.text)]
        for picture in asked.pictures:
            row = f"{escape(picture.row)}<br />" if picture.row else ""
            source = f"{self._folder}{png_name(picture)}"
            alt = escape(picture.alt)
            parts.append(f'<p>{row}<img src="{escape(source)}" alt="{alt}" /></p>')
        if asked.table:
            rows = (
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in asked.table
            )
            parts.append(f"<table><tbody>{''.join(rows)}</tbody></table>")
        return "\n".join(parts)


def png_name(picture: Picture) -> str:
    """Name of the picture as a PNG."""
    return picture.name.rpartition(".")[0] + ".png"


def png(picture: Picture) -> bytes:
    """The picture as a PNG, which every system shows; a small one enlarged, pixel by pixel."""
    image: Image.Image = Image.open(io.BytesIO(picture.data))
    factor = -(-_WIDTH // image.width)
    if factor > 1:
        image = image.resize(
            (image.width * factor, image.height * factor), Image.Resampling.NEAREST
        )
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
