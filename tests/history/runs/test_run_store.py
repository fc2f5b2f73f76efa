from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import delete

from pgwatch_tests.history.runs import retention
from pgwatch_tests.history.runs.model import StoredRun
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.history.store import Store
from pgwatch_tests.history.tables import BUILDS
from pgwatch_tests.settings.load import Dsn
from tests.history.histories import settings
from tests.history.runs.summaries import deadlock, facts, leak, outcome, pair, summary
from tests.servers.sessions import Database


def count(place: Path | Dsn, table: str) -> int:
    """The number of rows in one of the history's tables."""
    query = f"SELECT count(*) FROM {table}"  # noqa: S608
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as reader:
            return int(reader.execute(query).fetchone()[0])
    with psycopg.connect(place.value, options="-c search_path=pgwatch_tests") as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


def test_a_run_comes_back(place: Path | Dsn) -> None:
    store = RunStore.open(settings(place))
    one = summary(
        facts(3, shard="a/2", exit_code=1),
        [pair("a", "b\udcff\0", 1.5)],
        # A sequence that has moved is a trace, no leftover.
        [leak("a"), *(leak("", 1, kind, f"test_1764400000000_12_{kind}") for kind in ("schema", "sequence"))],
        [outcome("a"), outcome("b", "failed"), outcome("c", "skipped"), outcome("d", "flaky")],
        [deadlock("a", "b")],
    )
    assert store.add(one) == "added"
    assert store.add(summary(facts(2), servers=(), watched_s=0.0)) == "added"

    newest, other = store.runs()
    assert newest == StoredRun(
        id=1,
        build=1,
        run="00000003",
        shard="a/2",
        attempt=1,
        began=one.facts.began,
        ended=one.facts.ended,
        exit_code=1,
        signal=None,
        repository="acme/shop",
        branch="main",
        commit=one.facts.commit,
        ci="",
        ci_run="",
        ci_job="",
        ci_url="",
        command="pytest -n 4",
        machine="runner-7",
        account="ci@runner-7",
        program_version="1.0",
        server="db.example:5432",
        database="test_shop",
        server_version="18.1",
        watched_s=300.0,
        unwatched_s=0.5,
        blocked_s=1.5,
        waits=1,
        most_blocked=1,
        tests_seen=4,
        passed=2,
        failed=1,
        skipped=1,
        flaky=1,
        deadlocks=1,
        leaked_rows=3,
        leftovers=1,
        hangs=0,
        not_checked=(),
    )
    assert (other.server, other.passed, other.not_checked) == ("", None, ("the server was never reached",))
    assert store.runs(since=one.facts.began) == (newest,)
    assert store.runs(limit=1) == (newest,)


def test_the_same_run_is_one_run(place: Path | Dsn) -> None:
    store = RunStore.open(settings(place))
    one = summary(facts(1), [pair("a", "b")])
    assert store.add(one) == "added"
    # `report --store` may know more than `run` did.
    assert store.add(summary(facts(1), [pair("a", "b"), pair("b", "c")], tests=[outcome("a")])) == "replaced"
    # A recording without its JUnit files knows less.
    assert store.add(summary(facts(1), [pair("a", "b")])) == "known"
    assert store.add(summary(facts(1, attempt=2), [pair("a", "b")])) == "added"
    assert store.add(summary(facts(1, shard="b"), [pair("a", "b")])) == "added"

    runs = sorted(store.runs(), key=lambda run: run.id)
    assert [(run.shard, run.attempt, run.waits, run.passed) for run in runs] == [
        ("", 1, 2, 1),
        ("", 2, 1, None),
        ("b", 1, 1, None),
    ]
    assert (count(place, "runs"), count(place, "builds"), count(place, "run_pairs")) == (3, 1, 4)


def test_names_are_kept_once(place: Path | Dsn) -> None:
    store = RunStore.open(settings(place))
    tests = [outcome(f"test_{number}") for number in range(300)]
    store.add(summary(facts(1), [pair("a", "b")], [leak("a")], tests))
    strings = count(place, "strings")
    unnamed = [pair("pid 12", "pid 7"), pair("pid 4", "pid 5"), pair("a", "b")]
    for number in range(2, 6):
        store.add(summary(facts(number, commit="c"), unnamed, [leak("a")], tests))

    assert count(place, "strings") == strings + 2  # the commit, and sessions without a name
    assert (count(place, "test_sets"), count(place, "run_outcomes"), count(place, "run_pairs")) == (1, 0, 9)


