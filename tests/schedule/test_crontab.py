from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.job_settings import JobSetting
from pgwatch_tests.schedule.crontab import CrontabTrigger, trigger, when

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def times(line: str, begin: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    """The first times from `begin` (local) on, as APScheduler would come to them."""
    asked = CrontabTrigger(line, zone)
    previous: datetime | None = None
    now = datetime.fromisoformat(begin).replace(tzinfo=zone)
    found = []
    for _ in range(count):
        previous = asked.get_next_fire_time(previous, now)
        assert previous is not None
        now = previous
        found.append(previous.isoformat(timespec="minutes"))
    return found


def test_a_skipped_time_comes_once_an_hour_later_by_the_clock() -> None:
    assert times("30 2 * * *", "2026-03-28T12:00", 3) == [
        "2026-03-29T03:30+02:00",
        "2026-03-30T02:30+02:00",
        "2026-03-31T02:30+02:00",
    ]


def test_a_time_that_comes_twice_is_taken_once() -> None:
    assert times("30 2 * * *", "2026-10-24T12:00", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
        "2026-10-27T02:30+01:00",
    ]
    assert times("30 1 * * *", "2026-10-31T12:00", 2, NEW_YORK) == [
        "2026-11-01T01:30-04:00",
        "2026-11-02T01:30-05:00",
    ]


def test_hourly_jobs_go_by_real_hours() -> None:
    assert times("30 * * * *", "2026-03-29T01:00", 3) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:30+02:00",
        "2026-03-29T04:30+02:00",
    ]
    assert times("30 * * * *", "2026-10-25T02:00", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]


def test_skipped_and_next_time_fall_together() -> None:
    assert times("0 2,3 * * *", "2026-03-29T00:00", 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]


def test_intervals_know_no_change_of_clocks() -> None:
    asked = trigger(JobSetting("x", "x", every_s=900.0))
    time = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
    for _ in range(8):
        following = asked.get_next_fire_time(time, time)
        assert following - time == timedelta(minutes=15)
        time = following


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("0 0 * * 0", ["11-01", "11-08"]),  # Sundays
        ("0 0 * * 7", ["11-01", "11-08"]),
        ("0 0 * * sun", ["11-01", "11-08"]),
        ("0 0 * * 1-5", ["11-02", "11-03", "11-04", "11-05", "11-06", "11-09"]),
        ("0 0 * * MON-FRI/2", ["11-02", "11-04", "11-06", "11-09"]),
        ("0 0 * * 6-7", ["11-01", "11-07", "11-08"]),
        ("0 0 * * sat-sun", ["11-01", "11-07", "11-08"]),
        ("0 0 * * */3", ["11-01", "11-04", "11-07", "11-08"]),
        ("0 0 * * 5,0", ["11-01", "11-06", "11-08"]),
        ("0 0 13 * *", ["11-13", "12-13"]),
        ("0 0 13 * fri", ["11-06", "11-13", "11-20", "11-27", "12-04", "12-11", "12-13"]),  # either
        ("0 0 1 jan,feb *", ["01-01", "02-01"]),
        ("0 0 */10 * *", ["11-01", "11-11", "11-21", "12-01"]),
    ],
)
def test_days_as_cron_has_them(line: str, days: list[str]) -> None:
    assert [time[5:10] for time in times(line, "2026-11-01T00:00", len(days))] == days


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("60 * * * *", "higher than the maximum"),
        ("* * 0 * *", "lower than the minimum"),
        ("x * * * *", "'x' is no minute"),
        ("* * last * *", "'last' is no day"),
        ("* * * * 8", "'8' is no weekday"),
        ("* * * * fri-mon", "ends before it begins"),
        ("* * * * mun", "is no weekday"),
        ("* * * * 1/0", "is no weekday"),
        ("*/0 * * * *", "Increment must be higher than 0"),
        ("0 0 30 2 *", "there is no such day"),
    ],
)
def test_what_is_no_time(line: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"schedule\.x in f: .* is no time for a job: ") as caught:
        trigger(JobSetting("x", "schedule.x in f", cron=line, timezone="UTC"))
    assert words in str(caught.value)


def test_in_words() -> None:
    assert when(JobSetting("x", "x", every_s=900.0)) == "every 15 min"
    assert when(JobSetting("x", "x", every_s=1.0)) == "every 1 s"
    assert when(JobSetting("x", "x", cron="0 2 * * *")) == "0 2 * * * (local time)"
    assert when(JobSetting("x", "x", cron="0 2 * * *", timezone="UTC")) == "0 2 * * * (UTC)"
