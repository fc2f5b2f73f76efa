"""The demo's application: parents book lessons with instructors for their children."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import DateTime, ForeignKey, Numeric, String, Text, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

INSTRUCTORS = ("ada.byron", "emmy.noether", "grace.hopper")
PARENTS = ("carl.gauss", "maria.agnesi", "rene.descartes")
FIRST_LESSON = datetime(2030, 1, 7, 9, tzinfo=UTC)


class Base(DeclarativeBase):
    """The application's tables."""


class User(Base):
    """A parent or an instructor; `clerk_id` is what the identity provider calls them."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    clerk_id: Mapped[str] = mapped_column(String(100))
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class InstructorProfile(Base):
    """What an instructor says and asks."""

    __tablename__ = "instructor_profiles"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    bio: Mapped[str] = mapped_column(Text)
    hourly_rate: Mapped[Decimal] = mapped_column(Numeric(8, 2))


class Child(Base):
    """Who takes the lessons."""

    __tablename__ = "children"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    birth_date: Mapped[date]


class Booking(Base):
    """One lesson. An instructor gives one at a time."""

    __tablename__ = "bookings"
    __table_args__ = (UniqueConstraint("instructor_id", "scheduled_at", name="bookings_one_a_slot"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(100))
    parent_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    instructor_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    child_id: Mapped[int] = mapped_column(ForeignKey("children.id"), index=True)
    scheduled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(20))
    amount: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Notification(Base):
    """A message that is to be sent."""

    __tablename__ = "notifications"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(320))
    message: Mapped[str] = mapped_column(Text)


def email_of(name: str) -> str:
    """The address of one of the application's real users: not one that a marker matches."""
    return f"{name}@booking.example.org"


def add_real_rows(session: Session) -> None:
    """The rows that were there before any test: instructors, parents, a child and a lesson each."""
    instructors = [_user(name, "INSTRUCTOR") for name in INSTRUCTORS]
    parents = [_user(name, "PARENT") for name in PARENTS]
    session.add_all(instructors + parents)
    session.flush()
    for instructor in instructors:
        session.add(InstructorProfile(user_id=instructor.id, bio="Numbers", hourly_rate=Decimal("50.00")))
    for number, (parent, instructor) in enumerate(zip(parents, instructors, strict=True)):
        child = Child(parent_id=parent.id, name=f"Kim {parent.last_name}", birth_date=date(2018, 5, 17))
        session.add(child)
        session.flush()
        session.add(
            Booking(
                reference=f"A-{1000 + number}",
                parent_id=parent.id,
                instructor_id=instructor.id,
                child_id=child.id,
                scheduled_at=FIRST_LESSON + timedelta(days=number),
                status="CONFIRMED",
                amount=Decimal("50.00"),
            )
        )
    session.commit()


def _user(name: str, role: str) -> User:
    first, _, last = name.partition(".")
    return User(
        email=email_of(name),
        clerk_id=f"user_{name.encode().hex()}",
        first_name=first.capitalize(),
        last_name=last.capitalize(),
        role=role,
    )
