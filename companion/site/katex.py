"""Mathematics rendered while the book is built, by KaTeX on node: a page needs no script for it.

The output holds MathML for screen readers beside the typeset HTML. A formula that KaTeX rejects is
a Sphinx warning, and so fails the build.
"""

from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from companion.site.frontend import ROOT
from companion.site.node import NodeProgram

logger = logging.getLogger(__name__)

# One formula a line in, one answer a line out: the process lives as long as the build.
SERVER = """
import katex from "katex";
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const { tex, display } = JSON.parse(line);
  let answer;
  try {
    answer = { html: katex.renderToString(tex, { displayMode: display, strict: "error",
      throwOnError: true, output: "htmlAndMathml", macros: { "\\\\hdots": "\\\\ldots" } }) };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(JSON.stringify(answer) + "\\n");
}
"""


_PROGRAM = NodeProgram("KaTeX", "--input-type=module", "--eval", SERVER)


@cache
def render_math(tex: str, display: bool) -> str:
    """Typeset one formula as HTML.

    Raises:
        ValueError: KaTeX rejects the formula; the message is KaTeX's own.
    """
    html: str = _PROGRAM.ask({"tex": tex, "display": display})["html"]
    return html


def _typeset(node: nodes.Element, tex: str, display: bool) -> str:
    try:
        return render_math(tex, display)
    except ValueError as error:
        logger.warning("formula rejected: %s", error, location=node)
        return f"<code>{nodes.Text(tex).astext()}</code>"


def _visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(_typeset(node, node.astext(), display=False) + "</span>")
    raise nodes.SkipNode


def _visit_display(self: HTML5Translator, node: nodes.math_block) -> None:
    # A formula wider than a phone scrolls inside its own box, which the keyboard can reach.
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    tex = node.astext()
    if "\\\\" in tex and not node["nowrap"] and "\\begin" not in tex:
        tex = f"\\begin{{split}}{tex}\\end{{split}}"
    html = _typeset(node, tex, display=True)
    self.body.append(f'<div class="math-scroll" tabindex="0">{html}</div></div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the math renderer `katex` and its style sheet."""
    app.add_html_math_renderer(
        "katex",
        inline_renderers=(_visit_inline, None),
        block_renderers=(_visit_display, None),
    )
    app.add_css_file("katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def katex_files() -> dict[str, Path]:
    """The style sheet and the woff2 fonts that a page needs: path below _static → file."""
    dist = ROOT / "node_modules" / "katex" / "dist"
    files = {"katex/katex.min.css": dist / "katex.min.css"}
    files |= {f"katex/fonts/{font.name}": font for font in sorted((dist / "fonts").glob("*.woff2"))}
    return files
