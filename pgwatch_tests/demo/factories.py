"""Factories of the demo's application, and a whole booking: an example of UniqueFactory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from factory.declarations import LazyAttribute, RelatedFactory, SubFactory, Trait

from pgwatch_tests.demo.booking import Booking, Child, InstructorProfile, User
from pgwatch_tests.testing.factories import Unique, UniqueFactory

LESSON_AT = time(14)
ZONE = "Europe/Berlin"


class InstructorProfileFactory(UniqueFactory[InstructorProfile]):
    """What the instructor says who is given as `user`."""

    class Meta:
        model = InstructorProfile

    class Params:
        user: Any = None

    user_id = LazyAttribute(lambda profile: profile.user.id)
    bio = "Test instructor"
    hourly_rate = Decimal("50.00")


class UserFactory(UniqueFactory[User]):
    """A parent; with `instructor=True` an instructor, who has a profile."""

    class Meta:
        model = User

    class Params:
        instructor = Trait(
            email=Unique.email("instructor"),
            clerk_id=Unique.id("clerk_instructor"),
            last_name="Instructor",
            role="INSTRUCTOR",
            profile=RelatedFactory(InstructorProfileFactory, "user"),
        )

    email = Unique.email("parent")
    clerk_id = Unique.id("clerk_parent")
    first_name = "Test"
    last_name = "Parent"
    role = "PARENT"


class ChildFactory(UniqueFactory[Child]):
    """A child of `parent`, of a new one by default."""

    class Meta:
        model = Child

    class Params:
        parent = SubFactory(UserFactory)

    parent_id = LazyAttribute(lambda child: child.parent.id)
    name = Unique.id("child")
    birth_date = date(2018, 5, 17)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A booking, and everybody whom it takes."""

    parent: User
    instructor: User
    child: Child
    booking: Booking


class BookingFactory(UniqueFactory[Booking]):
    """A confirmed lesson of `child` with `instructor`, by default both new: tomorrow at 14:00 in `zone`."""

    class Meta:
        model = Booking

    class Params:
        child = SubFactory(ChildFactory)
        instructor = SubFactory(UserFactory, instructor=True)
        zone = ZONE

    reference = Unique.id("booking")
    parent_id = LazyAttribute(lambda booking: booking.child.parent_id)
    instructor_id = LazyAttribute(lambda booking: booking.instructor.id)
    child_id = LazyAttribute(lambda booking: booking.child.id)
    scheduled_at = LazyAttribute(lambda booking: tomorrow_at(LESSON_AT, booking.zone))
    status = "CONFIRMED"
    amount = Decimal("50.00")

    @classmethod
    def scenario(cls, zone: str = ZONE, **attributes: Any) -> Scenario:
        """Makes a parent, an instructor, a child and their booking; `attributes` are the booking's."""
        parent = UserFactory.create()
        instructor = UserFactory.create(instructor=True)
        child = ChildFactory.create(parent=parent)
        booking = cls.create(child=child, instructor=instructor, zone=zone, **attributes)
        return Scenario(parent, instructor, child, booking)

    @classmethod
    async def ascenario(cls, zone: str = ZONE, **attributes: Any) -> Scenario:
        """Makes them in an AsyncSession."""
        parent = await UserFactory.acreate()
        instructor = await UserFactory.acreate(instructor=True)
        child = await ChildFactory.acreate(parent=parent)
        booking = await cls.acreate(child=child, instructor=instructor, zone=zone, **attributes)
        return Scenario(parent, instructor, child, booking)


def tomorrow_at(at: time, zone: str, now: datetime | None = None) -> datetime:
    """Returns that time of the day after today, as the clocks of `zone` show it; UTC.

    `now` is an aware time, else that of Python's clock, which a test may have frozen. Where clocks are set
    forward over that time, or a whole day is left out, it is as much later; where they show it twice, the
    first. Raises ZoneInfoNotFoundError.
    """
    of_zone = ZoneInfo(zone)
    today = (datetime.now(UTC) if now is None else now).astimezone(of_zone).date()
    return datetime.combine(today + timedelta(days=1), at, of_zone).astimezone(UTC)
