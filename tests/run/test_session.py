"""A run on a real server: its lease, what is leaked since its baseline, the gate, and what isn't there."""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.run.checks import beside
from pgwatch_tests.run.checks.first_baseline import FirstBaseline
from pgwatch_tests.run.checks.leak_check import LeakChecker
from pgwatch_tests.run.outcome.results_place import ResultsPlace
from pgwatch_tests.settings.load import Dsn, Settings
from tests.cli.running import pgwatch
from tests.run.programs import run
from tests.servers.poolers import pooler
from tests.servers.sessions import Connect, Database, MakeRole, unique_name
from tests.waiting import wait_until

LEAK = """
import os, psycopg
dsn = os.environ["DATABASE_URL"]
with psycopg.connect(dsn, dbname="postgres", autocommit=True) as outside:
    # Until the lease is held, and the baseline is taken: its session was there, and is gone for a while.
    seen = held = quiet = 0
    for _ in range(1500):
        [(held, there)] = outside.execute(
            "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND objid::int8::bit(32)::int4 = hashtext(%s)), (SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'pgwatch-tests')",
            ["run:" + os.environ["PGWATCH_RUN"], psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]],
        )
        seen, quiet = seen or there, 0 if there else quiet + 1
        if held and quiet > (50 if seen else 150):
            break
        outside.execute("SELECT pg_sleep(0.02)")
    print("lease", held)
with psycopg.connect(dsn, autocommit=True) as connection:
    print(connection.info.parameter_status("application_name"))
    connection.execute("INSERT INTO users VALUES ('new@test.example.com')")
"""

LEAK_OF_A_SUITE = """
import pathlib, psycopg, sys
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("INSERT INTO users VALUES (%s)", [sys.argv[2]])
case = '<testcase classname="example.com/shop" name="TestBooks"/>'
pathlib.Path("suite.xml").write_text(f"<testsuite>{case}</testsuite>")
pathlib.Path("torn.xml").write_text("<testsuite")
"""


BILLING = """
import os, psycopg, pytest

@pytest.fixture
def db():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        yield connection

def test_marked(db):
    db.execute("INSERT INTO users VALUES ('a@test.example.com')")
    db.execute("INSERT INTO invoices VALUES (5)")

def test_unmarked(db):
    db.execute("INSERT INTO invoices VALUES (6), (7)")

def test_clean(db):
    db.execute("SELECT")
"""


