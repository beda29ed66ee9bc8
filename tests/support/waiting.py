"""Waiting for events: never for a fixed time, so a quiet machine waits for nothing long.

What tells nobody when it happens (a file written, a server started) is asked for by `until`.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds that anything may take before a test gives up: a busy machine is no failure.
PATIENCE = 120


def until(condition: Callable[[], T]) -> T:
    """What `condition` returns once that is true.

    Raises:
        TimeoutError: it has not become true within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE} s: {condition}")
        time.sleep(0.05)
    return value
