"""Logs of transactions: what is written is read, whoever was killed while writing it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.attribution import own_transaction
from pgwatch_tests.leaks.attribution.test_runs import ClockOffset, DatabaseIdentity, TestRun, Written
from pgwatch_tests.leaks.attribution.transaction_log import LogFile, TransactionLog, read_logs
from tests.waiting import wait_until

DATABASE = DatabaseIdentity("7711771059405625739", 16384, "app_test")
_MAX_XID = 2**64 - 1

oids = st.none() | st.frozensets(st.integers(1, 2**32 - 1), max_size=3)
transactions = st.builds(
    Written,
    xid=st.integers(3, _MAX_XID),
    started_us=st.none() | st.integers(0, 4_000_000_000_000_000),
    inserted=oids,
    changed=oids,
    is_judged=st.booleans(),
    is_complete=st.booleans(),
)


def only(directory: Path) -> LogFile:
    """The one log in a directory."""
    (log,) = read_logs(directory)
    return log


@settings(deadline=None)
@given(
    tests=st.lists(st.tuples(st.text(st.characters()), st.lists(transactions, max_size=3)), max_size=3),
    worker=st.text(),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    tests: Sequence[tuple[str, Sequence[Written]]],
    worker: str,
) -> None:
    directory = tmp_path_factory.mktemp("logs")
    begun = time.time_ns() // 1000
    with TransactionLog(directory, DATABASE, worker, ClockOffset(-5, 7)) as log:
        for test, written in tests:
            number = log.began(test)
            for one in written:
                log.wrote(number, one)
            log.ended(number, "passed")

    read = only(directory)

    assert (read.name, read.database, read.damaged) == (log.path.name, DATABASE, 0)
    assert [(run.test, run.transactions) for run in read.runs] == [(test, tuple(w)) for test, w in tests]
    for run in read.runs:
        assert (run.worker, run.outcome, run.clock) == (worker, "passed", ClockOffset(-5, 7))
        assert run.ended_us is not None
        assert begun <= run.began_us <= run.ended_us <= time.time_ns() // 1000
    assert log.path.read_bytes().isascii()


def test_what_is_told_at_the_end_is_one_write(tmp_path: Path) -> None:
    wrote = [Written(700, None, frozenset({1}), frozenset(), is_judged=True), Written(701)]
    with TransactionLog(tmp_path, DATABASE, "gw0", session="5e6f7a8b") as log:
        test, fixture = log.began("a", 5_000_001), log.began("fixture b", 4_000_000, is_fixture=True)
        log.ended(fixture, "passed", wrote, at_us=9_000_000)
        log.may_have_written(test, 16384, frozenset({702, 703}))
        unknown = {"autocommit": 2, "savepoint": 1}
        log.ended(test, "failed", unknown=unknown, at_us=7_000_000, may_write=frozenset({16384}))

    read = only(tmp_path)

    assert read.session == "5e6f7a8b"
    assert read.runs == (
        TestRun(
            *("a", "gw0", 5_000_001, 7_000_000, "failed"),
            unknown=3,
            unknown_ways=frozenset(unknown),
            may_write=frozenset({16384}),
            perhaps=frozenset({(16384, 702), (16384, 703)}),
        ),
        # Who was judged by rows doesn't mind what ran beside it.
        TestRun("fixture b", "gw0", 4_000_000, 9_000_000, "passed", tuple(wrote), is_fixture=True),
    )


def test_what_two_tests_at_once_wrote_is_not_known(tmp_path: Path) -> None:
    wrote = Written(700, None, frozenset({1}), frozenset())
    with TransactionLog(tmp_path, DATABASE, "gw0") as log:
        first, second = log.began("a"), log.began("b")
        log.wrote(first, wrote)
        log.ended(second, "passed")
        # Its transaction may have begun before that.
        log.wrote(first, wrote)
        log.ended(first, "passed")
        third = log.began("c")
        log.wrote(third, wrote)

    a, b, c = only(tmp_path).runs

    assert a.transactions == (Written(700), Written(700))
    assert b.transactions == ()
    assert c.transactions == (wrote,)


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """A log of two tests, the first of which wrote."""
    with TransactionLog(tmp_path / "whole", DATABASE, "gw0") as log:
        first = log.began("a")
        log.wrote(first, Written(700, 1, frozenset([1]), frozenset()))
        log.ended(first, "failed")
        log.began("b")
    return log.path.read_bytes()


def test_a_log_that_ends_anywhere_tells_what_was_whole(whole: bytes, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    for length in range(len(whole) + 1):
        (cut / "1.jsonl").write_bytes(whole[:length])

        log = only(cut)

        lines = whole[:length].count(b"\n")
        assert log.damaged == 0
        assert (log.database is None) == (lines == 0)
        assert [run.test for run in log.runs] == ["a", "b"][: max(0, (lines >= 2) + (lines >= 5))]
        assert [run.transactions for run in log.runs][:1] in ([], [()]) or lines >= 3
        assert all(run.ended_us is None for run in log.runs) or lines >= 4


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        '{"began": 1, "at": "2026-01-01T00:00:00Z", "test": "again"}',
        '{"began": true, "at": "2026-01-01T00:00:00Z", "test": "x"}',
        '{"began": 9, "at": "2026-01-01T00:00:00", "test": "no time zone"}',
        '{"began": 9, "at": "yesterday", "test": "x"}',
        '{"wrote": 7, "xid": 1}',
        '{"wrote": 1, "xid": "700"}',
        '{"wrote": 1, "xid": 700, "inserted": 3}',
        '{"ended": 7, "at": "2026-01-01T00:00:00Z", "outcome": "passed"}',
        '{"other": 1}',
        '{"began": 9, "test": "' + "x" * (1 << 20) + '"}',
    ],
)
def test_a_line_that_makes_no_sense_is_counted_and_the_rest_is_read(
    whole: bytes, tmp_path: Path, line: str
) -> None:
    lines = whole.splitlines()
    lines.insert(3, line.encode())
    (tmp_path / "1.jsonl").write_bytes(b"\n".join(lines) + b"\n")

    log = only(tmp_path)

    assert log.damaged >= 1
    assert [(run.test, len(run.transactions)) for run in log.runs] == [("a", 1), ("b", 0)]


@pytest.mark.parametrize("header", ["", "{}", "null", '{"schema": "pgwatch-tests.transactions/2"}', "\xff"])
def test_a_file_that_is_no_log_is_damaged(tmp_path: Path, header: str) -> None:
    (tmp_path / "1.jsonl").write_text(f"{header}\n", encoding="latin-1")

    assert only(tmp_path) == LogFile("1.jsonl", None, (), 1)


def test_nothing_is_written_or_read_through_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    TransactionLog(real, DATABASE, "gw0").close()
    link.symlink_to(real)
    with pytest.raises(OSError, match="link"):
        TransactionLog(link, DATABASE, "gw0")
    with pytest.raises(ConfigurationError, match="cannot read the transaction logs in"):
        read_logs(link)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_logs(tmp_path / "nothing")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.jsonl").symlink_to(next(real.iterdir()))
    os.mkfifo(elsewhere / "2.jsonl")
    (elsewhere / "3.jsonl").mkdir()
    (elsewhere / "notes.txt").touch()

    assert read_logs(elsewhere) == tuple(LogFile(f"{i}.jsonl", None, (), 1) for i in (1, 2, 3))


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with TransactionLog(tmp_path / "new", DATABASE, "gw0") as log:
            assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
            assert log.path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


_WRITER = """
import sys
from pathlib import Path
from pgwatch_tests.leaks.attribution.test_runs import DatabaseIdentity, Written
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
log = TransactionLog(Path(sys.argv[1]), DatabaseIdentity("1", 2, "d"), sys.argv[2])
xid = 1000
while True:
    number = log.began("t" * 5000)
    xid += 1
    log.wrote(number, Written(xid, 1, frozenset([1]), frozenset()))
    log.ended(number, "passed")
