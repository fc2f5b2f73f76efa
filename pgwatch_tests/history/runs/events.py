"""What happened to tests of a name, run by run: they failed, were blocked, blocked others, left something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from pgwatch_tests.history.runs.builds import FAILED, Builds
from pgwatch_tests.history.runs.model import EventKind, TestEvent
from pgwatch_tests.history.runs.strings import named, texts_of
from pgwatch_tests.history.tables import BUILDS, RUN_LEAKS, RUN_OUTCOMES, RUN_PAIRS, RUNS

_OF_RUN = (
    RUNS.c.id,
    RUNS.c.run,
    RUNS.c.attempt,
    RUNS.c.began,
    RUNS.c.shard,
    BUILDS.c.branch,
    BUILDS.c.commit,
)
_FAILURES: Mapping[int, EventKind] = dict(zip(FAILED, ("failed", "error", "flaky"), strict=True))
_NAMES = ("test", "other", "object", "shard", "branch", "commit")


def read_events(connection: Connection, builds: Builds, test: str, most: int) -> tuple[TestEvent, ...]:
    """Returns the newest events of the tests that the pattern matches, newest first."""
    ended, waits, left = RUN_OUTCOMES.c, RUN_PAIRS.c, RUN_LEAKS.c
    queries: Mapping[EventKind, Select[Any]] = {
        "failed": select(ended.test, ended.outcome.label("outcome"), ended.message.label("message")).where(
            named(ended.test, test), ended.outcome.in_(FAILED)
        ),
        "blocked by": select(
            waits.waiter.label("test"),
            waits.blocker.label("other"),
            waits.object,
            waits.blocked_s.label("amount"),
        ).where(named(waits.waiter, test)),
        "blocked": select(
            waits.blocker.label("test"),
            waits.waiter.label("other"),
            waits.object,
            waits.blocked_s.label("amount"),
        ).where(named(waits.blocker, test)),
        "left": select(
            left.test, left.kind.label("other"), left.name.label("object"), left.rows.label("amount")
        ).where(named(left.test, test)),
    }
    tables: Mapping[EventKind, Table] = {"failed": RUN_OUTCOMES, "left": RUN_LEAKS}
    rows: list[tuple[EventKind, Mapping[str, Any]]] = []
    for kind, query in queries.items():
        table = tables.get(kind, RUN_PAIRS)
        whole = (
            query.add_columns(*_OF_RUN)
            .join(RUNS, RUNS.c.id == table.c.run)
            .join(BUILDS, BUILDS.c.id == table.c.build)
            .where(*builds.counted_in(table))
            .order_by(table.c.build.desc(), RUNS.c.id.desc())
        )
        rows += [(kind, dict(row)) for row in connection.execute(whole.limit(most)).mappings()]
    rows.sort(key=lambda item: (item[1]["began"], item[1]["id"]), reverse=True)
    texts = texts_of(
        connection,
        {row[column] for _, row in rows[:most] for column in _NAMES if row.get(column) is not None},
    )
    return tuple(_event(kind, row, texts) for kind, row in rows[:most])


def _event(kind: EventKind, row: Mapping[str, Any], texts: Mapping[int, str]) -> TestEvent:
    names = {column: texts[row[column]] if row.get(column) is not None else "" for column in _NAMES}
    return TestEvent(
        began=row["began"],
        run=row["run"],
        attempt=row["attempt"],
        kind=_FAILURES[row["outcome"]] if kind == "failed" else kind,
        amount=float(row.get("amount") or 0),
        message=row.get("message", ""),
        **names,
    )
