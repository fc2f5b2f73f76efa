"""Bad: a test that empties a table that isn't its own."""

from __future__ import annotations

from booking import service
from booking.models import Holiday
from sqlalchemy import Engine, delete
from sqlalchemy.orm import Session

from tests.factories import tomorrow


def test_without_holidays_each_day_has_lessons(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(delete(Holiday))
        session.commit()
        assert not service.is_holiday(session, tomorrow().date())
