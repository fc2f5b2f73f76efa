"""Rolling prepared transactions back: in their database, by their owner, only the one that was meant."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.locks.actions.action import Outcome, on_prepared
from tests.locks.actions.acting import DsnAs, Session, do
from tests.locks.looking import look
from tests.servers.sessions import Connect, Database, blocked, unique_name


def prepare(session: Session, gid: str) -> None:
    session.execute("SELECT pg_advisory_xact_lock(77)")
    session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))


def is_prepared(database: Database, gid: str) -> bool:
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        query = "SELECT 1 FROM pg_prepared_xacts WHERE gid = %s"
        return observer.execute(query, [gid]).fetchone() is not None


HOSTILE = 'it\'s "100%" %s \\ $$ ; DROP é \N{SNOWMAN}'


def test_a_rollback_in_another_database_by_the_owner(
    server: EmbeddedServer, database: Database, connect: Connect, dsn_as: DsnAs
) -> None:
    role, _ = dsn_as()
    owner, waiter = connect(user=role), connect()
    gid = f"{database.name} {HOSTILE}"
    prepare(owner, gid)
    waiting = blocked(waiter, "SELECT pg_advisory_xact_lock(77)")
    elsewhere = server.dsn("postgres", role)
    outcome = do(elsewhere, on_prepared(look(elsewhere), gid))
    said = f"The prepared transaction {gid} was rolled back. The session it blocked can continue."
    assert outcome == Outcome("done", said, outcome.looked_at)
    assert outcome.looked_at is not None
    assert not is_prepared(database, gid)
    waiting.result()


def test_a_database_whose_name_is_not_known_yet(
    server: EmbeddedServer, database: Database, connect: Connect
) -> None:
    prepare(connect(), database.name)
    elsewhere = server.dsn()
    action = replace(on_prepared(look(elsewhere), database.name), database=None)
    assert do(elsewhere, action).result == "done"
    assert not is_prepared(database, database.name)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_name_in_another_encoding(encoding: str, database: Database, connect: Connect) -> None:
    name = unique_name()
    admin = connect(autocommit=True)
    admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
    gid = f"{name} \N{LATIN SMALL LETTER E WITH ACUTE}'%"
    try:
        with psycopg.connect(make_conninfo(database.dsn, dbname=name, client_encoding="UTF8")) as session:
            session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        graph = look(database.dsn)
        [party] = [one for one in graph.prepared if one.gid.startswith(name)]
        assert do(database.dsn, on_prepared(graph, party.gid)).result == "done"
        assert not is_prepared(database, gid)
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_not_the_owner(database: Database, connect: Connect, dsn_as: DsnAs) -> None:
    _, dsn = dsn_as("IN ROLE pg_signal_backend, pg_monitor")
    prepare(connect(), database.name)
    outcome = do(dsn, on_prepared(look(dsn), database.name))
    assert outcome.result == "refused"
    assert outcome.message.endswith("needs its owner (postgres) or a superuser.")
    assert is_prepared(database, database.name)


def test_a_prepared_transaction_that_has_ended_or_is_another_one(
    database: Database, connect: Connect
) -> None:
    session, gid = connect(autocommit=True), database.name
    session.execute("BEGIN")
    prepare(session, gid)
    action = on_prepared(look(database.dsn), gid)
    session.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
    assert do(database.dsn, action) == Outcome(
        "refused", f"The prepared transaction {gid} had ended already."
    )
    session.execute("BEGIN")
    prepare(session, gid)
    outcome = do(database.dsn, action)
    assert outcome.result == "refused"
    assert "another one bears its name now, left alone" in outcome.message
    assert is_prepared(database, gid)
    with pytest.raises(RefusedError, match="no prepared transaction 'nonsense'"):
        on_prepared(look(database.dsn), "nonsense")
