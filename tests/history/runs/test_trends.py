from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.history.runs.builds import Builds, Window
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.history.runs.strings import Sought, packed, unpacked
from pgwatch_tests.history.runs.trend_model import DeadlockTrend, FlakyTrend, PairTrend, Sightings, Trends
from pgwatch_tests.history.store import Store
from pgwatch_tests.record.run_summary import RunSummary
from pgwatch_tests.settings.load import Dsn
from tests.history.histories import settings
from tests.history.runs.summaries import NOW, deadlock, facts, leak, outcome, pair, server, summary

MONTH = NOW - timedelta(days=30)


def trends(place: Path | Dsn, runs: Sequence[RunSummary], test: str = "", branch: str = "") -> Trends:
    """The trends of the last thirty days, after these runs were added."""
    store = RunStore.open(settings(place))
    for one in runs:
        assert store.add(one) == "added"
    return store.trends(MONTH, test, branch)


def test_the_pair_that_is_in_each_others_way(place: Path | Dsn) -> None:
    """Shards of one server see the same waits; attempts of a CI run are one build."""
    waits = [pair("a", "b", 4.0, 2)]
    tests = [outcome("a"), outcome("b")]
    seen = trends(
        place,
        [
            summary(facts(980), tests=tests),
            summary(facts(981), tests=tests),
            summary(facts(990, ci_run="7", shard="1/2"), waits, tests=tests),
            summary(facts(990, ci_run="7", shard="2/2"), [pair("a", "b", 3.5)]),
            summary(facts(990, ci_run="7", shard="1/2", attempt=2), waits),
            # Another server, and its waits.
            summary(facts(992), [pair("a", "b", 1.0, cause="same_key"), pair("c", "d")], servers=[server(2)]),
            summary(facts(993), watched_s=0.0),
            summary(facts(994)),
            summary(facts(995, repository="acme/other"), waits),
            summary(facts(996, branch="other"), [pair("c", "d")]),
        ],
    )

    assert (seen.builds, seen.runs, seen.watched_builds, seen.told_builds) == (8, 10, 7, 3)
    sightings = Sightings(
        "main", False, f"{990:040x}", facts(990).began, 2, 2, f"{992:040x}", facts(992).began, 1
    )
    assert [replace(one, sightings=sightings) for one in seen.pairs] == [
        PairTrend("acme/shop", "a", "b", 2, 9.0, 5, 3.5, "rows of bookings", "same_row", sightings),
        PairTrend("acme/shop", "c", "d", 2, 4.0, 2, 2.0, "rows of bookings", "same_row", sightings),
    ]
    assert seen.pairs[0].sightings == sightings
    # As many builds on either branch: the later one's.
    assert (seen.pairs[1].sightings.branch, seen.pairs[1].sightings.builds_before) == ("other", 0)
    assert [(one.blocker, one.waiters, one.builds) for one in seen.blockers] == [("a", 1, 2), ("c", 1, 2)]
    assert seen.more_pairs == 0


def test_a_trend_is_of_one_moment(place: Path | Dsn) -> None:
    """Runs that are added while a trend is read belong to the next one."""
    runs = RunStore.open(settings(place))
    runs.add(summary(facts(990), [pair("a", "b")]))
    store = Store(place)
    with store.reading() as connection:
        builds = Builds(connection, Window(MONTH))
        runs.add(summary(facts(991), [pair("a", "b")]))
        assert (len(builds.counted), builds.counts().runs) == (1, 1)
    assert [one.builds for one in runs.trends(MONTH).pairs] == [2]


