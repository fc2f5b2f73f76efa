"""When a job's turn comes: by an interval, or as in a crontab.

APScheduler reads crontab lines in its own way. Here they mean what they mean to cron (crontab(5)): 0 and 7
are Sunday; where both a day and a weekday are given, either is enough. Around a change of clocks (cron(8)), a
time that is skipped comes an hour later by the clock, and one that comes twice is taken once, unless minutes
or hours are `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.text import durations

_MOMENT = timedelta(microseconds=1)
# The largest change of clocks: Samoa crossed the date line in 2011, and skipped a day.
_HOURS_OF_A_CHANGE = 25
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_NUMBERS = re.compile(r"[0-9*/,-]+")
_NUMBERS_OR_NAMES = re.compile(r"[0-9A-Za-z*/,-]+")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEKDAY_ITEM = re.compile(r"(?P<all>\*)|(?P<first>[0-7]|[a-z]{3})(-(?P<last>[0-7]|[a-z]{3}))?")


def trigger(job: JobSetting) -> BaseTrigger:
    """The trigger for the job's times. Raises ConfigurationError if `cron` isn't valid."""
    if job.cron is None:
        return IntervalTrigger(seconds=job.every_s, timezone=UTC)
    try:
        return CrontabTrigger(job.cron, None if job.timezone is None else ZoneInfo(job.timezone))
    except (ValueError, KeyError) as error:  # KeyError: this machine's time zone has no known name
        raise ConfigurationError(f"{job.source}: {job.cron!r} isn't a valid cron line: {error}") from None


def when(job: JobSetting) -> str:
    """`every 15 min`, `30 2 * * * (Europe/Berlin)`, `30 2 * * * (local time)`."""
    if job.every_s is not None:
        return f"every {durations.in_words(job.every_s).replace('.0 s', ' s')}"
    return f"{job.cron} ({job.timezone or 'local time'})"


class CrontabTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """The times of a crontab line in a time zone (None: this machine's). Raises ValueError."""

    def __init__(self, line: str, timezone: ZoneInfo | None = None) -> None:
        words = line.lower().split()
        if len(words) != len(_FIELDS):
            raise ValueError("five fields are needed: minute, hour, day, month and weekday")
        fields = dict(zip(_FIELDS, words, strict=True))
        for name, field in fields.items():
            allowed = _NUMBERS_OR_NAMES if name in ("month", "day_of_week") else _NUMBERS
            if not allowed.fullmatch(field):
                raise ValueError(f"{field!r} isn't a valid {name.replace('_', ' ')}")
        self._goes_by_real_time = fields["minute"].startswith("*") or fields["hour"].startswith("*")
        either_day = not (fields["day"].startswith("*") or fields["day_of_week"].startswith("*"))
        fields["day_of_week"] = _weekdays(fields["day_of_week"])
        lines = [{**fields, "day_of_week": "*"}, {**fields, "day": "*"}] if either_day else [fields]
        # In a zone, APScheduler skips times near a change of clocks: it counts by wall time here.
        self._parts = [CronTrigger(**one, timezone=UTC) for one in lines]
        self._zone: tzinfo = timezone or CronTrigger().timezone
        if self.get_next_fire_time(None, datetime.now(UTC)) is None:
            raise ValueError("no year has such a day")

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Returns the first time after the previous one, or from `now` on; APScheduler calls this."""
        start = now.astimezone(UTC)
        if previous_fire_time is not None:
            # Somebody may have set the clock back: then the times since are still to come.
            previous = previous_fire_time.astimezone(UTC)
            start = start + _MOMENT if start == previous else min(start, previous + _MOMENT)
        best: datetime | None = None
        until: datetime | None = None
        for wall in self._wall_times(start):
            if until is not None and wall > until:
                break
            for time in self._real_times(wall):
                if time >= start and (best is None or time < best):
                    best = time
                    # A later wall time may be the earlier one of the two, by as much as the clocks change.
                    until = _wall(time, self._zone) + _change(time, self._zone)
        return None if best is None else best.astimezone(self._zone)

    def _wall_times(self, start: datetime) -> Iterator[datetime]:
        """The line's times by the clock, ascending: all that can be at or after `start`, and some before."""
        change = _change(start, self._zone)
        since = (_wall(start, self._zone) - change).replace(tzinfo=UTC)
        while True:
            found = [part.get_next_fire_time(None, since) for part in self._parts]
            wall = min((time for time in found if time is not None), default=None)
            if wall is None:
                return
            yield wall.replace(tzinfo=None)
            since = wall + _MOMENT

    def _real_times(self, wall: datetime) -> Iterator[datetime]:
        """The moments, in UTC, at which the clocks show `wall`, or would show it if they weren't changed."""
        for fold in (0, 1) if self._goes_by_real_time else (0,):
            time = wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)
            if not self._goes_by_real_time or _wall(time, self._zone) == wall:
                yield time


def _wall(time: datetime, zone: tzinfo) -> datetime:
    """Returns the wall time at a time in UTC."""
    return time.astimezone(zone).replace(tzinfo=None)


def _change(time: datetime, zone: tzinfo) -> timedelta:
    """Returns how much a change of clocks can put times near `time` out of order: mostly 0."""
    hours = range(-_HOURS_OF_A_CHANGE, _HOURS_OF_A_CHANGE + 1)
    offsets = [_offset(time + timedelta(hours=hour), zone) for hour in hours]
    change = max(offsets) - min(offsets)
    near = _offset(time - change, zone) != _offset(time + change, zone)
    return change if near else timedelta()


def _offset(time: datetime, zone: tzinfo) -> timedelta:
    return _wall(time, zone) - time.replace(tzinfo=None)


def _weekdays(field: str) -> str:
    """APScheduler's numbers, whose week begins on Monday, for cron's, whose week begins on Sunday."""
    if field == "*":
        return field
    days: set[int] = set()
    for item in field.split(","):
        text, slash, step = item.partition("/")
        match = _WEEKDAY_ITEM.fullmatch(text)
        if match is None or (slash and not (step.isdecimal() and int(step))):
            raise ValueError(f"{item!r} isn't a weekday")
        first, last = (0, 6) if match["all"] else _range(match["first"], match["last"] or match["first"])
        if slash and not match["all"] and match["last"] is None:
            last = 6
        if first > last:
            raise ValueError(f"{item!r} ends before it begins")
        days.update(day % 7 for day in range(first, last + 1, int(step) if slash else 1))
    return ",".join(str(number) for number in sorted((day - 1) % 7 for day in days))


def _range(first: str, last: str) -> tuple[int, int]:
    begin, end = _weekday(first), _weekday(last)
    return begin, 7 if end == 0 and begin > 0 else end


def _weekday(text: str) -> int:
    if text.isdecimal():
        return int(text)
    if text not in _WEEKDAYS:
        raise ValueError(f"{text!r} isn't a weekday")
    return _WEEKDAYS.index(text)
