"""Trends over runs: what came again, since when, how often. Frozen values, no database. Durations: seconds.

A build is one CI run with all its shards and attempts, or a run outside of a CI. Everything is counted in
builds: attempts of one build are no evidence of their own. Counts are facts; causes aren't claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

MOST_BUILDS_ASIDE = 20
"""How many builds before the first sighting, and after the last one, are looked at."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """When something was seen first and last since then, on the branch on which it was in most builds."""

    branch: str
    is_older: bool
    """Whether it was seen there before: then the first sighting since then says nothing."""
    first_commit: str
    first_began: datetime
    """When the first build began in which it was seen."""
    builds_before: int
    """How many of the `MOST_BUILDS_ASIDE` builds before that one are known to be without it: watched ones."""
    ran_before: int | None
    """In how many of these its test has passed or failed; None if no outcomes are known of them."""
    last_commit: str
    last_began: datetime
    builds_after: int
    """How many of the `MOST_BUILDS_ASIDE` builds after the last sighting were watched."""


@dataclass(frozen=True, slots=True)
class PairTrend:
    """Two tests of which one has blocked the other in several builds."""

    repository: str
    blocker: str
    waiter: str
    builds: int
    blocked_s: float
    waits: int
    longest_s: float
    object: str
    """What the longest wait was for."""
    cause: str
    """The diagnosis of that wait."""
    sightings: Sightings


@dataclass(frozen=True, slots=True)
class BlockerTrend:
    """A test that has blocked others in several builds."""

    repository: str
    blocker: str
    waiters: int
    """How many different ones it blocked."""
    builds: int


@dataclass(frozen=True, slots=True)
class LeakTrend:
    """What a test has left in several builds."""

    repository: str
    test: str
    """Empty: it isn't known for sure which test left it."""
    kind: str
    name: str
    builds: int
    rows: int
    """Over all builds."""
    sightings: Sightings


@dataclass(frozen=True, slots=True)
class FlakyTrend:
    """A test that failed and passed on one commit."""

    repository: str
    test: str
    commits: int
    """Commits on which it did both."""
    failed_builds: int
    """Watched builds in which it failed, in any attempt."""
    blocked_when_failed: int
    """In how many of these it was seen blocked in an attempt that failed."""
    passed_builds: int
    """Watched builds in which it passed at once, in any attempt."""
    blocked_when_passed: int
    """In how many of these it was seen blocked in an attempt that passed."""
    blockers: tuple[str, ...]
    """Who blocked it when it failed, the most frequent first; at most three."""
    message: str
    """Of the last failure."""
    last_began: datetime
    """When the last build began in which it failed."""


@dataclass(frozen=True, slots=True)
class DeadlockTrend:
    """Tests that were in a deadlock with each other, in one build or more."""

    repository: str
    members: tuple[str, ...]
    builds: int
    objects: tuple[str, ...]
    last_began: datetime


@dataclass(frozen=True, slots=True)
class Trends:
    """What came again in the builds since then, most frequent first; each list has its most frequent ones."""

    since: datetime
    test: str
    """The pattern that tests had to match; empty if all count."""
    branch: str
    """The only branch that counts; empty if all do."""
    builds: int
    runs: int
    watched_builds: int
    """Builds in which sessions were watched: nothing is known of waits in others."""
    told_builds: int
    """Builds whose outcomes of tests are known."""
    pairs: tuple[PairTrend, ...]
    more_pairs: int
    """How many more pairs were seen in several builds."""
    blockers: tuple[BlockerTrend, ...]
    leaks: tuple[LeakTrend, ...]
    more_leaks: int
    flaky: tuple[FlakyTrend, ...]
    deadlocks: tuple[DeadlockTrend, ...]
