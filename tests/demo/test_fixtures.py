"""What the other tests rest on: databases of their own, blocked sessions, roles, nothing left."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import Connect, Database, MakeRole, blocked, close_at_once


def test_blocked_waits_until_the_server_shows_it(connect: Connect) -> None:
    holder, waiter = connect("holder"), connect("waiter")
    holder.execute("CREATE TABLE thing (id int PRIMARY KEY)")
    holder.commit()
    holder.execute("INSERT INTO thing VALUES (1)")
    running = blocked(waiter, "INSERT INTO thing VALUES (%s) RETURNING id", [1])
    holder.rollback()
    assert running.result() == [(1,)]


def test_result_raises_what_the_statement_raised(connect: Connect) -> None:
    holder, waiter = connect(), connect()
    holder.execute("CREATE TABLE thing (id int PRIMARY KEY)")
    holder.commit()
    holder.execute("INSERT INTO thing VALUES (1)")
    running = blocked(waiter, "INSERT INTO thing VALUES (1)")
    holder.commit()
    with pytest.raises(errors.UniqueViolation):
        running.result()


def test_blocked_connections_close_at_once(server: EmbeddedServer, database: Database) -> None:
    holder, waiter = psycopg.connect(database.dsn), psycopg.connect(database.dsn)
    holder.execute("SELECT pg_advisory_lock(1)")
    running = blocked(waiter, "SELECT pg_advisory_lock(1)")
    close_at_once([waiter, holder], server.dsn())
    with pytest.raises(errors.AdminShutdown):
        running.result()
    assert waiter.closed
    assert holder.closed


def test_a_database_with_a_prepared_transaction_is_dropped(connect: Connect) -> None:
    connection = connect(autocommit=True)
    connection.execute("CREATE TABLE thing ()")
    connection.execute("BEGIN")
    connection.execute("LOCK thing")
    connection.execute("PREPARE TRANSACTION 'left by a test'")


def test_a_role_connects_and_owns(connect: Connect, make_role: MakeRole) -> None:
    role = make_role("NOINHERIT")
    connect(autocommit=True).execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    connection = connect(user=role)
    connection.execute("CREATE TABLE mine ()")
    connection.commit()
    connection.execute("LOCK mine")
