"""Shards of a list of servers: all together are the list, and stay so when it grows."""

from __future__ import annotations

import pytest

from pgwatch_tests.fleet.shards import Shard, parse_shard, shard_of, share

NAMES = [f"ci-{number}" for number in range(1000)]


def test_every_server_is_in_one_shard_and_none_is_much_larger() -> None:
    parts = [share(NAMES, Shard(number, 8)) for number in range(1, 9)]

    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert all(95 <= len(part) <= 155 for part in parts), [len(part) for part in parts]
    assert parts[0] == tuple(name for name in NAMES if name in parts[0]), "in the order of the list"
    assert share(["one"], Shard(shard_of("one", 3), 3)) == ("one",)


def test_a_server_that_comes_moves_no_other_and_a_shard_takes_only_its_own() -> None:
    before = {name: shard_of(name, 8) for name in NAMES}

    assert {
        name: shard_of(name, 8) for name in [*NAMES[:500], "new", *NAMES[500:]] if name != "new"
    } == before
    moved = {name for name in NAMES if shard_of(name, 9) != before[name]}
    assert {shard_of(name, 9) for name in moved} == {9}
    assert 70 <= len(moved) <= 150
    # What machines of other versions compute.
    assert [shard_of(name, 8) for name in NAMES[:8]] == [int(digit) for digit in "63346341"]


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", "1.5/3", "01/3"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a part such as 2/8"):
        parse_shard(text)
    assert str(parse_shard(" 2/8 ")) == "2/8"
