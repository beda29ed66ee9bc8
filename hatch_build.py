"""Build hook: bundle the widgets' JavaScript before the wheel (or the editable install) is made."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FrontendHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `companion/site/frontend.py`, which needs nothing but node from PyPI."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write companion/widgets/static/ (called by hatchling before it collects files).

        An editable install is for work on the book and keeps all JavaScript packages; any other
        leaves nothing in the clone that was not there before.
        """
        packages = Path(self.root) / "node_modules"
        keep = version == "editable" or packages.exists()
        source = Path(self.root) / "companion" / "site" / "frontend.py"
        spec = importlib.util.spec_from_file_location("companion_frontend", source)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"{source} is missing: build in a clone of the repository")
        frontend = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(frontend)
        frontend.build_frontend(Path(self.root), tools=version == "editable")
        if not keep:
            shutil.rmtree(packages, ignore_errors=True)
