"""Plays of connections that end, or that the server has no room for."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from tests.docs.symptoms.stage import DELETE, UPDATE, Stage, error_of, last_words, symptom

FEW_CONNECTIONS = {"max_connections": "13", "superuser_reserved_connections": "3"}
FEW_LOCKS = {"max_connections": "10", "max_locks_per_transaction": "10", "max_prepared_transactions": "0"}


@symptom("terminating connection due to administrator command")
def terminated(stage: Stage) -> psycopg.Error:
    holder, _ = stage.holds_up(UPDATE, DELETE)
    stage.show("locks", "--terminate", str(holder.info.backend_pid), "--yes")
    return last_words(holder)


@symptom("terminating connection due to idle-in-transaction timeout")
def idle_in_transaction_timeout(stage: Stage) -> psycopg.Error:
    session = stage.session("books")
    session.execute("SELECT now()")
    stage.show("sessions", "--idle")
    # Later than the answer to this: what came with it would be taken for a notice.
    session.execute("SET idle_in_transaction_session_timeout = '1s'")
    pid = session.info.backend_pid
    query = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
    stage.cast.until(query, [pid])
    return last_words(session)


@symptom('connection to server at "…", port … failed: Connection refused')
def connection_refused(stage: Stage) -> psycopg.Error:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dsn = f"postgresql://127.0.0.1:{closed.getsockname()[1]}/app_test"
    stage.show("locks", "--dsn", dsn)
    return error_of(lambda: psycopg.connect(dsn))


@symptom("sorry, too many clients already", FEW_CONNECTIONS)
def too_many_clients(stage: Stage) -> psycopg.Error:
    for _ in range(8):
        stage.cast.session("a pool", test="test_forgets_its_pool")
    stage.show("locks")
    return _refused(stage.cast.dsn)


@symptom("remaining connection slots are reserved", FEW_CONNECTIONS)
def remaining_slots(stage: Stage) -> psycopg.Error:
    role = stage.cast.role()
    stage.cast.run(f"ALTER ROLE {role} LOGIN")
    return _refused(make_conninfo(stage.cast.dsn, user=role))


def _refused(dsn: str) -> psycopg.Error:
    """The error of the first connection that isn't made; those before it are closed."""
    with ExitStack() as opened:
        for _ in range(20):
            try:
                opened.enter_context(psycopg.connect(dsn))
            except psycopg.OperationalError as error:
                return error
    raise AssertionError("all connections were made")


@symptom("out of shared memory", FEW_LOCKS)
def out_of_shared_memory(stage: Stage) -> psycopg.Error:
    stage.cast.run(
        "DO $$ BEGIN FOR n IN 1..4000 LOOP EXECUTE 'CREATE TABLE t' || n || ' ()'; COMMIT; END LOOP; END $$"
    )
    session = stage.session("copies_everything")

    def locked(tables: int) -> int:
        """How many could be locked of so many."""
        for n in range(tables):
            try:
                session.execute(f"LOCK TABLE t{n + 1}".encode())
            except errors.OutOfMemory:
                session.rollback()
                return n
        return tables

    most = locked(4_000)
    locked(most * 9 // 10)
    stage.show("locks")
    return error_of(lambda: [session.execute(f"LOCK TABLE t{n}".encode()) for n in range(most, 4_000)])


@symptom('prepared statement "…" does not exist')
def prepared_statement_gone(stage: Stage) -> psycopg.Error:
    session = stage.session("books", autocommit=True)
    session.execute("SELECT 1", prepare=True)
    # As if a pooler gave it another of its connections; psycopg doesn't see what is sent past it.
    session.pgconn.exec_(b"DEALLOCATE ALL")
    return error_of(lambda: session.execute("SELECT 1", prepare=True))
