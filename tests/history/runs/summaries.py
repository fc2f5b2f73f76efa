"""Summaries of runs to put into a history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pgwatch_tests.record.model import DeadlockEvent, DeadlockMember, LeakEvent, RecordedServer, RecordedSide
from pgwatch_tests.record.run_summary import (
    BlockedSum,
    CauseSum,
    ObjectSum,
    PairSum,
    RunFacts,
    RunSummary,
    TestOutcome,
)

NOW = datetime.now(UTC)


def facts(
    number: int = 1,
    *,
    shard: str = "",
    attempt: int = 1,
    ci_run: str = "",
    commit: str = "",
    branch: str = "main",
    repository: str = "acme/shop",
    exit_code: int = 0,
    days_ago: float = 0.0,
) -> RunFacts:
    """What run `number` of at most 1,000 was: each began an hour after the one before it."""
    began = NOW - timedelta(hours=1000 - number, days=days_ago)
    return RunFacts(
        run=f"{number:08x}",
        shard=shard,
        command=("pytest", "-n", "4"),
        began=began,
        ended=began + timedelta(minutes=5),
        exit_code=exit_code,
        machine="runner-7",
        account="ci@runner-7",
        pid=4711,
        commit=commit or f"{number:040x}",
        branch=branch,
        attempt=attempt,
        ci="github" if ci_run else "",
        ci_run=ci_run,
        program_version="1.0",
        repository=repository,
    )


def server(started_day: int = 1, system_identifier: str = "7123") -> RecordedServer:
    """A server that started on that day of a January."""
    started_at = datetime(2026, 1, started_day, 2, 3, 4, 5, UTC)
    return RecordedServer(1, system_identifier, started_at, "18.1", "db.example:5432", "test_shop")


def pair(
    blocker: str, waiter: str, blocked_s: float = 2.0, waits: int = 1, cause: str = "same_row"
) -> PairSum:
    """Waits of one test behind another, for a row of bookings."""
    return PairSum(
        blocker,
        waiter,
        BlockedSum(blocked_s, waits, blocked_s / waits),
        "row of bookings (id=4711)",
        "rows of bookings",
        cause,
        "it waits",
        "do something",
        NOW,
    )


def leak(test: str, rows: int = 3, kind: str = "rows", name: str = "public.users") -> LeakEvent:
    """What a test surely left; without a test, nobody knows who did."""
    return LeakEvent(kind, name, rows, test, "marker" if test else "unknown")


def outcome(
    test: str, ended: Literal["passed", "failed", "error", "skipped", "flaky"] = "passed"
) -> TestOutcome:
    """A test that ended so; a flaky one passed after an attempt that failed."""
    if ended == "flaky":
        return TestOutcome(test, "passed", 0.25, "it was late", 1)
    return TestOutcome(test, ended, 0.25, "" if ended == "passed" else "it was late")


def deadlock(*who: str) -> DeadlockEvent:
    """A deadlock of these tests, of which the last one was the victim."""
    members = tuple(
        DeadlockMember(
            RecordedSide(number, one, test=one), "row of users (id=1)", "rows of users", "ShareLock"
        )
        for number, one in enumerate(who)
    )
    return DeadlockEvent(NOW, 1, members, who[-1], "they wait for each other", "lock in one order")


def summary(
    of: RunFacts,
    pairs: Sequence[PairSum] = (),
    leaks: Sequence[LeakEvent] = (),
    tests: Sequence[TestOutcome] = (),
    deadlocks: Sequence[DeadlockEvent] = (),
    servers: Sequence[RecordedServer] = (server(),),
    watched_s: float = 300.0,
) -> RunSummary:
    """The summary of a run that had these waits, leaks and outcomes."""
    return RunSummary(
        facts=of,
        servers=tuple(servers),
        watched_s=watched_s,
        unwatched_s=0.5,
        blocked_s=sum(one.sum.blocked_s for one in pairs),
        waits=sum(one.sum.waits for one in pairs),
        most_blocked=len(pairs),
        pairs=tuple(pairs),
        objects=tuple(ObjectSum(one.object, "ShareLock", one.sum) for one in pairs[:1]),
        causes=tuple(CauseSum(one.cause, one.sum, one.advice) for one in pairs[:1]),
        deadlocks=tuple(deadlocks),
        leaks=tuple(leaks),
        tests_seen=len(tests),
        outcomes=tuple(tests),
        not_checked=() if watched_s else ("the server was never reached",),
    )
