"""The reader of tables' content for a baseline: a hash per row, in many short transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import psycopg
from psycopg import pq

from pgwatch_tests.leaks.baseline.baseline import Baseline, unseen
from pgwatch_tests.leaks.baseline.content import MOST_ROWS, TableContent, packed, within_limit
from pgwatch_tests.leaks.baseline.relations import Relations
from pgwatch_tests.leaks.catalog.discovery import without_ignored, without_strange_plans
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.leftovers import matches
from pgwatch_tests.leaks.model import ProgressCallback
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.row_content import ContentStatements, Hashed
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.sql_names import shown

_PINNED = {"TimeZone": "UTC", "lc_monetary": "C"}
CHANGED_MEANWHILE = "it was changed while it was read"
"""The reason for a table that was changed while its rows were read."""
_NO_COLUMNS = "it has no columns"
_UNREADABLE = "no SELECT privilege on some of its columns"


@dataclass(frozen=True, slots=True)
class Columns:
    """A row of queries/baseline/content_columns.sql."""

    oid: int
    schema: str
    table: str
    columns: list[str]
    types: list[str]
    readable: bool
    key: list[str]


@dataclass(frozen=True, slots=True)
class _Content:
    position: int
    rows: int
    total: Decimal | None
    hashes: bytes | None


def pinned(session: DatabaseSession) -> None:
    """Pins what values' texts depend on, beside what each session of ours pins."""
    session.set(_PINNED)


def columns_of_tables(session: DatabaseSession) -> dict[int, Columns]:
    """The columns of all tables, by oid. Raises what `session.running` does, and psycopg's errors."""
    return {row.oid: row for row in session.ask("baseline/content_columns", Columns)}


class ContentReader:
    """Reads the content of a database's tables once: `read`."""

    def __init__(
        self, session: DatabaseSession, settings: Settings, progress: ProgressCallback | None = None
    ) -> None:
        self._session = session
        self._ignores = Ignores(settings.ignore)
        self._test_schemas = settings.test_schemas
        self._obstacles = Obstacles(session, settings)
        self._progress = progress

    def read(self, relations: Relations, role: str, baseline: Baseline) -> tuple[TableContent, ...]:
        """Returns the content of each table that isn't ignored, by the baseline's snapshot, or why it wasn't
        read.

        Raises what `session.running` does, and psycopg's errors if not even the catalogs can be read.
        """
        pinned(self._session)
        columns = columns_of_tables(self._session)
        discovered = without_ignored(relations.discovery(role), self._ignores)
        discovery = self._session.run(lambda connection: without_strange_plans(connection, discovered))
        hashed: dict[Table, Hashed] = {}
        # Materialised views are left out, since their source tables are read; so are tests' own schemas.
        contents = [
            TableContent(0, one.schema, one.table, unread=one.reason)
            for one in discovery.skipped
            if not self._ignores.ignored(one.schema, one.table, "")
            and not matches(one.schema, self._test_schemas)
        ]
        for table in discovery.tables:
            table_columns = columns.get(table.oid)
            if table.kind == "materialized view" or matches(shown(table.schema), self._test_schemas):
                continue
            names = self._names(table, table_columns) if table_columns is not None else ()
            if table_columns is None or not names:
                contents.append(_unread(table, _NO_COLUMNS))
            elif not table_columns.readable:
                contents.append(_unread(table, _UNREADABLE))
            else:
                hashed[table] = Hashed(table, names, tuple(table_columns.key))
        contents += self._contents(hashed, columns, baseline)
        after = columns_of_tables(self._session)
        contents = [
            one
            if one.unread or after.get(one.oid) == columns[one.oid]
            else replace(TableContent(one.oid, one.schema, one.table), unread=CHANGED_MEANWHILE)
            for one in contents
        ]
        return within_limit(sorted(contents, key=lambda one: (one.schema, one.table)))

    def _names(self, table: Table, readable: Columns) -> tuple[str, ...]:
        schema, name = shown(table.schema), shown(table.name)
        return tuple(
            column for column in readable.columns if not self._ignores.ignored(schema, name, shown(column))
        )

    def _contents(
        self, hashed: Mapping[Table, Hashed], columns: Mapping[int, Columns], baseline: Baseline
    ) -> Iterator[TableContent]:
        statements = ContentStatements(pq.Escaping(self._session.connection.pgconn), unseen(baseline))

        def row_hashes(tables: Sequence[Table]) -> list[_Content]:
            return self._session.fetch(statements.contents([hashed[one] for one in tables]), _Content)

        def sums(tables: Sequence[Table]) -> list[_Content]:
            return self._session.fetch(
                statements.sums([hashed[one] for one in tables], everything=False), _Content
            )

        large: list[Table] = []
        done = 0
        for execute, tables in ((row_hashes, list(hashed)), (sums, large)):
            for table, outcome in Chunks(execute, self._obstacles.locked).run(tables):
                if isinstance(outcome, psycopg.Error):
                    reasons = [skipped.reason for skipped in self._obstacles.why(table, outcome)]
                    yield from (_unread(table, reason) for reason in reasons)
                elif execute is row_hashes and outcome.rows > MOST_ROWS:
                    large.append(table)
                    continue
                else:
                    yield _content(hashed[table], columns[table.oid], outcome)
                done += 1
                if self._progress is not None:
                    self._progress(done, len(hashed))


def _unread(table: Table, reason: str) -> TableContent:
    return TableContent(table.oid, shown(table.schema), shown(table.name), unread=reason)


def _content(one: Hashed, columns: Columns, row: _Content) -> TableContent:
    types = dict(zip(columns.columns, columns.types, strict=True))
    content = TableContent(
        oid=one.table.oid,
        schema=shown(one.table.schema),
        table=shown(one.table.name),
        columns=tuple((shown(name), types[name]) for name in one.columns),
        key=tuple(map(shown, one.key)),
        rows=row.rows,
        total=int(row.total or 0),
    )
    if row.rows and row.hashes is None:
        return content
    return replace(content, hashes=packed(row.hashes or b"", bool(one.key)))
