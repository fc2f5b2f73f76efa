"""Annotations of a GitHub workflow.

The escapes are those of actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from typing import Literal


def annotation(level: Literal["error", "warning", "notice"], title: str, message: str) -> str:
    """`::error title=…::…` of plain text, on one line."""
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
