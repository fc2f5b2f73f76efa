"""Settings, clocks and standbys of real servers, and what can't be found out."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.doctor.examination import examine
from pgwatch_tests.doctor.model import Advice, Clock, Examination, Role, Unread
from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, PgwatchError
from pgwatch_tests.postgres.version import support
from pgwatch_tests.reports import doctor_json, doctor_table
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.server_places import server_directory
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import wait_until

HELPFUL = (
    "track_commit_timestamp",
    "log_lock_waits",
    "deadlock_timeout",
    "idle_in_transaction_session_timeout",
    "log_line_prefix",
)


def settings(dsn: str, connect_timeout_s: float = 5.0) -> Settings:
    return Settings(dsn=Dsn(dsn, "the test"), connect_timeout_s=connect_timeout_s)


def advice(found: Examination, name: str) -> Advice:
    assert not isinstance(found.advice, Unread)
    [one] = [advice for advice in found.advice if advice.setting == name]
    return one


@pytest.fixture
def untuned(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own on which nothing is as it should be."""
    values = {"track_commit_timestamp": "off", "deadlock_timeout": "90s", "max_prepared_transactions": "0"}
    with EmbeddedServer(programs, server_directory(), values, template) as server:
        yield server


def test_settings_are_better_after_what_is_printed(untuned: EmbeddedServer) -> None:
    found = examine(settings(untuned.dsn()))
    assert [advice(found, name).value for name in HELPFUL] == ["off", "off", "90s", "0", "'%m [%p] '"]
    assert all(advice(found, name).better for name in HELPFUL)
    assert advice(found, "max_prepared_transactions").better is None
    assert found.works, "settings are advice"
    with psycopg.connect(untuned.dsn(), autocommit=True) as admin:
        for name in HELPFUL:
            for statement in advice(found, name).how:
                admin.execute(statement.encode())

    def reloaded() -> Examination | None:
        now = examine(settings(untuned.dsn()))
        return now if advice(now, "deadlock_timeout").better is None else None

    after = wait_until(reloaded)
    assert after is not None
    assert [advice(after, name).value for name in HELPFUL] == ["off", "on", "1s", "5min", "'%m [%p] %q%a '"]
    waits_for_restart = advice(after, "track_commit_timestamp")
    assert (waits_for_restart.better, waits_for_restart.how, waits_for_restart.restart) == ("on", (), True)
    untuned.restart()
    finally_ = examine(settings(untuned.dsn()))
    assert [advice(finally_, name).better for name in HELPFUL] == [None] * len(HELPFUL)


def test_the_clocks_of_one_machine_agree(database: Database) -> None:
    clock = examine(settings(database.dsn)).clock
    assert isinstance(clock, Clock)
    assert abs(clock.skew_s) <= clock.uncertainty_s + 0.001
    assert not clock.is_off


@pytest.mark.parametrize(("shift_s", "words"), [(-90.0, "1 min 30 s ahead of"), (5.0, "5.0 s behind")])
def test_a_clock_that_is_off(shift_s: float, words: str, database: Database) -> None:
    found = examine(settings(database.dsn), now=lambda: time.time() + shift_s)
    assert isinstance(found.clock, Clock)
    assert found.clock.is_off
    assert abs(found.clock.skew_s + shift_s) < 0.5
    assert f"the server's is {words} this machine's" in doctor_table.text(found)


def test_a_slow_answer_is_no_skew() -> None:
    assert not Clock(skew_s=3.0, uncertainty_s=2.5).is_off
    assert Clock(skew_s=-3.0, uncertainty_s=0.1).is_off


@pytest.mark.parametrize(
    ("version", "words"), [(130000, "supported"), (180099, "supported"), (190000, "untested")]
)
def test_versions(version: int, words: str) -> None:
    assert support(version) == words


def test_where_we_are(server: EmbeddedServer, database: Database, make_role: MakeRole) -> None:
    role = make_role()
    found = examine(settings(server.dsn(database.name, role)))
    assert (found.place.database, found.place.user) == (database.name, role)
    assert (found.place.encryption, found.place.local) == ("none", True)
    assert (found.support, found.standby) == ("supported", False)
    assert found.complete


def test_who_set_another_role_is_examined_as_that(
    server: EmbeddedServer, database: Database, make_role: MakeRole
) -> None:
    role = make_role()
    found = examine(settings(f"{database.dsn}&options=-c%20role%3D{role}"))
    assert found.place.user == role
    assert not found.works


