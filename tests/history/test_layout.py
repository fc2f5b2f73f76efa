"""The layout of the history: older ones become the present one, whoever else is at work; nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, insert, select

from pgwatch_tests.errors import HistoryError
from pgwatch_tests.history import layout
from pgwatch_tests.history.history import History
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.history.store import Store
from pgwatch_tests.history.tables import SWEEPS
from pgwatch_tests.settings.load import Dsn
from tests.cli.running import environment
from tests.history.histories import entry, settings
from tests.history.runs.summaries import deadlock, facts, leak, outcome, pair, summary
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import PATIENCE_S, wait_until


def make_first_layout(place: Path | Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a history as version 1 of the layout was, with two sweeps."""
    old = MetaData()
    sweeps = Table(
        "sweeps",
        old,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        *(
            Column(one.name, one.type, nullable=one.nullable)
            for one in SWEEPS.columns
            if one.name not in ("id", "part")
        ),
        Index("sweeps_job", "job", "id"),
        sqlite_autoincrement=True,
    )
    with monkeypatch.context() as patch:
        patch.setattr(layout, "METADATA", old)
        patch.setattr(layout, "VERSION", 1)
        with Store(place).writing() as connection:
            for number in (1, 2):
                values = asdict(entry(number))
                del values["id"], values["part"]
                connection.execute(insert(sweeps).values(values))