def test_tests_of_one_name_in_two_repositories(place: Path | Dsn) -> None:
    """They are different tests; and shards of one server in one of the repositories count once."""
    waits, left = [pair("a", "b", 4.0, 2)], [leak("a", 3)]
    tests, failed = [outcome("a"), outcome("b")], [outcome("a"), outcome("b", "failed")]
    shop, bank = "acme/shop", "acme/bank"
    runs = [
        summary(facts(one, repository=repository, commit="c1"), waits, left, failed if one % 2 else tests)
        for one, repository in ((980, shop), (981, shop), (982, bank), (983, bank))
    ]
    both = [replace(facts(980 + one, repository="acme/bank"), ci_run="7", shard=f"{one}/2") for one in (1, 2)]
    seen = trends(place, [*runs, *(summary(one, waits, left) for one in both)])

    assert [(one.repository, one.builds, one.blocked_s, one.waits) for one in seen.pairs] == [
        ("acme/bank", 3, 12.0, 6),
        ("acme/shop", 2, 8.0, 4),
    ]
    assert [(one.repository, one.builds, one.rows) for one in seen.leaks] == [
        ("acme/bank", 3, 9),
        ("acme/shop", 2, 6),
    ]
    assert [
        (one.test, one.failed_builds, one.blocked_when_failed, one.passed_builds, one.blocked_when_passed)
        for one in seen.flaky
    ] == [("b", 1, 1, 1, 1), ("b", 1, 1, 1, 1)]
    assert {one.repository for one in seen.flaky} == {"acme/shop", "acme/bank"}


def test_what_was_there_before_is_not_new(place: Path | Dsn) -> None:
    old = summary(facts(1, days_ago=3), [pair("a", "b")], [leak("a")])
    runs = [old, *(summary(facts(number), [pair("a", "b")], [leak("a")]) for number in (998, 999))]
    seen = trends(place, runs)

    (waits,) = seen.pairs
    (left,) = seen.leaks
    assert (waits.builds, waits.sightings.is_older, left.sightings.is_older) == (2, True, True)
    assert waits.sightings.first_commit == f"{998:040x}"


def test_what_tests_leave(place: Path | Dsn) -> None:
    unsure = replace(leak("b"), confidence="1 of N", candidates=("b", "c"))
    schema = "test_1764400000000_4711_ab1"
    seen = trends(
        place,
        [
            summary(facts(990), [], [leak("a", 2), leak("", 1, "schema", schema), unsure]),
            summary(facts(991), [], [leak("a", 5), leak("", 1, "schema", schema.replace("4", "5")), unsure]),
            summary(facts(992), [], [leak("once")]),
        ],
    )
    assert [(one.test, one.kind, one.name, one.builds, one.rows) for one in seen.leaks] == [
        ("a", "rows", "public.users", 2, 7),
        ("", "rows", "public.users", 2, 6),
        ("", "schema", "test_*_*_*", 2, 2),
    ]


def test_flaky_tests_and_who_blocked_them(place: Path | Dsn) -> None:
    waits = [pair("a", "b")]
    failed, passed = [outcome("b", "failed"), outcome("a")], [outcome("b"), outcome("a")]
    seen = trends(
        place,
        [
            # Both in attempts of one CI run, and in two runs of one commit.
            summary(facts(980, ci_run="7"), waits, tests=failed),
            summary(facts(980, ci_run="7", attempt=2), tests=passed),
            summary(facts(981, commit="c1"), waits, tests=failed),
            summary(facts(982, commit="c1"), waits, tests=passed),
            summary(facts(983), tests=passed),
            # Not watched: it counts for neither.
            summary(facts(984), tests=failed, watched_s=0.0),
            summary(facts(985), tests=[outcome("f", "flaky"), outcome("always", "failed")]),
            summary(facts(986), tests=[outcome("always", "failed"), outcome("off", "skipped")]),
        ],
    )
    assert seen.flaky == (
        FlakyTrend("acme/shop", "b", 2, 2, 2, 3, 1, ("a",), "it was late", facts(984).began),
        FlakyTrend("acme/shop", "f", 1, 1, 0, 0, 0, (), "it was late", facts(985).began),
    )


