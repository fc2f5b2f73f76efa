"""Hooks in SQLAlchemy's PostgreSQL dialects, which reach sessions older than the hooks in their driver.

BEGIN and COMMIT go through the hooks of psycopg 3 and asyncpg; those of psycopg 2 can't, for connections that
were open before. They tell, too, when a pool hands a session out: what is set until then, by handlers of
`connect` and `checkout`, is the application's and no test's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.pool import Pool

from pgwatch_tests.testing.connections.sessions import DriverHooks, TestSession


class SqlalchemyHooks(DriverHooks[object]):
    """The hooks in SQLAlchemy."""

    driver = "sqlalchemy"

    def _install(self) -> None:
        self._patch(PGDialect, "do_begin", ("self", "dbapi_connection"), self._beginning)
        self._patch(PGDialect, "do_commit", ("self", "dbapi_connection"), self._committing)
        event.listen(Pool, "checkin", self._checked_in)

    def remove(self) -> None:
        """Takes the hooks out."""
        if self._is_on:
            event.remove(Pool, "checkin", self._checked_in)
        super().remove()

    def _beginning(self, begin: Callable[..., None]) -> Callable[..., None]:
        def begin_named(dialect: object, dbapi_connection: object) -> None:
            connection = getattr(dbapi_connection, "driver_connection", dbapi_connection)
            if (hooks := self._older(connection)) is not None:
                hooks.before_statement(connection, "SHOW")
            if (session := self._session(connection)) is not None:
                session.state.has_started = session.is_of_pool = True
            begin(dialect, dbapi_connection)

        return begin_named

    def _committing(self, commit: Callable[..., None]) -> Callable[..., None]:
        def commit_counted(dialect: object, dbapi_connection: object) -> None:
            connection = getattr(dbapi_connection, "driver_connection", dbapi_connection)
            if (hooks := self._older(connection)) is not None:
                hooks.commit(connection, lambda: commit(dialect, dbapi_connection))
            else:
                commit(dialect, dbapi_connection)

        return commit_counted

    def _checked_in(self, _: object, record: object) -> None:
        session = self._session(getattr(record, "driver_connection", None))
        if session is not None:
            session.state.has_started = False

    def _older(self, connection: Any) -> Any:
        """Returns the hooks of psycopg 2 for a connection that doesn't ask them by itself; else None."""
        for hooks in self.drivers:
            if hooks.driver == "psycopg2" and hooks.reaches(connection):
                return hooks
        return None

    def _session(self, connection: object) -> TestSession | None:
        for hooks in self.drivers:
            if (session := hooks.known(connection)) is not None:
                return session
        return None
