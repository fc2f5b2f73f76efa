"""A run's way into the history: the rows of its summary, inserted in one transaction."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from sqlalchemy import Connection, Table, delete, insert, select

from pgwatch_tests.history.layout import may_delete
from pgwatch_tests.history.runs.model import OUTCOMES, Addition
from pgwatch_tests.history.runs.retention import NAMES_OF_BUILD, NAMES_OF_ROWS, NAMES_OF_RUN, hold_names
from pgwatch_tests.history.runs.strings import digest, insert_new, kept, string_numbers, test_set_number
from pgwatch_tests.history.tables import (
    BUILDS,
    RUN_CAUSES,
    RUN_DEADLOCKS,
    RUN_LEAKS,
    RUN_OBJECTS,
    RUN_OUTCOMES,
    RUN_PAIRS,
    RUNS,
)
from pgwatch_tests.leaks.model import TRACES
from pgwatch_tests.record.run_summary import BlockedSum, RunFacts, RunSummary, TestOutcome
from pgwatch_tests.record.sums import label
from pgwatch_tests.text.plain_text import shortened_middle

UNNAMED = "sessions without a name"

_LONGEST_MESSAGE = 300  # characters of a failure's
_PID = re.compile(r"pid [0-9]+")
# What differs from run to run in the name of a schema or session: `test_1764400000000_4711_ab12`.
_VARYING = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{3,}(?![A-Za-z0-9])")
_Row = dict[str, object]


def add_run(connection: Connection, summary: RunSummary) -> Addition:
    """Adds a run, in the transaction of the connection. Returns what became of it."""
    hold_names(connection)
    key = _run_key(summary.facts)
    of_key = select(RUNS.c.id, RUNS.c.test_set.is_not(None), RUNS.c.watched_s > 0).where(RUNS.c.key == key)
    known = connection.execute(of_key).first()
    if known is not None:
        # What is known less of now, as of a recording without its JUnit files, replaces nothing.
        is_less = (known[1] and not summary.outcomes) or (known[2] and not summary.watched_s)
        if is_less or not may_delete(connection, RUNS):
            return "known"
        connection.execute(delete(RUNS).where(RUNS.c.id == known[0]))
    outcomes = {kept(one.test): one for one in summary.outcomes}
    passed = [test for test, one in outcomes.items() if one.outcome == "passed" and not one.failed_attempts]
    build_row, run_row = _build_row(summary.facts), _run_row(summary, outcomes)
    rows: Mapping[Table, Sequence[_Row]] = {
        RUN_PAIRS: _pairs(summary),
        RUN_OBJECTS: _objects(summary),
        RUN_CAUSES: _causes(summary),
        RUN_DEADLOCKS: _deadlocks(summary),
        RUN_LEAKS: _leaks(summary),
        RUN_OUTCOMES: _outcomes(summary, outcomes),
    }
    texts = {*passed, *_texts([build_row], NAMES_OF_BUILD), *_texts([run_row], NAMES_OF_RUN)}
    for table, some in rows.items():
        texts |= _texts(some, NAMES_OF_ROWS[table])
    numbers = string_numbers(connection, texts)

    build = _build_number(connection, _numbered(build_row, NAMES_OF_BUILD, numbers))
    run_row |= {"key": key, "build": build, "test_set": None}
    if outcomes:
        run_row["test_set"] = test_set_number(connection, [numbers[test] for test in passed])
    if not insert_new(connection, RUNS, [_numbered(run_row, NAMES_OF_RUN, numbers)]):
        return "known"  # somebody else has added it in the same moment
    run = connection.execute(select(RUNS.c.id).where(RUNS.c.key == key)).scalar_one()
    of_run = {"run": run, "build": build, "seen_by": _seen_by(summary.facts.attempt, run_row["servers"])}
    for table, some in rows.items():
        if some:
            of_table = {column: number for column, number in of_run.items() if column in table.c}
            numbered = [_numbered(row, NAMES_OF_ROWS[table], numbers) | of_table for row in some]
            connection.execute(insert(table), numbered)
    return "added" if known is None else "replaced"


def _run_key(facts: RunFacts) -> bytes:
    """The same for all summaries of one run, shard and attempt.

    Ids of runs have 8 hex digits: of 100,000 runs two may have the same, but hardly on one day.
    """
    return digest(facts.run, facts.shard, facts.attempt, facts.ci_run, _day(facts))


def _day(facts: RunFacts) -> str:
    return facts.began.astimezone(UTC).date().isoformat()


def _texts(rows: Iterable[_Row], columns: Sequence[str]) -> set[str]:
    return {str(row[column]) for row in rows for column in columns}


def _numbered(row: _Row, columns: Sequence[str], numbers: Mapping[str, int]) -> _Row:
    """The row with the numbers of its strings."""
    return row | {column: numbers[str(row[column])] for column in columns}


def _build_row(facts: RunFacts) -> _Row:
    if facts.ci_run:
        key = digest(facts.repository, facts.ci, facts.ci_run)
    else:
        key = digest(facts.repository, facts.run, _day(facts))
    return {
        "key": key,
        "began": facts.began,
        "repository": kept(facts.repository),
        "branch": kept(facts.branch),
        "commit": kept(facts.commit),
        "ci": kept(facts.ci),
        "ci_run": facts.ci_run,
    }


def _build_number(connection: Connection, row: _Row) -> int:
    """The number of the build, which is kept if it isn't yet."""
    query = select(BUILDS.c.id).where(BUILDS.c.key == row["key"])
    known = connection.execute(query).scalar()
    if known is None:
        insert_new(connection, BUILDS, [row])
        known = connection.execute(query).scalar_one()
    return int(known)


