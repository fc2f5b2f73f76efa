"""When a job's turn comes: by an interval, or as in a crontab.

APScheduler reads crontab lines in its own way. Here they mean what they mean to cron (crontab(5)): 0 and 7
are Sunday; where both a day and a weekday are given, either is enough. Around a change of clocks (cron(8)), a
time that is skipped comes an hour later by the clock, and one that comes twice is taken once, unless minutes
or hours are `*`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from pgwatch_tests import durations
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.job_settings import JobSetting

_FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_NUMBERS = re.compile(r"[0-9*/,-]+")
_NUMBERS_OR_NAMES = re.compile(r"[0-9A-Za-z*/,-]+")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WEEKDAY_ITEM = re.compile(r"(?P<all>\*)|(?P<first>[0-7]|[a-z]{3})(-(?P<last>[0-7]|[a-z]{3}))?")


def trigger(job: JobSetting) -> BaseTrigger:
    """What APScheduler asks for the job's next time. Raises ConfigurationError for a `cron` that is none."""
    if job.cron is None:
        return IntervalTrigger(seconds=job.every_s, timezone=UTC)
    try:
        return CrontabTrigger(job.cron, None if job.timezone is None else ZoneInfo(job.timezone))
    except (ValueError, KeyError) as error:  # KeyError: what this machine calls its time zone is none
        raise ConfigurationError(f"{job.source}: {job.cron!r} is no time for a job: {error}") from None


def when(job: JobSetting) -> str:
    """`every 15 min`, `30 2 * * * (Europe/Berlin)`, `30 2 * * * (local time)`."""
    if job.every_s is not None:
        return f"every {durations.in_words(job.every_s).replace('.0 s', ' s')}"
    return f"{job.cron} ({job.timezone or 'local time'})"


class CrontabTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """The times of a crontab line in a time zone; None: this machine's. Raises ValueError if it has none."""

    def __init__(self, line: str, timezone: ZoneInfo | None = None) -> None:
        words = line.lower().split()
        if len(words) != len(_FIELDS):
            raise ValueError("it needs minute, hour, day, month and weekday")
        fields = dict(zip(_FIELDS, words, strict=True))
        for name, field in fields.items():
            allowed = _NUMBERS_OR_NAMES if name in ("month", "day_of_week") else _NUMBERS
            if not allowed.fullmatch(field):
                raise ValueError(f"{field!r} is no {name.replace('_', ' ')}")
        self._takes_both = fields["minute"].startswith("*") or fields["hour"].startswith("*")
        either_day = not (fields["day"].startswith("*") or fields["day_of_week"].startswith("*"))
        fields["day_of_week"] = _weekdays(fields["day_of_week"])
        lines = [{**fields, "day_of_week": "*"}, {**fields, "day": "*"}] if either_day else [fields]
        self._parts = [CronTrigger(**one, timezone=timezone) for one in lines]
        if self.get_next_fire_time(None, datetime.now(UTC)) is None:
            raise ValueError("there is no such day")

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after the previous one, or from `now` on. What APScheduler asks a trigger."""
        times = [self._next(part, previous_fire_time, now) for part in self._parts]
        return min((time for time in times if time is not None), default=None)

    def _next(self, part: CronTrigger, previous: datetime | None, now: datetime) -> datetime | None:
        found = part.get_next_fire_time(previous, now.astimezone(part.timezone))
        while found is not None:
            # There and back: a time that the clocks skip becomes the one that they show instead.
            time: datetime = found.astimezone(UTC).astimezone(part.timezone)
            if self._takes_both or not time.fold:
                return time
            after = time.astimezone(UTC) + timedelta(microseconds=1)
            found = part.get_next_fire_time(None, after.astimezone(part.timezone))
        return None


def _weekdays(field: str) -> str:
    """APScheduler's numbers, whose week begins on Monday, for cron's, whose week begins on Sunday."""
    if field == "*":
        return field
    days: set[int] = set()
    for item in field.split(","):
        text, slash, step = item.partition("/")
        match = _WEEKDAY_ITEM.fullmatch(text)
        if match is None or (slash and not (step.isdecimal() and int(step))):
            raise ValueError(f"{item!r} is no weekday")
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
        raise ValueError(f"{text!r} is no weekday")
    return _WEEKDAYS.index(text)
