"""Waiting for a condition, so that no test has to guess how long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 60.0
"""How long a test waits for what is sure to come: on a busy machine, far longer than on a quiet one."""


def wait_until(condition: Callable[[], T], timeout_s: float = PATIENCE_S, message: str = "") -> T:
    """Asks until `condition()` is true and returns its value. Raises AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            name = message or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {timeout_s:g} s: {name} (last: {value!r})")
        time.sleep(0.02)
