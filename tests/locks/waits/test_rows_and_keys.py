"""A row or a unique key, on a real server: what a role may see, what was seen before, and what isn't read."""

from __future__ import annotations

import asyncio

import pytest

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.locks.actions.acting import DsnAs
from tests.locks.looking import look, target_of
from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import ADD_TO_42, accounts
from tests.servers.sessions import RunningStatement, blocked
from tests.waiting import wait_until

SET_A_KEY = "UPDATE accounts SET balance = 1, email = email WHERE id = 42"


def shown(graph: LockGraph, cast: Cast) -> str:
    return target_of(graph, cast.party("waiter").pid, cast.party("holder").pid)


@pytest.fixture
def plain(dsn_as: DsnAs) -> str:
    """The DSN of a role that sees no statement and may read no table."""
    return dsn_as()[1]


def test_a_collision_as_seen_by_a_plain_role(cast: Cast, plain: str) -> None:
    accounts(cast)
    holder, waiter = cast.sessions("holder", "waiter")
    insert = "INSERT INTO accounts VALUES (100)"
    holder.execute(insert)
    cast.waits(waiter, insert)
    graph = look(plain)
    assert shown(graph, cast) == "row or unique key of accounts"
    told = diagnose(graph, cast.party("holder"))
    assert told.cause == "same_row_or_key"
    assert told.explanation.endswith(
        "to commit or roll back: both want the same row or unique key of accounts."
    )
    assert "Give each test rows of its own, and unique data" in told.advice
    # What the rows tell, whoever may read them sees.
    cast.run("GRANT SELECT ON accounts TO PUBLIC")
    assert shown(look(plain), cast) == "unique key of accounts (email or id)"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM accounts WHERE id = 42", "row or unique key of accounts"),
        ("SELECT * FROM accounts WHERE id = 42 FOR NO KEY UPDATE", "row of accounts"),
        (ADD_TO_42, "row or unique key of accounts"),
    ],
)
def test_the_third_in_line_as_seen_by_a_plain_role(
    cast: Cast, plain: str, statement: str, words: str
) -> None:
    accounts(cast)
    first, holder, waiter = cast.sessions("first", "holder", "waiter")
    is_told = cast.third_in_line(first, holder, waiter, ADD_TO_42, ADD_TO_42, statement)
    # Who locks rows writes no key, even if nobody says which row it is.
    assert shown(look(plain), cast).partition(" (")[0] == ("row of accounts" if is_told else words)


def one_is_done(earlier: RunningStatement, later: RunningStatement) -> None:
    wait_until(lambda: not (earlier.thread.is_alive() and later.thread.is_alive()))


def test_a_watch_that_has_seen_the_queue_knows_the_row(cast: Cast) -> None:
    accounts(cast)
    first, holder, waiter = cast.sessions("first", "holder", "waiter")

    async def play() -> LockSnapshot:
        async with LiveSource(Settings(dsn=Dsn(cast.dsn, "the test"))) as source:
            while True:
                first.execute(ADD_TO_42)
                earlier, later = cast.waits(holder, ADD_TO_42), cast.waits(waiter, SET_A_KEY)
                await source.read()
                first.commit()
                await asyncio.to_thread(one_is_done, earlier, later)
                if not earlier.thread.is_alive():
                    break
                for running, session in ((later, waiter), (earlier, holder)):
                    running.result()
                    session.rollback()
            cast.waits_for_transaction(waiter)
            await source.read()
            return await source.read_twice()

    assert shown(LockGraph(asyncio.run(play())), cast) == "row of accounts (id=42)"
    # Who comes later can't know, unless the waiter still has the lock of the row.
    assert shown(look(cast.dsn), cast) in ("row or unique key of accounts", "row of accounts (id=42)")


def test_a_large_table_is_not_read(cast: Cast) -> None:
    accounts(cast)
    cast.run(
        "INSERT INTO accounts SELECT n, repeat(md5(n::text), 8), 0 FROM generate_series(1000, 40000) AS n"
    )
    first, holder, waiter = cast.sessions("first", "holder", "waiter")
    is_told = cast.third_in_line(first, holder, waiter, *[ADD_TO_42] * 3)
    assert shown(look(cast.dsn), cast) == ("row of accounts (id=42)" if is_told else "row of accounts")


def test_a_table_that_somebody_waits_for_is_not_waited_for(cast: Cast) -> None:
    accounts(cast)
    first, holder, waiter = cast.sessions("first", "holder", "waiter")
    is_told = cast.third_in_line(first, holder, waiter, *[ADD_TO_42] * 3)
    altering = blocked(cast.session("altering"), "ALTER TABLE accounts ADD COLUMN note text")
    # The row's own lock tells the place of the row, which can't be read now.
    assert shown(look(cast.dsn), cast).startswith("row of accounts")
    assert is_told or shown(look(cast.dsn), cast) == "row of accounts"
    assert altering.thread.is_alive()
