"""Connections to a real server: what they are called, what they may do, how they fail."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgwatch_tests.errors import CannotConnectError, ConfigurationError
from pgwatch_tests.postgres.connections.connect import connect, connect_async
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.version import check_supported, in_words
from pgwatch_tests.settings.load import Dsn
from tests.servers.sessions import Database

LIMITS = SessionLimits(statement_timeout_s=1.5, lock_timeout_s=0.25)


def test_a_connection_is_named_bounded_and_read_only(database: Database) -> None:
    with connect(Dsn(database.dsn, "the test"), LIMITS, connect_timeout_s=5) as connection:
        settings = ["application_name", "statement_timeout", "lock_timeout", "default_transaction_read_only"]
        values = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in settings]
        assert values == [("pgwatch-tests",), ("1500ms",), ("250ms",), ("on",)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE t ()")


def test_async_connections_are_the_same(database: Database) -> None:
    async def application_name() -> object:
        dsn = Dsn(database.dsn, "the test")
        connection = await connect_async(dsn, LIMITS, connect_timeout_s=5, database="postgres")
        async with connection:
            row = await (await connection.execute("SHOW application_name")).fetchone()
            return connection.info.dbname, row

    assert asyncio.run(application_name()) == ("postgres", ("pgwatch-tests",))


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("host=/nowhere/at/all", "No such file or directory; is the server running locally and"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "refused; is the server running on that host"),
    ],
)
def test_no_server(dsn: str, words: str) -> None:
    with pytest.raises(CannotConnectError, match=words) as caught:
        connect(Dsn(dsn, "--dsn"), LIMITS, connect_timeout_s=2)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_without_a_connection_string_it_says_how_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "/nowhere")
    words = r"^cannot connect \(libpq's environment; --dsn or DATABASE_URL names a server\): "
    with pytest.raises(CannotConnectError, match=words):
        connect(Dsn("", "libpq's environment"), LIMITS, connect_timeout_s=5)


def test_what_may_be_half_a_password_is_not_shown_as_a_host() -> None:
    with pytest.raises(CannotConnectError) as caught:
        connect(Dsn("postgresql://bob:half@hunter2.invalid", "--dsn"), LIMITS, connect_timeout_s=5)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there(database: Database) -> None:
    with pytest.raises(CannotConnectError, match="does not exist"):
        connect(Dsn(database.dsn, "--dsn"), LIMITS, connect_timeout_s=2, database="no such database")


def test_text_of_any_encoding_is_read(database: Database) -> None:
    limits = SessionLimits(statement_timeout_s=1, lock_timeout_s=1, any_bytes=True)
    with connect(Dsn(database.dsn, "the test"), limits, connect_timeout_s=5) as connection:
        assert connection.execute("SELECT 'größe'".encode()).fetchone() == ("größe",)


def test_old_servers_are_refused() -> None:
    check_supported(130000)
    with pytest.raises(ConfigurationError, match=r"PostgreSQL 12\.22; pgwatch-tests needs 13"):
        check_supported(120022)
    assert in_words(90624) == "9.6.24"