"""


def test_workers_that_are_killed_while_they_write(python: str, tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    workers = [
        subprocess.Popen([python, "-c", _WRITER, str(directory), f"gw{number}"]) for number in range(3)
    ]
    try:
        wait_until(
            lambda: (
                directory.is_dir()
                and sum(f.stat().st_size > 100_000 for f in directory.iterdir()) == len(workers)
            ),
            timeout_s=30,
        )
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()

    logs = read_logs(directory)

    assert [log.damaged for log in logs] == [0, 0, 0]
    assert {run.worker for log in logs for run in log.runs} == {"gw0", "gw1", "gw2"}
    for log in logs:
        # All but the last are whole.
        assert all(run.ended_us is not None and len(run.transactions) == 1 for run in log.runs[:-1])
        xids = [one.xid for run in log.runs for one in run.transactions]
        assert xids == list(range(1001, 1001 + len(xids)))


def test_processes_that_a_worker_forks_write_whole_lines_too(python: str, tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from pgwatch_tests.leaks.attribution.test_runs import DatabaseIdentity, Written
from pgwatch_tests.leaks.attribution.transaction_log import TransactionLog
with TransactionLog(Path(sys.argv[1]), DatabaseIdentity("1", 2, "d"), "gw0") as log:
    number = log.began("t")
    for child in range(4):
        if os.fork() == 0:
            for i in range(200):
                log.wrote(number, Written(1000 * child + i))
            os._exit(0)
    for child in range(4):
        os.wait()
    log.ended(number, "passed")
"""
    subprocess.run([python, "-c", code, str(tmp_path)], check=True, timeout=30)

    (run,) = only(tmp_path).runs

    assert sorted(one.xid for one in run.transactions) == [1000 * c + i for c in range(4) for i in range(200)]