def python(place: Path | Dsn, code: str) -> subprocess.Popen[str]:
    """A process that runs `code` once it gets a line; `place` is the history there."""
    where = f"Path({str(place)!r})" if isinstance(place, Path) else f"Dsn({place.value!r}, 'x')"
    head = (
        "import sys; from pathlib import Path; from pgwatch_tests.settings.load import Dsn;"
        "from pgwatch_tests.history import layout; from pgwatch_tests.history.history import History;"
        "from pgwatch_tests.history.runs.run_store import RunStore;"
        "from tests.history.histories import entry, settings; from tests.history.runs.summaries import *;"
        f"place = {where}; print('ready', flush=True); sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", head + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Has a process begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@contextmanager
def granted(owner: Connection[TupleRow], role: str, privileges: str) -> Iterator[None]:
    """Gives a role these privileges on the history's tables."""
    owner.execute(f"GRANT USAGE ON SCHEMA pgwatch_tests TO {role}".encode())
    owner.execute(f"GRANT {privileges} ON ALL TABLES IN SCHEMA pgwatch_tests TO {role}".encode())
    yield
    owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA pgwatch_tests FROM {role}".encode())


def test_processes_that_migrate_and_write_at_once(place: Path | Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_layout(place, monkeypatch)
    code = (
        "import os, traceback\n"
        "def work(attempt):\n"
        "    History.open(settings(place)).add(entry(3))\n"
        "    runs = RunStore.open(settings(place))\n"
        "    for one in range(6):\n"
        "        run, tests = facts(one, attempt=attempt), [outcome(f'{x}{one}', 'failed') for x in 'abc']\n"
        "        runs.add(summary(run, [pair(f'a{one}', 'b')], [leak('c')], tests))\n"
        "begin, together = os.pipe()\n"
        "for number in range(4):\n"
        "    if not os.fork():\n"
        "        os.close(together); os.read(begin, 1)\n"
        "        try: work(1 + number % 2)\n"
        "        except BaseException: traceback.print_exc()\n"
        "        os._exit(0)\n"
        "os.close(together)\n"
        "for number in range(4): os.wait()\n"
    )
    processes = python(place, code)
    go(processes)
    assert processes.communicate(timeout=PATIENCE_S) == ("", "")

    assert len(History.open(settings(place)).entries()) == 6
    runs = RunStore.open(settings(place)).runs()
    # Two attempts of six runs, each of which two processes have added.
    assert {(run.run, run.attempt, run.failed) for run in runs} == {
        (f"{number:08x}", attempt, 3) for number in range(6) for attempt in (1, 2)
    }
    assert len(runs) == 12
    assert len({run.build for run in runs}) == 6


def test_a_migration_that_is_killed_leaves_what_was_there(
    place: Path | Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_first_layout(place, monkeypatch)
    code = (
        "whole = layout._MIGRATIONS[1]\n"
        "def halfway(connection):\n"
        "    whole(connection); print('halfway', flush=True); sys.stdin.readline()\n"
        "layout._MIGRATIONS = {**layout._MIGRATIONS, 1: halfway}\n"
        "History.open(settings(place)).entries()\n"
    )
    process = python(place, code)
    go(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "halfway\n"
    process.kill()
    process.communicate(timeout=PATIENCE_S)

    with monkeypatch.context() as patch:
        patch.setattr(layout, "VERSION", 1)
        with Store(place).reading() as connection:
            ids = connection.execute(select(SWEEPS.c.id).order_by(SWEEPS.c.id)).scalars().all()
        assert ids == [1, 2]
    history = History.open(settings(place))
    assert [one.deleted_rows for one in history.entries()] == [2, 1]
    assert history.add(entry(3)).id in (3, 4)  # a sequence doesn't roll back
    monkeypatch.setattr(layout, "VERSION", 1)
    with pytest.raises(HistoryError, match="has the layout 4, and this version"):
        History.open(settings(place)).entries()


def test_numbers_of_the_second_layout_become_narrow(database: Database, owner: Connection[TupleRow]) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    everything = [pair("a", "b"), pair("b", "c")], [leak("a")], [outcome("a", "failed")], [deadlock("a", "b")]
    runs = RunStore.open(settings(place))
    for number in (1, 2):
        assert runs.add(summary(facts(number), *everything)) == "added"
    moment = facts(1).began - timedelta(days=1)
    before = runs.trends(moment)
    narrow = _columns(owner)
    for table, columns in narrow.items():
        for column, kind in columns.items():
            if kind == "integer":
                owner.execute(f'ALTER TABLE pgwatch_tests.{table} ALTER "{column}" TYPE bigint'.encode())
        owner.execute(
            f"ALTER TABLE pgwatch_tests.{table} RESET (autovacuum_vacuum_insert_threshold)".encode()
        )
    owner.execute("DROP INDEX pgwatch_tests.run_pairs_waiter")
    owner.execute("CREATE INDEX run_pairs_waiter ON pgwatch_tests.run_pairs (waiter, build, run, blocker)")
    # A month of blocked time in one run.
    owner.execute("UPDATE pgwatch_tests.run_objects SET blocked_s = 2592000000")
    owner.execute("ALTER TABLE pgwatch_tests.sweeps DROP COLUMN part")
    owner.execute("UPDATE pgwatch_tests.layout SET version = 2")

    again = RunStore.open(settings(place))
    assert again.trends(moment) == before
    present = _columns(owner)
    for table, column in (("sweeps", "passes"), ("runs", "attempt"), ("layout", "version")):
        del narrow[table][column], present[table][column]  # these were of four bytes before
    assert present == narrow
    row = owner.execute("SELECT max(blocked_s) FROM pgwatch_tests.run_objects").fetchone()
    assert row == (2**31 - 1,)
    query = (
        "SELECT reloptions, pg_stat_get_last_vacuum_time(oid) IS NOT NULL, "
        "pg_get_indexdef('pgwatch_tests.run_pairs_waiter'::regclass) "
        "FROM pg_class WHERE oid = 'pgwatch_tests.run_pairs'::regclass"
    )

    def vacuumed() -> list[tuple[str, str]]:
        rows = owner.execute(query).fetchall()
        return [(str(options), str(index)) for options, was_vacuumed, index in rows if was_vacuumed]

    # Before 15, statistics come by a process of their own, somewhat later.
    [(options, index)] = wait_until(vacuumed)
    assert "autovacuum_vacuum_insert_threshold=1000" in options
    assert index.endswith("(waiter, build, run) INCLUDE (blocker)")
    assert again.add(summary(facts(3), *everything)) == "added"


def _columns(owner: Connection[TupleRow]) -> dict[str, dict[str, str]]:
    """The types of the history's columns, by table and name."""
    rows = owner.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'pgwatch_tests'"
    ).fetchall()
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        types.setdefault(table, {})[column] = kind
    return types


def test_a_role_that_may_only_insert_and_read(
    database: Database,
    owner: Connection[TupleRow],
    make_role: MakeRole,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    make_first_layout(place, monkeypatch)
    role = make_role()
    owner.execute(f"GRANT USAGE ON SCHEMA pgwatch_tests TO {role}".encode())
    owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA pgwatch_tests TO {role}".encode())
    configured = replace(settings(Dsn(connect(user=role).info.dsn, "PGWATCH_HISTORY")), keep_runs_s=86_400.0)
    with pytest.raises(HistoryError, match=r"older layout 1 .* permission denied .*have the owner of its "):
        RunStore.open(configured).runs()

    everything = [pair("a", "b")], [leak("a")], [outcome("a", "failed")], [deadlock("a", "b")]
    RunStore.open(settings(place)).add(summary(facts(1, days_ago=2), *everything))
    with granted(owner, role, "SELECT, INSERT"):
        runs = RunStore.open(configured)
        assert runs.add(summary(facts(999), *everything)) == "added"
        assert runs.add(summary(facts(999), *everything)) == "known"
        assert len(runs.runs()) == 2  # the old one stays: somebody else may forget it
        history = History.open(configured, kept=1)
        assert history.add(entry(3)).id in (3, 4)
        assert len(history.entries()) == 3
    with granted(owner, role, "SELECT, INSERT, DELETE"):
        assert runs.add(summary(facts(998), *everything)) == "added"
        assert {run.run for run in runs.runs()} == {f"{number:08x}" for number in (998, 999)}
        assert len(history.entries()) == 3
        history.add(entry(4))
        assert len(history.entries()) == 1