def _index(home: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((home / "pgwatch-results" / "run.json").read_text())
    return index


def test_what_is_left_since_the_start_fails_a_run_that_passed(
    home: Path, database: Database, owner: Connection[TupleRow], python: str
) -> None:
    """The lease is held meanwhile; the old row doesn't count; the DSN may be in .env."""
    owner.execute("CREATE TABLE users AS SELECT 'old@test.example.com'::text AS email")
    (home / ".env").write_text(f"DATABASE_URL='{database.dsn}'\n")
    (home / "leak.py").write_text(LEAK)
    command = f"import os, runpy; os.environ['DATABASE_URL'] = {database.dsn!r}; runpy.run_path('leak.py')"
    done = run(home, sys.executable, "-c", command, options=["--fail-on", "rows", "--no-record"])
    index = _index(home)
    assert done.stdout == f"lease 1\nrun:{index['run']} {Path(sys.executable).name}\n"
    assert (done.returncode, index["exit_code"], index["command_exit_code"]) == (1, 1, 0), done.stderr
    assert index["verdict"] == "findings"
    assert index["findings"] == [{"kind": "rows", "text": "1 leaked row in public.users"}]
    assert "fails on rows: 1 leaked row in public.users" in done.stderr
    assert "the database is that of DATABASE_URL in .env" in done.stderr
    leaks = json.loads((home / "pgwatch-results" / "leaks.json").read_text())
    assert (leaks["total"], leaks["tables"][0]["samples"]) == (1, ["n…@test.example.com"])
    junit = ElementTree.parse(home / "pgwatch-results" / "junit.xml").getroot()
    outcomes = {case.get("name"): [part.tag for part in case] for case in junit.iter("testcase")}
    assert outcomes["no test rows in public.users"] == ["failure"]
    # What the run left is free for a sweep, which the run's end is on record for.
    assert not owner.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'").fetchall()


def test_what_the_plugin_found_is_told_and_what_no_marker_can_be_in(
    home: Path, database: Database, owner: Connection[TupleRow]
) -> None:
    """Rows that the check knows, too, are told once; without it, a line says how to learn of tests."""
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("CREATE TABLE invoices (amount int)")
    (home / "test_billing.py").write_text(BILLING)
    extra = {"DATABASE_URL": database.dsn}
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    assert pgwatch(home, "baseline", "-o", "before.json", extra=extra).returncode == 0
    options = ["--no-record", "--since", "before.json"]
    done = run(home, *pytest_, "--pgwatch=warn", "test_billing.py", options=options, extra=extra)
    assert done.returncode == 0, done.stdout + done.stderr
    said, prefix = done.stderr.splitlines(), "pgwatch-tests: "
    lines = [line.removeprefix(prefix) for line in said if line.startswith(prefix)]
    assert lines[0].endswith("; 4 leaked rows")
    assert lines[1:5] == [
        "  1 row of public.users left by test_billing.py::test_marked",
        "  the plugin: test_billing.py::test_marked: left 1 row in public.invoices",
        "  the plugin: test_billing.py::test_unmarked: left 2 rows in public.invoices",
        "  not checked: rows of public.invoices: no column could hold a marker (run --any counts all new "
        "rows)",
    ]
    index = _index(home)
    told = [(one["owner"], one["tables"], one["rows"]) for one in index["plugin_findings"]]
    assert sorted(told) == [
        ("test_billing.py::test_marked", ["public.invoices"], 1),
        ("test_billing.py::test_marked", ["public.users"], 1),
        ("test_billing.py::test_unmarked", ["public.invoices"], 2),
    ]
    report = (home / "pgwatch-results" / "report.md").read_text()
    assert "4 rows left in 2 tables" in report
    assert report.count("`test_billing.py::test_marked`") == 2
    assert "| `test_billing.py::test_unmarked` | `left 2 rows in public.invoices` |" in report
    assert "`rows of public.invoices: no column could hold a marker" in report
    page = (home / "pgwatch-results" / "report.html").read_text()
    assert "Also found by the pytest plugin" in page

    done = run(home, *pytest_, "test_billing.py", options=options, extra=extra)
    assert "which test left rows isn't known; to learn it: pgwatch-tests run -- pytest --pgwatch=warn" in (
        done.stderr
    )
    owner.execute("TRUNCATE users")
    only = ["--pgwatch=warn", "test_billing.py::test_unmarked"]
    done = run(home, *pytest_, *only, options=[*options, "--fail-on", "rows"], extra=extra)
    assert "; 2 leaked rows" in done.stderr
    assert "nothing was left" not in (home / "pgwatch-results" / "report.md").read_text().casefold()
    assert (done.returncode, _index(home)["verdict"]) == (0, "clean")


def test_reports_of_the_command_tell_whose_hash_a_row_has(
    home: Path, database: Database, owner: Connection[TupleRow], python: str
) -> None:
    """Of a suite that names nothing but its values; a torn report names nobody, and spoils nothing."""
    owner.execute("CREATE TABLE users (email text)")
    test = "example.com/shop > TestBooks"
    email = f"new-1717171717171-t{digest(test)}-k3v9x0q2m1zc@test.example.com"
    (home / "leak.py").write_text(LEAK_OF_A_SUITE)
    extra = {"PGWATCH_DSN": database.dsn}
    assert pgwatch(home, "baseline", "-o", "before.json", extra=extra).returncode == 0
    options = ["--fail-on", "rows", "--no-record", "--junit", "*.xml", "--since", "before.json"]
    done = run(home, sys.executable, "leak.py", database.dsn, email, options=options, extra=extra)
    assert done.returncode == 1, done.stderr
    leaks = json.loads((home / "pgwatch-results" / "leaks.json").read_text())
    [found] = leaks["tables"][0]["attribution"]
    assert (found["test"], found["confidence"], found["rows"]) == (test, "marker", 1)


def test_a_failure_of_the_command_stays_what_it_is(home: Path, database: Database, python: str) -> None:
    """Whatever `--fail-on` says; and without a server, the gate doesn't pass on what it couldn't check."""
    nobody = {"PGWATCH_DSN": "postgresql://nobody@127.0.0.1:1/none"}
    there = {"PGWATCH_DSN": database.dsn}
    mysql = {"DATABASE_URL": "mysql://localhost/app"}
    for extra, command, exit_code in (
        (there, "exit 0", 0),
        (there, "exit 3", 3),
        (nobody, "exit 0", 4),
        (nobody, "exit 3", 3),
        (mysql, "exit 0", 4),
    ):
        options = ["--fail-on", "rows", "--no-record"]
        done = pgwatch(home, "run", *options, "--", "sh", "-c", command, extra=extra)
        assert done.returncode == exit_code, (extra, command, done.stderr)
        index = _index(home)
        assert index["exit_code"] == exit_code
        assert bool(index["not_checked"]) == (extra is not there), index["not_checked"]
    assert pgwatch(home, "run", "--no-record", "true", extra=nobody).returncode == 0


def test_nothing_is_held_up_by_a_server_that_answers_nobody(home: Path, python: str) -> None:
    """A port that accepts and says nothing: the command starts at once, the checks are given up in time."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/a_test?connect_timeout=6"
        began = time.time()
        (home / "when.py").write_text("import time; print(time.time())")
        done = run(home, sys.executable, "when.py", options=["--no-record"], extra={"PGWATCH_DSN": dsn})
    assert done.returncode == 0
    assert float(done.stdout) - began < 5.5, "on a quiet machine: 0.5 s"
    assert "leaks weren't checked" in done.stderr


def test_a_late_baseline_counts_only_if_no_session_came(
    database: Database, connect: Connect, owner: Connection[TupleRow]
) -> None:
    """Sessions that were there before the command don't matter."""
    settings = Settings(Dsn(database.dsn, "the test"))
    owner.execute("SELECT pg_sleep(0.1)")
    began = time.monotonic()
    late = FirstBaseline(settings, lambda: began)
    late.run()
    assert late.baseline is not None
    assert late.late_s is not None
    # The lease of a run whose database is the one for maintenance.
    settled = FirstBaseline(settings, lambda: began)
    connect(application_name="pgwatch-run 1a2b3c4d t7k2p9 anna@ci-12 pytest -n 4")
    settled.run()
    assert settled.baseline is not None
    connect()
    later = FirstBaseline(settings, lambda: began)
    later.run()
    assert later.baseline is None
    assert "with sessions at work" in later.trouble


def test_a_database_that_comes_later_gets_its_baseline(server: EmbeddedServer) -> None:
    """The command creates it, or starts its server."""
    name = unique_name()
    first = FirstBaseline(Settings(Dsn(server.dsn(name), "the test")), time.monotonic)
    thread = threading.Thread(target=first.run)
    thread.start()
    wait_until(first.decided.is_set)
    assert first.baseline is None
    assert name in first.trouble
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        thread.join()
        assert first.baseline is not None
        administrator.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_database_made_anew_is_checked_without_its_baseline(
    server: EmbeddedServer, database: Database
) -> None:
    settings = Settings(Dsn(database.dsn, "the test"))
    first = FirstBaseline(settings, lambda: None)
    first.run()
    assert first.baseline is not None
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database.name)))
        administrator.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database.name)))
    from pgwatch_tests.leaks.baseline.comparison import Since

    check = LeakChecker(settings, Since(first.baseline), (), None).run(None)
    assert check.report is not None
    assert not check.compared
    assert "dropped and recreated" in check.trouble