def test_old_runs_are_forgotten_with_all_they_had(place: Path | Dsn) -> None:
    everything = [pair("a", "b")], [leak("a")], [outcome("a", "failed")], [deadlock("a", "b")]
    generous = RunStore.open(settings(place))
    for number in range(12):
        assert generous.add(summary(facts(number, days_ago=90), *everything)) == "added"
    store = RunStore.open(replace(settings(place), keep_runs_s=timedelta(days=60).total_seconds()))

    assert store.add(summary(facts(20, days_ago=90))) == "too old"
    assert store.add(summary(facts(990), *everything)) == "added"
    assert len(store.runs()) == 3  # some of them, so that no run waits long
    assert store.add(summary(facts(991), *everything)) == "added"
    assert [run.run for run in store.runs()] == [f"{991:08x}", f"{990:08x}"]
    for table in ("builds", "run_pairs", "run_objects", "run_causes", "run_leaks", "run_outcomes"):
        assert count(place, table) == 2, table
    assert count(place, "run_deadlocks") == 4
    assert store.runs(since=datetime.now(UTC)) == ()


def test_names_that_no_run_has_any_more_go(place: Path | Dsn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_TIDY_EVERY", 1)
    store = RunStore.open(replace(settings(place), keep_runs_s=timedelta(days=60).total_seconds()))
    generous = RunStore.open(settings(place))
    shared = [pair("a", "b")], [leak("a")], [outcome("a", "failed"), outcome("p")], [deadlock("a", "b")]
    store.add(summary(facts(990), *shared))
    names, sets = count(place, "strings"), count(place, "test_sets")

    tests = [outcome(f"test[{number}]", "passed" if number % 2 else "failed") for number in range(40)]
    old = facts(1, days_ago=90, branch="gone", commit="gone")
    generous.add(summary(old, [pair("old", "older")], [leak("oldest")], tests))
    assert (count(place, "strings"), count(place, "test_sets")) == (names + 44, sets + 1)
    assert store.add(summary(facts(991, commit=facts(990).commit), *shared)) == "added"

    assert (count(place, "strings"), count(place, "test_sets")) == (names, sets)
    assert [(run.branch, run.commit) for run in store.runs()] == 2 * [("main", facts(990).commit)]
    assert store.tidy() == 0


def test_no_name_is_removed_that_a_run_is_about_to_refer_to(
    place: Path | Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers add and forget runs of the same names at once, and each time names are removed."""
    monkeypatch.setattr(retention, "_TIDY_EVERY", 1)
    generous = RunStore.open(settings(place))
    keep_s = timedelta(days=60).total_seconds()

    def write(writer: int) -> None:
        store = RunStore.open(replace(settings(place), keep_runs_s=keep_s))
        for turn in range(3):
            number = 10 * writer + turn
            tests = [outcome(f"test_{turn}"), outcome(f"test_{turn + 1}", "failed")]
            of_turn = [pair(f"test_{turn}", f"test_{turn + 1}")], [leak(f"test_{turn}")], tests
            generous.add(summary(facts(number, days_ago=90, commit=f"{turn}"), *of_turn))
            store.add(summary(facts(900 + number, commit=f"{turn}"), *of_turn))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))

    assert {run.commit for run in generous.runs(1_000)} == {f"{turn}" for turn in range(3)}
    pairs = generous.trends(datetime.now(UTC) - timedelta(days=50)).pairs
    assert {(one.blocker, one.waiter) for one in pairs} == {(f"test_{n}", f"test_{n + 1}") for n in range(3)}


def test_a_run_that_is_being_added_keeps_all_names(database: Database) -> None:
    place = Dsn(database.dsn, "PGWATCH_HISTORY")
    runs, store = RunStore.open(settings(place)), Store(place)
    runs.add(summary(facts(1), [pair("a", "b")]))
    with store.writing() as connection:
        connection.execute(delete(BUILDS))
    names = count(place, "strings")
    with store.writing() as connection:
        retention.hold_names(connection)
        assert runs.tidy() is None
        assert count(place, "strings") == names
    assert runs.tidy() == names
    assert count(place, "strings") == 0
