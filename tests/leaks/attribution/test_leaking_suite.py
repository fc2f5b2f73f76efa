"""Which test left which row, in a suite that really runs in parallel: against what is true of each row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import class_row

from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.identity.value_tokens import TOKEN
from pgwatch_tests.leaks.attribution.ladder import (
    AttributionLadder,
    RowOrigin,
    RowVerdict,
    attribution,
    full_xid,
)
from pgwatch_tests.leaks.attribution.own_transaction import database_now
from pgwatch_tests.leaks.attribution.transaction_log import read_logs
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.postgres import queries
from tests.leaks.attribution.leaking_suite import TABLES, WAYS, run_suite
from tests.leaks.scanning import settings
from tests.servers.server_places import server_directory

TESTS = 200
WORKERS = 4


@dataclass(frozen=True, slots=True)
class Left:
    """A row, what is true of it, and what it tells."""

    table_oid: int
    owner: str
    way: str
    text: str
    xmin: int


_LEFT = """
    SELECT tableoid::bigint AS table_oid, owner, way, email AS text, xmin::text::bigint AS xmin FROM users
    UNION ALL
    SELECT tableoid::bigint, owner, way, action, xmin::text::bigint FROM audit
"""


@pytest.fixture
def suite_server(
    has_commit_times: bool, programs: ServerPrograms, template: Path
) -> Iterator[EmbeddedServer]:
    """A server with commit timestamps, or one without."""
    chosen = {"track_commit_timestamp": "on" if has_commit_times else "off", "autovacuum": "off"}
    with EmbeddedServer(programs, server_directory(), chosen, template) as started:
        yield started


@pytest.mark.parametrize("has_commit_times", [True, False])
def test_no_row_is_said_to_be_anybody_elses(
    suite_server: EmbeddedServer, has_commit_times: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dsn, directory = suite_server.dsn(), tmp_path / "transactions"
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(table.encode())
    run_suite(dsn, directory, TESTS, WORKERS)

    left, ladder = what_was_left(dsn, directory)
    judged = [(row, ladder.judge(origin)) for row, origin in left]
    report = scan(replace(settings(dsn), transactions=directory))

    with capsys.disabled():
        print(f"\n{shares(suite_server, judged)}")
    assert [(row, verdict) for row, verdict in judged if is_wrong(row, verdict)] == []
    by_way = {way: Counter(verdict.confidence for row, verdict in judged if row.way == way) for way in WAYS}
    each = TESTS // len(WAYS)
    assert by_way["plain"] == {"transaction": each}
    assert by_way["another process"] == {"marker": each}
    if has_commit_times:
        # Two transactions that were committed in the same microsecond can't be told apart.
        assert by_way["savepoint"]["transaction"] >= each - 4
    else:
        assert by_way["savepoint"]["transaction"] == 0
    assert by_way["unmarked"]["transaction"] >= each // 2
    assert by_way["unmarked"]["1 of N"] == 0
    # What the command says, from its own reading, is the same.
    (users,) = report.tables
    marked = [verdict for row, verdict in judged if row.way != "unmarked"]
    assert users.attribution == attribution(marked, len(marked), "")
    assert sum(one.rows for one in users.attribution) == users.rows


def what_was_left(dsn: str, directory: Path) -> tuple[list[tuple[Left, RowOrigin]], AttributionLadder]:
    """All rows, marked or not, as a source of rows would give them; and the ladder to judge them."""
    logs = read_logs(directory)
    assert len(logs) == WORKERS
    assert sum(len(log.runs) for log in logs) == TESTS
    assert [log.damaged for log in logs] == [0] * WORKERS
    with psycopg.connect(dsn, autocommit=True) as connection:
        now = database_now(connection)
        with connection.cursor(row_factory=class_row(Left)) as cursor:
            left = cursor.execute(_LEFT).fetchall()
        known = KnownTests(run.test for log in logs for run in log.runs)
        times: dict[int, int] = {}
        logged: list[int] = []
        if now.has_commit_timestamps:
            # As the command asks: of two commits in the same microsecond, one may be of another table.
            marked = {row.table_oid for row in left if row.way != "unmarked"}
            logged = AttributionLadder(logs, now.identity, known, {}).logged_inserts(marked)
            xids = {"xids": [*logged, *(row.xmin for row in left)]}
            statement = queries.load("leaks/commit_times").encode()
            times = {row[0]: row[1] for row in connection.execute(statement, xids)}
    ladder = AttributionLadder(logs, now.identity, known, {xid: times[xid] for xid in logged if xid in times})
    return [(row, origin(row, int(now.next_xid), times.get(row.xmin))) for row in left], ladder


def origin(row: Left, next_xid: int, committed_us: int | None) -> RowOrigin:
    tokens = tuple(match[1] for match in re.finditer(TOKEN, row.text, re.IGNORECASE))
    return RowOrigin(row.table_oid, tokens, None, full_xid(row.xmin, next_xid), committed_us)


def is_wrong(row: Left, verdict: RowVerdict) -> bool:
    """Whether tests are named, and not the one that left the row."""
    return bool(verdict.tests) and row.owner not in verdict.tests


def shares(server: EmbeddedServer, judged: list[tuple[Left, RowVerdict]]) -> str:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        version = connection.info.parameter_status("server_version")
        shown = connection.execute("SHOW track_commit_timestamp").fetchall()[0][0]
    lines = [f"PostgreSQL {version}, track_commit_timestamp {shown}: {len(judged)} rows of {TESTS} tests"]
    for way in (*WAYS, "all"):
        verdicts = [verdict for row, verdict in judged if way in (row.way, "all")]
        counts = Counter(verdict.confidence for verdict in verdicts)
        cells = ", ".join(f"{name} {count / len(verdicts):.0%}" for name, count in counts.most_common())
        lines.append(f"  {way:18} {len(verdicts):4} rows: {cells}")
    why = Counter(verdict.detail or f"1 of {len(verdict.tests)}" for _, verdict in judged)
    lines.append(f"  {why}")
    wrong = sum(is_wrong(row, verdict) for row, verdict in judged)
    return "\n".join([*lines, f"  named wrongly: {wrong}"])
