"""Recordings matched with a list of servers: totals of each, what is missing, and parts put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.fleet.shards import Shard, shard_of
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.merging.recorded_fleet import (
    ListedServer,
    RecordedFleet,
    of_list,
    put_together,
    recorded_fleet,
)
from pgwatch_tests.record.model import LeakEvent, Mark
from pgwatch_tests.reports.runs import recorded_fleet as reports
from tests.record.made_events import at, deadlock, facts, run, server, side, wait

NAMES = tuple(f"ci-{number}" for number in range(1, 10))


def recorded(name: str, number: int = 1, part: str = "") -> RecordedRun:
    """A recording of `record --servers`, of a server of its own."""
    pair = side(11, "t.py::test_waits"), side(12, "t.py::test_blocks")
    one = run(
        f"{name}.pgwatch",
        [wait(3.0, 2.0 * number, *pair)],
        servers=[server(started=-60.0 - number, system=str(7000 + number))],
    )
    return replace(one, fleet_server=name, fleet_part=part)


def fleet(runs: Sequence[RecordedRun], names: Sequence[str], shard: Shard | None = None) -> RecordedFleet:
    by_server, _ = of_list(runs, [ListedServer(name, f"{name}:5432") for name in names])
    return recorded_fleet(by_server, shard=shard)


def test_recordings_are_known_by_the_name_of_their_server_else_by_its_address() -> None:
    listed = [
        *(ListedServer(f"a-{database}", "127.0.0.1:5432", database) for database in ("other", "test_app")),
        ListedServer("b", "10.0.0.1:5432"),
    ]
    named, by_address = recorded("b"), run("results")
    stranger = replace(run("x"), servers=(replace(server(), address="10.9.9.9:5432"),))

    by_server, others = of_list([named, by_address, stranger, recorded("gone")], listed)

    assert {name: [one.name for one in runs] for name, runs in by_server.items()} == {
        "a-other": [],
        "a-test_app": ["results"],
        "b": ["b.pgwatch"],
    }
    assert [one.name for one in others] == ["x", "gone.pgwatch"]


def test_totals_of_each_server_and_what_is_missing() -> None:
    refused = "cannot connect (servers.ci-3 in pyproject.toml): Connection refused"
    dead = RecordedRun("ci-3.pgwatch", marks=(Mark(at(1), "server_lost", refused),), fleet_server="ci-3")
    killed = replace(
        run("shard", deadlocks=[deadlock(5.0, side(1), side(2))], facts=replace(facts("a"), signal=9)),
        servers=(replace(server(), address="ci-2:5432"),),
        leaks=(LeakEvent("rows", "t", 8, "", "unknown"), LeakEvent("schema", "s", 1, "", "unknown")),
        leaks_checked=True,
        not_checked=("One table wasn't read.",),
    )

    found = fleet([recorded("ci-1"), dead, killed], NAMES[:4])

    first, second = found.servers
    assert (first.name, first.blocked_s, first.waits, first.leaks_checked) == ("ci-1", 2.0, 1, False)
    assert [(one.blocker, one.waiter) for one in first.pairs] == [("t.py::test_blocks", "t.py::test_waits")]
    assert (second.name, second.deadlocks, second.cut_off) == ("ci-2", 1, 1)
    assert (second.leaked_rows, second.leftovers, second.leaks_checked) == (8, 1, True)
    assert [(one.server, one.reason) for one in found.not_recorded] == [
        ("ci-3", "cannot connect: Connection refused"),
        ("ci-4", "left no recording"),
    ]
    assert found.not_checked == ("ci-2: One table wasn't read.",)
    assert reports.summary(found) == (
        "1 deadlock, 1 run cut off, 8 leaked rows, 1 other leftover, 2.0 s blocked in 1 wait on 2 servers; "
        "leaks not checked on 1 server; 2 servers not recorded"
    )
    assert reports.summary(fleet([recorded("ci-1"), replace(recorded("ci-2"), waits=())], NAMES[:2])) == (
        "2.0 s blocked in 1 wait on 1 of 2 servers; leaks not checked on 2 servers"
    )


def test_a_part_of_the_list_that_left_nothing_is_named() -> None:
    there = [
        recorded(name, part=f"{shard_of(name, 3)}/3")
        for name in NAMES
        if shard_of(name, 3) != 2 and name != "ci-1"
    ]
    lost = [name for name in NAMES if shard_of(name, 3) == 2]
    assert lost
    assert "ci-1" not in lost

    reasons = {one.server: one.reason for one in fleet(there, NAMES).not_recorded}

    assert reasons == {"ci-1": "left no recording"} | dict.fromkeys(lost, "part 2/3 left no recording")


def test_parts_are_put_together_and_missing_ones_named() -> None:
    def part(number: int) -> RecordedFleet:
        names = [name for name in NAMES if shard_of(name, 3) == number]
        return fleet([recorded(name, place) for place, name in enumerate(names, 1)], names, Shard(number, 3))

    whole = put_together([part(1), part(3), part(2), part(1)], NAMES)
    assert [one.name for one in whole.servers] == [*NAMES]
    assert (whole.not_recorded, whole.shard, whole.until) == ((), "", at(100.0))
    known = put_together([part(1), part(3)], NAMES)
    lost = [name for name in NAMES if shard_of(name, 3) == 2]
    assert [(one.server, one.reason) for one in known.not_recorded] == [
        (name, "part 2/3 hasn't reported") for name in lost
    ]
    unknown = put_together([part(1), part(3)])
    assert [one.server for one in unknown.not_recorded] == ["part 2/3"]
    with pytest.raises(ConfigurationError, match="parts of one division are needed"):
        put_together([part(1), fleet([], [], Shard(1, 2))])


def test_two_hundred_servers_are_a_screen() -> None:
    names = [f"a-rather-long-name-of-a-server-{number}" for number in range(200)]
    runs = [recorded(name, number % 7 + 1) for number, name in enumerate(names[:190])]
    found = fleet([replace(one, unwatched_s=1.0) for one in runs], names)

    lines = reports.table(found).split("\n")

    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    ending = " ".join("\n".join(lines[-6:]).split())
    assert (
        "blocked in 190 waits on 190 servers; leaks not checked on 190 servers; 10 servers not recorded"
        in ending
    )
    assert found.until == datetime(2026, 3, 4, 5, 7, 47, tzinfo=UTC)
    assert reports.table(found, 3).count(" ?\n") == 191
    assert "| all 190 servers |" in reports.markdown(found, 3)
