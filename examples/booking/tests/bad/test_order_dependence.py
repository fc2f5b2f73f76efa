"""Bad: a test that passes only once, before others have seen the price that it leaves."""

from __future__ import annotations

from decimal import Decimal

from booking import service
from booking.models import Price
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session


def test_a_lesson_gets_dearer(engine: Engine) -> None:
    with Session(engine) as session:
        assert service.price_of(session, 45) == 45
        session.execute(update(Price).where(Price.minutes == 45).values(amount=Price.amount + 5))
        session.commit()
        assert service.price_of(session, 45) == Decimal(50)
