"""Bad: the test holds the row that it lets the application change."""

from __future__ import annotations

import pytest
from booking.models import Booking
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from tests.factories import BookingFactory


def test_a_dear_lesson_is_cancelled(client: TestClient, session: Session) -> None:
    booking = BookingFactory.create()
    session.execute(update(Booking).where(Booking.id == booking.id).values(amount=100))
    with pytest.raises(OperationalError):
        client.post(f"/bookings/{booking.id}/cancel")
