"""The monitor of an exploration: a connection that asks the server what actors wait for and have locked."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connect import connect
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.connections.disconnection import finish_and_wait
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.testing.interleaving.schedules.touch import LOCK_MODES, Modes, Resource, modes

_LIMITS = SessionLimits(statement_timeout_s=10.0, lock_timeout_s=1.0)
_PLACES = frozenset(LOCK_MODES)
_FIRST_OF_USER = 16384
"""The first OID that isn't the catalogs' own (FirstNormalObjectId, src/include/access/transam.h)."""
_HIDES = re.compile(
    r"advisory_unlock|try_advisory|notify|dblink|setval|\blo_"
    r"|pg_locks|pg_lock_status|pg_stat|pg_blocking_pids|snapshot|txid_|pg_xact",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Locks:
    """What a session has locked or waits for."""

    resources: Mapping[Resource, Modes]
    is_serializable: bool
    is_deferrable: bool
    """Whether a table among them has something that is checked at COMMIT."""
    transactions: frozenset[str] = frozenset()
    """Ids of its transaction and subtransactions, as text."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, index or sequence."""

    kind: str
    name: str
    is_deferrable: bool


class Monitor:
    """Asks one server, over one connection, for whichever thread: one question at a time."""

    def __init__(self, dsn: str) -> None:
        """Raises CannotConnectError."""
        self._connection: OwnConnection = connect(
            Dsn(dsn, "an actor's connection"), _LIMITS, connect_timeout_s=10.0
        )
        self._turn = threading.Lock()
        self._known: dict[int, object] = {}
        """When sessions began, by their processes."""
        self._prepared: set[str] = set()
        self.relations: dict[int, Relation] = {}
        row = self._ask("interleave/hidden_effects")[0]
        self.has_hidden_effects = bool(row[0])
        """Whether a function of the database may do what the lock table doesn't tell."""

    def close(self) -> None:
        """Closes the connection, and waits a moment until the server has ended the session."""
        with self._turn:
            finish_and_wait(self._connection)

    def hides(self, text: str) -> bool:
        """Whether a statement may do what the lock table doesn't tell."""
        return self.has_hidden_effects or _HIDES.search(text) is not None

    def blockers(self, pids: Collection[int]) -> list[tuple[int, int]]:
        """Returns who of these sessions waits for whom, waiter first. Raises psycopg.Error."""
        return self._pairs("interleave/blockers", pids)

    def hard_waits(self, pids: Collection[int]) -> list[tuple[int, int]]:
        """Returns who of these sessions waits for whom that holds what it waits for. Raises psycopg.Error."""
        return self._pairs("interleave/hard_waits", pids)

    def _pairs(self, query: str, pids: Collection[int]) -> list[tuple[int, int]]:
        rows = self._ask_raw(query, "pids", f"{{{','.join(map(str, pids))}}}")
        return [(int(waiter), int(blocker)) for waiter, blocker in rows]

    def knows(self, pid: int) -> bool:
        """Whether the server knows a session by this process. Raises psycopg.Error."""
        if pid not in self._known and (rows := self._ask("interleave/doing", pid=pid)):
            self._known[pid] = rows[0][-1]
        return pid in self._known

    def has(self, pid: int) -> bool:
        """Whether the server still has a session that it knew. Raises psycopg.Error."""
        rows = self._ask("interleave/doing", pid=pid)
        return bool(rows) and rows[0][-1] == self._known.get(pid)

    def end(self, pid: int) -> bool:
        """Ends a session that the server knew. Returns whether it was told to. Raises psycopg.Error."""
        rows = self._ask("interleave/end_session", pid=pid, started=self._known.get(pid))
        return bool(rows and rows[0][0])

    def locks(self, pid: int) -> Locks:
        """Returns what a session has locked. Raises psycopg.Error."""
        rows = self._ask_raw("interleave/touched", "pid", str(pid))
        self._learn({int(row[1]) for row in rows if row[1]} - self.relations.keys())
        resources: dict[Resource, Modes] = {}
        transactions = set()
        is_serializable = is_deferrable = False
        for type_, oid, mode, xid, database, *key in rows:
            if mode == "SIReadLock":
                is_serializable = True
            elif type_ == "transactionid" and mode == "ExclusiveLock":
                transactions.add(xid)
            elif type_ in ("relation", "advisory") and mode in _PLACES:
                resource: Resource
                if type_ == "advisory":
                    resource = ("advisory", database, *key)
                else:
                    relation = self.relations.get(int(oid))
                    is_sequence = relation is not None and relation.kind == "S"
                    resource = ("sequence" if is_sequence else "relation", database, oid)
                    is_deferrable |= relation is not None and relation.is_deferrable
                resources[resource] = resources.get(resource, 0) | modes(mode)
        return Locks(resources, is_serializable, is_deferrable, frozenset(transactions))

    def doing(self, pid: int) -> str:
        """Returns what a session does, in words. Raises psycopg.Error."""
        rows = self._ask("interleave/doing", pid=pid)
        if not rows:
            return "the server doesn't know its session: connect to the server directly, not through a pooler"
        name, state, type_, event, _ = rows[0]
        return (
            f"application {name!r}, {state}, wait event {type_}/{event}"
            if type_
            else f"application {name!r}, {state}"
        )

    def cancel(self, pid: int) -> None:
        """Cancels what a session does. Raises psycopg.Error."""
        self._ask("interleave/cancel", pid=pid)

    def written(
        self, oids: Sequence[int], transactions: Sequence[str]
    ) -> list[tuple[str, dict[str, object], dict[str, object]]]:
        """Returns the rows of these tables that these transactions have written: the table and its columns.

        Columns that the database fills by itself are apart, last. Raises psycopg.Error.
        """
        columns: dict[int, list[tuple[str, bool]]] = {}
        for oid, name, is_generated in self._ask("interleave/columns", oids=list(oids)):
            columns.setdefault(_int(oid), []).append((str(name), bool(is_generated)))
        found = []
        for oid, named in columns.items():
            query = sql.SQL(
                "SELECT {} FROM ONLY {} WHERE CAST(xmin AS pg_catalog.text) OPERATOR(pg_catalog.=) ANY (%s)"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("CAST({} AS pg_catalog.text)").format(sql.Identifier(name)) for name, _ in named
                ),
                sql.SQL(self.relations[oid].name),  # quoted by the server
            )
            with self._turn:
                rows = self._connection.execute(query, [list(transactions)]).fetchall()
            for row in rows:
                values = list(zip(named, row, strict=True))
                found.append((
                    self.relations[oid].name,
                    {name: value for (name, is_made), value in values if not is_made},
                    {name: value for (name, is_made), value in values if is_made},
                ))  # fmt: skip
        return found

    def _learn(self, oids: set[int]) -> None:
        if not oids:
            return
        for oid, kind, name, is_deferrable in self._ask("interleave/relations", oids=sorted(oids)):
            self.relations[_int(oid)] = Relation(str(kind), str(name), bool(is_deferrable))
        for oid in oids - self.relations.keys():
            self.relations[oid] = Relation("", f"oid {oid}", False)

    def _ask_raw(self, query: str, parameter: str, value: str) -> list[tuple[str, ...]]:
        """Asks what is asked with every step: past psycopg's cursors, which cost four times as much.

        NULL comes as an empty text.
        """
        with self._turn:
            pgconn = self._connection.pgconn
            name = query.encode()
            if query not in self._prepared:
                text = queries.load(query).replace(f"%({parameter})s", "$1")
                _check(pgconn.prepare(name, text.encode()))
                self._prepared.add(query)
            result = pgconn.exec_prepared(name, [value.encode()])
            _check(result)
            columns = range(result.nfields)
            return [
                tuple((result.get_value(row, column) or b"").decode() for column in columns)
                for row in range(result.ntuples)
            ]

    def _ask(self, query: str, **parameters: object) -> list[tuple[object, ...]]:
        with self._turn:
            return self._connection.execute(queries.load(query).encode(), parameters or None).fetchall()


def dsn_of(connection: psycopg.BaseConnection[object]) -> str:
    """Returns a connection string for the server and database that a connection is to."""
    info = connection.info
    parameters = info.get_parameters()
    parameters |= {"host": info.host, "port": str(info.port), "dbname": info.dbname}
    parameters.pop("hostaddr", None)
    return make_conninfo("", password=info.password or None, **parameters)


def _check(result: PGresult) -> None:
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result)


def _int(value: object) -> int:
    assert isinstance(value, int), value
    return value