def _run_row(summary: RunSummary, outcomes: Mapping[str, TestOutcome]) -> _Row:
    facts = summary.facts
    ended = Counter(one.outcome for one in outcomes.values())
    flaky = sum(map(_is_flaky, outcomes.values()))
    first = summary.servers[0] if summary.servers else None
    servers = [(one.system_identifier, str(one.started_at or one.address)) for one in summary.servers]
    return {
        "run": facts.run,
        "shard": kept(facts.shard),
        "attempt": facts.attempt,
        "began": facts.began,
        "ended": facts.ended,
        "exit_code": facts.exit_code,
        "signal": facts.signal,
        "command": kept(shlex.join(facts.command)),
        "machine": kept(facts.machine),
        "account": kept(facts.account),
        "ci_job": kept(facts.ci_job),
        "ci_url": facts.ci_url,
        "program_version": kept(facts.program_version),
        "server": kept(first.address if first else ""),
        "database": kept(first.database if first else ""),
        "server_version": kept(first.version if first else ""),
        "servers": int.from_bytes(digest(sorted(servers, key=str))[:8], "big", signed=True),
        "watched_s": summary.watched_s,
        "unwatched_s": summary.unwatched_s,
        "blocked_s": summary.blocked_s,
        "waits": summary.waits,
        "most_blocked": summary.most_blocked,
        "tests_seen": summary.tests_seen,
        "passed": ended["passed"] if outcomes else None,
        "failed": ended["failed"] + ended["error"] if outcomes else None,
        "skipped": ended["skipped"] if outcomes else None,
        "flaky": flaky if outcomes else None,
        "deadlocks": len(summary.deadlocks),
        "leaked_rows": sum(one.rows for one in summary.leaks if one.kind == "rows"),
        "leftovers": sum(one.rows for one in summary.leaks if one.kind not in ("rows", *TRACES)),
        "hangs": len(summary.hangs),
        "not_checked": summary.not_checked,
    }


def _seen_by(attempt: int, servers: object) -> int:
    return int.from_bytes(digest(attempt, servers)[:4], "big") >> 1


@dataclass(slots=True)
class _Sum:
    """Waits of one name in one run."""

    blocked_s: float
    waits: int
    longest_s: float
    more: _Row
    """Further columns, of the longest wait."""


