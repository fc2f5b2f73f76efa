"""The plugin hooks what the suite imports, tells dirty sessions, and reaches servers in other processes."""

from __future__ import annotations

import pytest

from pgwatch_tests.pytest_plugin.journal import read_journals
from pgwatch_tests.pytest_plugin.verdicts.claims import Claims
from tests.pytest_plugin.suites import run_suite, told
from tests.servers.sessions import Connect, Database

pytest_plugins = ["pytester"]

SERVER = """
    # A server of its own, which knows of tests by its middleware only.
    import sys
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    import psycopg
    from pgwatch_tests.testing import wsgi

    CONNECTION = psycopg.connect(sys.argv[1])

    def app(environ, start_response):
        with CONNECTION.transaction():
            CONNECTION.execute("INSERT INTO users (email) VALUES ('from the server')")
            [name] = CONNECTION.execute("SHOW application_name").fetchone()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    server = make_server("127.0.0.1", 0, wsgi(app), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()
"""
SUITE = """
    import os, subprocess, sys, urllib.request
    import psycopg, pytest
    from conftest import DSN
    from pgwatch_tests.identity.application_name import compose
    from pgwatch_tests.testing import current, request_headers

    @pytest.fixture(scope="session")
    def server():
        with subprocess.Popen([sys.executable, "server.py", DSN], stdout=subprocess.PIPE) as process:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
            process.terminate()

    @pytest.fixture(scope="session")
    def engine():
        import sqlalchemy as sa
        engine = sa.create_engine(DSN.replace("postgresql:", "postgresql+psycopg2:"), pool_size=1)
        yield engine
        engine.dispose()

    def test_asks_by_httpx(server):
        import httpx
        # Hooked with the next test; this one gives the header itself.
        assert httpx.get(server, headers=request_headers()).text == compose("pytest", "", current().name)

    def test_asks_by_httpx_again(server):
        import httpx
        assert httpx.get(server).text == compose("pytest", "", current().name)

    def test_asks_by_urllib(server):
        with urllib.request.urlopen(server) as answer:
            assert b"test_asks_by_urllib" not in answer.read()

    def test_programs_have_its_name():
        script = '''
    import psycopg, sys
    print(psycopg.connect(sys.argv[1]).execute("SHOW application_name").fetchone()[0])
        '''.replace('    ', '')
        name = subprocess.check_output([sys.executable, "-c", script, DSN], text=True).strip()
        assert name == compose("pytest", "", current().name) == os.environ["PGAPPNAME"]

    def test_soils(engine):
        with engine.begin() as connection:
            connection.exec_driver_sql("SET statement_timeout = 5000")

    def test_gets_the_soiled_session(engine):
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
            connection.exec_driver_sql("CREATE TEMP TABLE basket ()")

    LEFT = []

    def test_leaves_a_connection():
        LEFT.append(psycopg.connect(DSN))
        LEFT[0].execute("SELECT 1")

    def test_works_in_an_open_transaction():
        LEFT[0].execute("SELECT 1")
        LEFT[0].rollback()
        LEFT.append(psycopg.connect(DSN))
"""


def test_names_servers_and_sessions(pytester: pytest.Pytester, database: Database, connect: Connect) -> None:
    observer = connect(autocommit=True)
    observer.execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
    pytester.makepyfile(server=SERVER)
    logs = pytester.path / "logs"
    done = run_suite(pytester, database.dsn, SUITE, environment={"PGWATCH_LOG_DIR": str(logs)})
    assert done.parseoutcomes()["passed"] == 8
    findings = told(done)
    file = "test_it.py::"
    assert findings["test_soils"] == [
        f"{file}test_soils handed a session on with statement_timeout = '5000' (it was '0'); "
        f"{file}test_gets_the_soiled_session got it"
    ]
    assert findings["test_works_in_an_open_transaction"] == [
        f"{file}test_works_in_an_open_transaction left a connection open that no other test has used"
    ]
    # Nobody knows whose the row is that came without a header.
    rows_of = {name: [line for line in lines if "public.users" in line] for name, lines in findings.items()}
    assert {name: lines for name, lines in rows_of.items() if lines} == {
        name: [f"left 1 row in public.users (id={number}): a server under test wrote them, for its request"]
        for number, name in enumerate(("test_asks_by_httpx", "test_asks_by_httpx_again"), start=1)
    }
    [session] = {path.name.partition("-")[0] for path in logs.glob("*.journal")}
    claims = Claims.of(read_journals(logs, session)).claims
    of_server = [claim for claim in claims if "-server-" in claim.worker_file]
    assert [claim.owner and claim.owner.name for claim in of_server] == [
        f"{file}test_asks_by_httpx",
        f"{file}test_asks_by_httpx_again",
        None,
    ]
    rows = observer.execute("SELECT xmin::text::bigint FROM users ORDER BY id").fetchall()
    assert [claim.xid for claim in of_server] == [xmin for (xmin,) in rows]
