"""The plugin's transaction logs: after a run, `leaks` names who left each row, and how surely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.attribution.transaction_log import read_logs
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.pytest_plugin.shared_run import SharedRun
from tests.leaks.scanning import settings
from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Database, MakeRole

pytest_plugins = ["pytester"]

TABLES = (
    "by_test",
    "by_fixture",
    "by_thread",
    "by_server",
    "by_savepoint",
    "by_killed",
    "in_autocommit",
    "seen",
)
SERVER = """
    import sys
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    import psycopg
    from pgwatch_tests.testing import wsgi

    CONNECTION = psycopg.connect(sys.argv[1])

    def app(environ, start_response):
        with CONNECTION.transaction():
            CONNECTION.execute("INSERT INTO by_server (email) VALUES ('s@test.example.com')")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    server = make_server("127.0.0.1", 0, wsgi(app))
    print(server.server_port, flush=True)
    server.serve_forever()
"""
SUITE = """
    import os, signal, subprocess, sys, threading, urllib.request
    import psycopg, pytest
    from conftest import DSN, write
    from pgwatch_tests.testing import request_headers

    INSERT = "INSERT INTO {} (email) VALUES ('a@test.example.com')"

    @pytest.fixture(scope="module")
    def seeds():
        with psycopg.connect(DSN) as connection:
            write(connection, INSERT.format("by_fixture"))
        yield

    @pytest.fixture(scope="module")
    def server():
        with subprocess.Popen(
            [sys.executable, "server.py", DSN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
            process.terminate()

    def test_leaves(conn, seeds):
        write(conn, INSERT.format("by_test"))
        write(conn, INSERT.format("by_test"))

    def test_sees(conn):
        write(conn, "UPDATE seen SET email = 'b@test.example.com'")

    def test_cleans_up(conn):
        write(conn, INSERT.format("by_test"), "DELETE FROM by_test WHERE email = 'x'")
        raise ValueError

    def test_starts_a_thread():
        def late():
            with psycopg.connect(DSN) as connection:
                connection.execute(INSERT.format("by_thread"))
        thread = threading.Thread(target=late)
        thread.start()
        thread.join()

    def test_asks(server):
        urllib.request.urlopen(urllib.request.Request(server, headers=request_headers()))
        urllib.request.urlopen(server)

    def test_in_a_savepoint(conn):
        with conn.transaction(), conn.transaction():
            conn.execute(INSERT.format("by_savepoint"))

    def test_in_autocommit():
        with psycopg.connect(DSN, autocommit=True) as conn:
            conn.execute(INSERT.format("in_autocommit"))

    def test_killed(conn):
        write(conn, INSERT.format("by_killed"))
        if "PYTEST_XDIST_WORKER" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leaks_names_tests_by_their_transactions(
    pytester: pytest.Pytester, database: Database, owner: Connection[TupleRow], tmp_path: Path
) -> None:
    for table in TABLES:
        owner.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, email text)".encode())
    owner.execute("INSERT INTO seen (email) VALUES ('a@test.example.com')")
    pytester.makepyfile(server=SERVER)
    logs = tmp_path / "logs"
    run_suite(pytester, database.dsn, SUITE, "-n", "2", f"--pgwatch-log={logs}")

    report = scan(replace(settings(database.dsn), transactions=logs))
    known = {
        (leak.table, one.test.rpartition("::")[2]): one.rows
        for leak in report.tables
        for one in leak.attribution
        if one.confidence == "transaction"
    }
    assert known == {
        ("by_test", "test_leaves"): 2,
        ("by_test", "test_cleans_up"): 1,
        ("by_fixture", "fixture seeds [module] of test_it.py"): 1,
        ("by_thread", "test_starts_a_thread"): 1,
        ("by_server", "test_asks"): 1,
        ("by_killed", "test_killed"): 1,
        **({("by_savepoint", "test_in_a_savepoint"): 1} if has_commit_times(owner) else {}),
    }
    guesses = {
        leak.table: one
        for leak in report.tables
        for one in leak.attribution
        if one.confidence != "transaction"
    }
    # The second request bore no header; `seen` was only changed.
    assert {"by_server", "in_autocommit", "seen"} <= set(guesses) <= set(TABLES)
    # Whoever else ran at that time wrote nothing to the table; of the killed, and of what a server wrote
    # without a header, nothing is told.
    first, *others = guesses["in_autocommit"].candidates
    assert first == "test_it.py::test_in_autocommit"
    assert {*others} <= {"test_it.py::test_asks", "test_it.py::test_killed"}
    assert guesses["in_autocommit"].detail == "autocommit writes have no transaction to tell by"
    assert guesses["seen"].confidence == "unknown"
    assert "2 commits didn't tell all ids" in guesses["seen"].detail

    runs = [run for log in read_logs(logs) for run in log.runs]
    assert all(log.damaged == 0 for log in read_logs(logs))
    outcomes = {run.test.rpartition("::")[2]: run.outcome for run in runs}
    assert outcomes["test_cleans_up"] == "failed"
    assert outcomes["test_sees"] == outcomes["test_asks"] == "passed"
    assert [run.outcome for run in runs if run.test.endswith("killed")] in (
        ["killed", None],
        [None, "killed"],
    )


def has_commit_times(connection: Connection[TupleRow]) -> bool:
    """Whether the server keeps the times of commits, by which subtransactions are known."""
    row = connection.execute("SHOW track_commit_timestamp").fetchone()
    return row == ("on",)


def test_a_role_that_may_not_know_the_server_is_judged_all_the_same(
    pytester: pytest.Pytester,
    database: Database,
    owner: Connection[TupleRow],
    make_role: MakeRole,
    server: EmbeddedServer,
) -> None:
    owner.execute("CREATE TABLE by_test (id serial PRIMARY KEY, email text)")
    owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO public")
    owner.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO public")
    owner.execute("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM public")
    suite = (
        SUITE.partition("    @pytest.fixture")[0]
        + """
    def test_leaves(conn):
        write(conn, INSERT.format("by_test"))
    """
    )
    done = run_suite(pytester, server.dsn(database.name, make_role()), suite, "--pgwatch-log=logs")
    found = told(done)
    assert found["test_leaves"] == ["left 1 row in public.by_test (id=1)"]
    [unlogged] = found["not checked"]
    assert "permission denied for function pg_control_system" in unlogged
    assert not list((pytester.path / "logs").glob("*.jsonl"))


def test_where_logs_are_kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def directory(*options: str) -> Path:
        return Path(SharedRun.of(pytester.parseconfigure("-p", "pgwatch", *options)).log_directory)

    monkeypatch.setenv("PGWATCH_RUN", "0a1b2c3d")
    monkeypatch.delenv("PGWATCH_LOG_DIR", raising=False)
    assert directory().name.startswith("pgwatch-")
    pytester.makeini("[pytest]\npgwatch_log = of_settings")
    assert directory() == pytester.path / "of_settings"
    monkeypatch.setenv("PGWATCH_LOG_DIR", str(pytester.path / "of_environment"))
    assert directory() == pytester.path / "of_environment"
    assert directory("--pgwatch-log=given") == pytester.path / "given"
