"""Who may have interfered with a failed test: by tables and time, candidates only."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_tests.pytest_plugin.blocking import write_log
from pgwatch_tests.pytest_plugin.blocking.interference import candidates, lines_of, order_lines
from pgwatch_tests.pytest_plugin.blocking.read_tables import tables_read
from pgwatch_tests.pytest_plugin.blocking.write_log import (
    LoggedWrite,
    WriteLog,
    database_key,
    read_logs,
)
from pgwatch_tests.testing.connections.commits import ServedDatabase
from pgwatch_tests.testing.current_test import Owner


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT count(*) FROM users", {"users"}),
        ('select * from public."My Users" u, app.rooms as r where u.id = 1', {"My Users", "rooms"}),
        ("SELECT 1 FROM a LEFT JOIN b ON a.x = b.x JOIN ONLY c USING (x)", {"a", "b", "c"}),
        ("WITH recent AS (SELECT * FROM bookings) SELECT * FROM recent", {"bookings"}),
        ("UPDATE users SET name = 'from x' WHERE id IN (SELECT id FROM old)", {"users", "old"}),
        ("SELECT g FROM generate_series(1, 2) g -- from nothing\n", set()),
        ("INSERT INTO users (a) VALUES ('x')", set()),
        ("DELETE FROM users USING rooms WHERE true", {"users", "rooms"}),
        ("SELECT * FROM (SELECT 1 FROM inner_one) s", {"inner_one"}),
        ("", set()),
    ],
)
def test_tables_that_a_statement_reads(text: str, tables: set[str]) -> None:
    assert tables_read([text]) == tables


def write(owner: str, at: float, *tables: str, worker: str = "gw1", failed: bool = False) -> LoggedWrite:
    return LoggedWrite(at, owner, worker, frozenset(tables), "5432/app_test", failed)


FAILED = write("b.py::test_counts", 20.0, "users", "rooms", worker="gw0", failed=True)


def test_candidates_wrote_what_it_read_while_it_ran() -> None:
    writes = [
        write("a.py::test_before", 9.0, "users"),
        write("a.py::test_one", 11.0, "users", "logs"),
        write("a.py::test_one", 12.0, "users"),
        write("a.py::test_elsewhere", 12.0, "other"),
        write("b.py::test_counts", 13.0, "users", worker="gw0"),
        write("fixture rooms [module] of tests", 14.0, "rooms"),
        write("a.py::test_after", 21.0, "users"),
        LoggedWrite(15.0, "a.py::test_own_database", "gw1", frozenset({"users"}), "5432/app_test_gw1"),
    ]
    found = candidates(writes, FAILED, began=10.0)
    assert [(one.owner, one.at) for one in found.values()] == [
        ("a.py::test_one", 12.0),
        ("fixture rooms [module] of tests", 14.0),
    ]
    lines = lines_of(found, FAILED)
    assert lines[0] == (
        "While it ran, 2 others committed writes to tables that it had read. What it saw may be the work of "
        "1 of 2; that is no proof:"
    )
    assert lines[1].startswith("  a.py::test_one [gw1] wrote to users, last at ")
    assert lines_of({}, FAILED) == []


def test_the_order_of_tests_is_told_by_facts_only() -> None:
    lines = order_lines(
        [
            write("a.py::test_leaks", 5.0, "users"),
            write("a.py::test_tidy", 6.0, "users"),
            FAILED,
            write("c.py::test_makes_rooms", 25.0, "rooms"),
        ],
        left={"a.py::test_leaks": ["public.users"]},
    )
    assert lines == [
        "b.py::test_counts [gw0] failed:",
        "  it read rooms, to which nobody had committed anything in this run by then; "
        "c.py::test_makes_rooms [gw1] did so later: does it need rows of a test that has to run first?",
        "  it read users: a.py::test_leaks [gw1] had committed to it by then, and left rows there",
    ]


def test_logs_of_all_workers_are_read_from_a_time_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_log, "_CHUNK", 150)
    now = iter(range(10_000, 90_000, 100))
    monkeypatch.setattr(write_log, "real_time_ns", lambda: next(now) * 1_000_000)
    logs = [WriteLog(tmp_path, "s", worker) for worker in ("gw0", "gw1")]
    for number in range(40):
        owner = Owner("test", f"a.py::test_{number}", f"gw{number % 2}")
        logs[number % 2].wrote(owner, frozenset({"users"}), "5432/app_test")
    # Soon again, by the same test: one line stands for both, until its end.
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    monkeypatch.setattr(write_log, "real_time_ns", lambda: 13_910 * 1_000_000)
    logs[1].wrote(owner, frozenset({"users"}), "5432/app_test")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == size
    for log in logs:
        log.ended(owner)
        log.close()
    assert [(one.owner, one.at) for one in read_logs(tmp_path, "s", since=13.0)] == [
        *((f"a.py::test_{number}", number / 10 + 10) for number in range(30, 40)),
        ("a.py::test_39", 13.91),
    ]
    assert len(read_logs(tmp_path, "s")) == 41
    assert read_logs(tmp_path, "another") == []


def test_a_schema_of_a_test_s_own_is_a_database_of_its_own() -> None:
    def key(**parameters: str) -> str:
        return database_key(ServedDatabase("localhost", "5432", "app_test", make_conninfo("", **parameters)))

    own = "test_1790000000000_4711_0a1b2c3d"
    assert key(options=f'-c search_path="{own}","public"') == f"5432/app_test/{own}"
    assert key(options=f"-c search_path={own},public") == f"5432/app_test/{own}"
    # What others share.
    assert key() == key(options="-c search_path=app,public") == "5432/app_test"
