"""Waits for the end of a transaction: concurrent index work, safe snapshots, logical slots."""

from __future__ import annotations

from dataclasses import replace

from tests.locks.scenarios.cast import Cast, Session
from tests.locks.scenarios.rows import accounts, add, end_of, transaction_id
from tests.locks.scenarios.truth import Link, Truth, hard, scenario
from tests.servers.sessions import RunningStatement

USERS_ONLY = {"holder": ("waits for every transaction that has used the table.",)}


def _end_of_session(session: Session) -> str:
    return f"end of transaction of pid {session.info.backend_pid}"


def _concurrently(cast: Cast, holder: Session, statement: str, innocents: tuple[str, ...] = ()) -> Truth:
    """`statement` waits until the transaction of the session "holder" is over."""
    cast.waits(cast.session("builder", autocommit=True), statement)
    return Truth(
        (hard("builder", "holder", _end_of_session(holder)),), roots={"holder": 1}, innocents=innocents
    )


def _indexed(cast: Cast) -> None:
    accounts(cast)
    cast.run("CREATE INDEX balances ON accounts (balance); CREATE TABLE unrelated (n int)")


@scenario()
def index_built_concurrently_behind_a_writer(cast: Cast) -> Truth:
    _indexed(cast)
    holder, elsewhere = cast.sessions("holder", "elsewhere")
    add(holder, 42)
    elsewhere.execute("INSERT INTO unrelated VALUES (1)")
    return _concurrently(
        cast, holder, "CREATE INDEX CONCURRENTLY ON accounts (id, balance)", innocents=("elsewhere",)
    )


@scenario()
def index_built_concurrently_behind_an_old_snapshot(cast: Cast) -> Truth:
    _indexed(cast)
    holder, reader = cast.sessions("holder", "reader")
    holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    # Reads one table only, yet has a snapshot from before the index.
    holder.execute("SELECT * FROM unrelated")
    # At READ COMMITTED there's none between statements.
    reader.execute("SELECT * FROM accounts")
    return _concurrently(
        cast, holder, "CREATE INDEX CONCURRENTLY ON accounts (id, balance)", innocents=("reader",)
    )


@scenario()
def index_built_concurrently_behind_a_query(cast: Cast) -> Truth:
    _indexed(cast)
    holder = cast.session("holder")
    RunningStatement(holder, "SELECT pg_sleep(60) FROM accounts LIMIT 1", ())
    cast.until_event(holder, "PgSleep")
    found = _concurrently(cast, holder, "CREATE INDEX CONCURRENTLY ON accounts (id, balance)")
    return replace(found, causes={"holder": "index_build_waits_for_transaction"})


@scenario()
def index_dropped_concurrently_behind_a_reader(cast: Cast) -> Truth:
    _indexed(cast)
    holder = cast.session("holder")
    holder.execute("SELECT * FROM accounts")
    cast.session("elsewhere").execute("INSERT INTO unrelated VALUES (1)")
    found = _concurrently(cast, holder, "DROP INDEX CONCURRENTLY balances", innocents=("elsewhere",))
    return replace(found, said=USERS_ONLY, unsaid={"holder": ("older snapshot", "Build indexes")})


@scenario()
def index_rebuilt_concurrently_behind_a_writer(cast: Cast) -> Truth:
    _indexed(cast)
    holder, reader = cast.sessions("holder", "reader")
    add(holder, 42)
    reader.execute("SELECT * FROM accounts")
    return _concurrently(cast, holder, "REINDEX INDEX CONCURRENTLY balances", innocents=("reader",))


@scenario(since=14, because="there is no DETACH PARTITION … CONCURRENTLY")
def partition_detached_concurrently_behind_a_reader(cast: Cast) -> Truth:
    cast.run(
        "CREATE TABLE bookings (id int) PARTITION BY LIST (id);"
        "CREATE TABLE bookings_1 PARTITION OF bookings FOR VALUES IN (1)"
    )
    holder = cast.session("holder")
    holder.execute("SELECT * FROM bookings")
    statement = "ALTER TABLE bookings DETACH PARTITION bookings_1 CONCURRENTLY"
    found = _concurrently(cast, holder, statement)
    return replace(found, said=USERS_ONLY, unsaid={"holder": ("older snapshot",)})


@scenario()
def queue_behind_an_index_built_concurrently(cast: Cast) -> Truth:
    _indexed(cast)
    holder, alter = cast.sessions("holder", "alter")
    add(holder, 42)
    found = _concurrently(cast, holder, "CREATE INDEX CONCURRENTLY ON accounts (id, balance)")
    cast.waits(alter, "ALTER TABLE accounts ADD COLUMN note text")
    edges = (hard("alter", "holder", "table accounts"), hard("alter", "builder", "table accounts"))
    return Truth(found.edges + edges, roots={"holder": 2})


@scenario()
def deferrable_transaction_waits_for_a_safe_snapshot(cast: Cast) -> Truth:
    accounts(cast)
    writer, bystander = cast.sessions("writer", "bystander")
    reader = cast.session("reader", autocommit=True)
    bystander.execute("SELECT * FROM accounts")
    writer.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    writer.execute("SELECT * FROM accounts")
    add(writer, 42)
    statement = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT * FROM accounts"
    RunningStatement(reader, statement, ())
    cast.until_event(reader, "SafeSnapshot")
    words = "safe snapshot (DEFERRABLE transaction)"
    return Truth(
        (Link("reader", "writer", "safe_snapshot", words),), roots={"writer": 1}, innocents=("bystander",)
    )


def _slot(cast: Cast, database: str | None) -> Truth:
    """Waits for a transaction of `database`; None is the slot's own."""
    accounts(cast)
    old, reader = cast.session("old", database=database), cast.session("reader")
    held = transaction_id(old)
    reader.execute("SELECT * FROM accounts")
    # A temporary slot goes with its session.
    statement = f"SELECT pg_create_logical_replication_slot('{cast.database}', 'pgoutput', true)"
    cast.waits(cast.session("subscriber", autocommit=True), statement)
    return Truth((hard("subscriber", "old", end_of(held)),), roots={"old": 1}, innocents=("reader",))


@scenario()
def logical_slot_waits_for_an_old_transaction(cast: Cast) -> Truth:
    return _slot(cast, None)


@scenario()
def logical_slot_waits_for_a_transaction_of_another_database(cast: Cast) -> Truth:
    return _slot(cast, "postgres")
