"""A node program at work beside the build: one JSON line to it, one JSON line back."""

import json
import subprocess
from functools import cached_property
from typing import Any

from companion.site.frontend import NODE, ROOT


class NodeProgram:
    """A program that answers every line with one; it starts when first asked and lives on.

    Args:
        name: what the program is, for messages.
        arguments: of node. It runs in the clone's root, so that it finds the packages there.
    """

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self._arguments = arguments

    @cached_property
    def process(self) -> subprocess.Popen[str]:
        """The running program; to name it is to start it."""
        return subprocess.Popen(
            [str(NODE), *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the program answers.

        Raises:
            ValueError: it answers with an error; the message is the program's own.
            RuntimeError: it has ended.
        """
        pipes = self.process.stdin, self.process.stdout
        if self.process.poll() is not None or pipes[0] is None or pipes[1] is None:
            raise RuntimeError(f"{self.name} has ended; build the book again")
        pipes[0].write(json.dumps(request) + "\n")
        pipes[0].flush()
        line = pipes[1].readline()
        if not line:
            raise RuntimeError(f"{self.name} gave no answer; build the book again")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
