"""Lessons over HTTP."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.factories import BookingFactory, People, make_people, tomorrow


@pytest.fixture
def people(session: Session) -> People:
    """A parent with a child, and an instructor."""
    return make_people()


def wanted(people: People, **more: object) -> dict[str, object]:
    """A request for a lesson."""
    at = tomorrow().isoformat()
    return {"instructor_id": people.instructor.id, "child_id": people.child.id, "scheduled_at": at, **more}


def test_a_lesson_is_booked(client: TestClient, people: People) -> None:
    answer = client.post("/bookings", json=wanted(people))
    assert (answer.status_code, answer.json()["status"]) == (201, "CONFIRMED")


def test_a_slot_is_taken_once(client: TestClient, people: People) -> None:
    assert client.post("/bookings", json=wanted(people)).status_code == 201
    answer = client.post("/bookings", json=wanted(people))
    assert (answer.status_code, answer.json()["detail"]) == (409, "this slot is taken")


def test_a_parent_gives_no_lessons(client: TestClient, people: People) -> None:
    answer = client.post("/bookings", json=wanted(people, instructor_id=people.parent.id))
    assert answer.status_code == 409


def test_a_lesson_has_a_length_that_is_offered(client: TestClient, people: People) -> None:
    assert client.post("/bookings", json=wanted(people, minutes=7)).status_code == 409


def test_a_lesson_is_shown(client: TestClient, session: Session) -> None:
    booking = BookingFactory.create()
    assert client.get(f"/bookings/{booking.id}").json()["id"] == booking.id


def test_a_lesson_is_cancelled_once(client: TestClient, session: Session) -> None:
    booking = BookingFactory.create()
    statuses = [client.post(f"/bookings/{booking.id}/cancel").status_code for _ in range(2)]
    assert statuses == [200, 409]


def test_a_cancelled_slot_is_not_listed(client: TestClient, session: Session) -> None:
    booking = BookingFactory.create(status="CANCELLED")
    assert client.get(f"/instructors/{booking.instructor_id}/bookings").json() == []


def test_an_instructor_has_several_lessons(client: TestClient, people: People) -> None:
    for day in range(1, 4):
        at = tomorrow().replace(year=2030, month=2, day=day).isoformat()
        assert client.post("/bookings", json=wanted(people, scheduled_at=at)).status_code == 201
    assert len(client.get(f"/instructors/{people.instructor.id}/bookings").json()) == 3
