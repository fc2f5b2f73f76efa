"""What a scan for leaks found: frozen values, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TableLeak:
    """The marked rows of one table. A row counts once, however many of its columns match."""

    schema: str
    table: str
    kind: str
    """`table`, `partitioned table` or `materialized view`."""
    columns: tuple[str, ...]
    """The columns in which markers were found."""
    rows: int
    oldest: datetime | None = None
    newest: datetime | None = None
    samples: tuple[str, ...] = ()
    """A few matching values, truncated."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A table that couldn't be checked, why, and what would help."""

    schema: str
    table: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class LeakReport:
    """One scan of one database. Durations are seconds."""

    checked_at: datetime
    server_version: str
    database: str
    markers: tuple[str, ...]
    tables_checked: int
    tables: tuple[TableLeak, ...]
    skipped: tuple[Skipped, ...]
    duration_s: float

    @property
    def total(self) -> int:
        """Leaked rows in all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def complete(self) -> bool:
        """Whether every table was checked."""
        return not self.skipped