def test_commits_that_are_not_known_are_not_one(place: Path | Dsn) -> None:
    nameless = [replace(facts(number), commit="") for number in (990, 991)]
    runs = [summary(nameless[0], tests=[outcome("b", "failed")]), summary(nameless[1], tests=[outcome("b")])]
    assert trends(place, runs).flaky == ()


def test_deadlocks_count_from_the_first_one(place: Path | Dsn) -> None:
    seen = trends(
        place,
        [
            summary(facts(990), deadlocks=[deadlock("a", "b"), deadlock("b", "a"), deadlock("c", "d")]),
            summary(facts(991), deadlocks=[deadlock("b", "a")]),
        ],
    )
    assert seen.deadlocks == (
        DeadlockTrend("acme/shop", ("a", "b"), 2, ("rows of users",), facts(991).began),
        DeadlockTrend("acme/shop", ("c", "d"), 1, ("rows of users",), facts(990).began),
    )


@pytest.mark.parametrize(
    ("pattern", "blockers"),
    [
        ("book", ["t.py::test_Books[x]", "t.py::test_a%b"]),
        ("*::test_books[*]", ["t.py::test_Books[x]"]),
        ("*test?books*", ["t.py::test_Books[x]"]),
        ("a%b", ["t.py::test_a%b"]),
        ("test_a_b", []),
        ("nothing", []),
    ],
)
def test_of_named_tests_once_is_enough(tmp_path: Path, pattern: str, blockers: list[str]) -> None:
    place = tmp_path / "history.sqlite3"
    runs = [
        summary(
            facts(990),
            [pair("t.py::test_Books[x]", "w"), pair("t.py::test_a%b", "t.py::books"), pair("x", "y")],
        )
    ]
    seen = trends(place, runs, pattern)
    assert [one.blocker for one in seen.pairs] == blockers


def test_one_branch_only(place: Path | Dsn) -> None:
    runs = [
        summary(
            facts(number, branch="main" if number % 2 else "x"),
            [pair("a", "b")],
            deadlocks=[deadlock("a", "b")],
        )
        for number in range(990, 996)
    ]
    seen = trends(place, runs, branch="x")
    assert (seen.builds, seen.pairs[0].builds, seen.pairs[0].sightings.branch) == (3, 3, "x")
    assert seen.deadlocks[0].builds == 3
    nothing = trends(place, [], branch="none")
    assert (nothing.builds, nothing.pairs, nothing.flaky, nothing.deadlocks) == (0, (), (), ())


def test_the_heaviest_of_those_in_as_many_builds_come_first(place: Path | Dsn) -> None:
    """Who is left out is told by blocked time, not by chance; all are counted."""
    waits = [pair("a", "b", 1.0), pair("c", "d", 3.0), pair("e", "f", 2.0)]
    store = RunStore.open(settings(place))
    for number in (990, 991):
        assert store.add(summary(facts(number), waits, [leak("a"), leak("c", 5), leak("e", 9)])) == "added"

    seen = store.trends(MONTH, most=2)

    assert [(one.blocker, one.builds) for one in seen.pairs] == [("c", 2), ("e", 2)]
    assert [one.blocker for one in seen.blockers] == ["c", "e"]
    assert [one.test for one in seen.leaks] == ["e", "c"]
    assert (seen.more_pairs, seen.more_leaks) == (1, 1)


def test_sets_of_tests_are_packed_and_searched() -> None:
    numbers = {1, 1023, 1024, 70_000, 2**31 + 5}
    packed_set = packed(numbers)
    assert sorted(Sought([*numbers, 2, 1025, 2**31]).among(packed_set)) == sorted(numbers)
    assert unpacked(packed_set) == sorted(numbers)
    assert (Sought([1]).among(packed([])), unpacked(packed([]))) == ([], [])
    for damaged in (b"no zlib", zlib.compress(b"no page")):
        with pytest.raises(ValueError, match=r"."):
            Sought([1]).among(damaged)
