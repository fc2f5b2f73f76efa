"""Prepared transactions: they block without a process."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import ADD, accounts, add, row
from tests.locks.scenarios.truth import Truth, hard, scenario, soft

PREPARED = {"prepared": "prepared_transaction"}


@scenario()
def prepared_transaction_holds_a_row(cast: Cast) -> Truth:
    accounts(cast)
    preparing, waiter = cast.sessions("preparing", "waiter")
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    cast.waits(waiter, ADD, [42])
    return Truth((hard("waiter", "prepared", row(42)),), roots={"prepared": 1}, causes=PREPARED)


@scenario()
def two_prepared_of_which_one_blocks(cast: Cast) -> Truth:
    accounts(cast)
    preparing, other, waiter = cast.sessions("preparing", "other", "waiter")
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    add(other, 43)
    cast.prepare("innocent", other)
    cast.waits(waiter, ADD, [42])
    return Truth(
        (hard("waiter", "prepared", row(42)),),
        roots={"prepared": 1},
        innocents=("innocent",),
        causes=PREPARED,
    )


@scenario()
def two_prepared_before_one_waiter(cast: Cast) -> Truth:
    accounts(cast)
    preparing, other, alter = cast.sessions("preparing", "other", "alter")
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    other.execute("SELECT * FROM accounts")
    cast.prepare("reading", other)
    cast.waits(alter, "ALTER TABLE accounts ADD COLUMN note text")
    return Truth(
        (hard("alter", "prepared", "table accounts"), hard("alter", "reading", "table accounts")),
        roots={"prepared": 1, "reading": 1},
        causes={**PREPARED, "reading": "prepared_transaction"},
    )


@scenario()
def prepared_and_session_before_one_waiter(cast: Cast) -> Truth:
    accounts(cast)
    preparing, reader, alter, select = cast.sessions("preparing", "reader", "alter", "select")
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    reader.execute("SELECT * FROM accounts")
    cast.waits(alter, "ALTER TABLE accounts ADD COLUMN note text")
    cast.waits(select, "SELECT * FROM accounts")
    return Truth(
        (
            hard("alter", "prepared", "table accounts"),
            hard("alter", "reader", "table accounts"),
            soft("select", "alter", "table accounts"),
        ),
        roots={"prepared": 2, "reader": 2},
        causes=PREPARED,
    )


@scenario()
def prepared_transaction_in_another_database(cast: Cast) -> Truth:
    accounts(cast)
    elsewhere = cast.another_database(cast.database)
    preparing = cast.session("preparing", database=elsewhere)
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    # The same row of the same table OID, in the database that the other was copied from.
    here, waiter = cast.session("here"), cast.session("waiter", database=elsewhere)
    add(here, 42)
    cast.waits(waiter, ADD, [42])
    return Truth(
        (hard("waiter", "prepared", row(42)),),
        roots={"prepared": 1},
        innocents=("here",),
        causes=PREPARED,
    )


@scenario()
def prepared_transaction_that_nobody_waits_for(cast: Cast) -> Truth:
    accounts(cast)
    preparing = cast.session("preparing")
    add(preparing, 42)
    cast.prepare("prepared", preparing)
    return Truth(innocents=("prepared",))
