from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.leaks.attribution.rows_by_test import TestLeak, by_test
from pgwatch_tests.leaks.model import Attribution, LeakReport, TableLeak
from pgwatch_tests.tui.answers.leak_trend import LeakTrend

START = datetime(2026, 1, 1, tzinfo=UTC)


def leak(table: str, *attribution: Attribution) -> TableLeak:
    rows = sum(one.rows for one in attribution)
    return TableLeak("public", table, "table", ("c",), rows, attribution=attribution)


def test_rows_of_a_test_in_all_tables_guesses_apart() -> None:
    tables = (
        leak("a", Attribution("t::x", "marker", 1), Attribution("", "unknown", 9)),
        leak("b", Attribution("t::x", "marker", 3), Attribution("t::x", "1 of N", 2)),
    )

    assert by_test(tables) == (
        TestLeak("t::x", "marker", 4, (("public.b", 3), ("public.a", 1))),
        TestLeak("t::x", "1 of N", 2, (("public.b", 2),)),
        TestLeak("", "unknown", 9, (("public.a", 9),)),
    )


def test_without_attribution_there_are_no_tests() -> None:
    assert by_test((TableLeak("public", "a", "table", ("c",), 5),)) == ()


def report(total: int, after_s: float) -> LeakReport:
    tables = (TableLeak("public", "t", "table", ("c",), total),) if total else ()
    return LeakReport(START + timedelta(seconds=after_s), "18.1", "app", ("m",), 1, tables, (), 0.1)


def test_a_trend_is_even_in_time() -> None:
    trend = LeakTrend()
    assert (trend.since, trend.most, trend.over_time(10)) == (None, 0, [])
    for total, after_s in ((0, 0.0), (7, 10.0), (2, 11.0), (0, 40.0)):
        trend.add(report(total, after_s))

    assert (trend.since, trend.most) == (START, 7)
    # Spans of 10 s: a count holds until the next one.
    assert trend.over_time(10) == [0, 7, 2, 0]
    assert trend.over_time(2) == [7, 0]
    assert trend.over_time(0) == []


def test_counts_at_one_moment_are_one() -> None:
    trend = LeakTrend()
    trend.add(report(3, 0.0))
    trend.add(report(4, 0.0))
    assert trend.over_time(5) == [4]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=2500), st.integers(1, 200))
def test_a_long_trend_keeps_its_first_moment_its_highest_and_its_last(totals: list[int], slots: int) -> None:
    trend = LeakTrend()
    for place, total in enumerate(totals):
        trend.add(report(total, place * 5.0))
    shown = trend.over_time(slots)

    assert trend.since == START
    assert trend.most == max(totals)
    assert len(shown) <= slots
    assert max(shown) == max(totals)
    assert shown[-1] >= totals[-1]
