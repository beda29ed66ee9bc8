"""Whether the code runs in a notebook."""

import sys


def in_notebook() -> bool:
    """Whether a Jupyter kernel (Lab, Notebook, Colab, VS Code, the book's build) runs this code."""
    # Only a program that runs under IPython has it loaded; importing it would cost others 0.3 s.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
