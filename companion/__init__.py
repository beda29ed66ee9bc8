"""What the book's chapters import: data sets, models, training, recipes, widgets.

`import companion` alone costs next to nothing: each part loads what it needs (torch, plotly, …)
when it is imported itself, for example `from companion.training import fit`.
"""

from importlib.metadata import version

__version__ = version("cnn-autoencoder-companion")
