"""Tables of the history: sweeps, and runs of suites with who blocked whom and what they left.

Names come again and again over thousands of runs: they are rows of STRINGS, and columns refer to them. What
refers takes four bytes in a PostgreSQL, where most of the size is in indexes of such columns.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

from pgwatch_tests.history.column_types import (
    AnyText,
    Milliseconds,
    Number,
    ShortMilliseconds,
    UtcTime,
    Words,
)

METADATA = MetaData()
# Trends read indexes alone, of pages that a vacuum has seen. PostgreSQL comes by once a fifth of a table is
# new: that may be all of the last month.
_READ_BY_TRENDS = {"autovacuum_vacuum_insert_scale_factor": 0.01, "autovacuum_vacuum_insert_threshold": 1000}

SWEEPS = Table(
    "sweeps",
    METADATA,
    # SQLite counts up only an INTEGER, and without AUTOINCREMENT gives the last number twice.
    Column("id", Number, Identity(), primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("action", AnyText, nullable=False),
    Column("trigger", AnyText, nullable=False),
    Column("job", AnyText, nullable=False),
    Column("account", AnyText, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("role", AnyText, nullable=False),
    Column("server", AnyText, nullable=False),
    Column("database", AnyText, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("kinds", Words, nullable=False),
    Column("markers", Words, nullable=False),
    Column("min_age_s", Float(53), nullable=False),
    Column("result", AnyText, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("planned_rows", BigInteger, nullable=False),
    Column("deleted_rows", BigInteger, nullable=False),
    Column("kept_rows", BigInteger, nullable=False),
    Column("orphans_removed", BigInteger, nullable=False),
    Column("leaked_rows", BigInteger),
    Column("leftovers", BigInteger),
    Column("passes", Integer, nullable=False),
    Column("duration_s", Float(53), nullable=False),
    Column("longest_transaction_s", Float(53), nullable=False),
    Column("part", AnyText, nullable=False, server_default=""),
    # The whole SweepReport as JSON, if there is one.
    Column("report", Text),
    Index("sweeps_job", "job", "id"),
    sqlite_autoincrement=True,
)

# Parts of checks of fleets, each a whole LeaksOfDatabases as JSON.
FLEET_CHECKS = Table(
    "fleet_checks",
    METADATA,
    Column("id", Number, Identity(), primary_key=True),
    Column("name", AnyText, nullable=False, index=True),
    Column("checked_at", UtcTime, nullable=False, index=True),
    Column("report", Text, nullable=False),
    sqlite_autoincrement=True,
)

STRINGS = Table(
    "strings",
    METADATA,
    Column("id", Number, Identity(), primary_key=True),
    # PostgreSQL indexes no text of more than 2,704 bytes (manual, B-Tree Indexes).
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("text", AnyText, nullable=False),
)
# Tests that passed in a run: most runs of a suite have the same ones.
TEST_SETS = Table(
    "test_sets",
    METADATA,
    Column("id", Number, Identity(), primary_key=True),
    Column("digest", LargeBinary(16), nullable=False, unique=True),
    Column("tests", LargeBinary, nullable=False),
)
# One CI run with all its shards and attempts, or a run outside of a CI.
BUILDS = Table(
    "builds",
    METADATA,
    Column("id", Number, Identity(), primary_key=True),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("began", UtcTime, nullable=False),
    Column("repository", Integer, nullable=False),
    Column("branch", Integer, nullable=False),
    Column("commit", Integer, nullable=False),
    Column("ci", Integer, nullable=False),
    Column("ci_run", AnyText, nullable=False),
    Index("builds_began", "began"),
    Index("builds_branch", "branch", "repository", "began"),
)
RUNS = Table(
    "runs",
    METADATA,
    Column("id", Number, Identity(), primary_key=True),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("build", Integer, ForeignKey(BUILDS.c.id, ondelete="CASCADE"), nullable=False),
    Column("run", AnyText, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("began", UtcTime, nullable=False, index=True),
    Column("ended", UtcTime),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("command", Integer, nullable=False),
    Column("machine", Integer, nullable=False),
    Column("account", Integer, nullable=False),
    Column("ci_job", Integer, nullable=False),
    Column("ci_url", AnyText, nullable=False),
    Column("program_version", Integer, nullable=False),
    Column("server", Integer, nullable=False),
    Column("database", Integer, nullable=False),
    Column("server_version", Integer, nullable=False),
    # Of the servers' identities: recorders of shards that share a server all see its waits.
    Column("servers", BigInteger, nullable=False),
    Column("watched_s", Milliseconds, nullable=False),
    Column("unwatched_s", Milliseconds, nullable=False),
    Column("blocked_s", Milliseconds, nullable=False),
    Column("waits", BigInteger, nullable=False),
    Column("most_blocked", Integer, nullable=False),
    Column("tests_seen", Integer, nullable=False),
    Column("passed", Integer),
    Column("failed", Integer),
    Column("skipped", Integer),
    Column("flaky", Integer),
    Column("test_set", Integer, ForeignKey(TEST_SETS.c.id)),
    Column("deadlocks", Integer, nullable=False),
    Column("leaked_rows", BigInteger, nullable=False),
    Column("leftovers", BigInteger, nullable=False),
    Column("hangs", Integer, nullable=False),
    Column("not_checked", Words, nullable=False),
    # Trends read nothing else.
    Index("runs_build", "build", "test_set", "watched_s"),
    Index("runs_test_set", "test_set", "build", "watched_s"),
    postgresql_with=_READ_BY_TRENDS,
)


def _of_run() -> Column[int]:
    return Column("run", Integer, ForeignKey(RUNS.c.id, ondelete="CASCADE"), primary_key=True)


def _name(name: str) -> Column[int]:
    return Column(name, Integer, primary_key=True)


def _seen_by() -> Column[int]:
    """Of a run's attempt and servers: trends count once what several recorders have seen of one server."""
    return Column("seen_by", Integer, nullable=False)


