"""What a run left goes at once when its lease has ended by its owner's word, and only then."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.history.history import History
from pgwatch_tests.history.recorder import Origin, Recorder
from pgwatch_tests.postgres.leases import LEASE_KEY, run_lease
from pgwatch_tests.reports.sweeps import sweep_remarks
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.ended_leases import EndedLease, ends_that_matter, note_end, noted_ends
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from pgwatch_tests.testing.lease_session import LeaseSession
from pgwatch_tests.testing.leases import APPLICATION_NAME, lease, run
from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database
from tests.sweep.orphans.processes import owner_of
from tests.sweep.orphans.sweeping import aged_name, exists, make_schema
from tests.sweep.rows.bookings import now_ms
from tests.sweep.rows.row_sweeps import OLD_MS, deleted, ids, kept
from tests.waiting import wait_until

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def shop(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Users, and bookings that say when they were made."""
    owner.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text);"
        "CREATE TABLE bookings (id int PRIMARY KEY, user_id int REFERENCES users,"
        " created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    return owner


@pytest.fixture
def swept(database: Database, tmp_path: Path) -> Callable[..., SweepReport]:
    """Runs a sweep as the program does, with what is on record; in turn of what a dry run has said."""

    def sweep(*, firm: bool = False) -> SweepReport:
        settings = Settings(Dsn(database.dsn, "the test"), history=tmp_path / "history.sqlite3")
        recorder = Recorder(History.open(settings), settings, Origin(), pytest.fail)
        request = recorder.knowing(SweepRequest(dry_run=True, min_age_is_firm=firm))
        dry = Sweep(settings, request).run()
        done = Sweep(settings, replace(request, dry_run=False)).run()
        assert dry.planned == done.planned == done.deleted
        assert kept(dry) == kept(done)
        assert (dry.in_spite_of_age, dry.ended_runs) == (done.in_spite_of_age, done.ended_runs)
        return done

    return sweep


def mail(run_id: str, stamp_ms: int | None = None) -> str:
    """A marked address of a run, made just now."""
    return f"u-{stamp_ms or now_ms()}-r{run_id}-x1@test.example.com"


def fill(shop: Connection[TupleRow], run_id: str, first: int = 1) -> None:
    """Two users of a run, with two bookings each, which bear no marker."""
    shop.execute(
        "INSERT INTO users VALUES (%s, %s), (%s, %s)", [first, mail(run_id), first + 1, mail(run_id.upper())]
    )
    shop.execute(
        "INSERT INTO bookings SELECT i * 2 + j, i FROM generate_series(%s::int, %s::int) AS i,"
        " generate_series(0, 1) AS j",
        [first, first + 1],
    )


def end_lease_sessions(owner: Connection[TupleRow]) -> None:
    """What a failing network does."""
    owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()"
        if owner.info.server_version >= 140000
        else "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()",
        [APPLICATION_NAME],
    )


