from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.schedule.turns import CrontabTrigger, trigger, when
from pgwatch_tests.settings.jobs import JobSetting
from tests.examples import examples

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


def test_the_hour_after_midnight_comes_on_the_day_after_the_change() -> None:
    assert times("30 0 * * *", "2026-03-28T12:00", 3) == [
        "2026-03-29T00:30+01:00",
        "2026-03-30T00:30+02:00",
        "2026-03-31T00:30+02:00",
    ]
    assert times("0 0 1 * *", "2026-03-15T12:00", 2) == ["2026-04-01T00:00+02:00", "2026-05-01T00:00+02:00"]


def test_a_skipped_time_does_not_hide_an_earlier_one() -> None:
    assert times("0,30 2,3 * * *", "2026-03-29T00:00", 3) == [
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
        "2026-03-30T02:00+02:00",
    ]


MOST_TIMES = 8
ZONES = (
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Lisbon",
    "America/New_York",
    "America/Santiago",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
)


def random_field(draw: random.Random, low: int, high: int) -> str:
    """A field of a crontab line: `*`, `*/n`, a range with or without a step, or a list."""

    def item() -> str:
        first = draw.randint(low, high)
        last = draw.randint(first, high)
        if first == last:
            return str(first)
        return draw.choice((f"{first}", f"{first}-{last}", f"{first}-{last}/{draw.randint(1, last - first)}"))

    kind = draw.random()
    if kind < 0.4:
        return "*"
    if kind < 0.5:
        return f"*/{draw.randint(1, high - low)}"
    return ",".join(item() for _ in range(draw.randint(1, 3)))


# Few examples are of few zones, each of which takes long to look at.
@pytest.mark.parametrize("zone", [ZoneInfo(name) for name in ZONES[: examples(10 * len(ZONES))]], ids=str)
def test_times_are_those_of_each_minute_looked_at(zone: ZoneInfo) -> None:
    """Random lines per zone, read by cronsim, against all minutes near the zone's changes of clocks."""
    draw = random.Random(zone.key)
    around = [minutes_near(zone, time) for time in changes_of_2026(zone)]
    assert around
    for _ in range(examples(150)):
        line = " ".join(
            random_field(draw, low, high) for low, high in ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
        )
        # By when it comes: a time that the clocks skip comes late, so this isn't the order of the clocks.
        minutes = draw.choice(around)
        since = draw.randrange(len(minutes) // 2)
        read = CronSim(line, minutes[since][0])
        expected = (time for time, shown, seen in minutes[since:] if is_time(read, shown, seen))
        asked, now, found = CrontabTrigger(line, zone), minutes[since][0], list[datetime]()
        for time in itertools.islice(dict.fromkeys(expected), MOST_TIMES):
            following = asked.get_next_fire_time(found[-1] if found else None, now)
            assert following is not None
            assert following.astimezone(UTC) == time, (line, minutes[since][0], found)
            now = time
            found.append(time)


def changes_of_2026(zone: ZoneInfo) -> list[datetime]:
    """The hours, in UTC, before which the offset of a zone was another."""
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
    return [
        hour
        for day, _ in changes(zone, days)
        for _, hour in changes(zone, [day + timedelta(hours=hour) for hour in range(25)])
    ]


def changes(zone: ZoneInfo, times: list[datetime]) -> list[tuple[datetime, datetime]]:
    """The pairs of successive times between which the offset of a zone changes."""
    offsets = [time.astimezone(zone).utcoffset() for time in times]
    pairs = zip(itertools.pairwise(times), itertools.pairwise(offsets), strict=True)
    return [pair for pair, (before, after) in pairs if before != after]


Minute = tuple[datetime, datetime, Literal["once", "again", "skipped"]]


def minutes_near(zone: ZoneInfo, change: datetime) -> list[Minute]:
    """All minutes 30 h before and after a change, by time in UTC; what the clocks show; how often they do.

    A time that they skip is at the minute at which they would have shown it.
    """
    found: list[Minute] = []
    for minute in range(-1800, 1800):
        time = change + timedelta(minutes=minute)
        shown = time.astimezone(zone)
        found.append((time, shown.replace(tzinfo=None), "again" if shown.fold else "once"))
    seen = {shown for _, shown, _ in found}
    wall, end = found[0][1], found[-1][1]
    while wall < end:
        if wall not in seen:
            found.append((wall.replace(tzinfo=zone).astimezone(UTC), wall, "skipped"))
        wall += timedelta(minutes=1)
    return sorted(found)


def is_time(line: CronSim, shown: datetime, seen: Literal["once", "again", "skipped"]) -> bool:
    """Whether a line means this minute, as crontab(5) and cron(8) have it."""
    if shown.minute not in line.minutes or shown.hour not in line.hours:
        return False
    by_real_time = line.parts[1].startswith("*") or line.parts[2].startswith("*")
    return (
        (seen != "skipped" if by_real_time else seen != "again")
        and shown.month in line.months
        and line.match_day(shown.date())
    )


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
        ("x * * * *", "'x' isn't a valid minute"),
        ("* * last * *", "'last' isn't a valid day"),
        ("* * * * 8", "'8' isn't a weekday"),
        ("* * * * fri-mon", "ends before it begins"),
        ("* * * * mun", "isn't a weekday"),
        ("* * * * 1/0", "isn't a weekday"),
        ("*/0 * * * *", "Increment must be higher than 0"),
        ("0 0 30 2 *", "no year has such a day"),
    ],
)
def test_what_is_no_time(line: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"schedule\.x in f: .* isn't a valid cron line: ") as caught:
        trigger(JobSetting("x", "schedule.x in f", cron=line, timezone="UTC"))
    assert words in str(caught.value)


def test_in_words() -> None:
    assert when(JobSetting("x", "x", every_s=900.0)) == "every 15 min"
    assert when(JobSetting("x", "x", every_s=1.0)) == "every 1 s"
    assert when(JobSetting("x", "x", cron="0 2 * * *")) == "0 2 * * * (local time)"
    assert when(JobSetting("x", "x", cron="0 2 * * *", timezone="UTC")) == "0 2 * * * (UTC)"
