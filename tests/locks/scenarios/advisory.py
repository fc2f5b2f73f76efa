"""Waits for advisory locks: kinds of keys, modes and levels."""

from __future__ import annotations

from tests.locks.scenarios.cast import Cast
from tests.locks.scenarios.truth import Truth, hard, scenario, soft


def _held(cast: Cast, key: str, holds: str = "lock", wants: str = "lock") -> Truth:
    holder, waiter = cast.session("holder", autocommit="xact" not in holds), cast.session("waiter")
    holder.execute(f"SELECT pg_advisory_{holds}({key})".encode())
    cast.waits(waiter, f"SELECT pg_advisory_{wants}({key})")
    words = f"advisory lock ({key})" if "," in key else f"advisory lock {key}"
    return Truth((hard("waiter", "holder", words),), roots={"holder": 1}, causes={"holder": "advisory_lock"})


@scenario()
def advisory_lock_of_a_session(cast: Cast) -> Truth:
    return _held(cast, "-5")


@scenario()
def advisory_lock_of_a_transaction(cast: Cast) -> Truth:
    return _held(cast, "42", "xact_lock", "xact_lock")


@scenario()
def advisory_lock_of_a_session_wanted_by_a_transaction(cast: Cast) -> Truth:
    return _held(cast, "43", "lock", "xact_lock_shared")


@scenario()
def advisory_lock_with_the_largest_key(cast: Cast) -> Truth:
    return _held(cast, "9223372036854775807")


@scenario()
def advisory_lock_with_two_keys(cast: Cast) -> Truth:
    return _held(cast, "3, -4")


@scenario()
def advisory_locks_shared(cast: Cast) -> Truth:
    one, other, waiter, queued = cast.sessions("one", "other", "waiter", "queued")
    for sharer in (one, other):
        sharer.execute("SELECT pg_advisory_lock_shared(1)")
    cast.waits(waiter, "SELECT pg_advisory_xact_lock(1)")
    cast.waits(queued, "SELECT pg_advisory_lock_shared(1)")
    words = "advisory lock 1"
    return Truth(
        (hard("waiter", "one", words), hard("waiter", "other", words), soft("queued", "waiter", words)),
        roots={"one": 2, "other": 2},
    )


@scenario()
def advisory_lock_upgraded(cast: Cast) -> Truth:
    stays, upgrades = cast.sessions("stays", "upgrades")
    for sharer in (stays, upgrades):
        sharer.execute("SELECT pg_advisory_lock_shared(1)")
    cast.waits(upgrades, "SELECT pg_advisory_lock(1)")
    return Truth((hard("upgrades", "stays", "advisory lock 1"),), roots={"stays": 1})


@scenario()
def named_lock_of_two_tests(cast: Cast) -> Truth:
    """The holder's statement is another one by now: the waiter's tells the name."""
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute("SELECT pg_advisory_lock(1885828980, hashtext('lock:shop/mail'))")
    holder.execute("SELECT 'lock:something-else'")
    cast.waits(waiter, "SELECT pg_advisory_lock(1885828980, hashtext('lock:shop/mail'))")
    return Truth(
        (hard("waiter", "holder", "named lock shop/mail"),),
        roots={"holder": 1},
        causes={"holder": "named_lock"},
    )


@scenario()
def named_lock_whose_name_no_statement_tells(cast: Cast) -> Truth:
    holder, waiter = cast.sessions("holder", "waiter")
    holder.execute("SELECT pg_advisory_lock(1885828980, hashtext(concat('lock:', 'mail')))")
    cast.waits(waiter, "SELECT pg_advisory_lock(1885828980, hashtext('lock:' || 'mail'))")
    return Truth(
        (hard("waiter", "holder", "advisory lock (1885828980, -1465750807)"),),
        roots={"holder": 1},
        causes={"holder": "advisory_lock"},
    )


@scenario()
def advisory_key_of_another_database(cast: Cast) -> Truth:
    elsewhere = cast.session("elsewhere", database=cast.another_database())
    holder, waiter = cast.sessions("holder", "waiter")
    for session in (elsewhere, holder):
        session.execute("SELECT pg_advisory_lock(7)")
    cast.waits(waiter, "SELECT pg_advisory_lock(7)")
    return Truth(
        (hard("waiter", "holder", "advisory lock 7"),), roots={"holder": 1}, innocents=("elsewhere",)
    )


@scenario()
def advisory_bigint_and_pair_of_the_same_bits(cast: Cast) -> Truth:
    pair, holder, waiter = cast.sessions("pair", "holder", "waiter")
    pair.execute("SELECT pg_advisory_lock(0, 7)")
    holder.execute("SELECT pg_advisory_lock(7)")
    cast.waits(waiter, "SELECT pg_advisory_lock(7)")
    return Truth((hard("waiter", "holder", "advisory lock 7"),), roots={"holder": 1}, innocents=("pair",))


@scenario()
def two_advisory_locks_of_one_session(cast: Cast) -> Truth:
    holder = cast.session("holder", autocommit=True)
    holder.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")
    for waiter, key in zip(cast.sessions("first", "second"), (1, 2), strict=True):
        cast.waits(waiter, f"SELECT pg_advisory_lock({key})")
    return Truth(
        (hard("first", "holder", "advisory lock 1"), hard("second", "holder", "advisory lock 2")),
        roots={"holder": 2},
        causes={"holder": "advisory_lock"},
        said={"holder": ("; 1 more waits for other locks it holds.",)},
        unsaid={"holder": ("and 1 more wait",)},
    )
