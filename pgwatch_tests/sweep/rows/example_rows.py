"""Names one row that is the reason for others to stay: `public.member (id=7)`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.connections.connection import OwnConnection
from pgwatch_tests.postgres.sessions.session import ScanSession
from pgwatch_tests.sweep.plan.refusals import Refusal
from pgwatch_tests.sweep.rows.statements import SweepStatements
from pgwatch_tests.sweep.rows.tids import literal
from pgwatch_tests.text.sql_names import shown

_LONGEST = 40


@dataclass(frozen=True, slots=True)
class _KeyColumns:
    """A row of queries/sweep/key_columns.sql."""

    oid: int
    columns: list[str]


class Examples:
    """Looks up rows by the tids that refusals name."""

    def __init__(self, session: ScanSession, statements: SweepStatements) -> None:
        self._session = session
        self._statements = statements

    def details(self, refusals: Iterable[Refusal]) -> dict[Refusal, str]:
        """What each says, with the key of its example, if that row can be read. Raises nothing."""
        several = list(refusals)
        by_leaf: defaultdict[int, list[int]] = defaultdict(list)
        for refusal in several:
            if refusal.example is not None and refusal.subject:
                by_leaf[refusal.example[0]].append(refusal.example[1])
        keys: dict[tuple[int, int], str] = {}
        with suppress(psycopg.Error, PgwatchError):
            for columns in self._key_columns([*by_leaf]):
                with suppress(psycopg.Error):
                    tids = by_leaf[columns.oid]
                    values = self._values(columns, tids)
                    keys |= {(columns.oid, tid): key for tid, key in zip(tids, values, strict=True)}
        return {refusal: _named(refusal, keys) for refusal in several}

    def _key_columns(self, leaves: Sequence[int]) -> list[_KeyColumns]:
        if not leaves:
            return []
        oids = "{" + ",".join(map(str, leaves)) + "}"
        return self._session.ask("sweep/key_columns", _KeyColumns, {"oids": oids})

    def _values(self, key: _KeyColumns, tids: Sequence[int]) -> list[str]:
        """`id=7` of each of these rows, empty where there is none by now."""
        statement = self._statements.values(key.oid, key.columns)

        def read(connection: OwnConnection) -> list[tuple[object, ...]]:
            return connection.execute(statement, {"tids": literal(tids)}).fetchall()

        found = {}
        for tid, *values in self._session.run(read):
            pairs = zip(key.columns, values, strict=True)
            found[str(tid)] = ", ".join(
                f"{shown(column)}={_cut(shown(str(value)))}" for column, value in pairs
            )
        return [found.get(f"({tid >> 16},{tid & 65535})", "") for tid in tids]


def _named(refusal: Refusal, keys: Mapping[tuple[int, int], str]) -> str:
    key = keys.get(refusal.example, "") if refusal.example is not None else ""
    if not key:
        return refusal.detail
    return refusal.detail.replace(refusal.subject, f"{refusal.subject} ({key})", 1)


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
