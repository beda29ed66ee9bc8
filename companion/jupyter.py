"""Whether the code runs in a notebook, and code to show in one."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any


def in_notebook() -> bool:
    """Whether a Jupyter kernel (Lab, Notebook, Colab, VS Code, the book's build) runs this code."""
    # Only a program that runs under IPython has it loaded; importing it would cost others 0.3 s.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def code_of(function: Callable[..., Any]) -> str:
    """A function's source without its docstring, for a chapter that shows how it is done."""
    source = textwrap.dedent(inspect.getsource(function))
    first, *rest = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    lines = source.splitlines()
    if rest and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines = lines[: first.lineno - 1] + lines[rest[0].lineno - 1 :]
    return "\n".join(lines)
