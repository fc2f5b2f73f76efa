"""Sessions of a deadlock that no poll saw: asked for right after the error, which tells their pids.

The server ends one side only. The others hold their locks until their transactions end, so a transaction that
has lasted since before the wait is the one that was in the circle.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from pgwatch_tests.locks.watch.wait_journal import Side
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.maintenance_database import connect_outside
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.settings.load import Dsn
from pgwatch_tests.text.secrets import mask_name, mask_statement

_LIMITS = SessionLimits(statement_timeout_s=1.0, lock_timeout_s=0.5, any_bytes=True)
_CONNECT_TIMEOUT_S = 2.0
_STATEMENT_CHARACTERS = 1_000


def still_there(dsn: str, victim: int, pids: Iterable[int]) -> dict[int, Side]:
    """Returns those of the sessions whose transactions began before that of `victim` was ended.

    Raises CannotConnectError, ConfigurationError and psycopg.Error.
    """
    wanted = list(pids)
    if not wanted:
        return {}
    source = Dsn(dsn, "the database of the tests")
    with closing(connect_outside(source, _LIMITS, connect_timeout_s=_CONNECT_TIMEOUT_S)) as connection:
        rows = connection.execute(
            queries.load("locks/long_transactions"), {"pids": wanted, "victim": victim}
        ).fetchall()
    return {
        int(str(pid)): Side(
            int(str(pid)),
            mask_name(str(name or "")),
            str(backend or ""),
            str(state or ""),
            mask_statement(str(query or ""))[:_STATEMENT_CHARACTERS],
        )
        for pid, name, backend, state, query in rows
    }
