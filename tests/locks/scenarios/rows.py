"""Waits for a row: its current holder, the queue behind it, and several holders at once."""

from __future__ import annotations

from dataclasses import replace

from tests.locks.scenarios.cast import Cast, Session
from tests.locks.scenarios.truth import Truth, hard, scenario, soft
from tests.servers.sessions import RunningStatement

ADD = "UPDATE accounts SET balance = balance + 1 WHERE id = %s"


def accounts(cast: Cast) -> None:
    """A table with the rows 40 to 45."""
    cast.run(
        "CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, balance int);"
        "INSERT INTO accounts SELECT n, n || '@real.example', 0 FROM generate_series(40, 45) AS n"
    )


def add(session: Session, account: int) -> None:
    """Changes a row."""
    session.execute(ADD, [account])


def row(account: int) -> str:
    """That row in words."""
    return f"row of accounts (id={account})"


def transaction_id(session: Session) -> str:
    """The id of the session's transaction, which gets one if it has none."""
    found = session.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert found is not None
    return str(found[0])


def end_of(transaction: str) -> str:
    """That transaction's end in words."""
    return f"end of transaction {transaction}"


@scenario()
def chain_behind_an_idle_transaction(cast: Cast) -> Truth:
    accounts(cast)
    sessions = cast.sessions("root", "first", "second", "third")
    for n, session in enumerate(sessions):
        add(session, 42 - n)
    for n, session in enumerate(sessions[1:]):
        cast.waits(session, ADD, [42 - n])
    return Truth(
        (hard("first", "root", row(42)), hard("second", "first", row(41)), hard("third", "second", row(40))),
        roots={"root": 3},
        causes={"root": "idle_in_transaction"},
    )


def _fan(cast: Cast, waiters: list[str]) -> Truth:
    accounts(cast)
    add(cast.session("holder"), 42)
    for waiter in cast.sessions(*waiters):
        cast.waits(waiter, ADD, [42])
    first, *others = waiters
    # The first in the queue holds the row's tuple lock; the others want that.
    edges = [hard(first, "holder", row(42)), *(hard(one, first, row(42)) for one in others)]
    edges += [soft(one, ahead, row(42)) for n, one in enumerate(others) for ahead in others[:n]]
    return Truth(tuple(edges), roots={"holder": len(waiters)}, causes={"holder": "idle_in_transaction"})


@scenario()
def fan_of_three_on_a_row(cast: Cast) -> Truth:
    return _fan(cast, ["first", "second", "third"])


@scenario()
def row_held_by_a_session_at_work(cast: Cast) -> Truth:
    accounts(cast)
    holder, waiter = cast.sessions("holder", "waiter")
    add(holder, 42)
    RunningStatement(holder, "SELECT pg_sleep(60)", ())
    cast.until_event(holder, "PgSleep")
    cast.waits(waiter, ADD, [42])
    return Truth((hard("waiter", "holder", row(42)),), roots={"holder": 1}, causes={"holder": "same_row"})


@scenario()
def fan_of_sixty_on_a_row(cast: Cast) -> Truth:
    return _fan(cast, [f"waiter {n}" for n in range(1, 61)])


@scenario()
def row_held_by_a_statement_that_waits_elsewhere(cast: Cast) -> Truth:
    accounts(cast)
    keeper, middle, last = cast.sessions("keeper", "middle", "last")
    keeper.execute("SELECT pg_advisory_xact_lock(9)")
    add(middle, 42)
    cast.waits(middle, "SELECT pg_advisory_xact_lock(9)")
    cast.waits(last, "SELECT * FROM accounts WHERE id = 42 FOR UPDATE")
    return Truth(
        (hard("middle", "keeper", "advisory lock 9"), hard("last", "middle", row(42))), roots={"keeper": 2}
    )


@scenario()
def row_shared_by_two_and_written_by_a_third(cast: Cast) -> Truth:
    accounts(cast)
    one, other, writer = cast.sessions("one", "other", "writer")
    for sharer in (one, other):
        # An id for each, in this order: the server waits for a multixact's members in the order of ids.
        transaction_id(sharer)
        sharer.execute("SELECT * FROM accounts WHERE id = 41 FOR SHARE")
    cast.waits(writer, ADD, [41])
    return Truth(
        (hard("writer", "one", row(41), also_held_by=("other",)),),
        roots={"one": 1},
        innocents=("other",),
        said={"one": ("and have the other holder end its transaction",)},
    )


