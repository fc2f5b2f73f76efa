"""The error messages of docs/faq.md as plays: each ends in its message, and shows what a command says then.

A play gets a stage. It returns the error that it led to, and the output of the commands that it ran.
"""

from __future__ import annotations

import re
import select
import socket
import textwrap
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.cli.running import pgwatch
from tests.locks.scenarios.cast import Cast, Session
from tests.servers.sessions import RunningStatement
from tests.waiting import PATIENCE_S

BOOKINGS = """
CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE, created_at timestamptz DEFAULT now());
CREATE TABLE bookings (id serial PRIMARY KEY, user_id int REFERENCES users, slot int);
INSERT INTO users (id, email) SELECT n, n || '@test.example.com' FROM generate_series(1, 3) AS n;
"""
UPDATE = "UPDATE users SET email = 'new@test.example.com' WHERE id = 2"
FEW_CONNECTIONS = {"max_connections": "13", "superuser_reserved_connections": "3"}
FEW_LOCKS = {"max_connections": "10", "max_locks_per_transaction": "10", "max_prepared_transactions": "0"}
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Stage:
    """A cast, and a directory to run commands in."""

    cast: Cast
    home: Path
    shown: list[str] = field(default_factory=list)

    def session(self, test: str, autocommit: bool = False) -> Session:
        """A session that the test of that name uses."""
        return self.cast.session(test, autocommit=autocommit)

    def holds_up(
        self, first: str, then: str, *, holder: str = "cancels", waiter: str = "books", limit: str = ""
    ) -> tuple[Session, RunningStatement]:
        """Lets a test wait for what another has run, as long as `limit` says: the holder, and the wait."""
        self.cast.run(BOOKINGS)
        holding, waiting = self.session(holder), self.session(waiter)
        holding.execute(first.encode())
        if limit:
            waiting.execute(limit.encode())
        return holding, self.cast.waits(waiting, then)

    def needs_alone(self, test: str, statement: str) -> psycopg.Error:
        """The error of a statement that needs a database for itself, shown while it waits for others."""
        running = self.cast.needs_alone(self.session(test, autocommit=True), statement)
        return self.error_of(running)

    def error_of(self, running: RunningStatement) -> psycopg.Error:
        """Shows the locks while a statement waits. Returns the error that it ends with."""
        self.show("locks")
        return error_of(running.result)

    def show(self, *arguments: str) -> None:
        """Runs a command, as its reader would."""
        done = pgwatch(self.home, *arguments, extra={"DATABASE_URL": self.cast.dsn})
        # The directory of a socket, where it was reached.
        said = done.stdout or textwrap.fill(done.stderr, 110)
        output = said.replace(str(conninfo_to_dict(self.cast.dsn)["host"]), "localhost")
        self.shown.append(f"$ pgwatch-tests {' '.join(arguments)}\n{output.rstrip()}")


@dataclass(frozen=True, slots=True)
class Symptom:
    """A message that people search for, and the play that leads to it."""

    name: str
    message: str
    """The server's, with `…` for names: its heading on the page."""
    play: Callable[[Stage], psycopg.Error]
    settings: Mapping[str, str]
    """If there are any, it has a server of its own with these."""

    def __str__(self) -> str:
        return self.name


SYMPTOMS: list[Symptom] = []


def symptom(
    message: str, settings: Mapping[str, str] = _NOTHING
) -> Callable[[Callable[[Stage], psycopg.Error]], Symptom]:
    """Makes a symptom of a play."""

    def made(play: Callable[[Stage], psycopg.Error]) -> Symptom:
        SYMPTOMS.append(Symptom(play.__name__.replace("_", "-"), message, play, settings))
        return SYMPTOMS[-1]

    return made


def performed(one: Symptom, cast: Cast, home: Path) -> tuple[str, str]:
    """The server's message, and what the commands printed."""
    stage = Stage(cast, home)
    error = one.play(stage)
    return str(error), "\n\n".join(stage.shown)


def comparable(output: str, database: str) -> str:
    """Output without what differs from run to run: a name, numbers, units of time, where lines are broken."""
    line = " ".join(re.sub(r"[│├└─\s-]+", " ", output.replace(database, "app_test")).split())
    # A root blocker is told to be waited for as long as it has been in its state for less than two seconds.
    line = re.sub(r"wait a moment first: .*? If it doesn't, ", "", line)
    # `912 d` is the same kind of thing as `911 d 23 h`.
    return re.sub(r"(\d[\d.,:]* ?((ms|s|min|h|d)\b)? ?)+", "0 ", line)


def error_of(statement: Callable[[], object]) -> psycopg.Error:
    """The error that a statement ends with."""
    try:
        statement()
    except psycopg.Error as error:
        return error
    raise AssertionError("it worked")


def last_words(session: Session) -> psycopg.Error:
    """The error of a session that the server has ended."""
    # Read before anything is sent: to a closed socket, that can lose what the server said.
    select.select([session.fileno()], [], [], PATIENCE_S)
    session.pgconn.consume_input()
    return error_of(lambda: session.execute("SELECT 1"))


@symptom('database "…" is being accessed by other users')
def being_accessed_by_other_users(stage: Stage) -> psycopg.Error:
    other = stage.cast.another_database(name=f"{stage.cast.database}_gw1")
    stage.cast.session("books", other).execute("SELECT 1")
    return stage.needs_alone("drops", f"DROP DATABASE {other}")


@symptom('source database "…" is being accessed by other users')
def source_database(stage: Stage) -> psycopg.Error:
    template = stage.cast.another_database(name=f"{stage.cast.database}_template")
    copy = stage.cast.reserve_database(f"{stage.cast.database}_gw1")
    stage.cast.session("migrates", template).execute("SELECT 1")
    return stage.needs_alone("copies", f"CREATE DATABASE {copy} TEMPLATE {template}")


