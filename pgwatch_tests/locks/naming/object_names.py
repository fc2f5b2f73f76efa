"""Name cache: databases, roles, relations, rows and objects that waits are about.

Filled behind the poll, lazily; what couldn't be had stays an OID and is asked again later.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import cast

from psycopg import AsyncConnection

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.locks.model import LockSnapshot, PreparedTransaction, Session, Subject
from pgwatch_tests.locks.naming.catalog_lookups import Lookups
from pgwatch_tests.locks.naming.named_groups import named_groups
from pgwatch_tests.locks.naming.relation_facts import RelationFacts, RelationRow
from pgwatch_tests.locks.naming.row_lookups import (
    Address,
    ChangesKey,
    LockedRows,
    TransactionRows,
    row_address,
)
from pgwatch_tests.locks.waits import transaction_wait
from pgwatch_tests.locks.waits.transaction_wait import ChangedRow, LockedTable
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.attempts import ConnectionAttempts
from pgwatch_tests.postgres.connections.session_settings import Row

_MOST_ROWS_AT_ONCE = 20
_MOST_OBJECTS_AT_ONCE = 20
_MOST_TABLES_AT_ONCE = 4
_ObjectAddress = tuple[int, tuple[int, int, int]]
"""Database; catalog, OID and sub-id."""


class NameCache:
    """Names of databases, roles, relations and rows; `resolve` fills it, the look-ups never wait."""

    def __init__(
        self, attempts: ConnectionAttempts, clock: Callable[[], float], tests: KnownTests | None = None
    ) -> None:
        self.lookups = Lookups(attempts, clock)
        self._tests = tests
        self._clock = clock
        self._databases: dict[int, str] = {}
        self._roles: dict[int, str] = {}
        self._relations: dict[tuple[int, int], RelationFacts] = {}
        self._relations_read_s: dict[tuple[int, int], float] = {}
        """When each was read, by the clock."""
        self._resolving_since_s = -math.inf
        self._objects: dict[_ObjectAddress, str] = {}
        self._rows = LockedRows(clock)
        self._server_started: datetime | None = None
        self._closed_to_us: dict[str, bool] = {}
        self.system_identifier: str | None = None
        """The system identifier of the polled cluster; None while not known."""
        self._avoided: frozenset[int] = frozenset()
        """The databases that no session is opened in; 0: any."""
        self._changes = TransactionRows(clock)

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
        relation = self._relations.get((database, oid))
        return None if relation is None else relation.kind

    def unique_keys(self, database: int, oid: int) -> Sequence[str]:
        """The columns of each unique or exclusion constraint of a table: `email`, `(day, room)`."""
        relation = self._relations.get((database, oid))
        return () if relation is None else relation.unique_keys

    def referencing(self, database: int, oid: int) -> Collection[int]:
        """The tables with a foreign key to this one."""
        relation = self._relations.get((database, oid))
        return () if relation is None else relation.table.referencing

    def ancestors(self, database: int, oid: int) -> Collection[str]:
        """The tables that this one is a partition or child of, as they are written."""
        relation = self._relations.get((database, oid))
        return () if relation is None else relation.ancestors

    def object_name(self, database: int, address: tuple[int, int, int]) -> str | None:
        """`schema audit`, `type mood`."""
        return self._objects.get((database, address))

    def row_key(self, database: int, oid: int, page: int, tuple_: int) -> str | None:
        """A row's primary key, `id=42`, or for a catalog's row the object, as it was a moment ago."""
        return self._rows.words((database, oid, page, tuple_))

    def named(self, snapshot: LockSnapshot) -> LockSnapshot:
        """`snapshot` with the names that are known: of what is waited for, of databases, roles and tests."""
        return replace(
            snapshot,
            sessions=tuple(map(self._named_session, snapshot.sessions)),
            prepared=tuple(
                replace(one, database=self.database(one.database_oid), user=self.role(one.user_oid))
                for one in snapshot.prepared
            ),
            groups=tuple(named_groups(snapshot, self, self.refined, self._rows)),
            system_identifier=self.system_identifier,
        )

    def _named_session(self, session: Session) -> Session:
        database, user = self.database(session.database_oid), self.role(session.user_oid)
        test = self._known_test(session.application_name)
        if (database, user, test) == (session.database, session.user, session.known_test):
            return session  # as all but the new ones are: a copy of each costs more than reading it
        return replace(session, database=database, user=user, known_test=test)

    def _known_test(self, application_name: str) -> str:
        """The whole id of the test that an application's name has only in short; empty if it isn't known."""
        if self._tests is None or "#" not in application_name:
            return ""
        identity = parse(application_name)
        return (identity and self._tests.full_id(identity)) or ""

    async def resolve(self, snapshot: LockSnapshot) -> None:
        """Looks up what `snapshot` needs and isn't known. Failures leave gaps; none is raised.

        No session is opened in a database that somebody wants for himself, or has locked a catalog of.
        """
        if snapshot.server_started != self._server_started:
            # On another server, the same OIDs are other things.
            self._forget_all()
            self._server_started = snapshot.server_started
        self._avoided = snapshot.wanted_databases | snapshot.shut_databases
        if self.system_identifier is None:
            await self._resolve_system()
        subjects = [group.subject for group in snapshot.groups if group.subject is not None]
        owners: list[Session | PreparedTransaction] = [*snapshot.sessions, *snapshot.prepared]
        databases = {one.database_oid for one in owners} | {one.database for one in subjects}
        await self._resolve_databases(databases)
        await self._resolve_roles({one.user_oid for one in owners})
        await self.resolve_subjects(subjects)

    async def resolve_subjects(self, subjects: Sequence[Subject]) -> None:
        """Looks up relations, objects and rows that aren't known: over one connection for each database."""
        self._resolving_since_s = self._clock()
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
            self._closed_to_us,
        ):
            known.clear()
        self._rows, self._changes = LockedRows(self._clock), TransactionRows(self._clock)
        self.system_identifier = None

    async def _resolve_system(self) -> None:
        due = self.lookups.due(["system"])

        async def read(connection: AsyncConnection[Row]) -> None:
            row = await (await connection.execute(queries.load("server/identity"))).fetchone()
            if row is not None and row[0] == self._server_started:
                self.system_identifier = str(row[1])

        if due:
            await self.lookups.attempt(None, due, read)

    async def _resolve_databases(self, oids: set[int | None]) -> None:
        missing = self.lookups.due([("database", oid) for oid in oids if oid and oid not in self._databases])

        async def read(connection: AsyncConnection[Row]) -> None:
            cursor = await connection.execute(queries.load("locks/database_names"))
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
                queries.load("locks/role_names"), {"oids": [oid for _, oid in missing]}
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
        cursor = await connection.execute(queries.load("locks/relation_names"), {"oids": oids})
        for row in cast(list[RelationRow], await cursor.fetchall()):
            self._relations[database, row[0]] = RelationFacts.of(row)
            self._relations_read_s[database, row[0]] = self._clock()
        self.lookups.rest([key for key in keys if key not in self._relations])

    async def _readable(self, key: tuple[int, int], connection: AsyncConnection[Row]) -> RelationFacts | None:
        """The relation if its rows may be read; asked anew, since it may have become a trap meanwhile."""
        if self._relations_read_s.get(key, -math.inf) < self._resolving_since_s:
            await self._read_relations(key[0], [key], connection)
        relation = self._relations.get(key)
        is_of_now = self._relations_read_s.get(key, -math.inf) >= self._resolving_since_s
        return relation if relation is not None and is_of_now and relation.is_readable else None

    async def _resolve_objects(self, subjects: Sequence[Subject]) -> None:
        wanted = {(subject.database or 0, subject.address) for subject in subjects if subject.address}
        due = self.lookups.due(sorted(address for address in wanted if address not in self._objects))
        for key in due[:_MOST_OBJECTS_AT_ONCE]:
            await self._attempt(key[0], [key], partial(self._read_object, key))

    async def _read_object(self, key: _ObjectAddress, connection: AsyncConnection[Row]) -> None:
        classid, objid, objsubid = key[1]
        parameters = {"classid": classid, "objid": objid, "objsubid": objsubid}
        cursor = await connection.execute(queries.load("locks/object_name"), parameters)
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
                await self._attempt(key[0], [key], partial(self._read_changes, key))

    async def _read_changes(self, key: ChangesKey, connection: AsyncConnection[Row]) -> None:
        relation = await self._readable(key[:2], connection)
        if relation is None:
            self.lookups.rest([key])
        else:
            await self._changes.read(key, relation, connection)

    def _perhaps_changed(self, subject: Subject) -> Sequence[int]:
        """The tables whose changed rows say more of `subject`."""
        if subject.kind == "row":
            return subject.relations if self._rows.is_invisible(row_address(subject)) else ()
        perhaps = transaction_wait.candidates(subject.sides, self._tables(subject)) if subject.sides else None
        return perhaps.rows[:_MOST_TABLES_AT_ONCE] if perhaps else ()

    def _tables(self, subject: Subject) -> dict[int, LockedTable]:
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

        if self._rows.is_invisible(row_address(subject)):
            return transaction_wait.visible(subject, changes)
        return transaction_wait.refined(subject, self._tables(subject), changes)

    async def _resolve_rows(self, subjects: Sequence[Subject]) -> None:
        wanted: dict[Address, set[int]] = {}
        for subject in subjects:
            address = row_address(subject)
            if address is not None:
                wanted.setdefault(address, set())
                if subject.transaction is not None:
                    wanted[address].add(subject.transaction)
        self._rows.forget_old()
        missing = [one for one in sorted(wanted) if not self._rows.is_known(one, wanted[one])]
        for address in self.lookups.due(missing)[:_MOST_ROWS_AT_ONCE]:
            await self._attempt(address[0], [address], partial(self._read_row, address, wanted[address]))

    async def _read_row(
        self, address: Address, transactions: Iterable[int], connection: AsyncConnection[Row]
    ) -> None:
        known = self._relations.get(address[:2])
        # Without the right to, each attempt would be an error in the server's log.
        relation = await self._readable(address[:2], connection) if known and known.is_readable else None
        if relation is None or not await self._rows.read(address, transactions, relation, connection):
            self.lookups.rest([address])

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


def _of_both_sides(subject: Subject) -> tuple[int, ...]:
    """Returns the tables that the waiter has locked: it doesn't wait for those of the blocker alone."""
    sides = subject.sides
    return (*sides.written, *sides.locked) if sides else ()