def test_a_full_disk_costs_lines_and_no_others(tmp_path: Path) -> None:
    log = TransactionLog(tmp_path, DATABASE, "gw0")
    number = log.began("a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 20, hard))
    try:
        with pytest.raises(OSError, match="large"):
            log.wrote(number, Written(700))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    log.wrote(number, Written(701))
    log.close()

    read = only(tmp_path)

    assert read.damaged == 1
    assert [one.xid for run in read.runs for one in run.transactions] == [701]


def test_the_format_is_the_one_that_was_promised(tmp_path: Path) -> None:
    lines = [
        {
            "schema": "pgwatch-tests.transactions/1",
            "system_identifier": "7",
            "database_oid": 16384,
            "database": "app_test",
            "worker": "gw0",
            "pid": 1,
            "server_ahead_us": 120,
            "server_ahead_error_us": 80,
            "of a later version": [],
        },
        {"began": 1, "at": "1970-01-01T00:00:01.000002Z", "test": "t"},
        {"wrote": 1, "xid": 2**40, "started_at": "1970-01-01T01:00:03+01:00", "inserted": [5], "changed": []},
        {"ended": 1, "at": "1970-01-01T00:00:04Z", "outcome": "passed"},
    ]
    (tmp_path / "1.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    assert only(tmp_path) == LogFile(
        "1.jsonl",
        DatabaseIdentity("7", 16384, "app_test"),
        (
            TestRun(
                "t",
                "gw0",
                1_000_002,
                4_000_000,
                "passed",
                (Written(2**40, 3_000_000, frozenset([5]), frozenset()),),
                ClockOffset(120, 80),
            ),
        ),
    )


@pytest.mark.parametrize(("held_up", "readings"), [(0, 3), (5, 6), (1000, 20)])
def test_clocks_are_compared_until_a_reading_was_quick(
    owner: Connection[TupleRow], monkeypatch: pytest.MonkeyPatch, held_up: int, readings: int
) -> None:
    """A reading is as far off as it took: on a busy machine many are held up."""
    asked = 0

    def late_ns() -> int:
        nonlocal asked
        asked += 1
        late_us = 300_000 if asked % 2 == 0 and asked <= 2 * held_up else 0
        return ((asked - 1) // 2 * 1_000_000 + late_us) * 1000

    monkeypatch.setattr(own_transaction, "real_time_ns", late_ns)
    offset = own_transaction.clock_offset(owner)
    assert asked == 2 * readings
    assert (offset.error_us >= 150_000) == (held_up > 100)
