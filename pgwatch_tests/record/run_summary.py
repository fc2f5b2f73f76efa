"""The summary of one run of a suite: its command and outcome, who blocked whom, what it left. Pure.

It is what is kept of a run once its samples are gone. Times are the server's clock where it was reached, else
the machine's. Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.record.model import DeadlockEvent, LeakEvent, RecordedServer

Outcome = Literal["passed", "failed", "error", "skipped"]
HangKind = Literal["blocked", "quiet"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run was: `run.json` of its results directory has these."""

    run: str
    """8 hex digits, see `testing.run_id`."""
    shard: str
    """`--name`; empty where a run has no shards."""
    command: tuple[str, ...]
    """Secrets masked."""
    began: datetime
    ended: datetime | None
    """None: it runs, or whoever ran it was killed."""
    exit_code: int | None
    """That of `pgwatch-tests run`; None while `ended` is."""
    command_exit_code: int | None = None
    """The command's own, as a shell has it: 0 where `exit_code` is 1 since `--fail-on` found something."""
    signal: int | None = None
    """The signal that ended the command."""
    machine: str = ""
    account: str = ""
    pid: int = 0
    commit: str = ""
    branch: str = ""
    attempt: int = 1
    """Which attempt of the same CI run it is, from 1."""
    ci: str = ""
    """`github`, `gitlab` …; empty outside of a CI."""
    ci_run: str = ""
    """The CI's id of the run: the same for all its shards and attempts."""
    ci_job: str = ""
    ci_url: str = ""
    program_version: str = ""
    junit_files: tuple[str, ...] = ()
    repository: str = ""
    """`owner/name` where the CI says it, else the name of its directory. The store of a fleet has
    runs of many repositories, with tests and branches of the same names."""


@dataclass(frozen=True, slots=True)
class BlockedSum:
    """Waits summed up: `blocked_s` in session-seconds."""

    blocked_s: float
    waits: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class PairSum:
    """Waits of one test, or application, behind another, with their longest wait as an example."""

    blocker: str
    waiter: str
    sum: BlockedSum
    target: str
    object: str
    cause: str
    explanation: str
    advice: str
    longest_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectSum:
    """Waits for one object, in one mode."""

    object: str
    mode: str
    sum: BlockedSum


@dataclass(frozen=True, slots=True)
class CauseSum:
    """Waits whose root blockers have one diagnosis; `advice` is that of the longest."""

    cause: str
    sum: BlockedSum
    advice: str


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How a test ended, by the JUnit files that the run wrote."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    test: str
    outcome: Outcome
    duration_s: float | None
    message: str = ""
    """The failure's, in one line; secrets masked. Of a flaky test, that of the attempt that failed."""
    failed_attempts: int = 0
    """How many attempts of this run failed before the one that `outcome` tells: above 0, and passed, it is
    flaky."""


@dataclass(frozen=True, slots=True)
class Hang:
    """A hang that `run --hang` told while it lasted."""

    at: datetime
    after_s: float
    text: str
    """The lock tree and advice as they went to the job's log."""
    ended_root: str = ""
    """The session that was ended for it; empty if none was."""
    kind: HangKind = "blocked"
    """`quiet`: nothing was blocked, and no session did anything."""
    ending: str = ""
    """Of `--hang …=end`: a sentence on what was done about the root, or why nothing was."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run in short. Sums have the largest first, and are bounded (`record.sums.MOST_ROWS`)."""

    facts: RunFacts
    servers: tuple[RecordedServer, ...]
    watched_s: float
    unwatched_s: float
    blocked_s: float
    waits: int
    most_blocked: int
    pairs: tuple[PairSum, ...]
    objects: tuple[ObjectSum, ...]
    causes: tuple[CauseSum, ...]
    deadlocks: tuple[DeadlockEvent, ...]
    leaks: tuple[LeakEvent, ...]
    tests_seen: int
    outcomes: tuple[TestOutcome, ...] = ()
    """Failed and flaky ones first; at most some thousands."""
    hangs: tuple[Hang, ...] = ()
    not_checked: tuple[str, ...] = ()
    """Sentences: what couldn't be recorded or checked, and why."""