def _sums() -> tuple[Column[float], Column[int], Column[float]]:
    return (
        Column("blocked_s", ShortMilliseconds, nullable=False),
        Column("waits", Integer, nullable=False),
        Column("longest_s", ShortMilliseconds, nullable=False),
    )


def _of_builds(table: str) -> Index:
    """An index of a few pages: rows of a build lie together. SQLite has no such kind."""
    index = Index(f"{table}_build", "build", postgresql_using="brin", postgresql_with={"pages_per_range": 32})
    return index.ddl_if(dialect="postgresql")


_OF_PAIR = ("blocked_s", "waits", "longest_s", "object", "cause")
# The build is in these tables again: trends count builds, from an index alone.
RUN_PAIRS = Table(
    "run_pairs",
    METADATA,
    _of_run(),
    _name("blocker"),
    _name("waiter"),
    Column("build", Integer, nullable=False),
    _seen_by(),
    *_sums(),
    Column("object", Integer, nullable=False),
    Column("cause", Integer, nullable=False),
    # Trends read nothing else.
    Index("run_pairs_blocker", "blocker", "waiter", "build", "seen_by", *_OF_PAIR),
    _of_builds("run_pairs"),
    # SQLite's has the blocker anyway. As a key, PostgreSQL 18 skips through all of it for one blocker.
    Index("run_pairs_waiter", "waiter", "build", "run", postgresql_include=["blocker"]),
    sqlite_with_rowid=False,
    postgresql_with=_READ_BY_TRENDS,
)
RUN_OBJECTS = Table(
    "run_objects", METADATA, _of_run(), _name("object"), _name("mode"), *_sums(), sqlite_with_rowid=False
)
RUN_CAUSES = Table("run_causes", METADATA, _of_run(), _name("cause"), *_sums(), sqlite_with_rowid=False)
RUN_DEADLOCKS = Table(
    "run_deadlocks",
    METADATA,
    _of_run(),
    Column("deadlock", SmallInteger, primary_key=True),
    Column("member", SmallInteger, primary_key=True),
    Column("build", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("who", Integer, nullable=False),
    Column("object", Integer, nullable=False),
    Column("is_victim", Boolean, nullable=False),
    Index("run_deadlocks_who", "who", "build"),
    sqlite_with_rowid=False,
)
RUN_LEAKS = Table(
    "run_leaks",
    METADATA,
    _of_run(),
    _name("test"),
    _name("kind"),
    _name("name"),
    _name("confidence"),
    Column("build", Integer, nullable=False),
    _seen_by(),
    Column("rows", BigInteger, nullable=False),
    _of_builds("run_leaks"),
    Index("run_leaks_test", "test", "kind", "name", "build", "seen_by", "rows"),
    sqlite_with_rowid=False,
    postgresql_with=_READ_BY_TRENDS,
)
# Tests that failed, needed more than one attempt, or had a part in a wait or a leak.
RUN_OUTCOMES = Table(
    "run_outcomes",
    METADATA,
    _of_run(),
    _name("test"),
    Column("build", Integer, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("failed_attempts", Integer, nullable=False),
    Column("duration_s", ShortMilliseconds),
    Column("message", AnyText, nullable=False),
    # Whether it waited for another test in this run; nothing is known of it if nobody watched.
    Column("was_blocked", Boolean),
    _of_builds("run_outcomes"),
    Index("run_outcomes_test", "test", "outcome", "build", "was_blocked", "run"),
    sqlite_with_rowid=False,
    postgresql_with=_READ_BY_TRENDS,
)