@scenario()
def row_shared_by_two_of_which_one_writes(cast: Cast) -> Truth:
    accounts(cast)
    stays, upgrades = cast.sessions("stays", "upgrades")
    for sharer in (stays, upgrades):
        sharer.execute("SELECT * FROM accounts WHERE id = 41 FOR SHARE")
    cast.waits(upgrades, ADD, [41])
    # Who has locked a row already takes no tuple lock: the row itself says that both have.
    return Truth((hard("upgrades", "stays", row(41)),), roots={"stays": 1})


@scenario()
def row_shared_by_two_that_write_elsewhere(cast: Cast) -> Truth:
    accounts(cast)
    stays, upgrades = cast.sessions("stays", "upgrades")
    for sharer, own in ((stays, 42), (upgrades, 43)):
        sharer.execute("SELECT * FROM accounts WHERE id = 41 FOR SHARE")
        add(sharer, own)
    cast.waits(upgrades, "DELETE FROM accounts WHERE id = 41")
    # Both write to the table, and yet it isn't about a unique key; `stays` has changed another row of it.
    return Truth(
        (hard("upgrades", "stays", "row of accounts"),),
        roots={"stays": 1},
        causes={"stays": "idle_in_transaction"},
    )


@scenario()
def row_shared_behind_a_writer(cast: Cast) -> Truth:
    accounts(cast)
    writer, sharer, key_sharer = cast.sessions("writer", "sharer", "key sharer")
    add(writer, 43)
    key_sharer.execute("SELECT * FROM accounts WHERE id = 43 FOR KEY SHARE")
    cast.waits(sharer, "SELECT * FROM accounts WHERE id = 43 FOR SHARE")
    return Truth(
        (hard("sharer", "writer", row(43)),),
        roots={"writer": 1},
        innocents=("key sharer",),
        causes={"writer": "idle_in_transaction"},
    )


@scenario()
def row_locked_in_a_savepoint(cast: Cast) -> Truth:
    accounts(cast)
    holder, waiter, free = cast.sessions("holder", "waiter", "free")
    holder.execute("SAVEPOINT a")
    add(holder, 44)
    holder.execute("SAVEPOINT b")
    add(holder, 45)
    holder.execute("ROLLBACK TO SAVEPOINT b")
    add(free, 45)
    cast.waits(waiter, ADD, [44])
    return Truth((hard("waiter", "holder", row(44)),), roots={"holder": 1}, innocents=("free",))


@scenario()
def row_locked_in_a_savepoint_that_was_rolled_back(cast: Cast) -> Truth:
    accounts(cast)
    former, holder, waiter = cast.sessions("former", "holder", "waiter")
    former.execute("SAVEPOINT a")
    add(former, 44)
    waiting = cast.waits(holder, ADD, [44])
    former.execute("ROLLBACK TO SAVEPOINT a")
    waiting.result()
    cast.waits(waiter, ADD, [44])
    return Truth((hard("waiter", "holder", row(44)),), roots={"holder": 1}, innocents=("former",))


@scenario()
def rows_of_a_partition(cast: Cast) -> Truth:
    cast.run(
        "CREATE TABLE bookings (id int PRIMARY KEY, n int) PARTITION BY LIST (id);"
        "CREATE TABLE bookings_1 PARTITION OF bookings FOR VALUES IN (1);"
        "CREATE TABLE bookings_2 PARTITION OF bookings FOR VALUES IN (2);"
        "INSERT INTO bookings VALUES (1, 0), (2, 0)"
    )
    holder, waiter, innocent = cast.sessions("holder", "waiter", "innocent")
    holder.execute("UPDATE bookings SET n = 1 WHERE id = 1")
    innocent.execute("UPDATE bookings SET n = 1 WHERE id = 2")
    cast.waits(waiter, "UPDATE bookings SET n = 2")
    return Truth(
        (hard("waiter", "holder", "row of bookings_1 (id=1)"),),
        roots={"holder": 1},
        innocents=("innocent",),
        unsaid={"holder": ("isn't known",)},
    )


