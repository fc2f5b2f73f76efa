"""Who plays in a scenario: sessions, prepared transactions, server processes, each with a part's name."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial

import psycopg
from psycopg import Connection, sql
from psycopg.pq import PGconn
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.model import Party
from tests.servers.sessions import Connect, Database, RunningStatement, blocked, drop_database, unique_name
from tests.waiting import PATIENCE_S, wait_until

Session = Connection[TupleRow]


class Cast:
    """Gives out sessions by part and remembers which party plays it.

    `undo` closes when the sessions are gone: what must be dropped then is registered there.
    """

    def __init__(self, server: EmbeddedServer, database: Database, connect: Connect, undo: ExitStack) -> None:
        self._server = server
        self._connect = connect
        self._undo = undo
        self.database = database.name
        self.dsn = database.dsn
        self.observer = connect(database="postgres", autocommit=True)
        """Looks from another database, where nothing that it does is waited for."""
        self.version = self.observer.info.server_version // 10_000
        self._parts: dict[Party, str] = {}

    @property
    def parts(self) -> set[str]:
        """The names of all that play."""
        return set(self._parts.values())

    def part(self, party: Party) -> str:
        """Who that is; those that play no part, as they are."""
        return self._parts.get(party, str(party))

    def party(self, part: str) -> Party:
        """Who plays that part."""
        return next(party for party, name in self._parts.items() if name == part)

    def name(self, part: str, party: Party) -> None:
        """Says that `party`, which isn't a connection of ours, plays that part."""
        self._parts[party] = part

    def session(
        self, part: str, database: str | None = None, autocommit: bool = False, test: str = ""
    ) -> Session:
        """A connection. Its application_name is that of `test`, or of one called after the part."""
        application_name = f"pytest:gw{'0' if test else len(self._parts)} t.py::{test or f'test_{part}'}"
        session = self._connect(application_name, database, autocommit=autocommit)
        self.name(part, Party(session.info.backend_pid))
        return session

    def sessions(self, *parts: str) -> list[Session]:
        """A connection for each part."""
        return [self.session(part) for part in parts]

    def run(self, statements: str, database: str | None = None) -> None:
        """Runs statements in a session that is gone afterwards."""
        dsn = self._server.dsn(database or self.database)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statements.encode())

    def waits(self, session: Session, statement: str, parameters: Sequence[object] = ()) -> RunningStatement:
        """Runs a statement that has to wait for a lock; returns once it does."""
        return blocked(session, statement, parameters, observer=self.observer)

    def needs_alone(self, session: Session, statement: str) -> RunningStatement:
        """Runs a statement that needs a database for itself; returns once it waits for others to leave it."""
        running = RunningStatement(session, statement, ())
        self.until(
            "SELECT 1 FROM pg_lock_status() JOIN pg_stat_activity USING (pid)"
            " WHERE pid = %s AND granted AND classid = 'pg_database'::regclass AND objid <> 0"
            " AND mode IN ('ShareLock', 'AccessExclusiveLock') AND state = 'active'",
            [running.pid],
        )
        return running

    def stopped(self, session: Session) -> None:
        """Makes a session's process deaf to everything until the end."""
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        self._undo.callback(os.kill, session.info.backend_pid, signal.SIGCONT)

    def until(self, query: str, parameters: Sequence[object] = (), timeout_s: float = PATIENCE_S) -> TupleRow:
        """Waits until a query in the `postgres` database finds something; its first row."""
        found = wait_until(
            lambda: self.observer.execute(query.encode(), parameters).fetchall(), timeout_s, message=query
        )
        return found[0]

    def until_event(self, session: Session, event: str) -> None:
        """Waits until a session waits for `event` (pg_stat_activity.wait_event)."""
        pid = session.info.backend_pid
        self.until("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = %s", [pid, event])

    def waits_for_transaction(self, session: Session) -> None:
        """Waits until a session waits for the end of a transaction."""
        query = "SELECT 1 FROM pg_lock_status() WHERE pid = %s AND NOT granted AND locktype = 'transactionid'"
        self.until(query, [session.info.backend_pid])

    def third_in_line(self, first: Session, second: Session, third: Session, *statements: str) -> bool:
        """Lets each run its own of three statements that want one row, in turn, and the first one commit.

        So the second one has the row, and the third waits for a version of it that wasn't there before.
        Once in a while the third is faster: then all begin again. Whether the third holds the lock of the row
        itself meanwhile, which tells the row, is a matter of moments: it is returned.
        """
        while True:
            first.execute(statements[0].encode())
            earlier, later = self.waits(second, statements[1]), self.waits(third, statements[2])
            first.commit()
            wait_until(partial(_one_is_done, earlier, later), message="one of two has the row")
            if not earlier.thread.is_alive():
                earlier.result()
                self.waits_for_transaction(third)
                query = "SELECT 1 FROM pg_lock_status() WHERE pid = %s AND granted AND locktype = 'tuple'"
                return bool(self.observer.execute(query.encode(), [third.info.backend_pid]).fetchall())
            for running, session in ((later, third), (earlier, second)):
                running.result()
                session.rollback()

    def prepare(self, part: str, session: Session) -> str:
        """Prepares the session's transaction, which plays the part from then on; its gid."""
        gid = f"it's {part} of {self.database}"
        session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        self._parts.pop(Party(session.info.backend_pid), None)
        session.close()
        self.name(part, Party(0, gid))
        return gid

    def another_database(self, template: str = "template1", name: str | None = None) -> str:
        """A database that is dropped at the end; with a name of its own unless one is given."""
        name = self.reserve_database(name)
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}", "postgres")
        return name

    def reserve_database(self, name: str | None = None) -> str:
        """The name of a database that is dropped at the end if it's there."""
        name = name or unique_name()
        self._undo.callback(self._administer, partial(drop_database, name=name))
        return name

    def role(self) -> str:
        """A role that is dropped at the end."""
        name = unique_name("test_role")
        self.run(f"CREATE ROLE {name}")
        self._undo.callback(self.run, f"DROP ROLE IF EXISTS {name}", "postgres")
        return name

    def connecting(self, part: str, database: str) -> None:
        """Begins to connect to a database that is locked; returns once the new backend waits for it."""
        connection = PGconn.connect_start(self._server.dsn(database).encode())
        self._undo.callback(connection.finish)
        query = (
            "SELECT pid FROM pg_lock_status() WHERE NOT granted AND classid = 'pg_database'::regclass"
            " AND objid = (SELECT oid FROM pg_database WHERE datname = %s)"
        )

        def waiting() -> list[TupleRow]:
            connection.connect_poll()
            return self.observer.execute(query.encode(), [database]).fetchall()

        [(pid,)] = wait_until(waiting, message=f"a connection waits for {database}")
        self.name(part, Party(pid))

    def no_deadlock_check(self, sessions: Iterable[Session]) -> None:
        """Keeps the server from ending a deadlock of these sessions while it is looked at."""
        for session in sessions:
            session.execute("SET LOCAL deadlock_timeout = '60s'")

    def _administer(self, action: Callable[[Session], None]) -> None:
        with psycopg.connect(self._server.dsn(), autocommit=True) as administrator:
            action(administrator)


def _one_is_done(*statements: RunningStatement) -> bool:
    return not all(statement.thread.is_alive() for statement in statements)
