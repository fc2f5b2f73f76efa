"""The stream that a dashboard is drawn on, and whether there is one."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

_CANNOT_DRAW = ("dumb", "unknown")
"""Terminals by their TERM that only take lines (terminfo's names)."""


def is_interactive() -> bool:
    """Whether a dashboard can be shown: in a browser, or on a terminal that keys are read from."""
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return True
    if os.environ.get("TERM") in _CANNOT_DRAW:
        return False
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout))


def drawn_on() -> TextIOWrapper | None:
    """stderr, as Textual does; stdout where stderr goes elsewhere. None if both are closed."""
    if sys.__stderr__ is None or not sys.__stderr__.isatty():
        return sys.__stdout__ or sys.__stderr__
    return sys.__stderr__
