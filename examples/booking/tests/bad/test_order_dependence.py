"""Bad: a test that passes only the first time, before others find what it leaves."""

from __future__ import annotations

from decimal import Decimal

import pytest
from booking import service
from booking.models import Price
from sqlalchemy import Engine
from sqlalchemy.orm import Session


def test_a_long_lesson_is_offered(engine: Engine) -> None:
    with Session(engine) as session:
        with pytest.raises(service.RefusedError):
            service.price_of(session, 120)
        session.add(Price(minutes=120, amount=Decimal(110)))
        session.commit()
        assert service.price_of(session, 120) == 110
