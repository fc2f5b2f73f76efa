"""Waits for a whole table, sequence or materialized view, and the queues behind them."""

from __future__ import annotations

from dataclasses import replace

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import ADD, accounts, add, row
from tests.locks.scenarios.truth import Truth, hard, scenario, soft
from tests.servers.sessions import RunningStatement

TABLE = "table accounts"
LEFT = "idle_in_transaction"
SLEEPS = "SELECT pg_sleep(60), * FROM accounts LIMIT 1"


@scenario()
def fan_on_a_table(cast: Cast) -> Truth:
    accounts(cast)
    holder, *readers = cast.sessions("holder", "first", "second", "third")
    holder.execute("LOCK TABLE accounts")
    for reader in readers:
        cast.waits(reader, "SELECT * FROM accounts")
    return Truth(
        tuple(hard(reader, "holder", TABLE) for reader in ("first", "second", "third")), roots={"holder": 3}
    )


@scenario()
def several_holders_before_one_waiter(cast: Cast) -> Truth:
    accounts(cast)
    reader, writer, sharer, alter = cast.sessions("reader", "writer", "sharer", "alter")
    reader.execute("SELECT * FROM accounts")
    add(writer, 42)
    sharer.execute("SELECT * FROM accounts WHERE id = 43 FOR SHARE")
    cast.waits(alter, "ALTER TABLE accounts ADD COLUMN note text")
    holders = ("reader", "writer", "sharer")
    return Truth(tuple(hard("alter", one, TABLE) for one in holders), roots=dict.fromkeys(holders, 1))


def _queue(cast: Cast, statement: str, reads: str = "SELECT * FROM accounts", cause: str = LEFT) -> Truth:
    accounts(cast)
    reader, exclusive, *selects = cast.sessions("reader", "exclusive", "first select", "second select")
    if reads.endswith("accounts"):
        reader.execute(reads.encode())
    else:
        RunningStatement(reader, reads, ())
        cast.until_event(reader, "PgSleep")
    cast.waits(exclusive, statement)
    for select in selects:
        cast.waits(select, "SELECT count(*) FROM accounts")
    return Truth(
        (
            hard("exclusive", "reader", TABLE),
            soft("first select", "exclusive", TABLE),
            soft("second select", "exclusive", TABLE),
        ),
        roots={"reader": 3},
        causes={"reader": cause},
    )


@scenario()
def queue_behind_alter(cast: Cast) -> Truth:
    return _queue(cast, "ALTER TABLE accounts ADD COLUMN note text")


@scenario()
def queue_behind_truncate(cast: Cast) -> Truth:
    return _queue(cast, "TRUNCATE accounts")


@scenario()
def queue_behind_drop(cast: Cast) -> Truth:
    return _queue(cast, "DROP TABLE accounts")


@scenario()
def queue_behind_alter_and_a_query(cast: Cast) -> Truth:
    return _queue(cast, "ALTER TABLE accounts ADD COLUMN note text", SLEEPS, "ddl_queue")


@scenario()
def queue_behind_truncate_and_a_query(cast: Cast) -> Truth:
    return _queue(cast, "TRUNCATE accounts", SLEEPS, "truncate_or_cleanup_vs_test")


@scenario()
def queue_behind_drop_and_a_query(cast: Cast) -> Truth:
    return _queue(cast, "DROP TABLE accounts", SLEEPS, "truncate_or_cleanup_vs_test")


@scenario()
def compatible_holders(cast: Cast) -> Truth:
    accounts(cast)
    writer, idle, reader, locker = cast.sessions("writer", "idle", "reader", "locker")
    add(writer, 42)
    idle.execute("SELECT 1")
    reader.execute("SELECT 1 FROM accounts")
    cast.waits(locker, "LOCK TABLE accounts IN SHARE MODE")
    return Truth((hard("locker", "writer", TABLE),), roots={"writer": 1}, innocents=("idle", "reader"))


@scenario()
def compatible_queue(cast: Cast) -> Truth:
    accounts(cast)
    holder, writer, other = cast.sessions("holder", "writer", "other")
    holder.execute("LOCK TABLE accounts IN SHARE MODE")
    # Two that want to write don't stand in each other's way.
    cast.waits(writer, "UPDATE accounts SET balance = 1 WHERE id = 41")
    cast.waits(other, "UPDATE accounts SET balance = 1 WHERE id = 42")
    return Truth((hard("writer", "holder", TABLE), hard("other", "holder", TABLE)), roots={"holder": 2})


@scenario()
def holder_and_queue_at_once(cast: Cast) -> Truth:
    accounts(cast)
    reader, sharer, writer, alter, last = cast.sessions("reader", "sharer", "writer", "alter", "last")
    reader.execute("SELECT * FROM accounts")
    sharer.execute("LOCK TABLE accounts IN SHARE MODE")
    cast.waits(writer, "UPDATE accounts SET balance = 1 WHERE id = 41")
    cast.waits(alter, "ALTER TABLE accounts ADD COLUMN note text")
    cast.waits(last, "INSERT INTO accounts VALUES (1)")
    return Truth(
        (
            hard("writer", "sharer", TABLE),
            hard("alter", "reader", TABLE),
            hard("alter", "sharer", TABLE),
            soft("alter", "writer", TABLE),
            hard("last", "sharer", TABLE),
            soft("last", "alter", TABLE),
        ),
        roots={"sharer": 3, "reader": 2},
    )


