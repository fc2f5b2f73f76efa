"""The statements for rows of any kind that are new or changed since a baseline, one for many tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg.pq.abc import Escaping

from pgwatch_tests.leaks.compose import Origins, source
from pgwatch_tests.leaks.discover import Table, quoted, shown
from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.leaks.samples import LIMIT, shortened
from pgwatch_tests.leaks.strings import printed

_SAMPLES = 2
_SAMPLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Sampled:
    """The row of a table: for each of its samples, the values of its `columns`, or a ctid."""

    position: int
    samples: list[list[str]] | None


class AnyRows:
    """Composes statements for a connection, whose way of escaping it uses; `unseen` is the condition."""

    def __init__(self, escaping: Escaping, unseen: bytes) -> None:
        self._escaping = escaping
        self._unseen = unseen

    def count(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position in `tables`, and how many of its rows are new or changed."""
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, pg_catalog.count(*) AS rows FROM %b WHERE %b"
            % (position, source(table, self._escaping), self._unseen)
            for position, table in enumerate(tables)
        )

    def samples(self, tables: Sequence[Table]) -> bytes:
        """One row a table: its position, and which rows it is about, by primary key or else by place."""
        return b"\nUNION ALL ".join(
            b"SELECT %d AS position, (SELECT pg_catalog.array_agg(sample) FROM (SELECT ARRAY[%b] AS sample"
            b" FROM %b WHERE %b LIMIT %d) AS few) AS samples"
            % (position, self._values(table), source(table, self._escaping), self._unseen, _SAMPLES)
            for position, table in enumerate(tables)
        )

    def origins(
        self, tables: Sequence[Table], limits: Sequence[int], with_writers: bool, with_commit_times: bool
    ) -> bytes:
        """One row a new or changed row, of each table at most so many: its position, and who wrote it."""
        origins = Origins(self._escaping, b"", self._unseen)
        return b"\nUNION ALL ".join(
            origins.of(position, table, limit, with_writers, with_commit_times)
            for position, (table, limit) in enumerate(zip(tables, limits, strict=True))
        )

    def _values(self, table: Table) -> bytes:
        names = [quoted(name, self._escaping) for name in table.columns] or [b"ctid"]
        return b", ".join(
            b'pg_catalog."left"(%b, %d)' % (printed(name), _SAMPLE_CHARACTERS) for name in names
        )


def with_samples(leak: TableLeak, table: Table, found: Sampled) -> TableLeak:
    """The leak with its samples: `id=42`, or `ctid=(0,7)` without a primary key."""
    names = [shown(name) for name in table.columns] or ["ctid"]
    samples = (
        ", ".join(f"{name}={shortened(value)}" for name, value in zip(names, values, strict=True))
        for values in found.samples or ()
    )
    return replace(leak, samples=tuple(_cut(sample) for sample in samples))


def _cut(sample: str) -> str:
    return sample if len(sample) <= LIMIT else sample[: LIMIT - 1] + "…"