@symptom("There is 1 prepared transaction using the database")
def prepared_transaction(stage: Stage) -> psycopg.Error:
    other = stage.cast.another_database(name=f"{stage.cast.database}_gw1")
    paying = stage.cast.session("pays", other)
    paying.execute("CREATE TABLE payments (id int)")
    paying.execute("PREPARE TRANSACTION 'payment_17'")
    paying.close()
    error = stage.needs_alone("drops", f"DROP DATABASE {other}")
    stage.cast.run("ROLLBACK PREPARED 'payment_17'", other)
    return error


@symptom("canceling statement due to lock timeout")
def lock_timeout(stage: Stage) -> psycopg.Error:
    _, waiting = stage.holds_up(UPDATE, "DELETE FROM users WHERE id = 2", limit="SET lock_timeout = '3s'")
    return stage.error_of(waiting)


@symptom("canceling statement due to statement timeout")
def statement_timeout(stage: Stage) -> psycopg.Error:
    _, waiting = stage.holds_up(
        "SELECT * FROM users",
        "ALTER TABLE users ADD COLUMN phone text",
        holder="reads",
        waiter="migrates",
        limit="SET statement_timeout = '3s'",
    )
    return stage.error_of(waiting)


@symptom("deadlock detected")
def deadlock_detected(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    one, other = stage.session("merges"), stage.session("swaps")
    for session, first in ((one, 1), (other, 2)):
        session.execute("SET deadlock_timeout = '3s'")
        session.execute("UPDATE users SET email = 'x' || id WHERE id = %s", [first])
    both = (
        stage.cast.waits(one, "UPDATE users SET email = 'y' || id WHERE id = 2"),
        stage.cast.waits(other, "UPDATE users SET email = 'y' || id WHERE id = 1"),
    )
    stage.show("locks")
    found = []
    for running in both:
        with suppress(AssertionError):
            found.append(error_of(running.result))
    [error] = found
    return error


@symptom('could not obtain lock on row in relation "…"')
def could_not_obtain_lock(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    holder, other = stage.session("cancels"), stage.session("books")
    holder.execute("SELECT * FROM users WHERE id = 2 FOR UPDATE")
    error = error_of(lambda: other.execute("SELECT * FROM users WHERE id = 2 FOR UPDATE NOWAIT"))
    other.rollback()
    # Who looks with NOWAIT waits for nobody: without, it is seen.
    stage.cast.waits(other, "SELECT * FROM users WHERE id = 2 FOR UPDATE")
    stage.show("locks")
    return error


@symptom('duplicate key value violates unique constraint "…"')
def duplicate_key(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    insert = "INSERT INTO users VALUES (7, 'anna@test.example.com')"
    stage.cast.run(insert)
    error = error_of(lambda: stage.session("registers").execute(insert))
    stage.show("leaks")
    return error


@symptom('update or delete on table "…" violates foreign key constraint "…"')
def violates_foreign_key(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    stage.cast.run("INSERT INTO bookings (user_id, slot) VALUES (2, 9), (2, 10)")
    delete = "DELETE FROM users WHERE email LIKE '%@test.example.com'"
    error = error_of(lambda: stage.session("cleans_up").execute(delete))
    stage.show("sweep", "--min-age", "0s")
    return error


@symptom("cannot drop schema … because other objects depend on it")
def cannot_drop(stage: Stage) -> psycopg.Error:
    schema = "test_1717171717171_4711_5e6f7a8b"
    stage.cast.run(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.users (id int)")
    error = error_of(lambda: stage.session("cleans_up").execute(f"DROP SCHEMA {schema}".encode()))
    stage.show("sweep", "--only", "schemas")
    return error


@symptom("terminating connection due to administrator command")
def terminated(stage: Stage) -> psycopg.Error:
    holder, _ = stage.holds_up(UPDATE, "DELETE FROM users WHERE id = 2")
    stage.show("locks", "--terminate", str(holder.info.backend_pid), "--yes")
    return last_words(holder)


@symptom("current transaction is aborted, commands ignored until end of transaction block")
def aborted_transaction(stage: Stage) -> psycopg.Error:
    session = stage.session("books")
    error_of(lambda: session.execute("SELECT 1 / 0"))
    stage.show("sessions", "--idle")
    return error_of(lambda: session.execute("SELECT 1"))


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


@symptom("could not serialize access due to concurrent update")
def cannot_serialize(stage: Stage) -> psycopg.Error:
    stage.cast.run(BOOKINGS)
    one, other = stage.session("books"), stage.session("cancels")
    one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    one.execute("SELECT * FROM users")
    other.execute("UPDATE users SET email = NULL WHERE id = 2")
    other.commit()
    return error_of(lambda: one.execute("DELETE FROM users WHERE id = 2"))


@symptom('database "…" already exists')
def already_exists(stage: Stage) -> psycopg.Error:
    create = f"CREATE DATABASE {stage.cast.another_database(name=f'{stage.cast.database}_gw1')}"
    return error_of(lambda: stage.session("makes_it_again", autocommit=True).execute(create.encode()))


@symptom("tuple concurrently updated")
def tuple_concurrently_updated(stage: Stage) -> psycopg.Error:
    grant = "GRANT SELECT ON users TO public"
    holder, waiting = stage.holds_up(grant, grant, holder="sets_up", waiter="sets_up_too")
    stage.show("locks")
    holder.commit()
    return error_of(waiting.result)


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
