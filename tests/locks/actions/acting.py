"""Acts on sessions of a test's own."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.actions.action import Action, How, Outcome, SessionAction, on_session
from pgwatch_tests.locks.actions.execution import act
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.looking import look
from tests.servers.sessions import Connect, Database, MakeRole, RunningStatement
from tests.waiting import wait_until

Session = Connection[TupleRow]
FOREVER = "SELECT pg_sleep(600)"


def pid(session: Session) -> int:
    return session.info.backend_pid


def settings(dsn: str) -> Settings:
    return Settings(dsn=Dsn(dsn, "the test"))


def do(dsn: str, action: Action) -> Outcome:
    return asyncio.run(act(settings(dsn), action))


def seen(dsn: str, session: Session, how: How) -> SessionAction:
    """The action on a session, as a look at the server makes it."""
    return on_session(look(dsn), pid(session), how)


def is_there(database: Database, number: int) -> bool:
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        query = "SELECT 1 FROM pg_stat_get_activity(%s::int)"
        return observer.execute(query, [number]).fetchone() is not None


def running(connect: Connect, session: Session, statement: str = FOREVER) -> RunningStatement:
    """Runs a statement on `session`; returns once the server shows it."""
    started = RunningStatement(session, statement, ())
    observer = connect(autocommit=True)
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query = %s"
    wait_until(lambda: observer.execute(query, [started.pid, statement]).fetchone(), message="it runs")
    return started


class DsnAs:
    """Makes a role, and the connection string of the test's database for it."""

    def __init__(self, server: EmbeddedServer, database: Database, make_role: MakeRole) -> None:
        self._server = server
        self._database = database
        self._make_role = make_role

    def __call__(self, options: LiteralString = "") -> tuple[str, str]:
        role = self._make_role(options)
        return role, self._server.dsn(self._database.name, role)
