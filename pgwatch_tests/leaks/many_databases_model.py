"""What a check of several databases found: frozen values, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.leaks.model import LeakReport


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A database that was asked for and couldn't be checked at all, and why."""

    database: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeaksOfDatabases:
    """One report a database, in the order of names. Durations are seconds."""

    checked_at: datetime
    databases: tuple[LeakReport, ...]
    not_checked: tuple[NotChecked, ...]
    duration_s: float

    @property
    def total(self) -> int:
        """Leaked rows in all databases."""
        return sum(report.total for report in self.databases)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was checked in every database."""
        return not self.not_checked and all(report.complete for report in self.databases)
