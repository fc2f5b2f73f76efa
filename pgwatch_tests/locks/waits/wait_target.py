"""The target of a wait: derived from lock rows, and put in words. Pure.

The rules are the server's (src/backend/access/heap/README.tuplock): who waits for a row that another
transaction changed holds the row's tuple lock and waits for that transaction's id; those behind it wait
for the tuple lock. What a wait for a transaction id without a tuple lock is about, the module
transaction_wait tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from pgwatch_tests.locks.model import EdgeGroup, LockTag, Party, Session, Subject
from pgwatch_tests.locks.waits import statement_text

_CANDIDATES_SHOWN = 3
PG_DATABASE = 1262  # DatabaseRelationId, src/include/catalog/pg_database.h
# Words for an object while its name isn't known; OIDs of the catalogs, src/include/catalog/.
_CATALOGS = {
    1213: "tablespace",
    1247: "type",
    1255: "function",
    1260: "role",
    2615: "schema",
    3079: "extension",
    6100: "subscription",
    6104: "publication",
}


# Whose rows are objects by themselves: of classes that pg_describe_object knows (src/include/catalog/).
OBJECT_CATALOGS = {
    *_CATALOGS,
    *(826, 1259, 1262, 1417, 2328, 2604, 2605, 2606, 2612, 2617, 2618, 2620, 2995, 3256, 3381, 3456, 3466),
    *(3600, 3602),
}
COLUMNS_CATALOG = 1249  # AttributeRelationId: its rows are columns of tables
PRIVILEGES, DEFINITION = "privileges of", "definition of"


class Names(Protocol):
    """The names known at the moment; None, or nothing, where a name isn't known (yet)."""

    def database(self, oid: int | None) -> str | None:
        """A database's name."""

    def relation(self, database: int, oid: int) -> str | None:
        """`users`, or `billing.invoices` outside of public."""

    def relation_kind(self, database: int, oid: int) -> str | None:
        """`table`, `index`, `view` …"""

    def unique_keys(self, database: int, oid: int) -> Sequence[str]:
        """The columns of each unique or exclusion constraint of a table: `email`, `(day, room)`."""

    def row_key(self, database: int, oid: int, page: int, tuple_: int) -> str | None:
        """The primary key of a row, `id=42`; of a catalog's row, the object: `table users`."""

    def referencing(self, database: int, oid: int) -> Collection[int]:
        """The tables with a foreign key to this one."""

    def ancestors(self, database: int, oid: int) -> Collection[str]:
        """The tables that this one is a partition or child of, as they are written."""

    def object_name(self, database: int, address: tuple[int, int, int]) -> str | None:
        """`schema audit`, `type mood`."""


def subject(tag: LockTag, tuples_held: Collection[LockTag], blocker: Party) -> Subject:
    """Returns the subject of a wait for `tag`. `tuples_held` are the tuple locks that the waiter holds."""
    match tag.type:
        case "relation" | "extend" if tag.relation is not None:
            words = "extension of " if tag.type == "extend" else ""
            return Subject("relation", tag.database, (tag.relation,), words=words)
        case "tuple" if tag.relation is not None:
            return Subject("row", tag.database, (tag.relation,), tag.page, tag.offset)
        case "transactionid":
            return _behind_transaction(tag, tuples_held)
        case "advisory":
            return Subject("advisory", tag.database, words=f"advisory lock {_advisory_key(tag)}")
        case "object" if tag.classid == PG_DATABASE and tag.objid:
            return Subject("database", tag.objid)
        case "object" if tag.classid == PG_DATABASE:
            # PreCommit_Notify, src/backend/commands/async.c: commits that notify come one after the other.
            return Subject("other", words="commit with NOTIFY")
        case "object" if tag.classid and tag.objid:
            address = tag.classid, tag.objid, tag.objsubid or 0
            return Subject("object", tag.database, words=_object(tag), address=address)
        case "virtualxid":
            return Subject("other", words=f"end of transaction of {blocker}")
        case "frozenid":
            return Subject("other", words="freezing of old transaction ids")
        case "spectoken":
            return Subject("other", words="insertion by ON CONFLICT")
    return Subject("other", tag.database, words=_other(tag))


def _behind_transaction(tag: LockTag, tuples_held: Collection[LockTag]) -> Subject:
    for held in tuples_held:
        if held.relation is not None:
            return Subject(
                "row",
                held.database,
                (held.relation,),
                held.page,
                held.offset,
                transaction=tag.transactionid,
            )
    return Subject("transaction", words=f"end of transaction {tag.transactionid}")


def in_words(subject: Subject, names: Names) -> str:
    """`row of accounts (id=42)`, `table users`, `unique key of users`, `advisory lock 7`.

    OIDs stand for names that aren't known.
    """
    database = subject.database or 0
    match subject.kind:
        case "relation":
            oid = subject.relations[0]
            name = names.relation(database, oid)
            if name is None:
                return f"{subject.words}relation {oid}"
            return f"{subject.words}{names.relation_kind(database, oid) or 'relation'} {name}"
        case "row" if subject.words and _catalog_object(subject, names):
            return f"{subject.words} {_catalog_object(subject, names)}"
        case "row":
            return f"row of {_row_in_words(subject, names)}"
        case "database":
            return f"database {names.database(database) or database}"
        case "unique_key":
            return f"unique key of {_keys_in_words(subject, subject.relations, names)}"
        case "row_or_key":
            rows, keys = _row_in_words(subject, names), _keys_in_words(subject, subject.keys, names)
            if subject.relations == subject.keys:
                return f"row or unique key of {_tables(subject, subject.keys, names)}"
            return f"row of {rows} or unique key of {keys}"
        case "object" if subject.address is not None:
            return names.object_name(database, subject.address) or subject.words
    return subject.words


