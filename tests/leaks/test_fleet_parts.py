"""Parts of a fleet's check, put together: what is missing is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.fleet.shards import Shard, shard_of, share
from pgwatch_tests.leaks.fleet_parts import put_together
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, NotChecked, TableLeak

AT = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = [f"ci-{number}" for number in range(1, 10)]
REPORT = LeakReport(AT, "18.1", "app", (), 1, (TableLeak("public", "t", "table", (), 2),), (), 0.1)


def part(number: int, of: int = 3, rows: int = 2) -> LeaksOfDatabases:
    servers = share(NAMES, Shard(number, of))
    leak = replace(REPORT.tables[0], rows=rows)
    return LeaksOfDatabases(
        AT + timedelta(minutes=number),
        tuple(replace(REPORT, server=name, tables=(leak,)) for name in servers[1:]),
        (NotChecked("", "gone", servers[0], 3),),
        float(number),
        servers,
        f"{number}/{of}",
    )


def test_all_parts_are_one_check() -> None:
    whole = put_together([part(2), part(1, rows=99), part(3), part(1)], NAMES)

    # Of a part that came twice, the later one.
    assert {report.total for report in whole.databases} == {2}
    assert (whole.checked_at, whole.duration_s, whole.shard) == (part(1).checked_at, 3.0, "")
    assert list(whole.servers) == NAMES
    assert [one.server for one in whole.databases] == [
        name for name in NAMES if name not in {part(number).servers[0] for number in (1, 2, 3)}
    ]
    assert [one.reason for one in whole.not_checked] == ["gone"] * 3
    assert put_together([replace(part(1), shard="")]).servers == part(1).servers
    assert sorted(put_together([part(1), part(2), part(3)]).servers) == NAMES


def test_what_is_missing_is_named() -> None:
    lost = {name for name in NAMES if shard_of(name, 3) == 2}

    known = put_together([part(1), part(3)], [*NAMES, "new"])
    unknown = put_together([part(1), part(3)])

    reasons = {one.server: one.reason for one in known.not_checked if one.reason != "gone"}
    own = shard_of("new", 3)
    new = "part 2/3 hasn't reported" if own == 2 else f"part {own}/3 reported without it"
    assert reasons == {**dict.fromkeys(lost, "part 2/3 hasn't reported"), "new": new}
    assert not known.complete
    assert [one for one in unknown.not_checked if one.reason != "gone"] == [
        NotChecked("", "part 2/3 hasn't reported", "part 2/3")
    ]


def test_parts_of_other_divisions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^parts of one division are needed, not of 3 and 4 parts$"):
        put_together([part(1), part(1, 4)])
