"""Which lock modes conflict, as the server's own matrix has it (src/backend/storage/lmgr/lock.c)."""

from __future__ import annotations

_CONFLICTS: dict[str, frozenset[str]] = {
    "AccessShareLock": frozenset({"AccessExclusiveLock"}),
    "RowShareLock": frozenset({"ExclusiveLock", "AccessExclusiveLock"}),
    "RowExclusiveLock": frozenset(
        {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
    ),
    "ShareUpdateExclusiveLock": frozenset(
        {
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
    "ShareLock": frozenset(
        {
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
    "ShareRowExclusiveLock": frozenset(
        {
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
    "ExclusiveLock": frozenset(
        {
            "RowShareLock",
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        }
    ),
}
_CONFLICTS["AccessExclusiveLock"] = frozenset({*_CONFLICTS, "AccessExclusiveLock"})


def conflict(one: str, other: str) -> bool:
    """Whether two lock modes exclude each other. Modes that aren't in the matrix conflict with none."""
    return other in _CONFLICTS.get(one, frozenset())


def in_words(mode: str) -> str:
    """`AccessExclusiveLock` as `ACCESS EXCLUSIVE`, the form of LOCK TABLE's manual page."""
    words: list[str] = []
    for character in mode.removesuffix("Lock"):
        if character.isupper():
            words.append(character)
        elif words:
            words[-1] += character.upper()
    return " ".join(words)
