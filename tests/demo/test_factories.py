"""The demo's factories: when tomorrow is, and what a scenario consists of."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from pgwatch_tests.demo.booking import Base
from pgwatch_tests.demo.factories import BookingFactory, tomorrow_at
from tests.servers.sessions import Database

ZONES = sorted(available_timezones())
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(ZONES), st.times())
# The days on which Berlin's clocks change, and the days before them.
@example(datetime(2026, 3, 28, 12, tzinfo=UTC), "Europe/Berlin", time(14))
@example(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "Europe/Berlin", time(14))
@example(datetime(2026, 10, 24, 12, tzinfo=UTC), "Europe/Berlin", time(14))
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Berlin", time(14))
# Skipped, and shown twice, there.
@example(datetime(2026, 3, 28, 12, tzinfo=UTC), "Europe/Berlin", time(2, 30))
@example(datetime(2026, 10, 24, 12, tzinfo=UTC), "Europe/Berlin", time(2, 30))
# A day that never was.
@example(datetime(2011, 12, 29, 12, tzinfo=UTC), "Pacific/Apia", time(14))
def test_tomorrow_is_what_a_clock_on_the_wall_says(now: datetime, zone: str, at: time) -> None:
    found = tomorrow_at(at, zone, now)
    of_zone = ZoneInfo(zone)
    shown = found.astimezone(of_zone)
    wanted = datetime.combine(now.astimezone(of_zone).date() + timedelta(days=1), at)
    assert found.tzinfo is UTC
    assert found > now
    if shown.replace(tzinfo=None, fold=0) != wanted:
        # No clock shows it: the next moment is within the time that was left out.
        assert wanted < shown.replace(tzinfo=None) <= wanted + timedelta(days=1)
        assert shown.utcoffset() != wanted.replace(tzinfo=of_zone).utcoffset()
    else:
        assert shown.fold == 0


@pytest.mark.parametrize(
    ("now", "offset_h"),
    [("2026-03-28T12:00+00:00", 2), ("2026-10-24T12:00+00:00", 1)],
    ids=["forward", "back"],
)
def test_a_lesson_on_the_day_when_clocks_change_is_at_two(now: str, offset_h: int) -> None:
    found = tomorrow_at(time(14), "Europe/Berlin", datetime.fromisoformat(now))
    assert found.hour == 14 - offset_h


def test_a_scenario_has_a_booking_and_everybody_whom_it_takes(database: Database) -> None:
    engine = create_engine(database.dsn.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    with BookingFactory.using(engine) as bookings:
        made = BookingFactory.scenario(zone="Pacific/Auckland", status="REQUESTED")
        assert (made.parent.role, made.instructor.role) == ("PARENT", "INSTRUCTOR")
        assert made.child.parent_id == made.booking.parent_id == made.parent.id
        assert (made.booking.instructor_id, made.booking.child_id) == (made.instructor.id, made.child.id)
        assert made.booking.status == "REQUESTED"
        shown = made.booking.scheduled_at.astimezone(ZoneInfo("Pacific/Auckland"))
        assert (shown.hour, shown.minute) == (14, 0)
        # As many as one likes, at the same time.
        assert BookingFactory.scenario().booking.instructor_id != made.booking.instructor_id
        assert bookings.cleanup().removed["public.instructor_profiles"] == 2
    engine.dispose()