class _Sums(dict[tuple[str, ...], _Sum]):
    """Sums by the names that the history keeps: some that differed may have become one."""

    def add(self, names: tuple[str, ...], one: BlockedSum, more: _Row) -> None:
        """Adds a sum to that of its names."""
        known = self.get(names)
        if known is None:
            self[names] = _Sum(one.blocked_s, one.waits, one.longest_s, more)
            return
        known.blocked_s += one.blocked_s
        known.waits += one.waits
        if one.longest_s > known.longest_s:
            known.longest_s, known.more = one.longest_s, more

    def rows(self, names: Sequence[str]) -> list[_Row]:
        """The rows of the table whose columns have these names."""
        return [
            dict(zip(names, key, strict=True))
            | {"blocked_s": one.blocked_s, "waits": one.waits, "longest_s": one.longest_s}
            | one.more
            for key, one in self.items()
        ]


def _pairs(summary: RunSummary) -> list[_Row]:
    sums = _Sums()
    for pair in summary.pairs:
        more: _Row = {"object": kept(pair.object), "cause": kept(pair.cause)}
        sums.add((_named(pair.blocker), _named(pair.waiter)), pair.sum, more)
    return sums.rows(("blocker", "waiter"))


def _objects(summary: RunSummary) -> list[_Row]:
    sums = _Sums()
    for one in summary.objects:
        sums.add((kept(one.object), kept(one.mode)), one.sum, {})
    return sums.rows(("object", "mode"))


def _causes(summary: RunSummary) -> list[_Row]:
    sums = _Sums()
    for one in summary.causes:
        sums.add((kept(one.cause),), one.sum, {})
    return sums.rows(("cause",))


def _deadlocks(summary: RunSummary) -> list[_Row]:
    return [
        {
            "deadlock": number,
            "member": place,
            "at": deadlock.at,
            "who": _named(label(member.side)),
            "object": kept(member.object),
            "is_victim": bool(deadlock.victim) and member.side.who == deadlock.victim,
        }
        for number, deadlock in enumerate(summary.deadlocks)
        for place, member in enumerate(deadlock.members)
    ]


def _leaks(summary: RunSummary) -> list[_Row]:
    rows: Counter[tuple[str, str, str, str]] = Counter()
    for leak in summary.leaks:
        if leak.kind in TRACES:
            continue  # each run leaves them again, and nobody has to mend that
        name = leak.name if leak.kind == "rows" else _VARYING.sub("*", leak.name)
        # A guess would look like a fact over many runs.
        test = leak.test if leak.confidence in ("marker", "transaction") else ""
        rows[kept(test), kept(leak.kind), kept(name), leak.confidence] += leak.rows
    return [
        {"test": test, "kind": kind, "name": name, "confidence": confidence, "rows": number}
        for (test, kind, name, confidence), number in rows.items()
    ]


def _outcomes(summary: RunSummary, outcomes: Mapping[str, TestOutcome]) -> list[_Row]:
    """Rows of tests that didn't simply pass, and of those that had a part in a wait or a leak."""
    blocked = {_named(pair.waiter) for pair in summary.pairs}
    involved = {kept(who) for pair in summary.pairs for who in (pair.blocker, pair.waiter)}
    involved.update(kept(leak.test) for leak in summary.leaks)
    return [
        {
            "test": test,
            "outcome": OUTCOMES.index("flaky" if _is_flaky(one) else one.outcome),
            "failed_attempts": one.failed_attempts,
            "duration_s": one.duration_s,
            "message": shortened_middle(one.message, _LONGEST_MESSAGE),
            "was_blocked": test in blocked if round(summary.watched_s * 1000) > 0 else None,
        }
        for test, one in outcomes.items()
        if one.outcome in ("failed", "error") or one.failed_attempts or test in involved
    ]


def _is_flaky(outcome: TestOutcome) -> bool:
    return outcome.outcome == "passed" and outcome.failed_attempts > 0


def _named(who: str) -> str:
    """The name of a session; a pid says nothing of another run."""
    return UNNAMED if _PID.fullmatch(who) else kept(who)
