"""Preferences of whoever looks: colours, keys, orders, columns; what is changed by a key is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _keep_nothing(_key: str, _value: object) -> str:
    """Keeps nothing, and has nothing to tell."""
    return ""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the dashboard begins with, and where it keeps changes. `trouble` is told at the start."""

    theme: str = ""
    keymap: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: str = ""
    keep: Callable[[str, object], str] = _keep_nothing
    """Keeps a preference: its key, such as `order.sessions`, and its value. Returns what to tell of it, as a
    sentence; empty for nothing."""
    group: Mapping[str, str] = field(default_factory=dict)
    """What tabs group their rows by."""
    turned: Mapping[str, bool] = field(default_factory=dict)
    """Whether tabs have the order of their rows turned around."""
