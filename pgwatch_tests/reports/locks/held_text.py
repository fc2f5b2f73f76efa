"""The locks that a session holds as one text of its detail: a few of the strongest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pgwatch_tests.locks.model import HeldLock
from pgwatch_tests.reports.render.detail_text import KeyName, Labelled, labelled
from pgwatch_tests.text.plain_text import plain

_LABEL = "Holds"
_SHOWN = 4


def held_text(held: Sequence[HeldLock], keys: KeyName) -> Labelled:
    """`ROW EXCLUSIVE on table users, table orders; ACCESS SHARE on table kinds and 12 more: enter`.

    Indexes, which a statement locks with their table, are named only where nothing else is held.
    """
    granted = [one for one in held if one.granted]
    if not granted:
        return labelled(_LABEL, "no lock", "quiet")
    named = [one for one in granted if not one.target.startswith("index ")] or granted
    parts = [
        f"{mode} on {', '.join(plain(one.target) for one in locks)}"
        for mode, locks in groupby(named[:_SHOWN], key=lambda one: one.mode)
    ]
    more = len(granted) - len(named[:_SHOWN])
    rest = f" and {more:,} more: {keys('detail')}" if more else ""
    return labelled(_LABEL, f"{'; '.join(parts)}{rest}")


def unread_text(why: str = "…") -> Labelled:
    """What is said before the locks are read, or why they aren't."""
    return labelled(_LABEL, why, "quiet")
