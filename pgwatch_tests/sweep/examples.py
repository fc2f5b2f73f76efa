"""Names one row that is the reason for others to stay: `public.member (id=7)`."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from pgwatch_tests import queries
from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.leaks.discover import shown
from pgwatch_tests.leaks.session import ScanSession
from pgwatch_tests.server.connection import OwnConnection
from pgwatch_tests.sweep.refusals import Refusal
from pgwatch_tests.sweep.statements import SweepStatements, tids_literal

_LONGEST = 40


@dataclass(frozen=True, slots=True)
class _KeyColumns:
    """A row of queries/sweep_key_columns.sql."""

    oid: int
    columns: list[str]


class Examples:
    """Looks up rows by the tids that refusals name."""

    def __init__(self, session: ScanSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def detail(self, refusal: Refusal) -> str:
        """What a refusal says, with the key of its example, if that row can be read. Raises nothing."""
        if refusal.example is None or not refusal.subject:
            return refusal.detail
        try:
            key = self._key(*refusal.example)
        except (psycopg.Error, PgwatchError):
            return refusal.detail
        return (
            refusal.detail.replace(refusal.subject, f"{refusal.subject} ({key})", 1)
            if key
            else refusal.detail
        )

    def _key(self, leaf: int, tid: int) -> str:
        query = queries.load("sweep_key_columns").encode()
        keys = self._session.fetch(query, _KeyColumns, {"oids": f"{{{leaf}}}"})
        if not keys:
            return ""
        statement = self._statements.values(leaf, keys[0].columns)

        def read(connection: OwnConnection) -> list[tuple[object, ...]]:
            return connection.execute(statement, {"tids": tids_literal([tid])}).fetchall()

        rows = self._session.run(read)
        if not rows:
            return ""
        pairs = zip(keys[0].columns, rows[0], strict=True)
        return ", ".join(f"{shown(column)}={_cut(shown(str(value)))}" for column, value in pairs)


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
