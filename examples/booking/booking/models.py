"""The tables."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import DateTime, ForeignKey, Numeric, String, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    """A parent or an instructor."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Child(Base):
    """Who takes the lessons."""

    __tablename__ = "children"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    name: Mapped[str] = mapped_column(String(100))
    birth_date: Mapped[date]


class Booking(Base):
    """One lesson. An instructor gives one at a time."""

    __tablename__ = "bookings"
    __table_args__ = (UniqueConstraint("instructor_id", "scheduled_at", name="bookings_one_a_slot"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instructor_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    child_id: Mapped[int] = mapped_column(ForeignKey(Child.id), index=True)
    scheduled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(20), server_default="CONFIRMED")
    amount: Mapped[Decimal] = mapped_column(Numeric(8, 2))


class Notice(Base):
    """A message that is to be sent."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(320), index=True)
    text: Mapped[str]


class Price(Base):
    """What a lesson of this many minutes costs."""

    __tablename__ = "prices"

    minutes: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal] = mapped_column(Numeric(8, 2))


class Holiday(Base):
    """A day without lessons."""

    __tablename__ = "holidays"

    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str]


def add_reference_data(session: Session) -> None:
    """Adds what the application starts with: prices and holidays, which no test owns."""
    session.add_all(Price(minutes=minutes, amount=Decimal(minutes)) for minutes in (30, 45, 60))
    session.add_all(
        Holiday(day=date(2030, month, day), name=name)
        for month, day, name in ((1, 1, "New Year"), (5, 1, "Labour Day"), (12, 25, "Christmas"))
    )
    session.commit()
