"""Functions that tests' SELECTs call: whether they may write, as the catalog says.

One may that is volatile and written in another language than C: PostgreSQL refuses data changes in others
(manual, Function Volatility Categories), and functions in C are extensions' own. Each name is asked about
once, right before the statement is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.connections.writes import Written

_UNCLEAR = Written("unclear")

Connected = Callable[[ServedDatabase], AbstractContextManager[OwnConnection]]


class CalledFunctions:
    """What is known of functions; for any thread."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected
        self._writing: dict[tuple[ServedDatabase, str], bool] = {}

    def with_writes(self, commit: Commit, *, asks: bool) -> Commit | None:
        """Returns the commit, with what its functions may write; None if it is one that only reads.

        `asks`: whether the database may be asked; else functions are taken to read.
        """
        if commit.written is None:
            return commit
        if asks and commit.calls and self._may_write(commit.database, commit.calls):
            return replace(commit, written=commit.written | {_UNCLEAR})
        if _UNCLEAR in commit.written:
            # It may have made a function.
            self._writing = {key: writes for key, writes in self._writing.items() if writes}
        return None if commit.calls and commit.xid is None and not commit.written else commit

    def _may_write(self, database: ServedDatabase, names: Iterable[str]) -> bool:
        unknown = [name for name in names if (database, name) not in self._writing]
        if unknown:
            try:
                with self._connected(database) as connection:
                    rows = connection.execute(
                        queries.load("verdicts/writing_functions"), {"names": unknown}
                    ).fetchall()
            except (PgwatchError, psycopg.Error):
                return False  # nor can be looked at what it wrote
            writing = {str(name) for (name,) in rows}
            self._writing.update({(database, name): name in writing for name in unknown})
        return any(self._writing[database, name] for name in names)