def _row_in_words(subject: Subject, names: Names) -> str:
    """`accounts (id=42)`, or `accounts or users` where it can't be told which row."""
    tables = _tables(subject, subject.relations, names)
    if subject.page is None or subject.offset is None:
        return tables
    key = names.row_key(subject.database or 0, subject.relations[0], subject.page, subject.offset)
    return f"{tables} ({key or f'at {subject.page},{subject.offset}'})"


def _catalog_object(subject: Subject, names: Names) -> str | None:
    """The object that a catalog's row describes: `table users`."""
    oid = subject.relations[0]
    if oid not in OBJECT_CATALOGS and oid != COLUMNS_CATALOG:
        return None
    assert subject.page is not None
    assert subject.offset is not None
    return names.row_key(subject.database or 0, oid, subject.page, subject.offset)


def _keys_in_words(subject: Subject, oids: Sequence[int], names: Names) -> str:
    """`users (email or id)`; without columns where there are several tables, or too many keys."""
    words = _tables(subject, oids, names)
    keys = names.unique_keys(subject.database or 0, oids[0])
    if len(oids) > 1 or not 0 < len(keys) <= _CANDIDATES_SHOWN:
        return words
    return (
        f"{words} {keys[0]}"
        if keys[0].startswith("(") and len(keys) == 1
        else f"{words} ({' or '.join(keys)})"
    )


def _tables(subject: Subject, oids: Sequence[int], names: Names) -> str:
    known = [names.relation(subject.database or 0, oid) or f"relation {oid}" for oid in oids]
    more = " …" if len(known) > _CANDIDATES_SHOWN else ""
    return f"{' or '.join(known[:_CANDIDATES_SHOWN])}{more}"


def foreign_key_of(subject: Subject, names: Names) -> str:
    """The table whose foreign key's check locks the row; empty if that isn't what it is, or isn't known."""
    if subject.kind != "row" or not subject.referencing:
        return ""
    database = subject.database or 0
    oids = set(names.referencing(database, subject.relations[0])).intersection(subject.referencing)
    known = sorted(filter(None, (names.relation(database, oid) for oid in oids)))
    return " or ".join(known[:_CANDIDATES_SHOWN])


def ancestors(subject: Subject, names: Names) -> tuple[str, ...]:
    """The tables that the one waited for is a partition or child of; empty if it's none, or not known."""
    oids = (*subject.relations, *subject.keys)
    return tuple(sorted({name for oid in oids for name in names.ancestors(subject.database or 0, oid)}))


def object_in_words(subject: Subject, names: Names) -> str:
    """Returns the words that all waits on one table, advisory lock or database share: `accounts`, `advisory
    lock 7`."""
    database = subject.database or 0
    match subject.kind:
        case "row" if subject.words and _catalog_object(subject, names):
            return in_words(subject, names)
        case "relation" | "row" | "unique_key" | "row_or_key":
            oids = dict.fromkeys((*subject.relations, *subject.keys))
            return " or ".join(names.relation(database, oid) or f"relation {oid}" for oid in oids)
        case "transaction":
            return "end of transaction"
        case "other":
            # Whose transaction it is differs from wait to wait.
            return subject.words.partition(" (")[0].partition(" of pid")[0]
    return in_words(subject, names)


def _advisory_key(tag: LockTag) -> str:
    """The key as it was given: one bigint, or two ints (PostgreSQL manual, pg_locks)."""
    high, low = tag.classid or 0, tag.objid or 0
    if tag.objsubid == 1:
        return str(_signed(high << 32 | low, 64))
    return f"({_signed(high, 32)}, {_signed(low, 32)})"


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _object(tag: LockTag) -> str:
    return f"{_CATALOGS.get(tag.classid or 0, f'object of catalog {tag.classid},')} {tag.objid}"


def _other(tag: LockTag) -> str:
    parts = {
        "relation": tag.relation,
        "page": tag.page,
        "tuple": tag.offset,
        "virtual id": tag.virtualxid,
        "transaction": tag.transactionid,
        "class": tag.classid,
        "object": tag.objid,
    }
    known = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
    return f"{tag.type} ({known})" if known else tag.type


def with_creations(groups: Iterable[EdgeGroup], sessions: Iterable[Session]) -> Iterator[EdgeGroup]:
    """Returns `groups`, with the created object as the subject of waits for another creation to end.

    Who inserts a catalog's row whose key another transaction has inserted, and not committed, waits for that
    one (_bt_check_unique, src/backend/access/nbtree/nbtinsert.c): IF NOT EXISTS looks for what is committed.
    Often the other doesn't hold its lock on the catalog any more, so that the lock table doesn't tell of it;
    CREATE itself writes to nothing but catalogs.
    """
    queries = {Party(session.pid): session.query for session in sessions}
    for group in groups:
        waits_for_end = group.wait is not None and group.wait.tag.type == "transactionid"
        # With a row as its subject, it waits for a row that is there already, as OR REPLACE does.
        if waits_for_end and (group.subject is None or group.subject.kind != "row"):
            what = statement_text.created(queries.get(group.waiter, ""))
            if what is not None:
                yield replace(group, subject=Subject("creation", words=what))
                continue
        yield group
