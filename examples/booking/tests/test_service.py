"""The application's functions, on plain SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from booking import service
from booking.models import Booking, User
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.factories import BookingFactory, ChildFactory, UserFactory, make_people, tomorrow


def test_who_registers_is_a_parent(session: Session, unique_email: Callable[[str], str]) -> None:
    user = service.register(session, unique_email("parent"), "Pat")
    assert session.get_one(User, user.id).role == "PARENT"


def test_a_lesson_is_told_to_its_parent(session: Session) -> None:
    people = make_people()
    service.book(session, people.instructor.id, people.child.id, tomorrow(), Decimal(60))
    [notice] = service.notices_for(session, people.parent.email)
    assert people.child.name in notice.text


def test_a_child_that_is_not_there_gets_no_lesson(session: Session) -> None:
    instructor = UserFactory.create(instructor=True)
    with pytest.raises(service.RefusedError, match="no such child"):
        service.book(session, instructor.id, 0, tomorrow(), Decimal(60))


def test_a_cancelled_lesson_stays_in_the_books(session: Session) -> None:
    booking = BookingFactory.create()
    assert service.cancel(session, booking.id).status == "CANCELLED"
    assert session.scalar(select(func.count()).where(Booking.id == booking.id)) == 1


def test_lessons_are_in_order(session: Session) -> None:
    people = make_people()
    days = [3, 1, 2]
    for day in days:
        at = tomorrow().replace(year=2030, month=3, day=day)
        BookingFactory.create(child=people.child, instructor=people.instructor, scheduled_at=at)
    found = [lesson.scheduled_at.day for lesson in service.lessons_of(session, people.instructor.id)]
    assert found == sorted(days)


def test_siblings_have_lessons_at_once(session: Session) -> None:
    parent = UserFactory.create()
    children = ChildFactory.create_batch(2, parent=parent)
    bookings = [BookingFactory.create(child=child) for child in children]
    assert bookings[0].scheduled_at == bookings[1].scheduled_at


@pytest.mark.parametrize("number", range(4))
def test_a_notice_reaches_whom_it_is_for(session: Session, number: int) -> None:
    people = make_people(name=f"Pat {number}")
    other = make_people()
    service.book(session, people.instructor.id, people.child.id, tomorrow(), Decimal(60))
    assert service.notices_for(session, other.parent.email) == []


@pytest.mark.parametrize(("day", "expected"), [(date(2031, 1, 2), False), (date(2031, 7, 14), False)])
def test_most_days_are_no_holidays(session: Session, day: date, expected: bool) -> None:
    assert service.is_holiday(session, day) is expected


@pytest.mark.parametrize("minutes", [7, 90])
def test_a_length_that_is_not_offered_is_refused(session: Session, minutes: int) -> None:
    with pytest.raises(service.RefusedError, match=f"no lesson takes {minutes} minutes"):
        service.price_of(session, minutes)
