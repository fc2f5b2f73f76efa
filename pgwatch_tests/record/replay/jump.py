"""Places in a recording as people write them: a time, a distance from an end, a share, a test. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.record.model import TestSighting
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.times import in_full

TIME_FORMS = "13:05, 13:05:12.5, 2026-03-01T13:05, +2m (from the start), -30s (from the end), 40%"

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%")
_MOST_DAYS = 400


def moment_at(text: str, began: datetime, until: datetime) -> datetime | None:
    """Returns the moment that `text` means in a recording; None if `text` has no form of a time.

    Times without a zone are this machine's. Raises ConfigurationError if it isn't in the recording.
    """
    text = text.strip()
    whole_s = (until - began).total_seconds()
    if share := _SHARE.fullmatch(text):
        moment = began + timedelta(seconds=whole_s * float(share[1]) / 100)
    elif text[:1] in ("+", "-") and text[1:2].isdigit():
        try:
            distance = timedelta(seconds=durations.parse(text[1:]))
        except (ValueError, OverflowError) as error:
            raise ConfigurationError(str(error)) from None
        moment = began + distance if text[0] == "+" else until - distance
    elif clock := _CLOCK.fullmatch(text):
        return _at_clock(text, clock, began, until)
    elif re.match(r"\d{4}-\d{2}-\d{2}", text):
        try:
            moment = datetime.fromisoformat(text).astimezone()
        except (ValueError, OverflowError):
            raise ConfigurationError(f"{plain(text)!r} isn't a time such as 2026-03-01T13:05:12") from None
    else:
        return None
    if not began <= moment <= until:
        raise ConfigurationError(_outside(text, began, until))
    return moment


def first_sight(text: str, tests: Sequence[TestSighting]) -> TestSighting:
    """Returns the test, of those whose name contains `text`, that was seen first.

    A whole name comes before a part, the case of letters is ignored. Raises ConfigurationError without any.
    """
    wanted = text.strip().casefold()
    seen = [one for one in tests if wanted and wanted in one.test.casefold()]
    if not seen:
        raise ConfigurationError(f"no test seen in the recording has {plain(text.strip())!r} in its name")
    exact = [one for one in seen if wanted in (one.test.casefold(), one.test.casefold().rpartition("::")[2])]
    return min(exact or seen, key=lambda one: one.first_seen)


def _at_clock(text: str, clock: re.Match[str], began: datetime, until: datetime) -> datetime:
    """The first such time of day in the recording; a time without seconds means the whole minute."""
    hour, minute, second, fraction = clock.groups()
    try:
        wanted = time(int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        raise ConfigurationError(f"{text!r} isn't a time of day") from None
    meant = (
        timedelta(minutes=1) if second is None else timedelta(seconds=1) if fraction is None else timedelta()
    )
    day = began.astimezone().date() - timedelta(days=1)
    for _ in range(_MOST_DAYS):
        # Each day anew: days on which clocks are set are longer or shorter.
        moment = datetime.combine(day, wanted).astimezone()
        if moment > until:
            break
        if moment + meant > began or moment == began:
            return max(began, moment)
        day += timedelta(days=1)
    raise ConfigurationError(_outside(text, began, until))


def _outside(text: str, began: datetime, until: datetime) -> str:
    return f"{plain(text)} isn't in the recording, which is from {in_full(began)} to {in_full(until)}"
