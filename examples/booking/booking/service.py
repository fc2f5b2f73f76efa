"""What the application does, in a session of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from booking.models import Booking, Child, Holiday, Notice, Price, User


class RefusedError(Exception):
    """The application says no, and why."""


def register(session: Session, email: str, name: str, role: str = "PARENT") -> User:
    """Adds a user. Raises RefusedError if the address is taken."""
    user = User(email=email, name=name, role=role)
    session.add(user)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise RefusedError("this address is taken") from None
    return user


def price_of(session: Session, minutes: int) -> Decimal:
    """Returns what a lesson costs. Raises RefusedError for a length that isn't offered."""
    amount = session.scalar(select(Price.amount).where(Price.minutes == minutes))
    if amount is None:
        raise RefusedError(f"no lesson takes {minutes} minutes")
    return amount


def is_holiday(session: Session, day: date) -> bool:
    """Whether there are no lessons on a day."""
    return session.get(Holiday, day) is not None


def book(session: Session, instructor_id: int, child_id: int, at: datetime, amount: Decimal) -> Booking:
    """Books a lesson and notes that its parent is to be told. Raises RefusedError if the slot is taken."""
    child = session.get(Child, child_id)
    instructor = session.get(User, instructor_id)
    if child is None or instructor is None or instructor.role != "INSTRUCTOR":
        raise RefusedError("there is no such child or instructor")
    booking = Booking(instructor_id=instructor_id, child_id=child_id, scheduled_at=at, amount=amount)
    session.add(booking)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise RefusedError("this slot is taken") from None
    parent = session.get_one(User, child.parent_id)
    session.add(Notice(recipient=parent.email, text=f"{child.name} has a lesson with {instructor.name}"))
    session.commit()
    return booking


def cancel(session: Session, booking_id: int) -> Booking:
    """Cancels a lesson. Raises RefusedError if there is none, or it is cancelled."""
    booking = session.get(Booking, booking_id, with_for_update=True)
    if booking is None or booking.status == "CANCELLED":
        session.rollback()
        raise RefusedError("there is no such lesson to cancel")
    booking.status = "CANCELLED"
    session.commit()
    return booking


def lessons_of(session: Session, instructor_id: int) -> Sequence[Booking]:
    """Returns an instructor's lessons that take place, in order."""
    return session.scalars(
        select(Booking)
        .where(Booking.instructor_id == instructor_id, Booking.status == "CONFIRMED")
        .order_by(Booking.scheduled_at)
    ).all()


def notices_for(session: Session, recipient: str) -> Sequence[Notice]:
    """Returns the messages to somebody."""
    return session.scalars(select(Notice).where(Notice.recipient == recipient).order_by(Notice.id)).all()
