"""Cycles, held still by a long deadlock_timeout, and those who stand behind them."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.rows import ADD, accounts, add, row
from tests.locks.scenarios.truth import Truth, hard, scenario, soft


@scenario()
def deadlock_of_two_with_a_bystander(cast: Cast) -> Truth:
    accounts(cast)
    one, other, bystander = cast.sessions("one", "other", "bystander")
    cast.no_deadlock_check((one, other, bystander))
    add(one, 41)
    add(other, 42)
    cast.waits(one, ADD, [42])
    cast.waits(other, ADD, [41])
    cast.waits(bystander, ADD, [42])
    return Truth(
        # The one that waits for a row's holder has the row's tuple lock, which the next one wants.
        (hard("one", "other", row(42)), hard("other", "one", row(41)), hard("bystander", "one", row(42))),
        deadlocks=(("one", "other"),),
        causes={"one": "deadlock", "other": "deadlock"},
        said={"one": ("lock rows in the same order",)},
    )


@scenario()
def deadlock_of_three_with_a_bystander(cast: Cast) -> Truth:
    accounts(cast)
    parts = ("a", "b", "c")
    sessions = cast.sessions(*parts)
    bystander = cast.session("bystander")
    cast.no_deadlock_check((*sessions, bystander))
    for n, session in enumerate(sessions):
        add(session, 41 + n)
    for n, session in enumerate(sessions):
        cast.waits(session, ADD, [41 + (n + 1) % 3])
    cast.waits(bystander, ADD, [41])
    return Truth(
        (
            hard("a", "b", row(42)),
            hard("b", "c", row(43)),
            hard("c", "a", row(41)),
            hard("bystander", "c", row(41)),
        ),
        deadlocks=(parts,),
        causes={"a": "deadlock"},
    )


@scenario()
def two_deadlocks_apart(cast: Cast) -> Truth:
    pairs = (("a", "b"), ("c", "d"))
    edges = []
    for n, pair in enumerate(pairs):
        sessions = cast.sessions(*pair)
        cast.no_deadlock_check(sessions)
        keys = (10 * n + 1, 10 * n + 2)
        for session, key in zip(sessions, keys, strict=True):
            session.execute("SELECT pg_advisory_xact_lock(%s)", [key])
        for session, key in zip(sessions, reversed(keys), strict=True):
            cast.waits(session, "SELECT pg_advisory_xact_lock(%s)", [key])
        for waiter, blocker, key in zip(pair, reversed(pair), reversed(keys), strict=True):
            edges.append(hard(waiter, blocker, f"advisory lock {key}"))
    return Truth(tuple(edges), deadlocks=pairs)


@scenario()
def deadlock_of_two_that_upgrade_a_row_lock(cast: Cast) -> Truth:
    """Only a row's: of two that upgrade a table's lock, the server refuses the second one at once."""
    accounts(cast)
    parts = ("one", "other")
    sharers = cast.sessions(*parts)
    cast.no_deadlock_check(sharers)
    for sharer in sharers:
        sharer.execute("SELECT * FROM accounts WHERE id = 41 FOR SHARE")
    for sharer in sharers:
        cast.waits(sharer, ADD, [41])
    return Truth(
        # Who has locked a row already takes no tuple lock: the row itself says that both have.
        (hard("one", "other", row(41)), hard("other", "one", row(41))),
        deadlocks=(parts,),
        said={"one": ("Both have locked that row before", "SELECT … FOR UPDATE")},
        unsaid={"one": ("in the same order",)},
    )


@scenario()
def deadlock_of_two_that_insert_the_same_keys(cast: Cast) -> Truth:
    cast.run("CREATE TABLE users (email text PRIMARY KEY)")
    one, other = cast.sessions("one", "other")
    cast.no_deadlock_check((one, other))
    insert = "INSERT INTO users VALUES (%s)"
    one.execute(insert, ["a@test.example.com"])
    other.execute(insert, ["b@test.example.com"])
    cast.waits(one, insert, ["b@test.example.com"])
    cast.waits(other, insert, ["a@test.example.com"])
    key = "unique key of users (email)"
    return Truth(
        (hard("one", "other", key), hard("other", "one", key)),
        deadlocks=(("one", "other"),),
        said={"one": ("Give each test unique data", "insert these keys in the same order")},
    )


@scenario()
def deadlock_of_a_row_and_a_table(cast: Cast) -> Truth:
    accounts(cast)
    cast.run("CREATE TABLE audit (n int)")
    one, other = cast.sessions("one", "other")
    cast.no_deadlock_check((one, other))
    add(one, 42)
    other.execute("LOCK TABLE audit")
    cast.waits(other, ADD, [42])
    cast.waits(one, "INSERT INTO audit VALUES (1)")
    return Truth(
        (hard("other", "one", row(42)), hard("one", "other", "table audit")),
        deadlocks=(("one", "other"),),
    )


@scenario()
def cycle_through_a_queue(cast: Cast) -> Truth:
    """The server's deadlock check ends nobody here: it lets `late` pass `exclusive` in the queue."""
    accounts(cast)
    reader, exclusive, late = cast.sessions("reader", "exclusive", "late")
    cast.no_deadlock_check((reader, exclusive, late))
    reader.execute("SELECT * FROM accounts")
    late.execute("SELECT pg_advisory_xact_lock(3)")
    cast.waits(exclusive, "LOCK TABLE accounts")
    cast.waits(late, "SELECT * FROM accounts")
    cast.waits(reader, "SELECT pg_advisory_xact_lock(3)")
    return Truth(
        (
            hard("exclusive", "reader", "table accounts"),
            soft("late", "exclusive", "table accounts"),
            hard("reader", "late", "advisory lock 3"),
        ),
        deadlocks=(("reader", "late", "exclusive"),),
    )
