"""The detail of a leak says from when on a sweep takes its rows, and which time counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pgwatch_tests.leaks.model import TableLeak
from pgwatch_tests.reports.leaks.leak_detail import table_detail
from pgwatch_tests.reports.render.detail_text import detail_lines
from pgwatch_tests.text.times import clock
from pgwatch_tests.text.toned_text import text_of
from tests.sweep.reports import AT

HOURS = timedelta(hours=3)
LEAK = TableLeak("public", "users", "table", ("email",), 12)


def sweep_line(leak: TableLeak, min_age_s: float | None = 600.0) -> str:
    """What the detail says of sweeps; empty if nothing."""
    lines = detail_lines(table_detail(leak, None, AT, str, min_age_s=min_age_s), 200)
    (found,) = [text_of(line) for line in lines if text_of(line).startswith("Sweep")] or [""]
    return found.removeprefix("Sweep").strip()


def test_the_latest_time_counts_whatever_the_age_in_the_row() -> None:
    committed, until = AT - timedelta(seconds=60), AT + timedelta(seconds=540)
    old = replace(LEAK, oldest=AT - HOURS, newest=AT - HOURS, committed=committed)
    assert sweep_line(old) == (
        f"from {clock(until)} on, 10 min after their last commit ({clock(committed)}): that counts, not the "
        "time in the row"
    )
    ages = [text_of(line) for line in detail_lines(table_detail(old, None, AT, str), 200)]
    [told] = [line for line in ages if "3 h: oldest " in line]
    assert told.endswith("; last committed 1 min ago")
    assert sweep_line(replace(old, newest=None, oldest=None)).endswith(f"({clock(committed)}): that counts")
    by_row = sweep_line(replace(LEAK, newest=committed))
    assert by_row == f"from {clock(until)} on, 10 min after the newest of them ({clock(committed)})"


def test_nothing_is_said_of_rows_that_go_now_or_where_nothing_is_swept() -> None:
    assert sweep_line(replace(LEAK, newest=AT - HOURS, committed=AT - HOURS)) == ""
    assert sweep_line(replace(LEAK, committed=AT), min_age_s=None) == ""
    assert sweep_line(replace(LEAK, committed=AT), min_age_s=0.0) == ""


@pytest.mark.parametrize("min_age_s", [600.0])
def test_an_unknown_age_is_told(min_age_s: float) -> None:
    assert sweep_line(LEAK, min_age_s).startswith("never by age")
