"""SQL that counts and describes rows that are new or changed since a baseline, marked or not.

Composed here, as in `marked_rows`, whose marks and origins of rows it takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.markers.markers import Marker
from pgwatch_tests.leaks.model import SAMPLE_LIMIT, TableLeak, shortened_sample, time_from_epoch
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements, OriginStatements, source
from pgwatch_tests.leaks.statements.nested_strings import printed
from pgwatch_tests.postgres.sessions import self_lookout
from pgwatch_tests.postgres.stored_text import quoted
from pgwatch_tests.text.sql_names import shown

CLOCKS_APART_S = 2.0
"""The tolerated difference of the client's and the server's clocks, where they are compared."""
_SAMPLES = 2
_SAMPLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Sampled:
    """The row of a table: for each of its samples, the values of its `columns`, or a ctid.

    Of the new or changed rows, `marked` bear a marker; `matched` are the columns in which they do. `oldest`
    and `newest` are seconds since 1970, of the rows that tell; `earlier` are rows that were there before.
    """

    position: int
    samples: list[list[str]] | None
    marked: int
    earlier: int
    matched: list[bool | None]
    oldest: float | None
    newest: float | None


class AnyRowStatements:
    """Composes statements for a connection, whose way of escaping it uses; `unseen` is the condition.

    Markers aren't needed for a row to count, but tell of its test and its age.
    """

    def __init__(
        self, escaping: Escaping, unseen: bytes, markers: Sequence[Marker], taken_at: datetime
    ) -> None:
        """`taken_at` is when the baseline was taken."""
        self.since_s = taken_at.timestamp() - CLOCKS_APART_S
        """The time before which a row says that it was there: seconds since 1970."""
        self._escaping = escaping
        self._unseen = unseen
        self._marked = MarkedRowStatements(escaping, markers)
        self._strings: dict[int, Table] = {}
        self._looks_out = False

    def look_into(self, tables: Iterable[Table]) -> None:
        """Tables with the columns that may hold markers, to be looked at for these from now on."""
        self._strings = {table.oid: table for table in tables}

    def strings(self, table: Table) -> Table:
        """Returns the table with the columns that may hold markers; without columns, if none may."""
        with_strings = self._strings.get(table.oid)
        return replace(table, columns=(), forms=()) if with_strings is None else with_strings

    def looking_out(self) -> AnyRowStatements:
        """Returns a variant whose `counts` end once somebody waits for them: see self_lookout."""
        other = copy(self)
        other._looks_out = True
        return other

    def _source(self, table: Table) -> bytes:
        plain = source(table, self._escaping)
        return self_lookout.with_lookout(plain, [b"xmin"]) if self._looks_out else plain

    def counts(self, tables: Sequence[Table]) -> list[bytes]:
        """A statement per table, of one row: its position in `tables`, and how many of its rows are new or
        changed.
        """
        return [
            b"SELECT %d AS position, pg_catalog.count(*) AS rows FROM %b WHERE %b"
            % (position, self._source(table), self._unseen)
            for position, table in enumerate(tables)
        ]

    def samples(self, tables: Sequence[Table]) -> list[bytes]:
        """A statement per table, of one row: its position, which rows it is about, by primary key or else by
        place, and what markers in them tell.
        """
        return [
            b"SELECT %d AS position, (SELECT pg_catalog.array_agg(sample) FROM (SELECT ARRAY[%b] AS sample"
            b" FROM %b WHERE %b LIMIT %d) AS few) AS samples, marks.* FROM (%b) AS marks"
            % (
                position,
                self._values(table),
                source(table, self._escaping),
                self._unseen,
                _SAMPLES,
                self._marked.marks(self.strings(table), self._unseen, self.since_s),
            )
            for position, table in enumerate(tables)
        ]

    def origins(
        self, tables: Sequence[Table], limits: Sequence[int], with_writers: bool, with_commit_times: bool
    ) -> bytes:
        """One row per new or changed row, of each table at most so many: its position, and who wrote it."""
        return b"\nUNION ALL ".join(
            OriginStatements(self._escaping, self._marked.values(self.strings(table)), self._unseen).of(
                position,
                replace(table, has_created_at=self.strings(table).has_created_at),
                limit,
                with_writers,
                with_commit_times,
            )
            for position, (table, limit) in enumerate(zip(tables, limits, strict=True))
        )

    def _values(self, table: Table) -> bytes:
        names = [quoted(name, self._escaping) for name in table.columns] or [b"ctid"]
        return b", ".join(
            b'pg_catalog."left"(%b, %d)' % (printed(name), _SAMPLE_CHARACTERS) for name in names
        )


def with_samples(leak: TableLeak, table: Table, strings: Table, sampled: Sampled) -> TableLeak:
    """The leak with what its rows tell; samples are `id=42`, or `ctid=(0,7)` without a primary key."""
    names = [shown(name) for name in table.columns] or ["ctid"]
    samples = (
        ", ".join(f"{name}={shortened_sample(value)}" for name, value in zip(names, values, strict=True))
        for values in sampled.samples or ()
    )
    return replace(
        leak,
        samples=tuple(_cut(sample) for sample in samples),
        columns=tuple(
            shown(column) for column, matches in zip(strings.columns, sampled.matched, strict=True) if matches
        ),
        oldest=time_from_epoch(sampled.oldest),
        newest=time_from_epoch(sampled.newest),
        marked=sampled.marked,
        changed=sampled.earlier,
    )


def _cut(sample: str) -> str:
    return sample if len(sample) <= SAMPLE_LIMIT else sample[: SAMPLE_LIMIT - 1] + "…"
