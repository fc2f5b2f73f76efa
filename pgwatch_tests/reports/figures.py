"""Numbers as a screen shows them."""

from __future__ import annotations


def at_least(number: int, is_all: bool) -> str:
    """`7`; `7+` if there may be more, and `?` if none is known but there may be some."""
    if is_all:
        return f"{number:,}"
    return f"{number:,}+" if number else "?"
