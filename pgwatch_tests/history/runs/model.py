"""Runs on record, as the history gives them back. Frozen values, no database. Durations are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

OUTCOMES = ("passed", "failed", "error", "skipped", "flaky")
"""Outcomes of tests, in the order of the numbers that the store keeps them as.

`flaky`: it passed, after attempts of the same run that failed.
"""

EventKind = Literal["failed", "error", "flaky", "blocked by", "blocked", "left"]
Addition = Literal["added", "replaced", "known", "too old"]
"""What became of a run that was to be added:

- `added`: it is a new one
- `replaced`: it was there, and what is known of it now is kept instead
- `known`: it was there, and stays so: more was known of it, or this role may not delete
- `too old`: the history keeps no run of that age (setting `keep_runs`)
"""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run: one shard in one attempt."""

    id: int
    build: int
    """The same for all shards and attempts of one CI run."""
    run: str
    shard: str
    attempt: int
    began: datetime
    ended: datetime | None
    exit_code: int | None
    signal: int | None
    repository: str
    branch: str
    commit: str
    ci: str
    ci_run: str
    ci_job: str
    ci_url: str
    command: str
    machine: str
    account: str
    program_version: str
    server: str
    """`host:port`; empty if no server was reached."""
    database: str
    server_version: str
    watched_s: float
    unwatched_s: float
    blocked_s: float
    waits: int
    most_blocked: int
    tests_seen: int
    passed: int | None
    """Tests by outcome, `flaky` ones among the passed; None if the run had no JUnit file."""
    failed: int | None
    skipped: int | None
    flaky: int | None
    deadlocks: int
    leaked_rows: int
    leftovers: int
    hangs: int
    not_checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestEvent:
    """Something that happened to a test in a run."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    began: datetime
    """When the run began."""
    run: str
    shard: str
    attempt: int
    branch: str
    commit: str
    test: str
    kind: EventKind
    other: str
    """Who blocked it or was blocked by it; or the kind of what it left."""
    object: str
    """What was waited for, or the name of what it left."""
    amount: float
    """Blocked seconds, or rows."""
    message: str
    """Of a failure."""