@scenario()
def table_lock_upgraded(cast: Cast) -> Truth:
    accounts(cast)
    stays, upgrades = cast.sessions("stays", "upgrades")
    for sharer in (stays, upgrades):
        sharer.execute("LOCK TABLE accounts IN SHARE MODE")
    cast.waits(upgrades, "LOCK TABLE accounts")
    return Truth((hard("upgrades", "stays", TABLE),), roots={"stays": 1})


@scenario()
def table_locked_in_a_savepoint_that_was_rolled_back(cast: Cast) -> Truth:
    accounts(cast)
    former, holder, waiter = cast.sessions("former", "holder", "waiter")
    former.execute("SAVEPOINT a")
    former.execute("LOCK TABLE accounts")
    former.execute("ROLLBACK TO SAVEPOINT a")
    holder.execute("LOCK TABLE accounts")
    cast.waits(waiter, "SELECT * FROM accounts")
    return Truth((hard("waiter", "holder", TABLE),), roots={"holder": 1}, innocents=("former",))


@scenario()
def sequence_restarted_behind_nextval(cast: Cast) -> Truth:
    cast.run("CREATE SEQUENCE numbers")
    taking, restarting, reading = cast.sessions("taking", "restarting", "reading")
    taking.execute("SELECT nextval('numbers')")
    reading.execute("SELECT last_value FROM numbers")
    cast.waits(restarting, "ALTER SEQUENCE numbers RESTART")
    return Truth(
        (hard("restarting", "taking", "sequence numbers"),), roots={"taking": 1}, innocents=("reading",)
    )


@scenario()
def truncate_restart_identity_behind_nextval(cast: Cast) -> Truth:
    cast.run("CREATE TABLE tickets (id serial)")
    taking, truncating = cast.sessions("taking", "truncating")
    taking.execute("SELECT nextval('tickets_id_seq')")
    cast.waits(truncating, "TRUNCATE tickets RESTART IDENTITY")
    return Truth((hard("truncating", "taking", "sequence tickets_id_seq"),), roots={"taking": 1})


@scenario()
def materialized_view_refreshed_twice(cast: Cast) -> Truth:
    accounts(cast)
    cast.run(
        "CREATE MATERIALIZED VIEW totals AS SELECT id, balance FROM accounts;"
        "CREATE UNIQUE INDEX ON totals (id)"
    )
    reader, first, second = cast.sessions("reader", "first", "second")
    reader.execute("SELECT * FROM totals")
    first.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY totals")
    cast.waits(second, "REFRESH MATERIALIZED VIEW CONCURRENTLY totals")
    return Truth(
        (hard("second", "first", "materialized view totals"),), roots={"first": 1}, innocents=("reader",)
    )


@scenario()
def index_dropped_behind_a_reader(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE INDEX balances ON accounts (balance)")
    reader, dropping = cast.sessions("reader", "dropping")
    reader.execute("SELECT * FROM accounts")
    cast.waits(dropping, "DROP INDEX balances")
    return Truth(
        (hard("dropping", "reader", TABLE),),
        roots={"reader": 1},
        said={"reader": (CHANGES_OF_TABLES,)},
        unsaid={"reader": (NO_TRUNCATE,)},
    )


@scenario()
def table_of_a_shared_catalog_locked_in_another_database(cast: Cast) -> Truth:
    holder = cast.session("holder", database="postgres")
    waiter = cast.session("waiter")
    holder.execute("LOCK TABLE pg_shdescription")
    cast.waits(waiter, "SELECT * FROM pg_shdescription")
    return Truth((hard("waiter", "holder", "table pg_shdescription"),), roots={"holder": 1})


CHANGES_OF_TABLES = "Change tables before the tests run"
NO_TRUNCATE = "Clean up with DELETE"


@scenario()
def index_dropped_and_not_committed(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE INDEX balances ON accounts (balance)")
    dropping, reader = cast.sessions("dropping", "reader")
    dropping.execute("DROP INDEX balances")
    cast.waits(reader, "SELECT * FROM accounts")
    return Truth(
        (hard("reader", "dropping", TABLE),),
        roots={"dropping": 1},
        said={"dropping": (CHANGES_OF_TABLES,)},
        unsaid={"dropping": (NO_TRUNCATE,)},
    )


@scenario()
def table_changed_before_another_was_truncated(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE TABLE other (id int)")
    holder, reader = cast.sessions("holder", "reader")
    holder.execute("ALTER TABLE accounts ADD COLUMN note text")
    holder.execute("TRUNCATE other")
    cast.waits(reader, "SELECT * FROM accounts")
    return Truth(
        (hard("reader", "holder", TABLE),),
        roots={"holder": 1},
        unsaid={"holder": ("since its", NO_TRUNCATE)},
    )


@scenario()
def queue_behind_lock_table(cast: Cast) -> Truth:
    found = _queue(cast, "LOCK TABLE accounts", SLEEPS, "table_lock")
    return replace(
        found, said={"reader": ("; 2 more queue behind it.",)}, unsaid={"reader": ("Change tables",)}
    )


@scenario()
def chain_behind_a_truncate(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE TABLE other (id int)")
    reader, truncating, middle, last = cast.sessions("reader", "truncating", "middle", "last")
    reader.execute("SELECT * FROM other")
    add(truncating, 41)
    add(middle, 42)
    cast.waits(last, ADD, [42])
    cast.waits(middle, ADD, [41])
    cast.waits(truncating, "TRUNCATE other")
    return Truth(
        (
            hard("truncating", "reader", "table other"),
            hard("middle", "truncating", row(41)),
            hard("last", "middle", row(42)),
        ),
        roots={"reader": 3},
        unsaid={"reader": ("queue", "continue at once")},
    )
