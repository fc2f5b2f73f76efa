"""Lock modes: which conflict, as the server's own matrix has it (src/backend/storage/lmgr/lock.c)."""

from __future__ import annotations

from functools import lru_cache

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


def strength(mode: str) -> int:
    """Returns the number of modes that a mode conflicts with: 1 for ACCESS SHARE, 8 for ACCESS EXCLUSIVE."""
    return len(_CONFLICTS.get(mode, ()))


# How a member of a multixact has locked a row, as pg_get_multixact_members says it.
_ROW_UPDATES = frozenset({"forupd", "upd"})
_ROW_CHANGES = _ROW_UPDATES | {"fornokeyupd", "nokeyupd"}
_ROW_CONFLICTS: dict[str, frozenset[str]] = {
    "AccessShareLock": _ROW_UPDATES,
    "RowShareLock": _ROW_CHANGES,
    "ExclusiveLock": _ROW_CHANGES | {"sh"},
    "AccessExclusiveLock": _ROW_CHANGES | {"sh", "keysh"},
}


def row_conflict(wanted: str, held: str) -> bool:
    """Whether a row that a member of a multixact has locked as `held` can't be locked as `wanted`.

    `wanted` is a tuple lock's mode: FOR KEY SHARE is AccessShareLock, and so on up to FOR UPDATE (manual,
    Row-Level Locks; tupleLockExtraInfo, src/backend/access/heap/heapam.c).
    """
    return held in _ROW_CONFLICTS.get(wanted, ())


@lru_cache(maxsize=100)
def in_words(mode: str) -> str:
    """`AccessExclusiveLock` as `ACCESS EXCLUSIVE`, the form of LOCK TABLE's manual page."""
    words: list[str] = []
    for character in mode.removesuffix("Lock"):
        if character.isupper():
            words.append(character)
        elif words:
            words[-1] += character.upper()
    return " ".join(words)
