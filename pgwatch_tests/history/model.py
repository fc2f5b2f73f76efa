"""Entries of the history: sweeps and runs of the schedule's jobs. Frozen values, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.settings.jobs import JobAction

Trigger = Literal["command line", "schedule", "dashboard"]
RunResult = Literal["done", "interrupted", "refused", "skipped", "failed"]
"""The outcome:

- `done`: it went through; what stayed, and why, is in its report
- `interrupted`: somebody ended it; what it says is true as far as it got
- `refused`: nothing was done: a guard, the age, `max_rows` … forbid it
- `skipped`: another sweep was at work in the database
- `failed`: something went wrong
"""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One sweep of one database, dry or not, or one run of another job. Durations are seconds."""

    started_at: datetime
    action: JobAction
    trigger: Trigger
    """The origin: a person, in a terminal or in the dashboard, or the clock."""
    job: str
    """The job of the schedule, by its name; empty if it was none."""
    account: str
    """`user@host` of the operating system."""
    pid: int
    """The process that did it, on that host."""
    role: str
    server: str
    """`host:port`."""
    database: str
    dry_run: bool
    kinds: tuple[str, ...]
    markers: tuple[str, ...]
    min_age_s: float
    result: RunResult
    reason: str = ""
    """A sentence: why it isn't `done`, or what wasn't checked."""
    planned_rows: int = 0
    deleted_rows: int = 0
    kept_rows: int = 0
    orphans_removed: int = 0
    """Schemas, databases, sessions and prepared transactions; in a dry run, what would be."""
    leaked_rows: int | None = None
    """The leaked rows that a job with the action leaks counted; None for a sweep."""
    leftovers: int | None = None
    """The other leftovers that such a job found; None for a sweep."""
    passes: int = 0
    duration_s: float = 0.0
    longest_transaction_s: float = 0.0
    part: str = ""
    """The only thing that the sweep was of, empty for all: `schema.table` for rows, else the name of a
    schema, database …. Its kind is the only one of `kinds`."""
    id: int | None = None
    """The number of the entry, which grows with each; None until it is recorded."""


@dataclass(frozen=True, slots=True)
class JobState:
    """One job of the schedule, as it is now."""

    name: str
    action: JobAction
    when: str
    """In words: `every 15 min`, `30 2 * * * (Europe/Berlin)`."""
    dry_run: bool
    enabled: bool
    paused: bool
    """Whether somebody paused it, until it is resumed."""
    running: bool
    next_run: datetime | None
    """The next run, in the job's time zone; None if there is none, or if it isn't known: an interval begins
    with the process that runs the schedule."""
    last: HistoryEntry | None
    """The entry of its last run, wherever that was; None if it never ran."""