@pytest.fixture
def standby(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that replays what never comes."""
    server = EmbeddedServer(programs, server_directory(), {}, template)
    try:
        server.initialise()
        mark = server.data_directory / "standby.signal"
        mark.touch()
        owner = server.data_directory.stat()
        os.chown(mark, owner.st_uid, owner.st_gid)
        server.start()
        yield server
    finally:
        server.close()


def test_a_standby(standby: EmbeddedServer) -> None:
    found = examine(settings(standby.dsn()))
    assert found.standby is True
    assert found.complete
    states = {feature.id: feature.status for feature in found.features}
    assert states["prepared_transactions"] == "partly"
    assert states["lock_tree"] == "works"
    assert "make changes on its primary" in doctor_table.text(found)


def test_a_locked_catalog_leaves_the_rest(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    connect().execute("LOCK TABLE pg_auth_members")
    found = examine(settings(server.dsn(database.name, role)))
    assert isinstance(found.role, Unread)
    assert "lock timeout" in found.role.reason
    assert not found.complete
    states = {feature.id: feature.status for feature in found.features}
    assert states["act_on_sessions"] == states["session_details"] == "unknown"
    assert states["maintenance_database"] == "works"
    assert isinstance(found.clock, Clock)
    text = doctor_table.text(found)
    assert "not checked" in text
    assert "couldn't be checked" in text


def test_a_database_that_lets_nobody_in(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    connect().execute("LOCK TABLE pg_catalog.pg_class")
    found = examine(settings(server.dsn(database.name, role), connect_timeout_s=1.0))
    assert found.place.database == database.name
    assert found.unreached is not None
    assert "no answer" in found.unreached
    states = {feature.id: feature.status for feature in found.features}
    assert states["lock_tree"] == states["maintenance_database"] == "works"
    assert states["session_details"] == "missing"
    assert states["count_leaks"] == states["row_keys"] == "unknown"
    assert not found.complete
    assert "the database wasn't reached" in doctor_table.text(found)
    assert "database" in [one["what"] for one in json.loads(doctor_json.document(found))["not_checked"]]


@pytest.mark.parametrize("catalog", ["pg_type", "pg_namespace", "pg_attribute", "pg_proc", "pg_operator"])
def test_a_database_whose_catalogs_are_locked(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, catalog: str
) -> None:
    """It may let us in, and answer nothing."""
    role = make_role()
    connect().execute(f"LOCK TABLE pg_catalog.{catalog}".encode())
    found = examine(settings(server.dsn(database.name, role), connect_timeout_s=1.0))
    assert found.place.database == database.name
    assert isinstance(found.role, Role)
    states = {feature.id: feature.status for feature in found.features}
    assert states["lock_tree"] == states["maintenance_database"] == "works"
    assert states["count_leaks"] == states["row_keys"] == "unknown"
    text = doctor_table.text(found)
    assert "the database wasn't reached, so another one was asked: " in text
    assert "LINE" not in text


def test_the_maintenance_database_itself_may_let_nobody_in(server: EmbeddedServer) -> None:
    with psycopg.connect(server.dsn()) as holder:
        holder.execute("LOCK TABLE pg_catalog.pg_class")
        with pytest.raises(CannotConnectError, match="no answer"):
            examine(settings(server.dsn(), connect_timeout_s=1.0))
        left = (
            "SELECT pid FROM pg_stat_get_activity(NULL) WHERE datid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        holder.rollback()
        holder.autocommit = True
        # It comes to its end once it may look at the table: nobody holds its connection any more.
        wait_until(lambda: holder.execute(left).fetchall() == [], message="the attempt is over")


def test_a_function_that_was_taken_away(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    connect(autocommit=True).execute("REVOKE EXECUTE ON FUNCTION pg_lock_status() FROM PUBLIC")
    found = examine(settings(server.dsn(database.name, role)))
    [tree] = [feature for feature in found.features if feature.id == "lock_tree"]
    assert tree.status == "missing"
    assert "permission denied for function pg_lock_status" in tree.detail
    assert found.complete


def test_no_password_is_shown(database: Database, make_role: MakeRole) -> None:
    name = make_role()
    with psycopg.connect(database.dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'hunter2'").format(sql.Identifier(name)))
    found = examine(settings(f"{database.dsn}&user={name}&password=hunter2"))
    assert "hunter2" not in repr(found) + doctor_table.text(found)


def test_no_server() -> None:
    with pytest.raises(CannotConnectError):
        examine(settings("postgresql://u:hunter2@127.0.0.1:1/d"))


def test_a_server_that_stops_is_given_up(programs: ServerPrograms, template: Path) -> None:
    with EmbeddedServer(programs, server_directory(), {}, template) as server:
        stopped = threading.Event()

        def stop_once() -> float:
            # Called just before the clock of the server is asked.
            if not stopped.is_set():
                stopped.set()
                signal_children(server.pid, signal.SIGSTOP)
            return time.time()

        try:
            with pytest.raises(ConnectionLostError, match="hasn't answered"):
                examine(settings(server.dsn()), now=stop_once)
        finally:
            signal_children(server.pid, signal.SIGCONT)


def test_a_session_that_is_ended_is_a_lost_connection(database: Database) -> None:
    def end_it() -> float:
        with psycopg.connect(database.dsn, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pgwatch-tests' AND datname = current_database()"
            )
        return time.time()

    with pytest.raises(PgwatchError) as caught:
        examine(settings(database.dsn), now=end_it)
    assert caught.value.exit_code == 3


def signal_children(pid: int, what: signal.Signals) -> None:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(ProcessLookupError):  # a session that was ending
            os.kill(int(child), what)
