"""Preferences of whoever looks: colours, keys, orders, columns; what is changed by a key is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _keep_nothing(_key: str, _value: object) -> None:
    """Keeps nothing."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the dashboard begins with, and where it keeps changes. `trouble` is told at the start."""

    theme: str = ""
    keymap: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: str = ""
    keep: Callable[[str, object], None] = _keep_nothing
    """Keeps a preference: its key, such as `order.sessions`, and its value."""
    group: Mapping[str, str] = field(default_factory=dict)
    """What tabs group their rows by."""
