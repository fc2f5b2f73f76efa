"""What a wait is about: derived from lock rows, and said in words. Pure.

The rules are the server's (src/backend/access/heap/README.tuplock): who waits for a row that another
transaction changed holds the row's tuple lock and waits for that transaction's id; those behind it wait
for the tuple lock. Who waits for a transaction id and holds no tuple lock has met an uncommitted entry
with its own key in a unique index (_bt_check_unique).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from pgwatch_tests.locks.model import LockTag, Party, Subject

_CANDIDATES_SHOWN = 3
_TABLES = ("table", "partitioned table")
PG_DATABASE = 1262  # DatabaseRelationId, src/include/catalog/pg_database.h
# What is said of an object while its name isn't known; OIDs of the catalogs, src/include/catalog/.
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
_FIRST_USER_OID = 16384  # FirstNormalObjectId, src/include/access/transam.h


class Names(Protocol):
    """What is known of names at the moment; None, or nothing, where nothing is (yet)."""

    def database(self, oid: int | None) -> str | None:
        """A database's name."""

    def relation(self, database: int, oid: int) -> str | None:
        """`users`, or `billing.invoices` outside of public."""

    def relation_kind(self, database: int, oid: int) -> str | None:
        """`table`, `index`, `view` …"""

    def unique_keys(self, database: int, oid: int) -> Sequence[str]:
        """The columns of each unique or exclusion constraint of a table: `email`, `(day, room)`."""

    def row_key(self, database: int, oid: int, page: int, tuple_: int) -> str | None:
        """The primary key of a row: `id=42`."""

    def referencing(self, database: int, oid: int) -> Collection[int]:
        """The tables with a foreign key to this one."""

    def object_name(self, database: int, address: tuple[int, int, int]) -> str | None:
        """`schema audit`, `type mood`."""


def subject(
    tag: LockTag, tuples_held: Collection[LockTag], relations_shared: Collection[LockTag], blocker: Party
) -> Subject:
    """What a wait for `tag` is about.

    `tuples_held` are the tuple locks that the waiter holds, `relations_shared` the relations that it
    and its blocker both write to.
    """
    match tag.type:
        case "relation" | "extend" if tag.relation is not None:
            words = "extension of " if tag.type == "extend" else ""
            return Subject("relation", tag.database, (tag.relation,), words=words)
        case "tuple" if tag.relation is not None:
            return Subject("row", tag.database, (tag.relation,), tag.page, tag.offset)
        case "transactionid":
            return _behind_transaction(tag, tuples_held, relations_shared)
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


def _behind_transaction(
    tag: LockTag, tuples_held: Collection[LockTag], relations_shared: Collection[LockTag]
) -> Subject:
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
    transaction = f"end of transaction {tag.transactionid}"
    oids = sorted(shared.relation for shared in relations_shared if shared.relation is not None)
    # Catalog tables are candidates only where nothing else is: two CREATE TABLEs of one name.
    oids = [oid for oid in oids if oid >= _FIRST_USER_OID] or oids
    if not oids:
        return Subject("transaction", words=transaction)
    database = next(iter(relations_shared)).database
    return Subject("unique_key", database, tuple(oids), words=transaction)


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
        case "row":
            oid = subject.relations[0]
            name = names.relation(database, oid) or f"relation {oid}"
            assert subject.page is not None
            assert subject.offset is not None
            key = names.row_key(database, oid, subject.page, subject.offset)
            return f"row of {name} ({key or f'at {subject.page},{subject.offset}'})"
        case "database":
            return f"database {names.database(database) or database}"
        case "unique_key":
            known = [
                (names.relation(database, oid), names.relation_kind(database, oid))
                for oid in subject.relations
            ]
            tables = [name for name, kind in known if name and kind in _TABLES]
            if not tables:
                return subject.words
            more = " …" if len(tables) > _CANDIDATES_SHOWN else _key_columns(subject, names, len(tables))
            return f"unique key of {' or '.join(tables[:_CANDIDATES_SHOWN])}{more}"
        case "object" if subject.address is not None:
            return names.object_name(database, subject.address) or subject.words
    return subject.words


def _key_columns(subject: Subject, names: Names, tables: int) -> str:
    """The columns of the key if it can be told which: nothing says more than the table's constraints do."""
    keys = [key for oid in subject.relations for key in names.unique_keys(subject.database or 0, oid)]
    if tables > 1 or not 0 < len(keys) <= _CANDIDATES_SHOWN:
        return ""
    return f" {keys[0]}" if keys[0].startswith("(") and len(keys) == 1 else f" ({' or '.join(keys)})"


def foreign_key_of(subject: Subject, names: Names) -> str:
    """The table whose foreign key's check locks the row; empty if that isn't what it is, or isn't known."""
    if subject.kind != "row" or not subject.referencing:
        return ""
    database = subject.database or 0
    found = set(names.referencing(database, subject.relations[0])).intersection(subject.referencing)
    known = sorted(filter(None, (names.relation(database, oid) for oid in found)))
    return " or ".join(known[:_CANDIDATES_SHOWN])


def object_in_words(subject: Subject, names: Names) -> str:
    """The same for all waits on one table, advisory lock or database: `accounts`, `advisory lock 7`."""
    database = subject.database or 0
    match subject.kind:
        case "relation" | "row" | "unique_key":
            known = [
                (names.relation(database, oid), names.relation_kind(database, oid))
                for oid in subject.relations
            ]
            if subject.kind != "unique_key":
                return known[0][0] or f"relation {subject.relations[0]}"
            return (
                " or ".join(name for name, kind in known if name and kind in _TABLES) or "end of transaction"
            )
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
