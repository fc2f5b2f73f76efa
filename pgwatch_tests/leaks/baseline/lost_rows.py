"""Lost rows: those of a baseline that are gone or changed, by its tables' content then and now.

A table whose rows of the baseline are all there as nobody has written them since has lost none: that takes no
hash. Only of the others the rows are hashed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import psycopg
from psycopg import pq

from pgwatch_tests.leaks.baseline.comparison import Comparison
from pgwatch_tests.leaks.baseline.content import Loss, TableContent, lost, row_hashes
from pgwatch_tests.leaks.baseline.content_reader import CHANGED_MEANWHILE, Columns, columns_of_tables, pinned
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.catalog.obstacles import Obstacles
from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.leftovers import Leftovers, unreadable
from pgwatch_tests.leaks.model import Leftover, Unchecked
from pgwatch_tests.leaks.statements.chunks import Chunks
from pgwatch_tests.leaks.statements.row_content import ContentStatements, Hashed
from pgwatch_tests.postgres.sessions.session import DatabaseSession
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.sql_names import shown

_COLUMNS_CHANGED = "its columns changed, so lost rows can be counted but not changed ones"
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Untouched:
    position: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Sums:
    position: int
    rows: int
    total: Decimal | None
    hashes: bytes | None


@dataclass(frozen=True, slots=True)
class _Compared:
    gone: int
    changed: int
    example: str | None
    position: int = 0


class LostRows:
    """The comparison of one scan: `find`. Raises what `session.running` does."""

    def __init__(
        self, session: DatabaseSession, settings: Settings, comparison: Comparison, role: str
    ) -> None:
        self._session = session
        self._comparison = comparison
        self._role = role
        self._ignores = Ignores(settings.ignore)
        self._obstacles = Obstacles(session, settings)
        self._compared: dict[int, str] = {}
        self._found: list[Leftover] = []
        self._reasons: defaultdict[str, list[str]] = defaultdict(list)

    def find(self, contents: Sequence[TableContent]) -> Leftovers:
        """Returns a leftover per table that lost rows of the baseline; `unchecked` has those not compared."""
        try:
            pinned(self._session)
            self._columns = columns_of_tables(self._session)
            self._statements = ContentStatements(
                pq.Escaping(self._session.connection.pgconn), self._comparison.unseen
            )
            self._compare(contents)
            self._forget_changed()
        except psycopg.Error as error:
            return Leftovers(("lost_rows",), (), (unreadable("lost_rows", error),))
        unchecked = tuple(_unchecked(reason, names) for reason, names in sorted(self._reasons.items()))
        return Leftovers(("lost_rows",), tuple(sorted(self._found, key=lambda one: one.name)), unchecked)

    def _compare(self, contents: Sequence[TableContent]) -> None:
        tables, forbidden = self._tables_of_now()
        by_oid = {table.oid: table for table in tables}
        by_name = {(shown(table.schema), shown(table.name)): table for table in tables}
        there: dict[Table, TableContent] = {}
        for content in contents:
            if self._ignores.ignored(content.schema, content.table, ""):
                continue
            table = by_oid.get(content.oid) or by_name.get((content.schema, content.table))
            if content.unread:
                self._reasons[f"not read when the baseline was taken: {content.unread}"].append(content.name)
            elif table is not None:
                there[table] = content
            elif (content.schema, content.table) in forbidden:
                self._reasons[forbidden[content.schema, content.table]].append(content.name)
            elif self._comparison.is_part(content.oid):
                self._reasons["now a partition of another table"].append(content.name)
            elif content.rows:
                self._tell(content, f"{lost(content, Loss(content.rows))}: the table was dropped")
        written = [
            table
            for table, content in there.items()
            if content.rows and (table.oid != content.oid or not self._comparison.is_untouched(table))
        ]
        self._compared = {table.oid: there[table].name for table in written}
        self._compare_hashes(there, self._rewritten_rows(written, there))

    def _forget_changed(self) -> None:
        """Drops the result of a table that was changed during the comparison, and says so."""
        after = columns_of_tables(self._session)
        for oid, name in self._compared.items():
            if after.get(oid) != self._columns.get(oid):
                self._found = [one for one in self._found if one.name != name]
                self._reasons[CHANGED_MEANWHILE].append(name)

    def _tables_of_now(self) -> tuple[tuple[Table, ...], dict[tuple[str, str], str]]:
        discovery = self._comparison.discover(self._role)
        return discovery.tables, {(one.schema, one.table): one.reason for one in discovery.skipped}

    def _rewritten_rows(self, tables: Sequence[Table], there: dict[Table, TableContent]) -> dict[Table, int]:
        """Returns how many of its old rows each rewritten table still has."""

        def count(tables: Sequence[Table]) -> Iterable[_Untouched]:
            return self._session.fetch(self._statements.untouched(tables), _Untouched)

        found = {}
        for table, outcome in Chunks(count, self._obstacles.locked).run(tables):
            if isinstance(outcome, psycopg.Error):
                self._not_read(table, outcome)
            elif outcome.rows != there[table].rows:
                found[table] = outcome.rows
        return found

    def _compare_hashes(self, there: dict[Table, TableContent], untouched: dict[Table, int]) -> None:
        comparing: dict[Callable[[Table, TableContent], bytes], list[Table]] = defaultdict(list)
        plain: list[Table] = []
        for table in untouched:
            way = self._way(table, there[table])
            if way is None:
                plain.append(table)
            else:
                comparing[way].append(table)
        for way, tables in comparing.items():
            self._run(way, tables, there)
        self._compare_sums(plain, there, untouched)

    def _run(
        self,
        way: Callable[[Table, TableContent], bytes],
        tables: Sequence[Table],
        there: dict[Table, TableContent],
    ) -> None:
        def compare(tables: Sequence[Table]) -> Iterable[_Compared]:
            # One at a time: a statement holds all hashes of a table.
            (table,) = tables
            return self._session.fetch(way(table, there[table]), _Compared)

        chunks = Chunks(compare, self._obstacles.locked, most_tables=1)
        for table, outcome in chunks.run(tables):
            content = there[table]
            if isinstance(outcome, psycopg.Error):
                self._not_read(table, outcome)
                continue
            if not content.key:
                loss = Loss(either=outcome.gone)
            else:
                loss = Loss(outcome.gone, outcome.changed, example=_example(content, outcome.example))
                if not self._same_columns(table, content):
                    self._reasons[_COLUMNS_CHANGED].append(content.name)
            if loss:
                self._tell(content, lost(content, loss))

    def _way(self, table: Table, content: TableContent) -> Callable[[Table, TableContent], bytes] | None:
        """Returns the statement that compares row by row; None if none can."""
        if content.hashes is None:
            return None
        if content.key and self._same_key(table, content):
            return self._by_key
        return self._by_row if self._same_columns(table, content) and not content.key else None

    def _by_key(self, table: Table, content: TableContent) -> bytes:
        return self._statements.by_key(
            self._hashed(table, content), row_hashes(content), compares=self._same_columns(table, content)
        )

    def _by_row(self, table: Table, content: TableContent) -> bytes:
        return self._statements.by_row(self._hashed(table, content), row_hashes(content))

    def _compare_sums(
        self, tables: Sequence[Table], there: dict[Table, TableContent], untouched: dict[Table, int]
    ) -> None:
        """Compares tables without known rows, by the number of rows that nobody has written since."""

        def add_up(tables: Sequence[Table]) -> Iterable[_Sums]:
            hashed = [self._hashed(table, there[table]) for table in tables]
            return self._session.fetch(self._statements.sums(hashed, everything=True), _Sums)

        same = [table for table in tables if self._same_columns(table, there[table])]
        for table in set(tables) - set(same):
            self._tell_by_number(table, there[table], untouched[table], None)
        for table, outcome in Chunks(add_up, self._obstacles.locked).run(same):
            content = there[table]
            if isinstance(outcome, psycopg.Error):
                self._not_read(table, outcome)
            elif (outcome.rows, int(outcome.total or 0)) != (content.rows, content.total):
                self._tell_by_number(table, content, untouched[table], outcome.rows)

    def _tell_by_number(self, table: Table, content: TableContent, untouched: int, rows: int | None) -> None:
        if table.oid == content.oid and not self._comparison.is_rewritten(table.oid):
            self._tell(content, lost(content, Loss(either=content.rows - untouched)))
        elif rows is not None and rows < content.rows:
            self._tell(content, f"at least {lost(content, Loss(content.rows - rows))}")
        else:
            self._reasons["rewritten since, and its rows can't be told apart"].append(content.name)

    def _hashed(self, table: Table, content: TableContent) -> Hashed:
        """The table with the columns of the baseline, as the server spells them."""
        exact = {shown(name): name for name in self._columns[table.oid].columns}
        columns = content.columns if self._same_columns(table, content) else ()
        return Hashed(
            table,
            tuple(exact[name] for name, _ in columns),
            tuple(exact[name] for name in content.key if name in exact),
        )

    def _same_columns(self, table: Table, content: TableContent) -> bool:
        now = self._types(table)
        schema, name = shown(table.schema), shown(table.name)
        return all(
            now.get(column) == type_ and not self._ignores.ignored(schema, name, column)
            for column, type_ in content.columns
        )

    def _same_key(self, table: Table, content: TableContent) -> bool:
        now, then = self._types(table), dict(content.columns)
        return all(now.get(column) == then.get(column, now.get(column)) is not None for column in content.key)

    def _types(self, table: Table) -> dict[str, str]:
        of_table: Columns | None = self._columns.get(table.oid)
        if of_table is None or not of_table.readable:
            return {}
        return {shown(name): type_ for name, type_ in zip(of_table.columns, of_table.types, strict=True)}

    def _not_read(self, table: Table, error: psycopg.Error) -> None:
        for skipped in self._obstacles.why(table, error):
            self._reasons[skipped.reason].append(f"{skipped.schema}.{skipped.table}")

    def _tell(self, content: TableContent, detail: str) -> None:
        self._found.append(Leftover("lost_rows", content.name, detail))


def _example(content: TableContent, text: str | None) -> str:
    if text is None:
        return ""
    inside = text[1:-1] if text.endswith(")") else f"{text[1:]}…"
    return f"{', '.join(content.key)}={inside}"


def _unchecked(reason: str, names: Sequence[str]) -> Unchecked:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return Unchecked("lost_rows", f"{', '.join(sorted(names)[:_MOST_NAMED])}{more}: {reason}")