def test_a_check_ends_when_its_time_is_over(database: Database, owner: Connection[TupleRow]) -> None:
    checker = LeakChecker(Settings(Dsn(database.dsn, "the test")), None, (), None)
    checker.cancel()
    assert checker.run(None).trouble == "it took too long"


def test_behind_a_pooler_the_suite_runs_and_the_lease_is_told_as_missing(
    server: EmbeddedServer, home: Path, database: Database, python: str
) -> None:
    with pooler(server, "transaction") as pooled:
        extra = {"PGWATCH_DSN": pooled.dsn(database.name)}
        done = pgwatch(home, "run", "--no-record", "--fail-on", "rows", "--", "true", extra=extra)
    assert done.returncode == 0, done.stderr
    assert any("lease" in reason and "pooler" in reason for reason in _index(home)["notes"]), done.stderr


def test_files_that_are_no_runs_stay(home: Path) -> None:
    """A directory with a report of somebody else's isn't emptied."""
    from contextlib import ExitStack

    place = home / "results"
    place.mkdir()
    (place / "report.md").write_text("mine")
    with ExitStack() as held:
        chosen = ResultsPlace(place, "", "1a2b3c4d")
        results = chosen.open(held)
    assert results.path == place / "run-1a2b3c4d"
    assert "it has files of these names that are of no run" in chosen.remark
    assert (place / "report.md").read_text() == "mine"


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGWATCH_RUN", "PGWATCH_LOG_DIR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_loaded_while_the_command_runs_is_there() -> None:
    """It is named by texts, which no type checker follows."""
    assert all(find_spec(name) for name in beside._AFTER)


SECOND_OF_TWO = """
import os, time, psycopg
first = psycopg.connect(os.environ["DATABASE_URL"])
in_a_row = 0
# Lease and recorder each ask once whether there is room, and come no more.
for _ in range(1200):
    try:
        psycopg.connect(os.environ["DATABASE_URL"]).close()
        in_a_row += 1
    except psycopg.OperationalError:
        in_a_row = 0
    if in_a_row == 60:
        break
    time.sleep(0.05)
assert in_a_row == 60
"""


def test_a_role_that_may_have_two_sessions_has_them_for_its_tests(
    home: Path, database: Database, make_role: MakeRole
) -> None:
    role = make_role("CONNECTION LIMIT 2")
    dsn = psycopg.conninfo.make_conninfo(database.dsn, user=role)
    options = ["--fail-on", "deadlock"]
    done = run(home, sys.executable, "-c", SECOND_OF_TWO, options=options, extra={"DATABASE_URL": dsn})
    index = _index(home)
    assert index["command_exit_code"] == 0, done.stderr
    assert done.returncode == 4
    assert any("may have only 2 sessions at once" in line for line in index["not_checked"]), index
