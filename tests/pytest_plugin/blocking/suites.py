"""Suites that block each other: what their conftest.py has, and how they are run."""

from __future__ import annotations

import pytest

from tests.servers.sessions import Database

CONFTEST = """
    import contextlib, os, pathlib, threading, time
    import psycopg
    import pytest

    from pgwatch_tests.locks.watch.wait_history import WaitHistory
    from pgwatch_tests.locks.watch.wait_journal import JournalReader

    DSN = os.environ["SUITE_DSN"]

    def until(condition, parameters=()):
        with psycopg.connect(DSN, autocommit=True) as connection:
            for _ in range(2000):
                if connection.execute(condition, parameters).fetchone()[0]:
                    return
                time.sleep(0.01)
        raise AssertionError(condition)

    def until_waiting(sessions=1):
        until("SELECT count(*) >= %s FROM pg_locks WHERE NOT granted", [sessions])

    def until_gone(test):
        until("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE %s", [f"%{test}"])

    def until_locked(key):
        until("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", [key])

    def until_watched():
        # The sampler gets ready while tests are collected; on a busy machine it takes longer.
        for _ in range(3000):
            journals = pathlib.Path(os.environ["PGWATCH_LOG_DIR"]).glob("*.waits")
            if any(b'"on"' in journal.read_bytes() for journal in journals):
                return
            time.sleep(0.01)
        raise AssertionError("not watched")

    def until_told(test, seconds):
        # Until the sampler has told that the test has waited for so long.
        [journal] = pathlib.Path(os.environ["PGWATCH_LOG_DIR"]).glob("*.waits")
        reader, history = JournalReader(journal), WaitHistory()
        for _ in range(6000):
            history.add(reader.read())
            for seen in history.waits:
                if seen.wait.waiter.name.endswith(f"::{test}") and seen.waited_s >= seconds:
                    return
            time.sleep(0.01)
        raise AssertionError(f"{test} isn't told to wait")

    @contextlib.contextmanager
    def cancelled_once_told(connection, test, seconds):
        def cancel():
            until_told(test, seconds)
            connection.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    @pytest.fixture(scope="session", autouse=True)
    def watched():
        until_watched()

    @contextlib.contextmanager
    def lock(key):
        with psycopg.connect(DSN, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [key])
            yield

    @pytest.fixture
    def connection():
        with psycopg.connect(DSN) as connection:
            yield connection

    @pytest.fixture
    def other():
        with psycopg.connect(DSN) as other:
            yield other
"""
"""Connections of a test, and waiting for what others do. An advisory lock says that a test has got so far."""

OPTIONS = ("-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider")
PASSWORD = "not-to-be-seen-4711"
TABLES = (
    "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'x' FROM "
    "generate_series(1, 50) AS g; CREATE TABLE bookings (id int PRIMARY KEY, note text)"
)


def prepare(pytester: pytest.Pytester, database: Database) -> None:
    """Has suites find the database, by a connection string with a password in it."""
    pytester.makeconftest(CONFTEST)
    monkeypatch = pytester._monkeypatch
    monkeypatch.setenv("SUITE_DSN", database.dsn)
    separator = "&" if "?" in database.dsn else "?"
    dsn = database.dsn
    dsn = f"{dsn}{separator}password={PASSWORD}" if "://" in dsn else f"{dsn} password={PASSWORD}"
    monkeypatch.setenv("PGWATCH_DSN", dsn)
    monkeypatch.setenv("PGWATCH_LOG_DIR", str(pytester.path / "logs"))


def section(text: str, title: str) -> str:
    """The lines of a section of pytest's output, up to the next one."""
    after = text.partition(f" {title} ")[2].partition("\n")[2]
    lines = []
    for line in after.splitlines():
        if line.startswith(("===", "---", "___")):
            break
        lines.append(line)
    return "\n".join(lines)