@scenario()
def rows_and_a_table_of_one_transaction(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE TABLE other (id int)")
    holder, first, second, third = cast.sessions("holder", "first", "second", "third")
    holder.execute("UPDATE accounts SET balance = 1")
    holder.execute("LOCK TABLE other IN EXCLUSIVE MODE")
    cast.waits(first, ADD, [41])
    cast.waits(second, ADD, [42])
    cast.waits(third, "INSERT INTO other VALUES (1)")
    return Truth(
        (
            hard("first", "holder", row(41)),
            hard("second", "holder", row(42)),
            hard("third", "holder", "table other"),
        ),
        roots={"holder": 3},
        causes={"holder": "idle_in_transaction"},
        said={"holder": (f"for {row(41)}; 2 more wait for other locks it holds.",)},
        unsaid={"holder": ("more wait 1", "and 2 more")},
    )


NO_KEY = ("unique key", "unique data")
ADD_TO_42 = "UPDATE accounts SET balance = balance + 1 WHERE id = 42"


def _third_in_line(cast: Cast, statement: str, target: str = row(42), other: str = ADD_TO_42) -> Truth:
    first, holder, waiter = cast.sessions("first", "holder", "waiter")
    is_told = cast.third_in_line(first, holder, waiter, other, other, statement)
    truth = Truth(
        (hard("waiter", "holder", row(42) if is_told else target),),
        roots={"holder": 1},
        innocents=("first",),
        causes={"holder": "idle_in_transaction"},
        unsaid={"holder": NO_KEY},
    )
    if is_told or target == row(42):
        return truth
    return replace(truth, unsaid={}, said={"holder": ("rows of its own, and unique data",)})


@scenario()
def row_third_in_line(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(cast, ADD_TO_42)


@scenario()
def row_third_in_line_to_delete_it(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(cast, "DELETE FROM accounts WHERE id = 42")


@scenario()
def row_third_in_line_to_lock_it(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(cast, "SELECT * FROM accounts WHERE id = 42 FOR UPDATE")


@scenario()
def row_third_in_line_by_many_rows(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(cast, "UPDATE accounts SET balance = 0 WHERE id BETWEEN 41 AND 43")


@scenario()
def row_third_in_line_behind_many_rows(cast: Cast) -> Truth:
    accounts(cast)
    first, holder, waiter = cast.sessions("first", "holder", "waiter")
    both = "UPDATE accounts SET balance = balance + 1 WHERE id IN (41, 42)"
    cast.third_in_line(first, holder, waiter, ADD_TO_42, both, ADD_TO_42)
    # The holder has changed two rows. The waiter had been queued for the older version of one.
    return Truth(
        (hard("waiter", "holder", "row of accounts"),),
        roots={"holder": 1},
        innocents=("first",),
        unsaid={"holder": NO_KEY},
    )


@scenario(since=15, because="there is no MERGE")
def row_third_in_line_to_merge(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(
        cast,
        "MERGE INTO accounts USING (VALUES (42)) AS new (id) ON new.id = accounts.id"
        " WHEN MATCHED THEN UPDATE SET balance = 1",
    )


@scenario(since=15, because="there is no MERGE")
def row_or_key_third_in_line_to_merge(cast: Cast) -> Truth:
    accounts(cast)
    return _third_in_line(
        cast,
        "MERGE INTO accounts USING (VALUES (42)) AS new (id) ON new.id = accounts.id"
        " WHEN MATCHED THEN UPDATE SET balance = 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (new.id)",
        "row or unique key of accounts",
    )


@scenario()
def row_or_key_third_in_line_to_set_a_key(cast: Cast) -> Truth:
    accounts(cast)
    statement = "UPDATE accounts SET balance = 1, email = email WHERE id = 42"
    return _third_in_line(cast, statement, "row or unique key of accounts")


@scenario()
def row_third_in_line_by_a_trigger(cast: Cast) -> Truth:
    accounts(cast)
    cast.run(
        "CREATE TABLE payments (id serial PRIMARY KEY, account int, amount int);"
        "CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.account; RETURN NULL; END $$;"
        "CREATE TRIGGER book AFTER INSERT ON payments FOR EACH ROW EXECUTE FUNCTION book()"
    )
    pay = "INSERT INTO payments (account, amount) VALUES (42, 1)"
    # The trigger may do anything: it isn't known whether the unique key of `payments` is meant.
    target = f"{row(42)} or unique key of accounts or payments"
    return _third_in_line(cast, pay, target, other=pay)
