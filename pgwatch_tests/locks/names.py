"""What is known of names: of databases, roles, relations, rows and other objects.

Filled behind the poll, lazily; what couldn't be had stays an OID and is asked again later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import cast

from psycopg import AsyncConnection, sql

from pgwatch_tests import queries
from pgwatch_tests.locks import modes, transaction_wait
from pgwatch_tests.locks.changed_rows import ChangedRows
from pgwatch_tests.locks.lookups import Lookups
from pgwatch_tests.locks.model import EdgeGroup, LockSnapshot, Party, PreparedTransaction, Session, Subject
from pgwatch_tests.locks.relation_facts import Relation, RelationRow, quoted
from pgwatch_tests.locks.transaction_wait import ChangedRow, Table
from pgwatch_tests.server.opening import Opening
from pgwatch_tests.server.secret_words import is_credential
from pgwatch_tests.server.secrets import MASK
from pgwatch_tests.server.session_limits import Row

_ROW_LIVES_S = 10.0
_LOCKERS_LIVE_S = 5.0
# Where nothing tells whether a locker is still in the transaction that was looked up.
_UNSURE_LIVES_S = 2.0
_INVISIBLE_LIVES_S = 120.0
_MOST_ROWS_AT_ONCE = 20
_MOST_OBJECTS_AT_ONCE = 20
_MOST_TABLES_AT_ONCE = 4
_KEY_CHARACTERS = 40
_SAME_MOMENT_S = 0.005

_Address = tuple[int, int, int, int]
"""Database, relation, page, tuple."""
_ObjectAddress = tuple[int, tuple[int, int, int]]
"""Database; catalog, OID and sub-id."""


@dataclass(frozen=True, slots=True)
class _RowSeen:
    key: str
    at_s: float


@dataclass(frozen=True, slots=True)
class _Locker:
    modes: frozenset[str]
    began_s: float | None
    """When its transaction began, since the epoch; None if hidden."""


@dataclass(frozen=True, slots=True)
class _LockersSeen:
    by_pid: Mapping[int, _Locker]
    at_s: float


class NameCache:
    """Names of databases, roles, relations and rows; `resolve` fills it, the look-ups never wait."""

    def __init__(self, opening: Opening, clock: Callable[[], float]) -> None:
        self.lookups = Lookups(opening, clock)
        self._clock = clock
        self._databases: dict[int, str] = {}
        self._roles: dict[int, str] = {}
        self._relations: dict[tuple[int, int], Relation] = {}
        self._objects: dict[_ObjectAddress, str] = {}
        self._rows: dict[_Address, _RowSeen] = {}
        self._lockers: dict[tuple[_Address, int], _LockersSeen] = {}
        self._server_started: datetime | None = None
        self._closed_to_us: dict[str, bool] = {}
        self._avoided: frozenset[int] = frozenset()
        """The databases that no session is opened in; 0: any."""
        self._invisible: dict[_Address | None, float] = {}
        """Where rows are that nobody sees yet: their own transaction has changed them. Looked at when."""
        self._changes = ChangedRows(clock)

    def is_closed(self, database: str) -> bool | None:
        """Whether that database isn't there, or lets our role not in; None while that isn't known."""
        return self._closed_to_us.get(database, True) if self._closed_to_us else None

    def database(self, oid: int | None) -> str | None:
        """A database's name."""
        return self._databases.get(oid or 0)

    def role(self, oid: int | None) -> str | None:
        """A role's name."""
        return self._roles.get(oid or 0)

    def relation(self, database: int, oid: int) -> str | None:
        """`users`; with its schema unless that is public."""
        found = self._relations.get((database, oid))
        return None if found is None else found.words

    def relation_kind(self, database: int, oid: int) -> str | None:
        """`table`, `index`, `view` …"""
        found = self._relations.get((database, oid))
        return None if found is None else found.kind

    def unique_keys(self, database: int, oid: int) -> Sequence[str]:
        """The columns of each unique or exclusion constraint of a table: `email`, `(day, room)`."""
        found = self._relations.get((database, oid))
        return () if found is None else found.unique_keys

    def referencing(self, database: int, oid: int) -> Collection[int]:
        """The tables with a foreign key to this one."""
        found = self._relations.get((database, oid))
        return () if found is None else found.table.referencing

    def object_name(self, database: int, address: tuple[int, int, int]) -> str | None:
        """`schema audit`, `type mood`."""
        return self._objects.get((database, address))

    def row_key(self, database: int, oid: int, page: int, tuple_: int) -> str | None:
        """A row's primary key, `id=42`, as it was a moment ago."""
        seen = self._rows.get((database, oid, page, tuple_))
        return seen.key if seen and seen.key and self._clock() - seen.at_s < _ROW_LIVES_S else None

    def also_held_by(self, group: EdgeGroup, snapshot: LockSnapshot) -> tuple[Party, ...]:
        """Who else has locked the row of `group` in its way, still in the transaction that was looked up."""
        address = None if group.subject is None else _row_address(group.subject)
        if address is None or group.subject is None or group.subject.transaction is None:
            return ()
        seen = self._lockers.get((address, group.subject.transaction))
        if seen is None or self._clock() - seen.at_s > 2 * _LOCKERS_LIVE_S:
            return ()
        sampled_s = snapshot.sampled_at.timestamp()
        found = []
        for session in snapshot.sessions:
            party = Party(session.pid)
            locker = seen.by_pid.get(session.pid)
            if locker is None or party == group.waiter or party in group.blockers:
                continue
            if not any(modes.row_conflict(group.subject.wanted_mode, mode) for mode in locker.modes):
                continue
            began_s, age_s = locker.began_s, session.xact_age_s
            if (
                self._clock() - seen.at_s < _UNSURE_LIVES_S
                if began_s is None or age_s is None
                else abs(sampled_s - age_s - began_s) < _SAME_MOMENT_S
            ):
                found.append(party)
        return tuple(found)

    async def resolve(self, snapshot: LockSnapshot) -> None:
        """Looks up what `snapshot` needs and isn't known. Failures leave gaps; none is raised.

        No session is opened in a database that somebody wants for himself, or has locked a catalog of.
        """
        if snapshot.server_started != self._server_started:
            # On another server, the same OIDs are other things.
            self._forget_all()
            self._server_started = snapshot.server_started
        self._avoided = snapshot.wanted_databases | snapshot.shut_databases
        subjects = [group.subject for group in snapshot.groups if group.subject is not None]
        owners: list[Session | PreparedTransaction] = [*snapshot.sessions, *snapshot.prepared]
        databases = {one.database_oid for one in owners} | {one.database for one in subjects}
        await self._resolve_databases(databases)
        await self._resolve_roles({one.user_oid for one in owners})
        await self.resolve_subjects(subjects)

    async def resolve_subjects(self, subjects: Sequence[Subject]) -> None:
        """Looks up relations, objects and rows that aren't known: over one connection for each database."""
        by_database: dict[int, list[Subject]] = {}
        for subject in subjects:
            by_database.setdefault(subject.database or 0, []).append(subject)
        for database, there in by_database.items():
            name = self._databases.get(database)
            if {0, database} & self._avoided and not self.lookups.is_home(name):
                continue
            with self.lookups.visit(name):
                await self._resolve_relations(there)
                await self._resolve_objects(there)
                await self._resolve_rows(there)
                await self._resolve_changes(there)
                await self._resolve_rows([self.refined(one) for one in there if one.sides])

    def _forget_all(self) -> None:
        for known in (
            self._databases,
            self._roles,
            self._relations,
            self._objects,
            self._rows,
            self._lockers,
            self._closed_to_us,
            self._invisible,
        ):
            known.clear()
        self._changes = ChangedRows(self._clock)

    async def _resolve_databases(self, oids: set[int | None]) -> None:
        missing = self.lookups.due([("database", oid) for oid in oids if oid and oid not in self._databases])

        async def read(connection: AsyncConnection[Row]) -> None:
            cursor = await connection.execute(queries.load("database_names"))
            for oid, name, takes_connections, may_connect in await cursor.fetchall():
                self._databases[cast(int, oid)] = str(name)
                self._closed_to_us[str(name)] = not (takes_connections and may_connect)
            # Dropped in the meantime, then: not to be asked for with every poll.
            self.lookups.rest([key for key in missing if key[1] not in self._databases])

        if missing:
            await self.lookups.attempt(None, missing, read)

    async def _resolve_roles(self, oids: set[int | None]) -> None:
        missing = self.lookups.due([("role", oid) for oid in oids if oid and oid not in self._roles])

        async def read(connection: AsyncConnection[Row]) -> None:
            cursor = await connection.execute(
                queries.load("role_names"), {"oids": [oid for _, oid in missing]}
            )
            for oid, name in cast(list[tuple[int, str]], await cursor.fetchall()):
                if name != f"unknown (OID={oid})":  # pg_get_userbyid, src/backend/utils/adt/ruleutils.c
                    self._roles[oid] = name
            self.lookups.rest([key for key in missing if key[1] not in self._roles])

        if missing:
            await self.lookups.attempt(None, missing, read)

    async def _resolve_relations(self, subjects: Sequence[Subject]) -> None:
        wanted: dict[int, set[int]] = {}
        for subject in subjects:
            if subject.database is not None:
                wanted.setdefault(subject.database, set()).update(
                    subject.relations, subject.referencing, _of_both_sides(subject)
                )
        for database, oids in wanted.items():
            missing = [(database, oid) for oid in sorted(oids) if (database, oid) not in self._relations]
            due = self.lookups.due(missing)
            if due:
                await self._attempt(database, due, partial(self._read_relations, database, due))

    async def _read_relations(
        self, database: int, keys: list[tuple[int, int]], connection: AsyncConnection[Row]
    ) -> None:
        oids = [oid for _, oid in keys]
        cursor = await connection.execute(queries.load("relation_names"), {"oids": oids})
        for row in cast(list[RelationRow], await cursor.fetchall()):
            self._relations[database, row[0]] = Relation.of(row)
        self.lookups.rest([key for key in keys if key not in self._relations])

    async def _resolve_objects(self, subjects: Sequence[Subject]) -> None:
        wanted = {(subject.database or 0, subject.address) for subject in subjects if subject.address}
        due = self.lookups.due(sorted(address for address in wanted if address not in self._objects))
        for key in due[:_MOST_OBJECTS_AT_ONCE]:
            await self._attempt(key[0], [key], partial(self._read_object, key))

    async def _read_object(self, key: _ObjectAddress, connection: AsyncConnection[Row]) -> None:
        classid, objid, objsubid = key[1]
        parameters = {"classid": classid, "objid": objid, "objsubid": objsubid}
        cursor = await connection.execute(queries.load("object_name"), parameters)
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            self.lookups.rest([key])
        else:
            # As tables are named: without the schema that goes without saying.
            self._objects[key] = str(row[0]).replace(" public.", " ", 1)

    async def _resolve_changes(self, subjects: Sequence[Subject]) -> None:
        """Looks up which rows a transaction has changed, where that tells what others wait for."""
        self._changes.forget_old()
        wanted = {
            (one.database, oid, one.sides.transaction)
            for one in subjects
            if one.sides and one.database
            for oid in self._perhaps_changed(one)
        }
        due = self.lookups.due(sorted(key for key in wanted if not self._changes.is_fresh(key)))
        for key in due[:_MOST_TABLES_AT_ONCE]:
            relation = self._relations.get(key[:2])
            if relation is None or not relation.is_readable:
                self.lookups.rest([key])
            else:
                await self._attempt(key[0], [key], partial(self._changes.read, key, relation))

    def _perhaps_changed(self, subject: Subject) -> Sequence[int]:
        """The tables whose changed rows say more of `subject`."""
        if subject.kind == "row":
            return subject.relations if _row_address(subject) in self._invisible else ()
        found = transaction_wait.candidates(subject.sides, self._tables(subject)) if subject.sides else None
        return found.rows[:_MOST_TABLES_AT_ONCE] if found else ()

    def _tables(self, subject: Subject) -> dict[int, Table]:
        database = subject.database or 0
        known = ((oid, self._relations.get((database, oid))) for oid in _of_both_sides(subject))
        return {oid: relation.table for oid, relation in known if relation}

    def refined(self, subject: Subject) -> Subject:
        """`subject`, with the row or key that a wait for a transaction is about, as far as that is known."""
        sides = subject.sides
        if sides is None:
            return subject

        def changes(oid: int) -> Sequence[ChangedRow] | None:
            return self._changes.of((subject.database or 0, oid, sides.transaction))

        if _row_address(subject) in self._invisible:
            return transaction_wait.visible(subject, changes)
        return transaction_wait.refined(subject, self._tables(subject), changes)

    async def _resolve_rows(self, subjects: Sequence[Subject]) -> None:
        wanted: dict[_Address, set[int]] = {}
        for subject in subjects:
            address = _row_address(subject)
            if address is not None:
                wanted.setdefault(address, set())
                if subject.transaction is not None:
                    wanted[address].add(subject.transaction)
        now_s = self._clock()
        self._rows = {key: seen for key, seen in self._rows.items() if now_s - seen.at_s < _ROW_LIVES_S}
        self._lockers = {
            key: seen for key, seen in self._lockers.items() if now_s - seen.at_s < _LOCKERS_LIVE_S
        }
        self._invisible = {
            key: at_s for key, at_s in self._invisible.items() if now_s - at_s < _INVISIBLE_LIVES_S
        }
        missing = [
            address
            for address, transactions in sorted(wanted.items())
            if address not in self._rows
            or any((address, transaction) not in self._lockers for transaction in transactions)
        ]
        for address in self.lookups.due(missing)[:_MOST_ROWS_AT_ONCE]:
            await self._attempt(address[0], [address], partial(self._read_row, address, wanted[address]))

    async def _read_row(
        self, address: _Address, transactions: Iterable[int], connection: AsyncConnection[Row]
    ) -> None:
        database, oid, page, tuple_ = address
        relation = self._relations.get((database, oid))
        if relation is None or not relation.is_readable:
            # Each attempt would be an error in the server's log.
            self.lookups.rest([address])
            return
        # By what they print: a cast to text is whatever the type's owner says.
        columns = [
            sql.SQL("pg_catalog.concat({})").format(sql.Identifier(column)) for column in relation.key_columns
        ]
        statement = sql.SQL(
            "SELECT {} FROM ONLY {} WHERE ctid OPERATOR(pg_catalog.=) {}::pg_catalog.tid"
        ).format(
            sql.SQL(", ").join([sql.SQL("xmax::pg_catalog.text"), *columns]),
            relation.name,
            sql.Literal(f"({page},{tuple_})"),
        )
        # As UTF-8, not as the connection's SQL_ASCII: that has no letters beyond ASCII.
        cursor = await connection.execute(statement.as_bytes(None))
        row = await cursor.fetchone()
        if row is None:
            self._invisible[address] = self._clock()
            self.lookups.rest([address])
            return
        xmax, *values = row
        pairs = zip(relation.key_columns, values, strict=True)
        words = ", ".join(f"{quoted(column)}={_shown_value(column, str(value))}" for column, value in pairs)
        self._rows[address] = _RowSeen(words, self._clock())
        self._invisible.pop(address, None)
        for transaction in transactions:
            lockers: dict[int, _Locker] = {}
            self._lockers[address, transaction] = _LockersSeen(lockers, self._clock())
            # With a single locker, xmax is its transaction id, not that of a multixact.
            if xmax not in ("0", str(transaction)):
                cursor = await connection.execute(
                    queries.load("row_lockers"), {"multixact": xmax, "transaction": str(transaction)}
                )
                rows = cast(list[tuple[int, str, float | None]], await cursor.fetchall())
                for pid, mode, began_s in rows:
                    before = lockers[pid].modes if pid in lockers else frozenset()
                    lockers[pid] = _Locker(before | {mode}, began_s)

    async def _attempt(
        self,
        database: int,
        keys: Iterable[object],
        read: Callable[[AsyncConnection[Row]], Awaitable[None]],
    ) -> None:
        name = self._databases.get(database)
        if database and name is None:
            self.lookups.rest(keys)
        else:
            await self.lookups.attempt(name, keys, read)


def _row_address(subject: Subject) -> _Address | None:
    if subject.kind not in ("row", "row_or_key") or subject.database is None:
        return None
    if subject.page is None or subject.offset is None:
        return None
    return subject.database, subject.relations[0], subject.page, subject.offset


def _shown_value(column: str, value: str) -> str:
    return MASK if is_credential(column) else _shortened(value)


def _shortened(value: str) -> str:
    return value if len(value) <= _KEY_CHARACTERS else f"{value[: _KEY_CHARACTERS - 1]}…"


def _of_both_sides(subject: Subject) -> tuple[int, ...]:
    """What the waiter has locked: what the blocker has locked alone isn't waited for."""
    sides = subject.sides
    return (*sides.written, *sides.locked) if sides else ()
