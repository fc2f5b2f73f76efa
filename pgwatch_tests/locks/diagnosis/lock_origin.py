"""Origin of a lock: whether the statement shown of a blocker can have taken it. Pure.

The server tells the last statement of a session only, and a lock stays until its transaction ends.
"""

from __future__ import annotations

from pgwatch_tests.locks.diagnosis.evidence import RootBlocker
from pgwatch_tests.locks.model import Edge, WaitedLock
from pgwatch_tests.locks.waits import statement_text

_OF_ROWS = ("tuple", "transactionid")
# What SELECT, INSERT, UPDATE, DELETE, MERGE and COPY lock a table in (manual, Explicit Locking).
_WEAK = ("AccessShareLock", "RowShareLock", "RowExclusiveLock")
_REACHING_NOTHING = ("SHOW", "SET", "RESET", "SAVEPOINT", "RELEASE")
_NAMING = ("TRUNCATE", "LOCK", "DROP TABLE", "ALTER TABLE", *_REACHING_NOTHING)
# Locked along with their tables, and hardly ever named.
_PARTS_OF_TABLES = ("index ", "partitioned index ", "sequence ", "TOAST table ")
_BY_OTHER_WAYS = ", unless by a view, trigger, function or foreign key"


def remark(root: RootBlocker) -> str:
    """Returns a sentence if the shown statement can't, or may not, have taken the lock; else empty.

    The commonest cause comes first: an earlier statement, of the same transaction or, for a lock of the
    session, of an earlier one.
    """
    edge = next((one for one in root.direct if one.kind == "hard"), None)
    query = root.query_of(root.party)
    if edge is None or not query.strip() or root.session is None or root.session.hidden:
        return ""
    why = _why_not(query, edge)
    an = "Most likely an" if _by_other_ways(query) else "An"
    of = "transaction or session" if edge.lock.type == "advisory" else "transaction"
    return f"{an} earlier statement of the same {of} took that lock: the one shown {why}." if why else ""


def _why_not(query: str, edge: Edge) -> str:
    lock = edge.lock
    if lock.type == "advisory":
        return "" if "advisory" in query.lower() else "takes none"
    effects = statement_text.effects(query)
    if lock.target.startswith(_PARTS_OF_TABLES):
        return ""
    if lock.type == "relation" and lock.held_mode is not None:
        if effects is not None and lock.held_mode not in _WEAK:
            return "takes none as strong by itself"
        if effects is None and not _locks_what_it_names(query):
            return ""
        return "" if _names(query, lock) else f"doesn't name it{_by_other_ways(query)}"
    is_row = edge.subject is not None and edge.subject.kind in ("row", "unique_key")
    if lock.type in _OF_ROWS and is_row and effects is not None:
        if not effects.writes and not effects.locks_rows:
            return "changes and locks no rows by itself"
        return "" if _names(query, lock) else f"doesn't name that table{_by_other_ways(query)}"
    return ""


def _by_other_ways(query: str) -> str:
    """Returns how it may have locked a table that it doesn't name; empty if it surely hasn't."""
    kind = statement_text.kind(query)
    if kind.startswith(_REACHING_NOTHING):
        return ""
    if kind in ("SELECT", "VALUES") and not any(
        statement_text.has_words(query, one) for one in ("from", "(")
    ):
        return ""
    return _BY_OTHER_WAYS


def _locks_what_it_names(query: str) -> bool:
    """Whether it locks no other tables than it names, or none: DROP INDEX, CASCADE and DO reach further."""
    kind = statement_text.kind(query)
    return kind.startswith(_NAMING) and not statement_text.has_words(query, "cascade")


def _names(query: str, lock: WaitedLock) -> bool:
    """Whether it names one of the tables; true where these have no names yet.

    A foreign key's check locks rows of a table that isn't named: the one with the foreign key is. A statement
    about a partitioned table locks its partitions.
    """
    tables = [name for name in f"{lock.object} or {lock.foreign_key_of}".split(" or ") if name]
    tables += lock.ancestors
    known = [name for name in tables if not name.startswith(("relation ", "end of "))]
    return (
        len(known) < len(tables) or not known or any(statement_text.mentions(query, name) for name in known)
    )
