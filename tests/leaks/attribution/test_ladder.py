"""The ladder, against made-up histories whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.identity.application_name import compose, digest
from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.identity.value_tokens import token
from pgwatch_tests.leaks.attribution.ladder import (
    MOST_NAMED,
    AttributionLadder,
    RowOrigin,
    RowVerdict,
    RunsByTime,
    full_xid,
)
from pgwatch_tests.leaks.attribution.test_runs import ClockOffset, DatabaseIdentity, TestRun, Written
from pgwatch_tests.leaks.attribution.transaction_log import LogFile

HERE = DatabaseIdentity("7", 5, "app_test")
SECOND = 1_000_000
BEGIN = 1_717_171_717 * SECOND
USERS, BOOKINGS = 100, 200
CLOCK = ClockOffset(0, 100)


def run(test: str, began_s: float, ended_s: float | None, *transactions: Written) -> TestRun:
    """A run of a test, in seconds after BEGIN."""
    end = None if ended_s is None else BEGIN + round(ended_s * SECOND)
    return TestRun(test, "gw0", BEGIN + round(began_s * SECOND), end, "passed", transactions, CLOCK)


def wrote(xid: int, at_s: float, inserted: Sequence[int] = (USERS,), changed: Sequence[int] = ()) -> Written:
    return Written(xid, BEGIN + round(at_s * SECOND), frozenset(inserted), frozenset(changed))


def ladder(*runs: TestRun, **commit_times: int) -> AttributionLadder:
    known = KnownTests(one.test for one in runs)
    times = {int(xid[1:]): time for xid, time in commit_times.items()}
    return AttributionLadder([LogFile("1", HERE, runs)], HERE, known, times)


def stamp(at_s: float) -> str:
    return str((BEGIN + round(at_s * SECOND)) // 1000)


A = run("a", 0, 1, wrote(700, 0.5))
B = run("b", 2, 3, wrote(701, 2.5, (USERS,), (USERS,)), wrote(702, 2.6, (), (USERS,)))


def test_the_hash_beats_who_wrote_the_row() -> None:
    judged = ladder(A, B).judge(RowOrigin(USERS, (f"{stamp(2.5)}-{token('a')}",), xid=701))

    assert judged == RowVerdict("marker", ("a",))


def test_an_unknown_hash_is_shown_and_names_nobody() -> None:
    judged = ladder(A).judge(RowOrigin(USERS, (f"{stamp(0.5)}_t1a2b3c4d",), xid=700))

    assert judged == RowVerdict("unknown", (), "#1a2b3c4d: a hash of no known test")


def test_two_hashes_in_a_row() -> None:
    tokens = (f"{stamp(0)}-{token('a')}", f"{stamp(0)}-{token('b')}")

    assert ladder(A, B).judge(RowOrigin(USERS, tokens)) == RowVerdict("1 of N", ("a", "b"))


def test_tests_with_the_same_hash() -> None:
    # Found by trying: 32 bits collide among some 100,000 names.
    seen: dict[str, str] = {}
    for number in range(1_000_000):
        name = f"test_{number}"
        other = seen.setdefault(digest(name), name)
        if other != name:
            break
    twins = AttributionLadder([], HERE, KnownTests([name, other]))

    judged = twins.judge(RowOrigin(USERS, (f"{stamp(0)}-{token(name)}",)))

    assert judged == RowVerdict("1 of N", tuple(sorted((name, other))))


def test_hashes_of_sessions_seen() -> None:
    long = "tests/" + "deep/" * 20 + "test_it.py::test_name"
    names = [compose("pytest", "gw0", long), "psql", "pytest:gw0 short"]

    known = KnownTests((), names)

    (shortened,) = known.with_digest(digest(long))
    assert shortened.startswith("..")
    assert shortened.endswith("test_name")
    assert set(known.with_digest(digest("short"))) == {"short"}
    assert set(KnownTests([long], names).with_digest(digest(long))) == {long}


def test_what_a_transaction_inserted_is_its_tests() -> None:
    assert ladder(A, B).judge(RowOrigin(USERS, xid=700)) == RowVerdict("transaction", ("a",))
    # Whatever the value says of the time: it may have been made before the test.
    assert ladder(A, B).judge(RowOrigin(USERS, (stamp(2.5),), xid=700)) == RowVerdict("transaction", ("a",))


def test_who_only_updated_a_row_isnt_accused() -> None:
    judge = ladder(A, B).judge

    assert judge(RowOrigin(USERS, (stamp(0.5),), xid=702)) == RowVerdict("1 of N", ("a",))
    assert judge(RowOrigin(USERS, (stamp(1.5),), xid=702)).confidence == "unknown"
    assert judge(RowOrigin(USERS, xid=702)).confidence == "unknown"


def test_who_may_have_inserted_or_updated_a_row_is_one_of_several() -> None:
    judge = ladder(A, B).judge

    assert judge(RowOrigin(USERS, (stamp(0.5),), xid=701)) == RowVerdict("1 of N", ("a", "b"))
    assert judge(RowOrigin(USERS, (stamp(2.5),), xid=701)) == RowVerdict("1 of N", ("b",))
    assert judge(RowOrigin(USERS, (stamp(1.5),), xid=701)).confidence == "unknown"
    assert judge(RowOrigin(USERS, xid=701)).confidence == "unknown"
    # An update may have set created_at to the transaction's now().
    assert judge(RowOrigin(USERS, created_us=BEGIN + 5 * SECOND // 2, xid=701)) == RowVerdict(
        "1 of N", ("b",)
    )


def test_a_transaction_that_never_wrote_into_the_table_is_another_of_that_id() -> None:
    assert ladder(A).judge(RowOrigin(BOOKINGS, xid=700)).confidence == "unknown"


def test_a_transaction_that_began_after_the_row_was_committed_is_another_of_that_id() -> None:
    row = RowOrigin(USERS, xid=700, committed_us=BEGIN)

    assert ladder(A).judge(row).confidence == "unknown"
    assert ladder(A).judge(replace(row, committed_us=BEGIN + SECOND)).confidence == "transaction"


def test_a_transaction_that_two_tests_shared_is_neithers_for_sure() -> None:
    both = ladder(run("a", 0, 1, wrote(700, 0.5)), run("b", 0, 1, wrote(700, 0.5)))

    assert both.judge(RowOrigin(USERS, xid=700)).confidence == "unknown"
    assert both.judge(RowOrigin(USERS, (stamp(0.5),), xid=700)) == RowVerdict("1 of N", ("a", "b"))


def test_a_subtransaction_is_found_by_the_time_it_was_committed() -> None:
    committed = BEGIN + 6 * SECOND // 10
    row = RowOrigin(USERS, xid=705, committed_us=committed)

    assert ladder(A, x700=committed).judge(row) == RowVerdict("transaction", ("a",))
    assert ladder(A).judge(row).confidence == "unknown"
    assert ladder(A, x700=committed + 1).judge(row).confidence == "unknown"
    # Earlier than the top one, or in a table that it didn't write into: somebody else's, of the same µs.
    assert ladder(A, x700=committed).judge(replace(row, xid=699)).confidence == "unknown"
    assert ladder(A, x700=committed).judge(replace(row, table_oid=BOOKINGS)).confidence == "unknown"
    twice = ladder(A, run("c", 0, 1, wrote(703, 0.5)), x700=committed, x703=committed)
    assert twice.judge(row).confidence == "unknown"


def test_who_may_have_rows_in_tables_that_nobody_looked_at_is_a_suspect() -> None:
    one = run("a", 0, 1, replace(wrote(700, 0.5), is_complete=False))
    row = RowOrigin(BOOKINGS, (stamp(2.5),), xid=700)

    assert ladder(one, B).judge(row) == RowVerdict("1 of N", ("a", "b"))


def test_a_fixture_is_a_suspect_only_if_its_ids_arent_all_known() -> None:
    fixture = replace(run("fixture c", 0, 9, wrote(709, 0.1)), is_fixture=True)
    row = RowOrigin(USERS, (stamp(0.5),), xid=720)

    assert ladder(A, fixture).judge(row) == RowVerdict("1 of N", ("a",))
    assert ladder(A, fixture).judge(RowOrigin(USERS, xid=709)) == RowVerdict("transaction", ("fixture c",))
    unknown = replace(fixture, unknown=2)
    assert ladder(A, unknown).judge(row) == RowVerdict("1 of N", ("fixture c", "a"))
    assert "(2 commits didn't tell all ids)" in ladder(A, unknown).judge(RowOrigin(USERS, xid=720)).detail


def in_autocommit(test: str, began_s: float, ended_s: float, *xids: int, commits: int = 1) -> TestRun:
    """A run whose commits have no known ids, and may have left these in rows of USERS."""
    return replace(
        run(test, began_s, ended_s),
        unknown=commits,
        unknown_ways=frozenset({"autocommit"}),
        may_write=frozenset({USERS}),
        perhaps=frozenset((USERS, xid) for xid in xids),
    )


WHY = "autocommit writes have no transaction to tell by"


def test_who_wrote_nothing_to_the_table_is_no_suspect() -> None:
    sleeps = replace(run("sleeps", 0, 1), may_write=frozenset())
    other = replace(in_autocommit("other", 0, 1), may_write=frozenset({BOOKINGS}))
    writes = in_autocommit("writes", 0, 1)
    row = RowOrigin(USERS, created_us=BEGIN + SECOND // 2, xid=720)

    assert ladder(sleeps, other, writes).judge(row) == RowVerdict("1 of N", ("writes",), WHY)
    # Nothing is told of a test that was killed, nor in the log of an older version.
    killed = run("killed", 0, None)
    assert ladder(sleeps, writes, killed).judge(row).tests == ("writes", "killed")
    # If nobody's statements wrote it, it was another process: perhaps one that a test has started.
    assert ladder(sleeps, other).judge(row).tests == ("other", "sleeps")
    # Of two runs of a test, the other one may have written.
    assert ladder(sleeps, replace(writes, test="sleeps"), other).judge(row).tests == ("sleeps",)


def test_a_known_transaction_may_have_inserted_what_another_test_has_updated_since() -> None:
    inserts = replace(run("inserts", 0, 1, wrote(700, 0.5)), may_write=frozenset({USERS}))
    updates = in_autocommit("updates", 0, 1, 720)
    row = RowOrigin(USERS, created_us=BEGIN + SECOND // 2, xid=720)

    assert ladder(inserts, updates).judge(row).tests == ("updates", "inserts")
    # Where nothing is ever updated, the id in the row is the inserter's.
    assert ladder(inserts, updates).judge(replace(row, only_inserted=True)).tests == ("updates",)


def test_rows_in_autocommit_are_of_those_who_found_their_ids() -> None:
    """The plugin's verdicts and this name the same tests."""
    one, two = in_autocommit("one", 0, 1, 710, 711), in_autocommit("two", 0, 1, 711, 712, commits=3)
    row = RowOrigin(USERS, xid=710, only_inserted=True)

    assert ladder(one, two).judge(row) == RowVerdict("1 of N", ("one",), WHY)
    assert ladder(one, two).judge(replace(row, xid=711)) == RowVerdict("1 of N", ("two", "one"), WHY)
    at_once = replace(row, created_us=BEGIN + SECOND // 2)
    assert ladder(one, two).judge(at_once).tests == ("one",)
    assert ladder(one, two, run("killed", 0, None)).judge(at_once).tests == ("one", "killed")
    assert ladder(one, two, run("killed", 5, None)).judge(at_once).tests == ("one",)
    assert ladder(one, two, run("killed", 5, None)).judge(row).tests == ("one", "killed")
    elsewhere = ladder(one, two).judge(replace(row, table_oid=BOOKINGS))
    assert elsewhere.confidence == "unknown"
    assert f"4 commits didn't tell all ids: {WHY}" in elsewhere.detail


def test_counters_that_were_off_prove_nothing() -> None:
    off = ladder(run("a", 0, 1, Written(700)))

    assert off.judge(RowOrigin(USERS, xid=700)).confidence == "unknown"
    assert off.judge(RowOrigin(USERS, (stamp(0.5),), xid=700)) == RowVerdict("1 of N", ("a",))


def test_a_log_of_another_database_or_server_says_nothing_of_rows() -> None:
    row = RowOrigin(USERS, (stamp(0.5),), xid=700)
    for other in (replace(HERE, oid=6), replace(HERE, system_identifier="8")):
        judged = AttributionLadder([LogFile("1", other, (A,))], HERE, KnownTests(["a"])).judge(row)
        assert judged == RowVerdict("unknown", (), "the transaction logs belong to other databases")
    nameless = replace(HERE, system_identifier="")
    assert AttributionLadder([LogFile("1", nameless, (A,))], nameless, KnownTests()).judge(row).tests == ()
    assert AttributionLadder([LogFile("1", HERE, (A,))], None, KnownTests()).judge(row).tests == ()


@pytest.mark.parametrize("damaged", [LogFile("2", None, (), 1), LogFile("2", HERE, (B,), 1)])
def test_nobody_is_suspected_by_time_if_tests_may_be_missing(damaged: LogFile) -> None:
    half = AttributionLadder([LogFile("1", HERE, (A,)), damaged], HERE, KnownTests(["a"]))

    judged = half.judge(RowOrigin(USERS, (stamp(0.5),)))
    assert (judged.confidence, "damaged" in judged.detail) == ("unknown", True)
    assert half.judge(RowOrigin(USERS, xid=700)) == RowVerdict("transaction", ("a",))


def test_more_tests_than_can_be_named() -> None:
    some = [run(f"t{number}", 0, 1) for number in range(MOST_NAMED + 1)]
    row = RowOrigin(USERS, (stamp(0.5),))

    assert ladder(*some).judge(row).confidence == "unknown"
    assert len(ladder(*some[1:]).judge(row).tests) == MOST_NAMED


def test_the_times_of_a_row_in_their_order() -> None:
    judge = ladder(run("a", 0, 1), run("b", 2, 3), run("c", 4, 5)).judge
    row = RowOrigin(USERS, (stamp(0.5),), BEGIN + 5 * SECOND // 2, None, BEGIN + 9 * SECOND // 2, True)

    assert judge(row).tests == ("a",)
    assert judge(replace(row, tokens=())).tests == ("b",)
    assert judge(replace(row, tokens=(), created_us=None)).tests == ("c",)
    # When a row was written last isn't when it came to be, unless nothing was ever updated.
    assert judge(replace(row, tokens=(), created_us=None, only_inserted=False)).tests == ()


def test_clocks_that_are_apart() -> None:
    ahead = ClockOffset(10 * SECOND, SECOND // 10)
    runs = RunsByTime(
        [replace(A, clock=ahead), replace(run("late", 10, 11), clock=ahead), replace(B, clock=None)]
    )

    assert runs.at_server_time(BEGIN + 21 * SECOND // 2) == {"a"}
    assert runs.at_server_time(BEGIN + 9_900_000) == {"a"}
    assert runs.at_server_time(BEGIN + 9_800_000) == set()
    # Not measured: two seconds either way.
    assert runs.at_server_time(BEGIN + 2 * SECOND // 10) == {"b"}
    assert runs.at_client_time(BEGIN, BEGIN) == {"a"}


def test_a_test_whose_worker_was_killed_may_have_run_on() -> None:
    killed = RunsByTime([run("killed", 0, None), run("next", 100, 101)])

    assert killed.at_client_time(BEGIN + 100 * SECOND, BEGIN + 100 * SECOND) == {"killed", "next"}
    assert killed.at_client_time(BEGIN - 1, BEGIN - 1) == set()
    assert killed.at_client_time(BEGIN + 90_000 * SECOND, BEGIN + 90_000 * SECOND) == set()


windows = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12)


@given(windows, st.integers(0, 55), st.integers(0, 5))
def test_windows_are_found_as_by_looking_at_all(
    pairs: list[tuple[int, int]], first: int, length: int
) -> None:
    runs = [TestRun(f"t{i}", "w", begin, end) for i, (begin, end) in enumerate(pairs)]

    found = RunsByTime(runs).at_client_time(first, first + length)

    assert found == {
        one.test
        for one in runs
        if one.ended_us is not None
        and min(one.began_us, one.ended_us) <= first + length
        and max(one.began_us, one.ended_us) >= first
    }


@given(st.integers(3, 2**63), st.integers(-(2**31) + 1, 2**31 - 1))
def test_transaction_ids_get_their_epoch_back(near: int, distance: int) -> None:
    full = near + distance
    if full >= 3 and full & 0xFFFFFFFF >= 3:
        assert full_xid(full & 0xFFFFFFFF, near) == full


def test_ids_that_stand_for_no_transaction() -> None:
    assert [full_xid(xmin, 2**33) for xmin in (0, 1, 2)] == [None] * 3
    assert full_xid(2**32 - 1, 5) is None
