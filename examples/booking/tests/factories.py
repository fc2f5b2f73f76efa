"""Factories of the application's rows: unique, and gone at the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from booking.models import Booking, Child, User
from factory.declarations import LazyAttribute, LazyFunction, SubFactory, Trait

from pgwatch_tests.testing import Unique, UniqueFactory


def tomorrow() -> datetime:
    """Returns tomorrow at two in the afternoon."""
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=14, minute=0, second=0, microsecond=0)


class UserFactory(UniqueFactory[User]):
    """A parent, or an instructor."""

    class Meta:
        model = User

    class Params:
        instructor = Trait(email=Unique.email("instructor"), name="Ines", role="INSTRUCTOR")

    email = Unique.email("parent")
    name = "Pat"
    role = "PARENT"


class ChildFactory(UniqueFactory[Child]):
    """A child."""

    class Meta:
        model = Child

    class Params:
        parent = SubFactory(UserFactory)

    parent_id = LazyAttribute(lambda child: child.parent.id)
    name = Unique.id("child")
    birth_date = date(2018, 5, 17)


class BookingFactory(UniqueFactory[Booking]):
    """A lesson tomorrow."""

    class Meta:
        model = Booking

    class Params:
        child = SubFactory(ChildFactory)
        instructor = SubFactory(UserFactory, instructor=True)

    child_id = LazyAttribute(lambda booking: booking.child.id)
    instructor_id = LazyAttribute(lambda booking: booking.instructor.id)
    scheduled_at = LazyFunction(tomorrow)
    status = "CONFIRMED"
    amount = Decimal(60)


@dataclass(frozen=True, slots=True)
class People:
    """Whom a booking takes."""

    parent: User
    child: Child
    instructor: User


def make_people(**attributes: Any) -> People:
    """Makes a parent with a child, and an instructor."""
    parent = UserFactory.create(**attributes)
    return People(parent, ChildFactory.create(parent=parent), UserFactory.create(instructor=True))