def test_what_a_run_left_goes_once_it_has_ended(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    with run(database.dsn) as run_id:
        fill(shop, run_id)
        before = swept()
    report = swept()

    assert kept(before) == {("users", "run_alive"): 2, ("bookings", "run_alive"): 4}
    assert deleted(report) == {"users": (2, 0), "bookings": (0, 4)}
    assert kept(report) == {}
    assert (report.in_spite_of_age, report.ended_runs) == (6, (run_id,))
    assert sweep_remarks.in_spite_of_age(report) == (
        f"6 of these are younger than 10 min: the lease of their run ({run_id}) has ended"
    )


def test_who_asks_for_an_age_gets_it(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    with run(database.dsn) as run_id:
        fill(shop, run_id)

    report = swept(firm=True)
    assert kept(report) == {("users", "too_young"): 2, ("bookings", "too_young"): 4}
    assert (report.in_spite_of_age, report.ended_runs) == (0, ())


def test_a_run_whose_owner_was_killed_has_workers_perhaps(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    with owner_of("run", database.dsn) as owner:
        fill(shop, owner.name)
        owner.process.send_signal(signal.SIGKILL)
        owner.process.wait()

    assert kept(swept()) == {("users", "too_young"): 2, ("bookings", "too_young"): 4}


def test_a_lease_that_was_lost_is_not_ended(
    database: Database,
    shop: Connection[TupleRow],
    swept: Callable[..., SweepReport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LeaseSession, "look", lambda _: None)
    with run(database.dsn) as run_id:
        fill(shop, run_id)
        end_lease_sessions(shop)
        during = swept()
    after = swept()

    assert kept(during) == kept(after) == {("users", "too_young"): 2, ("bookings", "too_young"): 4}


def test_a_lease_that_was_taken_anew_is_alive_again(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    with owner_of("run", database.dsn) as owner:
        fill(shop, owner.name)
        owner.process.send_signal(signal.SIGSTOP)
        end_lease_sessions(shop)
        assert kept(swept()) == {("users", "too_young"): 2, ("bookings", "too_young"): 4}
        owner.process.send_signal(signal.SIGCONT)
        held = (
            "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE datname = current_database() AND classid = %s AND granted"
        )
        wait_until(
            lambda: shop.execute(held, [LEASE_KEY]).fetchone() is not None, message="the lease is held"
        )
        assert kept(swept()) == {("users", "run_alive"): 2, ("bookings", "run_alive"): 4}


def test_ctrl_c_may_not_have_reached_the_workers(database: Database) -> None:
    with suppress(KeyboardInterrupt), run(database.dsn):
        raise KeyboardInterrupt
    assert noted_ends() == ()
    with suppress(SystemExit), run(database.dsn) as run_id:
        raise SystemExit(1)
    assert [one.run for one in noted_ends()] == [run_id]


def test_a_run_that_goes_on_keeps_what_it_wrote_since(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport], connect: Connect
) -> None:
    with run(database.dsn) as run_id:
        fill(shop, run_id)
    other = connect("a second owner", autocommit=True)
    other.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [LEASE_KEY, run_lease(run_id)])
    assert kept(swept()) == {("users", "run_alive"): 2, ("bookings", "run_alive"): 4}

    # It has lost its lease, and doesn't know.
    other.execute("SELECT pg_advisory_unlock_all()")
    fill(shop, run_id, first=11)
    shop.execute("INSERT INTO bookings VALUES (99, 1)")
    report = swept()

    assert deleted(report) == {"users": (1, 0), "bookings": (0, 2)}
    assert ids(shop, "users") == [1, 11, 12]
    assert kept(report) == {("users", "too_young"): 3, ("bookings", "too_young"): 7}


def test_rows_of_others_are_as_young_as_before(
    database: Database, shop: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    with run(database.dsn) as run_id:
        shop.execute(
            "INSERT INTO users VALUES (1, %s), (2, %s), (3, %s), (4, %s)",
            [
                f"old-{OLD_MS}-x1@test.example.com",
                mail("ffffffff"),
                f"u-{now_ms()}-x1@test.example.com",
                mail(run_id),
            ],
        )
        # A test that runs is at an old user, without a lease, and its booking bears no marker.
        shop.execute("INSERT INTO bookings VALUES (1, 1)")
        shop.execute(
            "ALTER TABLE users ADD friend int REFERENCES users; UPDATE users SET friend = 4 WHERE id = 3"
        )

    report = swept()
    assert deleted(report) == {}
    assert kept(report) == {("users", "too_young"): 4, ("bookings", "too_young"): 1}


def test_rows_of_two_runs_go_when_both_have_ended(
    database: Database, owner: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    owner.execute("CREATE TABLE both_runs (id int PRIMARY KEY, a text, b text)")
    with run(database.dsn) as one:
        with run(database.dsn) as other:
            owner.execute("INSERT INTO both_runs VALUES (1, %s, %s)", [mail(one), mail(other)])
        owner.execute("INSERT INTO both_runs VALUES (2, %s, %s)", [mail(one), mail("ffffffff")])
        assert kept(swept()) == {("both_runs", "run_alive"): 2}

    report = swept()
    assert ids(owner, "both_runs") == [2]
    assert sweep_remarks.in_spite_of_age(report).startswith(
        "1 of these is younger than 10 min: its run is one of 2 whose leases have ended ("
    )


def test_a_schema_whose_lease_has_ended_goes(
    database: Database, owner: Connection[TupleRow], swept: Callable[..., SweepReport]
) -> None:
    mine, others = aged_name(1.0), aged_name(1.0)
    with lease(database.dsn, mine):
        make_schema(owner, mine)
        make_schema(owner, others)
        swept()
        assert exists(owner, mine)
    report = swept()

    assert not exists(owner, mine)
    assert [(one.name, one.reason) for one in report.orphans if one.name == others] == [(others, "too_young")]


def test_the_command_says_so(database: Database, shop: Connection[TupleRow], home: Path) -> None:
    with run(database.dsn) as run_id:
        fill(shop, run_id)
    arguments = ["sweep", "--dsn", database.dsn]

    firm = pgwatch(home, *arguments, "--min-age", "10m")
    dry = pgwatch(home, *arguments)
    done = pgwatch(home, *arguments, "--yes", "--format", "json")

    assert "nothing to remove yet" in firm.stdout
    assert f"the lease of their run ({run_id}) has ended" in " ".join(dry.stdout.split())
    assert json.loads(done.stdout)["in_spite_of_age"] == {"rows": 6, "runs": [run_id]}
    assert ids(shop, "users") == []


def ended(name: str = "run:0a1b2c3d", ago_s: float = 5.0, server: datetime = THEN) -> EndedLease:
    return EndedLease(name, server, THEN + timedelta(hours=1) - timedelta(seconds=ago_s))


def test_which_ends_matter() -> None:
    now = THEN + timedelta(hours=1)
    ends = [ended(ago_s=5), ended(ago_s=50), ended("run:x", 61), ended("run:y", server=now), ended("z", -1)]

    assert ends_that_matter(ends, THEN, now, 60.0) == (ended(ago_s=5),)
    assert ends_that_matter(ends, THEN, now, 0.0) == ()


def test_what_was_noted_is_read_whatever_is_beside_it(state: Path) -> None:
    place = state / "pgwatch-tests" / "leases"
    assert noted_ends() == ()
    note_end(ended())
    (file,) = place.iterdir()
    assert (file.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o600, 0o700)
    with file.open("a") as lines:
        lines.write(
            '{"name": "run:cut off\n[]\n{"name": 1, "server_started": "x", "ended_at": 2}\n{"name": "t'
        )
    note_end(ended("run:ffffffff"))
    for day in range(1, 10):
        (place / f"2020-01-0{day}.jsonl").touch()
    (place / "notes.txt").touch()
    note_end(ended("schema"))

    assert noted_ends() == (ended(), ended("run:ffffffff"), ended("schema"))
    assert [one.run for one in noted_ends()] == ["0a1b2c3d", "ffffffff", None]
    assert len([*place.glob("*.jsonl")]) == 7
    assert (place / "notes.txt").exists()


def test_a_suite_goes_on_where_nothing_can_be_kept(database: Database, state: Path) -> None:
    state.write_text("a file where a directory should be")
    with run(database.dsn):
        pass
    assert noted_ends() == ()
